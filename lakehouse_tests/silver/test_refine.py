"""The one step of a silver table, end to end: landing, bronze, silver, on contracts as small as they can be."""

import itertools
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from lakehouse.bronze import ingest as bronze
from lakehouse.bronze.landing import landed_files
from lakehouse.contracts.model import Contract
from lakehouse.engine import client
from lakehouse.quality.audit import check_names
from lakehouse.quality.results import CHECK_RESULTS
from lakehouse.settings import settings
from lakehouse.silver import assets, commits, evolution, ledger, quarantine, refine, staging, state
from lakehouse.silver.evolution import BasisError, LostViewsError
from lakehouse.silver.fold import DISPOSITIONS
from lakehouse.silver.refine import BatchBlockedError, Refined
from lakehouse.silver.rule_errors import RefusedRuleError
from lakehouse.storage.notes import notes
from lakehouse.storage.tables import ConcurrentWriterError, TableShapeError
from lakehouse_tests.silver.small import accepted, column, contract, items, key, land, pii

_names = (f"refined{number}" for number in itertools.count())


class Killed(BaseException):
    """A process that ends where it stands."""


class Shop:
    """One table of landing, bronze and silver."""

    def __init__(self, spark: Any, root: Path, of: Contract) -> None:
        self.spark, self.root, self.of = spark, root, of
        bronze.ensure_tables(spark, settings().storage_dir, of)

    def ingest(self, day: str, name: str, content: Any) -> None:
        land(self.root, self.of, day, name, content)
        files = bronze.pending_files(landed_files(str(self.root), self.of), bronze.taken_files(self.spark, self.of))
        bronze.ingest(self.spark, str(self.root), settings().storage_dir, self.of, files, "run")

    def refine(self, full_refresh: bool = False) -> Refined | None:
        names = frozenset({self.of.table})
        return refine.refine(self.spark, settings().storage_dir, self.of, "run", names, full_refresh)

    def take(self, day: str, name: str, content: Any) -> dict[str, int]:
        """Ingests and refines; the dispositions that are not zero."""
        self.ingest(day, name, content)
        done = self.refine()
        assert done is not None
        assert sum(done.counts.values()) == done.landed
        assert set(done.counts) == set(DISPOSITIONS)
        return {name: count for name, count in done.counts.items() if count}

    def seen(self, *columns: str) -> list[tuple[Any, ...]]:
        return self.rows(self.of.silver_table, *columns)

    def rows(self, table: str, *columns: str) -> list[tuple[Any, ...]]:
        return sorted((tuple(row) for row in self.spark.table(table).selectExpr(*columns).collect()), key=str)

    def quarantine(self) -> list[tuple[Any, ...]]:
        return self.rows(self.of.quarantine_table, "record", "reasons", "disposition")

    def remembered(self) -> list[tuple[str, int]]:
        """(check, how often it was evaluated) on the newest batch."""
        newest = f"(select max(batch) from {CHECK_RESULTS} where table_name = '{self.of.table}')"
        checked = self.spark.table(CHECK_RESULTS).where(f"table_name = '{self.of.table}' and batch = {newest}")
        return [tuple(row) for row in checked.groupBy("check_name").count().collect()]

    def batches(self) -> list[Any]:
        where = f"table_name = '{self.of.table}'"
        return self.spark.table(ledger.BATCHES).where(where).orderBy("silver_version").collect()


def orders(**own: Any) -> Contract:
    lines = items("lines", column("number", "int"), column("sku"), child_table=f"lines_{next(_names)}")
    return contract(
        [
            key(),
            column("status", quality=[accepted("new", "paid")]),
            column("updated_at", "timestamp", required=True),
            pii("email"),
            lines,
        ],
        name=next(_names),
        **{"sequence": ["updated_at"], "lateness": "10d", "quarantine": {"max_percent": 50}} | own,
    )


def order(number: int, day: int, status: str = "new", **more: Any) -> dict[str, Any]:
    line = [{"number": 1, "sku": f"s{number}"}]
    return {"id": str(number), "status": status, "updated_at": f"2025-03-{day:02}T10:00:00Z", "lines": line} | more


DAY = "2025-03-21"


