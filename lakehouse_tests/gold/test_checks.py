"""dbt's tests as checks."""

from pathlib import Path

import dagster as dg

from lakehouse.automation.report.data import DIMENSIONS
from lakehouse.gold import project as dbt
from lakehouse.gold.checks import FAILED_ROWS, DataTest, data_tests, result_of
from lakehouse.settings import settings


def test_every_test_of_the_project_is_one_of_a_model_in_a_dimension_and_says_what_it_asks(lakehouse_home: Path) -> None:
    manifest = dbt.manifest(settings())
    known = data_tests(manifest)
    assert len(known) == sum(node["resource_type"] == "test" for node in manifest["nodes"].values())
    for test in known.values():
        assert test.dimension in DIMENSIONS and test.description, test.name
    by_name = {test.name: test for test in known.values()}
    assert by_name["unique_fct_orders_order_id"].description == "No value of order_id occurs twice."
    assert by_name["assert_orders_match_silver"].model == "model.lakehouse.fct_orders"
    assert not by_name["assert_payments_match_orders"].is_blocking


def test_a_project_says_the_dimension_where_the_kind_of_test_does_not() -> None:
    config = {"severity": "error", "meta": {"dimension": "timeliness", "dagster": {"ref": {"name": "fct"}}}}
    test = {"resource_type": "test", "name": "t", "config": config, "description": "It is\n  soon."}
    manifest = {"nodes": {"model.x.fct": {"resource_type": "model", "name": "fct"}, "test.x.t": test}}
    assert data_tests(manifest) == {"test.x.t": DataTest("model.x.fct", "t", "timeliness", "It is soon.", True)}
    assert data_tests({}) == {}


def test_a_result_is_of_the_release_that_was_built() -> None:
    known = {"t": DataTest("m", "t", "validity", "It holds.", False, "a")}
    for passed, severity, rows, outcome in (
        (True, dg.AssetCheckSeverity.WARN, 0, "pass"),
        (False, dg.AssetCheckSeverity.WARN, 3, "warn"),
        (False, dg.AssetCheckSeverity.ERROR, None, "fail"),  # its SQL did not run
    ):
        metadata = {"unique_id": "t", "Execution Duration": 0.5} | ({} if rows is None else {FAILED_ROWS: rows})
        event = dg.AssetCheckResult(
            passed=passed, asset_key=["gold", "fct"], check_name="t", severity=severity, metadata=metadata
        )
        result = result_of(event, known, 7)
        assert result is not None
        found = (result.table, result.name, result.kind, result.outcome, result.value, result.batch, result.column)
        assert found == ("gold.fct", "t", "dbt", outcome, rows, 7, "a")
        assert (result.severity, result.seconds) == ("warning", 0.5)
        assert result_of(event, {}, 7) is None
