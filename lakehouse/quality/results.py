"""One evaluated check, and the table that remembers them all."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lakehouse.contracts.model import Severity
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
    """rule (of single records), batch, table, pipeline or anomaly."""
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
    severity: Severity = "error"
    """What the contract makes of a failure: `error` can block, `warning` cannot."""
    partition: str | None = None
    """The arrival days of the batch: see `arrival_days`."""
    credit: float | None = None
    """What it counts in the quality score, 0 to 1 (see `score.credit`); None: it does not."""
    parts: tuple[tuple[str, float], ...] = ()
    """What the value is made of: (name, number)."""
    seconds: float | None = None
    """How long the queries took that measured it, which it may share with other checks; None: it needed none of its own."""

    @property
    def sentence(self) -> str:
        """For a person: what was expected and what was found."""
        found = "nothing was measured" if self.value is None else f"found {self.value:g}"
        return f"{self.table}.{self.name}: expected {self.threshold}, {found}. {self.description}".rstrip()


def arrival_days(days: Sequence[date]) -> str | None:
    """The days on which a batch arrived (in order) as text: one day, or `first..last`; None for no day."""
    return None if not days else f"{days[0]}" if days[0] == days[-1] else f"{days[0]}..{days[-1]}"


MESSAGE_LENGTH = 2000
_COLUMNS = (
    Field("table_name", "string", "The table that was checked."),
    Field("check_name", "string", "The check, unique within its table."),
    Field("kind", "string", "rule (of single records), batch, table, pipeline or anomaly."),
    Field("dimension", "string", "Completeness, uniqueness, validity, accuracy, consistency or timeliness; or all."),
    Field("column_name", "string", "The column it is about, if one."),
    Field("outcome", "string", "pass, warn or fail."),
    Field("value", "double", "The measured number."),
    Field("threshold", "string", "What was expected."),
    Field("batch", "bigint", "The batch that was checked; null: the table as it was, by a run that found nothing new."),
    Field("partition", "string", "The arrival days of the batch: one day, or first..last."),
    Field("severity", "string", "What the contract makes of a failure: error (can block) or warning (cannot)."),
    Field("credit", "double", "What it counts in the quality score, 0 to 1; null: it does not."),
    Field("message", "string", "For a person: what was expected and what was found."),
    Field("seconds", "double", "How long the queries took that measured it; it may share them with other checks."),
    Field("contract_version", "string", "Version of the contract that asked for it."),
    Field("run_id", "string", "The Dagster run."),
    Field("evaluated_at", "timestamp", "When (UTC)."),
)


def ensure_table(spark: SparkSession, storage: str) -> None:
    comment = "Results of checks. One row per check and evaluation: a batch that is tried again is checked again."
    tables.ensure(spark, storage, CHECK_RESULTS, _COLUMNS, comment=comment)


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
            r.partition,
            r.severity,
            r.credit,
            r.sentence[:MESSAGE_LENGTH],
            r.seconds,
            contract_version,
            run_id,
        )
        for r in results
    ]
    frame = tables.local_rows(spark, rows, _COLUMNS[:-1]).selectExpr("*", "current_timestamp() as evaluated_at")
    append_small(frame, CHECK_RESULTS)


def expire(spark: SparkSession, days: int) -> int:
    """Removes results that are older than `days`, but the newest of each check, which stands until there is another.
    Returns how many. Idempotent."""
    if not tables.exists(spark, CHECK_RESULTS):
        return 0
    old = f"evaluated_at < timestamp'{(datetime.now(UTC) - timedelta(days=days)).isoformat()}'"
    if spark.table(CHECK_RESULTS).where(old).limit(1).isEmpty():
        return 0
    newest = spark.table(CHECK_RESULTS).groupBy("table_name", "check_name").agg(F.max("evaluated_at").alias("newest"))
    same = "target.table_name = source.table_name and target.check_name = source.check_name"
    return tables.merge(
        newest, CHECK_RESULTS, f"{same} and target.{old} and target.evaluated_at < source.newest", _DELETE
    )


_DELETE = "when matched then delete"
