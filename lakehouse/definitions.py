"""The one place where everything meets: contracts in, Dagster definitions out."""

import warnings
from collections.abc import Sequence
from typing import Any

import dagster as dg

from lakehouse.automation.ageing import quarantine_ageing
from lakehouse.automation.alerts.sensor import alerts
from lakehouse.automation.conditions import follow_up, with_conditions
from lakehouse.automation.maintenance import maintenance_assets, maintenance_schedule
from lakehouse.automation.pools import wait_asleep
from lakehouse.automation.run_processes import begin_loaded
from lakehouse.automation.schedules import jobs, schedules
from lakehouse.automation.sensors import pending_work
from lakehouse.automation.sources import after_assets, source_health
from lakehouse.bronze.assets import bronze_assets, first_periods
from lakehouse.contracts.loader import load_all
from lakehouse.engine.resource import Engine
from lakehouse.gold.assets import dbt_resource, gold_assets
from lakehouse.settings import Settings, settings
from lakehouse.silver.assets import silver_assets


def build(config: Settings) -> dg.Definitions:
    """Definitions for these settings. Starts no engine; reads the contracts, the dbt manifest (made by `dbt parse` where
    it is missing or stale) and the names of the arrival days in landing."""
    wait_asleep()
    begin_loaded()
    contracts = load_all(config)
    starts = first_periods(list(contracts.values()), config)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # backfill policies and links to code: once an asset
        assets: Sequence[Any] = [
            *bronze_assets(list(contracts.values()), starts),
            *silver_assets(list(contracts.values())),
            *gold_assets(contracts, config),
            *maintenance_assets(contracts, config),
        ]
        assets = with_conditions(dg.with_source_code_references(assets), contracts, config)
    all_jobs = jobs(contracts)
    return dg.Definitions(
        assets=[*assets, *after_assets(contracts.values())],
        jobs=all_jobs,
        sensors=[pending_work, follow_up(), *source_health(contracts), quarantine_ageing, alerts],
        schedules=[*schedules(contracts, all_jobs, starts), maintenance_schedule()],
        resources={"engine": Engine(), "dbt_cli": dbt_resource(config)},
        # Small steps of one shared engine: a process each would cost more than the work itself.
        executor=dg.in_process_executor,
    )


defs = build(settings())
