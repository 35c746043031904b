"""Types that are declared somewhere (a table, DDL, a manifest) in the terms of a contract."""

from collections.abc import Callable

from sqlglot import exp
from sqlglot.errors import SqlglotError

from lakehouse.contracts.inference import Guess
from lakehouse.contracts.spark_sql import parse_type

_Type = exp.DataType.Type
_WHOLE = {
    _Type.TINYINT: "tinyint",
    _Type.UTINYINT: "smallint",
    _Type.SMALLINT: "smallint",
    _Type.SMALLSERIAL: "smallint",
    _Type.YEAR: "smallint",
    _Type.USMALLINT: "int",
    _Type.MEDIUMINT: "int",
    _Type.INT: "int",
    _Type.SERIAL: "int",
    _Type.UMEDIUMINT: "int",
    _Type.UINT: "bigint",
    _Type.BIGINT: "bigint",
    _Type.BIGSERIAL: "bigint",
    _Type.UBIGINT: "decimal(20,0)",
}
_OTHERS = {
    _Type.BOOLEAN: Guess("boolean", "boolean"),
    _Type.FLOAT: Guess("number", "float"),
    _Type.DOUBLE: Guess("number", "double"),
    _Type.MONEY: Guess("number", "decimal(19,4)"),
    _Type.SMALLMONEY: Guess("number", "decimal(10,4)"),
    _Type.DATE: Guess("date", "date"),
    _Type.DATE32: Guess("date", "date"),
    _Type.UUID: Guess("string", "string", {"format": "uuid"}),
}
_MOMENTS = {_Type.TIMESTAMP, _Type.TIMESTAMPTZ, _Type.TIMESTAMPLTZ, _Type.DATETIME, _Type.DATETIME2, _Type.DATETIME64}
_MOMENTS |= {_Type.SMALLDATETIME, _Type.TIMESTAMPNTZ, _Type.TIMESTAMP_S, _Type.TIMESTAMP_MS, _Type.TIMESTAMP_NS}
_DOCUMENTS = {_Type.JSON, _Type.JSONB, _Type.VARIANT, _Type.OBJECT, _Type.SUPER, _Type.HSTORE, _Type.XML}


def declared(written: str, dialect: str | None = "spark") -> Guess:
    """The column that a type says, in the words of that dialect of SQL. What has no counterpart is text, with a note."""
    try:
        kind = exp.DataType.build(written, dialect=dialect)
    except SqlglotError:
        return _text(written)
    return of_type(kind)


def of_type(kind: exp.DataType) -> Guess:
    """As `declared`, of a type that has been parsed."""
    what = kind.this
    if what in _WHOLE:
        return Guess("integer", _WHOLE[what])
    if what in _OTHERS:
        known = _OTHERS[what]
        return Guess(known.logical, known.physical, dict(known.options))
    if what in exp.DataType.TEXT_TYPES:
        size = _sizes(kind)[:1]
        return Guess("string", "string", {"maxLength": size[0]} if size else {})
    if what in _MOMENTS:
        return Guess("timestamp", "timestamp")
    if what in (_Type.DECIMAL, _Type.BIGDECIMAL, _Type.DECIMAL32, _Type.DECIMAL64, _Type.DECIMAL128):
        return _decimal(_sizes(kind))
    if what in (_Type.ENUM, _Type.ENUM8, _Type.ENUM16):
        return Guess("string", "string", accepted=[value.name for value in kind.expressions])
    if what in _DOCUMENTS and not kind.expressions:
        note = f"{_shown(kind)} in the source: declared as text, so describe its fields if rules are to reach them"
        return Guess("string", "string", notes=[note])
    nested = {_Type.ARRAY: _array, _Type.LIST: _array, _Type.MAP: _map, _Type.STRUCT: _struct, _Type.OBJECT: _struct}
    make: Callable[[exp.DataType], Guess] | None = nested.get(what)
    return make(kind) if make and kind.expressions else _text(_shown(kind))


def with_type(found: Guess, written: str) -> Guess:
    """What values have told about a column, with the type that it is known to have (as Spark writes it)."""
    known = declared(written)
    if known.logical in ("array", "object") or known.notes:
        kept = found if found.logical == known.logical and (found.fields or found.item) else known
        kept.description, kept.rows, kept.nulls, kept.unique = found.description, found.rows, found.nulls, found.unique
        return kept
    if known.physical != found.physical and known.logical not in ("integer", "number"):
        found.options, found.accepted = known.options, []
    found.logical, found.physical = known.logical, known.physical
    return found


def _text(written: str) -> Guess:
    note = f"`{written}` has no counterpart in a contract: declared as text, so see how it is delivered"
    return Guess("string", "string", notes=[note])


def _shown(kind: exp.DataType) -> str:
    return kind.sql().lower()


def _sizes(kind: exp.DataType) -> list[int]:
    return [int(part.name) for part in kind.expressions if part.name.isdigit()]


def _decimal(sizes: list[int]) -> Guess:
    if not sizes:
        return Guess("number", "decimal(38,10)", notes=["the number of digits is not declared: choose decimal(p,s)"])
    precision, scale = sizes[0], sizes[1] if len(sizes) > 1 else 0
    if not 1 <= precision <= 38 or scale > precision:
        note = f"decimal({precision},{scale}) is more than Spark can hold: choose decimal(p,s) of 38 digits at most"
        return Guess("number", "decimal(38,10)", notes=[note])
    return Guess("number" if scale else "integer", f"decimal({precision},{scale})")


def _array(kind: exp.DataType) -> Guess:
    item = of_type(kind.expressions[0])
    return Guess("array", fields=item.fields, item=item, notes=item.notes)


def _struct(kind: exp.DataType) -> Guess:
    fields = {field.name: of_type(field.args["kind"]) for field in kind.expressions if field.args.get("kind")}
    return Guess("object", fields=fields) if fields else _text(_shown(kind))


def _map(kind: exp.DataType) -> Guess:
    try:
        return Guess("object", parse_type(kind.sql(dialect="spark")))
    except ValueError:
        return _text(_shown(kind))
