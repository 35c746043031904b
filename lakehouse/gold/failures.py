"""Rows that break a dbt test: a few of them, as people may see them, kept in a table of their own."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql.types import StructField

from lakehouse.contracts.model import Contract
from lakehouse.contracts.spark_sql import is_number
from lakehouse.gold.serving import mask_of
from lakehouse.silver.masks import mask
from lakehouse.storage import tables
from lakehouse.storage.tables import Field, literal, quote

FAILURES = "ops.dbt_failures"
KEPT = 100
"""Rows of a test that are kept, from the last build in which it failed; those before are replaced."""
SHOWN = 10

_ITS_COLUMN = ("unique_field", "value_field", "from_field")
"""How dbt's own tests call the column that they are about."""
_COLUMNS = (
    Field("test_name", "string", "The dbt test."),
    Field("row", "string", "A row that broke it, as JSON; personal data masked."),
    Field("run_id", "string", "The Dagster run."),
    Field("failed_at", "timestamp", "When (UTC)."),
)


def failing_rows(
    spark: SparkSession,
    query: str,
    node: Mapping[str, Any],
    manifest: Mapping[str, Any],
    contracts: Mapping[str, Contract],
) -> list[dict[str, Any]]:
    """The first rows of a test's query, at most KEPT, by column.

    `query` is the test as compiled, `node` the test in the manifest. A column is masked as the contracts mask the column of
    that name in the models that the test reads; one that none of them has is shown where it is a number or yes or no.
    """
    bare = query.strip().rstrip(";")
    fields = spark.sql(bare).schema.fields
    shown = ", ".join(_shown(field, node, manifest, contracts) for field in fields)
    rows = spark.sql(f"select {shown} from (\n{bare}\n) limit {KEPT}").collect()
    return [row.asDict(recursive=True) for row in rows]


def compiled_query(node: Mapping[str, Any], target: Path) -> str:
    """The SQL of a test as dbt ran it, from its target folder; raises FileNotFoundError where it has not got so far."""
    file = Path(node["original_file_path"])
    # The tests of a YAML file are in a folder of its name.
    place = file if file.name == Path(node["path"]).name else file / node["path"]
    return (target / "compiled" / node["package_name"] / place).read_text(encoding="utf-8")


def remember(spark: SparkSession, storage: str, test: str, rows: Sequence[Mapping[str, Any]], run_id: str) -> None:
    """Keeps the rows of a test in place of those that it kept before."""
    tables.ensure(
        spark, storage, FAILURES, _COLUMNS, comment="Rows that broke dbt tests, masked. One row per test and row."
    )
    kept = [(test, json.dumps(row, default=str, ensure_ascii=False), run_id) for row in rows]
    frame = tables.local_rows(spark, kept, _COLUMNS[:-1]).selectExpr("*", "current_timestamp() as failed_at")
    tables.replace_where(frame, FAILURES, f"test_name = {literal(test)}")


def _shown(
    field: StructField, node: Mapping[str, Any], manifest: Mapping[str, Any], contracts: Mapping[str, Contract]
) -> str:
    """SQL of a column of a test's result as people may see it."""
    expression, kind = quote(field.name), field.dataType.simpleString()
    name = field.name.lower()
    if name in _ITS_COLUMN and node.get("column_name"):
        name = str(node["column_name"]).lower()
    read = [manifest["nodes"][key] for key in node["depends_on"]["nodes"] if key in manifest["nodes"]]
    masks = [mask_of(name, model, contracts) for model in read if name in map(str.lower, model["columns"])]
    if not masks and not is_number(kind) and kind != "boolean":
        masks = ["redact"]
    how = next((found for found in masks if found), None)
    return f"{mask(expression, how, kind == 'string')} as {expression}" if how else expression
