"""What readers read: a gold table at one version, with personal data masked as the contracts say."""

from collections.abc import Mapping
from typing import Any

from pyspark.sql import SparkSession

from lakehouse.contracts.model import Column, Contract
from lakehouse.silver.masks import masked_column
from lakehouse.storage.tables import quote


def contract_column(name: str, node: Mapping[str, Any] | None, contracts: dict[str, Contract]) -> Column | None:
    """The contract's column that a gold column shows, where that is personal data; else None.

    The model says so (`meta: {contract_column: <table>.<column>}`). A column that bears the name of a personal column
    of any contract counts as that one, said or not: forgetting to say it must not unmask anybody.
    """
    columns = (node or {}).get("columns", {})
    meta = columns.get(name, {}).get("meta") or columns.get(name, {}).get("config", {}).get("meta") or {}
    stated = meta.get("contract_column")
    if stated:
        table, column = stated.split(".")
        if table in contracts:
            return contracts[table].column(column)
    for contract in contracts.values():
        for column in contract.pii_columns:
            if column.name == name:
                return column
    return None


def serving_query(
    spark: SparkSession, table: str, version: int, node: Mapping[str, Any] | None, contracts: dict[str, Contract]
) -> str:
    """SQL of the serving view of a gold table at a version."""
    fields = spark.sql(f"select * from {table} version as of {version} limit 0").schema
    columns = []
    for field in fields:
        personal = contract_column(field.name, node, contracts)
        expression = quote(field.name)
        if personal is not None:
            expression = f"{masked_column(personal, expression)} as {expression}"
        columns.append(expression)
    listed = ",\n    ".join(columns)
    return f"select\n    {listed}\nfrom {table} version as of {version}"
