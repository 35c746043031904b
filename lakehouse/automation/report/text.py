"""Numbers, times and spans as people write them, and what a threshold says as numbers."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from lakehouse.automation.report.data import Check, Verdict, worst

LABELS: dict[Verdict, str] = {"fail": "failed", "warn": "warned", "pass": "passed", "none": "not evaluated"}
NO_CHECK = "no check"


def number(value: float | None) -> str:
    """`12,345`, `0.125`; an en dash for none."""
    if value is None:
        return "–"
    if float(value).is_integer():
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.1f}"


def moment(at: datetime | None) -> str:
    """`24 Nov 2025, 08:10 UTC`."""
    return "–" if at is None else f"{at.astimezone(UTC):%-d %b %Y, %H:%M} UTC"


def day(at: datetime | None) -> str:
    """`24 Nov 2025`."""
    return "–" if at is None else f"{at.astimezone(UTC):%-d %b %Y}"


def age(since: datetime | None, now: datetime) -> str:
    """How long ago, in one unit: `3 days`, `5 hours`, `less than an hour`; an en dash for never."""
    if since is None:
        return "–"
    hours = (now - since).total_seconds() / 3600
    if hours < 1:
        return "less than an hour"
    return plural(int(hours), "hour") if hours < 48 else plural(int(hours // 24), "day")


_NUMBER = r"(-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?)"
_BLOCKS = re.compile(rf"blocks above {_NUMBER}")
_BOUND = re.compile(rf"(?:<=|>=|<|>|!=|=|\b(?:between|and|to|at most|at least))\s*{_NUMBER}", re.IGNORECASE)
_FIRST = re.compile(_NUMBER)


def limits(threshold: str) -> tuple[float, ...]:
    """The numbers that a threshold compares with, to draw: of `0 (blocks above 7, 5 % of the batch)` where it blocks, of
    `between 3 and 9` both; nothing where it has none."""
    if found := _BLOCKS.search(threshold):
        numbers = [found.group(1)]
    else:
        numbers = _BOUND.findall(threshold)[:2] or _FIRST.findall(threshold)[:1]
    return tuple(float(number.rstrip(",").replace(",", "")) for number in numbers)


def points(score: float | None) -> str:
    """A score without decimals, rounded down: 100 is for tables without a single warning."""
    return "–" if score is None else str(int(score))


def span(length: timedelta | None) -> str:
    """`36 hours`, `7 days`, `2 years`."""
    if length is None:
        return "–"
    hours = length.total_seconds() / 3600
    for unit, size in (("year", 24 * 365), ("day", 24), ("hour", 1)):
        if hours >= size * (2 if unit == "day" else 1) and hours % size == 0:
            return plural(int(hours // size), unit)
    return plural(hours, "hour")


def plural(count: float, noun: str) -> str:
    """`1 batch`, `2 batches`, `3 files`."""
    ending = "" if count == 1 else "es" if noun.endswith("ch") else "s"
    return f"{number(count)} {noun}{ending}"


def verdict_of_dimension(checks: Sequence[Check]) -> tuple[Verdict, str]:
    """The worst verdict of the checks of one dimension, and it in a few words."""
    if not checks:
        return "none", NO_CHECK
    counts = {verdict: sum(check.verdict == verdict for check in checks) for verdict in LABELS}
    gravest = worst(check.verdict for check in checks)
    if gravest in ("fail", "warn"):
        return gravest, f"{counts[gravest]} of {len(checks)} {LABELS[gravest]}"
    if counts["none"]:
        return "none", f"{counts['none']} not run"
    return "pass", f"{len(checks)} passed"


def found(check: Check) -> str:
    """What was expected and what was measured, for a check that has been evaluated."""
    if check.last is None:
        return "not evaluated yet"
    value = "nothing was measured" if check.last.value is None else f"found {number(check.last.value)}"
    return f"expected {check.last.threshold}, {value}"
