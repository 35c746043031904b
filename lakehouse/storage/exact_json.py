"""JSON read without a loss of digits.

Of a number with a fraction Spark's `from_json` gives the text of the nearest double, which tells fifteen digits and no
more. Longer ones are therefore put between quotes before, behind a sign by which they are found again.
"""

from lakehouse.storage.tables import literal

_SIGN = "\ue000\uf8ff"
"""Two characters of private use, which nobody writes side by side."""
_MAY_BE_LONG = literal("[.](?:(?<=[0-9]{8}[.])[0-9]|[0-9]{8})")
"""Begins with what is rare in a text: all of them are searched for it."""
_IS_LONG = literal("(?<![0-9])(?=[0-9.]{17})[0-9]++[.][0-9]")
_TOKENS = literal(
    r'(?s)("(?:[^"\\]++|\\.)*+(?:"|\z))'  # a text, in which nothing is a number, or what is cut off in one
    r"|(?=[-0-9])(?<![-+.\w])(-?(?=[0-9.]{17})(?:0|[1-9][0-9]*+)[.][0-9]++(?:[eE][-+]?[0-9]{1,2})?)(?![-+.\w])"
)
_QUOTED, _EMPTY, _SIGNED = literal(f'$1"{_SIGN}$2"'), literal(f'"{_SIGN}"'), literal(f'"?{_SIGN}([^"]+)"?')


def has_long_numbers(text: str) -> str:
    """SQL: whether a JSON text may hold a number that a double does not; the column `_has_long_numbers` for `read`."""
    return f"coalesce({text} rlike {_MAY_BE_LONG} and {text} rlike {_IS_LONG}, false)"


def read(text: str, kind: str, reader: str = "", guard: str = "_has_long_numbers") -> str:
    """SQL that reads `text` as JSON of a `kind`: a map or an array of texts, or an array of such maps. `reader` is the SQL
    that does, of `{text}`, where it is not `from_json` alone; `guard` is the SQL of `has_long_numbers`."""
    reader = reader or f"from_json({{text}}, '{kind}')"
    signed = reader.replace("{text}", f"replace(regexp_replace({text}, {_TOKENS}, {_QUOTED}), {_EMPTY}, '')")
    return f"if({guard}, {_unsigned(signed, kind)}, {reader.replace('{text}', text)})"


def _unsigned(value: str, kind: str) -> str:
    if kind == "map<string,string>":
        return f"transform_values({value}, (k, v) -> {_unsigned('v', 'string')})"
    if kind.startswith("array<"):
        return f"transform({value}, x -> {_unsigned('x', kind.removeprefix('array<')[:-1])})"
    return f"regexp_replace({value}, {_SIGNED}, '$1')"
