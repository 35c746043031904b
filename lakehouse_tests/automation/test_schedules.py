"""Schedules from contracts: when they look, in which zone, and for which arrival periods they ask."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dagster as dg
import pytest

from lakehouse.automation import schedules
from lakehouse.automation.schedules import PERIODS_A_TICK, cron, jobs
from lakehouse.bronze.assets import bronze_assets
from lakehouse.contracts.loader import load_all
from lakehouse.contracts.model import Contract, Timetable
from lakehouse.settings import settings

START = date(2026, 1, 1)
RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


@pytest.fixture(scope="module")
def orders(lakehouse_home: Path) -> Contract:
    """A daily table of daily periods."""
    return replace(load_all(settings())["shopify_orders"], cadence="daily", partition="daily")


def made(*contracts: Contract) -> tuple[Any, dict[str, dg.ScheduleDefinition]]:
    """(repository, its schedules by name) of these contracts' bronze."""
    by_table = {contract.table: contract for contract in contracts}
    starts = {contract.partition: START for contract in contracts}
    all_jobs = [job for job in jobs(by_table) if job.name.startswith("ingest_")]
    silver = [dg.AssetSpec(["silver", table]) for table in by_table]
    publishing = [dg.define_asset_job(f"publish_{name}", dg.AssetSelection.all()) for name in schedules.CRONS]
    found = schedules.schedules(by_table, [*all_jobs, *publishing], starts)
    defs = dg.Definitions(
        assets=[*bronze_assets(contracts, starts), *silver],
        jobs=all_jobs,
        schedules=[one for one in found if one.name.startswith("ingest_")],
        resources={"engine": dg.ResourceDefinition.none_resource()},
    )
    return defs.get_repository_def(), {one.name: one for one in found}


def asked(contract: Contract, now: datetime, *materialized: str) -> list[tuple[str, ...]] | str:
    """What a table's schedule asks for: a period, or the first and last of a stretch; or why nothing."""
    repository, found = made(contract)
    with dg.DagsterInstance.ephemeral() as instance:
        for day in materialized:
            instance.report_runless_asset_event(dg.AssetMaterialization(["bronze", contract.table], partition=day))
        context = dg.build_schedule_context(instance=instance, repository_def=repository, scheduled_execution_time=now)
        # Dagster gives a context an instance only where it is kept on disk.
        with patch.object(dg.ScheduleEvaluationContext, "instance", instance):
            tick = found[f"ingest_{contract.table}_{contract.cadence}"].evaluate_tick(context)
        if tick.skip_message:
            return tick.skip_message
        return [
            (request.partition_key,) if request.partition_key else tuple(request.tags[tag] for tag in RANGE)
            for request in tick.run_requests or []
        ]


@pytest.mark.parametrize(
    ("cadence", "at", "later", "expected"),
    [
        ("hourly", None, 0, "5 * * * *"),
        ("hourly", None, 10, "15 * * * *"),
        ("daily", None, 0, "20 2 * * *"),
        ("daily", "06:30", 0, "30 6 * * *"),
        ("daily", "23:55", 10, "5 0 * * *"),
        ("weekly", None, 10, "50 3 * * 1"),
        ("weekly", "23:55", 10, "5 0 * * 2"),
    ],
)
def test_the_time_of_a_schedule(cadence: Any, at: str | None, later: int, expected: str) -> None:
    assert cron(cadence, Timetable(at=at), later) == expected


def test_a_contract_says_zone_and_time_and_gold_comes_after_it(orders: Contract) -> None:
    berlin = replace(orders, timetable=Timetable(timezone="Europe/Berlin", at="06:30"))
    _, found = made(berlin, replace(orders, name="refunds"))
    ingest = found["ingest_shopify_orders_daily"]
    assert (ingest.cron_schedule, ingest.execution_timezone) == ("30 6 * * *", "Europe/Berlin")
    publish = found["publish_daily_europe_berlin_0630"]
    assert (publish.cron_schedule, publish.execution_timezone) == ("40 6 * * *", "Europe/Berlin")
    assert found["ingest_shopify_refunds_daily"].execution_timezone == "UTC"
    assert found["publish_daily_schedule"].cron_schedule == "30 2 * * *"


def test_arrival_periods_are_those_of_utc(orders: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    berlin = replace(orders, timetable=Timetable(timezone="Europe/Berlin", at="00:30"))
    now = datetime.fromisoformat("2026-03-05T00:30:00+01:00")
    monkeypatch.setattr(schedules, "utc_now", lambda: now)
    assert asked(berlin, now) == [("2026-03-03",), ("2026-03-04",)]


def test_one_that_does_not_catch_up_passes_over_what_was_missed(
    orders: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    missed = datetime(2026, 3, 4, 2, 20, tzinfo=UTC)
    monkeypatch.setattr(schedules, "utc_now", lambda: missed + timedelta(hours=1))
    assert asked(orders, missed) == [("2026-03-03",), ("2026-03-04",)]
    monkeypatch.setattr(schedules, "utc_now", lambda: missed + timedelta(days=3))
    assert "does not catch up" in str(asked(orders, missed))


def test_one_that_catches_up_asks_for_all_since_the_last_in_one_run(orders: Contract) -> None:
    contract = replace(orders, timetable=Timetable(catch_up=True))
    now = datetime(2026, 3, 4, 2, 20, tzinfo=UTC)
    assert asked(contract, now, "2026-02-20", "2026-02-27") == [("2026-02-27", "2026-03-04")]
    assert asked(contract, now, "2026-03-04") == [("2026-03-04",)], "it may have got files since"
    first = START.isoformat()
    last = (START + timedelta(days=PERIODS_A_TICK - 1)).isoformat()
    assert asked(contract, now) == [(first, last)], "so many at once; the next tick goes on"
    assert asked(contract, now, last)[0][0] == last
    weekly = replace(contract, cadence="weekly", partition="weekly")
    assert asked(weekly, now, "2026-02-16") == [("2026-02-16", "2026-03-02")]


def test_a_table_without_periods_is_asked_for_as_a_whole(orders: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2026, 3, 4, 2, 20, tzinfo=UTC)
    monkeypatch.setattr(schedules, "utc_now", lambda: now)
    whole = replace(orders, partition=None)
    repository, found = made(whole)
    context = dg.build_schedule_context(repository_def=repository, scheduled_execution_time=now)
    (request,) = found["ingest_shopify_orders_daily"].evaluate_tick(context).run_requests or []
    assert request.partition_key is None
