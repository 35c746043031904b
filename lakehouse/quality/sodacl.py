"""A contract's rules and checks as SodaCL for Soda on its own, on any table of the contract's columns.

The audit (`quality.audit`) asks the same of a batch on its way into silver; there a rule counts what the split found, and
uniqueness and references look at the table as it will be. Here everything is asked of the table that is named, by Soda's
own metrics where it has them, and what only warns says so to Soda.
"""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import yaml

from lakehouse.contracts.model import BatchCheck, Contract, RowRule
from lakehouse.storage.tables import quote

_OPPOSITES = {
    "=": "!=",
    "!=": "=",
    ">": "<=",
    ">=": "<",
    "<": ">=",
    "<=": ">",
    "between": "not between",
    "not between": "between",
}
_COMPARISON = re.compile(r"(?P<metric>.+?)\s*(?P<operator>not between|between|!=|<>|>=|<=|=|>|<)\s*(?P<ends>.+)")

HEAD = """\
# Checks of {tables}, from their contracts by `lakehouse contract export sodacl`.
# Run them with a data source whose schema is `{schema}`. A rule warns of any row that breaks it and fails above the share
# of rows that its contract allows. Arrival, quarantine and the conservation of records are audited by the lakehouse alone.
"""


def sodacl(contracts: Iterable[Contract], schema: str = "silver") -> str:
    """The YAML of all checks of these tables, each under `checks for <table>`; each check bears its name."""
    listed = list(contracts)
    head = HEAD.format(tables=", ".join(contract.table for contract in listed), schema=schema)
    document = {f"checks for {contract.table}": checks(contract) for contract in listed}
    return head + yaml.safe_dump(document, sort_keys=False, width=10_000, allow_unicode=True)


def checks(contract: Contract) -> list[dict[str, Any]]:
    """One SodaCL check for each rule and check that the contract states, in its order."""
    return [
        *(_rule(contract, rule) for rule in contract.rules),
        *(_named(check, *_check(contract, check)) for check in contract.checks),
    ]


def _rule(contract: Contract, rule: RowRule) -> dict[str, Any]:
    percent = contract.max_quarantined_percent if rule.max_percent is None else rule.max_percent
    above = f"when {'>' if rule.reaches_max else '>='} {_plain(percent)}"
    alerts = {"warn": "when > 0"} | ({"fail": above} if rule.severity == "error" else {})
    if rule.severity == "warning" and rule.max_percent is not None:
        alerts = {"warn": above}
    broken = f"coalesce(sum(case when coalesce({rule.predicate}, true) then 0 else 1 end), 0)"
    head, body = _expression(rule.name, f"{broken} * 100.0 / greatest(count(*), 1)")
    return {head: {"name": rule.name, **body, **alerts}}


def _named(check: BatchCheck, head: str, body: dict[str, Any]) -> dict[str, Any]:
    """The check of a metric, with what its outcome means."""
    if check.operator is None:
        return {head: body | {"name": check.name}}
    ends = " and ".join(map(_plain, check.threshold))
    alert = "warn" if check.severity == "warning" else "fail"
    return {head: {"name": check.name, **body, alert: f"when {_OPPOSITES[check.operator]} {ends}"}}


