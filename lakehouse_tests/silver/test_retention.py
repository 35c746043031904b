"""Old records leave bronze and quarantine; no row of silver does, unless somebody says so."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from lakehouse.settings import settings
from lakehouse.silver import refine
from lakehouse.silver.retention import ExpiredError, expire
from lakehouse_tests.silver.small import accepted, column, contract, key
from lakehouse_tests.silver.test_refine import Shop

A_YEAR = [{"property": "retention", "value": 1, "unit": "y"}]
TODAY = date(2025, 3, 7)


def row(key: str, at: str, status: str = "new") -> dict[str, str]:
    return {"id": key, "status": status, "updated_at": f"{at}T00:00:00Z"}


def test_records_expire_and_a_rebuild_that_would_lose_rows_is_refused(spark: Any, tmp_path: Path) -> None:
    columns = [
        key(),
        column("status", quality=[accepted("new", "paid")]),
        column("updated_at", "timestamp", required=True),
    ]
    of = contract(
        columns, name="expiring", sla=A_YEAR, sequence=["updated_at"], quarantine={"max_percent": 50}, lateness="10000d"
    )
    shop = Shop(spark, tmp_path, of)
    shop.take("2020-01-01", "a", [row("1", "2020-01-01"), row("2", "2020-01-01"), row("3", "2020-01-01", "odd")])
    shop.take("2025-03-05", "b", [row("2", "2025-03-05", "paid"), row("4", "2025-03-05")])
    before = shop.seen("id", "status")
    shop.ingest("2020-01-02", "c", [row("5", "2020-01-02")])
    assert expire(spark, of, TODAY) == {of.bronze_table: 3, of.quarantine_table: 1}, "not what silver has yet to take"
    assert expire(spark, of, TODAY) == {}
    assert shop.seen("id", "status") == before
    assert shop.refine() is not None, "the next batch is taken as ever"
    with pytest.raises(
        ExpiredError, match=r"without losing 2 row\(s\): bronze holds what arrived since 2024-03-07 alone"
    ):
        shop.refine(full_refresh=True)
    assert [name for name, _ in shop.seen("id", "status")] == ["1", "2", "4", "5"]
    assert expire(spark, of, TODAY) == {of.bronze_table: 1}
    names = frozenset({of.table})
    refine.refine(spark, settings().storage_dir, of, "run", names, full_refresh=True, accepts_loss=True)
    assert shop.seen("id", "status") == [("2", "paid"), ("4", "new")]
    assert shop.refine(full_refresh=True) is not None, "there is nothing more to lose"


def test_the_newest_snapshot_stays_however_old_and_current_rows_come_of_it(spark: Any, tmp_path: Path) -> None:
    of = contract([key(), column("status")], name="expiring_list", sla=A_YEAR, delivery="snapshot")
    shop = Shop(spark, tmp_path, of)
    shop.take("2020-01-01", "a", [{"id": "1", "status": "x"}, {"id": "2", "status": "x"}])
    shop.take("2020-01-08", "b", [{"id": "1", "status": "x"}, {"id": "3", "status": "x"}])
    assert shop.seen("id") == [("1",), ("3",)]
    assert expire(spark, of, TODAY) == {of.bronze_table: 2}
    assert shop.refine(full_refresh=True) is not None
    assert shop.seen("id") == [("1",), ("3",)]
