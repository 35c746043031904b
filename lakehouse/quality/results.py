"""One evaluated check, and the table that remembers them all."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pyspark.sql import SparkSession

from lakehouse.storage import tables
from lakehouse.storage.maintain import append_small
from lakehouse.storage.tables import Field

Outcome = Literal["pass", "warn", "fail"]
CHECK_RESULTS = "ops.check_results"


@dataclass(frozen=True)
class CheckResult:
    """What one check measured on one batch. `fail` blocks publication, `warn` does not."""

    table: str
    name: str
    kind: str
    """rule (of single records), batch, table or pipeline."""
    dimension: str
    outcome: Outcome
    value: float | None
    """The measured number: rows for a rule, whatever the check measures otherwise."""
    threshold: str
    """What was expected, in words or an inequality."""
    description: str
    column: str | None = None
    batch: int | None = None
    samples: tuple[dict[str, Any], ...] = field(default=())
    """A few records that broke it, personal data masked."""

    @property
    def sentence(self) -> str:
        """For a person: what was expected and what was found."""
        found = "nothing was measured" if self.value is None else f"found {self.value:g}"
        return f"{self.table}.{self.name}: expected {self.threshold}, {found}. {self.description}".rstrip()


_COLUMNS = (
    Field("table_name", "string", "The table that was checked."),
    Field("check_name", "string", "The check, unique within its table."),
    Field("kind", "string", "rule (of single records), batch, table or pipeline."),
    Field("dimension", "string", "Completeness, uniqueness, validity, accuracy, consistency or timeliness."),
    Field("column_name", "string", "The column it is about, if one."),
    Field("outcome", "string", "pass, warn or fail."),
    Field("value", "double", "The measured number."),
    Field("threshold", "string", "What was expected."),
    Field("batch", "bigint", "The batch that was checked."),
    Field("contract_version", "string", "Version of the contract that asked for it."),
    Field("run_id", "string", "The Dagster run."),
    Field("evaluated_at", "timestamp", "When (UTC)."),
)


def ensure_table(spark: SparkSession, storage: str) -> None:
    tables.ensure(spark, storage, CHECK_RESULTS, _COLUMNS, comment="Results of checks. One row per check and batch.")


def remember(spark: SparkSession, results: Sequence[CheckResult], contract_version: str, run_id: str) -> None:
    """Appends the results to ops.check_results. Samples are not kept there."""
    if not results:
        return
    rows = [
        (
            r.table,
            r.name,
            r.kind,
            r.dimension,
            r.column,
            r.outcome,
            r.value,
            r.threshold,
            r.batch,
            contract_version,
            run_id,
        )
        for r in results
    ]
    frame = tables.local_rows(spark, rows, _COLUMNS[:-1]).selectExpr("*", "current_timestamp() as evaluated_at")
    append_small(frame, CHECK_RESULTS)
