"""Maintenance as assets, on a schedule: small files put together, files that no version in use needs removed, and records,
results and logs that are older than they are to be kept."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from lakehouse.automation.tidy import tidy
from lakehouse.bronze.assets import owners
from lakehouse.bronze.steps import TRANSIENT, step
from lakehouse.contracts.model import Contract
from lakehouse.engine.resource import Engine
from lakehouse.gold import project as dbt
from lakehouse.gold import release as releases
from lakehouse.gold.assets import GOLD_POOL, gold_schema
from lakehouse.gold.retention import commit_times, hours_kept, kept
from lakehouse.quality import profiling, results
from lakehouse.settings import Settings, settings
from lakehouse.silver import retention
from lakehouse.storage import maintain, tables

GROUP = "maintenance"
SCHEDULE = "30 4 * * 0"
"""Sundays, after the nightly runs and before the week's. UTC."""
_Upkept = dict[str, tuple[str, ...] | None]
"""Table → the columns to lay its rows out by (none: as they come); None for one that its own builds compact."""
_Expired = dict[str, int]
"""Table → rows that were removed from it, because they are older than they are to be kept."""


def maintenance_assets(contracts: Mapping[str, Contract], config: Settings) -> list[dg.AssetsDefinition]:
    """`maintenance/<table>` for bronze and silver of each contract, `maintenance/ops`, `maintenance/gold`, and
    `maintenance/home` for what runs leave beside tables."""
    found = [_of_contract(contract) for contract in contracts.values()]
    found.append(
        _asset(
            "ops",
            None,
            "the product's own tables (`ops`)",
            lambda spark: _of_schema(spark, "ops"),
            lambda spark, here: {
                results.CHECK_RESULTS: results.expire(spark, here.checks_kept_days),
                profiling.PROFILES: profiling.expire(spark),
            },
        )
    )
    found.append(_home_asset())
    marts = dbt.buildable_marts(config, contracts)
    if marts:
        schema = gold_schema(next(iter(marts.values())))
        names = sorted(f"{schema}.{name}" for name in marts)
        found.append(
            _asset(
                "gold",
                GOLD_POOL,
                "gold; its builds put small files together",
                lambda _: dict.fromkeys(names),
                owned_by=sorted({owner for mart in marts.values() for owner in dbt.owners(mart)}),
            )
        )
    return found


def maintenance_schedule() -> dg.ScheduleDefinition:
    """Every week, from the first start of the daemon on."""
    job = dg.define_asset_job(
        "maintain", selection=dg.AssetSelection.groups(GROUP), description="Put small files together, remove old ones."
    )
    return dg.ScheduleDefinition(
        name="maintain_weekly",
        job=job,
        cron_schedule=SCHEDULE,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Each week, before it begins: small files are put together, and what is older than it is to be kept goes.",
    )


def _of_contract(contract: Contract) -> dg.AssetsDefinition:
    # Who looks for a key reads few files of the state: rows are laid out by it. The rest is read whole, or by batch.
    upkept: _Upkept = {
        contract.bronze_table: (),
        contract.state_table: tuple(contract.keys),
        contract.quarantine_table: (),
        contract.resolutions_table: (),
    }
    return _asset(
        contract.table,
        f"silver_{contract.table}",
        f"bronze and silver of {contract.title}",
        lambda _: upkept,
        lambda spark, _: retention.expire(spark, contract, datetime.now(UTC).date()),
        owners(contract),
    )


def _of_schema(spark: Any, schema: str) -> _Upkept:
    if not spark.catalog.databaseExists(schema):
        return {}
    rows = spark.sql(f"show tables in {schema}").where("not isTemporary").select("tableName").collect()
    return {f"{schema}.{row[0]}": () for row in rows}


def _nothing(_: Any, __: Settings) -> _Expired:
    return {}


