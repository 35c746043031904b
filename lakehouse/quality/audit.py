"""The audit of a batch: a contract's rules and checks compiled to SodaCL, evaluated, and judged.

Two views are audited. `parsed` has every readable record before anything is split off: rules, rates and aggregates are
measured there, so that thresholds see what really arrived. `folded` has the row that won for each key: uniqueness and
references are measured there.
"""

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import yaml
from pyspark.sql import SparkSession

from lakehouse.contracts.model import BatchCheck, Contract, RowRule, Severity
from lakehouse.quality.results import CheckResult, Outcome
from lakehouse.quality.rules import row_rules
from lakehouse.quality.soda import Measured, scan
from lakehouse.storage.tables import quote

QUARANTINE_RATE, FRESHNESS, CONSERVATION = "quarantine_rate", "data_freshness", "records_conserved"
QUARANTINE_AGE = "quarantine_age"
UNKNOWN_FIELDS = "unknown_fields"
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
    view: str
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
    if contract.freshness_fail:
        hours = contract.freshness_fail.total_seconds() / 3600
        named[FRESHNESS] = (
            f"The newest data is at most {hours:g} hours old. Warns; never blocks.",
            "timeliness",
            False,
        )
    return named


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
    by_view: dict[str, list[dict[str, Any]]] = {}
    for item in compiled:
        by_view.setdefault(item.view, []).append(item.sodacl)
    measured = scan(spark, by_view, [item.name for item in compiled])
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


def _metric(name: str, condition: dict[str, str], definition: dict[str, str], comparison: str = "") -> dict[str, Any]:
    metric = f"m_{name}"
    return {
        f"{metric} {comparison}".strip(): {"name": name, **{f"{metric} {k}": v for k, v in definition.items()}}
        | condition
    }


def _rule(contract: Contract, rule: RowRule, views: Views, landed: int) -> _Compiled:
    """A rule's metric is the number of readable records that break it. Any is a warning; the batch fails above the
    rule's share, or the table's."""
    percent = contract.max_quarantined_percent if rule.max_percent is None else rule.max_percent
    allowed = math.floor(landed * percent / 100)
    # What the split has found by the rule's predicate is counted, not found again: on a year that is half the audit.
    broken = (
        f"array_contains(_violations, '{rule.name}')"
        if rule.severity == "error"
        else f"not coalesce({rule.predicate}, true)"
    )
    count = f"coalesce(sum(case when {broken} then 1 else 0 end), 0)"
    condition = {"warn": "when > 0"}
    threshold = "0"
    if rule.severity == "error":
        condition["fail"] = f"when > {allowed}"
        threshold = f"0 (blocks above {allowed}, {percent:g} % of the batch)"
    return _Compiled(
        rule.name,
        "rule",
        rule.dimension,
        rule.severity,
        views.parsed,
        _metric(rule.name, condition, {"expression": count}),
        threshold,
        _described(rule),
        rule.column,
    )


