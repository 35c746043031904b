"""Small plots as inline SVG, without a library. Colours come from classes of the page's style sheet; every plot says
in words what it shows, for those who cannot see it."""

import itertools
import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

from markupsafe import Markup

from lakehouse.automation.report.data import Arrival, Checked, Evaluation
from lakehouse.automation.report.lineage import Graph
from lakehouse.automation.report.text import LABELS, limits, number, plural

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


_MARKS = {"fail": "M-3,-3h6v6h-6z", "warn": "M0,-3.4L3.4,2.6h-6.8z"}
"""Outcomes by shape: a square failed, a triangle warned, as everywhere on the pages."""
_LIMIT_SQUEEZES = 4
"""A threshold so many times as far away as the values spread is not drawn: they would be a flat line."""


def history(evaluations: Sequence[Evaluation], width: int = 168, height: int = 40) -> Markup:
    """The value of a check over its evaluations, oldest first, against its threshold (dashed); those that warned or failed
    are marked. Evaluations that measured nothing leave a gap in the line. Nothing for no evaluations."""
    if not evaluations:
        return Markup("")
    values = [evaluation.value for evaluation in evaluations if evaluation.value is not None]
    low, high = (min(values), max(values)) if values else (0.0, 0.0)
    bounds = [limits(evaluation.threshold) for evaluation in evaluations]
    spread = max(high - low, abs(high) * 0.25, 1e-9)
    drawn = [
        [n for n in found if low - _LIMIT_SQUEEZES * spread <= n <= high + _LIMIT_SQUEEZES * spread] for found in bounds
    ]
    low, high = min([low, *itertools.chain(*drawn)]), max([high, *itertools.chain(*drawn)])
    step = (width - 12) / max(len(evaluations) - 1, 1)

    def x(nth: int) -> float:
        return 6 + nth * step if len(evaluations) > 1 else width - 6

    def y(value: float | None) -> float:
        if value is None:
            return height - 6
        return height / 2 if low == high else height - 6 - (value - low) / (high - low) * (height - 12)

    parts = []
    for nth in range(max(map(len, drawn))):
        at = [(i, found[nth]) for i, found in enumerate(drawn) if len(found) > nth]
        parts += [
            _line([(x(i), y(n)) for i, n in run], "limit", width if len(evaluations) == 1 else 0) for run in _runs(at)
        ]
    known = [(i, item.value) for i, item in enumerate(evaluations) if item.value is not None]
    parts += [_line([(x(i), y(value)) for i, value in run], "value") for run in _runs(known)]
    parts += [
        Markup('<path class="mark {}" transform="translate({:.1f},{:.1f})" d="{}"/>').format(
            item.outcome, x(i), y(item.value), _MARKS[item.outcome]
        )
        for i, item in enumerate(evaluations)
        if item.outcome in _MARKS
    ]
    if evaluations[-1].outcome not in _MARKS:
        parts.append(
            Markup('<circle class="mark {}" cx="{:.1f}" cy="{:.1f}" r="2.8"/>').format(
                evaluations[-1].outcome, x(len(evaluations) - 1), y(evaluations[-1].value)
            )
        )
    counted = [
        f"{sum(item.outcome == outcome for item in evaluations)} {LABELS[outcome]}"
        for outcome in LABELS
        if any(item.outcome == outcome for item in evaluations)
    ]
    measured = f", from {number(min(values))} to {number(max(values))}, last {number(values[-1])}" if values else ""
    label = f"{plural(len(evaluations), 'evaluation')}: {', '.join(counted)}{measured}"
    return _svg("history", width, height, label, parts, fixed=True)


def _runs(points: Sequence[tuple[int, float]]) -> list[list[tuple[int, float]]]:
    """Points whose places follow each other, together."""
    found: list[list[tuple[int, float]]] = []
    for point in points:
        if found and found[-1][-1][0] + 1 == point[0]:
            found[-1].append(point)
        else:
            found.append([point])
    return found


