"""How others find the process of a capture, and what it said before it ended."""

import json
from dataclasses import dataclass

import psutil

from lakehouse.capture.state import folder
from lakehouse.engine.record import began, process
from lakehouse.settings import Settings


@dataclass(frozen=True)
class Record:
    """A running capture. A pid alone proves nothing, so the start time goes with it."""

    pid: int
    started: float


def write(settings: Settings, server: str) -> None:
    """Names this process as the one that captures the server."""
    me = psutil.Process()
    path = folder(settings, server) / "process.json"
    scratch = path.with_suffix(f".{me.pid}")
    scratch.write_text(json.dumps({"pid": me.pid, "started": began(me)}))
    scratch.replace(path)


def alive(settings: Settings, server: str) -> Record | None:
    """The process that captures the server; None where there is none, or another has its pid."""
    try:
        found = Record(**json.loads((folder(settings, server) / "process.json").read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return found if process(found.pid, found.started) else None


def write_problem(settings: Settings, server: str, problem: str) -> None:
    (folder(settings, server) / "problem.txt").write_text(problem + "\n")


def problem(settings: Settings, server: str) -> str | None:
    """Why the last capture ended, where it did not end by being told to."""
    try:
        return (folder(settings, server) / "problem.txt").read_text().strip()
    except FileNotFoundError:
        return None


def clear(settings: Settings, server: str) -> None:
    for name in ("process.json", "problem.txt"):
        (folder(settings, server) / name).unlink(missing_ok=True)
