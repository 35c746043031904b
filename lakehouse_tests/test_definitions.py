"""The graph: what is defined, without running any of it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from lakehouse.automation import schedules
from lakehouse.automation.conditions import BUILD
from lakehouse.contracts.loader import load_all
from lakehouse.contracts.model import Contract
from lakehouse.definitions import build
from lakehouse.gold import project as dbt
from lakehouse.quality.audit import check_names
from lakehouse.settings import Settings, settings
from lakehouse.silver.assets import acyclic_references
from lakehouse_tests import graph as graph_text
from lakehouse_tests.silver import small


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
    found = {schedule.name: schedule for schedule in repository.schedule_defs}
    for table, contract in contracts.items():
        assert repository.has_job(f"ingest_{table}")
        assert (f"ingest_{table}_{contract.cadence}" in found) == (contract.cadence is not None)
    assert found["ingest_shopify_orders_hourly"].cron_schedule == "5 * * * *"
    assert found["ingest_stripe_customers_daily"].cron_schedule == "20 2 * * *"
    assert found["ingest_catalog_products_weekly"].cron_schedule == "40 3 * * 1"
    assert {"publish_hourly_schedule", "publish_daily_schedule", "publish_weekly_schedule"} <= set(found)


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
    assert all(each.description for each in repository.schedule_defs)  # what the UI shows beside its name


def test_a_schedule_asks_for_the_running_period_and_the_one_before(
    lakehouse_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "catalog" / "products" / "2026-02-24").mkdir(parents=True)
    here = Settings(home=lakehouse_home, landing=str(tmp_path))
    repository = build(here).get_repository_def()
    schedule = repository.get_schedule_def("ingest_catalog_products_weekly")

    def asked(now: datetime) -> list[str | None]:
        monkeypatch.setattr(schedules, "utc_now", lambda: now)
        with dg.DagsterInstance.ephemeral() as instance:
            context = dg.build_schedule_context(
                instance=instance, repository_def=repository, scheduled_execution_time=now
            )
            return [request.partition_key for request in schedule.evaluate_tick(context).run_requests or []]

    assert asked(datetime(2026, 3, 4, 3, 40, tzinfo=UTC)) == ["2026-02-23", "2026-03-02"]
    # The table's first period has none before it.
    assert asked(datetime(2026, 2, 25, 3, 40, tzinfo=UTC)) == ["2026-02-23"]


SHOWN = {  # option of a contract → of which asset it is a fact, and what it is there
    "title": lambda node, of: of.title in node.description or of.description in node.description,
    "description": lambda node, of: node.group_name == "bronze" or of.description in node.description,
    "grain": lambda node, of: node.group_name == "bronze" or of.grain in node.description,
    "owner": lambda node, of: node.owners == {of.owner} or list(node.owners) == [of.owner],
    "domain": lambda node, of: node.tags.get("domain") == of.domain,
    "source": lambda node, of: node.tags["source"] == of.source,
    "delivery": lambda node, of: node.tags["delivery"] == of.delivery,
    "version": lambda node, of: node.code_version == of.version,
    "format": lambda node, of: node.group_name == "silver" or of.format in node.kinds,
    "history": lambda node, of: node.group_name == "bronze" or node.metadata["history"] == of.history,
    "id": lambda node, of: of.id in str(node.metadata["contract"]),
    "file": lambda node, of: str(of.file) in str(node.metadata["dagster/code_references"]),
    "columns": lambda node, of: node.group_name == "bronze" or _columns(node)[: len(of.columns)] == _columns_of(of),
    "freshness_fail": lambda node, of: (
        _windows(node) == ((of.freshness_fail, of.freshness_warn) if _is_aged(node, of) else None)
    ),
    "after": lambda node, of: node.group_name == "silver" or _keys(node.parent_keys) == set(of.after),
}
ELSEWHERE = {  # …or by which test, or why not at all
    **dict.fromkeys(("name", "line"), "with the key, and the file"),
    **dict.fromkeys(
        ("rules", "checks", "score", "anomalies", "unknown_fields", "quarantine_warn", "freshness_warn"), "the checks"
    ),
    **dict.fromkeys(("partition", "start"), "the partitions of bronze"),
    **dict.fromkeys(("cadence", "timetable"), "the schedules"),
    "health": "the sensor source_health",
    "retention": "maintenance",
    **dict.fromkeys(("team", "tags", "status", "changelog"), "for people who read the contract"),
    **dict.fromkeys(
        ("sequence", "encoding", "csv_delimiter", "lateness", "rewritten_files", "freshness_column"), "the step"
    ),
    **dict.fromkeys(
        ("max_quarantined_percent", "max_missing_percent", "origin", "delete_when", "truncate_when", "tracked_columns"),
        "the step",
    ),
    **dict.fromkeys(("untracked_columns", "ignore_nulls", "partial_rows"), "the step"),
}


def _columns(node: Any) -> list[tuple[str, str]]:
    return [(column.name, column.type) for column in node.metadata["dagster/column_schema"].columns]


def _columns_of(contract: Contract) -> list[tuple[str, str]]:
    return [(column.name, column.type) for column in contract.columns]


def _is_aged(node: Any, contract: Contract) -> bool:
    return node.group_name == "silver" and contract.freshness_fail is not None


def _windows(node: Any) -> Any:
    policy = node.freshness_policy_or_from_metadata
    return (policy.fail_window.to_timedelta(), policy.warn_window.to_timedelta()) if policy else None


def _keys(keys: Any) -> set[str]:
    return {key.to_user_string() for key in keys}


@pytest.fixture(scope="module")
def odd(lakehouse_home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Contract], Any]:
    """(contracts, repository) of a table that uses what no contract of the sample does."""
    folder = tmp_path_factory.mktemp("contracts")
    small.contract(
        [small.key(), small.column("at", "timestamp", required=True)],
        folder=folder,
        sequence=["at"],
        partition="monthly",
        unknown_fields="fail",
        sla=[{"property": "frequency", "value": 1, "unit": "d"}, {"property": "latency", "value": 6, "unit": "h"}],
        schedule={"timezone": "Asia/Tokyo", "at": "06:30", "catch_up": True},
        after=["partner/exports", "prices"],
        health="https://api.example.com/health",
    )
    config = Settings(home=lakehouse_home, sample=False, contracts=(folder,))
    return load_all(config), build(config).get_repository_def()


def test_the_graph_says_of_every_table_what_its_contract_says(
    graph: Any, contracts: dict[str, Contract], odd: tuple[dict[str, Contract], Any]
) -> None:
    """A contract and the definitions cannot disagree: every option of a contract is here, or it is said where it is."""
    assert {*SHOWN, *ELSEWHERE} == set(Contract.__dataclass_fields__), "a new option: say where the graph shows it"
    drifted = [
        f"{node.key.to_user_string()}: {option} is not {getattr(contract, option)!r}"
        for every, among in ((contracts, graph), (odd[0], odd[1].asset_graph))
        for contract in every.values()
        for node in (among.get(dg.AssetKey([layer, contract.table])) for layer in ("bronze", "silver"))
        for option, is_so in SHOWN.items()
        if not is_so(node, contract)
    ]
    assert drifted == []


def test_a_table_that_uses_everything_else_shows_it_too(odd: tuple[dict[str, Contract], Any]) -> None:
    ((table, contract),), repository = odd[0].items(), odd[1]
    among = repository.asset_graph
    for key in contract.after:
        assert not among.get(dg.AssetKey(key.split("/"))).is_materializable, "another code location makes it"
    assert isinstance(among.get(dg.AssetKey(["bronze", table])).partitions_def, dg.MonthlyPartitionsDefinition)
    found = {key.name for key in among.asset_check_keys if key.asset_key == dg.AssetKey(["silver", table])}
    assert found == set(check_names(contract))
    ingest = repository.get_schedule_def(f"ingest_{table}_daily")
    assert (ingest.cron_schedule, ingest.execution_timezone) == ("30 6 * * *", "Asia/Tokyo")
    assert repository.has_schedule_def("publish_daily_asia_tokyo_0630")
    assert repository.has_sensor_def("source_health")


def test_references_of_a_table_are_its_dependencies_and_nothing_else(
    graph: Any, contracts: dict[str, Contract]
) -> None:
    references = acyclic_references(list(contracts.values()))
    for table in contracts:
        expected = {f"bronze/{table}", *(f"silver/{name}" for name in references[table])}
        assert _keys(graph.get(dg.AssetKey(["silver", table])).parent_keys) == expected


def test_nothing_waits_for_itself(graph: Any) -> None:
    done: set[Any] = set()
    left = {node.key: set(node.parent_keys) for node in graph.asset_nodes}
    while ready := {key for key, parents in left.items() if parents <= done}:
        done |= ready
        left = {key: parents for key, parents in left.items() if key not in ready}
    assert left == {}


def test_every_blocking_check_of_silver_is_asked_by_the_step_that_makes_the_table(
    graph: Any, contracts: dict[str, Contract]
) -> None:
    """What gold relies on: a table of silver that was materialized has passed them."""
    for table in contracts:
        node = graph.get(dg.AssetKey(["silver", table]))
        blocking = {key for key in node.check_keys if graph.get(key).blocking}
        assert blocking
        assert blocking <= node.execution_set_entity_keys


def test_a_table_has_one_writer_and_gold_has_one(graph: Any, contracts: dict[str, Contract]) -> None:
    for node in graph.asset_nodes:
        layer, name = node.key.path[0], node.key.path[-1]
        if node.group_name in ("staging", "gold", "serving") or name == "gold":
            assert node.pools == {"gold"}, node.key
        elif layer in ("bronze", "silver"):
            table = next(table for table in contracts if node.key in _made_with(graph, layer, table))
            assert node.pools == {f"{layer}_{table}"}, node.key


def _made_with(graph: Any, layer: str, table: str) -> Any:
    return graph.get(dg.AssetKey([layer, table])).execution_set_asset_keys


def test_everything_but_bronze_and_upkeep_follows_by_a_condition(graph: Any, contracts: dict[str, Contract]) -> None:
    for node in graph.asset_nodes:
        is_made_by_step = node.group_name == "silver" and node.key.path[-1] not in contracts
        expected = node.group_name in ("silver", *BUILD) and not is_made_by_step
        assert (node.automation_condition is not None) == expected, node.key


def test_the_graph_is_as_it_was_written_down(lakehouse_home: Path) -> None:
    """`make graph` writes it anew, after a change that is wanted."""
    found = graph_text.described(build(Settings(home=lakehouse_home, landing=str(lakehouse_home / "no landing"))))
    assert found == graph_text.SNAPSHOT.read_text(), "run `make graph` and read the difference"


def test_definitions_without_the_sample_still_load(lakehouse_home: Path, tmp_path: Path) -> None:
    without = Settings(home=lakehouse_home, sample=False, contracts=(tmp_path,))
    assert load_all(without) == {}