def _check(contract: Contract, check: BatchCheck) -> tuple[str, dict[str, Any]]:
    """The metric of a check, with what defines it."""
    in_percent = check.unit == "percent"
    only = {"filter": check.where} if check.where else {}
    if check.kind == "soda":
        return _own_words(check)
    if check.kind == "row_count":
        return "row_count", only
    if check.kind == "missing":
        measured = "missing_percent" if in_percent else "missing_count"
        return f"{measured}({check.columns[0]})", only | (
            {"missing values": list(check.values)} if check.values else {}
        )
    if check.kind == "unique" and (check.operator, check.threshold) == ("=", (0,)):
        held = " and ".join(_held(contract, check))
        return f"duplicate_count({', '.join(check.columns)})", {"filter": held} if held else {}
    if check.kind == "unique":
        return _query(check, _repeated(contract, check), contract)
    if check.kind == "reference":
        return _query(check, _orphans(contract, check), contract)
    if check.kind == "invalid":
        holds = f"coalesce({check.predicate}, true)" + (
            f" or not coalesce({check.where}, false)" if check.where else ""
        )
        count = f"coalesce(sum(case when {holds} then 0 else 1 end), 0)"
        total = (
            f"greatest(sum(case when {check.where} then 1 else 0 end), 1)" if check.where else "greatest(count(*), 1)"
        )
        return _expression(check.name, f"{count} * 100.0 / {total}" if in_percent else count)
    return f"m_{check.name}", {f"m_{check.name} query": (check.text or "").replace("${table}", contract.table)}


def _own_words(check: BatchCheck) -> tuple[str, dict[str, Any]]:
    """A check that the contract writes in SodaCL; one that only warns, and compares, is told so to Soda."""
    parsed = yaml.safe_load(check.text or "")
    if isinstance(parsed, list):
        parsed = parsed[0]
    if isinstance(parsed, dict):
        ((head, body),) = parsed.items()
        return head, body if isinstance(body, dict) else {}
    compared = _COMPARISON.fullmatch(str(parsed))
    if check.severity == "warning" and compared:
        operator = compared["operator"].replace("<>", "!=")
        return compared["metric"], {"warn": f"when {_OPPOSITES[operator]} {compared['ends']}"}
    return str(parsed), {}


def _expression(name: str, sql: str) -> tuple[str, dict[str, Any]]:
    return f"m_{name}", {f"m_{name} expression": sql}


def _query(check: BatchCheck, counted: str, contract: Contract) -> tuple[str, dict[str, Any]]:
    only = f" where {check.where}" if check.where else ""
    total = f"greatest((select count(*) from {contract.table}{only}), 1)"
    value = f"({counted}) * 100.0 / {total}" if check.unit == "percent" else f"({counted})"
    return f"m_{check.name}", {f"m_{check.name} query": f"select {value} as measured"}


def _repeated(contract: Contract, check: BatchCheck) -> str:
    columns = ", ".join(map(quote, check.columns))
    known = " and ".join(f"{quote(column)} is not null" for column in check.columns)
    held = " and is_current" if contract.history == "full" else ""
    groups = (
        f"select count(*) as copies from {contract.table} where {known}{held} group by {columns} having count(*) > 1"
    )
    return f"select coalesce(sum(copies), 0) from ({groups})"


def _held(contract: Contract, check: BatchCheck) -> list[str]:
    """Which rows may not repeat each other: a key has several versions in a history, and one of them that holds."""
    return [*(["is_current"] if contract.history == "full" else []), *([f"({check.where})"] if check.where else [])]


def _orphans(contract: Contract, check: BatchCheck) -> str:
    """Rows (of a field of an array: elements) that refer to nothing."""
    names = [f"value{i}" for i in range(len(check.columns))]
    values = ", ".join(f"{_value(contract, path)} as {name}" for path, name in zip(check.columns, names, strict=True))
    targets = ", ".join(f"{quote(to)} as {name}" for to, name in zip(check.reference_columns, names, strict=True))
    known = " and ".join(f"{name} is not null" for name in names)
    only = f" where {check.where}" if check.where else ""
    rows = f"select * from (select {values} from {contract.table}{only}) where {known}"
    target = f"select {targets} from {check.reference_table}"
    return f"select count(*) from ({rows}) left anti join ({target}) using ({', '.join(names)})"


def _value(contract: Contract, path: str) -> str:
    expression = ".".join(map(quote, path.split(".")))
    is_array = contract.column(path.split(".")[0]).type.startswith("array<")
    return f"explode({expression})" if is_array else expression


def _plain(value: float) -> str:
    """A number without an exponent, which Soda would not read."""
    return format(Decimal(repr(value)).normalize(), "f")
