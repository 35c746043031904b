"""The report as a short Markdown text, fit for a pull request or a message."""

from lakehouse.automation.report.data import Check, ReportData, Table, Verdict
from lakehouse.automation.report.page import headline
from lakehouse.automation.report.text import LABELS, found, moment, number, plural, points

_MOST = 25
"""So many checks, or reasons, are listed at most; the page has the rest."""
_MARKS: dict[Verdict, str] = {"fail": "❌", "warn": "⚠️", "pass": "✅", "none": "⚪"}


def summarize(data: ReportData) -> str:
    """Markdown (GitHub's flavour): the state of every table, what failed and warned, the quarantine, the release."""
    parts = [f"# Lakehouse quality: {headline(data)}", _release(data)]
    if data.is_empty:
        parts.append("`lakehouse run` takes what has landed through bronze and silver to gold.")
    parts.append(_overview(data))
    grave: tuple[Verdict, ...] = ("fail", "warn")
    for verdict in grave:
        listed = [(table, check) for table in data.ranked() for check in table.having(verdict)]
        if listed:
            parts += [f"## {LABELS[verdict].capitalize()}", _checks(listed)]
    unaccounted = [table for table in data.tables if table.ledger and table.ledger.total.unaccounted]
    if unaccounted:
        parts += ["## Records not accounted for", "\n".join(_unaccounted(table) for table in unaccounted)]
    if any(table.quarantine.reasons for table in data.tables):
        parts += ["## Quarantine", _quarantine(data)]
    parts.append(f"_{moment(data.at)}, target {_plain(data.target)}._")
    return "\n\n".join(part for part in parts if part) + "\n"


def _plain(text: object) -> str:
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
        reason = f" {_plain(failed.reason)}" if failed.reason else ""
        lines.append(f"❌ **Release {failed.release_id} failed** at {moment(failed.at)}; gold was restored.{reason}")
    return "\n\n".join(lines)


def _overview(data: ReportData) -> str:
    if not data.tables:
        return "No contract is loaded."
    rows = []
    for table in data.ranked():
        total = table.ledger.total if table.ledger else None
        rows.append(
            [
                f"`{table.name}`",
                f"{_MARKS[table.verdict]} {LABELS[table.verdict]}",
                points(table.score),
                f"{len(table.having('pass'))}/{len(table.checks)}",
                number(total.landed if total else None),
                number(total.counts.get("applied", 0) if total else None),
                number(table.quarantine.records),
            ]
        )
    head = ["Table", "State", "Score", "Checks passed", "Landed", "Applied", "In quarantine"]
    return _table(head, rows, 2)


def _checks(listed: list[tuple[Table, Check]]) -> str:
    lines = [
        f"- **`{table.name}.{check.name}`** ({check.dimension}): {_plain(found(check))}. {_plain(check.description)}"
        for table, check in listed[:_MOST]
    ]
    if len(listed) > _MOST:
        lines.append(f"- … and {len(listed) - _MOST} more, in the page.")
    return "\n".join(lines)


def _unaccounted(table: Table) -> str:
    assert table.ledger is not None
    total = table.ledger.total
    return (
        f"- **`{table.name}`**: {number(total.landed)} landed, {number(sum(total.counts.values()))} have a disposition."
    )


def _quarantine(data: ReportData) -> str:
    listed = [(table.name, reason) for table in data.tables for reason in table.quarantine.reasons]
    listed.sort(key=lambda item: -item[1].records)
    rows = [
        [f"`{name}`", _plain(reason.text or reason.disposition.replace("_", " ")), number(reason.records)]
        for name, reason in listed[:_MOST]
    ]
    more = f"\n\n… and {plural(len(listed) - _MOST, 'reason')} more." if len(listed) > _MOST else ""
    return _table(["Table", "Reason", "Records"], rows, 2) + more
