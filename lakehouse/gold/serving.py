"""What readers read: a gold table at one version, with personal data masked as the contracts say."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pyspark.sql import SparkSession

from lakehouse.contracts.model import Contract, Mask
from lakehouse.silver.masks import mask
from lakehouse.storage.tables import quote


def mask_of(name: str, node: Mapping[str, Any] | None, contracts: Mapping[str, Contract]) -> Mask | None:
    """How readers see a gold column: the mask of the contract's column that it shows; None: as it is.

    The model says which column that is (`meta: {contract_column: <table>.<column>}`). A column that bears the name of a
    personal column of any contract counts as that one, said or not. Whatever cannot be told hides the values: a
    contract or a column of it that is no more, and a column that the model (perhaps renamed or removed since the
    release) does not describe, while any contract has personal data.
    """
    name = name.lower()  # Spark does not tell names apart by case
    columns = {column.lower(): props for column, props in (node or {}).get("columns", {}).items()}
    described = columns.get(name, {})
    meta = described.get("meta") or described.get("config", {}).get("meta") or {}
    if stated := meta.get("contract_column"):
        table, _, shown = str(stated).partition(".")
        found = [item for item in contracts[table].columns if item.name == shown] if table in contracts else []
        if not found:
            return "redact"
        return (found[0].mask or "redact") if found[0].classification == "pii" else None
    personal = [column for contract in contracts.values() for column in contract.pii_columns]
    for column in personal:
        if column.name.lower() == name:
            return column.mask or "redact"
    return "redact" if personal and name not in columns else None


def masks_digest(marts: Mapping[str, Mapping[str, Any]], contracts: Mapping[str, Contract]) -> str:
    """Changes whenever a column may be masked otherwise: then the views have to be made again, whatever the release."""
    personal = {
        contract.table: {column.name: column.mask for column in contract.pii_columns} for contract in contracts.values()
    }
    described = {
        name: {column: mask_of(column, node, contracts) for column in node["columns"]} for name, node in marts.items()
    }
    return hashlib.sha256(json.dumps([personal, described], sort_keys=True).encode()).hexdigest()[:16]


def serving_query(
    spark: SparkSession, table: str, version: int, node: Mapping[str, Any] | None, contracts: Mapping[str, Contract]
) -> str:
    """SQL of the serving view of a gold table at a version."""
    fields = spark.sql(f"select * from {table} version as of {version} limit 0").schema
    columns = []
    for field in fields:
        expression = quote(field.name)
        if how := mask_of(field.name, node, contracts):
            is_text = field.dataType.simpleString() == "string"
            expression = f"{mask(expression, how, is_text)} as {expression}"
        columns.append(expression)
    listed = ",\n    ".join(columns)
    return f"select\n    {listed}\nfrom {table} version as of {version}"
