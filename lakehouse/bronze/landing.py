"""What lies in landing: `<landing>/<source>/<table>/<arrival day>/<file>`."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from lakehouse.contracts.model import Contract

_DAY = re.compile(r"^\d{4}-\d{2}-\d{2}$")
_UNFINISHED = (".tmp", ".part", ".partial", ".crdownload", ".inprogress", ".filepart")
"""Names under which common tools write a file before it is whole; names beginning with `.` or `_` are left alone too."""

LARGEST_FILE = 1024**3
"""Bytes. A file is taken as a whole by one task, so that every record knows its place; larger ones are refused."""


@dataclass(frozen=True, order=True)
class LandedFile:
    """A file in landing: its path below landing, arrival day, size in bytes and time of last change (UTC)."""

    path: str
    arrived_on: date
    size: int
    modified_at: datetime


class LandingError(Exception):
    """A file in landing cannot be taken as it is."""


def folder(landing: str, contract: Contract) -> str:
    return f"{landing}/{contract.source}/{contract.name}"


def _day(name: str) -> date | None:
    if not _DAY.match(name):
        return None
    try:
        return date.fromisoformat(name)
    except ValueError:
        return None


def is_whole(name: str) -> bool:
    """Whether a file of this name is complete, by the conventions of those who write files."""
    return not name.startswith((".", "_")) and not name.lower().endswith(_UNFINISHED)


def _local_files(landing: str, contract: Contract) -> Iterator[LandedFile]:
    root = Path(folder(landing, contract))
    if not root.is_dir():
        return
    for entry in os.scandir(root):
        arrived_on = _day(entry.name)
        if arrived_on is None or not entry.is_dir():
            continue
        for parent, folders, names in os.walk(entry.path):
            folders[:] = [name for name in folders if is_whole(name)]
            for name in filter(is_whole, names):
                path = os.path.join(parent, name)
                stat = os.stat(path)
                yield LandedFile(
                    path=os.path.relpath(path, landing),
                    arrived_on=arrived_on,
                    size=stat.st_size,
                    modified_at=datetime.fromtimestamp(stat.st_mtime_ns // 1_000_000 / 1000, UTC),
                )


def _remote_files(spark: SparkSession, landing: str, contract: Contract) -> Iterator[LandedFile]:
    """Lists through the engine, which alone can reach the storage; the contents are not read."""
    try:
        rows = (
            spark.read.format("binaryFile")
            .option("recursiveFileLookup", "true")
            .load(folder(landing, contract))
            .selectExpr("path", "length", "unix_millis(modificationTime) as millis")
            .collect()
        )
    except AnalysisException as problem:
        if "PATH_NOT_FOUND" in str(problem):  # nothing has landed yet
            return
        raise
    for row in rows:
        path = row["path"].split(landing.rstrip("/") + "/", 1)[-1]
        parts = path.split("/")
        arrived_on = _day(parts[2]) if len(parts) > 3 else None
        if arrived_on is not None and all(is_whole(part) for part in parts[3:]):
            modified_at = datetime.fromtimestamp(row["millis"] / 1000, UTC)
            yield LandedFile(path, arrived_on, row["length"], modified_at)


def landed_files(
    landing: str, contract: Contract, spark: SparkSession | None = None, period: tuple[date, date] | None = None
) -> list[LandedFile]:
    """Files of a table in landing, by arrival day and name; `period` is half-open: [from, to).

    `spark` is needed only where landing is a URL such as `s3a://…`.
    """
    if "://" not in landing:
        found: Iterable[LandedFile] = _local_files(landing, contract)
    elif spark is not None:
        found = _remote_files(spark, landing, contract)
    else:
        raise LandingError(f"Landing {landing} is not a local folder; listing it needs the engine.")
    return sorted(
        (file for file in found if period is None or period[0] <= file.arrived_on < period[1]),
        key=lambda file: (file.arrived_on, file.path),
    )


def refuse_oversized(files: Iterable[LandedFile]) -> None:
    """Raises LandingError that names every file too large to be taken."""
    oversized = [file for file in files if file.size > LARGEST_FILE]
    if oversized:
        names = ", ".join(f"{file.path} ({file.size / 1024**3:.1f} GiB)" for file in oversized)
        raise LandingError(
            f"Files larger than 1 GiB in landing: {names}. Split them, keeping whole records, and rerun."
        )


def refuse_unopenable(landing: str, files: Iterable[LandedFile]) -> None:
    """Raises LandingError that names every local file that Hadoop's file system cannot open: those with a colon."""
    unopenable = [file.path for file in files if ":" in file.path]
    if unopenable and "://" not in landing:
        names = ", ".join(unopenable)
        raise LandingError(
            f"Files with a colon in their name in landing, which Spark cannot open: {names}. Rename them."
        )


def first_day(landing: str, contract: Contract) -> date | None:
    """The oldest arrival day in a local landing folder, without reading a file; None where there is none."""
    root = Path(folder(landing, contract))
    if "://" in landing or not root.is_dir():
        return None
    days = [day for entry in os.scandir(root) if (day := _day(entry.name))]
    return min(days, default=None)
