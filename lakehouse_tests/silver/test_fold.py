"""Which version wins: golden vectors in every order and batching, and random cases against plain Python."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lakehouse.silver.fold import DISPOSITIONS, fold_events
from lakehouse_tests.silver.folding import (
    OF_HISTORY,
    Case,
    Event,
    Mode,
    current,
    fold,
    history,
    seen_ever,
    seen_now,
    truncate,
)

D = None
GOLDEN: dict[str, tuple[Sequence[Event], Any, Any]] = {
    # name: (events, what is current, every version that was)
    "the highest sequence wins": (
        [Event(1, "a"), Event(3, "c"), Event(2, "b")],
        ("c", ""),
        [(1, 2, "a", ""), (2, 3, "b", ""), (3, None, "c", "")],
    ),
    "a delete waits for its upsert": ([Event(5, D), Event(4, "a")], None, [(4, 5, "a", "")]),
    "a later upsert revives": (
        [Event(5, D), Event(4, "a"), Event(6, "a")],
        ("a", ""),
        [(4, 5, "a", ""), (6, None, "a", "")],
    ),
    "a repeated event changes nothing": (
        [Event(1, "a"), Event(1, "a"), Event(1, "a")],
        ("a", ""),
        [(1, None, "a", "")],
    ),
    "a delete leaves a gap": (
        [Event(5, "A"), Event(8, D), Event(12, "A")],
        ("A", ""),
        [(5, 8, "A", ""), (12, None, "A", "")],
    ),
    "a late event bisects a run": (
        [Event(5, "A", remark="old"), Event(10, "A", remark="new"), Event(7, "B")],
        ("A", "new"),
        [(5, 7, "A", "old"), (7, 10, "B", ""), (10, None, "A", "new")],
    ),
    "a run is seen from its head with its tail's values": (
        [Event(5, "A"), Event(10, "A", remark="x"), Event(15, "A", remark="y"), Event(20, "C")],
        ("C", ""),
        [(5, 20, "A", "y"), (20, None, "C", "")],
    ),
    "a change of what is not tracked overwrites the version": (
        [Event(5, "A", remark="x"), Event(10, "A", remark="z"), Event(7, "A", remark="y")],
        ("A", "z"),
        [(5, None, "A", "z")],
    ),
    "a late event bisects a closed run": (
        [Event(5, "A"), Event(10, "A"), Event(15, "A"), Event(20, "C"), Event(12, "B")],
        ("C", ""),
        [(5, 12, "A", ""), (12, 15, "B", ""), (15, 20, "A", ""), (20, None, "C", "")],
    ),
    "two deletes": ([Event(3, D), Event(2, "a"), Event(7, D)], None, [(2, 3, "a", "")]),
    "a delete of what never was": ([Event(3, D)], None, []),
    "one sequence, two contents: the tie decides, and no empty interval is seen": (
        [Event(5, "A", tie=2), Event(5, "B", tie=9), Event(8, "C")],
        ("C", ""),
        [(5, 8, "B", ""), (8, None, "C", "")],
    ),
    "a delete and an upsert at one place": ([Event(5, "A", tie=2), Event(5, D, tie=9)], None, []),
    "an upsert after a delete at one place": (
        [Event(4, "A"), Event(5, D, tie=1), Event(5, "A", tie=2)],
        ("A", ""),
        [(4, 5, "A", ""), (5, None, "A", "")],
    ),
}


TABLE: dict[str, tuple[Sequence[Event], Any, Any]] = {
    # As above, but of several keys: what is current and every version that was, by key.
    "a truncate removes what is older and nothing else": (
        [Event(1, "a"), Event(4, "b", key=1), truncate(3), Event(2, "c", key=1)],
        {1: ("b", "")},
        {0: [(1, 3, "a", "")], 1: [(2, 3, "c", ""), (4, None, "b", "")]},
    ),
    "after a truncate a row begins anew": (
        [Event(1, "A"), truncate(5), Event(8, "A")],
        {0: ("A", "")},
        {0: [(1, 5, "A", ""), (8, None, "A", "")]},
    ),
    "two truncates": (
        [Event(1, "A"), truncate(5), Event(6, "B"), truncate(8)],
        {},
        {0: [(1, 5, "A", ""), (6, 8, "B", "")]},
    ),
    "a repeated truncate changes nothing": ([Event(1, "A"), truncate(5), truncate(5)], {}, {0: [(1, 5, "A", "")]}),
    "a truncate and a delete": (
        [Event(1, "A"), Event(3, D), truncate(5), Event(7, "B")],
        {0: ("B", "")},
        {0: [(1, 3, "A", ""), (7, None, "B", "")]},
    ),
    "a change of key deletes the old one and makes the new": (
        [Event(1, "a"), Event(5, "b", tie=7, key=1, moved_from=0)],
        {1: ("b", "")},
        {0: [(1, 5, "a", "")], 1: [(5, None, "b", "")]},
    ),
    "a row that moves away and back": (
        [Event(1, "a"), Event(4, "a", tie=7, key=1, moved_from=0), Event(6, "a", tie=8, moved_from=1)],
        {0: ("a", "")},
        {0: [(1, 4, "a", ""), (6, None, "a", "")], 1: [(4, 6, "a", "")]},
    ),
    "an old key that is used again": (
        [Event(1, "a"), Event(4, "b", tie=7, key=1, moved_from=0), Event(6, "c"), Event(3, "d")],
        {0: ("c", ""), 1: ("b", "")},
        {0: [(1, 3, "a", ""), (3, 4, "d", ""), (6, None, "c", "")], 1: [(4, None, "b", "")]},
    ),
    "a change of key before a truncate": (
        [Event(1, "a"), Event(4, "b", tie=7, key=1, moved_from=0), truncate(6)],
        {},
        {0: [(1, 4, "a", "")], 1: [(4, 6, "b", "")]},
    ),
}
BOTH = ("content", "remark")
PARTIAL: dict[str, tuple[Sequence[Event], Any, Any]] = {
    # As above, with events that leave values to those before them.
    "a value that is left out is the one before": (
        [Event(1, "A", remark="x"), Event(3, "B", remark=None, kept=("remark",))],
        {0: ("B", "x")},
        {0: [(1, 3, "A", "x"), (3, None, "B", "x")]},
    ),
    "it comes late": (
        [Event(1, "A", remark="x"), Event(3, "B", kept=("remark",)), Event(2, "A", remark="y")],
        {0: ("B", "y")},
        {0: [(1, 3, "A", "y"), (3, None, "B", "y")]},
    ),
    "it is not known yet": ([Event(3, "B", kept=("remark",))], {0: ("B", None)}, {0: [(3, None, "B", None)]}),
    "through several": (
        [Event(1, "A", remark="x"), Event(2, None, kept=BOTH), Event(3, None, kept=("content",), remark="z"),
         Event(4, None, kept=BOTH)],
        {0: ("A", "z")},
        {0: [(1, None, "A", "z")]},
    ),
    "a delete ends what is left": (
        [Event(1, "A", remark="x"), Event(3, D), Event(5, "B", kept=("remark",))],
        {0: ("B", None)},
        {0: [(1, 3, "A", "x"), (5, None, "B", None)]},
    ),
    "so does a truncate": (
        [Event(1, "A", remark="x"), truncate(3), Event(5, "B", kept=("remark",)), Event(4, "C", remark="y")],
        {0: ("B", "y")},
        {0: [(1, 3, "A", "x"), (4, 5, "C", "y"), (5, None, "B", "y")]},
    ),
    "a run goes on through what is left out": (
        [Event(1, "A", remark="x"), Event(3, None, kept=("content",), remark="y"), Event(5, "B", kept=("remark",)),
         Event(2, "C", remark="w")],
        {0: ("B", "y")},
        {0: [(1, 2, "A", "x"), (2, 5, "C", "y"), (5, None, "B", "y")]},
    ),
    "what moved to another key takes nothing along": (
        [Event(1, "A", remark="x"), Event(3, "B", tie=7, key=1, moved_from=0, kept=("remark",))],
        {1: ("B", None)},
        {0: [(1, 3, "A", "x")], 1: [(3, None, "B", None)]},
    ),
    "null is a value where it is not left out": (
        [Event(1, "A", remark="x"), Event(2, "A", remark=None), Event(3, "B", kept=("remark",))],
        {0: ("B", None)},
        {0: [(1, 3, "A", None), (3, None, "B", None)]},
    ),
}  # fmt: skip
GOLDEN_TABLES = {
    name: (events, {0: now} if now else {}, {0: ever} if ever else {}) for name, (events, now, ever) in GOLDEN.items()
} | TABLE
"""Vectors of whole rows."""


def batchings(events: Sequence[Event]) -> Iterator[Case]:
    """Every order of the events, cut into batches in every way. Of more than four events, a batch has them in one order: of fewer
    it is seen that another changes nothing."""
    seen = set()
    for order in dict.fromkeys(permutations(events)):
        for cuts in range(2 ** (len(order) - 1)):
            batches: list[list[Event]] = [[]]
            for index, event in enumerate(order):
                if index and cuts >> (index - 1) & 1:
                    batches.append([])
                batches[-1].append(event)
            told = tuple(map(frozenset, batches))
            if len(order) < 5 or told not in seen:
                seen.add(told)
                yield batches


def test_the_oracle_agrees_with_the_golden_vectors() -> None:
    for name, (events, now, ever) in (GOLDEN_TABLES | PARTIAL).items():
        assert current(events) == now, name
        assert history(events) == ever, name


def conserved(batches: Case, counts: Counter[str]) -> None:
    """Every record has one disposition, and no other than the known ones."""
    assert sum(counts.values()) == sum(not event.is_truncate for batch in batches for event in batch), (batches, counts)
    assert set(counts) <= set(DISPOSITIONS)


MODES: tuple[Mode, ...] = ("current", "history", "tracked", "filled", "filled history")
WHOLE, PART = GOLDEN_TABLES, TABLE | PARTIAL


def check_golden(spark: Any, mode: Mode, golden: dict[str, tuple[Sequence[Event], Any, Any]]) -> None:
    cases = [(name, batches) for name, (events, _, _) in golden.items() for batches in batchings(events)]
    assert len(cases) > 150
    states, counts = fold(spark, [batches for _, batches in cases], mode)
    for (name, batches), state, count in zip(cases, states, counts, strict=True):
        seen = seen_ever(state) if mode in OF_HISTORY else seen_now(state)
        assert seen == golden[name][2 if mode in OF_HISTORY else 1], (name, batches)
        conserved(batches, count)


@pytest.mark.parametrize(("mode", "golden"), [("current", WHOLE), ("history", WHOLE), ("filled history", PART)])
def test_golden_vectors_in_every_order_and_batching(spark: Any, mode: Mode, golden: Any) -> None:
    check_golden(spark, mode, golden)


def test_golden_vectors_of_up_to_three_events_of_the_other_kinds(spark: Any) -> None:
    for mode in ("tracked", "filled"):
        check_golden(
            spark, mode, {name: of for name, of in (WHOLE if mode == "tracked" else PART).items() if len(of[0]) < 4}
        )


@pytest.mark.soak
@pytest.mark.parametrize(("mode", "golden"), [("tracked", WHOLE), ("filled", WHOLE | PART), ("filled history", WHOLE)])
def test_golden_vectors_of_the_other_kinds(spark: Any, mode: Mode, golden: Any) -> None:
    check_golden(spark, mode, golden)


def events() -> st.SearchStrategy[Event]:
    """Few places, keys and contents, so that they collide; what is the same event is the same in all it says. At one
    place truncates come first and deletes last, as `parse` has it."""

    def event(
        at: int, content: str | None, remark: str | None, key: int, kept: tuple[str, ...], moved: int | None
    ) -> Event:
        if content == "truncate":
            return truncate(at)
        told = (content, remark, key, kept, moved)
        if content is None and moved is None:
            return Event(at, None, 1 << 33, key=key)
        moved = moved if moved != key else None
        return Event(at, content or "A", 1 + crc32(repr(told).encode()), remark, key, kept, moved)

    return st.builds(
        event,
        st.integers(1, 6),
        st.sampled_from(["A", "B", "C", None, "A", "B", None, "truncate"]),
        st.sampled_from(["x", "y", None]),
        st.integers(0, 1),
        st.sampled_from([(), (), ("remark",), BOTH]),
        st.sampled_from([None, None, None, 0, 1]),
    )


def whole(event: Event) -> Event:
    """The event as one that leaves nothing out."""
    return replace(event, kept=()) if event.kept else event


def random_cases(count: int) -> list[Case]:
    """The same cases on each run: batches of events with repetitions, some of them empty."""
    cases: list[Case] = []

    @hypothesis_settings(max_examples=count, derandomize=True, database=None, deadline=None)
    @given(st.lists(st.lists(events(), max_size=5), min_size=1, max_size=4), st.randoms(use_true_random=False))
    def collect(batches: list[list[Event]], chance: Any) -> None:
        if not any(batches):
            return
        everything = [event for batch in batches for event in batch]
        again = [*everything, chance.choice(everything)]
        chance.shuffle(again)
        cut = chance.randrange(len(again) + 1)
        cases.extend([batches, [again], [again[:cut], again[cut:]]])

    collect()
    return cases


def check_random_cases(spark: Any, mode: Mode, count: int) -> None:
    cases = random_cases(count)
    assert len(cases) > 2 * count
    if not mode.startswith("filled"):
        cases = [[[whole(event) for event in batch] for batch in batches] for batches in cases]
    states, counts = fold(spark, cases, mode)
    for batches, state, count in zip(cases, states, counts, strict=True):
        told = [event for batch in batches for event in batch]
        expected = history(told) if mode in OF_HISTORY else current(told)
        assert (seen_ever(state) if mode in OF_HISTORY else seen_now(state)) == expected, batches
        conserved(batches, count)
        if mode != "current":
            places = [(row["part"], row["at"], row["tie"]) for row in state]
            assert len(places) == len(set(places)), "every event is kept once"
            assert {(e.key, e.at, e.tie) for e in told if not e.is_truncate} <= set(places), "and every event is kept"


@pytest.mark.parametrize("mode", ["current", "history", "filled", "filled history"])
def test_random_cases_give_what_the_oracle_gives(spark: Any, mode: Mode) -> None:
    check_random_cases(spark, mode, 100)


@pytest.mark.soak
@pytest.mark.parametrize("mode", MODES)
def test_thousands_of_random_cases_give_what_the_oracle_gives(spark: Any, mode: Mode) -> None:
    check_random_cases(spark, mode, 3000)


def test_dispositions_say_what_became_of_each_record(spark: Any) -> None:
    a1, a2, b3, gone = Event(1, "a"), Event(2, "a"), Event(3, "b"), Event(4, D)
    cases: list[tuple[Case, dict[str, int], dict[str, int]]] = [
        ([[a1]], {"applied": 1}, {"applied": 1}),
        ([[a1, a1]], {"applied": 1, "duplicate": 1}, {"applied": 1, "duplicate": 1}),
        ([[a1], [a1]], {"applied": 1, "duplicate": 1}, {"applied": 1, "duplicate": 1}),
        ([[a1], [a2]], {"applied": 1, "noop": 1}, {"applied": 1, "noop": 1}),
        ([[b3], [a1]], {"applied": 1, "superseded": 1}, {"applied": 2}),
        ([[b3, a1, a1]], {"applied": 1, "superseded": 1, "duplicate": 1}, {"applied": 2, "duplicate": 1}),
        ([[a1], [gone]], {"applied": 1, "deleted": 1}, {"applied": 1, "deleted": 1}),
        ([[gone], [Event(5, D)]], {"deleted": 1, "noop": 1}, {"deleted": 2}),
        ([[gone], [gone], [b3]], {"deleted": 1, "duplicate": 1, "superseded": 1},
         {"deleted": 1, "duplicate": 1, "applied": 1}),
    ]  # fmt: skip
    modes: tuple[Mode, ...] = ("current", "history", "filled")
    for mode in modes:
        _, counts = fold(spark, [batches for batches, _, _ in cases], mode)
        assert [dict(count) for count in counts] == [case[2 if mode in OF_HISTORY else 1] for case in cases], mode


def test_a_state_that_lacks_a_column_and_has_a_narrower_one_is_filled_as_if_it_always_had_them(spark: Any) -> None:
    shape = "id string, size {}, at int, _is_deleted boolean, _hash bigint, _kept array<string>, _position bigint, "
    place = ("*", "named_struct('s0', at, 'tie', 0L) as _sequence", "'f' as _file", "true as _is_record")
    held = [
        ("1", 7, 1, False, 0, [], 1, 1, 5, False),
        ("1", 7, 5, False, 0, ["size"], 2, 5, None, True),
        ("2", 8, 1, False, 0, [], 3, 1, 9, False),
        ("2", 9, 9, False, 0, [], 4, 9, None, True),
    ]
    late = [("1", None, 3, False, 0, ["size"], 5, "red"), ("2", 2**40, 2, False, 0, ["colour"], 6, None)]
    state = spark.createDataFrame(held, shape.format("int") + "valid_from int, valid_to int, _is_visible boolean")
    events = spark.createDataFrame(late, shape.format("bigint") + "colour string").selectExpr(*place)
    both = ("size", "colour")
    folded = fold_events(events, state.selectExpr(*place), ["id"], is_history=False, filled=both, null_keeps=both)
    rows = folded.select("id", "at", "size", "colour", "valid_to", "_is_written").collect()
    assert sorted((tuple(row) for row in rows), key=lambda row: row[:2]) == [
        ("1", 1, 7, None, 3, True), ("1", 3, 7, "red", 5, True), ("1", 5, 7, "red", None, True),
        ("2", 1, 8, None, 2, True), ("2", 2, 2**40, None, 9, True), ("2", 9, 9, None, None, False),
    ]  # fmt: skip
