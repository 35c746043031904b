"""What a capture remembers: one small file a server, replaced as a whole. Replacing it is the commit of a capture.

Files of events are written and synced under temporary names first; then this file names them together with the position
behind them; then they get their names in landing. Whoever is killed in between is completed by the next start.
"""

import json
import os
import uuid
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lakehouse.settings import Settings


@dataclass(frozen=True)
class State:
    """The position of a capture, and what it has captured so far."""

    slot: str
    """The replication slot, and the publication of the same name. No two homes have the same."""
    tables: tuple[str, ...] = ()
    """What the slot's snapshot covers."""
    offset: dict[str, Any] | None = None
    """Debezium's own position; None until a snapshot is complete."""
    lsn: int = 0
    """Everything that was committed up to here is in landing."""
    files: tuple[tuple[str, str], ...] = ()
    """Files that belong to landing: (temporary path, path), both below landing."""
    events: dict[str, int] = field(default_factory=dict)
    """Events by folder of landing."""
    committed_at: str | None = None
    """When the newest captured transaction was committed, by the database's clock (UTC)."""
    stored_at: str | None = None
    """When this was written (UTC)."""


def folder(settings: Settings, server: str) -> Path:
    """The folder of a server's state, its process's record and its log; made if need be, for its owner alone."""
    path = settings.cdc_dir / server
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def new(server: str) -> State:
    return State(slot=f"lakehouse_{server}_{uuid.uuid4().hex[:8]}")


def read(settings: Settings, server: str) -> State | None:
    """The state as it was last stored; None where nothing was ever captured."""
    try:
        held = json.loads(_path(settings, server).read_text())
    except FileNotFoundError:
        return None
    held["tables"] = tuple(held["tables"])
    held["files"] = tuple((one, other) for one, other in held["files"])
    return State(**held)


def write(settings: Settings, server: str, state: State) -> None:
    """Replaces the state; durable once this returns."""
    path = _path(settings, server)
    held = asdict(state) | {"stored_at": datetime.now(UTC).isoformat(timespec="milliseconds")}
    scratch = path.with_suffix(".new")
    with scratch.open("w") as file:
        json.dump(held, file, indent=1)
        sync(file.fileno())
    scratch.replace(path)
    sync_folder(path.parent)


def sync(descriptor: int) -> None:
    os.fsync(descriptor)


def sync_folder(path: Path) -> None:
    """Makes renames in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _path(settings: Settings, server: str) -> Path:
    return folder(settings, server) / "state.json"
