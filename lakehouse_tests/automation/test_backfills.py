"""What `lakehouse backfill` plans, and how one that was killed goes on."""

from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lakehouse.automation.backfills import Backfill, BackfillError, Progress, days_asked, days_of, plan_backfill
from lakehouse.automation.runs import GOLD
from lakehouse.contracts.loader import load_all
from lakehouse.contracts.model import Contract, Partition
from lakehouse.definitions import build
from lakehouse.gold import project as dbt
from lakehouse.gold.assets import GoldConfig, dbt_vars
from lakehouse.settings import settings
from lakehouse_tests.automation.planned import RUNS

TODAY = date(2026, 1, 31)
STARTS: dict[Partition | None, date] = {"daily": date(2026, 1, 10), "weekly": date(2026, 1, 5), None: TODAY}
ASKED = Backfill(("shopify_orders",), date(2026, 1, 12), date(2026, 1, 16))


@pytest.fixture(scope="module")
def contracts(lakehouse_home: Path) -> dict[str, Contract]:
    return load_all(settings())


@pytest.fixture(scope="module")
def repository(lakehouse_home: Path) -> Any:
    return build(settings()).get_repository_def()


def plan(asked: Backfill, contracts: dict[str, Contract], repository: Any) -> list[Any]:
    return plan_backfill(asked, contracts, STARTS, TODAY, repository, dbt.tables_read(settings(), contracts))


def test_a_table_is_taken_in_few_runs_and_what_follows_once(contracts: dict[str, Contract], repository: Any) -> None:
    runs = plan(replace(ASKED, periods_a_run=2, refresh=True), contracts, repository)
    assert [(run.title, run.after) for run in runs[:3]] == [
        ("bronze shopify_orders 2026-01-12 to 2026-01-13", frozenset()),
        ("bronze shopify_orders 2026-01-14 to 2026-01-15", {runs[0].title}),
        ("bronze shopify_orders 2026-01-16", {runs[1].title}),
    ]
    assert all(run.config == {"ops": {"bronze__shopify_orders": {"config": {"refresh": True}}}} for run in runs[:3])
    assert [run.title for run in runs[3:]] == ["silver shopify_orders", GOLD]
    assert runs[3].after == {run.title for run in runs[:3]} and runs[4].after == {run.title for run in runs[:4]}
    covered = [days_of(run, contracts["shopify_orders"]) for run in runs[:3]]
    assert covered[0][0] == ASKED.first and covered[-1][1] == ASKED.last + timedelta(days=1)
    assert all(one[1] == other[0] for one, other in pairwise(covered))
    assert len(plan(replace(ASKED, has_downstream=False), contracts, repository)) == 1
    unread = plan(replace(ASKED, tables=("marketing_campaigns",)), contracts, repository)
    assert [run.title for run in unread] == ["bronze marketing_campaigns", "silver marketing_campaigns"]


def test_tables_do_not_wait_for_each_other_in_bronze(contracts: dict[str, Contract], repository: Any) -> None:
    both = replace(ASKED, tables=("shopify_orders", "marketing_campaigns"))
    orders, campaigns = plan(both, contracts, repository)[:2]
    assert (orders.after, campaigns.after) == (frozenset(), frozenset())
    assert campaigns.partition_key is None and not campaigns.tags


def test_weeks_are_whole_and_nothing_outside_of_the_partitions_is_asked_for(
    contracts: dict[str, Contract], repository: Any
) -> None:
    weekly = Backfill(("web_events",), date(2025, 12, 1), date(2026, 3, 1), has_downstream=False)
    (run,) = plan(weekly, contracts, repository)
    assert days_of(run, contracts["web_events"]) == (date(2026, 1, 5), date(2026, 2, 2))
    inside = replace(weekly, first=date(2026, 1, 14), last=date(2026, 1, 14))
    assert days_asked(inside, contracts["web_events"]) == (date(2026, 1, 12), date(2026, 1, 19))
    before = replace(ASKED, first=date(2025, 1, 1), last=date(2025, 1, 2))
    with pytest.raises(
        BackfillError, match="shopify_orders has no partition from 2025-01-01 to 2025-01-02.*2026-01-10"
    ):
        plan(before, contracts, repository)


def test_gold_is_given_its_days_of_events(contracts: dict[str, Contract], repository: Any) -> None:
    (run,) = plan(replace(ASKED, tables=()), contracts, repository)
    assert run.title == GOLD
    config = {"from_date": "2026-01-12", "to_date": "2026-01-16"}
    assert run.config == {"ops": {"gold": {"config": config}}}
    told = dbt_vars(GoldConfig(**config), None)
    assert (told["from"], told["to"]) == ("2026-01-12", "2026-01-16"), "what is built of it: see dbt/test_dbt_build"


def test_one_that_was_left_goes_on_with_what_is_not_done(tmp_path: Path) -> None:
    assert Progress(tmp_path, ASKED).remaining(RUNS) == RUNS
    for run in RUNS[:2]:
        Progress(tmp_path, ASKED).add(run)
    left = Progress(tmp_path, ASKED).remaining(RUNS)
    assert [run.title for run in left] == [run.title for run in RUNS[2:]]
    assert left[0].after == {"silver b"} and left[1].after == frozenset()
    Progress(tmp_path, ASKED).add(RUNS[2])
    titles = [run.title for run in Progress(tmp_path, ASKED).remaining(RUNS)]
    assert titles == ["silver a", "silver b", GOLD], "silver a was done without silver b"
    assert Progress(tmp_path, replace(ASKED, refresh=True)).remaining(RUNS) == RUNS, "another backfill"
    Progress(tmp_path, ASKED).forget()
    assert Progress(tmp_path, ASKED).remaining(RUNS) == RUNS
