"""Reading single values out of a document: tolerant of the wrong kind, which `odcs` has already reported."""

import re
from collections.abc import Iterable
from datetime import timedelta
from math import isfinite
from typing import Any

from lakehouse.contracts.document import Document, Where
from lakehouse.contracts.problems import choose

NAMESPACE = "lakehouse"
NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*_?")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")
_UNITS = {
    **dict.fromkeys(("m", "min", "minute", "minutes"), timedelta(minutes=1)),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), timedelta(hours=1)),
    **dict.fromkeys(("d", "day", "days"), timedelta(days=1)),
    **dict.fromkeys(("w", "week", "weeks"), timedelta(weeks=1)),
    **dict.fromkeys(("y", "yr", "year", "years"), timedelta(days=365)),
}


def text(data: dict[str, Any], key: str) -> str | None:
    """The text under a key; None where there is none, or something else."""
    value = data.get(key)
    return value.strip() if isinstance(value, str) and value.strip() else None


def flag(data: dict[str, Any], key: str) -> bool:
    return data.get(key) is True


def mapping(data: dict[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def entries(data: dict[str, Any], key: str) -> list[tuple[int, dict[str, Any]]]:
    """The mappings in the list under a key, each with its place in the list."""
    value = data.get(key)
    return [(i, item) for i, item in enumerate(value) if isinstance(item, dict)] if isinstance(value, list) else []


def number(value: object) -> float | None:
    """A number that is one; None also where it is `.nan` or `.inf`, which no figure compares with."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if isinstance(value, int) or isfinite(value) else None


def duration(value: object, unit: object = None) -> timedelta | None:
    """`"30d"`, or 30 with the unit `d`; None where it is neither."""
    match = _DURATION.fullmatch(f"{value}{unit or ''}".strip().lower())
    if not match or match.group(2) not in _UNITS:
        return None
    try:
        return float(match.group(1)) * _UNITS[match.group(2)]
    except OverflowError:
        return None


def check_name(document: Document, where: Where, name: str, what: str) -> bool:
    """Record a problem where a name is not in snake case; two underscores together are kept for derived names."""
    if NAME.fullmatch(name) and "__" not in name and len(name) <= 100:
        return True
    snake = re.sub(r"_+", "_", re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())).strip(
        "_"
    )
    instead = f"`{snake}`" if snake and NAME.fullmatch(snake) else "lower-case letters, digits and single underscores"
    more = "; keep the source's spelling in physicalName" if what == "column" else ""
    document.add(where, f"`{name}` is no usable name of a {what}", f"Write {instead}{more}")
    return False


def one_of(document: Document, where: Where, value: object, known: Iterable[str], what: str) -> str | None:
    """The value if it is one of the known words; else a problem is recorded and None returned."""
    words = tuple(known)
    if isinstance(value, str) and value in words:
        return value
    document.add(where, f"{what} cannot be `{value}`", choose(value, words))
    return None


def own(document: Document, where: Where, data: dict[str, Any], known: Iterable[str]) -> tuple[Where, dict[str, Any]]:
    """The mapping that the custom property `lakehouse` holds, with its place; empty where there is none.

    Other custom properties are left to whoever wrote them, but for what looks like a misspelling of ours.
    """
    words = tuple(known)
    found: tuple[Where, dict[str, Any]] | None = None
    for index, entry in entries(data, "customProperties"):
        place = (*where, "customProperties", index)
        name = entry.get("property")
        if name != NAMESPACE:
            if isinstance(name, str) and (name.lower() == NAMESPACE or "Perhaps" in choose(name, [NAMESPACE])):
                document.add(place, f"the custom property `{name}` is unknown", f"Perhaps `{NAMESPACE}` is meant")
            continue
        if found:
            document.add(place, f"the custom property `{NAMESPACE}` is given twice", "Put both into one")
        elif not isinstance(entry.get("value"), dict):
            document.add(place, f"the value of `{NAMESPACE}` is no mapping", "Write `key: value` lines below `value:`")
        else:
            found = (*place, "value"), entry["value"]
    place, settings = found or (where, {})
    for key in settings:
        if key not in words:
            document.add((*place, key), f"`{key}` is unknown to {NAMESPACE}", choose(key, words))
    return place, settings
