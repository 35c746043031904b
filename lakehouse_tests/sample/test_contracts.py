"""What the sample sends is what the contracts of its tables say."""

import csv
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

import lakehouse.contracts
from lakehouse.contracts.export.json_schema import json_schema
from lakehouse.contracts.loader import load
from lakehouse.sample import LandSummary
from lakehouse_tests.sample.landed import files_of, lines_of, parsed

FOLDER = Path(lakehouse.contracts.__file__).parent / "tables"
NAMES = [
    "shopify.orders",
    "stripe.customers",
    "stripe.payments",
    "catalog.products",
    "web.events",
    "marketing.campaigns",
    "marketing.coupon_redemptions",
]


def contract(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load(FOLDER / f"{name.replace('.', '_')}.yaml")
    return loaded


def rows(summary: LandSummary, name: str) -> list[dict[str, Any]]:
    """The table's rows as they are sent; both images of a change event."""
    if name.split(".")[0] in ("catalog", "marketing"):
        found: list[dict[str, Any]] = []
        for path in files_of(summary.landing, name):
            with path.open(newline="") as file:
                found += csv.DictReader(file)
        return found
    records = [json.loads(line) for line in lines_of(summary.landing, name)]
    if name.startswith("stripe."):
        return [record[image] for record in records for image in ("before", "after") if record[image]]
    return records


def accepted(column: dict[str, Any]) -> set[str] | None:
    sets = [rule["arguments"]["validValues"] for rule in column.get("quality", []) if rule["metric"] == "invalidValues"]
    return set(sets[0]) if sets else None


@pytest.mark.parametrize("name", NAMES)
def test_rows_have_the_contract_s_columns(two_clean_weeks: LandSummary, name: str) -> None:
    columns = {column["name"]: column for column in contract(name)["schema"][0]["properties"]}
    sent = rows(two_clean_weeks, name)
    assert {frozenset(row) for row in sent} == {frozenset(columns)}
    for column in columns.values():
        values = {row[column["name"]] for row in sent} if column["logicalType"] != "array" else set()
        if column.get("required"):
            assert not values & {None, ""}, column["name"]
        if (allowed := accepted(column)) is not None:
            assert values - {None} <= allowed, column["name"]


def test_lines_have_the_contract_s_columns(two_clean_weeks: LandSummary) -> None:
    [items] = [c for c in contract("shopify.orders")["schema"][0]["properties"] if c["name"] == "line_items"]
    columns = {column["name"] for column in items["items"]["properties"]}
    lines = [line for order in rows(two_clean_weeks, "shopify.orders") for line in order["line_items"]]
    assert {frozenset(line) for line in lines} == {frozenset(columns)}


@pytest.mark.parametrize("name", NAMES)
def test_the_contract_names_the_landing_folder(two_clean_weeks: LandSummary, name: str) -> None:
    loaded = contract(name)
    [own] = [entry["value"] for entry in loaded["customProperties"] if entry["property"] == "lakehouse"]
    assert loaded["id"] == name == f"{own['source']}.{loaded['schema'][0]['name']}"
    suffix = {"json": ".jsonl", "csv": ".csv"}[own["format"]]
    assert {path.suffix for path in files_of(two_clean_weeks.landing, name)} == {suffix}


@pytest.mark.parametrize("name", NAMES)
def test_personal_data_is_masked_and_everything_is_described(name: str) -> None:
    for column in contract(name)["schema"][0]["properties"]:
        assert column["description"].endswith("."), column["name"]
        assert column["classification"] in {"public", "internal", "confidential", "pii"}
        if column["classification"] == "pii":
            assert column["customProperties"][0]["value"]["mask"] in {"hash", "partial", "redact"}


@pytest.mark.parametrize("name", NAMES)
def test_its_json_schema_takes_what_is_sent_and_refuses_the_faults(
    two_weeks: LandSummary, two_clean_weeks: LandSummary, name: str
) -> None:
    schema = json_schema(load(FOLDER / f"{name.replace('.', '_')}.yaml"))
    accepts = jsonschema.Draft202012Validator(schema).is_valid
    if name.split(".")[0] in ("catalog", "marketing"):
        assert all(map(accepts, rows(two_clean_weeks, name)[:300]))
        return
    assert all(accepts(json.loads(line)) for line in lines_of(two_clean_weeks.landing, name)[:300])
    faulty = [record for line in lines_of(two_weeks.landing, name)[:2500] if (record := parsed(line)) is not None]
    assert not all(map(accepts, faulty)), "wrong types, missing keys and values outside their set"
