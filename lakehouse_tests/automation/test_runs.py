"""What `lakehouse run` makes of Dagster runs."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from rich.console import Console

from lakehouse.automation.report.summary import summarize_run
from lakehouse.automation.runs import GOLD, Outcome, Planned, events, tell
from lakehouse.cli import execution as cli
from lakehouse.gold.checks import FAILED_ROWS, DataTest, described, result_of
from lakehouse.quality.results import CheckResult
from lakehouse.silver.assets import _check
from lakehouse_tests.automation.planned import RUNS, planned


@pytest.fixture
def run_all(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs `_run_all` with an `execute` of the test's own, and no Dagster."""
    monkeypatch.setattr(cli, "events", lambda *_: ([], None))
    monkeypatch.setattr(cli, "_is_held", lambda *_: False)
    monkeypatch.setattr(cli, "pools_of", lambda planned, _: set(planned.title.split()[1:]))

    def run(runs: list[Planned], execute: Any, is_gold_due: bool = True) -> Outcome:
        monkeypatch.setattr(cli, "execute", lambda planned, *_: execute(planned))
        outcome = Outcome()
        cli._run_all(runs, cli._Workers(None, None), outcome, Console(quiet=True), lambda: is_gold_due)
        return outcome

    return run


@pytest.mark.parametrize("succeeded", [True, False])
def test_a_run_that_fails_outside_of_its_steps_is_a_failure(run_all: Any, succeeded: bool) -> None:
    outcome = run_all([planned("silver a")], lambda _: succeeded)
    assert [failure.partition(":")[0] for failure in outcome.failures] == ([] if succeeded else ["silver a"])


def test_runs_wait_for_those_before_them_and_no_failure_stops_the_rest(run_all: Any) -> None:
    ended: list[str] = []

    def execute(planned: Planned) -> bool:
        assert planned.after <= set(ended), f"{planned.title} began before {planned.after - set(ended)} had ended"
        ended.append(planned.title)
        return planned.title != "bronze a"

    outcome = run_all(RUNS, execute)
    assert ended[-1] == GOLD and len(ended) == 5
    assert len(outcome.failures) == 1


def test_runs_that_know_nothing_of_each_other_are_under_way_at_once(run_all: Any) -> None:
    both = threading.Barrier(2)
    run_all([planned("silver a"), planned("silver b")], lambda _: both.wait(timeout=30) >= 0)


def test_runs_of_one_pool_are_under_way_one_after_the_other(run_all: Any) -> None:
    under_way: list[str] = []
    most = 0

    def execute(planned: Planned) -> bool:
        nonlocal most
        under_way.append(planned.title)
        most = max(most, len(under_way))
        time.sleep(0.05)
        under_way.remove(planned.title)
        return True

    outcome = run_all([planned("upkeep a"), planned("tidy a"), planned("silver a")], execute)
    assert len(outcome.run_ids) == 3
    assert most == 1


def test_gold_is_not_built_where_nothing_new_came_of_silver(run_all: Any) -> None:
    ran: list[str] = []
    run_all([planned("silver a"), planned(GOLD, "silver a")], lambda run: ran.append(run.title) or True, False)
    assert ran == ["silver a"]


def test_what_a_run_raises_reaches_the_caller(run_all: Any) -> None:
    def execute(planned: Planned) -> bool:
        raise RuntimeError("no instance")

    with pytest.raises(RuntimeError, match="no instance"):
        run_all([planned("silver a")], execute)


_SAMPLE = {"file": "shop/orders/2025-03-01/a.jsonl", "position": 7, "reasons": "total_range", "record": "{}"}
_HELD = CheckResult(
    "shop_orders", "total_range", "rule", "validity", "fail", 40.0, "0 (blocks above 6, 5 % of the batch)",
    "The total is not negative.", batch=12, samples=(_SAMPLE,),
)  # fmt: skip


