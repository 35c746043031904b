"""Jobs by cadence, from the contracts, and the schedules that start them."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import dagster as dg

from lakehouse.bronze.partitions import floor
from lakehouse.contracts.model import Cadence, Contract, Partition

CRONS: dict[Cadence, str] = {"hourly": "5 * * * *", "daily": "20 2 * * *", "weekly": "40 3 * * 1"}
"""Past the hour, so that the hour's last file is there; the longer cadences at night, apart from each other. UTC."""


def bronze_job_name(contract: Contract) -> str:
    return f"ingest_{contract.table}"


def jobs(contracts: Mapping[str, Contract]) -> list[Any]:
    """`ingest_<table>` for each table (its arrival periods), `publish_<cadence>` (silver, then gold and the release)."""
    found = [
        dg.define_asset_job(
            bronze_job_name(contract),
            selection=dg.AssetSelection.assets(["bronze", contract.table]),
            description=f"Take what has landed for {contract.title} into bronze.",
            tags={"cadence": contract.cadence or "by hand"},
        )
        for contract in contracts.values()
    ]
    for cadence in CRONS:
        tables = [["silver", c.table] for c in contracts.values() if c.cadence == cadence]
        if tables:
            found.append(
                dg.define_asset_job(
                    f"publish_{cadence}",
                    selection=dg.AssetSelection.assets(*tables).required_multi_asset_neighbors()
                    | dg.AssetSelection.groups("staging", "gold", "serving"),
                    description=f"Refine the {cadence} tables, build gold on them and release it.",
                    tags={"cadence": cadence},
                )
            )
    return found


def bronze_schedule(contract: Contract, job: Any, start: date) -> dg.ScheduleDefinition | None:
    """Starts `ingest_<table>` by the contract's cadence, for the arrival period that is running and the one before it:
    what landed just before midnight belongs to yesterday."""
    if contract.cadence is None:
        return None
    cron = CRONS[contract.cadence]
    if contract.partition is None:
        return dg.ScheduleDefinition(
            name=f"{job.name}_{contract.cadence}", job=job, cron_schedule=cron, execution_timezone="UTC"
        )
    partition = contract.partition

    @dg.schedule(name=f"{job.name}_{contract.cadence}", job=job, cron_schedule=cron, execution_timezone="UTC")
    def _schedule(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
        now = context.scheduled_execution_time
        current = floor(now.date(), partition)
        before = floor(current - timedelta(days=1), partition)
        return [
            dg.RunRequest(run_key=f"{now.isoformat()}:{day.isoformat()}", partition_key=day.isoformat())
            for day in (before, current)
            if day >= start
        ]

    return _schedule


def schedules(
    contracts: Mapping[str, Contract], all_jobs: Sequence[Any], starts: Mapping[Partition | None, date]
) -> list[dg.ScheduleDefinition]:
    """A schedule for every job that has a cadence. They are off until somebody turns them on in the UI."""
    by_name = {job.name: job for job in all_jobs}
    found = [bronze_schedule(c, by_name[bronze_job_name(c)], starts[c.partition]) for c in contracts.values()]
    for cadence, cron in CRONS.items():
        job = by_name.get(f"publish_{cadence}")
        if job is not None:
            later = cron.split()
            later[0] = str(int(later[0]) + 10)  # after the ingestion of the same cadence
            found.append(
                dg.ScheduleDefinition(
                    name=f"publish_{cadence}_schedule", job=job, cron_schedule=" ".join(later), execution_timezone="UTC"
                )
            )
    return [schedule for schedule in found if schedule is not None]
