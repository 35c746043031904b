"""ops.batches: what became of every record, one row a batch. Derived: each row repeats the note of a commit of silver.

A replay of refused records is a row of its own: what became of them, and what they were before. The sum of a disposition,
less the sum of `was_…`, is the number of records that have it now.
"""

from collections.abc import Iterator
from datetime import datetime
from itertools import islice, takewhile
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lakehouse.contracts.model import Contract
from lakehouse.silver.fold import DISPOSITIONS, QUARANTINED, REJECTED, TOO_LATE
from lakehouse.storage import tables
from lakehouse.storage.maintain import append_small
from lakehouse.storage.notes import notes
from lakehouse.storage.tables import Field

BATCHES = "ops.batches"
REFINE, REPLAY = "refine", "replay"
KINDS = (REFINE, REPLAY)
REFUSED = (QUARANTINED, REJECTED, TOO_LATE)
"""Dispositions of the records in quarantine."""
_COLUMNS = (
    Field("table_name", "string", "The silver table."),
    Field("kind", "string", "refine (a batch, or a rebuild) or replay (of refused records); null: refine."),
    Field("batch", "bigint", "The batch: all that bronze had taken up to it."),
    Field("since", "bigint", "The batch before it, exclusive; null for the first and for a rebuild."),
    Field("silver_version", "bigint", "The commit of the state table."),
    Field("landed", "bigint", "Records of the batch in bronze."),
    *(Field(name, "bigint", f"Records with the disposition {name}.") for name in DISPOSITIONS),
    *(Field(f"was_{name}", "bigint", f"Of a replay: its records that were {name} before it.") for name in REFUSED),
    Field(
        "rows_deleted",
        "bigint",
        "Rows gone that no record of their own deleted: by a snapshot, a truncate, a change of key.",
    ),
    Field("contract_version", "string", "Version of the contract that applied."),
    Field("run_id", "string", "The Dagster run."),
    Field("seconds", "double", "How long the step took up to its commit."),
    Field("audit_seconds", "double", "How much of that its checks took."),
    Field("score", "double", "The quality score of the batch, 0 to 1; null: it was not asked for, of a replay."),
    Field("committed_at", "timestamp", "When (UTC)."),
)


def ensure_table(spark: SparkSession, storage: str) -> None:
    tables.ensure(spark, storage, BATCHES, _COLUMNS, comment="Dispositions of all records. One row per batch.")


def _committed(spark: SparkSession, contract: Contract) -> Iterator[tuple[int, dict[str, Any]]]:
    """(version, note) of the batches and replays committed to the state table, newest first."""
    return ((version, note) for version, note in notes(spark, contract.state_table) if note.get("kind") in KINDS)


def last_note(spark: SparkSession, contract: Contract) -> tuple[int, dict[str, Any]] | None:
    """(version, note) of the newest batch committed to the state table; None before the first."""
    return next(_committed(spark, contract), None)


def version_of(spark: SparkSession, contract: Contract, after: int, attempt: str) -> int | None:
    """The version of the state that an attempt to refine has committed after another one; None where it has not."""
    newer = takewhile(lambda found: found[0] > after, _committed(spark, contract))
    return next((version for version, note in newer if note.get("attempt") == attempt), None)


def is_rebuilt_since(spark: SparkSession, contract: Contract, change: int) -> bool:
    """Whether the table was folded anew after a change, or has forgotten a delete that came after it: rows may be gone
    from it without a trace."""
    newer = takewhile(lambda found: change_of(found[1]) > change, _committed(spark, contract))
    return any(note["since"] is None or note.get("forgotten", change) > change for _, note in newer)


def change_of(note: dict[str, Any]) -> int:
    """The number that the rows of a commit bear in `_batch`."""
    return int(note.get("change", note["batch"]))


def heal(spark: SparkSession, contract: Contract) -> None:
    """Adds the rows that ops.batches lacks, from the notes of the state's commits."""
    first_two = list(islice(_committed(spark, contract), 2))
    if not first_two:
        return
    known = _newest_known(spark, contract, len(first_two) == 1)
    missing = list(takewhile(lambda found: found[0] > known, _committed(spark, contract)))
    if missing:
        rows = [
            (
                contract.table,
                note["kind"],
                note["batch"],
                note["since"],
                version,
                note["landed"],
                *(note["counts"].get(name, 0) for name in DISPOSITIONS),
                *(note["was"].get(name, 0) if "was" in note else None for name in REFUSED),
                note["rows_deleted"],
                note["contract_version"],
                note["run_id"],
                float(note["seconds"]),
                note.get("audit_seconds"),
                note.get("score"),
                datetime.fromisoformat(note["committed_at"]),
            )
            for version, note in missing
        ]
        said = {"kind": "ledger", "table": contract.table, "silver_version": missing[0][0]}
        turn = (f"ledger:{contract.table}", missing[0][0])  # whoever else heals it adds nothing
        append_small(tables.local_rows(spark, rows, _COLUMNS), BATCHES, said, turn)


def _newest_known(spark: SparkSession, contract: Contract, is_first: bool) -> int:
    """The newest commit of the state that ops.batches has a row of; -1 for none. Told by the notes of its own commits,
    and by its rows where those are gone from the log. `is_first`: the state has one commit; no query is needed then, for the
    turn of its row keeps it from being added twice."""
    told = (note["silver_version"] for _, note in notes(spark, BATCHES) if note.get("table") == contract.table)
    known = next(told, None)
    if known is None and not is_first:
        rows = spark.table(BATCHES).where(F.col("table_name") == contract.table)
        known = rows.agg(F.max("silver_version")).collect()[0][0]
    return -1 if known is None else int(known)
