"""What values tell about their column: type, meaning, limits. Pure functions over plain Python values."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from lakehouse.contracts.model import Mask
from lakehouse.contracts.personal import Personal, personal
from lakehouse.contracts.values import NAME

MAX_ACCEPTED = 12
"""A column with more different values than this is not proposed as an enumeration."""
ENOUGH = 30
"""Fewer records than this prove little."""

_INTEGER = re.compile(r"[+-]?(0|[1-9]\d*)")
_DECIMAL = re.compile(r"[+-]?\d+\.\d+")
_FLOAT = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_PREFIXED = re.compile(r"([A-Za-z]{1,8}[-_]?)\d+")

_OTHER_DATES = (
    ("%d.%m.%Y", "dd.MM.yyyy"),
    ("%d/%m/%Y", "dd/MM/yyyy"),
    ("%m/%d/%Y", "MM/dd/yyyy"),
    ("%Y/%m/%d", "yyyy/MM/dd"),
    ("%d-%m-%Y", "dd-MM-yyyy"),
    ("%m-%d-%Y", "MM-dd-yyyy"),
    ("%Y%m%d", "yyyyMMdd"),
)
_CLOCKS = ((" %H:%M:%S", " HH:mm:ss"), (" %H:%M", " HH:mm"))


@dataclass(slots=True)
class Guess:
    """What a column seems to be."""

    logical: str
    physical: str | None = None
    """None where it follows from the fields below."""
    options: dict[str, Any] = field(default_factory=dict)
    accepted: list[str] = field(default_factory=list)
    personal: Personal | None = None
    notes: list[str] = field(default_factory=list)
    fields: dict[str, "Guess"] = field(default_factory=dict)
    """By the source's name: the fields of an object, or of the objects in an array."""
    item: "Guess | None" = None
    nulls: int = 0
    distinct: int = 0
    rows: int = 0
    description: str = ""
    unique: bool = False
    declared_required: bool | None = None
    """Whether somebody has said that it is never null, or may be; None where only values can tell."""

    @property
    def pii(self) -> Mask | None:
        """The mask for what looks like personal data; None where nothing does."""
        return self.personal.mask if self.personal else None

    @property
    def required(self) -> bool:
        if self.declared_required is not None:
            return self.declared_required
        return self.rows > 0 and self.nulls == 0


def snake(name: str, taken: Sequence[str] = (), fallback: str = "column") -> str:
    """A source's name in snake case, unlike all those taken."""
    ascii_name = name.replace("%", " percent ").replace("#", " number ")
    for sign, letters in {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "é": "e", "è": "e", "á": "a", "ñ": "n"}.items():
        ascii_name = ascii_name.replace(sign, letters).replace(sign.upper(), letters.title())
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", ascii_name)
    plain = re.sub(r"_+", "_", re.sub(r"[^a-z0-9]+", "_", words.lower())).strip("_")[:60].rstrip("_") or fallback
    if plain[0].isdigit():
        plain = f"{fallback}_{plain}"
    if not NAME.fullmatch(plain):
        plain = fallback
    result, number = plain, 2
    while result in taken:
        result, number = f"{plain}_{number}", number + 1
    return result


def guess(name: str, values: Sequence[Any], table: str, from_text: bool) -> Guess:
    """What a column of that (snake case) name holds. `from_text`: numbers and booleans were written as text (CSV)."""
    present = [value for value in values if value is not None]
    found = _typed(name, present, table, from_text)
    found.rows, found.nulls = len(values), len(values) - len(present)
    if present and found.logical not in ("array", "object"):
        found.distinct = len({str(value) for value in present})
        _meaning(name, [str(value) for value in present], found, table)
    if not present:
        found.notes.append("no record has a value, so the type is a guess")
    return found


def _typed(name: str, present: Sequence[Any], table: str, from_text: bool) -> Guess:
    if not present:
        return Guess("string", "string")
    if all(isinstance(value, str) for value in present):
        return _text(present, from_text)
    if all(isinstance(value, bool) for value in present):
        return Guess("boolean", "boolean")
    if all(isinstance(value, int) and not isinstance(value, bool) for value in present):
        return _integers([int(value) for value in present])
    if all(isinstance(value, int | float | Decimal) and not isinstance(value, bool) for value in present):
        return _numbers([str(value) for value in present])
    if all(isinstance(value, datetime) for value in present):
        return Guess("timestamp", "timestamp")
    if all(isinstance(value, date) and not isinstance(value, datetime) for value in present):
        return Guess("date", "date")
    if all(isinstance(value, dict) for value in present):
        fields = _fields(present, table)
        return Guess("object", None, fields=fields) if fields else _mixed("an object without fields")
    if all(isinstance(value, list) for value in present):
        return _array(name, present, table)
    if all(isinstance(value, bytes | time) for value in present):
        return _mixed(f"values of type {type(present[0]).__name__}")
    return _mixed(", ".join(sorted({_kind(value) for value in present})) + " occur together")


