"""Events as files in landing: written and synced under temporary names, then moved to where they arrive."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from lakehouse.capture.state import sync, sync_folder

LARGEST_FILE = 64 * 1024**2
"""Characters; a file is closed at the next event. What reads landing takes a file as a whole."""


@dataclass
class _Part:
    path: str
    file: TextIO
    size: int = 0


class Files:
    """The files that one capture writes. Nothing is seen in landing before `publish`."""

    def __init__(self, landing: Path, server: str) -> None:
        self._landing, self._server = landing, server
        self._open: dict[str, _Part] = {}
        self._written: list[tuple[str, str]] = []
        self._number = 0

    def write(self, folder: str, line: str) -> None:
        """Adds an event to the file of a table."""
        part = self._open.get(folder) or self._new(folder)
        part.file.write(line + "\n")
        part.size += len(line)
        if part.size >= LARGEST_FILE:
            self._close(folder)

    def seal(self, lsn: int) -> tuple[tuple[str, str], ...]:
        """Closes and syncs what was written since the last time: (temporary path, path in landing) of each file.

        Names begin with the time and hold the position, so that they sort and no name is used twice.
        """
        for folder in list(self._open):
            self._close(folder)
        now = datetime.now(UTC)
        moves = tuple(
            (path, f"{folder}/{now:%Y-%m-%d}/{self._server}-{now:%Y%m%dT%H%M%S%f}-{lsn:016x}-{number:04d}.jsonl")
            for number, (folder, path) in enumerate(self._written)
        )
        for parent in {(self._landing / path).parent for path, _ in moves}:
            sync_folder(parent)
        self._written = []
        return moves

    def publish(self, moves: Iterable[tuple[str, str]]) -> None:
        """Moves sealed files to their places in landing. Idempotent: what has been moved is passed over."""
        for path, place in moves:
            source, target = self._landing / path, self._landing / place
            if source.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                os.rename(source, target)
                sync_folder(target.parent)
                sync_folder(target.parent.parent)

    def clear(self, folders: Iterable[str]) -> None:
        """Removes what a capture that was killed has left under temporary names; publish before."""
        for folder in folders:
            for path in self._scratch(folder).glob("*.jsonl"):
                path.unlink()

    def _scratch(self, folder: str) -> Path:
        return self._landing / folder / f".cdc-{self._server}"

    def _new(self, folder: str) -> _Part:
        scratch = self._scratch(folder)
        scratch.mkdir(parents=True, exist_ok=True)
        self._number += 1
        path = scratch / f"{self._number:08d}.jsonl"
        # Exclusive: another writer here would mean that two captures run.
        part = _Part(path.relative_to(self._landing).as_posix(), path.open("x", encoding="utf-8", newline="\n"))
        self._open[folder] = part
        return part

    def _close(self, folder: str) -> None:
        part = self._open.pop(folder)
        part.file.flush()
        sync(part.file.fileno())
        part.file.close()
        self._written.append((folder, part.path))
