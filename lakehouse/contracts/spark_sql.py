"""Spark SQL text: types, literals and identifiers. Nothing here runs Spark."""

import re
from datetime import date, datetime
from decimal import Decimal, InvalidOperation

INTEGERS = ("tinyint", "smallint", "int", "bigint")
FRACTIONS = ("float", "double")
SIMPLE = ("string", "boolean", "date", "timestamp", *INTEGERS, *FRACTIONS)
_ALIASES = {
    "integer": "int",
    "long": "bigint",
    "short": "smallint",
    "byte": "tinyint",
    "real": "float",
    "bool": "boolean",
}
_TOKEN = re.compile(r"\s*(`[^`]+`|[A-Za-z_][A-Za-z0-9_]*|\d+|[<>(),:])")

GRAMMAR = f"{', '.join(SIMPLE)}, decimal(p,s), array<…>, map<…,…>, struct<name:…>"
"""The types that a contract may use."""

_KEYWORDS = frozenset(
    [
        "all",
        "and",
        "anti",
        "any",
        "array",
        "as",
        "asc",
        "at",
        "between",
        "both",
        "by",
        "case",
        "cast",
        "check",
        "collate",
        "column",
        "constraint",
        "create",
        "cross",
        "cube",
        "current",
        "current_date",
        "current_time",
        "current_timestamp",
        "current_user",
        "date",
        "day",
        "default",
        "delete",
        "desc",
        "describe",
        "distinct",
        "drop",
        "else",
        "end",
        "escape",
        "except",
        "exists",
        "extract",
        "false",
        "fetch",
        "filter",
        "for",
        "foreign",
        "from",
        "full",
        "grant",
        "group",
        "grouping",
        "having",
        "hour",
        "if",
        "in",
        "inner",
        "insert",
        "intersect",
        "interval",
        "into",
        "is",
        "join",
        "lateral",
        "leading",
        "left",
        "like",
        "limit",
        "map",
        "merge",
        "minus",
        "minute",
        "month",
        "natural",
        "no",
        "not",
        "null",
        "of",
        "offset",
        "on",
        "only",
        "or",
        "order",
        "outer",
        "over",
        "overlaps",
        "partition",
        "position",
        "primary",
        "range",
        "references",
        "regexp",
        "right",
        "rlike",
        "rollup",
        "row",
        "rows",
        "second",
        "select",
        "semi",
        "session_user",
        "set",
        "some",
        "start",
        "struct",
        "table",
        "tablesample",
        "then",
        "time",
        "timestamp",
        "to",
        "trailing",
        "transform",
        "trim",
        "true",
        "truncate",
        "union",
        "unique",
        "unknown",
        "update",
        "user",
        "using",
        "values",
        "when",
        "where",
        "window",
        "with",
        "year",
    ]
)


def parse_type(text: str) -> str:
    """A Spark SQL type in one spelling: lower case, no spaces, canonical names.

    Raises ValueError, whose text says what is wrong, for anything outside GRAMMAR.
    """
    tokens = []
    position = 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if not match:
            raise ValueError(f"`{text[position:].strip()}` cannot be read as part of a type")
        tokens.append(match.group(1))
        position = match.end()
    result, rest = _type(tokens)
    if rest:
        raise ValueError(f"`{''.join(rest)}` is left over after the type `{result}`")
    return result


def _type(tokens: list[str]) -> tuple[str, list[str]]:
    if not tokens:
        raise ValueError("a type is missing")
    name, rest = _ALIASES.get(tokens[0].lower(), tokens[0].lower()), tokens[1:]
    if name in SIMPLE:
        return name, rest
    if name in ("decimal", "numeric", "dec"):
        return _decimal(rest)
    if name == "array":
        element, rest = _type(_expect(rest, "<", "array"))
        return f"array<{element}>", _expect(rest, ">", "array")
    if name == "map":
        key, rest = _type(_expect(rest, "<", "map"))
        value, rest = _type(_expect(rest, ",", "map"))
        return f"map<{key},{value}>", _expect(rest, ">", "map")
    if name == "struct":
        return _struct(rest)
    if name in ("varchar", "char", "text"):
        raise ValueError(f"`{name}` is not used; write `string`, and `maxLength` under logicalTypeOptions")
    if name.startswith("timestamp"):
        raise ValueError(f"`{name}` is not used; write `timestamp`")
    raise ValueError(f"`{name}` is no type")


