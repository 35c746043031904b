"""`lakehouse batch` as people call it, and what the next steps make of what they decided."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lakehouse.cli import lakehouse
from lakehouse.cli.run import behind
from lakehouse.quality.audit import BATCH_REJECTED, QUALITY_SCORE
from lakehouse.quality.results import CHECK_RESULTS
from lakehouse.settings import settings
from lakehouse.silver.quarantine import Replay, Selection
from lakehouse.silver.refine import BatchBlockedError, preview, refine
from lakehouse_tests.silver.small import accepted, column, contract, key
from lakehouse_tests.silver.test_refine import Shop, _names

FIRST, SECOND, THIRD = "2025-03-05", "2025-03-06", "2025-03-07"


def call(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(lakehouse, ["batch", *arguments])
    assert done.exit_code == code, f"{arguments}: {done.output} {done.exception!r}"
    return done.output


def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spark: Any, **own: Any) -> Shop:
    of = contract(
        [key(), column("status", quality=[accepted("new", "paid")])],
        name=next(_names),
        folder=tmp_path,
        **{"quarantine": {"max_percent": 10}} | own,
    )
    for name, value in (("CONTRACTS", tmp_path), ("SAMPLE", "false"), ("LANDING", tmp_path / "landing")):
        monkeypatch.setenv(f"LAKEHOUSE_{name}", str(value))
    settings.cache_clear()
    return Shop(spark, tmp_path / "landing", of)


@pytest.fixture
def shop(spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    yield made(tmp_path, monkeypatch, spark)
    settings.cache_clear()


def held(shop: Any) -> str:
    """The number of the batch that `list` shows of the table."""
    with pytest.raises(BatchBlockedError, match=f"lakehouse batch show {shop.of.table}"):
        shop.refine()
    (row,) = [
        row for row in map(json.loads, call("list", "--format", "json").splitlines()) if row["table"] == shop.of.table
    ]
    assert row["failed"] == "quarantine_rate, status_accepted_values" and row["decision"] is None
    return str(row["batch"])


def counts(done: Any) -> dict[str, int]:
    assert done is not None and sum(done.counts.values()) == done.landed
    return {name: count for name, count in done.counts.items() if count}


def test_a_released_batch_is_taken_as_it_is_and_nothing_that_came_later(shop: Any) -> None:
    table = shop.of.table
    assert f"No batch of {table} is held back" in call("show", table)
    shop.take(FIRST, "a", [{"id": "1", "status": "new"}])
    shop.ingest(SECOND, "b", [{"id": "2", "status": "odd"}, {"id": "3", "status": "paid"}])
    number = held(shop)
    shown = call("show", table)
    assert f"batch {number} of 2 records, arrived {SECOND} to {SECOND}, is held back" in shown
    assert (
        "quarantine_rate: expected 0 % (blocks above 10 %), found 50" in shown and f"{SECOND}/b: 2 record(s)" in shown
    )

    assert "Say why: --note" in call("release", table, number, code=2)
    assert f"Batch 7 of {table} is not held back; batch {number} is" in call(
        "release", table, "7", "--note", "x", code=1
    )
    assert "Known:" in call("release", "nothing", number, "--note", "x", code=1)
    shop.ingest(THIRD, "c", [{"id": "4", "status": "odd"}])  # nobody has seen it
    assert f"Released: batch {number}" in call("release", table, number, "--note", "known at the source", "--by", "ann")
    assert "1 record(s) that arrived later wait behind it" in call("show", table)

    done = shop.refine()
    assert counts(done) == {"applied": 1, "quarantined": 1}
    rate = next(check for check in done.checks if check.name == "quarantine_rate")
    assert rate.outcome == "warn" and rate.description.endswith("released by ann: known at the source")
    assert behind(shop.spark, {table: shop.of}) == [shop.of.silver_table], "which `lakehouse run` says"
    later = held(shop)
    assert later != number and shop.seen("id") == [("1",), ("3",)]
    assert f"Batch {number} of {table} is not held back" in call("reject", table, number, "--note", "x", code=1)
    call("release", table, later, "--note", "the same")

    # A release covers the checks that failed then.
    agreed = shop.of
    stricter = contract([key(), column("status", required=True, quality=[accepted("new", "paid")])], name=agreed.name)
    shop.of = replace(stricter, max_quarantined_percent=10)
    shop.ingest(THIRD, "d", [{"id": "5"}])
    assert counts(shop.refine()) == {"quarantined": 1}
    with pytest.raises(BatchBlockedError, match="status_required"):
        shop.refine()

    shop.of = agreed
    rebuilt = shop.refine(full_refresh=True)
    assert behind(shop.spark, {table: shop.of}) == []
    assert counts(rebuilt) == {"applied": 3, "quarantined": 2}, "what was released once does not hold a rebuild back"


def test_a_batch_is_published_warned_of_or_held_back_by_its_score(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = made(tmp_path, monkeypatch, spark, quarantine={"max_percent": 100}, score={"warn": 0.7})
    table = shop.of.table

    def batch(first: int, odd: int) -> list[dict[str, str]]:
        return [{"id": str(first + n), "status": "odd" if n < odd else "new"} for n in range(10)]

    def judged(done: Any) -> tuple[str, float]:
        (result,) = (check for check in done.checks if check.name == QUALITY_SCORE)
        assert dict(result.parts).keys() == {"completeness", "uniqueness", "validity"}
        assert done.score == result.value and 0 < done.audit_seconds < done.seconds
        return result.outcome, round(done.score, 3)

    shop.ingest(FIRST, "a", batch(0, 1))
    assert judged(shop.refine()) == ("pass", 0.967)
    shop.ingest(SECOND, "b", batch(10, 4))
    assert judged(shop.refine()) == ("warn", 0.867)
    shop.ingest(THIRD, "c", batch(20, 10))
    with pytest.raises(
        BatchBlockedError, match=r"quality_score: expected >= 0.9 .* found 0.666667.*validity 0 by"
    ) as error:
        shop.refine()
    assert [result.name for result in error.value.results if result.outcome == "fail"] == [QUALITY_SCORE]
    assert len(shop.seen("id")) == 15, "nothing of it was committed"
    assert "quality_score: expected >= 0.9 (holds the batch back below 0.7), found 0.666667" in call("show", table)
    call("release", table, str(error.value.batch), "--note", "known", "--by", "ann")
    done = shop.refine()
    assert counts(done) == {"quarantined": 10} and judged(done) == ("warn", 0.667)
    assert [(row["score"], row["audit_seconds"] > 0) for row in shop.batches()] == [
        (0.966667, True), (0.866667, True), (0.666667, True),
    ]  # fmt: skip
    told = spark.table(CHECK_RESULTS).where(f"table_name = '{table}'")
    scores = told.where(f"check_name = '{QUALITY_SCORE}'").orderBy("evaluated_at").collect()
    assert [row["outcome"] for row in scores] == ["pass", "warn", "fail", "warn"]
    assert [row["partition"] for row in scores] == [FIRST, SECOND, THIRD, THIRD]
    assert scores[3]["message"].endswith("The batch was released by ann: known")
    credits = told.where("check_name = 'status_accepted_values'").orderBy("evaluated_at").select("credit").collect()
    assert [round(row["credit"], 3) for row in credits] == [0.9, 0.6, 0, 0]
    rebuilt = shop.refine(full_refresh=True)
    assert judged(rebuilt) == ("warn", 0.833)
    settings.cache_clear()


def test_a_rejected_batch_is_refused_until_that_is_taken_back(shop: Any) -> None:
    table, storage = shop.of.table, settings().storage_dir
    shop.take(FIRST, "a", [{"id": "1", "status": "new"}])
    shop.ingest(SECOND, "b", [{"id": "1", "status": "paid"}, {"id": "3", "status": "odd"}])
    number = held(shop)
    assert f"`lakehouse batch reject {table} {number} --note …` refuses every record of it." in call("show", table)
    assert "puts its 2 record(s) into quarantine" in call(
        "reject", table, number, "--note", "a test file", "--by", "ann"
    )
    rejected = shop.refine()
    assert counts(rejected) == {"rejected": 2}
    assert not any(check.samples for check in rejected.checks), "nothing of it breaks a rule"
    assert f"Batch {number} was rejected by ann" in call("show", table)
    assert {tuple(reasons) for _, reasons, _ in shop.quarantine()} == {(BATCH_REJECTED,)}
    assert shop.take(THIRD, "c", [{"id": "4", "status": "new"}]) == {"applied": 1}
    whole = [("1", "new"), ("4", "new")]
    assert shop.seen("id", "status") == whole

    asked = Replay(Selection(reasons=(BATCH_REJECTED,)), "ann", "again")
    assert {row["outcome"] for row in preview(shop.spark, shop.of, asked)} == {"rejected"}
    assert "--reason batch_rejected` brings its records in" in call("release", table, number, "--note", "it was none")
    replayed = refine(shop.spark, storage, shop.of, "run", frozenset({table}), replay=asked)
    assert counts(replayed) == {"applied": 1, "quarantined": 1}
    whole = [("1", "paid"), ("4", "new")]
    assert shop.seen("id", "status") == whole
    shop.refine(full_refresh=True)
    assert shop.seen("id", "status") == whole, "a rebuild and the steps agree"


def test_a_rejected_first_batch_and_snapshot_delete_nothing(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = made(tmp_path, monkeypatch, spark, delivery="snapshot")
    shop.ingest(FIRST, "a", [{"id": "9", "status": "odd"}])
    call("reject", shop.of.table, held(shop), "--note", "of another shop")
    assert counts(shop.refine()) == {"rejected": 1} and shop.seen("id") == []
    assert shop.take(SECOND, "b", [{"id": "1", "status": "new"}, {"id": "2", "status": "new"}]) == {"applied": 2}
    shop.ingest(THIRD, "c", [{"id": "1", "status": "odd"}])
    call("reject", shop.of.table, held(shop), "--note", "half a snapshot")
    done = shop.refine()
    assert counts(done) == {"rejected": 1} and done.rows_deleted == 0
    assert shop.seen("id") == [("1",), ("2",)]
    assert counts(shop.refine(full_refresh=True)) == {"applied": 2, "rejected": 2}
    assert shop.seen("id") == [("1",), ("2",)]
