"""The report as a short Markdown text, fit for a pull request or a message."""

from collections.abc import Mapping, Sequence

from lakehouse.automation.report.data import Check, Checked, ReportData, Verdict
from lakehouse.automation.report.page import headline
from lakehouse.automation.report.text import LABELS, found, moment, number, plural, points
from lakehouse.automation.runs import GOLD, FailedCheck, Outcome, TableOutcome

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
    said = f" {plain(check.description).rstrip('.')}." if check.description else ""
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
            names = ", ".join(f"`{check.name}` ({plain(found(check))})" for check in warned[:_NAMED])
            more = f" and {len(warned) - _NAMED} more" if len(warned) > _NAMED else ""
            lines.append(f"- `{item.name}`: {names}{more}")
    return "\n".join(["## Warned", "", *lines]) if lines else ""


def _unchecked(data: ReportData) -> str:
    """The dimensions without a check, with the tables of contracts that this is true of."""
    lines = []
    for table in data.ranked():
        if table.unchecked:
            lines.append(f"`{table.name}` of {', '.join(table.unchecked)}")
    return f"No check: {'; '.join(lines)}." if lines else ""


def summarize_run(outcome: Outcome, owners: Mapping[str, str], standing: str) -> str:
    """Markdown for whoever is on call: what failed in a run, what each failed check expected and found, who owns it, and
    what to do next. `owners`: of the tables of silver, by name; `standing`: what readers see now, in a sentence."""
    problems = [of for of in outcome.tables.values() if of.problem]
    others = [text for text in outcome.failures if text not in {of.problem for of in problems}]
    parts = [f"# ❌ Run failed: {_run_headline(problems, len(others), outcome.failed_checks)}", standing]
    for of in problems:
        parts += _problem(of, [check for check in outcome.failed_checks if _is_of(check, of)], owners.get(of.table, ""))
    if others:
        parts += ["## What else failed", "\n".join(f"- {text}" for text in others)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _is_of(check: FailedCheck, of: TableOutcome) -> bool:
    """Every model of dbt is made, and tested, in the one step of gold."""
    in_silver = check.asset.startswith("silver.")
    return check.asset == f"silver.{of.table}" if of.layer == "silver" else of.layer == "gold" and not in_silver


def _run_headline(problems: Sequence[TableOutcome], others: int, failed: Sequence[FailedCheck]) -> str:
    held = [of for of in problems if of.layer == "silver" and any(_is_of(check, of) for check in failed)]
    gold = [of for of in problems if of.layer in ("gold", "release")]
    rest = len(problems) - len(held) - len(gold) + others
    told = [f"{plural(len(held), 'batch')} held back"] if held else []
    told += ["gold not released"] if gold else []
    told += [f"{plural(rest, 'step')} failed"] if rest else []
    return ", ".join(told)


def _problem(of: TableOutcome, checks: Sequence[FailedCheck], owner: str) -> list[str]:
    is_gold = of.layer == "gold"
    name = f"`{of.layer}.{of.table}`" if of.table else (GOLD if is_gold else of.layer)
    if not checks:
        return [f"## {name} failed", of.problem or "", _owner(owner)]
    listed = "\n".join(map(_failed_check, checks[:_MOST]))
    if len(checks) > _MOST:
        listed += f"\n- … and {len(checks) - _MOST} more."
    if is_gold:
        return [f"## {name}: {plural(len(checks), 'test')} of dbt failed", listed, of.problem or ""]
    todo = (
        "Correct the source or the contract's threshold and run again, or decide: "
        f"`lakehouse batch show {of.table}`, then `lakehouse batch release` or `reject`. The batch is kept in bronze, "
        "and what arrives later waits behind it."
    )
    return [f"## {name}: batch {checks[0].batch} is held back, nothing was committed", _owner(owner), listed, todo]


def _owner(owner: str) -> str:
    return f"Owner: {owner}" if owner else ""


def _failed_check(check: FailedCheck) -> str:
    value = "nothing was measured" if check.found is None else f"found {number(check.found)}"
    of = "" if check.asset.startswith("silver.") else f"{check.asset}."
    about = f" ({check.dimension})" if check.dimension else ""
    # The description repeats the figures, as whoever reads one check in Dagster needs them.
    _, figures, rest = check.description.partition(f"expected {check.expected}, ")
    said = (rest.partition(". ")[2] if figures and check.expected else check.description).rstrip(".")
    seen = f" First seen in `{check.seen_in}`." if check.seen_in else ""
    measured = f"expected {check.expected}, {value}. " if check.expected else ""
    return f"- `{of}{check.name}`{about}: {measured}{said + '.' if said else ''}{seen}".rstrip()
