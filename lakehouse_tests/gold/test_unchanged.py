"""What a build leaves as it is, because nothing that it reads has changed."""

from typing import Any

import pytest

from lakehouse.gold import project as dbt
from lakehouse.gold.unchanged import unchanged
from lakehouse.settings import settings


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    return dbt.manifest(settings())


def left(manifest: dict[str, Any], tables: set[str]) -> set[str]:
    """Names of what is left as it is, where these tables of silver are at the version of the release."""
    marts = {node["unique_id"] for node in dbt.marts(settings()).values()}
    return {manifest["nodes"][key]["name"] for key in unchanged(manifest, tables, marts)}


def all_tables(manifest: dict[str, Any]) -> set[str]:
    return {source["name"] for source in manifest["sources"].values()}


def test_without_a_new_catalog_the_products_stay_and_their_tests_are_not_asked_again(manifest: dict[str, Any]) -> None:
    found = left(manifest, {"catalog_products"})
    assert found >= {"dim_products", "unique_dim_products_product_key", "stg_catalog__products_complete"}
    assert all("products" in name for name in found)


def test_a_test_of_two_models_is_asked_where_one_of_them_changed(manifest: dict[str, Any]) -> None:
    found = left(manifest, {"catalog_products"})
    assert not {name for name in found if name.startswith("relationships_fct_order_items")}
    assert "assert_items_match_product_versions" not in found


def test_a_view_is_made_anew_all_the_same(manifest: dict[str, Any]) -> None:
    assert not {name for name in left(manifest, all_tables(manifest)) if name.startswith(("stg_", "int_"))} & {
        node["name"] for node in dbt.models(settings()).values()
    }


def test_where_nothing_changed_only_what_warns_or_asks_for_the_time_is_done(manifest: dict[str, Any]) -> None:
    tests = {node["name"]: node for node in manifest["nodes"].values() if node["resource_type"] == "test"}
    asked = tests.keys() - left(manifest, all_tables(manifest))
    by_time = {"fct_orders_recent", "fct_orders_placed_in_the_past"}
    assert asked >= by_time
    assert all(tests[name]["config"]["severity"].lower() == "warn" for name in asked - by_time)


def test_where_everything_changed_nothing_is_left(manifest: dict[str, Any]) -> None:
    assert left(manifest, set()) == set()


def test_a_test_that_may_fail_and_not_block_is_asked(manifest: dict[str, Any]) -> None:
    name = "dim_products_complete"
    nodes = {
        key: {**node, "config": {**node["config"], "error_if": "> 10"}} if node["name"] == name else node
        for key, node in manifest["nodes"].items()
    }
    assert name not in left({**manifest, "nodes": nodes}, all_tables(manifest))
    assert name in left(manifest, all_tables(manifest))


def test_a_selector_finds_its_node_alone(manifest: dict[str, Any]) -> None:
    nodes = {key: node for key, node in manifest["nodes"].items() if node["resource_type"] in ("model", "test")}
    selectors = dbt.selectors(manifest, nodes)
    assert len(set(selectors)) == len(nodes)
    paths = [selector.removeprefix("fqn:") for selector in selectors]
    assert not [path for path in paths for other in paths if other.startswith(f"{path}.")], "one finds another, too"
