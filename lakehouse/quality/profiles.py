"""What one arrival day of a table looks like in figures: counts, nulls, distinct values, numbers, categories, arrival.

A profile is of readable records, before those that break a rule are split off. Profiles of two parts of a day add up to
that of the day, but for distinct values, of which no sum can be told, and quantiles, which become averages. No value of
a column with personal data is in one.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from math import sqrt
from typing import Any

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
CATEGORIES = 20
"""Distinct values up to which the shares of a text column's values are profiled."""
SAMPLE = 64
"""A day's sample of records has so many, up to twice as many: those whose hash ends in enough zero bits."""


@dataclass(frozen=True)
class Figures:
    """Of one column, over the records of a day."""

    nulls: int
    distinct: float | None = None
    """Approximate; None where the day came in several batches."""
    mean: float | None = None
    spread: float | None = None
    """Standard deviation."""
    quantiles: tuple[float, ...] | None = None
    """At QUANTILES."""
    categories: Mapping[str, int] | None = None
    """Records by value, where there are few values."""


@dataclass(frozen=True)
class Profile:
    """Of the records of one table that arrived on one day."""

    rows: int
    columns: Mapping[str, Figures] = field(default_factory=dict)
    first_arrival: float | None = None
    last_arrival: float | None = None
    """When the first and the last file was written, in hours after the day began; None where the files are copies
    that were written more than two days after it."""
    unknown: frozenset[str] = frozenset()
    """Fields that the contract does not know."""
    sample: frozenset[int] = frozenset()
    """Hashes of records: all those that end in `sample_bits` zero bits."""
    sample_bits: int = 0
    is_partial: bool = False
    """Records of the day were never profiled: its counts say nothing."""


def sample_bits(rows: float) -> int:
    """How many zero bits leave about SAMPLE of so many hashes, up to twice as many."""
    bits = 0
    while rows / 2 ** (bits + 1) >= SAMPLE:
        bits += 1
    return bits


def thinned(sample: Iterable[int], bits: int) -> frozenset[int]:
    return frozenset(value for value in sample if value % 2**bits == 0)


def together(one: Profile, other: Profile) -> Profile:
    """The profile of two parts of one day."""
    bits = max(one.sample_bits, other.sample_bits, sample_bits(one.rows + other.rows))
    names = [*one.columns, *(name for name in other.columns if name not in one.columns)]
    return Profile(
        rows=one.rows + other.rows,
        columns={name: _column(name, one, other) for name in names},
        first_arrival=_end(min, one.first_arrival, other.first_arrival),
        last_arrival=_end(max, one.last_arrival, other.last_arrival),
        unknown=one.unknown | other.unknown,
        sample=thinned(one.sample | other.sample, bits),
        sample_bits=bits,
        is_partial=one.is_partial or other.is_partial,
    )


def _end(which: Any, one: float | None, other: float | None) -> float | None:
    known = [moment for moment in (one, other) if moment is not None]
    return which(known) if known else None


def _column(name: str, one: Profile, other: Profile) -> Figures:
    if not one.rows or not other.rows:
        return (one if one.rows else other).columns.get(name, Figures(0))
    # A column that one part lacks was null in all of its records.
    a, b = one.columns.get(name, Figures(one.rows)), other.columns.get(name, Figures(other.rows))
    n, m = one.rows - a.nulls, other.rows - b.nulls
    mean, spread = _moments(a, n, b, m)
    return Figures(
        nulls=a.nulls + b.nulls,
        mean=mean,
        spread=spread,
        quantiles=_averaged(a, n, b, m),
        categories=_added(a.categories, n, b.categories, m),
    )


def _moments(a: Figures, n: int, b: Figures, m: int) -> tuple[float | None, float | None]:
    """Mean and standard deviation of both (Chan, Golub and LeVeque, 1983)."""
    if a.mean is None or b.mean is None:
        return (a.mean, a.spread) if b.mean is None else (b.mean, b.spread)
    total = n + m
    mean = (a.mean * n + b.mean * m) / total
    squares = (a.spread or 0) ** 2 * n + (b.spread or 0) ** 2 * m + (a.mean - b.mean) ** 2 * n * m / total
    return mean, sqrt(squares / total)


