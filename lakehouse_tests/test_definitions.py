"""The graph: what is defined, without running any of it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from lakehouse.contracts.loader import load_all
from lakehouse.contracts.model import Contract
from lakehouse.definitions import build
from lakehouse.gold import project as dbt
from lakehouse.quality.audit import check_names
from lakehouse.settings import Settings, settings


@pytest.fixture(scope="module")
def contracts(lakehouse_home: Path) -> dict[str, Contract]:
    return load_all(settings())


@pytest.fixture(scope="module")
def definitions(lakehouse_home: Path) -> dg.Definitions:
    return build(settings())


@pytest.fixture(scope="module")
def graph(definitions: dg.Definitions) -> Any:
    return definitions.get_repository_def().asset_graph


def test_every_contract_is_a_bronze_and_a_silver_asset_with_a_quarantine(
    graph: Any, contracts: dict[str, Contract]
) -> None:
    keys = {key.to_user_string() for key in graph.materializable_asset_keys}
    for table in contracts:
        assert {f"bronze/{table}", f"silver/{table}", f"silver/{table}__quarantine"} <= keys


def test_every_rule_and_check_of_a_contract_is_an_asset_check(graph: Any, contracts: dict[str, Contract]) -> None:
    for contract in contracts.values():
        found = {key.name for key in graph.asset_check_keys if key.asset_key == dg.AssetKey(["silver", contract.table])}
        assert found == set(check_names(contract))
        assert {rule.name for rule in contract.rules} | {check.name for check in contract.checks} <= found


def test_every_dbt_test_of_a_model_is_an_asset_check(graph: Any) -> None:
    tests = [n for n in dbt.manifest(settings())["nodes"].values() if n["resource_type"] == "test"]
    checks = {key.name for key in graph.asset_check_keys}
    missing = [test["name"] for test in tests if test["name"] not in checks]
    assert missing == []


def test_every_asset_says_what_it_is(graph: Any) -> None:
    for node in graph.asset_nodes:
        if node.is_materializable:
            name = node.key.to_user_string()
            assert node.description, name
            assert node.group_name in {"bronze", "silver", "staging", "gold", "serving", "maintenance"}, name
            assert node.kinds, name
            if node.group_name == "maintenance":  # not a table, but what is done to some
                continue
            assert node.owners or name == "ops/releases", name
            assert "dagster/column_schema" in node.metadata, name


def test_layers_depend_one_way(graph: Any) -> None:
    order = ["bronze", "silver", "staging", "gold", "serving"]
    for node in graph.asset_nodes:
        for parent in node.parent_keys:
            assert order.index(graph.get(parent).group_name) <= order.index(node.group_name), (parent, node.key)


def test_every_source_of_dbt_is_a_silver_asset(graph: Any) -> None:
    keys = set(graph.materializable_asset_keys)
    for source in dbt.manifest(settings())["sources"].values():
        assert dg.AssetKey([source["source_name"], source["name"]]) in keys


def test_only_bronze_is_partitioned_and_as_its_contract_says(graph: Any, contracts: dict[str, Contract]) -> None:
    kinds = {
        "daily": dg.DailyPartitionsDefinition,
        "weekly": dg.WeeklyPartitionsDefinition,
        "monthly": dg.MonthlyPartitionsDefinition,
    }
    for node in graph.asset_nodes:
        if node.group_name != "bronze":
            assert node.partitions_def is None, node.key
            continue
        partition = contracts[node.key.path[1]].partition
        assert node.partitions_def is None if partition is None else type(node.partitions_def) is kinds[partition]


def test_gold_and_silver_have_freshness_policies(graph: Any, contracts: dict[str, Contract]) -> None:
    for table, contract in contracts.items():
        policy = graph.get(dg.AssetKey(["silver", table])).freshness_policy_or_from_metadata
        assert (policy is not None) == (contract.freshness_fail is not None)
    assert graph.get(dg.AssetKey(["gold", "fct_orders"])).freshness_policy_or_from_metadata is not None


def test_jobs_and_schedules_follow_the_cadence_of_the_contracts(
    definitions: dg.Definitions, contracts: dict[str, Contract]
) -> None:
    repository = definitions.get_repository_def()
    schedules = {schedule.name: schedule for schedule in repository.schedule_defs}
    for table, contract in contracts.items():
        assert repository.has_job(f"ingest_{table}")
        assert (f"ingest_{table}_{contract.cadence}" in schedules) == (contract.cadence is not None)
    assert schedules["ingest_shopify_orders_hourly"].cron_schedule == "5 * * * *"
    assert schedules["ingest_stripe_customers_daily"].cron_schedule == "20 2 * * *"
    assert schedules["ingest_catalog_products_weekly"].cron_schedule == "40 3 * * 1"
    assert {"publish_hourly_schedule", "publish_daily_schedule", "publish_weekly_schedule"} <= set(schedules)


def test_every_table_is_kept_up_every_week(
    definitions: dg.Definitions, graph: Any, contracts: dict[str, Contract]
) -> None:
    repository = definitions.get_repository_def()
    upkeep = repository.get_job("maintain").asset_layer.executable_asset_keys
    assert {key.path[-1] for key in upkeep} == {*contracts, "ops", "gold", "home"}
    for table in contracts:  # not while the table's batch is refined
        pools = [graph.get(dg.AssetKey([part, table])).pools for part in ("maintenance", "silver")]
        assert pools[0] == pools[1]
    schedule = repository.get_schedule_def("maintain_weekly")
    assert schedule.cron_schedule == "30 4 * * 0"
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING


def test_a_schedule_asks_for_the_running_period_and_the_one_before(lakehouse_home: Path, tmp_path: Path) -> None:
    (tmp_path / "catalog" / "products" / "2026-02-24").mkdir(parents=True)
    here = Settings(home=lakehouse_home, landing=str(tmp_path))
    repository = build(here).get_repository_def()
    schedule = repository.get_schedule_def("ingest_catalog_products_weekly")

    def asked(now: datetime) -> list[str | None]:
        with dg.DagsterInstance.ephemeral() as instance:
            context = dg.build_schedule_context(
                instance=instance, repository_def=repository, scheduled_execution_time=now
            )
            return [request.partition_key for request in schedule.evaluate_tick(context).run_requests or []]

    assert asked(datetime(2026, 3, 4, 3, 40, tzinfo=UTC)) == ["2026-02-23", "2026-03-02"]
    # The table's first period has none before it.
    assert asked(datetime(2026, 2, 25, 3, 40, tzinfo=UTC)) == ["2026-02-23"]


def test_definitions_without_the_sample_still_load(lakehouse_home: Path, tmp_path: Path) -> None:
    without = Settings(home=lakehouse_home, sample=False, contracts=(tmp_path,))
    assert load_all(without) == {}
