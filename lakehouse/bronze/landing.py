"""What lies in landing: `<landing>/<source>/<table>/<arrival day>/<file>`."""

import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

from pyarrow import fs
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from lakehouse.contracts.model import Contract
from lakehouse.storage import s3

_DAY = re.compile(r"^\d{4}-\d{2}-\d{2}$")
_UNFINISHED = (".tmp", ".part", ".partial", ".crdownload", ".inprogress", ".filepart")
"""Names under which common tools write a file before it is whole; names beginning with `.` or `_` are left alone too."""

LARGEST_FILE = 1024**3
"""Bytes. A file is taken as a whole by one task, so that every record knows its place; larger ones are refused."""


WAIT_AT_MOST = 5
"""Seconds that a look at landing waits for young files; whatever has to settle for longer waits for a later look."""


class LandedFile(NamedTuple):
    """A file in landing: its path below landing, arrival day, size in bytes and time of last change, in milliseconds
    since 1970, as Spark tells it. A plain tuple, because a look at landing makes one of every file there."""

    path: str
    arrived_on: date
    size: int
    modified_ms: int

    @property
    def modified_at(self) -> datetime:
        return datetime.fromtimestamp(self.modified_ms / 1000, UTC)


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


def arrival_day(path: str) -> date | None:
    """The arrival day in a path below landing, `source/table/day/file`; None where there is none."""
    parts = path.split("/")
    return _day(parts[2]) if len(parts) > 3 else None


def is_whole(name: str) -> bool:
    """Whether a file of this name is complete, by the conventions of those who write files."""
    return not name.startswith((".", "_")) and not name.lower().endswith(_UNFINISHED)


def _local_files(landing: str, contract: Contract, period: tuple[date, date] | None) -> Iterator[LandedFile]:
    root = folder(landing, contract)
    if not os.path.isdir(root):
        return
    below = f"{contract.source}/{contract.name}"
    with os.scandir(root) as entries:
        for entry in entries:
            arrived_on = _day(entry.name)
            if arrived_on is None or not entry.is_dir() or not (period is None or period[0] <= arrived_on < period[1]):
                continue
            yield from _files_below(entry.path, f"{below}/{entry.name}", arrived_on)


