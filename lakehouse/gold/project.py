"""The dbt project: where it is, and its manifest, without which no asset of gold can be told."""

import hashlib
import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from dagster_dbt import DbtProject

from lakehouse.settings import Settings, executable

_QUIET = "ignore::UserWarning:pyspark.sql.connect.session"
"""dbt-spark sets static confs with every statement; Spark Connect warns each time. This silences exactly that."""


class DbtError(Exception):
    """dbt could not read its project."""


def project(settings: Settings) -> DbtProject:
    """The project, with everything that dbt writes under the lakehouse's home."""
    return DbtProject(
        project_dir=settings.dbt_project_dir,
        profiles_dir=settings.dbt_project_dir,
        profile="lakehouse",
        target=settings.dbt_target,
        target_path=target_dir(settings),
    )


def target_dir(settings: Settings) -> Path:
    return settings.home / "dbt" / "target"


def dbt_environment(remote_url: str | None = None) -> dict[str, str]:
    """What dbt needs in its environment beside this process's own."""
    found = {"PYTHONWARNINGS": _QUIET, "DO_NOT_TRACK": "1", "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "TZ": "UTC"}
    return found | ({"SPARK_REMOTE": remote_url} if remote_url else {})


def _sources(settings: Settings) -> list[Path]:
    root = settings.dbt_project_dir
    return [
        path
        for pattern in ("dbt_project.yml", "profiles.yml", "models/**/*", "macros/**/*", "tests/**/*")
        for path in root.glob(pattern)
        if path.is_file()
    ]


def is_stale(settings: Settings) -> bool:
    """Whether the manifest is missing or older than a file of the project."""
    manifest = target_dir(settings) / "manifest.json"
    if not manifest.exists():
        return True
    made = manifest.stat().st_mtime
    return any(path.stat().st_mtime > made for path in _sources(settings))


def prepare(settings: Settings) -> Path:
    """The manifest's path; runs `dbt parse` (which needs no engine) where it is missing or stale.

    Raises DbtError with what dbt said.
    """
    manifest = target_dir(settings) / "manifest.json"
    if not is_stale(settings):
        return manifest
    target_dir(settings).mkdir(parents=True, exist_ok=True)
    said = subprocess.run(
        [
            executable("dbt"),
            "--quiet",
            "parse",
            "--project-dir",
            str(settings.dbt_project_dir),
            "--profiles-dir",
            str(settings.dbt_project_dir),
            "--target",
            settings.dbt_target,
            "--target-path",
            str(target_dir(settings)),
            "--log-path",
            str(settings.home / "dbt" / "logs"),
        ],
        env={**os.environ, **dbt_environment()},
        capture_output=True,
        text=True,
        check=False,
    )
    if said.returncode:
        raise DbtError(f"dbt cannot read its project:\n{(said.stdout + said.stderr).strip()}")
    os.utime(manifest)
    return manifest


@cache
def _read(path: Path, made: float) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def manifest(settings: Settings) -> dict[str, Any]:
    path = prepare(settings)
    return _read(path, path.stat().st_mtime)


def models(settings: Settings) -> dict[str, dict[str, Any]]:
    """unique id → node of every model."""
    return {key: node for key, node in manifest(settings)["nodes"].items() if node["resource_type"] == "model"}


def marts(settings: Settings) -> dict[str, dict[str, Any]]:
    """Name → node of every model that readers read: the tables in the schema that the target calls gold."""
    return {
        node["name"]: node
        for node in models(settings).values()
        if node["config"]["materialized"] in ("table", "incremental") and node["fqn"][1] == "marts"
    }


def checksum(settings: Settings) -> str:
    """Changes when any model, macro or test does."""
    parts = manifest(settings)
    sums = [str(node.get("checksum")) + node["unique_id"] for node in parts["nodes"].values()]
    sums += [macro["macro_sql"] for key, macro in parts["macros"].items() if key.startswith("macro.lakehouse.")]
    return hashlib.sha256("\n".join(sorted(sums)).encode()).hexdigest()[:16]


def clean_targets(settings: Settings, keep: int = 5) -> int:
    """Removes what dbt left of all but the newest runs; returns how many folders went."""
    root = target_dir(settings)
    if not root.is_dir():
        return 0
    folders = sorted(
        (path for path in root.iterdir() if path.is_dir() and (path / "run_results.json").exists()),
        key=lambda path: path.stat().st_mtime,
    )
    for path in folders[:-keep]:
        shutil.rmtree(path)
    return max(0, len(folders) - keep)