def _averaged(a: Figures, n: int, b: Figures, m: int) -> tuple[float, ...] | None:
    if a.quantiles is None or b.quantiles is None:
        return a.quantiles or b.quantiles
    return tuple((x * n + y * m) / (n + m) for x, y in zip(a.quantiles, b.quantiles, strict=True))


def _added(one: Mapping[str, int] | None, n: int, other: Mapping[str, int] | None, m: int) -> Mapping[str, int] | None:
    """None where one part has too many values to count."""
    if (one is None and n) or (other is None and m):
        return None
    one, other = one or {}, other or {}
    added = {value: one.get(value, 0) + other.get(value, 0) for value in {**one, **other}}
    return added if len(added) <= 2 * CATEGORIES else None


# --- as rows of a table --------------------------------------------------------------------------------------------

Row = tuple[str, str, float | None, str | None]
"""(column, or nothing for the table; metric; value; detail as JSON)."""


def rows_of(profile: Profile) -> list[Row]:
    """A profile as rows, one a column and metric."""
    rows: list[Row] = [("", "rows", float(profile.rows), None)]
    if profile.first_arrival is not None:
        rows.append(("", "first_arrival", profile.first_arrival, None))
    if profile.last_arrival is not None:
        rows.append(("", "last_arrival", profile.last_arrival, None))
    rows.append(("", "unknown_fields", float(len(profile.unknown)), json.dumps(sorted(profile.unknown))))
    rows.append(("", "sample", float(profile.sample_bits), json.dumps(sorted(profile.sample))))
    if profile.is_partial:
        rows.append(("", "is_partial", 1.0, None))
    for name, figures in profile.columns.items():
        rows.append((name, "nulls", float(figures.nulls), None))
        for metric in ("distinct", "mean", "spread"):
            if (figure := getattr(figures, metric)) is not None:
                rows.append((name, metric, float(figure), None))
        if figures.quantiles is not None:
            rows.append((name, "quantiles", figures.quantiles[len(QUANTILES) // 2], json.dumps(figures.quantiles)))
        if figures.categories is not None:
            told = json.dumps(dict(sorted(figures.categories.items())), ensure_ascii=False)
            rows.append((name, "categories", float(len(figures.categories)), told))
    return rows


def from_rows(rows: Sequence[Row]) -> Profile:
    """The profile that `rows_of` made these of."""
    of: dict[str, dict[str, tuple[float | None, str | None]]] = {}
    for column, metric, figure, detail in rows:
        of.setdefault(column, {})[metric] = (figure, detail)
    table = of.pop("", {})

    def value(name: str) -> float | None:
        return table.get(name, (None, None))[0]

    def listed(name: str) -> list[Any]:
        return list(json.loads(table.get(name, (None, None))[1] or "[]"))

    return Profile(
        rows=int(value("rows") or 0),
        columns={name: _figures(metrics) for name, metrics in of.items()},
        first_arrival=value("first_arrival"),
        last_arrival=value("last_arrival"),
        unknown=frozenset(listed("unknown_fields")),
        sample=frozenset(listed("sample")),
        sample_bits=int(value("sample") or 0),
        is_partial=value("is_partial") is not None,
    )


def _figures(metrics: Mapping[str, tuple[float | None, str | None]]) -> Figures:
    def value(name: str) -> float | None:
        return metrics.get(name, (None, None))[0]

    def detail(name: str) -> Any:
        told = metrics.get(name, (None, None))[1]
        return None if told is None else json.loads(told)

    quantiles = detail("quantiles")
    return Figures(
        nulls=int(value("nulls") or 0),
        distinct=value("distinct"),
        mean=value("mean"),
        spread=value("spread"),
        quantiles=None if quantiles is None else tuple(quantiles),
        categories=detail("categories"),
    )


Days = Mapping[date, Profile]
