"""What runs leave in the home beside tables: logs, compiled models, notes of what was done. Old ones go."""

import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
from dagster._core.storage.event_log.sqlite import SqliteEventLogStorage

from lakehouse.automation.instance import unfinished_runs
from lakehouse.automation.runs import RANGE_START
from lakehouse.gold import project as dbt
from lakehouse.settings import Settings

_DAY = 86400
_PARTITIONED = ("dagster/partition", RANGE_START)
_RUNS_AT_ONCE = 5000
_STAGING_DAYS = 2
"""A batch empties its staging folder when it ends, and the next one of its table when it was killed: what is older belongs
to no table any more."""


@dataclass(frozen=True)
class Tidied:
    """One kind of leftovers: what is there now, and what was removed."""

    part: str
    files: int
    bytes: int
    files_removed: int
    bytes_removed: int


def tidy(here: Settings, instance: dg.DagsterInstance, now: float) -> list[Tidied]:
    """Removes what is older than `here.logs_kept_days` as of `now` (seconds since 1970), and all of dbt's builds but the
    newest. Idempotent; touches nothing that a run under way writes, and no table. Storage that is no local folder, and a
    Dagster instance on a database, are left alone: their own tools do that."""
    logs = now - here.logs_kept_days * _DAY
    busy = {run.run_id for run in unfinished_runs(instance, {})}
    parts: list[tuple[str, Path, Callable[[], None]]] = [
        ("dbt builds", dbt.target_dir(here), lambda: _remove(dbt.old_builds(here))),
        ("dbt log", here.home / "dbt" / "logs", lambda: _remove(_old(here.home / "dbt" / "logs", "*.log.*", logs))),
        ("backfills", here.home / "backfills", lambda: _remove(_old(here.home / "backfills", "*", logs))),
        ("run outputs", here.dagster_home / "storage", lambda: _remove(_outputs(here, logs, busy))),
        ("engine", here.engine_dir, lambda: _remove(_old(here.engine_dir, "*crash*", logs))),
    ]
    if isinstance(instance.event_log_storage, SqliteEventLogStorage):
        shards = Path(instance.event_log_storage.path_for_shard("index")).parent
        parts.append(("run logs", shards, lambda: _forget(instance, shards, logs, busy)))
    if "://" not in here.storage_dir:
        staging = Path(here.storage_dir) / "_staging"
        parts.append(("staging", staging, lambda: _remove(_old(staging, "*", now - _STAGING_DAYS * _DAY))))
    return [_tidied(*part) for part in parts]


def _tidied(part: str, folder: Path, remove: Callable[[], None]) -> Tidied:
    files, size = _size(folder)
    remove()
    files_left, size_left = _size(folder)
    return Tidied(part, files_left, size_left, max(0, files - files_left), max(0, size - size_left))


def _size(folder: Path) -> tuple[int, int]:
    sizes = []
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                sizes.append(path.stat().st_size)
        except FileNotFoundError:  # whoever wrote it has just removed it
            continue
    return len(sizes), sum(sizes)


def _old(folder: Path, pattern: str, before: float) -> Iterator[Path]:
    """Files and folders in which nothing was written since."""
    for path in sorted(folder.glob(pattern)):
        try:
            files = [inner.stat().st_mtime for inner in (path, *path.rglob("*")) if inner.is_file()]
            newest = max(files, default=path.stat().st_mtime)
        except FileNotFoundError:
            continue
        if newest < before:
            yield path


def _outputs(here: Settings, before: float, busy: set[str]) -> Iterator[Path]:
    """What the steps of old runs have printed: a folder a run, named by its id."""
    old = _old(here.dagster_home / "storage", "*", before)
    return (path for path in old if _is_id(path.name) and path.name not in busy)


def _forget(instance: dg.DagsterInstance, shards: Path, before: float, busy: set[str]) -> None:
    """Removes the logs of old runs, a file a run. What assets and checks were told is in another file, `index.db`, too: of
    the many runs without partitions that goes as well, but for the newest of each asset. What a partition was told stays:
    without it, it would count as never materialized."""
    latest = {
        event.run_id
        for key in instance.all_asset_keys()
        if (event := instance.get_latest_materialization_event(key)) is not None
    }
    old = dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS], created_before=datetime.fromtimestamp(before, UTC))
    for run in instance.get_runs(old, limit=_RUNS_AT_ONCE):
        if run.run_id not in latest and not any(tag in run.tags for tag in _PARTITIONED):
            instance.delete_run(run.run_id)
    files = _old(shards, "*.db*", before)
    _remove(path for path in files if _is_id(run_id := path.name.split(".db")[0]) and run_id not in busy)


def _is_id(name: str) -> bool:
    try:
        return str(uuid.UUID(name)) == name
    except ValueError:
        return False


def _remove(paths: Iterable[Path]) -> None:
    for path in list(paths):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
