"""Arrival periods: which day, week or month of arrival is a partition, and where a table's partitions begin."""

import json
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from lakehouse.bronze.landing import first_day
from lakehouse.contracts.model import Contract, Partition


def floor(day: date, partition: Partition) -> date:
    """The first day of the period that `day` falls in; weeks begin on Monday."""
    if partition == "weekly":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if partition == "monthly" else day


def next_period(start: date, partition: Partition) -> date:
    """The first day of the period after the one that begins on `start`."""
    if partition == "daily":
        return start + timedelta(days=1)
    if partition == "weekly":
        return start + timedelta(days=7)
    return (start.replace(day=28) + timedelta(days=4)).replace(day=1)


def _record(home: Path) -> Path:
    return home / "partitions.json"


def recorded_starts(home: Path) -> dict[str, date]:
    """table → the first arrival day ever taken. Kept, because landing is cleaned up some day and bronze is not."""
    path = _record(home)
    if not path.exists():
        return {}
    return {table: date.fromisoformat(day) for table, day in json.loads(path.read_text()).items()}


def record_start(home: Path, table: str, day: date) -> None:
    """Remembers the first arrival day of a table; an earlier one replaces it. Idempotent."""
    known = recorded_starts(home)
    if table in known and known[table] <= day:
        return
    known[table] = day
    home.mkdir(parents=True, exist_ok=True)
    unfinished = _record(home).with_suffix(f".{os.getpid()}.tmp")
    unfinished.write_text(json.dumps({name: value.isoformat() for name, value in sorted(known.items())}, indent=1))
    unfinished.replace(_record(home))


def start_of(contract: Contract, landing: str, home: Path, today: date | None = None) -> date:
    """Where the table's partitions begin: the contract's `start`, else the first arrival day, else today."""
    today = today or datetime.now(UTC).date()
    days = [contract.start, recorded_starts(home).get(contract.table), first_day(landing, contract)]
    start = min((day for day in days if day), default=today)
    return floor(start, contract.partition) if contract.partition else start


def periods(days: list[date], partition: Partition) -> list[tuple[date, date]]:
    """Contiguous runs of periods that cover `days`: (first day of the first period, first day of the last period)."""
    starts = sorted({floor(day, partition) for day in days})
    runs: list[tuple[date, date]] = []
    for start in starts:
        if runs and next_period(runs[-1][1], partition) == start:
            runs[-1] = (runs[-1][0], start)
        else:
            runs.append((start, start))
    return runs
