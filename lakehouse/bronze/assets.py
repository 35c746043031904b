"""One asset a bronze table, partitioned by arrival period."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import dagster as dg

from lakehouse.bronze.ingest import BRONZE, Ingested, ensure_tables, ingest, newest_batch
from lakehouse.bronze.landing import LandingError, landed_files, settled
from lakehouse.bronze.partitions import record_start, start_of
from lakehouse.bronze.steps import TRANSIENT, step
from lakehouse.bronze.taken import NAMED_AT_MOST
from lakehouse.contracts.model import Contract, Partition
from lakehouse.engine.resource import Engine
from lakehouse.settings import Settings, settings


class BronzeConfig(dg.Config):
    """Run configuration of a bronze asset."""

    refresh: bool = False
    """Take every file of the period again, in place of what was taken: for files rewritten at their source."""


def partitions_of(contract: Contract, start: date) -> dg.PartitionsDefinition | None:
    """Arrival periods up to and with the one that is running."""
    if contract.partition == "daily":
        return dg.DailyPartitionsDefinition(start_date=start.isoformat(), end_offset=1)
    if contract.partition == "weekly":
        return dg.WeeklyPartitionsDefinition(start_date=start.isoformat(), end_offset=1, day_offset=1)
    if contract.partition == "monthly":
        return dg.MonthlyPartitionsDefinition(start_date=start.isoformat(), end_offset=1)
    return None


def owners(contract: Contract) -> list[str]:
    return [contract.owner] if "@" in contract.owner else [f"team:{contract.owner}"]


def contract_reference(contract: Contract) -> dict[str, Any]:
    """Metadata that links an asset to the file that it is derived from."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        reference = dg.LocalFileCodeReference(
            file_path=str(contract.file), line_number=contract.line, label=contract.file.name
        )
        return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[reference])}


def table_schema(
    columns: Sequence[tuple[str, str, str]], tags: dict[str, dict[str, str]] | None = None
) -> dg.TableSchema:
    """(name, type, description) → Dagster's column schema."""
    return dg.TableSchema(
        [dg.TableColumn(name, kind, text, tags=(tags or {}).get(name)) for name, kind, text in columns]
    )


def asset_tags(contract: Contract) -> dict[str, str]:
    return {
        "source": contract.source,
        "delivery": contract.delivery,
        **({"domain": contract.domain} if contract.domain else {}),
    }


FILES_KEPT = "files_not_rewritten"
_SAID_OF_FILES = {
    "ignore": "No file in landing is rewritten after it was taken. Warns once a file: what was taken of it stays.",
    "re-ingest": "No file in landing is rewritten after it was taken. Warns where the records of one were replaced.",
    "fail": "No file in landing is rewritten after it was taken; else nothing is taken until somebody decides.",
}


def bronze_asset(contract: Contract, start: date) -> dg.AssetsDefinition:
    """The asset `bronze/<table>`: takes the files of its arrival periods, from `start` on, not taken yet."""

    @dg.asset(
        key=["bronze", contract.table],
        deps=[dg.AssetKey(key.split("/")) for key in contract.after],
        group_name="bronze",
        kinds={"spark", "delta", contract.format},
        owners=owners(contract),
        tags=asset_tags(contract),
        description=f"Raw history of {contract.title}: every record that arrived, untouched. One row per record.",
        partitions_def=partitions_of(contract, start),
        backfill_policy=dg.BackfillPolicy.single_run() if contract.partition else None,
        pool=f"bronze_{contract.table}",
        check_specs=[
            dg.AssetCheckSpec(
                FILES_KEPT,
                asset=["bronze", contract.table],
                description=_SAID_OF_FILES[contract.rewritten_files],
                metadata={"dimension": "consistency"},
            )
        ],
        retry_policy=TRANSIENT,
        code_version=contract.version,
        metadata={
            "dagster/column_schema": table_schema([(f.name, f.type, f.comment) for f in BRONZE]),
            "dagster/table_name": contract.bronze_table,
            "dagster/storage_kind": "delta",
            "contract": dg.MetadataValue.text(contract.id),
            **contract_reference(contract),
        },
    )
    def _bronze(
        context: dg.AssetExecutionContext, config: BronzeConfig, engine: Engine
    ) -> Iterator[dg.MaterializeResult[Any]]:
        here = settings()
        period = None
        if context.has_partition_key or context.has_partition_key_range:
            window = context.partition_time_window
            period = (window.start.date(), window.end.date())
        with step(engine, here) as now:
            try:
                yield _take(context, contract, here, now.session, period, config.refresh)
            except LandingError as problem:
                raise dg.Failure(str(problem), allow_retries=False) from problem

    return _bronze


