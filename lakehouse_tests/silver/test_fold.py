"""Which version wins: golden vectors in every order and batching, and random cases against plain Python."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import Any

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lakehouse.silver.fold import DISPOSITIONS
from lakehouse_tests.silver.folding import Case, Event, current, fold, history, seen_ever, seen_now

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


def batchings(events: Sequence[Event]) -> Iterator[Case]:
    """Every order of the events, cut into batches in every way."""
    for order in dict.fromkeys(permutations(events)):
        for cuts in range(2 ** (len(order) - 1)):
            batches: list[list[Event]] = [[]]
            for index, event in enumerate(order):
                if index and cuts >> (index - 1) & 1:
                    batches.append([])
                batches[-1].append(event)
            yield batches


def test_the_oracle_agrees_with_the_golden_vectors() -> None:
    for name, (events, now, ever) in GOLDEN.items():
        assert current(events) == now, name
        assert history(events) == ever, name


def _golden() -> list[tuple[str, Case]]:
    return [(name, batches) for name, (events, _, _) in GOLDEN.items() for batches in batchings(events)]


def conserved(batches: Case, counts: Counter[str]) -> None:
    """Every record has one disposition, and no other than the known ones."""
    assert sum(counts.values()) == sum(map(len, batches)), (batches, counts)
    assert set(counts) <= set(DISPOSITIONS)


def test_golden_vectors_give_the_current_rows_in_every_order_and_batching(spark: Any) -> None:
    cases = _golden()
    assert len(cases) > 2000
    states, counts = fold(spark, [batches for _, batches in cases], is_history=False)
    for (name, batches), state, count in zip(cases, states, counts, strict=True):
        assert seen_now(state) == GOLDEN[name][1], (name, batches)
        conserved(batches, count)


def test_golden_vectors_give_the_history_in_every_order_and_batching(spark: Any) -> None:
    cases = _golden()
    states, counts = fold(spark, [batches for _, batches in cases], is_history=True)
    for (name, batches), state, count in zip(cases, states, counts, strict=True):
        assert seen_ever(state) == GOLDEN[name][2], (name, batches)
        conserved(batches, count)


def events() -> st.SearchStrategy[Event]:
    """Few places and contents, so that they collide; what is the same event is the same in all it says."""

    def event(at: int, content: str | None, tie: int) -> Event:
        return Event(at, content, 0 if content is None else 1 + "ABC".index(content) + 3 * tie, f"{at}.{tie}")

    return st.builds(event, st.integers(1, 6), st.sampled_from(["A", "B", "C", None]), st.integers(0, 1))


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


def test_random_cases_give_the_current_rows_of_the_oracle(spark: Any) -> None:
    cases = random_cases(150)
    assert len(cases) > 300
    states, counts = fold(spark, cases, is_history=False)
    for batches, state, count in zip(cases, states, counts, strict=True):
        assert seen_now(state) == current(event for batch in batches for event in batch), batches
        conserved(batches, count)


def test_random_cases_give_the_history_of_the_oracle(spark: Any) -> None:
    cases = random_cases(150)
    states, counts = fold(spark, cases, is_history=True)
    for batches, state, count in zip(cases, states, counts, strict=True):
        assert seen_ever(state) == history(event for batch in batches for event in batch), batches
        conserved(batches, count)
        distinct = {(event.at, event.tie) for batch in batches for event in batch}
        assert len(state) == len(distinct), "history keeps every event once"


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
    for is_history in (False, True):
        _, counts = fold(spark, [batches for batches, _, _ in cases], is_history)
        assert [dict(count) for count in counts] == [case[2 if is_history else 1] for case in cases]