def _files_below(folder: str, below: str, arrived_on: date) -> Iterator[LandedFile]:
    """The files of a folder and its folders; `below` is its path below landing."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if not is_whole(entry.name):
                continue
            path = f"{below}/{entry.name}"
            try:
                if entry.is_dir():
                    if not entry.is_symlink():
                        yield from _files_below(entry.path, path, arrived_on)
                    continue
                stat = entry.stat()
            except FileNotFoundError:  # taken away or renamed while we look
                continue
            yield LandedFile(path, arrived_on, stat.st_size, stat.st_mtime_ns // 1_000_000)


def _holds_something(folder: str) -> bool:
    try:
        return bool(os.listdir(folder))
    except PermissionError:  # as `lost+found` of a disk: nobody can tell, so it is not worth a word
        return False


def passed_over(landing: str, contracts: Iterable[Contract]) -> list[str]:
    """What lies where no contract looks, as paths below a local landing, a folder with `/` at its end: tables that none
    describes, folders that are no arrival day, files beside those; no empty folders. None of a landing that is a URL. A few
    names a table are read, and none of its files."""
    if "://" in landing or not os.path.isdir(landing):
        return []
    tables = [(contract.source, contract.name) for contract in contracts]
    known: set[tuple[str, ...]] = {*tables, *((source,) for source, _ in tables)}

    def below(parts: tuple[str, ...]) -> Iterator[str]:
        with os.scandir(os.path.join(landing, *parts)) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                path, told = (*parts, entry.name), "/".join((*parts, entry.name))
                if not is_whole(entry.name):
                    continue
                if not entry.is_dir():
                    yield told
                elif path in known:
                    yield from below(path)
                elif (len(path) < 3 or _day(entry.name) is None) and _holds_something(entry.path):
                    yield f"{told}/"

    return list(below(()))


def can_list(landing: str) -> bool:
    """Whether the files in landing can be told without the engine."""
    return "://" not in landing or s3.is_s3(landing)


def _s3_infos(folder: str, is_recursive: bool) -> list[fs.FileInfo]:
    """What is below a folder of a bucket, by names and times alone; raises LandingError where the store does not say."""
    path = folder.split("://", 1)[1]
    try:
        selector = fs.FileSelector(path, allow_not_found=True, recursive=is_recursive)
        store = s3.store()
        found: list[fs.FileInfo] = store.get_file_info(selector)
        if not found and store.get_file_info(path.split("/")[0]).type == fs.FileType.NotFound:
            raise OSError("there is no such bucket")
    except OSError as problem:
        raise LandingError(
            f"{folder} cannot be listed: {str(problem)[:300]}. Check the bucket, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, "
            "AWS_REGION and, for another store than Amazon's, LAKEHOUSE_S3_ENDPOINT."
        ) from problem
    return found


def _s3_files(landing: str, contract: Contract) -> Iterator[LandedFile]:
    """A store shows an object when it is whole, so none is partial but by its name."""
    root = landing.split("://", 1)[1].rstrip("/") + "/"
    for info in _s3_infos(folder(landing, contract), is_recursive=True):
        path = info.path.removeprefix(root)
        arrived_on = arrival_day(path)
        if info.type == fs.FileType.File and arrived_on and all(is_whole(part) for part in path.split("/")[3:]):
            yield LandedFile(path, arrived_on, info.size, info.mtime_ns // 1_000_000)


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
        arrived_on = arrival_day(path)
        if arrived_on is not None and all(is_whole(part) for part in path.split("/")[3:]):
            yield LandedFile(path, arrived_on, int(row["length"]), int(row["millis"]))


def landed_files(
    landing: str, contract: Contract, spark: SparkSession | None = None, period: tuple[date, date] | None = None
) -> list[LandedFile]:
    """Files of a table in landing, by arrival day and name; `period` is half-open: [from, to).

    `spark` is needed only where landing is a URL of another kind than `s3a://…`.
    """
    if "://" not in landing:
        found: Iterable[LandedFile] = _local_files(landing, contract, period)
    elif s3.is_s3(landing):
        found = _s3_files(landing, contract)
    elif spark is not None:
        found = _remote_files(spark, landing, contract)
    else:
        raise LandingError(f"Landing {landing} is not a local folder; listing it needs the engine.")
    return sorted(
        (file for file in found if period is None or period[0] <= file.arrived_on < period[1]),
        key=lambda file: (file.arrived_on, file.path),
    )


def settled(landing: str, files: Sequence[LandedFile], seconds: float) -> list[LandedFile]:
    """The files that nobody is writing any more: unchanged for `seconds`. Of a landing that is no local folder, all: an
    object store shows a file when it is whole.

    Waits, WAIT_AT_MOST at most, for files that are younger, and looks at them again: whoever has just landed a file need
    not ask twice, and one that grows meanwhile is left for the next look. Because nothing is taken at the moment in which
    it is written, whatever is written to it later gives it another time.
    """
    now = time.time() * 1000
    young = {file for file in files if abs(now - file.modified_ms) < seconds * 1000}
    if not young or "://" in landing:
        return list(files)
    # A time in the future is that of another clock: such a file is as young as one of now.
    remaining = max(seconds - max(0.0, now - file.modified_ms) / 1000 for file in young)
    time.sleep(min(remaining, WAIT_AT_MOST))
    now = time.time() * 1000
    return [
        file
        for file in files
        if file not in young
        or (_is_unchanged(landing, file) and (file.modified_ms > now or now - file.modified_ms >= seconds * 1000))
    ]


def _is_unchanged(landing: str, file: LandedFile) -> bool:
    try:
        stat = os.stat(f"{landing}/{file.path}")
    except FileNotFoundError:
        return False
    return (stat.st_size, stat.st_mtime_ns // 1_000_000) == (file.size, file.modified_ms)


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
    """The oldest arrival day in a landing that can be listed, without reading a file; None where there is none, and where
    a bucket does not say."""
    if s3.is_s3(landing):
        try:
            days = [
                day
                for info in _s3_infos(folder(landing, contract), is_recursive=False)
                if (day := _day(info.base_name))
            ]
        except LandingError:
            return None
        return min(days, default=None)
    root = Path(folder(landing, contract))
    if "://" in landing or not root.is_dir():
        return None
    days = [day for entry in os.scandir(root) if (day := _day(entry.name))]
    return min(days, default=None)
