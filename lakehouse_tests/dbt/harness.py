"""How the tests call dbt: as the product does, in a process of its own."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from lakehouse.settings import executable, settings

DbtRun = Callable[..., "subprocess.CompletedProcess[str]"]


def dbt_command(work: Path, *arguments: str) -> list[str]:
    project = str(settings().dbt_project_dir)
    places = ["--project-dir", project, "--profiles-dir", project, "--target-path", str(work), "--log-path", str(work)]
    return [executable("lakehouse-dbt"), *arguments, *places]


def dbt_environment(remote: str) -> dict[str, str]:
    return {
        **os.environ,
        "SPARK_REMOTE": remote,
        "PYTHONWARNINGS": "ignore::UserWarning:pyspark.sql.connect.session",
        "DO_NOT_TRACK": "1",
        "TZ": "UTC",
    }
