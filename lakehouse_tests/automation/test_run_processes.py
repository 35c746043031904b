"""What Dagster's code server starts for a run has loaded Dagster and our modules, and nothing that has threads of Python's. On
another system than Linux it starts anew."""

import json
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import PythonFileTarget
from dagster._grpc.server import DagsterApiServer

from lakehouse.automation.run_processes import begin_loaded
from lakehouse.gold import project
from lakehouse.settings import PROJECT, settings
from lakehouse_tests import waiting

until = partial(waiting.until, seconds=120)

_NAMES = """
import os, sys
import lakehouse.definitions
from lakehouse.automation.run_processes import modules
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1], *modules()])
"""
_LOADED = """
import importlib, json, sys, threading
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps({"modules": list(sys.modules), "threads": [one.name for one in threading.enumerate()]}))
"""


def test_what_is_loaded_has_no_threads_and_no_contracts() -> None:
    project.prepare(settings())  # else that process has dbt read the project
    command = [sys.executable, "-c", _NAMES, _LOADED]
    said = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=100, check=False)
    assert said.returncode == 0, said.stderr
    told = json.loads(said.stdout)
    loaded = set(told["modules"])
    assert {"lakehouse.bronze.assets", "lakehouse.silver.refine", "lakehouse.gold.assets"} <= loaded
    assert {"dagster._grpc.impl", "dagster_dbt"} <= loaded
    assert "lakehouse.definitions" not in loaded, "a run reads the contracts as they are now"
    assert not {"pyspark.sql.connect.client", "soda.scan"} & loaded
    assert told["threads"] == ["MainThread"]


def test_a_folder_for_temporary_files_with_a_long_name_has_each_run_start_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DagsterApiServer, "_mp_ctx", "Dagster's own", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", "/" + 75 * "x")
    begin_loaded()
    assert DagsterApiServer._mp_ctx == "Dagster's own"
    monkeypatch.setattr(tempfile, "tempdir", "/" + 74 * "x")
    begin_loaded()
    assert (DagsterApiServer._mp_ctx != "Dagster's own") == (sys.platform == "linux")


_WAITS = """
import os, time
import dagster as dg
import psutil
import lakehouse.silver.assets
from lakehouse.automation.run_processes import begin_loaded

begin_loaded()

@dg.op
def wait(context):
    context.log.info("process of x: " + " ".join(psutil.Process(os.getppid()).cmdline()))
    time.sleep(90)

@dg.job
def waits():
    wait()
"""


def test_a_run_begins_loaded_and_ends_when_it_is_asked_to(tmp_path: Path) -> None:
    (tmp_path / "jobs.py").write_text(_WAITS)
    of = PythonFileTarget(
        python_file=str(tmp_path / "jobs.py"), attribute=None, working_directory=None, location_name="x"
    )
    with dg.instance_for_test() as instance, WorkspaceProcessContext(instance, of) as server:
        here = server.create_request_context()
        (repository,) = here.get_code_location("x").get_repositories().values()
        job = repository.get_full_job("waits")
        origins = {"remote_job_origin": job.get_remote_origin(), "job_code_origin": job.get_python_origin()}
        run = create_run_for_test(instance, job_name="waits", **origins)
        instance.launch_run(run.run_id, here)

        def said() -> str:
            return "\n".join(entry.user_message for entry in instance.all_logs(run.run_id))

        begun = (
            ("multiprocessing.forkserver", "lakehouse.silver.assets") if sys.platform == "linux" else ("process of x",)
        )
        until(lambda: all(word in said() for word in begun))
        assert instance.run_launcher.terminate(run.run_id)
        until(lambda: instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.CANCELED)