def test_a_threshold_blocks_the_batch_and_commits_nothing_until_it_is_changed(spark: Any, tmp_path: Path) -> None:
    of = orders()
    shop = Shop(spark, tmp_path, of)
    bad = [order(1, 1, "odd", email="secret@example.com"), {"status": "odd"}, '{"id":"3"', order(4, 1)]
    shop.ingest(DAY, "a", bad)
    with pytest.raises(BatchBlockedError, match=r"nothing was committed.*kept in bronze") as blocked:
        shop.refine()
    assert "secret" not in str(blocked.value) + str(blocked.value.results)
    assert ledger.last_note(spark, of) is None
    assert shop.rows(of.state_table, "id") == []
    assert shop.quarantine() == []
    assert not spark.catalog.tableExists(of.silver_table)
    remembered = spark.table("ops.check_results").where(f"table_name = '{of.table}' and outcome = 'fail'").count()
    assert remembered >= 1

    shop.of = of = replace(of, max_quarantined_percent=100)
    done = shop.refine()
    assert done is not None
    assert {name: count for name, count in done.counts.items() if count} == {
        "applied": 1, "quarantined": 2, "rejected": 1,
    }  # fmt: skip
    assert shop.seen("id", "status") == [("4", "new")]
    found = {reasons[0]: (record, reasons, kind) for record, reasons, kind in shop.quarantine()}
    assert found["not a JSON document"] == ('{"id":"3"', ["not a JSON document"], "rejected")
    every = ["sequence_known", "id_required", "status_accepted_values", "updated_at_required"]
    assert next(reasons for _, reasons, _ in shop.quarantine() if "id_required" in reasons) == every
    assert found["status_accepted_values"][0].count("secret@example.com") == 1, "the raw record is kept"
    shown = str(shop.rows(f"{of.silver_table}__quarantine", "record"))
    assert "secret" not in shown
    samples = str([sample for check in done.checks for sample in check.samples])
    assert "secret" not in samples
    assert "•••" in samples
    child = of.child_view(of.column("lines"))
    assert shop.rows(child, "id", "number", "sku") == [("4", 1, "s4")]
    assert [row["landed"] for row in shop.batches()] == [4]
    assert shop.refine() is None, "a second run has nothing to do"


def test_a_rule_that_spark_refuses_is_named_with_its_line(spark: Any, tmp_path: Path) -> None:
    """Functions that nobody knows, and regular expressions that Java does not read: no contract's check sees them."""
    rules = [
        {"name": "sound", "type": "custom", "engine": "spark-row", "implementation": "id <> 'x'"},
        {"name": "odd", "type": "custom", "engine": "spark-row", "implementation": "id not rlike '[('"},
    ]
    shop = Shop(spark, tmp_path, orders(quality=rules))
    shop.ingest(DAY, "a.json", [order(1, 1)])
    with pytest.raises(RefusedRuleError, match=r"yaml:\d+ odd: .*Correct it in ") as told:
        shop.refine()
    assert "sound" not in str(told.value)
    assert spark.table(shop.of.state_table).count() == 0


def test_dates_of_long_ago_and_numbers_of_no_size_stop_no_batch(spark: Any, tmp_path: Path) -> None:
    columns = [key(), column("seq", "bigint", required=True), column("at", "timestamp"), column("day", "date")]
    of = contract([*columns, column("sum", "decimal(12,2)")], name=next(_names), sequence=["seq"])
    shop = Shop(spark, tmp_path, replace(of, max_quarantined_percent=100))
    old = {"at": "1899-12-31T23:59:59Z", "day": "1582-10-10"}
    shop.take(DAY, "a", [{"id": "1", "seq": 1, **old}, {"id": "2", "seq": 1, "day": "2025-01-01"}])
    older = {"at": "0001-01-01T00:00:00Z", "day": "0001-01-01"}
    counts = shop.take(DAY, "b", [{"id": "2", "seq": 2, **older}, {"id": "3", "seq": 1, "sum": "1e-999999999"}])
    assert counts == {"applied": 1, "quarantined": 1}
    assert shop.seen("id", "cast(at as string)", "cast(day as string)") == [
        ("1", "1899-12-31 23:59:59", "1582-10-10"),
        ("2", "0001-01-01 00:00:00", "0001-01-01"),
    ]


