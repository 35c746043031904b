"""The dbt project as it is written: names, descriptions, tests. Needs no engine."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

LAYERS = {"staging": r"stg_[a-z]+__[a-z_]+", "intermediate": r"int_[a-z_]+", "marts": r"(dim|fct)_[a-z_]+"}
SCHEMAS = {"staging": "staging", "intermediate": "staging", "marts": "gold"}
MODELS = {
    "stg_stripe__customers",
    "stg_stripe__payments",
    "stg_shopify__orders",
    "stg_shopify__order_lines",
    "stg_catalog__products",
    "stg_web__events",
    "int_payments_pivoted_to_customer",
    "dim_customers",
    "dim_products",
    "dim_dates",
    "fct_orders",
    "fct_order_items",
    "fct_revenue",
}


def of_type(manifest: dict[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    return (node for node in manifest["nodes"].values() if node["resource_type"] == kind)


@pytest.fixture(scope="module")
def models(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    return list(of_type(manifest, "model"))


def test_the_models_are_these(models: list[dict[str, Any]]) -> None:
    assert {model["name"] for model in models} == MODELS


def test_names_and_schemas_follow_the_layer(models: list[dict[str, Any]]) -> None:
    for model in models:
        layer = model["path"].split("/")[0]
        assert re.fullmatch(LAYERS[layer], model["name"])
        assert model["schema"] == SCHEMAS[layer]
        assert model["config"]["schema"] == SCHEMAS[layer]


def test_every_model_says_what_a_row_is(models: list[dict[str, Any]]) -> None:
    for model in models:
        assert re.search(r"One row per [a-z ]+\.$", model["description"].strip()), model["name"]


def test_every_column_has_a_description_and_a_type(models: list[dict[str, Any]]) -> None:
    for model in models:
        for column in model["columns"].values():
            assert column["description"].endswith("."), (model["name"], column["name"])
            assert column["data_type"], (model["name"], column["name"])


def test_every_model_has_a_test(manifest: dict[str, Any], models: list[dict[str, Any]]) -> None:
    tested = {parent for test in of_type(manifest, "test") for parent in test["depends_on"]["nodes"]}
    assert {model["unique_id"] for model in models} <= tested


def test_every_model_with_logic_has_a_unit_test(manifest: dict[str, Any], models: list[dict[str, Any]]) -> None:
    tested = {test["model"] for test in manifest["unit_tests"].values()}
    assert {model["name"] for model in models} == tested


def test_unit_tests_are_tagged(manifest: dict[str, Any]) -> None:
    assert all("unit" in test["config"]["tags"] for test in manifest["unit_tests"].values())


def test_every_macro_and_its_arguments_are_described(manifest: dict[str, Any]) -> None:
    own = [macro for macro in manifest["macros"].values() if macro["package_name"] == "lakehouse"]
    assert own
    for macro in own:
        assert macro["description"], macro["name"]
        assert all(argument["description"] for argument in macro["arguments"]), macro["name"]


def test_business_tests_are_described(manifest: dict[str, Any]) -> None:
    standard = {"unique", "not_null", "accepted_values", "relationships"}
    for test in of_type(manifest, "test"):
        if (test.get("test_metadata") or {}).get("name") not in standard:
            assert test["description"], test["name"]


def test_only_what_a_healthy_lakehouse_may_break_warns(manifest: dict[str, Any]) -> None:
    warning = {test["name"] for test in of_type(manifest, "test") if test["config"]["severity"].lower() == "warn"}
    assert warning == {"fct_orders_recent", "dim_customers_have_profiles", "assert_payments_match_orders"}


def test_sources_keep_the_name_that_assets_have(manifest: dict[str, Any]) -> None:
    assert {source["source_name"] for source in manifest["sources"].values()} == {"silver"}
    for source in manifest["sources"].values():
        assert source["schema"] == "silver"
        assert "One row per " in source["description"]


def test_streams_have_the_freshness_that_the_shop_promises(manifest: dict[str, Any]) -> None:
    for source in manifest["sources"].values():
        if source["name"] in {"shopify_orders", "stripe_customers", "stripe_payments", "web_events"}:
            assert source["freshness"]["warn_after"] == {"count": 12, "period": "hour"}
            assert source["freshness"]["error_after"] == {"count": 24, "period": "hour"}
            assert source["loaded_at_field"]


def test_personal_data_names_the_contract_that_masks_it(models: list[dict[str, Any]]) -> None:
    personal = {"email": "stripe_customers.email", "customer_name": "stripe_customers.name"}
    seen = 0
    for model in models:
        for column in model["columns"].values():
            if column["name"] in personal:
                assert column["meta"]["contract_column"] == personal[column["name"]], (model["name"], column["name"])
                seen += 1
    assert seen == 4


def test_gold_holds_nothing_that_depends_on_the_time_of_the_build(models: list[dict[str, Any]]) -> None:
    for model in models:
        assert not re.search(r"current_(date|timestamp)|now\(\)|uuid\(|rand\(", model["raw_code"]), model["name"]


def test_facts_are_incremental_and_the_rest_is_not(models: list[dict[str, Any]]) -> None:
    strategies = {
        model["name"]: model["config"]["incremental_strategy"]
        for model in models
        if model["config"]["materialized"] == "incremental"
    }
    assert strategies == {"fct_orders": "merge", "fct_order_items": "merge", "fct_revenue": "replace_days"}
