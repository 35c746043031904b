"""Nothing that the standard lets a contract ask is passed over: it is compiled, or refused by a test of its own."""

import json
from importlib import resources
from typing import Any, get_args

import pytest

from lakehouse.contracts.formats import FORMATS, FRACTIONS, INTEGER_FORMATS
from lakehouse.contracts.model import Dimension
from lakehouse.contracts.odcs import OPERATORS
from lakehouse.contracts.rules import DIMENSIONS, ENTRY_KEYS, METRICS, OPTIONS

REFUSED_KEYS = {"method", "schedule", "scheduler"}
REFUSED_OPTIONS = {"timestamp": {"timezone"}}
REFUSED_FORMATS = {"password", "binary", "i128", "u128"}


@pytest.fixture(scope="module")
def definitions() -> dict[str, Any]:
    schema = resources.files("open_data_contract_standard").joinpath("schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(schema)["$defs"]
    return found


def operators(definitions: dict[str, Any]) -> set[str]:
    return {key for option in definitions["DataQualityOperators"]["oneOf"] for key in option["required"]}


def test_every_key_of_a_quality_entry_has_a_meaning_or_is_refused(definitions: dict[str, Any]) -> None:
    names = ("DataQuality", "DataQualityLibrary", "DataQualitySql", "DataQualityCustom")
    known = {key for name in names for key in definitions[name]["properties"]} | operators(definitions)
    assert known == {key for keys in ENTRY_KEYS.values() for key in keys} | REFUSED_KEYS
    assert set(definitions["DataQuality"]["properties"]["type"]["enum"]) == set(ENTRY_KEYS)


def test_every_metric_operator_and_dimension_is_known(definitions: dict[str, Any]) -> None:
    assert set(definitions["DataQualityLibrary"]["properties"]["metric"]["enum"]) == set(METRICS)
    assert operators(definitions) == set(OPERATORS)
    assert set(definitions["DataQuality"]["properties"]["dimension"]["enum"]) == set(DIMENSIONS)
    assert set(DIMENSIONS.values()) == set(get_args(Dimension))


def test_every_option_and_format_of_a_type_is_compiled_or_refused(definitions: dict[str, Any]) -> None:
    formats: set[str] = set()
    for option in definitions["SchemaBaseProperty"]["allOf"][1:]:
        kinds = [place["properties"]["logicalType"]["const"] for place in option["if"].get("anyOf", [option["if"]])]
        keys = option["then"].get("properties", {}).get("logicalTypeOptions", {}).get("properties", {})
        for kind in set(kinds) - {"time", "map", "vector"}:  # refused as a whole; the last two are not of v3.1
            assert set(keys) == set(OPTIONS[kind]) | REFUSED_OPTIONS.get(kind, set()), kind
        if kinds[0] not in ("date", "timestamp"):
            formats |= {*keys.get("format", {}).get("enum", ()), *keys.get("format", {}).get("examples", ())}
    assert {"email", "u8"} <= formats
    assert formats <= {*FORMATS, *FRACTIONS, *INTEGER_FORMATS} | REFUSED_FORMATS