def _quarantine_rate(contract: Contract, views: Views, landed: int) -> _Compiled:
    percent = contract.max_quarantined_percent
    expression = (
        f"coalesce(sum(case when _unreadable <=> '{BATCH_REJECTED}' then 0"
        " when _unreadable is not null or size(_violations) > 0 then 1 else 0 end), 0)"
        f" * 100.0 / {max(landed, 1)}"
    )
    return _Compiled(
        QUARANTINE_RATE,
        "batch",
        "validity",
        "error",
        views.parsed + "_all",
        _metric(QUARANTINE_RATE, {"warn": "when > 0", "fail": f"when > {_plain(percent)}"}, {"expression": expression}),
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
    expression = f"greatest(0, (unix_micros(current_timestamp()) - unix_micros({newest})) / 3600000000)"
    return _Compiled(
        FRESHNESS,
        "table",
        "timeliness",
        "warning",
        views.parsed,
        _metric(FRESHNESS, {"warn": f"when > {_plain(hours)}"}, {"expression": expression}),
        f"<= {hours:g} hours",
        check_names(contract)[FRESHNESS][0],
        None,
    )


def _check(contract: Contract, check: BatchCheck, views: Views) -> _Compiled:
    view = views.parsed
    definition: dict[str, str]
    if check.kind == "soda":
        return _Compiled(
            check.name,
            "batch",
            check.dimension,
            check.severity,
            view,
            _named_sodacl(check),
            (check.text or "").splitlines()[0],
            _described(check),
            check.columns[0] if check.columns else None,
        )
    if check.kind == "row_count":
        definition = {"expression": "count(*)"}
    elif check.kind == "missing":
        column = quote(check.columns[0])
        listed = f" or {column} in ({', '.join(map(_sql_value, check.values))})" if check.values else ""
        definition = {"expression": _share(check, f"{column} is null{listed}")}
    elif check.kind == "invalid":
        definition = {"expression": _share(check, f"not coalesce({check.predicate}, true)")}
    elif check.kind == "unique":
        view = views.folded
        definition = {"query": _repeated(contract, check, views)}
    elif check.kind == "reference":
        view = views.folded
        definition = {"query": _orphans(contract, check, views)}
    else:
        definition = {"query": (check.text or "").replace("${table}", view)}
    operator = check.operator or "="
    ends = " and ".join(map(_plain, check.threshold)) or "0"
    return _Compiled(
        check.name,
        "batch",
        check.dimension,
        check.severity,
        view,
        _metric(check.name, {}, definition, f"{operator} {ends}"),
        f"{operator} {ends}{' %' if check.unit == 'percent' else ''}",
        _described(check),
        check.columns[0] if check.columns else None,
    )


def _plain(value: float) -> str:
    """A number with all its digits and without an exponent, which Soda would not read."""
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _value(contract: Contract, path: str) -> str:
    """SQL of a column, or of a field inside it (`line_items.product_id`); one row each for the elements of an array."""
    expression = ".".join(map(quote, path.split(".")))
    is_array = contract.column(path.split(".")[0]).type.startswith("array<")
    return f"explode({expression})" if is_array else expression


def _named_sodacl(check: BatchCheck) -> dict[str, Any]:
    parsed = yaml.safe_load(check.text or "")
    if isinstance(parsed, list):
        parsed = parsed[0]
    if isinstance(parsed, dict):
        ((head, body),) = parsed.items()
        return {head: {**(body if isinstance(body, dict) else {}), "name": check.name}}
    return {str(parsed): {"name": check.name}}


def _share(check: BatchCheck, condition: str) -> str:
    count = f"coalesce(sum(case when {condition} then 1 else 0 end), 0)"
    return f"{count} * 100.0 / greatest(count(*), 1)" if check.unit == "percent" else count


def _sql_value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(value)
    from lakehouse.storage.tables import literal

    return literal(str(value))


def _of_rows(check: BatchCheck, view: str, counted: str) -> str:
    if check.unit == "percent":
        return f"select ({counted}) * 100.0 / greatest((select count(*) from {view}), 1) as measured"
    return counted


def _repeated(contract: Contract, check: BatchCheck, views: Views) -> str:
    """Rows whose value occurs in another row: of the batch, or of the table as it will be after the batch."""
    columns = ", ".join(map(quote, check.columns))
    known = " and ".join(f"{quote(column)} is not null" for column in check.columns)
    # Of a table with history, the versions that hold now: a key has one of them, and many that are past.
    held_now = "_is_visible and valid_to is null" if contract.keeps_events else "not _is_deleted"
    rows = f"select {columns} from {views.folded} where {held_now} and {known}"
    if (
        set(check.columns) != set(contract.keys)
        and contract.table in views.references
        and contract.history == "current"
    ):
        same_key = " and ".join(f"held.{quote(key)} = new.{quote(key)}" for key in contract.keys)
        held = ", ".join(f"held.{quote(column)}" for column in check.columns)
        rows += (
            f" union all select {held} from {contract.silver_table} as held"
            f" where not exists (select 1 from {views.folded} as new where {same_key})"
        )
    counted = (
        f"select coalesce(sum(copies), 0) as measured from "
        f"(select count(*) as copies from ({rows}) group by {columns} having count(*) > 1)"
    )
    return _of_rows(check, views.folded, counted)


def _orphans(contract: Contract, check: BatchCheck, views: Views) -> str:
    """Rows (of a field of an array: elements) that refer to nothing. While the table referred to does not exist yet,
    every row does. A row of which any referring column is null refers to nothing on purpose."""
    names = [f"value{i}" for i in range(len(check.columns))]
    values = ", ".join(f"{_value(contract, path)} as {name}" for path, name in zip(check.columns, names, strict=True))
    known = " and ".join(f"{name} is not null" for name in names)
    rows = f"select * from (select {values} from {views.folded} where not _is_deleted) where {known}"
    if check.reference_table in views.references:
        targets = ", ".join(
            f"{quote(column)} as {name}" for column, name in zip(check.reference_columns, names, strict=True)
        )
        target = f"select {targets} from silver.{check.reference_table}"
        counted = f"select count(*) as measured from ({rows}) left anti join ({target}) using ({', '.join(names)})"
    else:
        counted = f"select count(*) as measured from ({rows})"
    return _of_rows(check, views.folded, counted)


def blocking(results: list[CheckResult]) -> list[CheckResult]:
    """The results that stop publication."""
    return [result for result in results if result.outcome == "fail"]
