"""The report as a short Markdown text, fit for a pull request or a message."""

from lakehouse.automation.report.data import Check, Checked, ReportData, Verdict
from lakehouse.automation.report.page import headline
from lakehouse.automation.report.text import LABELS, found, moment, number, plural, points

_MOST = 25
"""So many failures are listed at most; the pages have the rest."""
_NAMED = 4
"""So many warnings of a table are named."""
_MARKS: dict[Verdict, str] = {"fail": "❌", "warn": "⚠️", "pass": "✅", "none": "⚪"}


def summarize(data: ReportData) -> str:
    """Markdown (GitHub's flavour): the verdict; what failed, with what was expected, what was found and who owns it; the
    state of every table, one row each; what warned, in a line a table."""
    parts = [f"# {_MARKS[data.verdict]} Lakehouse quality: {headline(data)}", _release(data)]
    if data.is_empty:
        parts.append("`lakehouse run` takes what has landed through bronze and silver to gold.")
    parts += [_failed(data), _overview(data), _models(data), _warned(data), _unchecked(data)]
    parts.append(f"_{moment(data.at)}, target {plain(data.target)}._")
    return "\n\n".join(part for part in parts if part) + "\n"


def plain(text: object) -> str:
    """Text that Markdown leaves as it is, also inside a table."""
    flat = " ".join(str(text).split())
    for character in "\\`*_[]<>|#":
        flat = flat.replace(character, f"\\{character}")
    return flat


def _table(head: list[str], rows: list[list[str]], numeric_from: int) -> str:
    rule = ["---" if i < numeric_from else "---:" for i in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def _release(data: ReportData) -> str:
    release = data.release
    lines = []
    if release is None:
        lines.append("There is no release yet.")
    else:
        rolled = " (rolled back to)" if release.status == "rolled_back" else ""
        lines.append(
            f"**Release {release.release_id}**{rolled} in force since {moment(release.at)}: "
            f"{plural(len(release.gold_versions), 'gold table')}, {plural(release.checks_passed, 'check')} passed, "
            f"{number(release.checks_warned)} warned."
        )
    if failed := data.failed_release:
        reason = f" {plain(failed.reason)}" if failed.reason else ""
        lines.append(f"❌ **Release {failed.release_id} failed** at {moment(failed.at)}; gold was restored.{reason}")
    return "\n\n".join(lines)


def _failed(data: ReportData) -> str:
    lines = [
        f"- **`{table.name}`**: batch {table.held} is held back; nothing of it is in silver. Look: "
        f"`lakehouse batch show {table.name}`. Owner: {plain(table.owner)}."
        for table in data.ranked()
        if table.held is not None
    ]
    for table in data.unaccounted:
        assert table.ledger is not None
        total = table.ledger.total
        lines.append(
            f"- **`{table.name}`**: {number(total.landed)} landed, {number(sum(total.counts.values()))} have a disposition. "
            f"Owner: {plain(table.owner)}."
        )
    listed = data.found("fail")
    lines += [_failure(item, check) for item, check in listed[:_MOST]]
    if len(listed) > _MOST:
        lines.append(f"- … and {len(listed) - _MOST} more, in the pages.")
    return "\n".join(["## Failed", "", *lines]) if lines else ""


def _failure(item: Checked, check: Check) -> str:
    since = f" Since {moment(check.since.at)}." if check.since else ""
    owner = f" Owner: {plain(item.owner)}." if item.owner else ""
    said = f" {plain(check.description)}" if check.description else ""
    return f"- **`{item.name}.{check.name}`** ({check.dimension}): {plain(found(check))}.{said}{since}{owner}"


def _overview(data: ReportData) -> str:
    if not data.tables:
        return "No contract is loaded."
    rows = []
    for table in data.ranked():
        total = table.ledger.total if table.ledger else None
        rows.append(
            [
                *_state(table),
                number(total.landed if total else None),
                number(total.counts.get("applied", 0) if total else None),
                number(table.quarantine.records),
            ]
        )
    return _table([*_STATE, "Landed", "Applied", "In quarantine"], rows, 2)


_STATE = ["Table", "State", "Score", "Checks passed"]


def _state(item: Checked) -> list[str]:
    passed = f"{len(item.having('pass'))}/{len(item.checks)}"
    return [f"`{item.name}`", f"{_MARKS[item.verdict]} {LABELS[item.verdict]}", points(item.score), passed]


def _models(data: ReportData) -> str:
    """Those that readers read, and of the others those with something to say."""
    shown = [model for model in data.models if model.layer == "gold" or model.verdict in ("fail", "warn")]
    if not shown:
        return ""
    rows = data.release.row_counts if data.release else {}
    return _table(
        [*_STATE, "Rows"],
        [[*_state(model), number(rows.get(model.title) if model.layer == "gold" else None)] for model in shown],
        2,
    )


def _warned(data: ReportData) -> str:
    lines = []
    for item in (*data.ranked(), *data.models):
        if warned := item.having("warn"):
            names = ", ".join(f"`{check.name}` ({_measured(check)})" for check in warned[:_NAMED])
            more = f" and {len(warned) - _NAMED} more" if len(warned) > _NAMED else ""
            lines.append(f"- `{item.name}`: {names}{more}")
    return "\n".join(["## Warned", "", *lines]) if lines else ""


def _measured(check: Check) -> str:
    return "nothing measured" if check.last is None or check.last.value is None else number(check.last.value)


def _unchecked(data: ReportData) -> str:
    """The dimensions without a check, with the tables of contracts that this is true of."""
    lines = []
    for table in data.ranked():
        if table.unchecked:
            lines.append(f"`{table.name}` of {', '.join(table.unchecked)}")
    return f"No check: {'; '.join(lines)}." if lines else ""
