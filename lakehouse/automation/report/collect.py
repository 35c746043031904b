"""Reads what the report shows: a query or two for each ops table and one for all quarantines, however many tables there are."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import Row, SparkSession

from lakehouse.automation.report import lineage
from lakehouse.automation.report.data import (
    Arrival,
    Batch,
    Check,
    Decided,
    Evaluation,
    Ledger,
    Model,
    Quarantine,
    Reason,
    ReportData,
    Sample,
    Table,
)
from lakehouse.bronze.taken import FILES
from lakehouse.contracts.model import Contract
from lakehouse.gold import checks as dbt_checks
from lakehouse.gold import project, release
from lakehouse.gold.lineage import Lineage
from lakehouse.gold.serving import mask_of
from lakehouse.quality.audit import ANOMALIES, QUALITY_SCORE, check_names
from lakehouse.quality.results import CHECK_RESULTS
from lakehouse.silver.decisions import DECISIONS
from lakehouse.silver.fold import DISPOSITIONS
from lakehouse.silver.ledger import BATCHES, REFUSED, REPLAY
from lakehouse.silver.quarantine import DISMISSED
from lakehouse.storage import tables
from lakehouse.storage.tables import literal, quote

EVALUATIONS = 60
"""So many evaluations of a check are shown."""
SCORES = 400
"""So many batches' scores, and looks for anomalies: a year of days, and some."""
RECENT = 20
"""So many batches, and decisions, of a table."""
SAMPLES = 5
_SAMPLE_LENGTH = 400
_Results = Mapping[tuple[str, str], Sequence[Row]]


def collect(
    spark: SparkSession,
    contracts: dict[str, Contract],
    target: str,
    manifest: Mapping[str, Any] | None = None,
    traced: Mapping[str, Lineage] | None = None,
) -> ReportData:
    """All that the report shows of these contracts, and of gold. Tables that do not exist yet count as empty.

    `manifest`: of dbt's project; without it no model is shown. `traced`: the lineage of its models' columns.
    """
    manifest = manifest or {}
    results = _results(spark)
    ledgers = _ledgers(spark)
    arrivals = _arrivals(spark)
    decisions = _decisions(spark)
    quarantines = _quarantines(spark, contracts)
    readers = lineage.readers(contracts, manifest, traced or {})
    return ReportData(
        at=datetime.now(UTC),
        target=target,
        tables=tuple(
            Table(
                contract=contract,
                checks=_checks(contract, results),
                ledger=ledgers.get(table),
                quarantine=quarantines.get(table, Quarantine()),
                arrivals=tuple(arrivals.get(table, ())),
                measured_scores=tuple(
                    (row["evaluated_at"].astimezone(UTC), 100 * row["value"])
                    for row in results.get((table, QUALITY_SCORE), ())
                    if row["value"] is not None
                ),
                anomalies=tuple(_evaluation(row) for row in results.get((table, ANOMALIES), ())),
                decisions=tuple(decisions.get(table, ())),
                readers={column: made for (of, column), made in readers.items() if of == table},
            )
            for table, contract in ((contract.table, contract) for contract in contracts.values())
        ),
        releases=tuple(release.events(spark)),
        models=_models(contracts, manifest, results),
        lineage=lineage.graph(contracts.values(), manifest),
    )


def _rows(spark: SparkSession, table: str, query: str) -> list[Row]:
    return spark.sql(query).collect() if tables.exists(spark, table) else []


def _utc(moment: datetime | None) -> datetime | None:
    """Spark hands out naive times in the time zone of the process."""
    return moment.astimezone(UTC) if moment else None


