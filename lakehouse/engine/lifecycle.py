"""Starts, finds and stops the embedded engine. One engine a home, whoever asks first starts it."""

import socket
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from lakehouse.engine import class_archive, record
from lakehouse.engine.errors import EngineError
from lakehouse.engine.java import find_java
from lakehouse.engine.record import Record
from lakehouse.settings import Settings

STOP_SECONDS = 40
"""Longer than the server grants its JVM."""
WRITING_SECONDS = 180
"""The same where the JVM writes its class archive as it ends."""
START_SECONDS = 180 + WRITING_SECONDS
"""The first start downloads jars; a warm one takes some four seconds. One that ends is waited for, also while it writes."""
_HINTS = (
    ("No space left on device", "The disk is full: free some space."),
    ("could not be resolved into", "Spark's jars cannot be downloaded: check the network, or set LAKEHOUSE_JARS."),
    ("unresolved dependency", "Spark's jars cannot be downloaded: check the network, or set LAKEHOUSE_JARS."),
    ("Could not reserve enough space", "The machine has too little memory: set LAKEHOUSE_ENGINE_MEMORY lower."),
    ("Invalid maximum heap size", "LAKEHOUSE_ENGINE_MEMORY must be such as 2g."),
    ("Multiple garbage collectors", "LAKEHOUSE_ENGINE_JAVA_OPTIONS must take ours back first: -XX:-UseParallelGC."),
    (
        "Could not create the Java Virtual Machine",
        "Java refuses a flag of LAKEHOUSE_ENGINE_JAVA_OPTIONS (or of JAVA_TOOL_OPTIONS).",
    ),
    ("specify max heap(Xmx)", "LAKEHOUSE_ENGINE_JAVA_OPTIONS may not set the heap: LAKEHOUSE_ENGINE_MEMORY does."),
    ("Address already in use", "A port is taken: run `lakehouse engine stop` and try again."),
    ("Permission denied", "The engine may not write its folder: check the owner of LAKEHOUSE_HOME."),
)


@dataclass(frozen=True)
class EngineStatus:
    """What is known of the engine; all but `running` is None where there is none."""

    running: bool
    pid: int | None = None
    port: int | None = None
    uptime_seconds: float | None = None
    idle_seconds: float | None = None
    memory_bytes: int | None = None
    versions: dict[str, str] | None = None


def log_path(settings: Settings) -> Path:
    """Spark's warnings and errors; what the engine says of itself is beside it, in engine.out."""
    return settings.engine_dir / "engine.log"


def out_path(settings: Settings) -> Path:
    return settings.engine_dir / "engine.out"


def logs(settings: Settings, lines: int = 50) -> list[str]:
    """The last lines of the engine's own words, then of Spark's log; empty where there is none yet."""
    return [line for path in (out_path(settings), log_path(settings)) for line in _tail(path, lines)]


def status(settings: Settings) -> EngineStatus:
    """Looks, changes nothing. A stale engine.json (dead process, or its pid used by another) means not running."""
    found = record.alive(settings)
    server = record.process(found.pid, found.started) if found else None
    jvm = record.process(found.jvm_pid, found.jvm_started) if found else None
    if found is None or server is None or jvm is None:
        return EngineStatus(running=False)
    activity = settings.engine_dir / "activity"
    try:
        memory = sum(process.memory_info().rss for process in (server, jvm))
        idle = time.time() - activity.stat().st_mtime
    except (psutil.Error, FileNotFoundError):
        memory, idle = 0, 0.0
    return EngineStatus(
        running=True,
        pid=found.pid,
        port=found.port,
        uptime_seconds=time.time() - found.started,
        idle_seconds=max(0.0, idle),
        memory_bytes=memory,
        versions=found.versions,
    )


def start(settings: Settings) -> EngineStatus:
    """Makes sure that an engine runs; returns its status. Idempotent, and safe in many processes at once.

    Raises EngineError where it cannot be started, with the last lines of its log and what to do.
    """
    ensure(settings)
    return status(settings)


