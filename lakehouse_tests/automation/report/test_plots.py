import re
from datetime import date, timedelta
from itertools import pairwise

from lakehouse.automation.report import plots
from lakehouse.automation.report.data import Arrival


def _bars(svg: str) -> list[tuple[float, float, float]]:
    """(x, width, height) of each bar."""
    found = re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)" height="([\d.]+)"', svg)
    return [(float(x), float(width), float(height)) for x, width, height in found]


def test_a_gap_in_the_arrivals_is_a_gap_in_the_plot() -> None:
    days = [date(2025, 1, 1) + timedelta(days=n) for n in (0, 1, 2, 7, 8)]
    bars = _bars(plots.arrivals([Arrival(day, 1, 10) for day in days]))
    steps = [after[0] - before[0] for before, after in pairwise(bars)]
    assert round(steps[2] / steps[0]) == 5
    assert abs(steps[3] - steps[0]) < 0.5


def test_heights_follow_the_records_and_stay_inside() -> None:
    svg = plots.arrivals([Arrival(date(2025, 1, 1), 1, 50), Arrival(date(2025, 1, 2), 1, 100)])
    (_, _, half), (x, width, full) = _bars(svg)
    assert abs(half / full - 0.5) < 0.01
    assert x + width <= 880


def test_one_day_and_a_day_without_records_can_be_drawn() -> None:
    assert len(_bars(plots.arrivals([Arrival(date(2025, 1, 1), 2, 0)]))) == 1
    assert plots.arrivals([]) == ""


def test_a_long_history_is_drawn_by_week_and_keeps_its_total() -> None:
    days = [date(2023, 1, 2) + timedelta(days=n) for n in range(700)]
    svg = plots.arrivals([Arrival(day, 1, 3) for day in days])
    assert len(_bars(svg)) == 100
    assert "2,100 records" in svg and "Week 2 Jan 2023: 21 records in 7 files" in svg


def test_labels_of_the_time_axis_do_not_overlap() -> None:
    for length in (1, 9, 40, 61, 62, 200, 364, 429, 1500):
        days = [date(2024, 11, 25) + timedelta(days=n) for n in range(length)]
        svg = plots.arrivals([Arrival(day, 1, 3) for day in days])
        labels = [(float(x), text) for x, text in re.findall(r'class="x" x="([\d.]+)" y="\d+">([^<]+)<', svg)]
        assert labels
        for (x, text), (following, _) in pairwise(labels):
            assert following - x > 6.2 * len(text), (length, labels)


def test_a_trend_says_what_it_shows() -> None:
    svg = plots.trend([1, 5, 3], "warn")
    assert "3 evaluations: from 1 to 5, last 3" in svg and 'class="dot warn"' in svg
    assert "polyline" not in plots.trend([4])
    assert plots.trend([]) == ""
