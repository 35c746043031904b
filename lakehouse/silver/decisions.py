"""ops.batch_decisions: what people decided about batches that an audit held back. The newest about a batch stands.

A batch that was *released* goes into silver as it is: the checks that had failed on it warn. Of one that was *rejected*
every record is refused, and stays in quarantine for the reason BATCH_REJECTED until somebody releases the batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakehouse.contracts.model import Contract
from lakehouse.quality.audit import CONSERVATION
from lakehouse.quality.results import CHECK_RESULTS, CheckResult
from lakehouse.settings import settings
from lakehouse.storage import tables
from lakehouse.storage.notes import local_log
from lakehouse.storage.tables import Field, literal

DECISIONS = "ops.batch_decisions"
RELEASED, REJECTED = "released", "rejected"
IS_REJECTED = "_is_rejected"
_COLUMNS = (
    Field("table_name", "string", "The silver table."),
    Field("since", "bigint", "The batch before it, exclusive; null for the first."),
    Field("batch", "bigint", "The batch: all that bronze had taken up to it."),
    Field("decision", "string", f"{RELEASED} or {REJECTED}."),
    Field("checks", "array<string>", "The checks that held it back."),
    Field("note", "string", "Why."),
    Field("made_by", "string", "Who decided."),
    Field("decided_at", "timestamp", "When (UTC)."),
)


@dataclass(frozen=True)
class Decision:
    """What somebody decided about the batches (since, batch] of bronze."""

    since: int | None
    batch: int
    decision: str
    checks: tuple[str, ...]
    note: str
    made_by: str
    decided_at: datetime | None = None


@dataclass(frozen=True)
class Held:
    """A batch that an audit held back."""

    table: str
    since: int | None
    batch: int
    records: int
    first_day: date
    last_day: date
    failed: tuple[tuple[str, str, float | None], ...]
    """(check, what it expected, what it found)."""
    behind: int
    """Records that arrived after it was audited; they wait behind it."""


def standing(spark: SparkSession, contract: Contract) -> list[Decision]:
    """The decision in force about each batch of the table, in the order of batches. No query where nobody decided."""
    if local_log(DECISIONS) is None and not ("://" in settings().storage_dir and tables.exists(spark, DECISIONS)):
        return []
    rows = spark.sql(
        f"""select max_by(struct(*), decided_at) as last
        from {DECISIONS}
        where table_name = {literal(contract.table)}
        group by batch
        order by batch"""
    ).collect()
    return [_decision(row["last"]) for row in rows]


def _decision(row: Any) -> Decision:
    named = (row[name] for name in ("since", "batch", "decision", "checks", "note", "made_by", "decided_at"))
    since, batch, decision, checks, *rest = named
    return Decision(since, batch, decision, tuple(checks), *rest)


def decide(spark: SparkSession, storage: str, contract: Contract, made: Decision) -> None:
    """Notes a decision about a batch. Nothing else changes before the table is refined."""
    comment = "What people decided about batches that were held back. One row per decision."
    tables.ensure(spark, storage, DECISIONS, _COLUMNS, comment=comment)
    at = datetime.now(UTC)
    row = (contract.table, made.since, made.batch, made.decision, list(made.checks), made.note, made.made_by, at)
    said = {"kind": made.decision, "table": contract.table, "batch": made.batch}
    tables.append(tables.local_rows(spark, [row], _COLUMNS), DECISIONS, said)


def held(spark: SparkSession, contract: Contract, done: int | None, newest: int | None) -> Held | None:
    """The batch that waits for a decision or a correction, where the last audit of what bronze has after `done` held it
    back. `done`, `newest`: as `refine.pending_batch` gives them."""
    if newest is None or newest == done or not tables.exists(spark, CHECK_RESULTS):
        return None
    pending = "true" if done is None else f"batch > {done}"
    rows = spark.sql(
        f"""with latest as (
            select batch, check_name, max_by(struct(outcome, threshold, value), evaluated_at) as last
            from {CHECK_RESULTS}
            where table_name = {literal(contract.table)} and {pending} and batch <= {newest}
            group by batch, check_name
        )
        select batch, check_name, last.threshold, last.value
        from latest
        where last.outcome = 'fail' and batch = (select max(batch) from latest)
        order by check_name"""
    ).collect()
    if not rows:
        return None
    batch = int(rows[0]["batch"])
    row = spark.table(contract.bronze_table).where(pending).selectExpr(
        f"count_if(batch <= {batch}) as records",
        f"min(if(batch <= {batch}, arrived_on, null)) as first_day",
        f"max(if(batch <= {batch}, arrived_on, null)) as last_day",
        f"count_if(batch > {batch}) as behind",
    ).first()  # fmt: skip
    assert row is not None
    failed = tuple((found["check_name"], found["threshold"], found["value"]) for found in rows)
    counts = int(row["records"]), row["first_day"], row["last_day"]
    return Held(contract.table, done, batch, *counts, failed, int(row["behind"]))


def last_to_take(made: Sequence[Decision], done: int | None, newest: int) -> int:
    """The batch up to which to refine: what arrived after a batch that was decided about is a batch of its own, which
    nobody has seen."""
    return max((one.batch for one in made if (done is None or one.batch > done) and one.batch < newest), default=newest)


def marked(raw: DataFrame, made: Sequence[Decision]) -> tuple[DataFrame, tuple[str, ...]]:
    """(rows of bronze, with IS_REJECTED where batches were rejected; the column that says so, if)."""
    rejected = [one for one in made if one.decision == REJECTED]
    if not rejected:
        return raw, ()
    of = " or ".join(f"(batch > {-1 if one.since is None else one.since} and batch <= {one.batch})" for one in rejected)
    return raw.withColumn(IS_REJECTED, F.expr(of)), (IS_REJECTED,)


def heeded(
    results: Sequence[CheckResult], made: Sequence[Decision], since: int | None, newest: int
) -> list[CheckResult]:
    """The results of a batch (since, newest]; what somebody decided to accept warns. Of a rejected batch nothing is
    applied, so nothing holds it back; of a released one, and of a table folded anew from it, only what failed then does
    not. That records are conserved is never given up."""
    covers = [one for one in made if (since is None or one.batch > since) and one.batch <= newest]

    def decided(name: str) -> Decision | None:
        about = (
            one
            for one in reversed(covers)
            if (name in one.checks and one.decision == RELEASED)
            or (one.decision, one.since, one.batch) == (REJECTED, since, newest)
        )
        return next(about, None)

    found = []
    for result in results:
        by = decided(result.name) if result.outcome == "fail" and result.name != CONSERVATION else None
        if by is not None:
            said = f"{result.description} The batch was {by.decision} by {by.made_by}: {by.note}".strip()
            result = replace(result, outcome="warn", description=said)
        found.append(result)
    return found