def ensure(settings: Settings) -> Record:
    """The record of an engine that answers, started now if need be. Raises EngineError."""
    found = _usable(settings)
    if found:
        return found
    settings.engine_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with FileLock(settings.engine_dir / "start.lock", timeout=START_SECONDS + WRITING_SECONDS):
            found = _usable(settings)
            if found:
                return found
            _clear(settings)
            return _launch(settings)
    except Timeout as problem:
        raise EngineError(
            f"Another process has been starting the engine for more than {START_SECONDS} s.",
            "Look at `lakehouse engine logs`; end that process and try again.",
        ) from problem


def stop(settings: Settings) -> bool:
    """Stops the engine, by force if it does not end within 40 s, or 180 where it writes its class archive. False where none
    ran.

    Signals only processes that engine.json names and whose start time agrees with it.
    """
    settings.engine_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with FileLock(settings.engine_dir / "start.lock", timeout=START_SECONDS + WRITING_SECONDS):
        running = record.alive(settings) is not None
        _clear(settings)
        return running


def writes_archive(settings: Settings) -> bool:
    """Whether the engine that runs writes its class archive as it ends, for which it needs half a minute or more."""
    found = record.alive(settings)
    with suppress(psutil.Error):
        return found is not None and class_archive.is_written_by(psutil.Process(found.jvm_pid).cmdline())
    return False


def answers(port: int, seconds: float = 5) -> bool:
    """Whether something listens on this port of the loopback."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=seconds):
            return True
    except OSError:
        return False


def _usable(settings: Settings) -> Record | None:
    """The running engine, if it answers."""
    found = record.alive(settings)
    return found if found and answers(found.port) else None


def _clear(settings: Settings) -> None:
    """Ends whatever is left of the engine that engine.json names (a JVM without its server, for one), and the file.

    Two engines would overwrite what the other one keeps, so the old one must be gone before another starts.
    """
    old = record.read(settings)
    if old:
        server = record.process(old.pid, old.started)
        if server:
            _end(server, WRITING_SECONDS if writes_archive(settings) else STOP_SECONDS)
        jvm = record.process(old.jvm_pid, old.jvm_started)
        if jvm:
            _end(jvm, 5)
    record.record_path(settings).unlink(missing_ok=True)


def _end(process: psutil.Process, seconds: float) -> None:
    try:
        process.terminate()
        process.wait(seconds)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait(STOP_SECONDS)
    except psutil.NoSuchProcess:
        return


def _launch(settings: Settings) -> Record:
    find_java(settings.java_home)  # says at once what the child would say in its log
    settings_file = settings.engine_dir / "settings.json"
    settings_file.write_text(settings.model_dump_json(exclude={"spark_remote"}))
    with out_path(settings).open("w") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", "lakehouse.engine.server", str(settings_file)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C or a closed terminal must not reach it
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        has_ended = child.poll() is not None
        found = record.alive(settings)  # or of one that started already, for somebody who was killed: ours then ends
        if found and answers(found.port):
            return found
        if has_ended:
            raise _failure(settings, f"The engine ended while starting (exit code {child.returncode}).")
        time.sleep(0.05)
    _end(psutil.Process(child.pid), 5)
    raise _failure(settings, f"The engine did not answer within {START_SECONDS} s.")


def _failure(settings: Settings, problem: str) -> EngineError:
    last = logs(settings, 15)
    # What the JVM said before it ended stands above the traceback of whoever waited for it.
    said = [*_tail(out_path(settings), 200), *last]
    at, hint = next(((n, hint) for needle, hint in _HINTS for n, line in enumerate(said) if needle in line), (0, None))
    cause = [line[:200] for line in said[max(at - 1, 0) : at + 1]]
    text = "\n".join(last if hint is None or said[at] in last else [*cause, "…", *last])
    # What a hint asks a person to do, no second try does.
    return EngineError(problem, f"{hint or 'Look at `lakehouse engine logs`.'} Its last words:\n{text}", hint is None)


def _tail(path: Path, lines: int) -> list[str]:
    try:
        with path.open(errors="replace") as file:
            return [line.rstrip("\n") for line in deque(file, maxlen=lines)]
    except FileNotFoundError:
        return []
