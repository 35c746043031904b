"""What Dagster's code server starts for a run has loaded Dagster and our modules, and nothing that has threads."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
from dagster._core.test_utils import create_run_for_test
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import PythonFileTarget

from lakehouse.gold import project
from lakehouse.settings import PROJECT, settings

_LOADED = """
import json, sys, threading
import lakehouse.definitions
from lakehouse.automation.run_processes import modules
print(json.dumps({"ours": modules(), "all": list(sys.modules), "threads": [one.name for one in threading.enumerate()]}))
"""


def test_what_is_loaded_has_no_threads_and_no_contracts() -> None:
    project.prepare(settings())  # else that process has dbt read the project
    command = [sys.executable, "-c", _LOADED]
    said = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=100, check=False)
    assert said.returncode == 0, said.stderr
    told = json.loads(said.stdout)
    assert {"lakehouse.bronze.assets", "lakehouse.silver.refine", "lakehouse.gold.assets"} <= set(told["ours"])
    assert "lakehouse.definitions" not in told["ours"], "a run reads the contracts as they are now"
    assert {"dagster._grpc.impl", "dagster_dbt"} <= set(told["all"])
    assert not {"pyspark.sql.connect.client", "soda.scan"} & set(told["all"])
    assert told["threads"] == ["MainThread"]


_WAITS = """
import os, pathlib, time
import dagster as dg
import psutil
import lakehouse.silver.assets
from lakehouse.automation.run_processes import begin_loaded

begin_loaded()

@dg.op
def wait(context):
    context.log.info(" ".join(psutil.Process(os.getppid()).cmdline()))
    time.sleep(300)

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

        until(lambda: "multiprocessing.forkserver" in said() and "lakehouse.silver.assets" in said())
        assert instance.run_launcher.terminate(run.run_id)
        until(lambda: instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.CANCELED)


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)
