"""Avro: what `fastavro`, which knows nothing of contracts, makes of the schemas."""

import io
from typing import Any

import fastavro
import pytest

from lakehouse.contracts.export.avro import avro_schema
from lakehouse.contracts.export.shape import Relation
from lakehouse.contracts.loader import SAMPLE, load
from lakehouse.contracts.model import Contract
from lakehouse_tests.contracts.export.rich import rich, typed
from lakehouse_tests.silver.small import column, contract, items, key


def schema_of(of: Contract) -> dict[str, Any]:
    return avro_schema(Relation(of, of.silver_table, of.grain, of.columns))


def written_and_read(schema: dict[str, Any], row: dict[str, Any]) -> Any:
    file = io.BytesIO()
    fastavro.writer(file, fastavro.parse_schema(schema), [row])
    file.seek(0)
    return next(iter(fastavro.reader(file)))


def test_a_row_of_every_type_is_the_same_once_written_and_read() -> None:
    assert written_and_read(schema_of(rich()), typed()) == typed()


def test_what_is_required_may_not_be_null_and_all_else_may() -> None:
    schema = schema_of(rich())
    nothing = dict.fromkeys(typed()) | {"id": "1", "state": "new"}
    assert written_and_read(schema, nothing) == nothing
    assert written_and_read(schema, {"id": "1", "state": "new"}) == nothing, "null is the default"
    with pytest.raises(TypeError):  # what fastavro raises where a value fits no type
        written_and_read(schema, nothing | {"state": None})


def test_structs_of_one_name_and_names_that_avro_lacks() -> None:
    of = contract(
        [key(), items("lines", items("parts", column("n", "int"))), items("more", items("parts", column("n", "int"))),
         {"name": "odd", "logicalType": "object", "physicalType": "struct<`a b`:int,`1st`:string>"}],
    )  # fmt: skip
    row = {
        "id": "1",
        "lines": [{"parts": [{"n": 1}]}],
        "more": [{"parts": [{"n": 2}]}],
        "odd": {"a_b": 1, "_1st": "x"},
    }
    assert written_and_read(schema_of(of), row) == row


@pytest.mark.parametrize("path", sorted(SAMPLE.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_sample_s_tables_have_schemas(path: Any) -> None:
    of = load(path)
    parsed = fastavro.parse_schema(schema_of(of))
    assert isinstance(parsed, dict) and parsed["name"] == of.silver_table
    assert [field["name"] for field in parsed["fields"]] == list(of.column_names)
