"""Jobs by cadence, from the contracts, and the schedules that start them."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg

from lakehouse.automation.runs import RANGE_END, RANGE_START
from lakehouse.bronze.partitions import floor, next_period
from lakehouse.contracts.model import Cadence, Contract, Partition, Timetable

CRONS: dict[Cadence, str] = {"hourly": "5 * * * *", "daily": "20 2 * * *", "weekly": "40 3 * * 1"}
"""Past the hour, so that the hour's last file is there; the longer cadences at night, apart from each other. In the time
zone of the contract, at the time of its own that it may say."""
_LENGTHS = {"hourly": timedelta(hours=1), "daily": timedelta(days=1), "weekly": timedelta(weeks=1)}
PUBLISHED_AFTER_MINUTES = 10
PERIODS_A_TICK = 31
"""Arrival periods that a schedule which catches up asks for at once; the tick after takes the next."""


def cron(cadence: Cadence, timetable: Timetable, later: int = 0) -> str:
    """When a schedule looks, `later` minutes after its time, in the timetable's zone."""
    minute, hour, *_, weekday = CRONS[cadence].split()
    if timetable.at is not None:
        hour, minute = timetable.at.split(":")
    if hour == "*":
        return f"{int(minute) + later} * * * *"
    total = int(hour) * 60 + int(minute) + later
    day = str((int(weekday) + total // 1440) % 7) if weekday != "*" else "*"
    return f"{total % 60} {total // 60 % 24} * * {day}"


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
    """Starts `ingest_<table>` by the contract's cadence and timetable. It asks for the arrival period that is running and
    the one before it: what landed just before midnight belongs to yesterday. One that catches up asks for all since the last
    that was materialized, in one run; any other passes over the times at which nobody was there to look."""
    if contract.cadence is None:
        return None
    cadence, timetable, partition = contract.cadence, contract.timetable, contract.partition

    @dg.schedule(
        name=f"{job.name}_{cadence}",
        job=job,
        cron_schedule=cron(cadence, timetable),
        execution_timezone=timetable.timezone,
        description=_described(contract),
    )
    def _schedule(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        # Arrival periods are those of UTC, wherever the clock stands that the schedule goes by.
        now = context.scheduled_execution_time.astimezone(UTC)
        if not timetable.catch_up and utc_now() - now > _LENGTHS[cadence]:
            return dg.SkipReason(
                f"Nobody was there to look at {now:%Y-%m-%d %H:%M} UTC, and the contract does not catch up."
            )
        if partition is None:
            return [dg.RunRequest(run_key=now.isoformat())]
        current = floor(now.date(), partition)
        if timetable.catch_up:
            first, last = missed(context.instance, contract, start, current)
            tags = {RANGE_START: first.isoformat(), RANGE_END: last.isoformat()}
            if first != last:
                return [dg.RunRequest(run_key=f"{now.isoformat()}:{first}:{last}", tags=tags)]
            return [dg.RunRequest(run_key=f"{now.isoformat()}:{first}", partition_key=first.isoformat())]
        before = floor(current - timedelta(days=1), partition)
        return [
            dg.RunRequest(run_key=f"{now.isoformat()}:{day.isoformat()}", partition_key=day.isoformat())
            for day in (before, current)
            if day >= start
        ]

    return _schedule


def utc_now() -> datetime:
    return datetime.now(UTC)


def _described(contract: Contract) -> str:
    asked = "every arrival period since the last taken" if contract.timetable.catch_up else "the running arrival period"
    asked += "" if contract.timetable.catch_up else " and the one before"
    asked = "what has landed" if contract.partition is None else asked
    return f"Asks for {asked} of {contract.title}."


def missed(instance: dg.DagsterInstance, contract: Contract, start: date, current: date) -> tuple[date, date]:
    """(first, last) of the arrival periods to ask for, of a table that has some: from the last materialized one on, which may
    have got files since, up to the running one; the oldest PERIODS_A_TICK of them."""
    partition = contract.partition
    assert partition is not None
    done = instance.get_materialized_partitions(dg.AssetKey(["bronze", contract.table]))
    known = [day for day in map(date.fromisoformat, done) if day <= current]
    first = last = max(known, default=min(start, current))
    for _ in range(PERIODS_A_TICK - 1):
        if last >= current:
            break
        last = next_period(last, partition)
    return first, last


def schedules(
    contracts: Mapping[str, Contract], all_jobs: Sequence[Any], starts: Mapping[Partition | None, date]
) -> list[dg.ScheduleDefinition]:
    """A schedule for every job that has a cadence; of a job that publishes, one for each timetable of its tables, after them.
    They are off until somebody turns them on in the UI."""
    by_name = {job.name: job for job in all_jobs}
    found = [bronze_schedule(c, by_name[bronze_job_name(c)], starts[c.partition]) for c in contracts.values()]
    for cadence in CRONS:
        times = {(c.timetable.timezone, c.timetable.at) for c in contracts.values() if c.cadence == cadence}
        for zone, at in sorted(times, key=str):
            found.append(
                dg.ScheduleDefinition(
                    name=_publish_name(cadence, zone, at),
                    job=by_name[f"publish_{cadence}"],
                    cron_schedule=cron(cadence, Timetable(timezone=zone, at=at), PUBLISHED_AFTER_MINUTES),
                    execution_timezone=zone,
                    description=f"Refines the {cadence} tables, builds gold on them and releases it.",
                )
            )
    return [schedule for schedule in found if schedule is not None]


def _publish_name(cadence: Cadence, zone: str, at: str | None) -> str:
    if (zone, at) == ("UTC", None):
        return f"publish_{cadence}_schedule"
    return re.sub(r"\W+", "_", f"publish_{cadence}_{zone}_{at or ''}".lower().replace(":", "")).strip("_")
