"""What is remembered of a check, also in a table from before it remembered so much."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from lakehouse.quality import results
from lakehouse.quality.results import CheckResult, arrival_days, ensure_table, expire, remember
from lakehouse.settings import settings
from lakehouse.storage import tables

NEW = ("partition", "severity", "message", "seconds", "credit")


def test_a_table_of_results_from_before_gets_the_new_columns_and_keeps_its_rows(
    spark: Any, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, table = settings().storage_dir, f"{schema}.check_results"
    monkeypatch.setattr(results, "CHECK_RESULTS", table)
    before = [field for field in results._COLUMNS if field.name not in NEW]
    tables.ensure(spark, storage, table, before)
    old = ("t", "c", "rule", "validity", None, "pass", 0.0, "0", 1, "1.0.0", "run", None)
    tables.append(tables.local_rows(spark, [old], before), table)
    ensure_table(spark, storage)
    days = arrival_days([date(2025, 3, 1), date(2025, 3, 2)])
    found = CheckResult("t", "c", "rule", "validity", "warn", 3, "0", "Few.", "x", 2, (), "warning", days, seconds=0.25)
    remember(spark, [found, replace(found, description="x" * 9000, value=None)], "1.0.1", "run")
    rows = spark.table(table).orderBy("batch", "value").collect()
    assert [row["batch"] for row in rows] == [1, 2, 2]
    assert {rows[0][name] for name in NEW} == {None}
    assert rows[2].asDict() | {"evaluated_at": None} == {
        "table_name": "t",
        "check_name": "c",
        "kind": "rule",
        "dimension": "validity",
        "column_name": "x",
        "outcome": "warn",
        "value": 3.0,
        "threshold": "0",
        "batch": 2,
        "partition": "2025-03-01..2025-03-02",
        "severity": "warning",
        "message": "t.c: expected 0, found 3. Few.",
        "seconds": 0.25,
        "credit": None,
        "contract_version": "1.0.1",
        "run_id": "run",
        "evaluated_at": None,
    }
    assert rows[2]["evaluated_at"] is not None and len(rows[1]["message"]) == results.MESSAGE_LENGTH


def test_arrival_days_as_text() -> None:
    assert arrival_days([]) is None
    assert arrival_days([date(2025, 3, 1)]) == arrival_days([date(2025, 3, 1)] * 2) == "2025-03-01"


def test_old_results_go_but_the_newest_of_each_check(spark: Any, schema: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table, of = f"{schema}.check_results", "orders"
    monkeypatch.setattr(results, "CHECK_RESULTS", table)
    ensure_table(spark, settings().storage_dir)
    found = [
        CheckResult(of, name, "rule", "validity", "pass", value, "0", "") for name, value in (("a", 1.0), ("b", 2.0))
    ]
    for days in (500, 450):
        remember(spark, found[: 2 if days == 500 else 1], "1.0.0", "run")
        spark.sql(
            f"update {table} set evaluated_at = current_timestamp() - make_dt_interval({days}) "
            f"where evaluated_at > current_timestamp() - make_dt_interval(1)"
        )
    assert expire(spark, 400) == 1
    left = spark.table(table).selectExpr("check_name", "date_diff(current_timestamp(), evaluated_at) as days")
    assert sorted(tuple(row) for row in left.collect()) == [("a", 450), ("b", 500)]
    assert expire(spark, 400) == 0
