"""`engine.json`: how clients find the running engine, and how they know that it is the one that wrote it."""

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import psutil

from lakehouse.settings import Settings


@dataclass(frozen=True)
class Record:
    """One running engine. A pid alone proves nothing (pids are used again), so the start time goes with it."""

    pid: int
    started: float
    jvm_pid: int
    jvm_started: float
    port: int
    token: str
    versions: dict[str, str]

    def __repr__(self) -> str:  # the token must not slip into a log or a traceback
        return f"Record(pid={self.pid}, port={self.port})"


def record_path(settings: Settings) -> Path:
    return settings.engine_dir / "engine.json"


def write(settings: Settings, record: Record) -> None:
    """Writes the record atomically, readable by its owner alone from its first byte."""
    path = record_path(settings)
    scratch = path.with_suffix(f".{os.getpid()}")
    scratch.unlink(missing_ok=True)
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(record), file, indent=1)
    scratch.replace(path)


def read(settings: Settings) -> Record | None:
    """The record as written; None where there is none or it cannot be read as one."""
    try:
        known = {field.name for field in fields(Record)}  # an engine of another version may have written more
        written = json.loads(record_path(settings).read_text())
        return Record(**{name: value for name, value in written.items() if name in known})
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return None


def began(found: psutil.Process) -> float:
    """When a process began, in a number that stays as it is while it lives. On Linux seconds since the machine started: by the time
    of day it would be another process whenever the clock is set, as after a laptop has slept."""
    return found.create_time() - (psutil.boot_time() if psutil.LINUX else 0)


def process(pid: int, started: float) -> psutil.Process | None:
    """The process with this pid if it is alive and began then (`began`); a zombie or a later process with its pid is not."""
    try:
        found = psutil.Process(pid)
        if abs(began(found) - started) < 2 and found.status() != psutil.STATUS_ZOMBIE:
            return found
    except psutil.Error:
        return None
    return None


def alive(settings: Settings) -> Record | None:
    """The record of an engine whose server process and JVM both live; None otherwise."""
    record = read(settings)
    if record and process(record.pid, record.started) and process(record.jvm_pid, record.jvm_started):
        return record
    return None
