"""Numbers, times and spans as people write them."""

from datetime import UTC, datetime, timedelta

from lakehouse.automation.report.data import Check, Verdict, worst

LABELS: dict[Verdict, str] = {"fail": "failed", "warn": "warned", "pass": "passed", "none": "not evaluated"}


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


def verdict_of_dimension(checks: list[Check]) -> tuple[Verdict, str]:
    """The worst verdict of the checks of one dimension, and it in a few words."""
    if not checks:
        return "none", "no check"
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