def _take(
    context: dg.AssetExecutionContext,
    contract: Contract,
    here: Settings,
    spark: Any,
    period: tuple[date, date] | None,
    refresh: bool,
) -> dg.MaterializeResult[Any]:
    ensure_tables(spark, here.storage_dir, contract)
    landed = landed_files(here.landing_dir, contract, spark, period)
    files = settled(here.landing_dir, landed, here.landing_settle_seconds)
    if refresh and len(files) < len(landed):
        missing = ", ".join(sorted(file.path for file in set(landed) - set(files))[:NAMED_AT_MOST])
        raise LandingError(
            f"{contract.bronze_table}: files of the period are still being written ({missing}); without them a refresh "
            "would lose what was taken of them. Run it again when they are whole."
        )
    if len(files) < len(landed):
        context.log.info(f"{len(landed) - len(files)} file(s) are still being written; they wait for the next run")
    whole = period or (date(1, 1, 1), date(9999, 1, 1))
    taken = ingest(
        spark, here.landing_dir, here.storage_dir, contract, files, context.run_id, whole if refresh else None
    )
    if landed:
        record_start(here.home, contract.table, landed[0].arrived_on)
    context.log.info(f"{contract.bronze_table}: {taken.records} records of {taken.files} files taken")
    if contract.partition:
        for key, records in _by_partition(context, taken.records_by_day).items():
            context.add_asset_metadata({"dagster/partition_row_count": records}, partition_key=key)
    metadata: dict[str, Any] = {
        "files": taken.files,
        "megabytes": round(taken.bytes / 1e6, 3),
        "records_taken": taken.records,
        "batch": str(taken.batch or "none: nothing new"),
        "files_rewritten": taken.taken_again + len(taken.ignored),
    }
    if not contract.partition:
        metadata["dagster/row_count"] = int(spark.table(contract.bronze_table).count())
    return dg.MaterializeResult(
        metadata=metadata,
        check_results=[_files_kept(contract, taken)],
        # Where nothing was taken it is as before: what follows tells by it whether there is something new.
        data_version=dg.DataVersion(str(taken.batch or newest_batch(spark, contract))),
    )


def _files_kept(contract: Contract, taken: Ingested) -> dg.AssetCheckResult:
    """What the step did about files that were rewritten after they were taken."""
    said = _SAID_OF_FILES[contract.rewritten_files]
    if taken.taken_again:
        said = (
            f"{contract.bronze_table}: the records of {taken.taken_again} file(s) that were rewritten in landing have been "
            "replaced; silver folds the table anew."
        )
    elif taken.ignored:
        more = f" And {len(taken.ignored) - NAMED_AT_MOST} more." if len(taken.ignored) > NAMED_AT_MOST else ""
        said = (
            f"{contract.bronze_table}: {len(taken.ignored)} file(s) in landing were rewritten after they were taken, and "
            f"are ignored. {' '.join(taken.ignored[:NAMED_AT_MOST])}{more} Take them with `refresh` of the arrival day, or "
            "write `rewritten_files: re-ingest` into the contract."
        )
    count = taken.taken_again + len(taken.ignored)
    return dg.AssetCheckResult(
        check_name=FILES_KEPT,
        passed=not count,
        severity=dg.AssetCheckSeverity.WARN,
        description=said,
        metadata={"files": count, "dimension": "consistency"},
    )


def _by_partition(context: dg.AssetExecutionContext, by_day: dict[date, int]) -> dict[str, int]:
    """Partition key → records, for the partitions of this run that something arrived in."""
    definition = context.assets_def.partitions_def
    assert isinstance(definition, dg.TimeWindowPartitionsDefinition)
    counts: dict[str, int] = {}
    for key in context.partition_keys:
        window = definition.time_window_for_partition_key(key)
        days = (window.end.date() - window.start.date()) // timedelta(days=1)
        counts[key] = sum(by_day.get(window.start.date() + timedelta(days=n), 0) for n in range(days))
    return counts


def first_periods(contracts: Sequence[Contract], config: Settings) -> dict[Partition | None, date]:
    """Where the partitions of each grain begin: tables of one grain begin together, so that one run can take a stretch
    of all of them."""
    starts: dict[Partition | None, date] = {}
    for contract in contracts:
        start = start_of(contract, config.landing_dir, config.home)
        starts[contract.partition] = min(start, starts.get(contract.partition, start))
    return starts


def bronze_assets(contracts: Sequence[Contract], starts: Mapping[Partition | None, date]) -> list[dg.AssetsDefinition]:
    """One asset a contract; `starts` as `first_periods` gives it."""
    return [bronze_asset(contract, starts[contract.partition]) for contract in contracts]