def test_late_records_a_rebuild_and_records_that_bronze_replaced(spark: Any, tmp_path: Path) -> None:
    shop = Shop(spark, tmp_path, orders(quarantine={"max_percent": 100}))
    columns = ("id", "status", "updated_at", "email", "lines", "_rescued")

    def change() -> int:
        last = ledger.last_note(spark, shop.of)
        assert last is not None
        assert {row[0] for row in shop.seen("_batch")} <= {ledger.change_of(last[1]), *known}
        known.append(ledger.change_of(last[1]))
        return known[-1]

    known: list[int] = []
    assert shop.take(DAY, "a", [order(1, 20), order(2, 20), order(2, 20)]) == {"applied": 2, "duplicate": 1}
    change()
    # Older than the newest by more than ten days, even though the key is new.
    counts = shop.take(DAY, "b", [order(1, 15, "paid"), order(1, 21, "paid", extra=1), order(3, 11), order(4, 9)])
    assert counts == {"applied": 2, "superseded": 1, "too_late": 1}
    assert [(reasons, kind) for _, reasons, kind in shop.quarantine()] == [(["too_late"], "too_late")]
    seen = shop.seen(*columns)
    assert [(row[0], row[1], row[5]) for row in seen] == [
        ("1", "paid", '{"extra":"1"}'), ("2", "new", None), ("3", "new", None),
    ]  # fmt: skip
    assert [(row["landed"], row["since"] is None) for row in shop.batches()] == [(3, True), (4, False)]
    before = change()

    # Only what is within the horizon is promised to be the same.
    spark.sql(f"delete from {shop.of.bronze_table} where record like '%-09T%'")
    view = shop.of.child_view(shop.of.column("lines"))
    shop.of = replace(shop.of, columns=tuple(replace(one, child_table=None) for one in shop.of.columns))
    with pytest.raises(LostViewsError):
        shop.refine()
    assert not evolution.ensure_views(spark, settings().storage_dir, shop.of)
    assert spark.catalog.tableExists(view)
    done = shop.refine(full_refresh=True)
    assert done is not None
    assert done.is_rebuild
    assert not spark.catalog.tableExists(view)
    assert shop.seen(*columns) == seen
    assert shop.quarantine() == []
    assert [row["landed"] for row in shop.batches()] == [3, 4, 6]
    # It is a change to whoever reads since the last one.
    rebuilt = change()
    assert rebuilt > before
    assert ledger.is_rebuilt_since(spark, shop.of, before)
    assert not ledger.is_rebuilt_since(spark, shop.of, rebuilt)
    assert shop.refine() is None, "a rebuild leaves nothing pending"
    assert shop.take("2025-03-23", "c", [order(5, 20)]) == {"applied": 1}
    assert change() > rebuilt
    assert not ledger.is_rebuilt_since(spark, shop.of, rebuilt)

    # Records that bronze replaced are gone from silver.
    land(tmp_path, shop.of, DAY, "a", [order(2, 20, "paid")])
    (tmp_path / shop.of.source / shop.of.name / DAY / "b").unlink()
    period = (date(2025, 3, 21), date(2025, 3, 22))
    files = landed_files(str(tmp_path), shop.of, period=period)
    bronze.ingest(spark, str(tmp_path), settings().storage_dir, shop.of, files, "run", period)
    done = shop.refine()
    assert done is not None
    assert done.is_rebuild
    assert shop.seen("id", "status") == [("2", "paid"), ("5", "new")]


def test_killed_before_and_after_its_commit_and_run_again_gives_the_same(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(spark, tmp_path, orders(quarantine={"max_percent": 100}, anomalies={"severity": "warning"}))
    shop.take(DAY, "a", [order(1, 1), order(2, 1, "odd")])
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "notes", lambda session, of: (n for n in notes(session, of) if of != ledger.BATCHES))
        ledger.heal(spark, shop.of)
        assert len(shop.batches()) == 1, "also where the log has lost what it noted"
    shop.ingest(DAY, "b", [order(1, 2, "paid"), order(3, 2, "odd"), "cut"])
    commit = commits.of_state

    def die_before(*_: Any) -> None:
        raise Killed

    def die_after(*given: Any) -> None:
        commit(*given)
        raise Killed

    for times, (die, kept) in enumerate(((die_before, [("1", "new")]), (die_after, [("1", "paid")])), 1):
        with monkeypatch.context() as patch, suppress(Killed):
            patch.setattr(commits, "of_state", die)
            shop.refine()
        assert shop.seen("id", "status") == kept
        assert len(shop.batches()) == 1, "the ledger does not know of it yet"
        assert set(shop.remembered()) == dict.fromkeys(check_names(shop.of), times).items(), "and never less"
    assert shop.refine() is None, "the state has it: only the ledger is to be healed"
    assert shop.seen("id", "status") == [("1", "paid")]
    assert sorted(kind for _, _, kind in shop.quarantine()) == ["quarantined", "quarantined", "rejected"]

    # A run that finds nothing new says of every check what it found last, and remembers what it asked anew.
    context: Any = SimpleNamespace(log=logging.getLogger(), run_id="later")
    said = [*assets._results(context, shop.of, spark, dg.AssetKey(["silver", shop.of.table]), None)]
    checks = {one.check_name: one for one in said if isinstance(one, dg.AssetCheckResult)}
    assert checks.keys() == check_names(shop.of).keys()
    assert not checks["status_accepted_values"].passed and checks["quality_score"].passed
    later = spark.table(CHECK_RESULTS).where(f"table_name = '{shop.of.table}' and run_id = 'later'").collect()
    assert [(row["check_name"], row["batch"], row["severity"]) for row in later] == [
        ("quarantine_age", None, "warning")
    ]
    assert [(row["landed"], row["applied"], row["quarantined"], row["rejected"]) for row in shop.batches()] == [
        (2, 1, 1, 0), (3, 1, 1, 1),
    ]  # fmt: skip


