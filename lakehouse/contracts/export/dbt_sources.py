"""Relations of silver as sources of dbt (https://docs.getdbt.com/reference/source-properties).

Tests are dbt's own four, which need no package; a key of several columns, and whatever else the contract asks, is audited
before silver is published and told under `meta`.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import yaml

from lakehouse.contracts.export.shape import Relation
from lakehouse.contracts.model import Column, Contract
from lakehouse.contracts.spark_sql import identifier


def dbt_sources(relations: Sequence[Relation], schema: str = "silver") -> str:
    """The YAML of one source, named `silver`, whose tables are these relations."""
    tables = [_table(relation, {other.name for other in relations}) for relation in relations]
    described = "The trusted tables: audited, deduplicated, current or with their history."
    source = {"name": "silver", "description": described, "schema": schema, "tables": tables}
    return yaml.safe_dump(
        {"version": 2, "sources": [source]}, sort_keys=False, width=120, allow_unicode=True, default_flow_style=False
    )


def _table(relation: Relation, known: set[str]) -> dict[str, Any]:
    contract = relation.contract
    is_own = relation.name == contract.silver_table
    meta: dict[str, Any] = {
        "contract": contract.id,
        "contract_version": contract.version,
        "owner": contract.owner,
        "team": contract.team,
    }
    if contract.domain:
        meta["domain"] = contract.domain
    if is_own:
        meta |= {"primary_key": list(contract.keys), "history": contract.history}
        asked = {rule.name: rule.description for rule in contract.rules if rule.column is None}
        asked |= {check.name: check.description for check in contract.checks}
        meta |= {"audited": asked} if asked else {}
    config: dict[str, Any] = {"meta": meta}
    if contract.tags:
        config["tags"] = list(contract.tags)
    if is_own:
        config |= _freshness(contract)
    return {
        "name": relation.name.rpartition(".")[2],
        "description": relation.description,
        "config": config,
        "columns": [_column(column, contract if is_own else None, known) for column in relation.columns],
    }


def _freshness(contract: Contract) -> dict[str, Any]:
    if contract.freshness_fail is None or contract.freshness_warn is None:
        return {}
    column = identifier(contract.freshness_column) if contract.freshness_column else None
    return {
        "loaded_at_field": f"cast({column} as timestamp)" if column else "cast(date_add(_arrived_on, 1) as timestamp)",
        "freshness": {"warn_after": _period(contract.freshness_warn), "error_after": _period(contract.freshness_fail)},
    }


def _period(span: timedelta) -> dict[str, Any]:
    return {"count": max(1, round(span.total_seconds() / 60)), "period": "minute"}


def _column(column: Column, contract: Contract | None, known: set[str]) -> dict[str, Any]:
    meta: dict[str, Any] = {"classification": column.classification}
    if column.mask:
        meta["mask"] = column.mask
    if column.critical:
        meta["critical"] = True
    found: dict[str, Any] = {"name": column.name}
    if column.description:
        found["description"] = column.description
    found |= {"data_type": column.type, "config": {"meta": meta}}
    tests = _tests(column, contract, known) if contract else []
    return found | ({"data_tests": tests} if tests else {})


def _tests(column: Column, contract: Contract, known: set[str]) -> list[Any]:
    tests: list[Any] = ["not_null"] if column.required and column.name not in contract.filled else []
    if column.unique or contract.keys == (column.name,):
        # A key has several versions in a history, and one of them that holds.
        tests.append("unique" if contract.history == "current" else {"unique": {"config": {"where": "is_current"}}})
    if column.accepted:
        tests.append({"accepted_values": _accepted(column)})
    if column.relation and f"silver.{column.relation[0]}" in known:
        check = next((c for c in contract.checks if c.kind == "reference" and c.columns == (column.name,)), None)
        table, to = column.relation
        arguments: dict[str, Any] = {"arguments": {"to": f"source('silver', '{table}')", "field": to}}
        # dbt counts rows and the contract a share of them, so the count only warns.
        is_strict = check is not None and check.severity == "error" and check.threshold == (0.0,)
        tests.append({"relationships": arguments | ({} if is_strict else {"config": {"severity": "warn"}})})
    return tests


def _accepted(column: Column) -> dict[str, Any]:
    arguments: dict[str, Any] = {"values": list(column.accepted)}
    if not all(isinstance(value, str) for value in column.accepted):
        arguments["quote"] = False
    return {"arguments": arguments}