def _asset(
    name: str,
    pool: str | None,
    of: str,
    upkept: Callable[[Any], _Upkept],
    expire: Callable[[Any, Settings], _Expired] = _nothing,
    owned_by: Sequence[str] = (),
) -> dg.AssetsDefinition:
    @dg.asset(
        key=["maintenance", name],
        group_name=GROUP,
        kinds={"spark", "delta"},
        owners=owned_by,
        description=f"Upkeep of {of}: rows older than they are to be kept are removed, small files are put together, and files "
        "that no version in use needs are removed. Each materialization says how many there were, and are.",
        pool=pool,
        retry_policy=TRANSIENT,
    )
    def _maintenance(context: dg.AssetExecutionContext, engine: Engine) -> dg.MaterializeResult[Any]:
        here, started = settings(), time.time()
        with step(engine, here) as now:
            expired = expire(now.session, here)
            told = list(_kept_up(now.session, here, upkept(now.session), expired, context))
        return _said(told, "table", _COLUMNS, started)

    return _maintenance


def _home_asset() -> dg.AssetsDefinition:
    @dg.asset(
        key=["maintenance", "home"],
        group_name=GROUP,
        kinds={"file"},
        description="What runs leave beside tables: logs, what dbt compiled, notes of backfills. What is older than "
        "LAKEHOUSE_LOGS_KEPT_DAYS is removed; which partitions were materialized, and when, stays known.",
        pool=GOLD_POOL,  # a build of gold writes one of the folders
    )
    def _home(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        started = time.time()
        told = [
            {
                "part": of.part,
                "files_before": of.files + of.files_removed,
                "files_after": of.files,
                "megabytes": round(of.bytes / 1e6, 3),
                "megabytes_freed": round(of.bytes_removed / 1e6, 3),
            }
            for of in tidy(settings(), context.instance, started)
        ]
        return _said(told, "part", _COLUMNS[:-1], started)

    return _home


def _said(
    told: Sequence[Mapping[str, Any]], of: str, columns: Sequence[str], started: float
) -> dg.MaterializeResult[Any]:
    """The totals, which Dagster plots over time, and a row for each."""
    shown = [dg.TableColumn(name, "float" if "megabytes" in name else "int") for name in columns]
    return dg.MaterializeResult(
        metadata={
            **{column: sum(row[column] or 0 for row in told) for column in columns},
            "seconds": round(time.time() - started, 1),
            "tables": dg.MetadataValue.table(
                [dg.TableRecord(dict(row)) for row in told], dg.TableSchema([dg.TableColumn(of), *shown])
            ),
        }
    )


_COLUMNS = ("files_before", "files_after", "megabytes", "megabytes_freed", "rows_removed")


def _kept_up(
    spark: Any, here: Settings, upkept: _Upkept, expired: _Expired, context: dg.AssetExecutionContext
) -> Iterator[dict[str, Any]]:
    """One row a table that exists: what was done to it."""
    for table, keys in upkept.items():
        if not tables.exists(spark, table):
            continue
        before = maintain.layout(spark, table)
        after = before if keys is None else maintain.compact(spark, table, keys)
        hours = maintain.LEAST_HOURS if keys is not None else _gold_hours(spark, here, table)
        freed = 0
        if hours is None:
            context.log.warning(
                f"{table}: nothing is removed, for its log no longer tells since when a release in use differs from it."
            )
        else:
            stored = maintain.folder_bytes(here.storage_dir, table)
            maintain.vacuum(spark, table, hours)
            # A log written meanwhile may be more than what was removed.
            freed = max(0, (stored or 0) - (maintain.folder_bytes(here.storage_dir, table) or 0))
        context.log.info(f"{table}: {before.files} → {after.files} files, {freed / 1e6:.1f} MB removed")
        yield {
            "table": table,
            "files_before": before.files,
            "files_after": after.files,
            "megabytes": round(after.bytes / 1e6, 3),
            "megabytes_freed": round(freed / 1e6, 3),
            "rows_removed": expired.get(table, 0),
        }


def _gold_hours(spark: Any, here: Settings, table: str) -> int | None:
    """For how long removed files of a gold table stay, so that every release in use can be read."""
    now = datetime.now(UTC)
    name = table.split(".")[1]
    in_use = kept(releases.events(spark), now, here.releases_kept_days)
    versions = [event.gold_versions[name] for event in in_use if name in event.gold_versions]
    times = commit_times(spark, table)
    return hours_kept(min(versions, default=max(times)), times, now)


def upkeep_keys(assets: Sequence[Any]) -> list[dg.AssetKey]:
    """The keys of the assets of this module among those of a graph."""
    return sorted(node.key for node in assets if node.group_name == GROUP and node.is_materializable)
