"""The process of a capture: `python -m lakehouse.capture.process <server> [--snapshot]`. Started by `lifecycle`.

It holds the server's lock while it lives, writes one record of itself when Debezium has started, and ends on SIGTERM, on
Ctrl-C, or with a problem that it writes down.
"""

import signal
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from filelock import FileLock, Timeout

from lakehouse.capture import debezium, postgres, record, state
from lakehouse.capture.errors import CaptureError
from lakehouse.capture.files import Files
from lakehouse.capture.recorder import Recorder
from lakehouse.capture.sources import Source, chosen, landing, sources
from lakehouse.capture.state import State
from lakehouse.contracts.loader import load_all
from lakehouse.engine.java import find_java
from lakehouse.settings import Settings, login, settings

CLOSE_SECONDS = 15
"""How long Debezium may take to close; what it had delivered is durable by then."""
FLOOD = 1000
"""Events of a batch after which the next one is taken at once."""
RETRY_SECONDS = 5
TRIES = 12
"""How often an interrupted stream is taken up again without getting any further."""


def say(message: str) -> None:
    """A line for the log."""
    print(f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {message}", flush=True)


def capture(here: Settings, source: Source, is_anew: bool = False) -> None:
    """Captures until it is told to stop. Raises CaptureError where it cannot begin, and where the stream fails."""
    debezium.refuse_without_extra()
    folder = state.folder(here, source.name)
    try:
        with FileLock(folder / "capture.lock", timeout=0):
            record.clear(here, source.name)
            try:
                _capture(here, source, is_anew, folder)
            except Exception as problem:
                record.write_problem(here, source.name, str(problem))
                raise
    except Timeout as problem:
        raise CaptureError(f"{source.name} is being captured already.", "`lakehouse cdc status` shows it.") from problem


def _capture(here: Settings, source: Source, is_anew: bool, folder: Path) -> None:
    stop = threading.Event()
    _stop_on_signals(stop)
    java = find_java(here.java_home)
    files = Files(landing(here), source.name)
    held = _position(here, source, is_anew, files)
    debezium.start_java(java, folder)
    recorder = Recorder(source, held, files, lambda new: state.write(here, source.name, new), folder)
    tries = 0
    while not stop.is_set():
        begun = recorder.state.lsn
        stream = _stream(here, source, recorder, stop, folder)
        if stream.failure is None or (stop.is_set() and stream.is_interrupted):
            break
        tries = 1 if recorder.state.lsn > begun else tries + 1
        if recorder.state.offset is None or not stream.is_interrupted or tries == TRIES:
            raise CaptureError(
                f"The capture of {source.name} has ended: {stream.failure}.",
                "Nothing is lost: mend the cause, and `lakehouse cdc start` goes on from its position.",
            )
        say(f"Interrupted ({stream.failure}); goes on from position {recorder.state.lsn}.")
        stop.wait(RETRY_SECONDS)
        _wait_for_database(source, recorder.state, stop)
    say(f"Stopped at position {recorder.state.lsn}.")


def _stream(here: Settings, source: Source, recorder: Recorder, stop: threading.Event, folder: Path) -> debezium.Stream:
    """Streams until it is told to stop or fails; returns the stream, which says which of them it was."""
    offsets = folder / "offsets"
    debezium.write_offsets(offsets, source, recorder.state)
    configuration = debezium.properties(source, login(source.name), recorder.state, offsets)
    stream = debezium.Stream(configuration, recorder.take, _Pace(here.cdc_flush_seconds, stop).wait)
    runner = threading.Thread(target=stream.run, name="debezium", daemon=True)
    runner.start()
    is_known = False
    while not stop.is_set() and not stream.ended.wait(0.2):
        if stream.started.is_set() and not is_known:
            is_known = True
            record.write(here, source.name)
            tables = ", ".join(table.full_name for table in source.tables)
            say(f"Capturing {source.name} from position {recorder.state.lsn}: {tables}.")
    if not stream.ended.is_set():
        threading.Thread(target=stream.close, daemon=True).start()
        stream.ended.wait(CLOSE_SECONDS)
    return stream


def _wait_for_database(source: Source, held: State, stop: threading.Event) -> None:
    """Until the database answers again. Raises CaptureError where the capture cannot go on there."""
    is_told = False
    while not stop.is_set():
        try:
            with postgres.connected(source, login(source.name)) as connection:
                _check_position(connection, source, held)
            return
        except postgres.UnreachableError as problem:
            if not is_told:
                say(f"Waiting: {problem.problem}")
            is_told = True
            stop.wait(RETRY_SECONDS)


def _position(here: Settings, source: Source, is_anew: bool, files: Files) -> State:
    """Where to go on from, with what a killed capture left behind put right. Raises CaptureError where that is nowhere."""
    held = state.read(here, source.name)
    names = tuple(table.full_name for table in source.tables)
    if held:
        files.publish(held.files)
    files.clear(table.folder for table in source.tables)
    entry = login(source.name)
    with postgres.connected(source, entry) as connection:
        postgres.check(connection, source, entry, held)
        for told in postgres.losses(connection, source):
            say(f"Note: {told}")
        if held and held.offset is not None and not is_anew:
            _check_position(connection, source, held)
            # A table that is no longer captured misses changes from now on: named again, it needs a snapshot.
            held = replace(held, files=(), tables=tuple(name for name in held.tables if name in names))
            state.write(here, source.name, held)
            return held
        held = held or state.new(source.name)
        reached = postgres.end_of_log(connection)
        if reached < held.lsn:
            raise CaptureError(
                f"The log of {source.name} is at {reached}, and {held.lsn} was captured: this is another database.",
                f"Its changes cannot follow those: name it otherwise in the contracts, or remove {held.slot} with "
                f"{state.folder(here, source.name)}, the table's files in landing and its bronze and silver tables.",
            )
        postgres.drop(
            connection, held.slot
        )  # of a snapshot that was not finished: the next one needs a slot of its own
    held = replace(held, offset=None, files=(), tables=names)
    state.write(here, source.name, held)
    return held


def _check_position(connection: Any, source: Source, held: State) -> None:
    remedy = (
        f"`lakehouse cdc start {source.name} --snapshot` begins anew: rows that are gone are removed, no row is lost."
    )
    found = postgres.free(connection, held.slot)
    if found is None:
        raise CaptureError(f"The replication slot {held.slot} is gone from {source.name}: changes are missing.", remedy)
    if found.is_lost:
        raise CaptureError(
            f"{source.name} has thrown away log that the slot {held.slot} needed (max_slot_wal_keep_size).", remedy
        )
    if found.confirmed > held.lsn:
        raise CaptureError(
            f"The slot {held.slot} is at {found.confirmed}, and only {held.lsn} is captured: something else read it.",
            remedy,
        )
    added = [table.full_name for table in source.tables if table.full_name not in held.tables]
    if added:
        raise CaptureError(
            f"Contracts have added {', '.join(added)} to {source.name}, whose rows were never read.",
            f"`lakehouse cdc start {source.name} --snapshot` takes a snapshot of all its tables.",
        )


class _Pace:
    """Waits between batches, so that a trickle of events makes few files; a flood is not held up."""

    def __init__(self, seconds: float, stop: threading.Event) -> None:
        self._seconds, self._stop = seconds, stop
        self._last = 0.0

    def wait(self, events: int) -> None:
        if events < FLOOD:
            self._stop.wait(max(0.0, self._last + self._seconds - time.monotonic()))
        self._last = time.monotonic()


def _stop_on_signals(stop: threading.Event) -> None:
    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)


def main(arguments: list[str]) -> int:
    """Captures the server that is named."""
    here, name = settings(), arguments[0]
    try:
        source = chosen(sources(load_all(here).values()), [name])[0]
        capture(here, source, "--snapshot" in arguments)
    except Exception as problem:
        say(f"Error: {problem}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
