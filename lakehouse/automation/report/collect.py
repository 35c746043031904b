"""Reads what the report shows: one query for each ops table and one for all quarantines, however many tables there are."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import Row, SparkSession

from lakehouse.automation.report.data import (
    Arrival,
    Batch,
    Check,
    Evaluation,
    Ledger,
    Quarantine,
    Reason,
    ReportData,
    Sample,
    Table,
)
from lakehouse.bronze.taken import FILES
from lakehouse.contracts.model import Contract
from lakehouse.gold import release
from lakehouse.quality.audit import check_names
from lakehouse.quality.results import CHECK_RESULTS
from lakehouse.silver.fold import DISPOSITIONS
from lakehouse.silver.ledger import BATCHES, REFUSED, REPLAY
from lakehouse.silver.quarantine import DISMISSED
from lakehouse.storage import tables
from lakehouse.storage.tables import literal, quote

EVALUATIONS = 40
"""So many evaluations of a check are shown."""
SAMPLES = 5
_SAMPLE_LENGTH = 400


def collect(spark: SparkSession, contracts: dict[str, Contract], target: str) -> ReportData:
    """All that the report shows of these contracts, and of gold. Tables that do not exist yet count as empty."""
    checks = _checks(spark, contracts)
    ledgers = _ledgers(spark)
    arrivals = _arrivals(spark)
    quarantines = _quarantines(spark, contracts)
    return ReportData(
        at=datetime.now(UTC),
        target=target,
        tables=tuple(
            Table(
                contract=contract,
                checks=checks[contract.table],
                ledger=ledgers.get(contract.table),
                quarantine=quarantines.get(contract.table, Quarantine()),
                arrivals=tuple(arrivals.get(contract.table, ())),
            )
            for contract in contracts.values()
        ),
        releases=tuple(release.events(spark)),
    )


def _rows(spark: SparkSession, table: str, query: str) -> list[Row]:
    return spark.sql(query).collect() if tables.exists(spark, table) else []


def _utc(moment: datetime | None) -> datetime | None:
    """Spark hands out naive times in the time zone of the process."""
    return moment.astimezone(UTC) if moment else None


def _checks(spark: SparkSession, contracts: dict[str, Contract]) -> dict[str, tuple[Check, ...]]:
    """Every check that a contract asks for now. Results of a check that it no longer has are left out."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in _rows(
        spark,
        CHECK_RESULTS,
        f"""select table_name, check_name, kind, column_name, outcome, value, threshold, batch, evaluated_at
        from (
            select *, row_number() over (
                partition by table_name, check_name order by evaluated_at desc, batch desc) as nth
            from {CHECK_RESULTS})
        where nth <= {EVALUATIONS}
        order by evaluated_at, batch""",
    ):
        found.setdefault((row["table_name"], row["check_name"]), []).append(row)
    return {
        contract.table: tuple(
            _check(name, *facts, found.get((contract.table, name), [])) for name, facts in check_names(contract).items()
        )
        for contract in contracts.values()
    }


def _check(name: str, description: str, dimension: str, is_blocking: bool, rows: list[Row]) -> Check:
    return Check(
        name=name,
        dimension=dimension,
        description=description,
        is_blocking=is_blocking,
        kind=rows[-1]["kind"] if rows else "",
        column=rows[-1]["column_name"] if rows else None,
        history=tuple(
            Evaluation(
                row["evaluated_at"].astimezone(UTC), row["outcome"], row["value"], row["threshold"], row["batch"]
            )
            for row in rows
        ),
    )


def _ledgers(spark: SparkSession) -> dict[str, Ledger]:
    """The ledger of each table since its last rebuild (`since` is null), which takes every record again. A replay gives
    records that landed before another disposition: they count by the one that they have now.

    Two processes that heal the ledger at once may write a row twice: hence `distinct`.
    """
    left = {name: f" - sum(coalesce(was_{name}, 0))" for name in REFUSED}
    sums = ", ".join(f"sum({quote(name)}){left.get(name, '')} as {quote(name)}" for name in DISPOSITIONS)
    rows = _rows(
        spark,
        BATCHES,
        f"""select table_name, count_if(kind is distinct from '{REPLAY}') as batches,
            sum(if(kind is distinct from '{REPLAY}', landed, 0)) as landed, {sums},
            max_by(struct(*), committed_at) as last
        from (
            select *, max(if(since is null, committed_at, null)) over (partition by table_name) as rebuilt_at
            from (select distinct * from {BATCHES}))
        where rebuilt_at is null or committed_at >= rebuilt_at
        group by table_name""",
    )
    return {
        row["table_name"]: Ledger(
            batches=row["batches"],
            last=Batch(
                row["last"]["landed"] or 0,
                _dispositions(row["last"]),
                _utc(row["last"]["committed_at"]),
                row["last"]["seconds"],
            ),
            total=Batch(row["landed"] or 0, _dispositions(row)),
        )
        for row in rows
    }


