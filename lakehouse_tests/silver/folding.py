"""An independent account of what a fold should give, in plain Python; and Spark's folds run batch by batch.

Many cases go through Spark together: the key of every row begins with the number of its case.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import types as T

from lakehouse.silver.fold import fold_current, fold_history

COMMITTED = ("applied", "noop", "deleted")


@dataclass(frozen=True, order=True)
class Event:
    """One change: its place in the sequence, its content (None: a delete), what tells equal sequences apart, and
    a remark that is kept but not tracked."""

    at: int
    content: str | None
    tie: int = 0
    remark: str = ""


Row = dict[str, Any]
Case = Sequence[Sequence[Event]]
"""The batches of one key."""


def current(events: Iterable[Event]) -> tuple[str, str] | None:
    """(content, remark) of the newest version; None where the row is deleted or never was."""
    newest = max(events, key=lambda event: (event.at, event.tie), default=None)
    return None if newest is None or newest.content is None else (newest.content, newest.remark)


def history(events: Iterable[Event]) -> list[tuple[int, int | None, str, str]]:
    """(from, to, content, remark of the run's last event) of every version that is seen."""
    once = [event for _, event in sorted({(event.at, event.tie): event for event in events}.items())]
    versions: list[tuple[int, int | None, str, str]] = []
    start, running = 0, None
    for event, after in zip(once, [*once[1:], None], strict=True):
        if event.content is None:
            running = None
            continue
        if event.content != running:
            start, running = event.at, event.content
        if after is None:
            versions.append((start, None, event.content, event.remark))
        elif after.content != running and after.at > start:
            versions.append((start, after.at, event.content, event.remark))
    return versions


_SCHEMA = T.StructType(
    [
        T.StructField("k", T.StringType()),
        T.StructField("part", T.IntegerType()),
        T.StructField("at", T.LongType()),
        T.StructField("tie", T.LongType()),
        T.StructField("_is_deleted", T.BooleanType()),
        T.StructField("_hash", T.LongType()),
        T.StructField("content", T.StringType()),
        T.StructField("remark", T.StringType()),
        T.StructField("_file", T.StringType()),
        T.StructField("_position", T.LongType()),
    ]
)
_HELD = (
    "k string, part int, content string, remark string, _sequence struct<s0:bigint,tie:bigint>, _is_deleted boolean, "
    "_hash bigint, _file string, _position bigint"
)
_HELD_HISTORY = _HELD + ", valid_from bigint, valid_to bigint, _is_visible boolean"
_COLUMNS = ("k", "part", "content", "remark", "_sequence", "_is_deleted", "_hash", "_file", "_position")
_INTERVALS = ("valid_from", "valid_to", "_is_visible")
KEYS = ("k", "part")


def _frame(spark: Any, cases: Sequence[Case], number: int) -> Any:
    rows = []
    for index, batches in enumerate(cases):
        for position, event in enumerate(batches[number] if number < len(batches) else ()):
            content = event.content
            hashed = 0 if content is None else sum(ord(c) << (8 * i) for i, c in enumerate(content)) - 7
            text = None if content is None else content
            remark = None if content is None else event.remark
            where = (f"file-{number}", position)
            rows.append((str(index), index % 3, event.at, event.tie, content is None, hashed, text, remark, *where))
    return spark.createDataFrame(rows, _SCHEMA).selectExpr(
        "k", "part", "content", "remark", "named_struct('s0', at, 'tie', tie) as _sequence", *_COLUMNS[5:]
    )


def fold(spark: Any, cases: Sequence[Case], is_history: bool) -> tuple[list[list[Row]], list[Counter[str]]]:
    """Folds every case batch by batch, as silver does. Returns for each case its state, and its dispositions."""
    columns = [*_COLUMNS, *(_INTERVALS if is_history else ())]
    held: dict[tuple[Any, ...], Row] = {}
    counts: list[Counter[str]] = [Counter() for _ in cases]
    for number in range(max(map(len, cases))):
        state = None
        if held:
            rows = [tuple(tuple(row[n]) if n == "_sequence" else row[n] for n in columns) for row in held.values()]
            state = spark.createDataFrame(rows, _HELD_HISTORY if is_history else _HELD)
        elif number:
            state = spark.createDataFrame([], _HELD_HISTORY if is_history else _HELD)
        events = _frame(spark, cases, number)
        folded = (fold_history if is_history else fold_current)(events, state, KEYS)
        for found in folded.collect():
            row = found.asDict()
            if row["disposition"] is not None:
                counts[int(row["k"])][row["disposition"]] += 1
            if row["disposition"] not in COMMITTED and not row.get("_is_stale"):
                continue
            kept = {name: row[name] for name in columns}
            identity = (row["k"], *(row["_sequence"] if is_history else ()))
            if row["disposition"] in COMMITTED and identity in held:
                assert not is_history and _newer(kept, held[identity]), f"{kept} committed over {held[identity]}"
            held[identity] = kept
    states: list[list[Row]] = [[] for _ in cases]
    for row in held.values():
        states[int(row["k"])].append(row)
    return states, counts


def _newer(row: Row, than: Row) -> bool:
    return tuple(row["_sequence"]) > tuple(than["_sequence"])


def seen_now(state: Sequence[Row]) -> tuple[str, str] | None:
    """What a reader sees of one case of fold_current."""
    assert len(state) <= 1, "more than one row a key"
    live = [row for row in state if not row["_is_deleted"]]
    return (live[0]["content"], live[0]["remark"]) if live else None


def seen_ever(state: Sequence[Row]) -> list[tuple[int, int | None, str, str]]:
    """What a reader sees of one case of fold_history."""
    visible = [row for row in state if row["_is_visible"]]
    return sorted((row["valid_from"], row["valid_to"], row["content"], row["remark"]) for row in visible)
