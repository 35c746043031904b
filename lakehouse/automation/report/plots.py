"""Small plots as inline SVG, without a library. Colours come from classes of the page's style sheet; every plot says
in words what it shows, for those who cannot see it."""

import itertools
from collections.abc import Sequence
from datetime import date, timedelta

from markupsafe import Markup

from lakehouse.automation.report.data import Arrival, Evaluation
from lakehouse.automation.report.text import number, plural

_WEEKLY_ABOVE_DAYS = 430
"""A longer history is drawn by week: its days would be thinner than a pixel."""


def _spread(values: Sequence[float], low: float, high: float) -> list[float]:
    """Heights between `low` (for the smallest value) and `high`; in the middle where all are equal."""
    smallest, largest = min(values), max(values)
    if smallest == largest:
        return [(low + high) / 2] * len(values)
    return [low + (value - smallest) / (largest - smallest) * (high - low) for value in values]


def trend(
    values: Sequence[float], last: str = "plain", width: int = 112, height: int = 22, noun: str = "evaluation"
) -> Markup:
    """A line over `values`, oldest first, ending in a dot of the class `last`; nothing for no values."""
    if not values:
        return Markup("")
    heights = _spread(values, height - 4, 4)
    step = (width - 8) / max(len(values) - 1, 1)
    points = [(4 + i * step if len(values) > 1 else width - 4, y) for i, y in enumerate(heights)]
    label = (
        f"{plural(len(values), noun)}: from {number(min(values))} to {number(max(values))}, last {number(values[-1])}"
    )
    line = Markup('<polyline points="{}"/>').format(" ".join(f"{x:.1f},{y:.1f}" for x, y in points))
    return Markup(
        '<svg class="trend" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" aria-label="{label}">'
        '<title>{label}</title>{line}<circle class="dot {last}" cx="{x:.1f}" cy="{y:.1f}" r="2.6"/></svg>'
    ).format(
        w=width,
        h=height,
        label=label,
        line=line if len(points) > 1 else "",
        last=last,
        x=points[-1][0],
        y=points[-1][1],
    )


def sparkline(history: Sequence[Evaluation]) -> Markup:
    """The value of a check over its evaluations; those that measured nothing are left out."""
    values = [evaluation.value for evaluation in history if evaluation.value is not None]
    return trend(values, history[-1].outcome if history else "plain")


def arrivals(landed: Sequence[Arrival], width: int = 880, height: int = 132) -> Markup:
    """Records by arrival day (or week, of a long history) as bars on a true time axis: a gap is a gap."""
    if not landed:
        return Markup("")
    unit = "day"
    bars = [(item.day, item.records, item.files) for item in landed]
    if (bars[-1][0] - bars[0][0]).days > _WEEKLY_ABOVE_DAYS:
        unit, bars = "week", _by_week(landed)
    first, last = bars[0][0], bars[-1][0]
    gaps = [(after[0] - before[0]).days for before, after in itertools.pairwise(bars)]
    usual = sorted(gaps)[len(gaps) // 2] if gaps else 1  # days that a bar stands for
    left, right, top, bottom = 52, 4, 10, 22
    per_day = (width - left - right) / ((last - first).days + usual)
    bar = min(max(per_day * usual * 0.78, 1.0), 36.0)
    ceiling = max(records for _, records, _ in bars) or 1
    plot = height - top - bottom
    base = height - bottom

    def x(day: date) -> float:
        return left + (day - first).days * per_day

    drawn = [
        Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>').format(
            x(day),
            base - max(records / ceiling * plot, 0.8 if records else 0),
            bar,
            max(records / ceiling * plot, 0.8 if records else 0),
            f"{unit.capitalize()} {day:%-d %b %Y}: {plural(records, 'record')} in {plural(files, 'file')}",
        )
        for day, records, files in bars
    ]
    lines = [
        Markup('<line x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/><text class="y" x="{}" y="{:.1f}">{}</text>').format(
            left, width - right, base - share * plot, base - share * plot, left - 8, base - share * plot + 4, label
        )
        for share, label in ((0, "0"), (0.5, number(round(ceiling / 2))), (1, number(ceiling)))
        if share != 0.5 or ceiling >= 2
    ]
    ticks = [
        Markup('<text class="x" x="{:.1f}" y="{}">{}</text>').format(x(day), height - 5, label)
        for day, label in _ticks(first, last, per_day)
    ]
    total = sum(records for _, records, _ in bars)
    label = (
        f"{number(total)} records landed between {first:%-d %b %Y} and {last:%-d %b %Y}; "
        f"at most {number(ceiling)} on one {unit}"
    )
    return Markup(
        '<svg class="bars" viewBox="0 0 {w} {h}" role="img" aria-label="{label}">'
        '<g class="grid">{lines}</g><g class="marks">{bars}</g><g class="ticks">{ticks}</g></svg>'
    ).format(
        w=width, h=height, label=label, lines=Markup("").join(lines), bars=Markup("").join(drawn),
        ticks=Markup("").join(ticks),
    )  # fmt: skip


def _by_week(landed: Sequence[Arrival]) -> list[tuple[date, int, int]]:
    weeks: dict[date, tuple[int, int]] = {}
    for item in landed:
        monday = item.day - timedelta(days=item.day.weekday())
        records, files = weeks.get(monday, (0, 0))
        weeks[monday] = (records + item.records, files + item.files)
    return [(monday, records, files) for monday, (records, files) in sorted(weeks.items())]


def _ticks(first: date, last: date, per_day: float) -> list[tuple[date, str]]:
    """Where the time axis is labelled: the start, then months (or days, of a short history) that leave room."""
    apart = 40 / per_day  # days that a label needs
    if (last - first).days < 62:
        every = max(1, round(apart * 1.5 + 0.5))
        days = [first + timedelta(days=n) for n in range(0, (last - first).days + 1, every)]
        return [(day, f"{day:%-d %b}") for day in days]
    found = [(first, f"{first:%b %Y}")]
    day = first
    while (day := (day.replace(day=1) + timedelta(days=32)).replace(day=1)) <= last:
        label = f"{day:%b %Y}" if day.month == 1 else f"{day:%b}"
        if (day - found[-1][0]).days >= apart * (1.6 if len(found[-1][1]) > 3 else 1) and (
            last - day
        ).days * per_day >= 24:
            found.append((day, label))
    return found
