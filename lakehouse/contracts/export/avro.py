"""The row of a relation of silver as an Avro schema (https://avro.apache.org/docs/1.12.0/specification/)."""

import re
from typing import Any

from lakehouse.contracts.export.shape import Field, Relation, Shape, shape_of
from lakehouse.contracts.model import Column

_SIMPLE: dict[str, Any] = {
    "string": "string",
    "boolean": "boolean",
    "tinyint": "int",
    "smallint": "int",
    "int": "int",
    "bigint": "long",
    "float": "float",
    "double": "double",
    "date": {"type": "int", "logicalType": "date"},
    "timestamp": {"type": "long", "logicalType": "timestamp-micros"},
}


def avro_schema(relation: Relation) -> dict[str, Any]:
    """The schema of a row. A column that may be null is a union with null, its default; a name that Avro does not allow
    has its other signs replaced by `_`."""
    namespace, _, name = relation.name.rpartition(".")
    return {
        "type": "record",
        "name": _name(name),
        **({"namespace": namespace} if namespace else {}),
        "doc": relation.description,
        "fields": [
            _field(column.name, shape_of(column), column, f"{_name(name)}_{column.name}") for column in relation.columns
        ],
    }


def _field(name: str, shape: Shape, column: Column | None, path: str) -> dict[str, Any]:
    kind = _type(shape, path)
    is_nullable = column is None or not column.required
    field: dict[str, Any] = {"name": _name(name), "type": ["null", kind] if is_nullable else kind}
    if is_nullable:
        field["default"] = None
    if column is not None and column.description:
        field["doc"] = column.description
    if column is not None and column.classification == "pii":
        field["classification"] = "pii"
    return field


def _type(shape: Shape, path: str) -> Any:
    """`path` names the record of a struct: Avro wants each named once in a schema."""
    if shape.kind == "decimal":
        return {"type": "bytes", "logicalType": "decimal", "precision": shape.precision, "scale": shape.scale}
    if shape.kind == "array":
        return {"type": "array", "items": _element(shape.element, path)}
    if shape.kind == "map" and shape.key == Shape("string"):
        return {"type": "map", "values": _element(shape.element, path)}
    if shape.kind == "map":  # whose keys Avro cannot have: its entries
        assert shape.key is not None and shape.element is not None
        entry = Shape("struct", fields=(Field("key", shape.key), Field("value", shape.element)))
        return {"type": "array", "items": _type(entry, path)}
    if shape.kind == "struct":
        fields = [_field(field.name, field.shape, field.column, f"{path}_{field.name}") for field in shape.fields]
        return {"type": "record", "name": _name(path), "fields": fields}
    return _SIMPLE[shape.kind]


def _element(shape: Shape | None, path: str) -> Any:
    """Objects in an array are whole; single values may be null, for Spark does not say that they are not."""
    assert shape is not None
    kind = _type(shape, path)
    return kind if shape.kind == "struct" else ["null", kind]


def _name(name: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return plain if re.match(r"[A-Za-z_]", plain) else f"_{plain}"
