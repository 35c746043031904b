"""ops.batches: what became of every record, one row a batch. Derived: each row repeats the note of a commit of silver."""

from datetime import datetime
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lakehouse.contracts.model import Contract
from lakehouse.silver.fold import DISPOSITIONS
from lakehouse.storage import tables
from lakehouse.storage.notes import notes
from lakehouse.storage.tables import Field

BATCHES = "ops.batches"
_COLUMNS = (
    Field("table_name", "string", "The silver table."),
    Field("batch", "bigint", "The batch: all that bronze had taken up to it."),
    Field("since", "bigint", "The batch before it, exclusive; null for the first and for a rebuild."),
    Field("silver_version", "bigint", "The commit of the state table."),
    Field("landed", "bigint", "Records of the batch in bronze."),
    *(Field(name, "bigint", f"Records with the disposition {name}.") for name in DISPOSITIONS),
    Field("rows_deleted", "bigint", "Rows that a snapshot no longer had."),
    Field("contract_version", "string", "Version of the contract that applied."),
    Field("run_id", "string", "The Dagster run."),
    Field("seconds", "double", "How long the step took up to its commit."),
    Field("committed_at", "timestamp", "When (UTC)."),
)


def ensure_table(spark: SparkSession, storage: str) -> None:
    tables.ensure(spark, storage, BATCHES, _COLUMNS, comment="Dispositions of all records. One row per batch.")


def last_note(spark: SparkSession, contract: Contract) -> tuple[int, dict[str, Any]] | None:
    """(version, note) of the newest batch committed to the state table; None before the first."""
    found = [(version, note) for version, note in notes(spark, contract.state_table) if note.get("kind") == "refine"]
    return found[0] if found else None


def heal(spark: SparkSession, contract: Contract) -> int:
    """Adds the rows that ops.batches lacks, from the notes of the state's commits; returns how many."""
    committed = [(v, note) for v, note in notes(spark, contract.state_table) if note.get("kind") == "refine"]
    if not committed:
        return 0
    known = {
        row["silver_version"]
        for row in spark.table(BATCHES)
        .where(F.col("table_name") == contract.table)
        .select("silver_version")
        .distinct()
        .collect()
    }
    missing = [(version, note) for version, note in committed if version not in known]
    if missing:
        rows = [
            (
                contract.table,
                note["batch"],
                note["since"],
                version,
                note["landed"],
                *(note["counts"].get(name, 0) for name in DISPOSITIONS),
                note["rows_deleted"],
                note["contract_version"],
                note["run_id"],
                float(note["seconds"]),
                datetime.fromisoformat(note["committed_at"]),
            )
            for version, note in missing
        ]
        tables.append(tables.local_rows(spark, rows, _COLUMNS), BATCHES)
    return len(missing)
