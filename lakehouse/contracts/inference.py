"""What values tell about their column: type, meaning, limits. Pure functions over plain Python values."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

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
_PHONE = re.compile(r"(\+\d[\d ().-]{6,}|\(?\d{2,4}\)?[ .-]\d{2,4}[ .-]?\d{2,6}([ .-]\d{2,6})?)")
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

_PII = (
    (("email", "e_mail", "mail"), "hash"),
    (
        ("ssn", "social_security", "passport", "iban", "tax_number", "national_id", "card_number", "license_number"),
        "hash",
    ),
    (("phone", "mobile", "telephone", "fax", "cell", "tel"), "redact"),
    (("address", "street", "postal_address", "addr"), "redact"),
    (("first_name", "last_name", "firstname", "lastname", "surname", "full_name", "fullname", "given_name"), "partial"),
    (("family_name", "middle_name", "forename", "maiden_name", "contact_name", "username"), "partial"),
    (("birth", "birthday", "birthdate", "dob", "date_of_birth"), "redact"),
    (("ip", "ip_address", "latitude", "longitude"), "hash"),
)
_PEOPLE = (
    *(
        "customer",
        "user",
        "person",
        "people",
        "employee",
        "member",
        "patient",
        "student",
        "client",
        "contact",
        "passenger",
    ),
    *(
        "guest",
        "driver",
        "owner",
        "author",
        "subscriber",
        "staff",
        "applicant",
        "teacher",
        "player",
        "citizen",
        "child",
    ),
)


@dataclass(slots=True)
class Guess:
    """What a column seems to be."""

    logical: str
    physical: str | None = None
    """None where it follows from the fields below."""
    options: dict[str, Any] = field(default_factory=dict)
    accepted: list[str] = field(default_factory=list)
    pii: str | None = None
    """The mask for what looks like personal data; None where nothing does."""
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
        return Guess("integer", "bigint", _limits(low, high))
    if max(abs(low), abs(high)) < 10**38:
        return Guess("integer", "decimal(38,0)", _limits(low, high))
    return _mixed("whole numbers of more than 38 digits")


def _numbers(written: Sequence[str]) -> Guess:
    numbers = [float(value) for value in written]
    finite = [number for number in numbers if math.isfinite(number)]
    limits = _limits(min(finite), max(finite)) if len(finite) == len(numbers) else {}
    scales = [_scale(value) for value in written]
    known = [scale for scale in scales if scale is not None]
    if len(known) == len(scales) and max(known) <= 4:
        whole = len(str(int(max(abs(number) for number in finite))))
        scale = max(2, *known)
        precision = max(12, whole + 3 + scale)
        if precision <= 38:
            note = f"at most {max(known)} digits behind the point were seen; more than {scale} are refused"
            return Guess("number", f"decimal({precision},{scale})", limits, notes=[note])
    return Guess("number", "double", limits)


def _scale(value: str) -> int | None:
    """Digits behind the point; None where it is written with an exponent."""
    if _INTEGER.fullmatch(value):
        return 0
    return len(value.partition(".")[2]) if _DECIMAL.fullmatch(value) else None


def _limits(low: float, high: float) -> dict[str, Any]:
    """Limits with room above what was seen: none below zero where none was, and no tenfold of the largest."""
    limits: dict[str, Any] = {}
    if low >= 0:
        limits["minimum"] = 0
    if 0 < high < 1e15:
        limits["maximum"] = 10 ** math.ceil(math.log10(high * 10))
    return limits


def _meaning(name: str, present: list[str], found: Guess, table: str) -> None:
    """Fill in what text may mean: personal data, forms, accepted values."""
    found.pii = personal(name, present if found.physical == "string" else [], table)
    if found.pii == "partial" and found.physical != "string":
        found.pii = "redact"
    if _is_code(name) or found.pii:
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
            _accepted(present, found)


def _accepted(present: list[str], found: Guess) -> None:
    counts = Counter(present)
    if len(counts) <= MAX_ACCEPTED and len(counts) <= len(present) / 10 and max(map(len, counts)) <= 60:
        found.accepted = sorted(counts)
        rarest = min(counts.values())
        found.notes.append(f"{len(counts)} different values in {len(present)} records, the rarest {rarest} times")


def _is_code(name: str) -> bool:
    """Whether a number names something rather than measures it: limits would say nothing."""
    return bool(re.search(r"(^|_)(id|key|code|number|no|nr|zip|year|uuid|sku|upc|ean|lsn)$", name))


def personal(name: str, present: Sequence[str], table: str) -> str | None:
    """The mask for a column that seems to hold personal data, judged by its name and by its values."""
    words = name.split("_")
    for known, mask in _PII:
        for word in known:
            if word == name or word in words or ("_" in word and word in name):
                return mask if not _of_a_thing(words, table) else None
    if "name" in words and (any(person in words for person in _PEOPLE) or (name == "name" and _of_people(table))):
        return "partial"
    if present:
        if sum(bool(_EMAIL.fullmatch(value)) for value in present) >= len(present) / 2:
            return "hash"
        phones = [value for value in present if _PHONE.fullmatch(value) and 7 <= sum(map(str.isdigit, value)) <= 15]
        if len(phones) >= len(present) / 2 and not any(_times([value]) for value in phones[:20]):
            return "redact"
    return None


def _of_a_thing(words: list[str], table: str) -> bool:
    """`email_count` and `phone_model` are about e-mails and phones, not a person's own."""
    return words[-1] in ("count", "type", "model", "status", "sent", "opened", "verified", "flag", "category", "total")


def _of_people(table: str) -> bool:
    words = table.split("_")
    return any(word.rstrip("s") in _PEOPLE or word in _PEOPLE for word in words)