def _decimal(rest: list[str]) -> tuple[str, list[str]]:
    if rest[:1] != ["("]:
        raise ValueError("a decimal needs its precision and scale, such as `decimal(12,2)`")
    shape, after = rest[1:4], rest[4:]
    if len(rest) >= 5 and shape[1] == "," and shape[0].isdigit() and shape[2].isdigit() and rest[4] == ")":
        precision, scale = int(shape[0]), int(shape[2])
        if not 1 <= precision <= 38 or scale > precision:
            raise ValueError(f"`decimal({precision},{scale})` is impossible: 1 ≤ precision ≤ 38, scale ≤ precision")
        return f"decimal({precision},{scale})", after[1:]
    raise ValueError("a decimal needs its precision and scale, such as `decimal(12,2)`")


def _struct(rest: list[str]) -> tuple[str, list[str]]:
    rest = _expect(rest, "<", "struct")
    fields = []
    while True:
        if not rest or not re.match(r"[`A-Za-z_]", rest[0]):
            raise ValueError("a field's name is missing in the struct")
        name, rest = rest[0], _expect(rest[1:], ":", "struct")
        field, rest = _type(rest)
        fields.append(f"{name}:{field}")
        if rest[:1] == [","]:
            rest = rest[1:]
            continue
        return f"struct<{','.join(fields)}>", _expect(rest, ">", "struct")


def _expect(tokens: list[str], sign: str, name: str) -> list[str]:
    if tokens[:1] != [sign]:
        found = f"`{tokens[0]}`" if tokens else "the end"
        raise ValueError(f"`{sign}` is expected in the {name}, and {found} is found")
    return tokens[1:]


def is_number(spark_type: str) -> bool:
    return spark_type in INTEGERS or spark_type in FRACTIONS or spark_type.startswith("decimal")


def is_scalar(spark_type: str) -> bool:
    return not spark_type.startswith(("array<", "map<", "struct<"))


def identifier(name: str) -> str:
    """A column's name, in backticks where Spark would otherwise read a keyword or stumble."""
    if re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) and name.lower() not in _KEYWORDS:
        return name
    return "`" + name.replace("`", "``") + "`"


def text_literal(value: str) -> str:
    """A string literal. Spark reads backslash escapes inside literals, so they are doubled; and `${`, which Spark and Soda
    would replace anywhere in a query, is written as an escape."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return "'" + escaped.replace("${", "\\u0024{") + "'"


def literal(value: object, spark_type: str) -> str:
    """A value of a contract as a literal to compare a column of that type with.

    Raises ValueError, whose text says what is expected, where value and type do not fit.
    """
    if spark_type == "string":
        if isinstance(value, str):
            return text_literal(value)
        raise ValueError(f"{value!r} is no text; put it in quotes")
    if spark_type == "boolean":
        if isinstance(value, bool):
            return str(value).lower()
        raise ValueError(f"{value!r} is neither true nor false")
    if spark_type == "date":
        return f"date'{_date(value).isoformat()}'"
    if spark_type == "timestamp":
        return f"timestamp'{_timestamp(value)}'"
    if is_number(spark_type):
        return _number(value, spark_type)
    raise ValueError(f"a column of type {spark_type} cannot be compared with a value")


def _date(value: object) -> date:
    try:
        return date.fromisoformat(str(value))
    except ValueError as error:
        raise ValueError(f"{value!r} is no date such as 2025-11-24") from error


def _timestamp(value: object) -> str:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise ValueError(f"{value!r} is no timestamp such as 2025-11-24T08:00:00Z") from error
    return moment.isoformat(sep=" ") + ("" if moment.tzinfo else "+00:00")


def _number(value: object, spark_type: str) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is no number; write it without quotes")
    try:
        number = Decimal(repr(value))
        plain = format(number, "f")
    except InvalidOperation as error:
        raise ValueError(f"{value!r} is no number") from error
    if not number.is_finite():
        raise ValueError(f"{value!r} is no finite number")
    if spark_type in INTEGERS and number == number.to_integral_value():
        return str(int(number))
    return plain
