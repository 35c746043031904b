"""The report as one HTML page that needs nothing else: no script, no network, its style and plots inside."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from lakehouse.automation.report import plots, text
from lakehouse.automation.report.data import DIMENSIONS, ReportData
from lakehouse.gold.release import IN_FORCE

RELEASES_SHOWN = 12
_TREND_LENGTH = 60


def render(data: ReportData) -> str:
    """The page, as HTML. Every value is escaped."""
    environment = Environment(
        loader=PackageLoader("lakehouse.automation.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": text.number, "moment": text.moment, "span": text.span, "points": text.points}
    return environment.get_template("report.html").render(
        data=data,
        dimensions=DIMENSIONS,
        labels=text.LABELS,
        headline=headline(data),
        gold=gold_rows(data),
        releases_shown=RELEASES_SHOWN,
        in_force=IN_FORCE,
        cell=text.verdict_of_dimension,
        found=text.found,
        plural=text.plural,
        plots=plots,
    )


def headline(data: ReportData) -> str:
    """The state of everything, in one sentence."""
    if data.is_empty:
        return "Nothing has run yet"
    if data.failed_release and not data.count("fail"):
        return "Gold failed to build"
    failed, warned = data.count("fail"), data.count("warn")
    if failed:
        return f"{text.plural(failed, 'table')} failed {'its' if failed == 1 else 'their'} checks"
    if warned:
        return f"No check failed, {text.plural(warned, 'table')} warned"
    return "Every check passed" if data.count("pass") else "No table has been checked yet"


def gold_rows(data: ReportData) -> list[tuple[str, int, int | None, list[float]]]:
    """(table, rows now, change against the release before, rows over the releases) of the release in force."""
    if data.release is None:
        return []
    made = [event for event in reversed(data.releases) if event.status == "released"][-_TREND_LENGTH:]
    before = max((event for event in made if event.release_id < data.release.release_id), default=None,
                 key=lambda event: event.release_id)  # fmt: skip
    rows = []
    for name, count in sorted(data.release.row_counts.items()):
        earlier = before.row_counts.get(name) if before else None
        change = None if earlier is None else count - earlier
        rows.append((name, count, change, [float(e.row_counts[name]) for e in made if name in e.row_counts]))
    return rows
