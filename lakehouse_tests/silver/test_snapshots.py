"""Full snapshots as changes: every timeline of a key over four days, in several batchings, against plain Python."""

from collections import Counter
from collections.abc import Sequence
from datetime import date
from itertools import product
from typing import Any

import pytest
from pyspark.sql import types as T

from lakehouse.silver.fold import fold_current, fold_events, snapshot_events

DAYS = [date(2025, 3, day) for day in (3, 10, 17, 24)]
TIMELINES = sorted({"".join(letters) for some in ("-Aq", "-AB", "-Ad") for letters in product(some, repeat=len(DAYS))})
"""A letter a day: `-` absent, `A` and `B` the row's content, `q` there but in quarantine, `d` A and a copy of it."""

_ROWS = T.StructType(
    [
        T.StructField("id", T.StringType()),
        T.StructField("value", T.StringType()),
        T.StructField("_hash", T.LongType()),
        T.StructField("_is_deleted", T.BooleanType()),
        T.StructField("_file", T.StringType()),
        T.StructField("_position", T.LongType()),
        T.StructField("_arrived_on", T.DateType()),
    ]
)
_SEQUENCE = "named_struct('s0', cast(_arrived_on as timestamp), 'tie', _hash) as _sequence"
_STATE = "id string, value string, _hash bigint, _is_deleted boolean, _file string, _position bigint, "
_STATE += "_arrived_on date, _sequence struct<s0:timestamp,tie:bigint>"
_INTERVALS = ", valid_from timestamp, valid_to timestamp, _is_visible boolean"
NAMES = ["id", "value", "_hash", "_is_deleted", "_file", "_position", "_arrived_on", "_sequence"]

Versions = list[tuple[date, date | None, str]]


def expected(timeline: str, incomplete: set[date]) -> Versions:
    """Every version of a key that was there: a complete snapshot without it ends it."""
    versions: Versions = []
    alive: str | None = None
    since = DAYS[0]
    for day, letter in zip(DAYS, timeline, strict=True):
        now = {"A": "A", "d": "A", "B": "B", "q": alive, "-": alive if day in incomplete else None}[letter]
        if now != alive:
            if alive is not None:
                versions.append((since, day, alive))
            alive, since = now, day
    return versions if alive is None else [*versions, (since, None, alive)]


class Table:
    """The state of a table with history, or of current rows, fed with snapshots batch by batch."""

    def __init__(self, spark: Any, is_history: bool) -> None:
        self.spark, self.is_history = spark, is_history
        self.held: dict[tuple[Any, ...], dict[str, Any]] = {}
        self.counts: Counter[str] = Counter()
        self.rows_deleted = 0
        self.last: date | None = None

    def take(self, days: Sequence[date], incomplete: set[date]) -> int:
        """Returns the number of usable records."""
        rows, present = [], []
        for timeline in TIMELINES:
            for day in days:
                letter = timeline[DAYS.index(day)]
                if letter == "q":
                    present.append((timeline, None, None, None, None, None, day))
                for _ in range({"-": 0, "q": 0, "d": 2}.get(letter, 1)):
                    value = "B" if letter == "B" else "A"
                    rows.append((timeline, value, 10 + ord(value), False, f"{day}.csv", len(rows), day))
        frame = self.spark.createDataFrame(rows, _ROWS).selectExpr("*", _SEQUENCE, "true as _is_record")
        known = self.spark.createDataFrame(present, _ROWS).select("id", "_arrived_on")
        state = visible = None
        if self.last is not None:
            names = [*NAMES, *(("valid_from", "valid_to", "_is_visible") if self.is_history else ())]
            listed = [tuple(tuple(row[n]) if n == "_sequence" else row[n] for n in names) for row in self.held.values()]
            state = self.spark.createDataFrame(listed, _STATE + (_INTERVALS if self.is_history else ""))
            visible = state.where("_is_visible and valid_to is null" if self.is_history else "not _is_deleted")
        events, unchanged = snapshot_events(frame, known, visible, ["id"], days, sorted(incomplete), self.last)
        folded = (fold_events if self.is_history else fold_current)(events, state, ["id"])
        for found in folded.collect():
            row = found.asDict()
            if row["_is_written"]:
                self.held[(row["id"], *(row["_sequence"] if self.is_history else ()))] = row
            if row["disposition"] and not row["_is_deleted"]:
                self.counts[row["disposition"]] += 1
            elif row["disposition"] == "deleted":
                self.rows_deleted += 1
        for row in unchanged.groupBy("disposition").count().collect():
            self.counts[row["disposition"]] += row["count"]
        self.last = days[-1]
        return len(rows)

    def seen(self) -> dict[str, Versions]:
        found: dict[str, Versions] = {timeline: [] for timeline in TIMELINES}
        for row in self.held.values():
            if not self.is_history and not row["_is_deleted"]:
                found[row["id"]].append((date.min, None, row["value"]))
            elif self.is_history and row["_is_visible"]:
                to = row["valid_to"]
                found[row["id"]].append((row["valid_from"].date(), to and to.date(), row["value"]))
        return {timeline: sorted(versions, key=lambda version: version[0]) for timeline, versions in found.items()}


BATCHINGS = {"at once": [[0, 1, 2, 3]], "daily": [[0], [1], [2], [3]]}


@pytest.mark.parametrize("incomplete", [set(), {DAYS[2]}], ids=["all readable", "the third is unreadable in part"])
def test_every_timeline_gives_its_versions_in_every_batching(spark: Any, incomplete: set[date]) -> None:
    wanted = {timeline: expected(timeline, incomplete) for timeline in TIMELINES}
    for name, batches in BATCHINGS.items():
        table, records = Table(spark, is_history=True), 0
        for batch in batches:
            days = [DAYS[index] for index in batch]
            records += table.take(days, incomplete & set(days))
        seen = table.seen()
        for timeline in TIMELINES:
            assert seen[timeline] == wanted[timeline], (name, timeline)
        assert sum(table.counts.values()) == records, name


def test_current_rows_are_those_of_the_last_snapshot_that_tells(spark: Any) -> None:
    wanted = {
        timeline: [(date.min, None, version[2]) for version in expected(timeline, set()) if version[1] is None]
        for timeline in TIMELINES
    }
    for batches in ([[0, 1, 2, 3]], [[0, 1], [2, 3]]):
        table, records = Table(spark, is_history=False), 0
        for batch in batches:
            records += table.take([DAYS[index] for index in batch], set())
        assert table.seen() == wanted
        assert sum(table.counts.values()) == records


def test_rows_that_vanish_are_counted_once_each_and_only_if_they_were_there(spark: Any) -> None:
    table = Table(spark, is_history=True)
    table.take(DAYS, set())
    assert table.rows_deleted == sum(len(ends(timeline)) for timeline in TIMELINES)


def ends(timeline: str) -> list[date]:
    """The days on which a key's row ends without another in its place."""
    versions = expected(timeline, set())
    starts = {start for start, _, _ in versions}
    return [to for _, to, _ in versions if to is not None and to not in starts]
