"""Sources of dbt: what dbt itself makes of the YAML."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import yaml

from lakehouse.cli.contract import _relations
from lakehouse.contracts.export.dbt_sources import dbt_sources
from lakehouse.contracts.loader import load_all
from lakehouse.settings import PROJECT, executable, settings
from lakehouse_tests.contracts.export.rich import rich

PROJECT_FILE = """\
name: reader
profile: lakehouse
version: "1.0.0"
flags: {send_anonymous_usage_stats: false, version_check: false, require_generic_test_arguments_property: true}
"""


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    """The manifest of a project of its own, with these sources alone; a warning of dbt is an error."""

    def parse(sources: str) -> dict[str, Any]:
        work = tmp_path_factory.mktemp("reader")
        (work / "models").mkdir()
        (work / "dbt_project.yml").write_text(PROJECT_FILE)
        (work / "models" / "_silver__sources.yml").write_text(sources)
        places = [
            "--project-dir",
            work,
            "--profiles-dir",
            PROJECT / "dbt",
            "--target-path",
            work / "t",
            "--log-path",
            work,
        ]
        done = subprocess.run(
            [executable("dbt"), "--warn-error", "parse", *map(str, places)], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
        found: dict[str, Any] = json.loads((work / "t" / "manifest.json").read_text())
        return found

    return parse


def test_dbt_reads_the_sample_s_tables_and_a_table_of_every_type(parsed: Callable[[str], dict[str, Any]]) -> None:
    settings.cache_clear()
    contracts = list(load_all(settings()).values())
    odd = replace(rich(), description='With "quotes", {{ braces }} and: colons.')
    manifest = parsed(dbt_sources(list(_relations([*contracts, odd]))))
    sources = {source["name"]: source for source in manifest["sources"].values()}
    assert set(sources) == {"shopify_order_lines", odd.table, *(contract.table for contract in contracts)}
    orders = sources["shopify_orders"]
    assert orders["schema"] == "silver" and orders["meta"]["owner"] == "sales-data@example.com"
    assert orders["freshness"]["error_after"] == {"count": 1440, "period": "minute"}
    assert orders["loaded_at_field"] == "cast(updated_at as timestamp)"
    assert sources["stripe_customers"]["columns"]["email"]["meta"] == {"classification": "pii", "mask": "hash"}
    assert sources["shopify_order_lines"]["columns"]["quantity"]["data_type"] == "int"
    tests = [
        (node["attached_node"].rpartition(".")[2] if node["attached_node"] else "", node["column_name"], node)
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test"
    ]
    asked = {(node["test_metadata"]["name"], column) for _, column, node in tests if "shopify_orders" in node["name"]}
    assert {("unique", "order_id"), ("not_null", "order_id"), ("accepted_values", "currency")} <= asked
    assert ("relationships", "customer_id") in asked and ("not_null", "fulfilled_at") not in asked
    product = next(n for n in manifest["nodes"].values() if "unique" in n["name"] and "catalog_products" in n["name"])
    assert product["config"]["where"] == "is_current", "a key has several versions in a history"


def test_a_reference_to_a_table_that_is_not_exported_is_left_out(parsed: Callable[[str], dict[str, Any]]) -> None:
    settings.cache_clear()
    alone = dbt_sources(list(_relations([load_all(settings())["shopify_orders"]])))
    assert "relationships" not in alone
    names = [table["name"] for table in yaml.safe_load(alone)["sources"][0]["tables"]]
    assert names == ["shopify_orders", "shopify_order_lines"]
