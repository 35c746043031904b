"""dbt as the product runs it: a client of the shared engine, in a process of its own."""

import json
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest

from lakehouse.engine.client import remote_url
from lakehouse.gold.dbt_process import PARSED
from lakehouse.settings import settings
from lakehouse_tests.dbt.harness import DbtRun, dbt_command, dbt_environment


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The project as dbt understands it; parsing needs no engine."""
    work = tmp_path_factory.mktemp("dbt_parse")
    subprocess.run(dbt_command(work, "parse"), env=dbt_environment("sc://nowhere"), check=True, capture_output=True)
    found: dict[str, Any] = json.loads((work / "manifest.json").read_text())
    return found


@pytest.fixture(scope="session")
def dbt(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> DbtRun:
    """Runs dbt in the target dev, whose schemas no other test uses, on all of the data."""
    work = tmp_path_factory.mktemp("dbt_run")

    def run(*arguments: str, variables: Mapping[str, object] | None = None) -> "subprocess.CompletedProcess[str]":
        variables = {"dev_days": 100_000, **(variables or {})}
        command = dbt_command(work, *arguments, "--target", "dev", "--vars", json.dumps(variables))
        # What the first one parsed, as builds of the product have it.
        environment = dbt_environment(remote_url(settings())) | {PARSED: str(work / "partial_parse.msgpack")}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        return done

    return run
