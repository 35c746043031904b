"""What is left to the automation conditions, and what they tried: told from Dagster's own log."""

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._core.scheduler.instigation import InstigatorStatus

from lakehouse.automation.conditions import BY_CONDITIONS, SENSOR
from lakehouse.automation.handover import REACTS_WITHIN_SECONDS, is_left, is_off, materialized_at, was_tried, without
from lakehouse.automation.instance import STARTED_BY
from lakehouse.automation.runs import GOLD
from lakehouse.definitions import build
from lakehouse.settings import settings
from lakehouse_tests.automation.history import History
from lakehouse_tests.automation.planned import RUNS

BRONZE, SILVER = dg.AssetKey(["bronze", "shopify_orders"]), dg.AssetKey(["silver", "shopify_orders"])


@pytest.fixture(scope="module")
def definitions(lakehouse_home: Path) -> dg.Definitions:
    return build(settings())


@pytest.fixture
def history(definitions: dg.Definitions) -> Iterator[History]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield History(definitions, instance)


def left(history: History, after_seconds: float = 0) -> bool:
    return is_left(history.instance, SILVER, [BRONZE], time.time() + after_seconds, is_off=False)


def test_silver_is_left_to_the_conditions_after_bronze_until_they_ask_or_have_missed_it(history: History) -> None:
    assert not left(history), "nothing ever happened"
    history.made("bronze/shopify_orders", batch=1)
    assert left(history)
    assert not left(history, REACTS_WITHIN_SECONDS), "they have missed it"
    history.held_back("silver/shopify_orders")
    assert not left(history), "they have asked"
    history.made("bronze/shopify_orders", batch=2)
    assert left(history), "something new"
    under_way = history.begun(
        "silver/shopify_orders", "silver/shopify_orders__quarantine", "silver/shopify_order_lines"
    )
    assert left(history, REACTS_WITHIN_SECONDS), "they have asked, while we look"
    history.ended(under_way)
    assert not left(history)


def test_what_lakehouse_run_left_undone_is_not_left_to_the_conditions(history: History) -> None:
    history.made("bronze/shopify_orders", batch=1, tags=STARTED_BY)
    assert not left(history)


def test_a_batch_that_they_tried_is_not_tried_again_before_there_is_something_new(history: History) -> None:
    instance = history.instance
    began = time.time()
    history.held_back("silver/shopify_orders")
    assert not was_tried(instance, SILVER, began - 1), "by somebody else"
    history.held_back("silver/shopify_orders", tags=BY_CONDITIONS)
    assert was_tried(instance, SILVER, began - 1)
    assert not was_tried(instance, SILVER, time.time() + 1), "a decision, a contract or a batch is newer"
    made_at_once = ("silver/shopify_orders", "silver/shopify_order_lines", "silver/shopify_orders__quarantine")
    history.ended(history.begun(*made_at_once, tags=BY_CONDITIONS))
    assert not was_tried(instance, SILVER, began - 1), "it died, and has tried nothing"
    history.made("silver/shopify_orders", batch=1, tags=BY_CONDITIONS)
    assert not was_tried(instance, SILVER, began - 1), "it succeeded"
    assert abs((materialized_at(instance, SILVER) or 0) - time.time()) < 60
    assert materialized_at(instance, BRONZE) is None


@pytest.mark.parametrize(
    ("name", "status", "expected"),
    [
        (SENSOR, InstigatorStatus.STOPPED, True),
        (SENSOR, InstigatorStatus.RUNNING, False),
        (SENSOR, InstigatorStatus.DECLARED_IN_CODE, False),
        ("alerts", InstigatorStatus.STOPPED, False),
    ],
)
def test_whoever_turned_the_conditions_off_starts_silver_himself(
    history: History, name: str, status: InstigatorStatus, expected: bool
) -> None:
    states = [SimpleNamespace(instigator_name=name, status=status)]
    kept: Any = SimpleNamespace(all_instigator_state=lambda **_: states)  # an ephemeral instance has none
    assert is_off(kept) == expected
    assert is_left(history.instance, SILVER, [BRONZE], time.time(), is_off=expected) == expected


def test_what_waits_for_a_run_that_is_left_is_left_with_it() -> None:
    assert [run.title for run in without(RUNS, {"silver b"})] == ["bronze a", "bronze b"]
    assert [run.title for run in without(RUNS, {GOLD})] == ["bronze a", "bronze b", "silver a", "silver b"]
    assert without(RUNS, set()) == RUNS
