"""Dagster's UI and daemon, kept alive: where one of their processes dies, all are started again."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Event

import psutil

LOOK_SECONDS = 5.0
LOOKS_WITHOUT = 3
"""A code server may be missing for so many looks: it is replaced when somebody reloads the code location."""
END_SECONDS = 30
SOON_SECONDS, TRIES = 60, 3
"""What so often ends so soon and never answers does not start at all: its own words say why."""
_CODE_SERVERS = (("dagster", "code-server"), ("dagster", "api", "grpc"))
"""Words in the command lines of the two processes that hold the definitions. Dagster starts neither again: from then on no
sensor is looked at."""


def serve(
    command: Sequence[str], say: Callable[[str], None], answers: Callable[[], bool], stop: Event | None = None
) -> int:
    """Runs `dagster dev` until it is told to stop, and again whenever it, or a code server of its, has died. Returns 0; or its
    exit code where it does not start at all. `say` gets a sentence for each; `answers`: whether its UI does."""
    stop = stop or Event()
    failures = 0
    while not stop.is_set():
        began = time.monotonic()
        child = subprocess.Popen(command, start_new_session=True)
        try:
            reason, was_up = _watch(child, stop, answers)
        finally:
            _end(child)
        if reason is None:
            break
        failures = failures + 1 if time.monotonic() - began < SOON_SECONDS and not was_up else 0
        if failures == TRIES:
            say(f"{reason} It has ended {TRIES} times within {SOON_SECONDS} s of its start, and is not started again.")
            return child.returncode or 1
        say(f"{reason} It is started again.")
        stop.wait(2**failures)
    return 0


def _watch(child: "subprocess.Popen[bytes]", stop: Event, answers: Callable[[], bool]) -> tuple[str | None, bool]:
    """(why the child has to be started again, None where it is told to stop; whether it has answered)."""
    seen: set[tuple[str, ...]] = set()
    missing, was_up = 0, False
    while not stop.wait(LOOK_SECONDS):
        if child.poll() is not None:
            return f"Dagster has ended (exit code {child.returncode}).", was_up
        was_up = was_up or answers()
        there = _code_servers(child.pid)
        seen |= there
        missing = missing + 1 if seen - there else 0
        if missing == LOOKS_WITHOUT:
            return "Dagster's code server has died.", was_up
    return None, was_up


def _code_servers(pid: int) -> set[tuple[str, ...]]:
    found: set[tuple[str, ...]] = set()
    with suppress(psutil.NoSuchProcess):
        for process in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                line = " ".join(process.cmdline())
                found |= {words for words in _CODE_SERVERS if all(word in line for word in words)}
    return found


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Asks it to end, and ends what is left of it and of its children after half a minute."""
    with suppress(ProcessLookupError):
        child.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        child.wait(timeout=END_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
