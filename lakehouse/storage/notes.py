"""The note that a commit carries: JSON in Delta's `userMetadata`, from which everything that happened can be told."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from lakehouse.engine.client import configured
from lakehouse.settings import settings

_CONF = "spark.databricks.delta.commitInfo.userMetadata"
_MARK = "lakehouse"


def note_text(note: dict[str, Any]) -> str:
    """A note as Delta keeps it, for the writer option `userMetadata`."""
    return json.dumps({_MARK: note}, separators=(",", ":"))


def note_conf(note: dict[str, Any]) -> dict[str, str]:
    """What has every commit of a session carry a note."""
    return {_CONF: note_text(note)}


@contextmanager
def commit_note(spark: SparkSession, note: dict[str, Any]) -> Iterator[None]:
    """Every commit of the session inside the block carries `note`: for statements that take no option. The conf is always
    unset, or the next one would carry it as well."""
    with configured(spark, note_conf(note)):
        yield


def notes(spark: SparkSession, table: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(version, note) of every commit of `table` that carries one and is still in its log, newest first.

    Read as far as the caller goes: most ask for the newest alone, and a log may have thousands.
    """
    for version, text in _texts(spark, table):
        if text and text.startswith(f'{{"{_MARK}":'):
            yield version, json.loads(text)[_MARK]


def _texts(spark: SparkSession, table: str) -> Iterator[tuple[int, str | None]]:
    if (log := local_log(table)) is not None:
        for version, path in reversed(_commits(log)):
            yield version, (_commit_info(path, path.stat().st_mtime_ns) or {}).get("userMetadata")
    else:
        for row in spark.sql(f"describe history {table}").select("version", "userMetadata").collect():
            yield int(row["version"]), row["userMetadata"]


def last_commit(spark: SparkSession, table: str) -> tuple[int, str, dict[str, str]]:
    """(version, operation, its parameters) of the table's newest commit, as Delta names them.

    Raises LookupError where the table has none: its log is gone.
    """
    log = local_log(table)
    commits = _commits(log) if log is not None else []
    if commits:
        version, path = commits[-1]
        info = _commit_info(path, path.stat().st_mtime_ns)
        if info is not None:
            return version, str(info.get("operation")), dict(info.get("operationParameters") or {})
    row = spark.sql(f"describe history {table} limit 1").first()
    if row is None:
        raise LookupError(f"{table} has no history; expected at least its creation. Was its _delta_log removed?")
    return int(row["version"]), str(row["operation"]), dict(row["operationParameters"] or {})


def newest_commit(table: str) -> str | None:
    """The name of the table's newest commit, told without the engine; None where it has none that can be told so."""
    log = local_log(table)
    return max((path.name for path in log.glob("*.json")), default=None) if log is not None else None


def local_log(table: str) -> Path | None:
    """The table's log, where this process can read it as files: a hundred times faster than a query. Else None."""
    schema, name = table.split(".")
    log = Path(settings().storage_dir) / schema / name / "_delta_log"
    return log if log.is_dir() else None


def _commits(log: Path) -> list[tuple[int, Path]]:
    """(version, file) of the commits in a log, oldest first."""
    return sorted((int(path.stem), path) for path in log.glob("*.json") if path.stem.isdigit())


@lru_cache(maxsize=10_000)
def _commit_info(path: Path, written: int) -> dict[str, Any] | None:
    """What a commit's file says of the commit; `written` is in the key because a table may be made anew at its place."""
    with path.open() as lines:
        for line in lines:
            if '"commitInfo"' in line[:20]:
                found: dict[str, Any] = json.loads(line)["commitInfo"]
                return found
    return None
