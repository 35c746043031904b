"""What follows what: the conditions, on the product's own graph and an instance of their own."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from lakehouse.automation.conditions import BUILD
from lakehouse.automation.instance import STARTED_BY
from lakehouse.definitions import build
from lakehouse.settings import Settings
from lakehouse_tests.automation.history import History

ORDERS, PAYMENTS, CUSTOMERS = "shopify_orders", "stripe_payments", "stripe_customers"
NOTHING: set[str] = set()


@pytest.fixture(scope="module")
def definitions(lakehouse_home: Path, tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    landing = tmp_path_factory.mktemp("landing")
    (landing / "shopify" / "orders" / "2026-01-01").mkdir(parents=True)
    return build(Settings(home=lakehouse_home, landing=str(landing)))


@pytest.fixture
def history(definitions: dg.Definitions) -> Iterator[History]:
    """In which everything is as after a `lakehouse run`: the first look asks for nothing."""
    with dg.DagsterInstance.ephemeral() as instance:
        history = History(definitions, instance)
        for table in (ORDERS, PAYMENTS, CUSTOMERS):
            history.made(f"bronze/{table}", f"silver/{table}", batch=1, tags=STARTED_BY)
        assert history.requested() == NOTHING
        assert history.requested() == NOTHING
        yield history


def silver(history: History, table: str) -> set[str]:
    """The assets of the step of a table."""
    key = dg.AssetKey(["silver", table])
    return {one.to_user_string() for one in history.graph.get(key).execution_set_asset_keys}


def gold(history: History) -> set[str]:
    nodes = history.graph.asset_nodes
    return {node.key.to_user_string() for node in nodes if node.group_name in BUILD and node.is_materializable}


def test_silver_follows_bronze_and_a_whole_gold_with_its_release_follows_silver(history: History) -> None:
    history.made(f"bronze/{ORDERS}", batch=2)
    assert history.requested() == silver(history, ORDERS)
    assert history.requested() == NOTHING, "it was asked for"
    history.made(f"silver/{ORDERS}", batch=2)
    assert history.requested() == gold(history)
    assert history.requested() == NOTHING
    assert {"ops/releases", "serving/fct_orders", "staging/stg_shopify__orders"} <= gold(history)


def test_a_step_that_found_nothing_new_starts_nothing(history: History) -> None:
    history.made(f"bronze/{ORDERS}", batch=1)
    history.made(f"silver/{CUSTOMERS}", batch=1)
    assert history.requested() == NOTHING


def test_a_batch_that_is_held_back_starts_no_gold_and_is_not_tried_again_and_keeps_no_other_from_readers(
    history: History,
) -> None:
    history.made(f"bronze/{ORDERS}", batch=2)
    assert history.requested() == silver(history, ORDERS)
    history.held_back(f"silver/{ORDERS}")
    for _ in range(3):
        assert history.requested() == NOTHING
    history.made(f"silver/{PAYMENTS}", batch=2)
    assert history.requested() == gold(history)
    history.made(f"bronze/{ORDERS}", batch=3)
    assert history.requested() == silver(history, ORDERS), "there is something new for it"


def test_a_failed_blocking_check_of_bronze_in_a_run_of_its_own_holds_silver(history: History) -> None:
    """Dagster's `eager()` would not look at it."""
    checks = history.graph.get(dg.AssetKey(["bronze", ORDERS])).check_keys
    assert not [key for key in checks if history.graph.get(key).blocking], "bronze has a blocking check: test it here"
    upstream, downstream = dg.AssetKey(["bronze", "toy"]), dg.AssetKey(["silver", "toy"])
    condition = history.graph.get(dg.AssetKey(["silver", ORDERS])).automation_condition

    @dg.asset(key=upstream, group_name="bronze")
    def _bronze() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(data_version=dg.DataVersion("2"))

    @dg.asset_check(asset=upstream, name="whole", blocking=True)
    def _check() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False)

    @dg.asset(key=downstream, deps=[upstream], group_name="silver", automation_condition=condition)
    def _silver() -> None: ...

    toy = dg.Definitions(assets=[_bronze, _silver], asset_checks=[_check])
    with dg.DagsterInstance.ephemeral() as instance:
        first = dg.evaluate_automation_conditions(toy, instance)
        dg.materialize([_bronze], instance=instance)
        job = toy.resolve_implicit_global_asset_job_def()
        checked = job.get_subset(asset_selection=set(), asset_check_selection=set(_check.check_keys))
        checked.execute_in_process(instance=instance, raise_on_error=False)
        second = dg.evaluate_automation_conditions(toy, instance, cursor=first.cursor)
        assert second.get_num_requested(downstream) == 0


def test_what_lakehouse_run_does_is_left_to_it(history: History) -> None:
    history.made(f"bronze/{ORDERS}", batch=2, tags=STARTED_BY)
    assert history.requested() == NOTHING
    history.made(f"silver/{ORDERS}", batch=2, tags=STARTED_BY)
    assert history.requested() == NOTHING


def test_a_run_that_does_what_follows_itself_starts_nothing_more(history: History) -> None:
    history.made(f"bronze/{ORDERS}", f"silver/{ORDERS}", batch=2)
    assert history.requested() == gold(history)
    history.made(f"silver/{ORDERS}", *gold(history), batch=3)
    assert history.requested() == NOTHING


def test_a_stretch_of_days_is_one_batch_of_silver(history: History) -> None:
    history.made(f"bronze/{ORDERS}", batch=2, days=3)
    second = history.begun(f"bronze/{ORDERS}")
    assert history.requested() == NOTHING, "another run of the table is under way"
    history.ended(second)
    assert history.requested() == silver(history, ORDERS)


def test_a_table_waits_for_one_that_it_refers_to_and_is_not_in_one_run_with_it(history: History) -> None:
    for table in (ORDERS, CUSTOMERS):
        history.made(f"bronze/{table}", batch=2)
    assert history.requested() == silver(history, CUSTOMERS)
    under_way = history.begun(*silver(history, CUSTOMERS))
    assert history.requested() == NOTHING
    history.ended(under_way)  # in vain: it keeps no other from its turn
    assert history.requested() == silver(history, ORDERS)


def test_gold_waits_for_silver_that_is_under_way_and_is_built_once(history: History) -> None:
    under_way = history.begun(*silver(history, PAYMENTS))
    history.made(f"silver/{ORDERS}", batch=2)
    assert history.requested() == NOTHING
    history.made(f"silver/{PAYMENTS}", batch=2)
    history.ended(under_way)
    assert history.requested() == gold(history)
    build = history.begun(*gold(history))
    history.made(f"silver/{ORDERS}", batch=3)
    assert history.requested() == NOTHING, "the build has not ended"
    history.ended(build)
    assert history.requested() == gold(history)


def test_dagsters_own_condition_takes_a_warning_for_a_failure() -> None:
    """Why gold does not ask for `all_deps_blocking_checks_passed`: rules broken below their threshold warn."""

    @dg.asset(check_specs=[dg.AssetCheckSpec("rule", asset="table", blocking=True)])
    def table() -> dg.MaterializeResult:
        warned = dg.AssetCheckResult(check_name="rule", passed=False, severity=dg.AssetCheckSeverity.WARN)
        return dg.MaterializeResult(check_results=[warned])

    passed = dg.AutomationCondition.all_deps_blocking_checks_passed()

    @dg.asset(deps=[table], automation_condition=passed)
    def downstream() -> None: ...

    with dg.DagsterInstance.ephemeral() as instance:
        assert dg.materialize([table], instance=instance).success
        assert dg.evaluate_automation_conditions([table, downstream], instance).total_requested == 0
