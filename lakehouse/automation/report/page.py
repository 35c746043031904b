"""The report as pages that need nothing else: no script, no network, their style and plots inside."""

import re
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from lakehouse.automation.report import plots, text
from lakehouse.automation.report.data import DIMENSIONS, Evaluation, Ledger, ReportData, Table
from lakehouse.gold.release import IN_FORCE

RELEASES_SHOWN = 12
ROWS_SHOWN = 12
"""Evaluations of a check that are listed with their figures; the plot has more."""
ANOMALIES_SHOWN = 30
READERS_SHOWN = 4
"""Columns of gold that are named of a column that they are made from."""
_TREND_LENGTH = 60


def render(data: ReportData) -> dict[str, str]:
    """Path below the report's folder → HTML: `index.html`, a page of each table and of each model. Every value is escaped."""
    environment = _environment()
    pages = {item.node: item for item in data.everything}
    shared: dict[str, Any] = {"data": data, "pages": pages}
    made = {
        "index.html": environment.get_template("index.html").render(
            **shared, root="", headline=headline(data), gold=gold_rows(data), anomalies=recent_anomalies(data)
        )
    }
    by_name = {table.name: table for table in data.tables}
    for table in data.tables:
        named = sorted({check.reference_table for check in table.contract.checks if check.reference_table})
        references = [(name, by_name[name].page if name in by_name else "") for name in named]
        made[table.page] = environment.get_template("table.html").render(
            **shared, root="../", item=table, references=references
        )
    rows = data.release.row_counts if data.release else {}
    for model in data.models:
        made[model.page] = environment.get_template("model.html").render(
            **shared, root="../", item=model, rows=rows.get(model.title) if model.layer == "gold" else None
        )
    return made


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("lakehouse.automation.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": text.number,
        "moment": text.moment,
        "day": text.day,
        "age": text.age,
        "span": text.span,
        "points": text.points,
        "sentences": sentences,
        "disposition": lambda name: name.replace("noop", "no change").replace("_", " "),
        "wrap": _breakable,
    }
    environment.globals |= {
        "dimensions": DIMENSIONS,
        "labels": text.LABELS,
        "releases_shown": RELEASES_SHOWN,
        "rows_shown": ROWS_SHOWN,
        "anomalies_shown": ANOMALIES_SHOWN,
        "readers_shown": READERS_SHOWN,
        "in_force": IN_FORCE,
        "dimension_cell": text.verdict_of_dimension,
        "dispositions": _dispositions,
        "plural": text.plural,
        "plots": plots,
    }
    return environment


def _breakable(text: str) -> Markup:
    """A name or a type that may be broken after its dots, underscores, commas and brackets."""
    return Markup("<wbr>").join(escape(part) for part in re.split(r"(?<=[._,<])(?![._])", text))


def _dispositions(ledger: Ledger) -> list[str]:
    """Those that any record ever had, and `applied`."""
    batches = (ledger.total, *ledger.recent)
    return [
        name for name in ledger.total.counts if name == "applied" or any(batch.counts.get(name) for batch in batches)
    ]


def sentences(evaluation: Evaluation) -> list[str]:
    """What an evaluation says for a person. Of a message of several lines the first repeats what the check asks; of an
    evaluation from before messages were kept there are figures alone."""
    lines = evaluation.message.splitlines()
    return lines[1:] or lines or [f"expected {evaluation.threshold}, found {text.number(evaluation.value)}"]


def recent_anomalies(data: ReportData) -> list[tuple[Table, Evaluation]]:
    """What the last look at each table found unusual, newest first."""
    last = [(table, table.anomalies[-1]) for table in data.tables if table.anomalies]
    return sorted(((t, one) for t, one in last if one.outcome != "pass"), key=lambda found: found[1].at, reverse=True)


def headline(data: ReportData) -> str:
    """The state of everything, in one sentence."""
    if data.is_empty:
        return "Nothing has run yet"
    failed, warned = data.count("fail"), data.count("warn")
    told = [f"{text.plural(failed, 'table')} failed {'its' if failed == 1 else 'their'} checks"] if failed else []
    tests = sum(len(model.having("fail")) for model in data.models)
    if data.failed_release:
        told.append("gold failed to build")
    elif tests:
        told.append(f"{text.plural(tests, 'test')} of gold failed")
    if told:
        said = " and ".join(told)
        return said[0].upper() + said[1:]
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
