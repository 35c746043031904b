"""Starts, looks at and stops the processes that capture: one a server, detached."""

import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import psutil
from filelock import FileLock

from lakehouse.capture import debezium, postgres, record, state
from lakehouse.capture.errors import CaptureError
from lakehouse.capture.files import Files
from lakehouse.capture.postgres import Slot
from lakehouse.capture.record import Record
from lakehouse.capture.sources import Source, landing
from lakehouse.capture.state import State
from lakehouse.engine.record import process
from lakehouse.settings import Settings, login

START_SECONDS = 90
STOP_SECONDS = 30
"""Longer than the process grants Debezium."""
SILENT_SECONDS = 10 * debezium.HEARTBEAT_SECONDS


@dataclass(frozen=True)
class Status:
    """What is known of the capture of a server; `slot` is None where the database does not have it, or does not answer."""

    source: Source
    record: Record | None
    state: State | None
    slot: Slot | None
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """What is worth knowing of a capture that does what it can; nothing has to be done."""

    @property
    def is_running(self) -> bool:
        return self.record is not None

    @property
    def seconds_behind(self) -> float | None:
        """How long ago the position was stored, where the database's log has gone on since; 0 where it has not."""
        if self.slot is None or self.state is None or self.state.stored_at is None:
            return None
        stored = datetime.fromisoformat(self.state.stored_at)
        return (datetime.now(UTC) - stored).total_seconds() if self.slot.behind else 0.0


@dataclass(frozen=True)
class Forgotten:
    """What became of a capture that was ended for good."""

    removed: tuple[str, ...] = ()
    """What there was of its own in the database, such as `the slot lakehouse_shop_1`."""
    left: str | None = None
    """The publication that somebody else has made, and keeps; None where there is none."""


def log_path(settings: Settings, server: str) -> Path:
    return state.folder(settings, server) / "capture.log"


def start(settings: Settings, source: Source, is_anew: bool = False) -> bool:
    """Makes sure that the source is being captured: returns once Debezium has started. False where it was before.

    Raises CaptureError with what the process said where it ended instead.
    """
    debezium.refuse_without_extra()
    landing(settings)
    with FileLock(state.folder(settings, source.name) / "start.lock", timeout=START_SECONDS + STOP_SECONDS):
        if record.alive(settings, source.name):
            if is_anew:
                raise CaptureError(
                    f"{source.name} is being captured.",
                    f"Run `lakehouse cdc stop {source.name}` before a new snapshot.",
                )
            return False
        _launch(settings, source, is_anew)
        return True


def _launch(settings: Settings, source: Source, is_anew: bool) -> None:
    record.clear(settings, source.name)
    command = [sys.executable, "-m", "lakehouse.capture.process", source.name, *(["--snapshot"] if is_anew else [])]
    with log_path(settings, source.name).open("w") as out:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C or a closed terminal must not reach it
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        found = record.alive(settings, source.name)
        if found and found.pid == child.pid:
            return
        if child.poll() is not None:
            said = record.problem(settings, source.name)
            if said:
                raise CaptureError(said, f"(Its log: {log_path(settings, source.name)})")
            last = "\n".join(logs(settings, source.name, 15))
            raise CaptureError(f"The capture of {source.name} ended while starting.", f"Its last words:\n{last}")
        time.sleep(0.05)
    _end(psutil.Process(child.pid))
    raise CaptureError(
        f"Debezium did not start within {START_SECONDS} s.", f"Look at {log_path(settings, source.name)}."
    )


def stop(settings: Settings, source: Source) -> bool:
    """Ends the capture after it has made durable what it holds; by force if that takes too long. False where none ran."""
    with FileLock(state.folder(settings, source.name) / "start.lock", timeout=START_SECONDS + STOP_SECONDS):
        found = record.alive(settings, source.name)
        running = process(found.pid, found.started) if found else None
        if running:
            _end(running)
        return running is not None


def forget(settings: Settings, source: Source) -> Forgotten:
    """Ends the capture for good: removes its slot and its own publication, so that the database keeps no log for it.

    What was captured stays. The next start takes a snapshot, which also removes the rows that are gone by then.
    """
    debezium.refuse_without_extra()
    stop(settings, source)
    held = state.read(settings, source.name)
    if held is None:
        return Forgotten()
    Files(landing(settings), source.name).publish(held.files)
    entry = login(source.name)
    with postgres.connected(source, entry) as connection:
        removed, given = postgres.drop(connection, held.slot), entry.publication
        left = given if given and postgres.has_publication(connection, given) else None
    state.write(settings, source.name, State(slot=held.slot, lsn=held.lsn, events=held.events))
    return Forgotten(removed, left)


def status(settings: Settings, source: Source) -> Status:
    """Looks, changes nothing. Raises CaptureError where the extra is not installed."""
    debezium.refuse_without_extra()
    found, held = record.alive(settings, source.name), state.read(settings, source.name)
    warnings: list[str] = []
    notes: list[str] = []
    slot = None
    if said := record.problem(settings, source.name):
        warnings.append(said)
    if held is not None:
        try:
            with postgres.connected(source, login(source.name)) as connection:
                slot = postgres.slot(connection, held.slot)
                notes = postgres.losses(connection, source)
        except CaptureError as problem:
            warnings.append(str(problem))
        else:
            warnings += slot_warnings(settings, source, held, slot)
    status = Status(source, found, held, slot, tuple(warnings), tuple(notes))
    if found and (status.seconds_behind or 0) > SILENT_SECONDS and held and held.offset is not None:
        told = f"{source.name} has stored no position for {status.seconds_behind:.0f} s, and the database has gone on."
        return replace(status, warnings=(*warnings, f"{told} Look at {log_path(settings, source.name)}."))
    return status


def slot_warnings(settings: Settings, source: Source, held: State, slot: Slot | None) -> list[str]:
    """What a person should do something about, of a slot as it stands."""
    anew = f"`lakehouse cdc start {source.name} --snapshot` begins anew."
    if slot is None:
        return (
            [f"The replication slot {held.slot} is gone from {source.name}: changes are missing. {anew}"]
            if held.offset
            else []
        )
    if slot.is_lost:
        return [f"{source.name} has thrown away log that the slot {held.slot} needed. {anew}"]
    most = settings.cdc_max_retained_mb * 1024**2
    if slot.retained > most:
        return [
            f"{source.name} keeps {slot.retained / 1024**2:,.0f} MiB of its log for the slot {held.slot}, more than "
            f"LAKEHOUSE_CDC_MAX_RETAINED_MB={settings.cdc_max_retained_mb:g}: its disk can fill. Start the capture, or give "
            f"it up with `lakehouse cdc stop {source.name} --forget`."
        ]
    return []


def logs(settings: Settings, server: str, lines: int = 50) -> list[str]:
    """The last lines of the capture's log; empty where there is none."""
    try:
        with log_path(settings, server).open(errors="replace") as file:
            return [line.rstrip("\n") for line in deque(file, maxlen=lines)]
    except FileNotFoundError:
        return []


def _end(running: psutil.Process) -> None:
    try:
        running.terminate()
        running.wait(STOP_SECONDS)
    except psutil.TimeoutExpired:
        running.kill()
        running.wait(STOP_SECONDS)
    except psutil.NoSuchProcess:
        return
