"""Commits whose file in a table's log was cut off, as by a machine that lost its power while it was written: the commit is
taken back, so that the table is what it was before, and whoever made the commit makes it again. Of a table without a
commit, be it for that or because its first was under way, nothing can be read, and in its place none can be made: it is put aside."""

import json
import time
from pathlib import Path

ASIDE = "_torn"
"""The folder of a schema that holds what was put aside of its tables."""


def take_back(storage: str) -> list[str]:
    """A sentence for each table of a local storage whose newest commit is not whole, and was taken back (its file is put
    aside as `<version>.json.torn`), and for each that has no commit, and is now `<schema>/_torn/<table>.<time in ns>`. Other storage
    writes a file whole or not at all. Idempotent.

    For whoever starts the engine: it holds no table yet, and nobody writes to one.
    """
    if "://" in storage:
        return []
    said = []
    for log in sorted(Path(storage).glob("*/*/_delta_log")):
        table = f"{log.parents[1].name}.{log.parent.name}"
        commits = [path for path in log.glob("*.json") if path.stem.isdigit()]
        newest = max(commits, default=None)
        if newest and not _is_whole(newest) and not (log / f"{newest.stem}.checkpoint.parquet").exists():
            _take_back(newest)
            commits.remove(newest)
            said.append(
                f"{table}: its newest commit, {int(newest.stem)}, was cut off and is taken back ({newest.name}.torn)."
            )
        checkpoints = [int(path.name.split(".")[0]) for path in log.glob("*.checkpoint*") if path.name[:20].isdigit()]
        _forget_beyond(log, max([*checkpoints, *(int(path.stem) for path in commits)], default=-1))
        if not commits and not any(log.glob("*.checkpoint*")):
            said.append(f"{table} has no commit, and is put aside as {_put_aside(log.parent)}.")
    return said


def _take_back(commit: Path) -> None:
    commit.replace(commit.with_suffix(".json.torn"))
    (commit.parent / f".{commit.name}.crc").unlink(missing_ok=True)  # Hadoop's, to know a damaged file


def _forget_beyond(log: Path, newest: int) -> None:
    """Removes the checksums of commits that are gone: of one that is written anew, they would be wrong."""
    for path in log.glob("*.crc"):
        if path.stem.isdigit() and int(path.stem) > newest:
            path.unlink()
            (log / f".{path.name}.crc").unlink(missing_ok=True)


def _put_aside(table: Path) -> str:
    aside = table.parent / ASIDE / f"{table.name}.{time.time_ns()}"
    aside.parent.mkdir(exist_ok=True)
    table.replace(aside)
    return f"{table.parent.name}/{ASIDE}/{aside.name}"


def _is_whole(commit: Path) -> bool:
    try:
        actions = [json.loads(line) for line in commit.read_text().splitlines()]
    except ValueError:
        return False
    return any("commitInfo" in action for action in actions)
