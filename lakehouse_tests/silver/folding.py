"""An independent account of what a fold should give, in plain Python; and Spark's folds run batch by batch.

Many cases go through Spark together: the key of every row begins with the number of its case.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import pandas as pd

from lakehouse.silver.fold import fold_current, fold_events, moved_deletes, truncate_deletes

VALUES = ("content", "remark")
DAY = date(2025, 3, 3)

Mode = Literal["current", "history", "tracked", "filled", "filled history"]
"""`current` and `history` as plain contracts have them (of a history here, the remark is no part of the hash); `tracked`
is a history of the content alone; `filled` and `filled history` (of the content alone) have events that leave values as
they were."""
OF_HISTORY = ("history", "tracked", "filled history")
OF_FILLED = ("filled", "filled history")


@dataclass(frozen=True, order=True)
class Event:
    """One change: its place in the sequence, its content (None: a delete), what tells equal sequences apart, and
    a remark that is kept but not tracked. `kept` are the values that it leaves as they were; `moved_from` is the key
    that its row had before."""

    at: int
    content: str | None
    tie: int = 0
    remark: str | None = ""
    key: int = 0
    kept: tuple[str, ...] = ()
    moved_from: int | None = None
    is_truncate: bool = False


def truncate(at: int) -> Event:
    return Event(at, None, tie=-1, is_truncate=True)


Row = dict[str, Any]
Case = Sequence[Sequence[Event]]
"""The batches of one table."""
Version = tuple[int, int | None, str | None, str | None]
"""(from, to, content, remark of the run's last event)"""


def timelines(events: Iterable[Event]) -> dict[int, list[tuple[int, tuple[Any, Any] | None]]]:
    """For each key what it is from each place of the sequence on: (content, remark), or None where it is gone."""
    once = sorted(set(events), key=lambda event: (event.at, event.tie))
    keys = {event.key for event in once if not event.is_truncate} | {event.moved_from for event in once} - {None}
    found: dict[int, list[tuple[int, tuple[Any, Any] | None]]] = {key: [] for key in keys if key is not None}
    for event in once:
        for key, line in found.items():
            now = line[-1][1] if line else None
            if event.is_truncate or event.moved_from == key:
                line.append((event.at, None))
            elif event.key == key:
                if event.content is None and "content" not in event.kept:
                    line.append((event.at, None))
                    continue
                given = (event.content, event.remark)
                held = now or (None, None)
                kept = [name in event.kept for name in VALUES]
                line.append((event.at, (held[0] if kept[0] else given[0], held[1] if kept[1] else given[1])))
    return found


def current(events: Iterable[Event]) -> dict[int, tuple[Any, Any]]:
    """(content, remark) of the newest version of each key that is there."""
    return {key: line[-1][1] for key, line in timelines(events).items() if line and line[-1][1] is not None}


def history(events: Iterable[Event]) -> dict[int, list[Version]]:
    """Every version that is seen of each key that ever was."""
    found: dict[int, list[Version]] = defaultdict(list)
    for key, line in timelines(events).items():
        start = 0
        before: tuple[Any, Any] | None = None
        for (at, now), after in zip(line, [*line[1:], None], strict=True):
            if now is not None:
                if before is None or before[0] != now[0]:
                    start = at
                if after is None:
                    found[key].append((start, None, *now))
                elif (after[1] is None or after[1][0] != now[0]) and after[0] > start:
                    found[key].append((start, after[0], *now))
            before = now
    return dict(found)


_SHAPE = {
    **{"k": "string", "part": "int", "at": "bigint", "tie": "bigint", "_is_deleted": "boolean", "_hash": "bigint"},
    **{"content": "string", "remark": "string", "_file": "string", "_position": "bigint", "kept": "string"},
}
_SENT = _SHAPE | {"moved_from": "int"}
_HELD = _SHAPE | {"valid_from": "bigint", "valid_to": "bigint", "_is_visible": "boolean"}
_SEQUENCE = "named_struct('s0', at, 'tie', tie) as _sequence"
_KEPT = "filter(split(kept, ','), x -> x <> '') as _kept"
KEYS = ("k", "part")


def _viewed(spark: Any, rows: Sequence[tuple[Any, ...]], shape: dict[str, str]) -> Any:
    """Rows as a frame: by way of pandas, which takes a tenth of the time that rows take, and of a view, so that no
    query sends them again."""
    frame = pd.DataFrame(rows, columns=list(shape), dtype=object)
    schema = ", ".join(f"{name} {kind}" for name, kind in shape.items())
    view = f"folding_{'_'.join(shape)}"
    spark.createDataFrame(frame, schema).createOrReplaceTempView(view)
    return spark.table(view)


def _sent(spark: Any, rows: Sequence[tuple[Any, ...]], shape: dict[str, str]) -> Any:
    return _viewed(spark, rows, shape).selectExpr("*", _SEQUENCE, _KEPT).drop("at", "tie", "kept")


def _received(frame: Any) -> Iterator[Row]:
    """A frame as rows: a text a row, for the same reason."""
    flat = frame.selectExpr(
        "*", "_sequence.s0 as at", "_sequence.tie as tie", "coalesce(array_join(_kept, ','), '') as kept"
    ).drop("_sequence", "_kept", "_arrived_on")
    for found in flat.selectExpr("to_json(struct(*), map('ignoreNullFields', 'false'))").collect():
        yield json.loads(found[0])


def _number(text: str | None) -> int:
    return 0 if text is None else sum(ord(c) << (8 * i) for i, c in enumerate(text[:5])) - 7


def _frame(spark: Any, cases: Sequence[Case], number: int, mode: Mode) -> Any:
    rows = []
    for index, batches in enumerate(cases):
        for position, event in enumerate(batches[number] if number < len(batches) else ()):
            if event.is_truncate:
                continue
            is_deleted = event.content is None and "content" not in event.kept
            hashed = 0 if is_deleted else _number(event.content)
            if mode in ("tracked", *OF_FILLED) and not is_deleted:
                hashed += _number(event.remark) << 40
            # A delete brings the row as it was, which is no value for those that come after it.
            values = ["gone" if is_deleted else None if name in event.kept else getattr(event, name) for name in VALUES]
            where = (f"file-{number}", position, ",".join(event.kept), event.moved_from)
            rows.append((str(index), event.key, event.at, event.tie, is_deleted, hashed, *values, *where))
    frame = _sent(spark, rows, _SENT).selectExpr(
        "*",
        f"date'{DAY}' as _arrived_on",
        "true as _is_record",
        "if(moved_from is null, null, named_struct('k', k, 'part', moved_from)) as _old_key",
    )
    moved = any(row[-1] is not None for row in rows)
    events = frame.unionByName(moved_deletes(frame)) if moved else frame
    return events.drop("_old_key", "moved_from")


def _truncates(spark: Any, known: Sequence[set[Event]], new: Sequence[set[Event]]) -> Any:
    rows = [
        (str(index), event.at, event.tie, event in new[index]) for index, events in enumerate(known) for event in events
    ]
    sent = _viewed(spark, rows, {"k": "string", "at": "bigint", "tie": "bigint", "_is_new": "boolean"})
    return sent.selectExpr("k", _SEQUENCE, f"date'{DAY}' as _arrived_on", "_is_new")


def fold(spark: Any, cases: Sequence[Case], mode: Mode) -> tuple[list[list[Row]], list[Counter[str]]]:
    """Folds every case batch by batch, as silver does. Returns for each case its state, and its records' dispositions;
    those of truncates are left out."""
    keeps_events = mode != "current"
    shape = _HELD if keeps_events else _SHAPE
    held: dict[tuple[Any, ...], Row] = {}
    counts: list[Counter[str]] = [Counter() for _ in cases]
    known: list[set[Event]] = [set() for _ in cases]
    for number in range(max(map(len, cases))):
        state = None
        if number:
            state = _sent(spark, [tuple(row[name] for name in shape) for row in held.values()], shape)
        events = _frame(spark, cases, number, mode)
        told = [{e for e in case[number] if e.is_truncate} if number < len(case) else set() for case in cases]
        new = [fresh - before for fresh, before in zip(told, known, strict=True)]
        known = [before | fresh for before, fresh in zip(known, told, strict=True)]
        if any(known):
            everything = state if any(new) else None
            events = events.unionByName(truncate_deletes(events, everything, _truncates(spark, known, new), KEYS))
        if keeps_events:
            tracked = ("content",) if mode in ("tracked", "filled history") else ()
            filled = VALUES if mode in OF_FILLED else ()
            folded = fold_events(events, state, KEYS, is_history=mode in OF_HISTORY, tracked=tracked, filled=filled)
        else:
            folded = fold_current(events, state, KEYS)
        for row in _received(folded):
            if row["disposition"] is not None and row["_is_record"]:
                counts[int(row["k"])][row["disposition"]] += 1
            if not row["_is_written"]:
                continue
            place = (row["at"], row["tie"])
            identity = (row["k"], row["part"], *(place if keeps_events else ()))
            if row["disposition"] is not None and (before := held.get(identity)):
                assert not keeps_events and place > (before["at"], before["tie"]), f"{row} written over {before}"
            held[identity] = row
    states: list[list[Row]] = [[] for _ in cases]
    for row in held.values():
        states[int(row["k"])].append(row)
    return states, counts


def seen_now(state: Sequence[Row]) -> dict[int, tuple[Any, Any]]:
    """What a reader sees of one case: of fold_current, and of fold_events for the current row."""
    live = [row for row in state if row.get("_is_visible", not row["_is_deleted"])]
    found = {row["part"]: (row["content"], row["remark"]) for row in live}
    assert len(live) == len(found), "more than one row a key"
    return found


def seen_ever(state: Sequence[Row]) -> dict[int, list[Version]]:
    """What a reader sees of one case of fold_events with history."""
    found: dict[int, list[Version]] = defaultdict(list)
    for row in state:
        if row["_is_visible"]:
            found[row["part"]].append((row["valid_from"], row["valid_to"], row["content"], row["remark"]))
    return {key: sorted(versions, key=lambda version: version[0]) for key, versions in found.items()}
