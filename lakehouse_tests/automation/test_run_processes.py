"""What Dagster's code server starts for a run has loaded Dagster and our modules, and nothing that has threads."""

import json
import subprocess
import sys

from lakehouse.settings import PROJECT

_SERVER = """
import multiprocessing
import sys
from dagster._grpc.server import DagsterApiServer
from lakehouse.definitions import defs
server = DagsterApiServer.__new__(DagsterApiServer)
server._mp_ctx = multiprocessing.get_context("spawn")  # as Dagster's own constructor does
run = server._mp_ctx.Process(target=exec, args=(sys.argv[1],))
run.start()
run.join()
sys.exit(run.exitcode)
"""
_RUN = """
import json, sys, threading
print(json.dumps({"loaded": list(sys.modules), "threads": [one.name for one in threading.enumerate()]}))
"""


def test_a_run_begins_loaded() -> None:
    said = subprocess.run(
        [sys.executable, "-c", _SERVER, _RUN], cwd=PROJECT, capture_output=True, text=True, timeout=100, check=False
    )
    assert said.returncode == 0, said.stderr
    told = json.loads(said.stdout)
    assert {"dagster._grpc.impl", "dagster_dbt", "lakehouse.silver.refine"} <= set(told["loaded"])
    assert "lakehouse.definitions" not in told["loaded"], "a run reads the contracts as they are now"
    assert not {"pyspark.sql.connect.client", "soda.scan"} & set(told["loaded"])
    assert told["threads"] == ["MainThread"]
