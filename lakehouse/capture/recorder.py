"""From Debezium's stream to landing: whole transactions, each exactly once.

Knows nothing of Java: events come as text, in the order of commit.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Literal

from lakehouse.capture.files import Files
from lakehouse.capture.sources import Source
from lakehouse.capture.state import State

Kind = Literal["row", "begin", "end", "heartbeat"]
IN_MEMORY = 16 * 1024**2
"""Bytes of a transaction that are held before it goes to a temporary file."""


@dataclass(frozen=True)
class Event:
    """One event of the stream: its kind, its JSON text, and how to learn Debezium's position behind it."""

    kind: Kind
    value: str
    offset: Callable[[], dict[str, Any]]


class Recorder:
    """Puts events into files. Holds the open transaction back until its end, when the position of its commit is known.

    Each line is Debezium's envelope with `source.commit_lsn` added: the order of commits, which `source.lsn` (the order of
    writing) is not where transactions overlap. Events of a snapshot have the snapshot's own position.
    """

    def __init__(
        self, source: Source, state: State, files: Files, store: Callable[[State], None], scratch: Path
    ) -> None:
        self.state = state
        self._scratch = scratch
        self._source, self._files, self._store = source, files, store
        self._folders = {(table.schema, table.name): table.folder for table in source.tables}
        self._transaction: IO[bytes] | None = None
        self._events: dict[str, int] = {}
        self._is_first = state.offset is None

    def take(self, events: Iterable[Event]) -> Event | None:
        """Records a batch; returns its last event behind which everything is durable, None where there is none."""
        boundary: Event | None = None
        state = self.state
        for event in events:
            if event.kind == "begin":
                self._drop()  # what an interrupted stream had sent of a transaction comes again from its beginning
                self._transaction = SpooledTemporaryFile(IN_MEMORY, "w+b", dir=str(self._scratch))  # noqa: SIM115
            elif event.kind == "row" and self._transaction is not None:
                self._transaction.write(event.value.encode() + b"\n")
            elif event.kind == "row":
                self._record(event.value, None)
            elif event.kind == "end":
                offset = event.offset()
                if offset["lsn"] > state.lsn:  # else it is here already
                    if self._commit(offset["lsn"]):
                        state = replace(state, committed_at=_instant(json.loads(event.value).get("ts_ms")))
                self._drop()
                boundary, state = event, _behind(state, offset)
            elif self._transaction is None:
                offset = event.offset()
                if "snapshot" not in offset:  # else the snapshot goes on
                    boundary, state = event, _behind(state, offset)
        if boundary is not None:
            self._keep(state)
        return boundary

    def _keep(self, state: State) -> None:
        if self._is_first:
            self._begin_anew(None)
        counts = {name: state.events.get(name, 0) + self._events.get(name, 0) for name in state.events | self._events}
        moves = self._files.seal(state.lsn)
        self.state = replace(state, files=moves, events=counts)
        self._store(self.state)  # the commit
        self._files.publish(moves)
        self._events = {}

    def _commit(self, lsn: int) -> bool:
        """Records the transaction that is held; whether it has an event."""
        if self._transaction is None:
            return False
        has_events = self._transaction.tell() > 0
        self._transaction.seek(0)
        for line in self._transaction:
            self._record(line, lsn)
        return has_events

    def _drop(self) -> None:
        if self._transaction is not None:
            self._transaction.close()
            self._transaction = None

    def _record(self, value: str | bytes, lsn: int | None) -> None:
        envelope = json.loads(value)
        source = envelope["source"]
        folder = self._folders.get((source["schema"], source["table"]))
        if folder is None:  # names of tables are compared regardless of case by Debezium
            return
        if lsn is None and source.get("snapshot") == "false":
            raise RuntimeError(f"an event of {folder} at {source['lsn']} came outside of a transaction")
        if self._is_first:
            self._begin_anew(envelope if lsn is None else None)
        source["commit_lsn"] = source["lsn"] if lsn is None else lsn
        self._write(folder, envelope)

    def _begin_anew(self, first: Mapping[str, Any] | None) -> None:
        """A later snapshot tells which rows there are, so that the rows from before it are removed first: behind all that
        was captured, and before `first`, the snapshot's first row (None: it has none), by whatever a contract orders."""
        self._is_first = False
        if not self.state.events:
            return
        if first is None:
            lsn = commit_lsn = self.state.lsn + 1
            seen = sent = _clock()
        else:  # no record of a log begins one byte before another
            lsn = first["source"]["lsn"] - 1
            commit_lsn = max(self.state.lsn, lsn)
            seen, sent = _just_before(first["source"]), _just_before(first)
        for table in self._source.tables:
            place = {"schema": table.schema, "table": table.name, "lsn": lsn, "commit_lsn": commit_lsn}
            origin = {
                "connector": "postgresql",
                "name": self._source.name,
                "db": self._source.database,
                **place,
                **seen,
            }
            envelope = {"before": None, "after": None, "source": origin, "op": "t", **sent}
            self._write(table.folder, envelope)

    def _write(self, folder: str, envelope: Mapping[str, Any]) -> None:
        self._files.write(folder, json.dumps(envelope, ensure_ascii=False, separators=(",", ":")))
        self._events[folder] = self._events.get(folder, 0) + 1


def _clock() -> dict[str, int]:
    now = time.time_ns()
    return {"ts_ms": now // 10**6, "ts_us": now // 1000, "ts_ns": now}


def _just_before(told: Mapping[str, Any]) -> dict[str, int]:
    return {name: told[name] - 1 for name in ("ts_ms", "ts_us", "ts_ns") if name in told}


def _behind(state: State, offset: dict[str, Any]) -> State:
    # What Debezium counts inside a transaction is of no use behind it.
    kept = {name: value for name, value in offset.items() if not name.startswith("transaction_")}
    return replace(state, offset=kept, lsn=max(state.lsn, offset["lsn"]))


def _instant(milliseconds: int | None) -> str | None:
    if milliseconds is None:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
