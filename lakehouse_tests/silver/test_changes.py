"""Changes from landing to silver: every order and batching, and random ones, in one table of many cases, and a rebuild gives
the same."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lakehouse.contracts.model import Contract
from lakehouse.silver import ledger
from lakehouse_tests.silver.folding import Event, current, history
from lakehouse_tests.silver.small import column, contract, key
from lakehouse_tests.silver.test_refine import Shop

AWAY = "__debezium_unavailable_value"
Record = dict[str, Any]
_names = (f"changed{number}" for number in itertools.count())


def event(op: str, lsn: int, before: Record | None = None, after: Record | None = None) -> Record:
    return {"op": op, "before": before, "after": after, "source": {"lsn": lsn}}


def upsert(lsn: int, name: str = "a", blob: str | None = "x", key: str = "1", op: str = "u") -> Record:
    return event(op, lsn, None, {"id": key, "name": name, "blob": blob})


def delete(lsn: int, key: str = "1", **image: str) -> Record:
    return event("d", lsn, {"id": key, **image})


def moved(lsn: int, old: str, new: str, name: str = "a") -> Record:
    return event("u", lsn, {"id": old}, {"id": new, "name": name, "blob": "x"})


CHANGES: dict[str, tuple[Sequence[Record], dict[str, tuple[Any, Any]], list[tuple[Any, ...]]]] = {
    # name: (events, what is current by key, every version that the history of `name` has)
    "late": ([upsert(1), upsert(3, "c"), upsert(2, "b")], {"1": ("c", "x")},
             [("1", 1, 2, "a", "x"), ("1", 2, 3, "b", "x"), ("1", 3, None, "c", "x")]),
    "late delete": ([upsert(1), upsert(5), delete(3)], {"1": ("a", "x")},
                    [("1", 1, 3, "a", "x"), ("1", 5, None, "a", "x")]),
    "early delete": ([delete(5), upsert(4)], {}, [("1", 4, 5, "a", "x")]),
    "untracked": ([upsert(5, blob="old"), upsert(10, blob="new"), upsert(7, "b")], {"1": ("a", "new")},
                  [("1", 5, 7, "a", "old"), ("1", 7, 10, "b", "x"), ("1", 10, None, "a", "new")]),
    "moved": ([upsert(1), moved(4, "1", "2", "b"), upsert(6, "c")], {"1": ("c", "x"), "2": ("b", "x")},
              [("1", 1, 4, "a", "x"), ("1", 6, None, "c", "x"), ("2", 4, None, "b", "x")]),
    "read for a snapshot": ([upsert(5, "b"), upsert(5, "a", op="r"), upsert(2, "c")], {"1": ("b", "x")},
                            [("1", 2, 5, "c", "x"), ("1", 5, None, "b", "x")]),
    "deleted at the same place": ([upsert(5), delete(5, name="a", blob="x"), upsert(3, "b")], {},
                                  [("1", 3, 5, "b", "x")]),
}  # fmt: skip
PARTIAL: dict[str, tuple[Sequence[Record], dict[str, tuple[Any, Any]], list[tuple[Any, ...]]]] = {
    **{name: CHANGES[name] for name in ("late delete", "untracked", "moved")},
    "large value": ([upsert(1, blob="big"), upsert(3, "b", AWAY), upsert(2, "a", "bigger")], {"1": ("b", "bigger")},
                    [("1", 1, 3, "a", "bigger"), ("1", 3, None, "b", "bigger")]),
    "not known yet": ([upsert(3, "b", AWAY)], {"1": ("b", None)}, [("1", 3, None, "b", None)]),
    "begun anew": ([upsert(1, blob="big"), delete(2), upsert(3, "b", AWAY)], {"1": ("b", None)},
                   [("1", 1, 2, "a", "big"), ("1", 3, None, "b", None)]),
}  # fmt: skip


def version(at: int, name: str | None, blob: str | None = "x", state: str | None = None) -> Record:
    return {"id": "1", "name": name, "blob": blob, "state": state, "at": at}


VERSIONS: dict[str, tuple[Sequence[Record], dict[str, tuple[Any, Any]], list[tuple[Any, ...]]]] = {
    "a null leaves the value": ([version(1, "a", "x"), version(3, None, "y"), version(2, "b", None)],
                                {"1": ("b", "y")}, [("1", 1, 2, "a", "x"), ("1", 2, None, "b", "y")]),
    "deleted by condition": ([version(1, "a"), version(3, None, None, "gone"), version(2, "b")], {},
                             [("1", 1, 2, "a", "x"), ("1", 2, 3, "b", "x")]),
    "begun anew": ([version(1, "a"), version(2, None, None, "gone"), version(4, None, "z")], {"1": (None, "z")},
                   [("1", 1, 2, "a", "x"), ("1", 4, None, None, "z")]),
}  # fmt: skip


def batchings(records: Sequence[Record]) -> Iterator[list[list[Record]]]:
    """Every order of the records with one of them sent twice, cut in every way into two batches."""
    for order in itertools.permutations(records):
        for cut in range(len(order) + 1):
            yield [list(order[:cut]), [*order[cut:], order[0]]]


def random_events(is_partial: bool) -> st.SearchStrategy[Event]:
    """Few keys and contents, so that they collide."""
    leaves = st.sampled_from([(), ("remark",)] if is_partial else [()])

    def event(at: int, name: str | None, blob: str | None, key: int, kept: tuple[str, ...], moves: bool) -> Event:
        if name is None:
            return Event(at, None, key=key)
        return Event(at, name, 0, blob, key, kept, 3 - key if moves else None)

    of = (st.sampled_from("abc") | st.none(), st.sampled_from("xy") | st.none(), st.integers(1, 2), leaves)
    return st.builds(event, st.integers(1, 20), *of, st.sampled_from([False, False, True]))


def as_record(event: Event) -> Record:
    key = str(event.key)
    if event.content is None:
        return delete(event.at, key)
    before = {"id": str(event.moved_from)} if event.moved_from else None
    blob = AWAY if event.kept else event.remark
    return {**upsert(event.at, event.content, blob, key), "before": before}


def random_cases(kind: str, count: int) -> list[tuple[Any, list[list[Record]], list[tuple[Any, ...]]]]:
    """(what it is, two batches, the rows that the oracle expects): events in any order, some of them sent again. Of two at
    one place the content decides, which test_fold asks; here each has its own."""
    found: list[tuple[Any, list[list[Record]], list[tuple[Any, ...]]]] = []

    @hypothesis_settings(max_examples=count, derandomize=True, database=None, deadline=None)
    @given(
        st.lists(random_events("partial" in kind), min_size=1, max_size=7, unique_by=lambda event: event.at),
        st.randoms(use_true_random=False),
    )
    def collect(events: list[Event], chance: Any) -> None:
        again = [*events, *chance.sample(events, chance.randrange(len(events)))]
        chance.shuffle(again)
        cut = chance.randrange(len(again) + 1)
        records = [as_record(event) for event in again]
        if "history" in kind:
            rows = [(str(key), *version) for key, versions in history(events).items() for version in versions]
        else:
            rows = [(str(key), *values) for key, values in current(events).items()]
        found.append((events, [records[:cut], records[cut:]], rows))

    collect()
    return found


def in_case(record: Record, case: int) -> Record:
    """The record as one of a case: the case is part of its key."""
    images = [name for name in ("before", "after") if record.get(name)]
    if not images:
        return record | {"case": case}
    return record | {name: record[name] | {"case": case} for name in images}


def of_changes(**own: Any) -> Contract:
    columns = [key("case", "int"), key("id", position=2), column("name", required=True), column("blob")]
    return contract(columns, name=next(_names), delivery="changes", sequence=["source.lsn"], **own)


def of_versions(**own: Any) -> Contract:
    columns = [
        key("case", "int"),
        key("id", position=2),
        column("name"),
        column("blob"),
        column("state"),
        column("at", "int", required=True),
    ]
    return contract(columns, name=next(_names), sequence=["at"], **{"delete_when": "state = 'gone'"} | own)


KINDS = {
    "changes": (of_changes, {}, CHANGES),
    "changes, history": (of_changes, {"history": "full", "tracked_columns": ["name"]}, CHANGES),
    "partial rows": (of_changes, {"partial_rows": True}, PARTIAL),
    "partial rows, history": (
        of_changes,
        {"partial_rows": True, "history": "full", "untracked_columns": ["blob"]},
        PARTIAL,
    ),
    "ignored nulls": (of_versions, {"ignore_nulls": True}, VERSIONS),
    "ignored nulls, history": (
        of_versions,
        {"ignore_nulls": ["name", "blob"], "history": "full", "tracked_columns": ["name"]},
        VERSIONS,
    ),
}


AT_ONCE = ("changes", "partial rows, history")
"""The kinds that differ most; with them every step is taken. The others are left to `-m soak`: `test_fold` has each of them
in every order, and `REBUILT` one of nulls that are ignored."""


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[] if kind in AT_ONCE else [pytest.mark.soak]) for kind in KINDS]
)
def test_every_order_and_batching_and_a_rebuild_give_the_same(spark: Any, tmp_path: Path, kind: str) -> None:
    make, own, vectors = KINDS[kind]
    shop = Shop(spark, tmp_path, make(**own))
    cases: list[tuple[Any, list[list[Record]], list[tuple[Any, ...]]]] = [
        (name, batches, ever if "history" in kind else [(key, *values) for key, values in now.items()])
        for name, (records, now, ever) in vectors.items()
        for batches in batchings(records)
    ]
    assert len(cases) > 60
    if make is of_changes:
        cases += random_cases(kind, 200)
    for number in range(2):
        batch = [in_case(record, case) for case, (_, batches, _) in enumerate(cases) for record in batches[number]]
        counts = shop.take("2025-03-05", f"part-{number}", batch)
        assert not counts.keys() & {"quarantined", "rejected", "too_late"}
        assert (number == 1) <= ("duplicate" in counts)

    def seen() -> dict[int, Any]:
        found: dict[int, Any] = defaultdict(list)
        intervals = ("valid_from", "valid_to") if shop.of.history == "full" else ()
        for row in shop.seen("case", "id", *intervals, "name", "blob"):
            found[row[0]].append(row[1:])
        return found

    def check() -> None:
        rows = seen()
        for case, (name, batches, expected) in enumerate(cases):
            assert sorted(rows[case], key=str) == sorted(expected, key=str), (name, batches)

    check()
    done = shop.refine(full_refresh=True)
    assert done is not None and done.is_rebuild
    check()


TRUNCATED = [
    [upsert(10, key="1"), upsert(12, key="2"), moved(13, "2", "4")],
    [upsert(30, "c", key="3"), event("t", 20), "null"],
    [upsert(15, key="5"), upsert(40, "d", key="1"), upsert(11, "b", key="1"), event("t", 20), event("t", 35),
     upsert(33, "e", key="6"), upsert(37, "f", key="7")],
]  # fmt: skip
"""Keys 5, 3 and 6 are gone by a truncate that the table knew, or learns, after or before them."""


def current_of(rows: list[tuple[Any, ...]]) -> dict[str, str]:
    return {key: name for key, name, *_ in rows}


@pytest.mark.parametrize("history", ["current", pytest.param("full", marks=pytest.mark.soak)])
def test_truncates_in_any_order_and_anew(spark: Any, tmp_path: Path, history: str) -> None:
    columns = [key(), column("name", required=True), column("blob")]
    shop = Shop(spark, tmp_path, contract(columns, name=next(_names), delivery="changes", sequence=["source.lsn"],
                                          history=history))  # fmt: skip
    wanted = ("id", "name", *(("valid_from", "valid_to") if history == "full" else ()))
    counts: Counter[str] = Counter()
    taken = [shop.take("2025-03-05", f"part-{number}", batch) for number, batch in enumerate(TRUNCATED)]
    for batch in taken:
        counts.update(batch)
    assert taken[1]["noop"] == 1, "a tombstone of Kafka's says nothing"
    assert (taken[1]["deleted"], taken[2]["duplicate"], taken[2]["deleted"]) == (1, 1, 1)
    assert shop.quarantine() == []
    assert counts.total() == sum(map(len, TRUNCATED))
    rows = shop.seen(*wanted)
    if history == "current":
        assert current_of(rows) == {"1": "d", "7": "f"}
    else:
        assert rows == sorted(
            [("1", "a", 10, 11), ("1", "b", 11, 20), ("1", "d", 40, None), ("2", "a", 12, 13), ("3", "c", 30, 35),
             ("4", "a", 13, 20), ("5", "a", 15, 20), ("6", "e", 33, 35), ("7", "f", 37, None)], key=str)  # fmt: skip
    assert [row["rows_deleted"] for row in shop.batches()] == [1, 2, 3]
    done = shop.refine(full_refresh=True)
    assert done is not None
    assert sum(done.counts.values()) == done.landed
    assert shop.seen(*wanted) == rows


DAYS = ("2025-03-01", "2025-03-20", "2025-04-20", "2025-04-21")


@pytest.mark.parametrize(
    "partial", [pytest.param(False, marks=pytest.mark.soak), True], ids=["whole rows", "partial rows"]
)
def test_beyond_the_horizon_nothing_is_kept_and_nothing_comes_back(spark: Any, tmp_path: Path, partial: bool) -> None:
    columns = [key(), column("name", required=True), column("blob")]
    of = contract(columns, name=next(_names), delivery="changes", sequence=["source.lsn"], partial_rows=partial)
    shop = Shop(spark, tmp_path, of)
    shop.take(DAYS[0], "a", [upsert(10), upsert(20, "b", AWAY if partial else "x"), upsert(11, key="2"),
                             delete(21, "2"), upsert(15, key="3")])  # fmt: skip
    # Within the horizon a late record of a deleted key changes nothing.
    counts = shop.take(DAYS[1], "b", [upsert(30, key="4"), delete(31, "4"), upsert(12, "late", key="2")])
    assert counts == {"superseded": 2, "deleted": 1}
    before = ledger.last_note(spark, of)
    assert before is not None
    assert "floor" not in before[1]
    change = ledger.change_of(before[1])
    shop.take(DAYS[2], "c", [upsert(50, key="5")])
    assert len(shop.rows(of.state_table, "id")) == (9 if partial else 5)
    shop.take(DAYS[3], "d", [upsert(51, key="6")])

    assert shop.rows(of.state_table, "id", "_is_deleted") == [
        ("1", False), ("3", False), *([("4", False)] if partial else []), ("4", True), ("5", False), ("6", False),
    ], "the events before the newest, and the delete of 2, are gone; that of 4 came later"  # fmt: skip
    note = ledger.last_note(spark, of)
    assert note is not None
    assert note[1]["floor"] == "21"
    assert ledger.is_rebuilt_since(spark, of, 0), "gold that has not seen the delete is built from nothing"
    assert not ledger.is_rebuilt_since(spark, of, change)
    assert shop.seen("id", "name", "blob") == [
        ("1", "b", "x"), ("3", "a", "x"), ("5", "a", "x"), ("6", "a", "x"),
    ]  # fmt: skip

    counts = shop.take(
        DAYS[3], "e", [upsert(12, "late", key="2"), upsert(21, key="7"), upsert(60, "c", AWAY if partial else "x")]
    )
    assert counts == {"too_late": 2, "applied": 1}
    assert shop.seen("id", "name", "blob")[0] == ("1", "c", "x"), "what was forgotten left its values behind"
    assert [row[0] for row in shop.seen("id")] == ["1", "3", "5", "6"]


def plain(of: str, **own: Any) -> Contract:
    columns = [key(), column("name"), column("at", "timestamp", required=True)]
    sequence = {} if of == "snapshot" else {"sequence": ["at"]}
    return contract(columns, name=next(_names), delivery=of, **sequence, **own)


def row(number: int, day: int, name: str | None = "a") -> Record:
    return {"id": str(number), "name": name, "at": f"2025-03-{day:02}T10:00:00Z"}


REBUILT: dict[str, tuple[Contract, list[list[Record]], list[tuple[Any, ...]]]] = {
    "versions, history, ignored nulls, deletes and truncates": (
        plain("versions", history="full", untracked_columns=["at"], delete_when="name = 'gone'",
              truncate_when="name = 'all'", ignore_nulls=True),
        [[row(1, 3), row(1, 6, "b"), row(2, 3, "gone"), row(3, 7), row(1, 8, None)],
         [row(1, 4, "c"), row(2, 2), {"name": "all", "at": "2025-03-05"}, row(4, 4)]],
        [("1", "a", 3, 4), ("1", "b", 6, None), ("1", "c", 4, 5), ("2", "a", 2, 3), ("3", "a", 7, None),
         ("4", "a", 4, 5)],
    ),
    "append": (plain("append"), [[row(1, 3), row(2, 3)], [row(2, 3), row(3, 1)]],
               [("1", "a"), ("2", "a"), ("3", "a")]),
}  # fmt: skip
"""Beside the kinds above, and snapshots: those that history is kept of in test_refine, the others in test_retention."""


@pytest.mark.parametrize("kind", REBUILT)
def test_a_rebuild_equals_what_the_batches_gave(spark: Any, tmp_path: Path, kind: str) -> None:
    of, batches, expected = REBUILT[kind]
    shop = Shop(spark, tmp_path, of)
    days = ("extract(day from valid_from)", "extract(day from valid_to)") if of.history == "full" else ()

    def seen() -> list[tuple[Any, ...]]:
        rows = spark.table(of.silver_table).selectExpr("id", "name", *days).collect()
        return sorted((tuple(row) for row in rows), key=str)

    for number, batch in enumerate(batches, 5):
        shop.take(f"2025-03-{number:02}", "a", batch)
    assert seen() == expected
    done = shop.refine(full_refresh=True)
    assert done is not None and done.is_rebuild
    assert seen() == expected