def _dispositions(row: Any) -> dict[str, int]:
    return {name: row[name] or 0 for name in DISPOSITIONS}


def _arrivals(spark: SparkSession) -> dict[str, list[Arrival]]:
    """Files and records by arrival day; a file that was taken again counts once."""
    found: dict[str, list[Arrival]] = {}
    for row in _rows(
        spark,
        FILES,
        f"""select table_name, arrived_on, count(*) as files, sum(records) as records
        from (
            select table_name, file, max_by(arrived_on, batch) as arrived_on, max_by(records, batch) as records
            from {FILES}
            group by table_name, file)
        where arrived_on is not null
        group by table_name, arrived_on
        order by arrived_on""",
    ):
        found.setdefault(row["table_name"], []).append(Arrival(row["arrived_on"], row["files"], row["records"] or 0))
    return found


def _quarantines(spark: SparkSession, contracts: dict[str, Contract]) -> dict[str, Quarantine]:
    """Counts and samples, from the masked views alone: the tables under them hold personal data."""
    if not spark.catalog.databaseExists("silver"):
        return {}
    views = {row["viewName"] for row in spark.sql("show views in silver").collect()}
    shown = [
        (contract, _is_dismissed(spark, f"{contract.silver_table}__quarantine"))
        for contract in contracts.values()
        if f"{contract.table}__quarantine" in views
    ]
    queries = [
        f"""select {literal(contract.table)} as table_name, disposition, reasons, quarantined_at, {is_dismissed} as dismissed,
            struct(left(record, {_SAMPLE_LENGTH}) as record, file, position, arrived_on) as sample
        from {contract.silver_table}__quarantine"""
        for contract, is_dismissed in shown
    ]
    if not queries:
        return {}
    grouped: dict[str, list[Row]] = {}
    for row in spark.sql(
        f"""select table_name, disposition, reasons, dismissed, count(*) as records,
            max_by(sample, quarantined_at) as newest, min_by(sample, quarantined_at) as oldest
        from ({" union all ".join(queries)})
        group by table_name, disposition, reasons, dismissed
        order by records desc, disposition, reasons"""
    ).collect():
        grouped.setdefault(row["table_name"], []).append(row)
    return {table: _quarantine(rows) for table, rows in grouped.items()}


def _is_dismissed(spark: SparkSession, view: str) -> str:
    """SQL: whether a record was given up. A view from before decisions could be made is made anew by its next batch."""
    return f"status = '{DISMISSED}'" if "status" in spark.table(view).columns else "false"


def _quarantine(found: list[Row]) -> Quarantine:
    rows = [row for row in found if not row["dismissed"]]
    counts: Counter[tuple[str, str]] = Counter()
    for row in rows:
        for reason in row["reasons"] or [""]:
            counts[row["disposition"], reason] += row["records"]
    samples: dict[tuple[str, int], Sample] = {}
    for which in ("newest", "oldest"):  # first one of every kind, then a second one of each
        for row in rows:
            seen = row[which]
            samples.setdefault(
                (seen["file"], seen["position"]),
                Sample(
                    disposition=row["disposition"],
                    reasons=tuple(row["reasons"] or ()),
                    record=seen["record"] or "",
                    file=seen["file"],
                    position=seen["position"],
                    arrived_on=seen["arrived_on"],
                ),
            )
    return Quarantine(
        records=sum(row["records"] for row in rows),
        reasons=tuple(Reason(*key, records) for key, records in counts.most_common()),
        samples=tuple(samples.values())[:SAMPLES],
        dismissed=sum(row["records"] for row in found if row["dismissed"]),
    )
