"""What is found of a batch before it is committed: its records by disposition, the results of its checks, samples of what it
refuses."""

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

from pyspark.sql import DataFrame, GroupedData, SparkSession
from pyspark.sql import functions as F

from lakehouse.contracts.model import Contract
from lakehouse.quality.audit import BATCH_REJECTED, CONSERVATION, SNAPSHOT_COMPLETE, Views, audit, check_names
from lakehouse.quality.results import CheckResult
from lakehouse.silver import state
from lakehouse.silver.announced import Announced
from lakehouse.silver.fold import DELETED, DISPOSITIONS
from lakehouse.silver.masks import masked_record
from lakehouse.silver.parse import point_type

SAMPLES_PER_CHECK = 5
MISSING_AT_LEAST = 10
"""Rows that a snapshot must lack before their share is asked: of a small table, that says little."""
_COMMITTED = ("applied", "noop", "deleted")
Samples = Mapping[str, Sequence[Mapping[str, Any]]]
"""Check → some of the records that break it, masked: file, position, reasons, record."""


def summary(
    contract: Contract, parsed: DataFrame, classified: DataFrame, others: DataFrame | None, announced: Announced
) -> tuple[dict[str, int], int, str | None]:
    """(records by disposition, rows gone that no record of their own deleted, the newest event time as ISO text)."""
    is_time = point_type(contract) == "timestamp"
    newest_time = "cast(max(_sequence.s0) as string)" if is_time else "cast(null as string)"
    of_events = (
        classified.where("disposition is not null")
        .groupBy("disposition", "_is_record")
        .agg(F.count("*").alias("records"), F.expr(newest_time).alias("newest"))
    )
    of_refused = parsed.where("_refused is not null").groupBy(F.col("_refused").alias("disposition"))
    parts = [of_events, _counted(of_refused)]
    if others is not None:
        parts.append(_counted(others.groupBy("disposition")))
    counts = dict.fromkeys(DISPOSITIONS, 0) | announced.counts
    rows_deleted = 0
    newest = None
    for row in reduce(lambda one, other: one.unionByName(other), parts).collect():  # one query for all
        if row["_is_record"]:
            counts[row["disposition"]] += row["records"]
        elif row["disposition"] == "deleted":
            rows_deleted += row["records"]
        newest = latest(newest, row["newest"])
    return counts, rows_deleted, newest


def _counted(grouped: GroupedData) -> DataFrame:
    return grouped.agg(
        F.lit(True).alias("_is_record"),
        F.count("*").alias("records"),
        F.lit(None).cast("string").alias("newest"),
    )


def latest(*moments: str | None) -> str | None:
    return max((moment for moment in moments if moment), default=None)


def views_of(contract: Contract, parsed: DataFrame, classified: DataFrame, silver_tables: frozenset[str]) -> Views:
    """Makes the views that `audited` asks; they are of this session, until the table's next batch: to drop one is a query."""
    views = Views(f"parsed_{contract.table}", f"folded_{contract.table}", silver_tables)
    listed = ", ".join(f"'{name}'" for name in _COMMITTED)
    # A row that was there already is audited again where an event that came late has given it other values.
    refilled = " or (_is_written and disposition is null and _is_visible)" if contract.filled else ""
    for name, frame in (
        (views.parsed, parsed.where("_unreadable is null and _without_row is null")),
        (views.parsed + "_all", parsed),
        (views.folded, classified.where(f"disposition in ({listed}){refilled}")),
    ):
        frame.createOrReplaceTempView(name)
    return views


def audited(
    spark: SparkSession, contract: Contract, views: Views, landed: int, batch: int, counts: dict[str, int]
) -> list[CheckResult]:
    """The results of all checks that ask the batch, and whether each of its records is counted once."""
    results = audit(spark, contract, views, landed, batch)
    missing = landed - sum(counts.values())
    results.append(
        CheckResult(
            table=contract.table,
            name=CONSERVATION,
            kind="pipeline",
            dimension="completeness",
            outcome="fail" if missing else "pass",
            value=float(missing),
            threshold="0 records without a disposition",
            description=f"{landed} landed; " + ", ".join(f"{k} {v}" for k, v in counts.items() if v),
            batch=batch,
        )
    )
    return results


def completeness(
    contract: Contract, before: DataFrame | None, classified: DataFrame, is_anew: bool, deleted: int, batch: int
) -> CheckResult:
    """The check `snapshot_complete`: how many of the rows that the table has (`before`, its state; None where nobody minds: a
    first load, and a rebuild that was asked for) are gone after the last snapshot of a batch, in percent. `deleted`: how
    many were by any of its snapshots, where it is not folded anew."""
    description, dimension, _ = check_names(contract)[SNAPSHOT_COMPLETE]
    share, gone, rows = 0.0, 0, 0
    if before is not None and (is_anew or deleted >= MISSING_AT_LEAST):
        here = before.where(state.in_force(contract)).select(*contract.keys)
        lacked = here if is_anew else classified.where(f"disposition = '{DELETED}' and not _is_record")
        # Of the events of a current state, those that are written have won.
        stays = state.in_force(contract) + ("" if state.is_historic(contract) else " and _is_written")
        gone = (
            lacked.join(classified.where(stays), list(contract.keys), "left_anti")
            .select(*contract.keys)
            .distinct()
            .count()
        )
        if gone >= MISSING_AT_LEAST:
            rows = here.count()
            share = round(100 * gone / max(rows, 1), 2)
    is_cut = share > contract.max_missing_percent
    if is_cut:
        description = (
            f"{description} {gone} of {rows} rows are missing: land the other files of that day, "
            f"or a whole snapshot. Are the rows meant to go, `lakehouse batch release {contract.table} {batch} --note …`."
        )
    return CheckResult(
        table=contract.table,
        name=SNAPSHOT_COMPLETE,
        kind="pipeline",
        dimension=dimension,
        outcome="fail" if is_cut else "pass",
        value=share,
        threshold=f"<= {contract.max_missing_percent:g} %",
        description=description,
        batch=batch,
        severity="error",
    )


def samples(parsed: DataFrame, contract: Contract) -> Samples:
    """A few of the records that are refused, masked, by the check that they break."""
    reasons = "if(_unreadable is not null, array('quarantine_rate'), _violations)"
    rows = (
        parsed.where(f"_refused is not null and not (_unreadable <=> '{BATCH_REJECTED}')")
        .selectExpr(
            f"explode({reasons}) as rule",
            f"left({masked_record(contract, '_record', '_refused')}, 300) as record",
            "_file as file",
            "_position as position",
            "coalesce(_unreadable, array_join(_violations, ', ')) as reasons",
        )
        .selectExpr("*", "row_number() over (partition by rule order by file, position) as nth")
        .where(f"nth <= {SAMPLES_PER_CHECK}")
        .collect()
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["rule"], []).append(
            {"file": row["file"], "position": row["position"], "reasons": row["reasons"], "record": row["record"]}
        )
    return found
