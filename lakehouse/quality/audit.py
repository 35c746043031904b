"""The audit of a batch: a contract's rules and checks compiled to SodaCL, evaluated, and judged.

Two views are audited. `parsed` has every readable record before anything is split off: rules, rates and aggregates are
measured there, so that thresholds see what really arrived. `folded` has the row that won for each key: uniqueness and
references are measured there.

All of a batch's numbers are asked for in one query: each check is one expression of it, an aggregate over `parsed` or a
scalar subquery over something else.
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, get_args

from pyspark.sql import SparkSession

from lakehouse.contracts import spark_sql
from lakehouse.contracts.model import BatchCheck, Contract, Dimension, RowRule, Severity
from lakehouse.contracts.sodacl import compile_check
from lakehouse.quality.results import CheckResult, Outcome
from lakehouse.quality.rules import row_rules
from lakehouse.quality.soda import Measured, judged, scan
from lakehouse.storage.tables import quote

QUARANTINE_RATE, FRESHNESS, CONSERVATION = "quarantine_rate", "data_freshness", "records_conserved"
QUARANTINE_AGE = "quarantine_age"
UNKNOWN_FIELDS = "unknown_fields"
SNAPSHOT_COMPLETE = "snapshot_complete"
QUALITY_SCORE, ALL_DIMENSIONS = "quality_score", "all"
ANOMALIES = "anomalies"
BATCH_REJECTED = "batch_rejected"
"""Why the records of a batch that somebody rejected are refused; they count for no rate."""


@dataclass(frozen=True)
class Views:
    """Names of the temporary views under audit, and the current silver tables that references point to."""

    parsed: str
    folded: str
    references: frozenset[str] = frozenset()
    """Contract tables that exist in silver."""


@dataclass(frozen=True)
class _Compiled:
    name: str
    kind: str
    dimension: str
    severity: Severity
    sodacl: dict[str, Any]
    threshold: str
    description: str
    column: str | None


def check_names(contract: Contract) -> dict[str, tuple[str, str, bool]]:
    """name → (description, dimension, whether it can block) of every check that an audit of the contract reports."""
    named: dict[str, tuple[str, str, bool]] = {
        rule.name: (_described(rule), rule.dimension, rule.severity == "error") for rule in row_rules(contract)
    }
    named |= {check.name: (_described(check), check.dimension, check.severity == "error") for check in contract.checks}
    named[QUARANTINE_RATE] = (
        f"At most {contract.max_quarantined_percent:g} % of a batch is unreadable or breaks a rule.",
        "validity",
        True,
    )
    limits = contract.score
    named[QUALITY_SCORE] = (
        f"The quality score of the batch, over all dimensions, is at least {limits.publish:g}. "
        f"Below it warns; below {limits.warn:g} the batch is held back.",
        ALL_DIMENSIONS,
        limits.warn > 0,
    )
    named[CONSERVATION] = ("Every record that landed has exactly one disposition.", "completeness", True)
    days = contract.quarantine_warn.total_seconds() / 86400
    named[QUARANTINE_AGE] = (
        f"No record has waited in quarantine for more than {days:g} days. Warns; never blocks.",
        "timeliness",
        False,
    )
    if contract.anomalies.severity:
        named[ANOMALIES] = (
            "The newest days are as the table's own past leads one to expect.",
            "accuracy",
            contract.anomalies.severity == "error",
        )
    if contract.unknown_fields != "rescue":
        held = contract.unknown_fields == "fail"
        then = "A batch with another one is held back." if held else "Another one is a column of text until it does."
        named[UNKNOWN_FIELDS] = (f"The contract knows every field of the records. {then}", "consistency", held)
    if contract.delivery == "snapshot":
        named[SNAPSHOT_COMPLETE] = (
            f"A snapshot lacks at most {contract.max_missing_percent:g} % of the rows before it. Else it is held back, for "
            "it may be cut short, and what it lacks would be deleted.",
            "completeness",
            True,
        )
    if contract.freshness_fail:
        hours = contract.freshness_fail.total_seconds() / 3600
        named[FRESHNESS] = (
            f"The newest data is at most {hours:g} hours old. Warns; never blocks.",
            "timeliness",
            False,
        )
    return named


def checks_by_dimension(contract: Contract) -> dict[Dimension, tuple[str, ...]]:
    """The names of what an audit of the contract reports, for each of the six dimensions; empty where nothing is asked."""
    named = check_names(contract)
    return {kind: tuple(name for name, (_, of, _) in named.items() if of == kind) for kind in get_args(Dimension)}


def _described(item: RowRule | BatchCheck) -> str:
    if item.description:
        return item.description
    if isinstance(item, RowRule):
        return f"Every record fulfils: {item.predicate}"
    return f"{item.kind} of {', '.join(item.columns) or 'the batch'}"


def audit(spark: SparkSession, contract: Contract, views: Views, landed: int, batch: int) -> list[CheckResult]:
    """Evaluates every rule and check of the contract on one batch of `landed` records; one result each, in order."""
    compiled = [_rule(contract, rule, views, landed) for rule in row_rules(contract)]
    compiled.append(_quarantine_rate(contract, views, landed))
    compiled += [_check(contract, check, views) for check in contract.checks]
    if contract.freshness_fail:
        compiled.append(_freshness(contract, views))
    measured = scan(spark, views.parsed, {item.name: item.sodacl for item in compiled})
    return [_result(contract, item, measured[item.name], batch) for item in compiled]


def _result(contract: Contract, item: _Compiled, measured: Measured, batch: int) -> CheckResult:
    outcome: Outcome
    description = item.description
    if measured.outcome == "error":
        outcome = "fail" if item.severity == "error" else "warn"
        description = f"{description} It could not be evaluated: {measured.problem}".strip()
    elif measured.outcome == "fail" and item.severity == "warning":
        outcome = "warn"
    else:
        outcome = measured.outcome  # type: ignore[assignment]
    return CheckResult(
        table=contract.table,
        name=item.name,
        kind=item.kind,
        dimension=item.dimension,
        outcome=outcome,
        value=measured.value,
        threshold=item.threshold,
        description=description,
        column=item.column,
        batch=batch,
        severity=item.severity,
        seconds=measured.seconds,
    )


def _rule(contract: Contract, rule: RowRule, views: Views, landed: int) -> _Compiled:
    """A rule's metric is the number of readable records that break it. Any is a warning; the batch fails above the
    rule's share, or the table's. A rule of severity warning warns above its share, or of any."""
    is_error = rule.severity == "error"
    percent = (
        rule.max_percent if rule.max_percent is not None else contract.max_quarantined_percent if is_error else 0.0
    )
    allowed = _allowed(landed, percent, rule.reaches_max)
    # What the split has found by the rule's predicate is counted, not found again: on a year that is half the audit.
    broken = f"array_contains(_violations, '{rule.name}')" if is_error else f"not coalesce({rule.predicate}, true)"
    share = f"above {allowed}, {percent:g} % of the batch"
    return _Compiled(
        rule.name,
        "rule",
        rule.dimension,
        rule.severity,
        judged(
            rule.name,
            f"coalesce(sum(case when {broken} then 1 else 0 end), 0)",
            warn="when > 0" if is_error else f"when > {allowed}",
            fail=f"when > {allowed}" if is_error else None,
        ),
        f"0 (blocks {share})" if is_error else f"0 (warns {share})" if percent else "0",
        _described(rule),
        rule.column,
    )


def _allowed(landed: int, percent: float, reaches: bool) -> int:
    """How many records of a batch are at most that share of it; where it must not be reached, less than it."""
    exact = Decimal(repr(percent)) * landed / 100
    most = int(exact.to_integral_value(ROUND_FLOOR)) if reaches else int(exact.to_integral_value(ROUND_CEILING)) - 1
    return max(most, 0)


def _quarantine_rate(contract: Contract, views: Views, landed: int) -> _Compiled:
    percent = contract.max_quarantined_percent
    refused = (
        f"coalesce(sum(case when _unreadable <=> '{BATCH_REJECTED}' then 0"
        " when _unreadable is not null or size(_violations) > 0 then 1 else 0 end), 0)"
    )
    return _Compiled(
        QUARANTINE_RATE,
        "batch",
        "validity",
        "error",
        judged(
            QUARANTINE_RATE,
            f"(select {refused} * 100.0 / {max(landed, 1)} from {views.parsed}_all)",
            warn="when > 0",
            fail=f"when > {_plain(percent)}",
        ),
        f"0 % (blocks above {percent:g} %)",
        check_names(contract)[QUARANTINE_RATE][0],
        None,
    )


def _freshness(contract: Contract, views: Views) -> _Compiled:
    """Hours between now and the newest value of the column that tells freshness: that of the contract's SLA, else the
    sequence, else (the sequence is no time) the end of the newest arrival day. Only ever a warning."""
    limit = contract.freshness_fail
    assert limit is not None
    hours = limit.total_seconds() / 3600
    newest = "max(timestampadd(day, 1, cast(_arrived_on as timestamp)))"
    if contract.freshness_column:
        newest = f"max(cast({quote(contract.freshness_column)} as timestamp))"
    elif contract.sequence and contract.delivery in ("versions", "append"):
        kind = contract.column(contract.sequence[0]).type
        if kind in ("timestamp", "date"):
            newest = f"max(cast({quote(contract.sequence[0])} as timestamp))"
    hours_old = f"(unix_micros(current_timestamp()) - unix_micros({newest})) / 3600000000"
    expression = f"if({hours_old} < 0, 0, {hours_old})"  # of no rows null, which has not passed
    return _Compiled(
        FRESHNESS,
        "table",
        "timeliness",
        "warning",
        judged(FRESHNESS, expression, warn=f"when > {_plain(hours)}"),
        f"<= {hours:g} hours",
        check_names(contract)[FRESHNESS][0],
        None,
    )


def _check(contract: Contract, check: BatchCheck, views: Views) -> _Compiled:
    if check.kind == "soda":
        asked = compile_check(check.text or "", contract.columns)
        expression = asked.expression.replace("${table}", views.parsed)
        sodacl = judged(check.name, expression, asked.comparison, warn=asked.warn, fail=asked.fail)
        threshold = f"{asked.threshold}{' hours' if asked.metric == 'freshness' else ''}"
    else:
        operator = check.operator or "="
        ends = " and ".join(map(_plain, check.threshold)) or "0"
        sodacl = judged(check.name, _expression(contract, check, views), f"{operator} {ends}")
        threshold = f"{operator} {ends}{' %' if check.unit == 'percent' else ''}"
    return _Compiled(
        check.name,
        "batch",
        check.dimension,
        check.severity,
        sodacl,
        threshold,
        _described(check),
        check.columns[0] if check.columns else None,
    )


def _expression(contract: Contract, check: BatchCheck, views: Views) -> str:
    """SQL of what a check measures, to be selected from `parsed`."""
    if check.kind == "row_count":
        return _share(check, None)
    if check.kind == "missing":
        column = contract.column(check.columns[0])
        values = ", ".join(spark_sql.literal(value, column.type) for value in check.values)
        listed = f" or {quote(column.name)} in ({values})" if values else ""
        return _share(check, f"{quote(column.name)} is null{listed}")
    if check.kind == "invalid":
        return _share(check, f"not coalesce({check.predicate}, true)")
    if check.kind == "unique":
        return _repeated(contract, check, views)
    if check.kind == "reference":
        return _orphans(contract, check, views)
    return f"({(check.text or '').strip().rstrip(';').replace('${table}', views.parsed)}\n)"


def _plain(value: float) -> str:
    """A number with all its digits and without an exponent, which Soda would not read."""
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _value(contract: Contract, path: str) -> str:
    """SQL of a column, or of a field inside it (`line_items.product_id`); one row each for the elements of an array."""
    expression = ".".join(map(quote, path.split(".")))
    is_array = contract.column(path.split(".")[0]).type.startswith("array<")
    return f"explode({expression})" if is_array else expression


def _share(check: BatchCheck, condition: str | None) -> str:
    """The number of rows that count and fulfil the condition, or their share of those that count."""
    counted = _rows(check.where, condition)
    return f"{counted} * 100.0 / greatest({_rows(check.where)}, 1)" if check.unit == "percent" else counted


def _rows(*conditions: str | None) -> str:
    stated = " and ".join(f"({condition})" for condition in conditions if condition)
    return f"count(case when {stated} then 1 end)" if stated else "count(*)"


def _of_all(check: BatchCheck, counted: str, all_rows: str) -> str:
    return (
        f"({counted}) * 100.0 / greatest((select count(*) from ({all_rows})), 1)"
        if check.unit == "percent"
        else f"({counted})"
    )


def _repeated(contract: Contract, check: BatchCheck, views: Views) -> str:
    """Rows whose value occurs in another row: of the batch, or of the table as it will be after the batch."""
    columns = ", ".join(map(quote, check.columns))
    known = " and ".join(f"{quote(column)} is not null" for column in check.columns)
    counts = f" and ({check.where})" if check.where else ""
    # Of a table with history, the versions that hold now: a key has one of them, and many that are past.
    held_now = "_is_visible and valid_to is null" if contract.keeps_events else "not _is_deleted"
    rows = f"select {columns} from {views.folded} where {held_now}{counts}"
    if (
        set(check.columns) != set(contract.keys)
        and contract.table in views.references
        and contract.history == "current"
    ):
        same_key = " and ".join(f"held.{quote(key)} = new.{quote(key)}" for key in contract.keys)
        held = ", ".join(f"held.{quote(column)}" for column in check.columns)
        rows += (
            f" union all select {held} from {contract.silver_table} as held"
            f" where not exists (select 1 from {views.folded} as new where {same_key}){counts}"
        )
    counted = (
        f"select coalesce(sum(copies), 0) from "
        f"(select count(*) as copies from ({rows}) where {known} group by {columns} having count(*) > 1)"
    )
    return _of_all(check, counted, rows)


def _orphans(contract: Contract, check: BatchCheck, views: Views) -> str:
    """Rows (of a field of an array: elements) that refer to nothing. While the table referred to does not exist yet,
    every row does. A row of which any referring column is null refers to nothing on purpose."""
    names = [f"value{i}" for i in range(len(check.columns))]
    values = ", ".join(f"{_value(contract, path)} as {name}" for path, name in zip(check.columns, names, strict=True))
    known = " and ".join(f"{name} is not null" for name in names)
    counts = f" and ({check.where})" if check.where else ""
    rows = f"select {values} from {views.folded} where not _is_deleted{counts}"
    counted = f"select count(*) from (select * from ({rows}) where {known})"
    if check.reference_table in views.references:
        targets = ", ".join(
            f"{quote(column)} as {name}" for column, name in zip(check.reference_columns, names, strict=True)
        )
        counted += f" left anti join (select {targets} from silver.{check.reference_table}) using ({', '.join(names)})"
    return _of_all(check, counted, rows)


def blocking(results: list[CheckResult]) -> list[CheckResult]:
    """The results that stop publication."""
    return [result for result in results if result.outcome == "fail"]