def _line(points: Sequence[tuple[float, float]], kind: str, alone: float = 0) -> Markup:
    """A line through the points. A single one is nothing to draw, or `alone` wide."""
    if len(points) == 1:
        points = [(0, points[0][1]), (alone, points[0][1])] if alone else []
    drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return Markup('<polyline class="{}" points="{}"/>').format(kind, drawn) if drawn else Markup("")


def _svg(kind: str, width: int, height: int, label: str, parts: Sequence[Markup], fixed: bool = False) -> Markup:
    """An image that says in words what it shows; as wide as its place unless `fixed`."""
    size = Markup(' width="{}" height="{}"').format(width, height) if fixed else Markup("")
    return Markup(
        '<svg class="{kind}" viewBox="0 0 {w} {h}"{size} role="img" aria-label="{label}"><title>{label}</title>{parts}</svg>'
    ).format(kind=kind, w=width, h=height, size=size, label=label, parts=Markup("").join(parts))


def scores(found: Sequence[tuple[datetime, float]], width: int = 880, height: int = 120) -> Markup:
    """The score over time on a true time axis, from a floor below its lowest value to 100; nothing for no scores."""
    if not found:
        return Markup("")
    left, right, top, bottom = 52, 12, 10, 22
    floor = min(90, int(min(value for _, value in found) // 10 * 10))
    start, end = found[0][0], found[-1][0]
    whole = max((end - start).total_seconds(), 1.0)
    plot = height - top - bottom

    def x(at: datetime) -> float:
        share = (at - start).total_seconds() / whole if end > start else 0.5
        return left + share * (width - left - right)

    def y(value: float) -> float:
        return height - bottom - (value - floor) / (100 - floor) * plot

    parts = [
        Markup('<line x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/><text class="y" x="{}" y="{:.1f}">{}</text>').format(
            left, width - right, y(level), y(level), left - 8, y(level) + 4, number(level)
        )
        for level in (floor, (floor + 100) / 2, 100)
    ]
    parts.append(_line([(x(at), y(value)) for at, value in found], "value"))
    if len(found) <= _MARKED_AT_MOST:
        parts += [
            Markup('<circle class="mark plain" cx="{:.1f}" cy="{:.1f}" r="2.8"><title>{}</title></circle>').format(
                x(at), y(value), f"{at:%-d %b %Y, %H:%M} UTC: {value:.1f}"
            )
            for at, value in found
        ]
    days = (end.date() - start.date()).days
    if days:
        per_day = (width - left - right) / (whole / 86400)
        labels = [
            (x(datetime(day.year, day.month, day.day, tzinfo=start.tzinfo)), label)
            for day, label in _ticks(start.date() + timedelta(days=1), end.date(), per_day)
        ]
        ticks = [(at, label) for at, label in labels if at <= width - 36]
    else:
        ticks = [(x(start), f"{start:%-d %b %Y, %H:%M}")]
    parts += [
        Markup('<text class="x" x="{:.1f}" y="{}">{}</text>').format(at, height - 5, label) for at, label in ticks
    ]
    values = [value for _, value in found]
    label = (
        f"Score at {plural(len(found), 'evaluation')} between {start:%-d %b %Y} and {end:%-d %b %Y}: from "
        f"{number(math.floor(min(values)))} to {number(math.floor(max(values)))}, last {number(math.floor(values[-1]))}"
    )
    return _svg("scores", width, height, label, parts)


_MARKED_AT_MOST = 60
"""A line over more points than these has no dots."""
_BOX, _ROW, _PASS, _GAP, _LETTER = 38, 52, 20, 34, 6.5
"""Of the drawing of the lineage: the height of a box, of its row, of a line that passes a column; the space between columns,
the width of a letter."""
_SYMBOLS = {"fail": "■", "warn": "▲", "pass": "●", "none": "○"}


def lineage(graph: Graph, focus: str, pages: Mapping[str, Checked], prefix: str) -> Markup:
    """What leads to a node and what comes of it, from left to right, as boxes that link to their pages and say how their
    checks ended. `pages`: node → what it is, where it has a page; `prefix`: the way from this page to the report's folder.
    """
    around = graph.around(focus)
    columns, lines = _layered(around)
    heights = {depth: sum(_ROW if key in around.nodes else _PASS for key in keys) for depth, keys in columns.items()}
    tallest = max(heights.values())
    place: dict[str, tuple[float, float, float]] = {}  # left, middle, right
    left = 1.0
    for depth, keys in columns.items():
        wide = max(len(around.nodes[key].name) for key in keys if key in around.nodes) * _LETTER + 36
        top = (tallest - heights[depth]) / 2
        for key in keys:
            tall = _ROW if key in around.nodes else _PASS
            place[key] = (left, top + tall / 2, left + wide)
            top += tall
        left += wide + _GAP
    parts = []
    for line in lines:
        drawn = f"M{place[line[0]][2]:.0f},{place[line[0]][1]:.0f}"
        for before, after in itertools.pairwise(line):
            (_, y, x), (to, down, end) = place[before], place[after]
            drawn += f"C{x + _GAP / 2:.0f},{y:.0f} {to - _GAP / 2:.0f},{down:.0f} {to:.0f},{down:.0f}"
            drawn += "" if after in around.nodes else f"H{end:.0f}"
        parts.append(Markup('<path class="edge" d="{}"/>').format(drawn))
    for key, node in around.nodes.items():
        x, middle, end = place[key]
        item = pages.get(key)
        symbol = Markup('<tspan class="{}">{} </tspan>').format(item.verdict, _SYMBOLS[item.verdict]) if item else ""
        says = f"{node.layer} {node.name}" + (f": {LABELS[item.verdict]}" if item else "")
        box = Markup(
            '<g class="box{here}"><title>{says}</title><rect x="{x:.0f}" y="{y:.0f}" width="{w:.0f}" height="{h}" rx="4"/>'
            '<text class="layer" x="{tx:.0f}" y="{y1:.0f}">{layer}</text>'
            '<text class="name" x="{tx:.0f}" y="{y2:.0f}">{symbol}{name}</text></g>'
        ).format(
            here=" here" if key == focus else "", says=says, x=x, y=middle - _BOX / 2, w=end - x, h=_BOX, tx=x + 9,
            y1=middle - 5, y2=middle + 11, layer=node.layer, symbol=symbol, name=node.name,
        )  # fmt: skip
        is_linked = item is not None and key != focus
        parts.append(Markup('<a href="{}{}">{}</a>').format(prefix, item.page, box) if item and is_linked else box)
    width = left - _GAP + 1
    return Markup(
        '<svg class="lineage" viewBox="0 0 {w:.0f} {h}" style="min-width: {least:.0f}px; max-width: {w:.0f}px" role="group" '
        'aria-label="{label}">{parts}</svg>'
    ).format(
        w=width, least=width * 0.8, h=tallest, label=f"Lineage of {around.nodes[focus].name}",
        parts=Markup("").join(parts),
    )  # fmt: skip


def _layered(graph: Graph) -> tuple[dict[int, list[str]], list[list[str]]]:
    """(depth → its nodes from top to bottom, the lines to draw). A line from a column to one beyond the next has a place in
    each between, by a name that is no node's: it passes there and not behind a box. Each column is in the order of the mean
    place of what its nodes are made from, which keeps lines from crossing."""
    depths = graph.depths()
    columns: dict[int, list[str]] = {depth: [] for depth in range(max(depths.values()) + 1)}
    for key in sorted(graph.nodes, key=lambda key: graph.nodes[key].name):
        columns[depths[key]].append(key)
    lines = []
    parents: dict[str, list[str]] = {}
    for parent, child in sorted(graph.edges):
        line = [parent]
        for depth in range(depths[parent] + 1, depths[child]):
            line.append(f"{parent} > {child} @ {depth}")
            columns[depth].append(line[-1])
        line.append(child)
        lines.append(line)
        for before, after in itertools.pairwise(line):
            parents.setdefault(after, []).append(before)
    at: dict[str, float] = {}
    for keys in columns.values():
        keys.sort(key=lambda key: sum(at[up] for up in parents.get(key, ())) / max(len(parents.get(key, ())), 1))
        at |= {key: (nth + 0.5) / len(keys) for nth, key in enumerate(keys)}
    return columns, lines


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
