"""Which runs take what is pending."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from lakehouse.automation import pending
from lakehouse.automation.pending import Pending, Stretch, bronze_runs, find_pending, gold_reason
from lakehouse.bronze.partitions import floor, next_period, periods, record_start, recorded_starts, start_of
from lakehouse.contracts.loader import load_all
from lakehouse.contracts.model import Contract
from lakehouse.gold import project as dbt
from lakehouse.gold import release as releases
from lakehouse.gold.release import Release
from lakehouse.settings import Settings, settings
from lakehouse.storage import tables


@pytest.fixture(scope="module")
def contracts(lakehouse_home: Path) -> dict[str, Contract]:
    return load_all(settings())


def days(first: str, count: int) -> list[date]:
    return [date.fromisoformat(first) + timedelta(days=n) for n in range(count)]


def test_a_year_is_one_run_a_table(contracts: dict[str, Contract]) -> None:
    orders, payments, products = days("2025-01-01", 365), days("2025-01-03", 360), days("2025-01-05", 1)
    bronze = {"shopify_orders": orders, "stripe_payments": payments, "catalog_products": products}
    assert bronze_runs(Pending(bronze=bronze, landed=bronze), contracts) == [
        Stretch("shopify_orders", orders[0], orders[-1]),
        Stretch("stripe_payments", payments[0], payments[-1]),
        Stretch("catalog_products", date(2024, 12, 30), date(2024, 12, 30)),
    ]


def test_a_day_on_which_nothing_landed_is_bridged_and_one_already_taken_is_not(contracts: dict[str, Contract]) -> None:
    landed = [*days("2026-01-01", 2), *days("2026-01-05", 3)]
    everything = Pending(bronze={"shopify_orders": landed}, landed={"shopify_orders": landed})
    assert [(run.first, run.last) for run in bronze_runs(everything, contracts)] == [(landed[0], landed[-1])]
    late = Pending(bronze={"shopify_orders": [landed[0], landed[-1]]}, landed={"shopify_orders": landed})
    assert [(run.first, run.last) for run in bronze_runs(late, contracts)] == [
        (landed[0], landed[0]),
        (landed[-1], landed[-1]),
    ]


def test_an_unpartitioned_table_is_one_run_whatever_arrived(contracts: dict[str, Contract]) -> None:
    bronze = {"marketing_campaigns": days("2026-01-01", 3)}
    runs = bronze_runs(Pending(bronze=bronze, landed=bronze), contracts)
    assert runs == [Stretch("marketing_campaigns", None, None)]


def test_files_that_are_to_wait_keep_nothing_else_waiting(
    contracts: dict[str, Contract], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for table in ("orders", "refunds"):
        (tmp_path / "shopify" / table / "2026-01-01").mkdir(parents=True)
        (tmp_path / "shopify" / table / "2026-01-01" / "a.json").write_text("{}")
    orders = contracts["shopify_orders"]
    of = {"shopify_orders": orders, "shopify_refunds": replace(orders, name="refunds")}
    monkeypatch.setattr(pending, "files_taken", lambda _: {})
    monkeypatch.setattr(pending, "pending_batch", lambda *_: (1, 1))
    monkeypatch.setattr(pending, "is_outdated", lambda *_: False)
    here = Settings(home=tmp_path, landing=str(tmp_path), landing_settle_seconds=0)
    found = find_pending(None, here, of, False, lambda of, files: f"{len(files)} too early" if of is orders else None)
    assert found.waiting == {"shopify_orders": "1 too early"}
    assert (list(found.bronze), found.silver) == (["shopify_refunds"], ["shopify_refunds"])


@pytest.mark.parametrize(
    ("partition", "day", "first", "after"),
    [
        ("daily", "2026-01-31", "2026-01-31", "2026-02-01"),
        ("weekly", "2026-01-04", "2025-12-29", "2026-01-05"),
        ("weekly", "2026-01-05", "2026-01-05", "2026-01-12"),
        ("monthly", "2024-02-29", "2024-02-01", "2024-03-01"),
        ("monthly", "2025-12-31", "2025-12-01", "2026-01-01"),
    ],
)
def test_periods_begin_where_people_think(partition: str, day: str, first: str, after: str) -> None:
    start = floor(date.fromisoformat(day), partition)  # type: ignore[arg-type]
    assert start == date.fromisoformat(first)
    assert next_period(start, partition) == date.fromisoformat(after)  # type: ignore[arg-type]


def test_contiguous_days_are_one_stretch() -> None:
    assert periods([date(2026, 1, 3), date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 9)], "daily") == [
        (date(2026, 1, 1), date(2026, 1, 3)),
        (date(2026, 1, 9), date(2026, 1, 9)),
    ]


def test_the_first_day_is_kept_when_landing_is_cleaned_up(contracts: dict[str, Contract], tmp_path: Path) -> None:
    contract = contracts["shopify_orders"]
    today = date(2026, 3, 1)
    assert start_of(contract, str(tmp_path / "landing"), tmp_path, today) == today
    (tmp_path / "landing" / "shopify" / "orders" / "2026-01-05").mkdir(parents=True)
    assert start_of(contract, str(tmp_path / "landing"), tmp_path, today) == date(2026, 1, 5)
    record_start(tmp_path, contract.table, date(2025, 12, 24))
    record_start(tmp_path, contract.table, date(2026, 1, 1))
    assert recorded_starts(tmp_path) == {contract.table: date(2025, 12, 24)}
    assert start_of(contract, str(tmp_path / "landing"), tmp_path, today) == date(2025, 12, 24)


def test_gold_is_built_where_a_released_version_is_gone(
    contracts: dict[str, Contract], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = settings()
    last = Release(1, "released", {}, {}, {"fct_orders": 7}, code=dbt.checksum(here))
    monkeypatch.setattr(releases, "events", lambda _: [last])
    monkeypatch.setattr(releases, "silver_now", lambda *_: ({}, {}))
    for newest, reason in ((7, None), (9, None), (6, "released versions of it are gone")):
        monkeypatch.setattr(tables, "exists", lambda *_: True)
        monkeypatch.setattr(tables, "version", lambda *_, newest=newest: newest)
        assert gold_reason(None, here, contracts, ()) == reason
    monkeypatch.setattr(tables, "exists", lambda *_: False)
    assert gold_reason(None, here, contracts, ()) == "released versions of it are gone"
