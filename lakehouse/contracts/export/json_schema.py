"""A record as it arrives, as a JSON Schema (draft 2020-12): for whoever delivers, to be checked before it is sent.

The schema is as strict as the contract, or stricter: it takes values as their JSON types alone, where bronze also reads
a number in quotes. What it cannot say (conditions over several columns, whole batches) is named in its comment.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lakehouse.contracts.export.shape import Field, Shape, shape_of
from lakehouse.contracts.formats import EPOCHS, FORMATS, integer_range, type_range
from lakehouse.contracts.model import Column, Contract
from lakehouse.contracts.spark_sql import INTEGERS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_DAY = r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
_TEXTS = {
    "date": rf"^{_DAY}$",
    "timestamp": rf"^{_DAY}([T ][0-9].*)?$",
    "boolean": "^([tT][rR][uU][eE]|[fF][aA][lL][sS][eE])$",
    **dict.fromkeys(INTEGERS, "^[+-]?[0-9]+$"),
    **dict.fromkeys(("decimal", "float", "double"), r"^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?$"),
}
"""How values are written as text: of CSV all, of JSON those of time."""


def json_schema(contract: Contract) -> dict[str, Any]:
    """The schema of one record (a line of a JSON file, or of a CSV file as an object of texts by its header). Of
    `delivery: changes` it is that of a change event of Debezium around the row."""
    head = {
        "$schema": DIALECT,
        "$id": f"urn:contract:{contract.id}:{contract.version}",
        "title": contract.title,
        "description": f"{contract.description}\n\n{contract.grain}".strip(),
        "$comment": _comment(contract),
    }
    row = _row(contract, contract.columns)
    return head | (_event(contract, row) if contract.delivery == "changes" else row)


def _comment(contract: Contract) -> str:
    across = [rule.name for rule in contract.rules if rule.column is None]
    said = f"A record of {contract.table} as it arrives, by its contract {contract.id} {contract.version}."
    more = [*across, *(check.name for check in contract.checks)]
    return f"{said} Asked beside it, of the record or its batch: {', '.join(more)}." if more else said


def _row(contract: Contract, columns: Sequence[Column]) -> dict[str, Any]:
    """A record that deletes its row may hold the key alone, and one that keeps earlier values leaves them out."""
    may_lack = {name for name in contract.column_names if name not in contract.keys} if contract.delete_when else ()
    optional = {*contract.filled, *may_lack}
    required = [column.source_name for column in columns if column.required and column.name not in optional]
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            column.source_name: _column(contract, column, column.required and column.name not in optional)
            for column in columns
        },
    }
    if required:
        schema["required"] = required
    if contract.unknown_fields == "fail":
        schema["additionalProperties"] = False
    return schema


def _event(contract: Contract, row: dict[str, Any]) -> dict[str, Any]:
    keys = [contract.column(name) for name in contract.keys]
    key = {
        "type": "object",
        "properties": {column.source_name: _column(contract, column, True) for column in keys},
        "required": [column.source_name for column in keys],
    }
    of_row, of_key = {"$ref": "#/$defs/row"}, {"$ref": "#/$defs/key"}
    event: dict[str, Any] = {
        "type": "object",
        "properties": {"op": {"enum": ["r", "c", "u", "d", "t"]}},
        "required": ["op"],
    }
    for path in contract.sequence:
        _place(event, path.split("."))
    event["allOf"] = [
        {
            "if": {"properties": {"op": {"enum": ["r", "c", "u"]}}},
            "then": {"properties": {"after": of_row}, "required": ["after"]},
        },
        {
            "if": {"properties": {"op": {"const": "d"}}},
            "then": {
                "anyOf": [
                    {"properties": {"before": of_key}, "required": ["before"]},
                    {"properties": {"after": of_key}, "required": ["after"]},
                ]
            },
        },
    ]
    event["$defs"] = {"row": row, "key": key}
    return event


def _place(schema: dict[str, Any], path: Sequence[str]) -> None:
    """Asks for a number at a path inside the event."""
    schema["required"] = list(dict.fromkeys([*schema.get("required", ()), path[0]]))
    if len(path) == 1:
        schema["properties"][path[0]] = {"type": ["integer", "string"], "pattern": "^[0-9]+$"}
        return
    inner = schema["properties"].setdefault(path[0], {"type": "object", "properties": {}})
    _place(inner, path[1:])


def _column(contract: Contract, column: Column, is_required: bool) -> dict[str, Any]:
    if contract.format != "csv":
        return _member(column, _value(shape_of(column), column), is_required)
    text = _text(shape_of(column), column)
    known = (
        column if column.type == "string" else replace(column, options=(), accepted=())
    )  # limits of numbers, not texts
    schema = _member(known, text, is_required=True)
    return schema if is_required else {"anyOf": [schema, {"type": "null"}, {"const": ""}]}


def _member(column: Column, schema: dict[str, Any], is_required: bool) -> dict[str, Any]:
    """A column or field: what is told of it, its type, and what its contract asks of its values."""
    told: dict[str, Any] = {"description": column.description} if column.description else {}
    if column.examples and column.classification != "pii":
        told["examples"] = list(column.examples)
    if column.classification != "internal":
        told["x-classification"] = column.classification
    schema = schema | _limits(dict(column.options), schema)
    if column.accepted:
        schema["enum"] = list(column.accepted)
    return told | (schema if is_required else _nullable(schema))


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    more = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return schema | {"type": [schema["type"], "null"]} | more


def _limits(options: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """What `logicalTypeOptions` ask of a value of the type that `schema` gives; the narrower of two limits."""
    kind = schema["type"]
    if kind == "array":
        return {key: options[key] for key in ("minItems", "maxItems", "uniqueItems") if key in options}
    if kind == "object":
        return {key: options[key] for key in ("minProperties", "maxProperties", "required") if key in options}
    if kind in ("integer", "number"):
        found = {key: options[key] for key in ("exclusiveMinimum", "exclusiveMaximum") if key in options}
        ranges = integer_range(str(options.get("format"))) or ()
        for index, (key, narrower) in enumerate((("minimum", max), ("maximum", min))):
            limits = [given[key] for given in (options, schema) if key in given] + ([ranges[index]] if ranges else [])
            if limits:
                found[key] = narrower(limits)
        return found
    if kind != "string" or "pattern" in schema or "$comment" in schema:
        return {}
    found = {key: options[key] for key in ("minLength", "maxLength") if key in options}
    patterns = [str(options["pattern"])] if "pattern" in options else []
    if options.get("format") in FORMATS:
        found["format"] = options["format"]
        patterns.append(FORMATS[options["format"]])
    if patterns:
        found["pattern"] = patterns[0]
    if len(patterns) > 1:
        found["allOf"] = [{"pattern": pattern} for pattern in patterns[1:]]
    return found


def _text(shape: Shape, column: Column) -> dict[str, Any]:
    """A value of CSV."""
    if column.format in EPOCHS:
        return {"type": "string", "pattern": _TEXTS["bigint"]}
    if shape.kind == "string" or column.format:
        return {"type": "string"} | ({"minLength": 1} if shape.kind == "string" else {})
    return {"type": "string", "pattern": _TEXTS[shape.kind]}


def _value(shape: Shape, column: Column | None = None) -> dict[str, Any]:
    """A value of JSON."""
    if shape.kind in INTEGERS:
        low, high = type_range(shape.kind)
        return {"type": "integer", "minimum": low, "maximum": high}
    if shape.kind in ("date", "timestamp"):
        if column is not None and column.format in EPOCHS:
            return {"type": "integer"}
        if column is not None and column.format:
            return {"type": "string", "$comment": f"written as {column.format}"}
        return {"type": "string", "pattern": _TEXTS[shape.kind]}
    if shape.kind == "array":
        assert shape.element is not None
        inner = _value(shape.element)
        return {"type": "array", "items": inner if shape.element.kind == "struct" else _nullable(inner)}
    if shape.kind == "map":
        assert shape.element is not None
        return {"type": "object", "additionalProperties": _nullable(_value(shape.element))}
    if shape.kind == "struct":
        return _object(shape.fields)
    return {"type": {"string": "string", "boolean": "boolean"}.get(shape.kind, "number")}


def _object(fields: Sequence[Field]) -> dict[str, Any]:
    described = [field.column for field in fields if field.column]
    properties = {field.name: _nullable(_value(field.shape)) for field in fields if not field.column}
    properties |= {
        column.source_name: _member(column, _value(shape_of(column), column), column.required) for column in described
    }
    required = [column.source_name for column in described if column.required]
    return {"type": "object", "properties": properties} | ({"required": required} if required else {})