def _results(spark: SparkSession) -> _Results:
    """(table, check) → its newest results, oldest first, whoever asks for the check now."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in _rows(
        spark,
        CHECK_RESULTS,
        f"""select * from (
            select *, row_number() over (
                partition by table_name, check_name order by evaluated_at desc, batch desc) as nth
            from {CHECK_RESULTS})
        where nth <= if(check_name in ('{QUALITY_SCORE}', '{ANOMALIES}'), {SCORES}, {EVALUATIONS})
        order by evaluated_at, batch""",
    ):
        found.setdefault((row["table_name"], row["check_name"]), []).append(row)
    return found


def _evaluation(row: Row) -> Evaluation:
    return Evaluation(
        at=row["evaluated_at"].astimezone(UTC),
        outcome=row["outcome"],
        value=row["value"],
        threshold=row["threshold"],
        batch=row["batch"],
        message=row["message"] or "",
        contract_version=row["contract_version"] or "",
    )


def _checks(contract: Contract, results: _Results) -> tuple[Check, ...]:
    """Every check that a contract asks for now. Results of a check that it no longer has are left out."""
    return tuple(
        _check(name, dimension, description, is_blocking, results.get((contract.table, name), ())[-EVALUATIONS:])
        for name, (description, dimension, is_blocking) in check_names(contract).items()
    )


def _check(name: str, dimension: str, description: str, is_blocking: bool, rows: Sequence[Row]) -> Check:
    return Check(
        name=name,
        dimension=dimension,
        description=description,
        is_blocking=is_blocking,
        kind=rows[-1]["kind"] if rows else "",
        column=rows[-1]["column_name"] if rows else None,
        history=tuple(_evaluation(row) for row in rows),
    )


def _models(contracts: dict[str, Contract], manifest: Mapping[str, Any], results: _Results) -> tuple[Model, ...]:
    """The models that are built, those that readers read first, with every test that the project has now."""
    tests: dict[str, list[dbt_checks.DataTest]] = {}
    for test in dbt_checks.data_tests(manifest).values():
        tests.setdefault(test.model, []).append(test)
    found = []
    for key, node in lineage.models(manifest, contracts).items():
        relation = f"{node['schema']}.{node['alias']}"
        checks = [
            _check(
                test.name, test.dimension, test.description, test.is_blocking, results.get((relation, test.name), ())
            )
            for test in tests.get(key, ())
        ]
        columns = [
            (name, column.get("data_type") or "", _flat(column["description"]), mask_of(name, node, contracts) or "")
            for name, column in node["columns"].items()
        ]
        found.append(
            Model(
                checks=tuple(checks),
                unique_id=key,
                relation=relation,
                layer=lineage.layer(node),
                description=_flat(node["description"]),
                owners=project.owners(node),
                kind=node["config"]["materialized"],
                columns=tuple(columns),
            )
        )
    order = {"gold": 0, "intermediate": 1, "staging": 2}
    return tuple(sorted(found, key=lambda model: (order.get(model.layer, 1), model.relation)))


def _flat(text: str) -> str:
    return " ".join(text.split())


def _decisions(spark: SparkSession) -> dict[str, list[Decided]]:
    found: dict[str, list[Decided]] = {}
    for row in _rows(
        spark,
        DECISIONS,
        f"""select * from (
            select *, row_number() over (partition by table_name order by decided_at desc) as nth from {DECISIONS})
        where nth <= {RECENT}
        order by decided_at desc""",
    ):
        at = row["decided_at"].astimezone(UTC)
        made = Decided(row["batch"], row["decision"], row["note"], row["made_by"], at)
        found.setdefault(row["table_name"], []).append(made)
    return found


def _ledgers(spark: SparkSession) -> dict[str, Ledger]:
    """The ledger of each table since its last rebuild (`since` is null), which takes every record again. A replay gives
    records that landed before another disposition: they count by the one that they have now.

    Two processes that heal the ledger at once may write a row twice: hence `distinct`.
    """
    left = {name: f" - sum(coalesce(was_{name}, 0))" for name in REFUSED}
    sums = ", ".join(f"sum({quote(name)}){left.get(name, '')} as {quote(name)}" for name in DISPOSITIONS)
    counted = f"""select table_name, count_if(kind is distinct from '{REPLAY}') as batches,
            sum(if(kind is distinct from '{REPLAY}', landed, 0)) as landed, {sums}
        from (
            select *, max(if(since is null, committed_at, null)) over (partition by table_name) as rebuilt_at
            from (select distinct * from {BATCHES}))
        where rebuilt_at is null or committed_at >= rebuilt_at
        group by table_name"""
    newest = f"""select * from (
            select *, row_number() over (partition by table_name order by committed_at desc, batch desc) as nth,
                row_number() over (partition by table_name order by committed_at, batch) as number_of_all
            from (select distinct * from {BATCHES}))
        where nth <= {RECENT}
        order by nth"""
    recent: dict[str, list[Batch]] = {}
    for row in _rows(spark, BATCHES, newest):
        recent.setdefault(row["table_name"], []).append(_batch(row))
    return {
        row["table_name"]: Ledger(
            batches=row["batches"],
            last=recent[row["table_name"]][0],
            total=Batch(row["landed"] or 0, _dispositions(row)),
            recent=tuple(recent[row["table_name"]]),
        )
        for row in _rows(spark, BATCHES, counted)
        if row["table_name"] in recent  # else its first batch came between the two queries
    }


def _batch(row: Row) -> Batch:
    kind = "rebuild" if row["since"] is None and row["number_of_all"] > 1 else "batch"
    return Batch(
        landed=row["landed"] or 0,
        counts=_dispositions(row),
        at=_utc(row["committed_at"]),
        seconds=row["seconds"],
        number=row["batch"],
        kind=REPLAY if row["kind"] == REPLAY else kind,
        contract_version=row["contract_version"] or "",
    )


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
            {int(contract.quarantine_warn.total_seconds())} as overdue,
            struct(left(record, {_SAMPLE_LENGTH}) as record, file, position, arrived_on) as sample
        from {contract.silver_table}__quarantine"""
        for contract, is_dismissed in shown
    ]
    if not queries:
        return {}
    grouped: dict[str, list[Row]] = {}
    for row in spark.sql(
        f"""select table_name, disposition, reasons, dismissed, count(*) as records, min(quarantined_at) as since,
            count_if(seconds < least(86400, overdue)) as new, count_if(seconds >= overdue) as overdue,
            max_by(sample, quarantined_at) as newest, min_by(sample, quarantined_at) as oldest
        from (
            select *, unix_timestamp() - unix_timestamp(quarantined_at) as seconds from ({" union all ".join(queries)}))
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
    oldest: dict[tuple[str, str], datetime] = {}
    for row in rows:
        for reason in row["reasons"] or [""]:
            key = row["disposition"], reason
            counts[key] += row["records"]
            oldest[key] = min(oldest.get(key, row["since"]), row["since"])
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
    records, new, overdue = (sum(row[name] for row in rows) for name in ("records", "new", "overdue"))
    return Quarantine(
        records=records,
        reasons=tuple(Reason(*key, number, _utc(oldest[key])) for key, number in counts.most_common()),
        samples=tuple(samples.values())[:SAMPLES],
        dismissed=sum(row["records"] for row in found if row["dismissed"]),
        new=new,
        overdue=overdue,
    )