def _mixed(why: str) -> Guess:
    return Guess("string", "string", notes=[f"{why}; declared as text"])


def _kind(value: object) -> str:
    kinds = {str: "text", bool: "true/false", int: "whole numbers", float: "numbers", list: "lists", dict: "objects"}
    return kinds.get(type(value), type(value).__name__)


def _fields(objects: Sequence[dict[str, Any]], table: str) -> dict[str, Guess]:
    names = dict.fromkeys(name for item in objects for name in item if name.strip())
    return {name: guess(snake(name), [item.get(name) for item in objects], table, from_text=False) for name in names}


def _array(name: str, present: Sequence[list[Any]], table: str) -> Guess:
    elements = [item for value in present for item in value]
    item = guess(name, elements, table, from_text=False)
    if not elements:
        item.notes = ["all arrays are empty, so the type of their elements is a guess"]
    return Guess("array", None, item=item, fields=item.fields)


def _text(present: Sequence[str], from_text: bool) -> Guess:
    if from_text:
        if all(value.lower() in ("true", "false") for value in present):
            return Guess("boolean", "boolean")
        if all(_INTEGER.fullmatch(value) for value in present):
            return _integers([int(value) for value in present])
        numeric = sum(bool(_FLOAT.fullmatch(value)) for value in present)
        if numeric == len(present):
            if any(re.match(r"[+-]?0\d", value) for value in present):
                return Guess("string", "string", notes=["digits with leading zeros; declared as text to keep them"])
            return _numbers(present)
        if numeric >= 0.9 * len(present):
            share = f"{numeric} of {len(present)}"
            return Guess(
                "string", "string", notes=[f"{share} values are numbers, the others are not; declared as text"]
            )
        if all(re.fullmatch(r"[+-]?\d+(,\d+)?", value) for value in present):
            return Guess("string", "string", notes=["numbers with a decimal comma; declared as text"])
    return _times(present) or Guess("string", "string")


def _times(present: Sequence[str]) -> Guess | None:
    if all(_DATE.fullmatch(value) and _iso(value) for value in present):
        return Guess("date", "date")
    if all(_TIMESTAMP.fullmatch(value) and _iso(value) for value in present):
        notes = [] if all(re.search(r"(Z|[+-]\d{2}:?\d{2})$", value) for value in present) else ["taken as UTC"]
        return Guess("timestamp", "timestamp", notes=notes)
    fitting = [java for python, java in _OTHER_DATES if _all_parse(present, python)]
    if fitting:
        return Guess("date", "date", {"format": fitting[0]}, notes=_ambiguous(fitting))
    for clock, java_clock in _CLOCKS:
        fitting = [java + java_clock for python, java in _OTHER_DATES if _all_parse(present, python + clock)]
        if fitting:
            notes = [*_ambiguous(fitting), "taken as UTC"]
            return Guess("timestamp", "timestamp", {"format": fitting[0]}, notes=notes)
    return None


def _ambiguous(fitting: list[str]) -> list[str]:
    return [f"{' and '.join(fitting)} both fit all values; choose"] if len(fitting) > 1 else []


def _iso(value: str) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _all_parse(present: Sequence[str], form: str) -> bool:
    try:
        for value in present:
            moment = datetime.strptime(value, form)
            if len(value) != len(moment.strftime(form)) or not 1800 <= moment.year <= 2200:
                return False
    except ValueError:
        return False
    return True


def _integers(values: Sequence[int]) -> Guess:
    low, high = min(values), max(values)
    if low >= -(2**63) and high < 2**63:
        return Guess("integer", "bigint", limits(low, high))
    if max(abs(low), abs(high)) < 10**38:
        return Guess("integer", "decimal(38,0)", limits(low, high))
    return _mixed("whole numbers of more than 38 digits")


def _numbers(written: Sequence[str]) -> Guess:
    numbers = [float(value) for value in written]
    finite = [number for number in numbers if math.isfinite(number)]
    bounds = limits(min(finite), max(finite)) if len(finite) == len(numbers) else {}
    scales = [_scale(value) for value in written]
    known = [scale for scale in scales if scale is not None]
    if len(known) == len(scales) and max(known) <= 4:
        whole = len(str(int(max(abs(number) for number in finite))))
        scale = max(2, *known)
        precision = max(12, whole + 3 + scale)
        if precision <= 38:
            note = f"at most {max(known)} digits behind the point were seen; more than {scale} are refused"
            return Guess("number", f"decimal({precision},{scale})", bounds, notes=[note])
    return Guess("number", "double", bounds)


