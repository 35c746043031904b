"""JSON Schema: what the library `jsonschema`, which knows nothing of contracts, accepts and refuses by it."""

import json
from typing import Any

import jsonschema

from lakehouse.contracts.export.json_schema import json_schema
from lakehouse.contracts.model import Contract
from lakehouse_tests.contracts.export.rich import arrived, rich
from lakehouse_tests.silver.small import accepted, column, contract, key


def validator(of: Contract) -> Any:
    schema = json_schema(of)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def refused(of: Contract, record: Any) -> set[str]:
    """The places in the record that the schema refuses."""
    return {".".join(map(str, error.absolute_path)) or error.validator for error in validator(of).iter_errors(record)}


def test_a_record_of_every_type_is_accepted_and_each_fault_is_found() -> None:
    of = rich()
    assert refused(of, arrived()) == set()
    assert refused(of, arrived() | {"more": 1}) == set(), "a field that the contract does not know is rescued"
    faults = {
        "id": None,
        "flag": "yes",
        "tiny": 128,
        "whole": 1.5,
        "price": "dear",
        "day": "today",
        "moment": "8:30",
        "state": "lost",
        "code": "abc",
        "limited": 10,
        "seen": "2025-03-01",
        "tags": "a",
    }
    for name, wrong in faults.items():
        assert refused(of, arrived() | {name: wrong}) == {name}
    assert refused(of, arrived() | {"counts": {"x": "one"}}) == {"counts.x"}
    assert refused(of, arrived() | {"lines": [{"price": 1}]}) == {"lines.0"}, "a field of an element is missing"
    assert refused(of, arrived() | {"place": {"city": "Here", "zip": 123}}) == {"place.zip"}
    without = {name: value for name, value in arrived().items() if name in ("id", "state")}
    assert refused(of, without) == set()
    assert refused(of, {}) == {"required"}
    assert refused(rich(unknown_fields="fail"), arrived() | {"more": 1}) == {"additionalProperties"}


def test_the_narrower_of_two_limits_holds() -> None:
    of = contract(
        [
            key(),
            column("byte", "int", logicalTypeOptions={"format": "u8", "minimum": 10}),
            {
                "name": "more",
                "logicalType": "object",
                "physicalType": "map<string,string>",
                "logicalTypeOptions": {"minProperties": 1, "required": ["a"]},
            },
            column("some", quality=[accepted("x") | {"arguments": {"validValues": ["x"], "where": "id = '1'"}}]),
        ]
    )
    assert refused(of, {"id": "2", "byte": 255, "more": {"a": "1"}, "some": "y"}) == set()
    assert refused(of, {"id": "2", "byte": 256, "more": {"b": "1"}}) == {"byte", "more"}
    assert refused(of, {"id": "2", "byte": 9, "more": {}}) == {"byte", "more"}


def test_what_a_person_wants_to_know_is_told_and_examples_of_personal_data_are_not() -> None:
    of = contract(
        [
            key(),
            column("name", description="Who.", examples=["Jane"], classification="pii",
                   customProperties=[{"property": "lakehouse", "value": {"mask": "hash"}}]),
            column("size", "int", examples=[3]),
        ],
        quality=[{"name": "size_fits", "type": "custom", "engine": "spark-row", "implementation": "size > length(name)"}],
    )  # fmt: skip
    schema = json_schema(of)
    assert schema["properties"]["name"] == {
        "description": "Who.",
        "x-classification": "pii",
        "type": ["string", "null"],
    }
    assert schema["properties"]["size"]["examples"] == [3]
    assert "size_fits" in schema["$comment"] and schema["$id"] == "urn:contract:shop.things:1.0.0"


def test_a_record_that_deletes_or_leaves_values_out_needs_its_key_alone() -> None:
    columns = [key(), column("name", required=True), column("gone", "boolean", required=True)]
    assert refused(contract(columns), {"id": "1", "gone": True}) == {"required"}
    assert refused(contract(columns, delete_when="gone"), {"id": "1", "gone": True}) == set()
    assert refused(contract(columns, ignore_nulls=["name"]), {"id": "1", "gone": True, "name": None}) == set()


def test_a_change_event_holds_a_row_or_of_a_deletion_the_key() -> None:
    of = contract([key(), column("size", "int", required=True)], delivery="changes", sequence=["source.lsn"])
    source = {"source": {"lsn": 7}}
    assert refused(of, {"op": "c", "before": None, "after": {"id": "1", "size": 3}, **source}) == set()
    assert refused(of, {"op": "u", "after": {"id": "1"}, **source}) == {"after"}
    assert refused(of, {"op": "d", "before": {"id": "1"}, "after": None, **source}) == set()
    assert refused(of, {"op": "d", "before": None, "after": None, **source}) != set()
    assert refused(of, {"op": "x", "after": {"id": "1", "size": 3}, **source}) == {"op"}
    assert refused(of, {"op": "t", "source": {}}) == {"source"}


def test_it_is_json() -> None:
    assert json.loads(json.dumps(json_schema(rich()))) == json_schema(rich())
