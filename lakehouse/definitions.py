"""The one place where everything meets: contracts in, Dagster definitions out."""

import dagster as dg

from lakehouse.automation.schedules import jobs, schedules
from lakehouse.bronze.assets import bronze_assets
from lakehouse.contracts.loader import load_all
from lakehouse.engine.resource import Engine
from lakehouse.gold.assets import dbt_resource, gold_assets
from lakehouse.settings import PROJECT, Settings, settings
from lakehouse.silver.assets import silver_assets


def build(config: Settings) -> dg.Definitions:
    """Definitions for these settings. Starts no engine; reads the contracts, the dbt manifest (made by `dbt parse` where
    it is missing or stale) and the names of the arrival days in landing."""
    contracts = load_all(config)
    all_jobs = jobs(contracts)
    assets = [
        *bronze_assets(list(contracts.values()), config),
        *silver_assets(list(contracts.values())),
        *gold_assets(contracts, config),
    ]
    return dg.Definitions(
        assets=dg.with_source_code_references(assets)
        if (PROJECT / "workspace.yaml").exists()
        else assets,
        jobs=all_jobs,
        schedules=schedules(contracts, all_jobs),
        resources={"engine": Engine(), "dbt_cli": dbt_resource(config)},
        # Small steps of one shared engine: a process each would cost more than the work itself.
        executor=dg.in_process_executor,
    )


defs = build(settings())
