import re
from datetime import UTC, date, datetime, timedelta
from itertools import combinations, pairwise

from lakehouse.automation.report import plots
from lakehouse.automation.report.data import Arrival, Evaluation
from lakehouse.automation.report.lineage import Graph, Node


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


def _evaluations(values: list[float | None], threshold: str = "0 (blocks above 9)", warns: int = 0) -> list[Evaluation]:
    at = datetime(2025, 1, 1, tzinfo=UTC)
    return [
        Evaluation(at + timedelta(days=n), "warn" if n < warns else "pass", value, threshold)
        for n, value in enumerate(values)
    ]


def _points(svg: str, kind: str) -> list[list[tuple[float, float]]]:
    lines = re.findall(rf'class="{kind}" points="([^"]+)"', svg)
    return [[(float(x), float(y)) for x, y in (point.split(",") for point in line.split())] for line in lines]


def test_a_history_is_drawn_against_its_threshold_and_marks_what_was_not_sound() -> None:
    svg = plots.history(_evaluations([1, 8, 4], warns=2))
    (limit,), (values,) = _points(svg, "limit"), _points(svg, "value")
    assert len(values) == 3 and {y for _, y in limit} == {6.0}  # above all values, so at the top
    assert all(y > 6 for _, y in values)
    assert svg.count('class="mark warn"') == 2 and svg.count('class="mark pass"') == 1
    assert "3 evaluations: 2 warned, 1 passed, from 1 to 8, last 4" in svg


def test_a_threshold_far_away_does_not_flatten_the_values() -> None:
    svg = plots.history(_evaluations([1, 8, 4], "0 (blocks above 7,000)"))
    (values,) = _points(svg, "value")
    assert _points(svg, "limit") == [] and max(y for _, y in values) - min(y for _, y in values) > 20


def test_an_evaluation_that_measured_nothing_is_a_gap() -> None:
    svg = plots.history(_evaluations([1, 2, None, 4, 5]))
    assert [len(line) for line in _points(svg, "value")] == [2, 2]
    assert "5 evaluations" in plots.history(_evaluations([None] * 5))
    assert plots.history([]) == "" and 'class="limit"' in plots.history(_evaluations([8]))


def test_scores_are_drawn_between_a_floor_and_100_on_a_true_time_axis() -> None:
    start = datetime(2025, 1, 1, tzinfo=UTC)
    svg = plots.scores([(start + timedelta(days=n), score) for n, score in ((0, 100.0), (1, 73.0), (4, 99.5))])
    (line,) = _points(svg, "value")
    assert round((line[2][0] - line[1][0]) / (line[1][0] - line[0][0])) == 3
    assert ">70<" in svg and ">100<" in svg and "from 73 to 100, last 99" in svg
    labels = [float(x) for x in re.findall(r'class="x" x="([\d.]+)"', svg)]
    assert all(after - before > 40 for before, after in pairwise(labels))
    assert plots.scores([]) == "" and "1 Jan 2025, 00:00" in plots.scores([(start, 50.0)])


def test_the_lineage_runs_from_left_to_right_without_a_box_on_another() -> None:
    nodes = {name: Node("silver", f"table_{name}") for name in "abcde"}
    graph = Graph(nodes, frozenset({("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("a", "d"), ("e", "b")}))
    svg = plots.lineage(graph, "c", {}, "")
    assert "table_e" not in svg  # neither before nor after it
    boxes = [
        tuple(map(float, box)) for box in re.findall(r'<rect x="(\d+)" y="(\d+)" width="(\d+)" height="(\d+)"', svg)
    ]
    assert len(boxes) == 3
    svg = plots.lineage(graph, "d", {}, "")
    boxes = [
        tuple(map(float, box)) for box in re.findall(r'<rect x="(\d+)" y="(\d+)" width="(\d+)" height="(\d+)"', svg)
    ]
    assert len(boxes) == 5
    for (x, y, w, h), (x2, y2, w2, h2) in combinations(boxes, 2):
        assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y
    for line in re.findall(r'class="edge" d="([^"]+)"', svg):  # no line passes behind a box
        for x, y, end in re.findall(r"(\d+),(\d+)H(\d+)", line):
            assert not any(
                left < int(end) and int(x) < left + w and top <= int(y) <= top + h for left, top, w, h in boxes
            )
    assert svg.count("H") == 1  # a → d passes the column of b and c