@dg.multi_asset(
    name="silver__shop_orders",
    specs=[dg.AssetSpec(["silver", "shop_orders"])],
    check_specs=[dg.AssetCheckSpec("total_range", asset=["silver", "shop_orders"])],
)
def _silver() -> Iterator[Any]:
    yield _check(dg.AssetKey(["silver", "shop_orders"]), _HELD)
    raise dg.Failure("shop_orders: batch 12 is held back.", allow_retries=False)


@dg.multi_asset(
    name="gold",
    specs=[dg.AssetSpec(["gold", "fct_orders"])],
    check_specs=[dg.AssetCheckSpec("adds_up", asset=["gold", "fct_orders"])],
)
def _gold() -> Iterator[Any]:
    told = dg.AssetCheckResult(
        passed=False,
        asset_key=["gold", "fct_orders"],
        check_name="adds_up",
        metadata={"unique_id": "t", FAILED_ROWS: 3},
    )
    result = result_of(told, {"t": DataTest("m", "adds_up", "accuracy", "Sums add up.", True)}, 5)
    assert result is not None and (result.table, result.outcome, result.batch) == ("gold.fct_orders", "fail", 5)
    yield described(told, result)
    raise dg.Failure("Gold was not released and is back at release 4: adds_up", allow_retries=False)


@dg.asset(key=["bronze", "shop_orders"])
def _bronze(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
    return dg.MaterializeResult(metadata={"records_taken": 2})


def test_several_runs_of_a_table_are_told_apart_and_add_up() -> None:
    outcome, said = Outcome(), []
    with dg.DagsterInstance.ephemeral() as instance:
        for day in ("2025-03-01", "2025-03-02"):
            run = dg.materialize([_bronze], instance=instance)
            entries = events(instance, run.run_id, None)[0]
            said += [line for entry in entries if (line := tell(outcome, {}, entry, f"bronze shop_orders {day}"))]
    assert said[0] == "bronze shop_orders 2025-03-01 …" and said[-1].startswith(
        "bronze shop_orders 2025-03-02 done in "
    )
    assert said[-1].endswith(": 2 records taken")
    assert outcome.of("bronze", "shop_orders").landed == 4


def test_what_failed_is_told_to_whoever_is_on_call() -> None:
    outcome = Outcome()
    with dg.DagsterInstance.ephemeral() as instance:
        for step in (_silver, _gold):
            run = dg.materialize([step], instance=instance, raise_on_error=False)
            for entry in events(instance, run.run_id, None)[0]:
                tell(outcome, {}, entry)
    outcome.failures.append("bronze a: run 1 failed outside of its steps.")
    text = summarize_run(outcome, {"shop_orders": "sales@example.com"}, "Readers still read release 4.")
    assert text.startswith(
        "# ❌ Run failed: 1 batch held back, gold not released, 1 step failed\n\nReaders still read release 4.\n"
    )
    for expected in (
        "## `silver.shop_orders`: batch 12 is held back, nothing was committed\n\nOwner: sales@example.com\n",
        "- `total_range` (validity): expected 0 (blocks above 6, 5 % of the batch), found 40. The total is not negative. "
        "First seen in `shop/orders/2025-03-01/a.jsonl, record 7`.",
        "`lakehouse batch show shop_orders`",
        "## gold and release: 1 test of dbt failed",
        "- `gold.fct_orders.adds_up` (accuracy): expected 0 failing rows, found 3. Sums add up.",
        "back at release 4",
        "## What else failed\n\n- bronze a: run 1 failed outside of its steps.",
    ):
        assert expected in text, expected


def test_a_step_that_fails_without_a_check_is_told_with_its_reason() -> None:
    outcome = Outcome()
    outcome.of("bronze", "shop_orders").problem = "the file was rewritten"
    outcome.failures.append("the file was rewritten")
    text = summarize_run(outcome, {"shop_orders": "sales@example.com"}, "")
    assert "Run failed: 1 step failed" in text
    assert "## `bronze.shop_orders` failed\n\nthe file was rewritten\n\nOwner: sales@example.com" in text