def test_a_column_of_another_type_and_another_key_need_a_rebuild_which_shows_nothing_until_it_is_done(
    spark: Any, tmp_path: Path
) -> None:
    name = next(_names)

    def made(*columns: dict[str, Any]) -> Contract:
        return contract([key(), *columns], name=name, quarantine={"max_percent": 0})

    shop = Shop(spark, tmp_path, made(column("part"), column("amount"), column("gone")))
    first = [
        {"id": "1", "part": part, "amount": amount, "gone": "x"} for part, amount in (("x", "1.25"), ("y", "1.50"))
    ]
    assert shop.take(DAY, "a", first) == {"applied": 1, "superseded": 1}

    # A column more: nothing is rebuilt, and it is known that the first row has not seen the change.
    assert not refine.is_outdated(spark, shop.of)
    shop.of = made(column("part"), column("amount"), column("gone"), column("added", "int"))
    second = [{"id": "2", "part": "z", "amount": "2.50", "added": 7, "new": "y"}]
    assert shop.take(DAY, "b", second) == {"applied": 1}
    assert shop.seen("id", "amount", "added", "_rescued") == [
        ("1", "1.50", None, None),
        ("2", "2.50", 7, '{"new":"y"}'),
    ]
    assert refine.is_outdated(spark, shop.of)

    shop.of = new = made(key("part", position=2), column("amount", "decimal(12,2)", required=True))
    with pytest.raises(TableShapeError, match="full_refresh"):
        shop.refine()
    shop.ingest(DAY, "c", [{"id": "3", "part": "x", "amount": "no number"}])
    shop.of = made(key("part", position=2), column("amount"), column("gone"), column("added", "int"))
    with pytest.raises(BasisError, match=rf"keys was \['id'\], is \['id', 'part'\].*lakehouse rebuild shop_{name}"):
        shop.refine()
    shop.of = new
    with pytest.raises(BatchBlockedError):
        shop.refine(full_refresh=True)
    assert len(shop.seen("id")) == 2, "a rebuild that is held back leaves the old rows to the readers"
    shop.of = replace(new, max_quarantined_percent=100)
    done = shop.refine(full_refresh=True)
    assert done is not None
    assert dict(spark.table(new.silver_table).dtypes)["amount"] == "decimal(12,2)"
    assert [(key, part, str(amount)) for key, part, amount in shop.seen("id", "part", "amount")] == [
        ("1", "x", "1.25"), ("1", "y", "1.50"), ("2", "z", "2.50"),
    ]  # fmt: skip
    assert len(shop.quarantine()) == 1
    assert not refine.is_outdated(spark, shop.of)


def test_a_table_in_a_bucket_has_one_writer_a_machine_too(monkeypatch: pytest.MonkeyPatch) -> None:
    of = contract([key()], name=next(_names))
    monkeypatch.setattr(staging, "WAIT_FOR_ANOTHER", 0.1)
    with staging.sole_refiner("abfss://bucket/warehouse", of), pytest.raises(ConcurrentWriterError, match="is locked"):
        staging.sole_refiner("abfss://bucket/warehouse", of).__enter__()
    with staging.sole_refiner("abfss://bucket/warehouse", of):
        pass