def _scale(value: str) -> int | None:
    """Digits behind the point; None where it is written with an exponent."""
    if _INTEGER.fullmatch(value):
        return 0
    return len(value.partition(".")[2]) if _DECIMAL.fullmatch(value) else None


def limits(low: float, high: float) -> dict[str, Any]:
    """Limits with room above what was seen: none below zero where none was, and no tenfold of the largest."""
    found: dict[str, Any] = {}
    if low >= 0:
        found["minimum"] = 0
    if 0 < high < 1e15:
        found["maximum"] = 10 ** math.ceil(math.log10(high * 10))
    return found


def _meaning(name: str, present: list[str], found: Guess, table: str) -> None:
    """Fill in what text may mean: personal data, forms, accepted values."""
    found.personal = personal(name, present if found.physical in ("string", "bigint") else [], table)
    if found.personal and found.pii == "partial" and found.physical != "string":
        found.personal = replace(found.personal, mask="redact")
    if is_code(name) or found.pii:
        found.options.pop("minimum", None)
        found.options.pop("maximum", None)
    elif "maximum" in found.options or "minimum" in found.options:
        numbers = [float(value) for value in present]
        found.notes.append(f"values seen: {min(numbers):g} to {max(numbers):g}")
        if len(present) < ENOUGH:
            found.options.pop("maximum", None)
    if found.physical != "string":
        return
    if all(_EMAIL.fullmatch(value) for value in present):
        found.options["format"] = "email"
    elif all(_UUID.fullmatch(value) for value in present):
        found.options["format"] = "uuid"
    elif len(present) >= ENOUGH:
        heads = {match.group(1) if match else None for match in map(_PREFIXED.fullmatch, present)}
        if len(heads) == 1 and None not in heads:
            found.options["pattern"] = f"^{heads.pop()}[0-9]+$"
        elif not found.pii:
            counts = Counter(present)
            found.accepted = accepted(counts)
            if found.accepted:
                found.notes.append(enumerated(counts))
            elif pattern := shape_pattern(present):
                found.options["pattern"] = pattern


def accepted(counts: Mapping[str, int]) -> list[str]:
    """The values of a column with these, each with how often, where they look like an enumeration; else none."""
    records = sum(counts.values())
    is_closed = records >= ENOUGH and len(counts) <= MAX_ACCEPTED and len(counts) <= records / 10
    return sorted(counts) if is_closed and max(map(len, counts)) <= 60 else []


def enumerated(counts: Mapping[str, int]) -> str:
    """What speaks for an enumeration, for a person."""
    return (
        f"{len(counts)} different values in {sum(counts.values()):,} records, the rarest {min(counts.values()):,} times"
    )


def shape(text: str, is_collapsed: bool = False) -> str:
    """The form of a text: `A` for a capital letter, `a` for another, `9` for a digit, other signs as they are. Collapsed: a
    run of them is one with a plus."""
    form = "".join(map(_sign, text))
    return (
        re.sub(r"A+|a+|9+", lambda run: run.group()[0] + "+" * (len(run.group()) > 1), form) if is_collapsed else form
    )


def _sign(sign: str) -> str:
    if sign.isalpha():
        return "A" if sign.isupper() else "a"
    return "9" if sign.isdecimal() else sign


def shape_pattern(present: Sequence[str]) -> str | None:
    """The pattern (a regular expression) that all values share, where they all have one form of letters and digits, such as
    `^[A-Z][0-9]{3}-[0-9]{4}$`. None for words, and for forms of many parts."""
    forms = [re.findall(r"A+|a+|9+|.", shape(value), re.DOTALL) for value in present]
    kinds = {tuple(run[0] for run in form) for form in forms}
    if len(kinds) != 1 or not 1 <= len(forms[0]) <= 8 or "9" not in next(iter(kinds)) or not _is_ascii(present):
        return None
    parts = []
    for runs in zip(*forms, strict=True):
        lengths = {len(run) for run in runs}
        if runs[0][0] in _CLASSES:
            many = "" if lengths == {1} else f"{{{lengths.pop()}}}" if len(lengths) == 1 else "+"
            parts.append(_CLASSES[runs[0][0]] + many)
        else:
            parts.append(re.escape(runs[0]) if runs[0] not in "- " else runs[0])
    return f"^{''.join(parts)}$"


_CLASSES = {"A": "[A-Z]", "a": "[a-z]", "9": "[0-9]"}


def _is_ascii(present: Sequence[str]) -> bool:
    return all(value.isascii() and value.isprintable() for value in present)


def is_code(name: str) -> bool:
    """Whether a number names something rather than measures it: limits would say nothing."""
    return bool(re.search(r"(^|_)(id|key|code|number|no|nr|zip|year|uuid|sku|upc|ean|lsn)$", name))
