"""The note that a commit carries: JSON in Delta's `userMetadata`, from which everything that happened can be told."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from lakehouse.settings import settings

_CONF = "spark.databricks.delta.commitInfo.userMetadata"
_MARK = "lakehouse"


@contextmanager
def commit_note(spark: SparkSession, note: dict[str, Any] | None) -> Iterator[None]:
    """Every commit inside the block carries `note`. A session conf reaches MERGE too, over Spark Connect; it is
    always unset, or the next statement of the session would carry it as well."""
    if note is None:
        yield
        return
    spark.conf.set(_CONF, json.dumps({_MARK: note}, separators=(",", ":")))
    try:
        yield
    finally:
        spark.conf.unset(_CONF)


def notes(spark: SparkSession, table: str) -> list[tuple[int, dict[str, Any]]]:
    """(version, note) of every commit of `table` that carries one and is still in its log, newest first."""
    texts: list[tuple[int, str | None]]
    if (log := local_log(table)) is not None:
        texts = [(version, _user_metadata(path, path.stat().st_mtime_ns)) for version, path in reversed(_commits(log))]
    else:
        rows = spark.sql(f"describe history {table}").select("version", "userMetadata").collect()
        texts = [(int(row["version"]), row["userMetadata"]) for row in rows]
    return [(version, json.loads(text)[_MARK]) for version, text in texts if text and text.startswith(f'{{"{_MARK}":')]


def local_log(table: str) -> Path | None:
    """The table's log, where this process can read it as files: a hundred times faster than a query. Else None."""
    schema, name = table.split(".")
    log = Path(settings().storage_dir) / schema / name / "_delta_log"
    return log if log.is_dir() else None


def newest_local_version(log: Path) -> int | None:
    commits = _commits(log)
    return commits[-1][0] if commits else None


def _commits(log: Path) -> list[tuple[int, Path]]:
    """(version, file) of the commits in a log, oldest first."""
    return sorted((int(path.stem), path) for path in log.glob("*.json") if path.stem.isdigit())


@lru_cache(maxsize=10_000)
def _user_metadata(path: Path, written: int) -> str | None:
    """What a commit's file says; commits never change, but a table may be made anew. (Delta writes the commit's description as the first line.)"""
    with path.open() as lines:
        for line in lines:
            if '"commitInfo"' in line[:20]:
                return json.loads(line)["commitInfo"].get("userMetadata")
    return None