def test_two_that_refine_a_table_at_once_commit_it_once(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On one machine the second waits for the first and has nothing to do; on two it finds out at the commit that it has lost.
    What a loser wrote into the quarantine meanwhile, or took back from it, is written anew."""
    of = contract([key(), column("kind", quality=[accepted("a")])], name=next(_names), quarantine={"max_percent": 90})
    shop = Shop(spark, tmp_path, of)
    shop.take(DAY, "a", [{"id": "1", "kind": "a"}])
    commit = commits.of_quarantine

    def attempt(_: int) -> object:
        session = client.connect(settings())
        try:
            return refine.refine(session, settings().storage_dir, of, "run", frozenset({of.table}))
        except ConcurrentWriterError as problem:
            return problem

    def at_once() -> object:
        """What came of the one that did not refine."""
        with ThreadPoolExecutor(2) as pool:
            ended = list(pool.map(attempt, range(2)))
        assert sum(isinstance(one, Refined) for one in ended) == 1, ended
        (other,) = (one for one in ended if not isinstance(one, Refined))
        return other

    def as_on_two_machines(patch: pytest.MonkeyPatch) -> None:
        """Each sees the other's commits alone."""
        patch.setattr(staging, "sole_refiner", lambda *_: nullcontext())

    shop.ingest(DAY, "b", [{"id": "1", "kind": "a"}, {"id": "2", "kind": "a"}, {"id": "3", "kind": "odd"}])
    commit_state = commits.of_state

    def begun_elsewhere(session: Any, *given: Any) -> None:
        """A step begins on another machine, and takes what is not committed for what a dead one left."""
        assert quarantine.heal(session, of)
        commit_state(session, *given)

    with monkeypatch.context() as patch:
        patch.setattr(commits, "of_state", begun_elsewhere)
        assert at_once() is None
    assert shop.quarantine() == []
    together = threading.Barrier(2)

    def commit_together(*given: Any) -> None:
        together.wait(120)  # both have read all that they decide by
        commit(*given)

    shop.ingest(DAY, "c", [{"id": "4", "kind": "a"}, {"id": "5", "kind": "odd"}])
    with monkeypatch.context() as patch:
        as_on_two_machines(patch)
        patch.setattr(commits, "of_quarantine", commit_together)
        assert "Run it again" in str(at_once())
    assert shop.refine() is None
    assert shop.seen("id", "kind") == [("1", "a"), ("2", "a"), ("4", "a")]
    assert len(shop.quarantine()) == 2
    assert [(row["landed"], row["applied"], row["quarantined"]) for row in shop.batches()] == [
        (1, 1, 0), (3, 1, 1), (6, 3, 2),
    ]  # fmt: skip

    def overtaken(*given: Any) -> None:
        """While the first has read batch d, another takes d and e; then the first goes on where it stood."""
        monkeypatch.setattr(commits, "of_quarantine", commit)
        shop.ingest(DAY, "e", [{"id": "7", "kind": "odd"}, {"id": "7", "kind": "a"}])
        assert shop.refine() is not None
        commit(*given)

    shop.ingest(DAY, "d", [{"id": "6", "kind": "odd"}, {"id": "6", "kind": "a"}])
    as_on_two_machines(monkeypatch)
    monkeypatch.setattr(commits, "of_quarantine", overtaken)
    with pytest.raises(ConcurrentWriterError):
        shop.refine()
    monkeypatch.undo()
    assert len(shop.quarantine()) == 3, "the loser has written over what the other had"
    assert shop.take(DAY, "f", [{"id": "8", "kind": "a"}])["applied"] == 6
    assert len(shop.quarantine()) == 4
    assert shop.seen("id") == [("1",), ("2",), ("4",), ("6",), ("7",), ("8",)]


def products(**own: Any) -> Contract:
    return contract(
        [key(), column("name", quality=[accepted("A", "B")])],
        name=next(_names),
        **{"format": "csv", "delivery": "snapshot", "history": "full", "quarantine": {"max_percent": 100}} | own,
    )


def snapshot(*rows: str) -> str:
    return "\n".join(["id,name", *rows]) + "\n"


WEEKS: Sequence[tuple[str, str]] = (
    ("2025-03-03", snapshot("1,A", "2,A", "3,A")),
    ("2025-03-10", snapshot("1,B", "3,odd", "4,A", "4,A")),  # 2 is gone; 3 is there but in quarantine
    ("2025-03-17", snapshot("1,B", "2,A", ",A")),  # a key that cannot be read: nothing is gone
    ("2025-03-24", snapshot("1,B", "2,A", "3,A")),  # 4 is gone
)
HISTORY = [
    ("1", "A", "2025-03-03", "2025-03-10"),
    ("1", "B", "2025-03-10", None),
    ("2", "A", "2025-03-03", "2025-03-10"),
    ("2", "A", "2025-03-17", None),
    ("3", "A", "2025-03-03", None),
    ("4", "A", "2025-03-10", "2025-03-24"),
]


def versions(shop: Shop) -> list[tuple[Any, ...]]:
    found = spark_rows(shop)
    assert all((row["valid_to"] is None) == row["is_current"] for row in found)
    return sorted(
        (
            (row["id"], row["name"], str(row["valid_from"])[:10], row["valid_to"] and str(row["valid_to"])[:10])
            for row in found
        ),
        key=str,
    )


def spark_rows(shop: Shop) -> list[Any]:
    rows: list[Any] = shop.spark.table(shop.of.silver_table).collect()
    return rows


def test_snapshots_in_several_batches_and_late_give_one_history(spark: Any, tmp_path: Path) -> None:
    """All of them at once: see test_quarantine, where the same history is told."""
    shop = Shop(spark, tmp_path, products())
    land(tmp_path, shop.of, WEEKS[0][0], "p.csv", WEEKS[0][1])
    assert shop.take(WEEKS[1][0], "p.csv", WEEKS[1][1]) == {"applied": 5, "duplicate": 1, "quarantined": 1}
    assert shop.take(WEEKS[3][0], "p.csv", WEEKS[3][1]) == {"noop": 2, "applied": 1}
    assert [row["rows_deleted"] for row in shop.batches()] == [1, 1]
    # The third snapshot comes after the fourth: everything is folded anew.
    shop.ingest(WEEKS[2][0], "p.csv", WEEKS[2][1])
    done = shop.refine()
    assert done is not None
    assert done.is_rebuild
    assert (done.landed, done.rows_deleted) == (13, 2)
    assert {name: count for name, count in done.counts.items() if count} == {
        "applied": 6, "noop": 4, "duplicate": 1, "quarantined": 2,
    }  # fmt: skip
    assert versions(shop) == HISTORY
    assert next(check for check in done.checks if check.name == "primary_key_unique").outcome == "pass"


def test_a_snapshot_that_was_cut_short_deletes_nothing_until_it_is_whole(spark: Any, tmp_path: Path) -> None:
    shop = Shop(spark, tmp_path, products(history="current", max_missing_percent=60))
    rows = [f"{number},A" for number in range(24)]
    (first, _), (second, _), (third, _), (fourth, _) = WEEKS

    def is_held(gone: str) -> None:
        with pytest.raises(BatchBlockedError, match=f"{gone} rows are missing"):
            shop.refine()

    assert shop.take(first, "p.csv", snapshot(*rows)) == {"applied": 24}
    shop.ingest(second, "1.csv", snapshot(*rows[:9]))
    is_held("15 of 24")
    shop.ingest(third, "1.csv", snapshot(*rows[:9]))
    is_held("15 of 24")  # that it is so for the second time does not make it true
    assert len(shop.seen("id")) == 24
    assert shop.take(third, "2.csv", snapshot(*rows[10:])) == {"noop": 32}
    assert len(shop.seen("id")) == 23
    # A late file has all folded anew; what is cut beside it is found all the same.
    shop.ingest(second, "2.csv", snapshot("99,A"))
    shop.ingest(fourth, "1.csv", snapshot(*rows[:5]))
    is_held("18 of 23")
    assert len(shop.seen("id")) == 23


def test_a_key_that_has_a_row_was_not_deleted_whatever_came_late(spark: Any, tmp_path: Path) -> None:
    columns = [key(), column("name"), column("at", "timestamp", required=True)]
    own: dict[str, Any] = {"sequence": ["at"], "ignore_nulls": True, "delete_when": "name = 'gone'"}
    shop = Shop(spark, tmp_path, contract(columns, name=next(_names), **own))

    def said(number: int, day: int, name: str) -> dict[str, str]:
        return {"id": str(number), "name": name, "at": f"2025-03-0{day}T00:00:00Z"}

    shop.take("2025-03-06", "a", [said(1, 5, "one"), said(2, 5, "two")])
    shop.take("2025-03-07", "b", [said(1, 3, "gone"), said(2, 6, "gone")])
    assert shop.seen("id") == [("1",)]
    assert [row["id"] for row in spark.sql(state.deleted_rows(shop.of)).collect()] == ["2"]
