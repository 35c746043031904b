"""Backfills: the runs that materialize a stretch of days, and which of them a command that was killed had done."""

import hashlib
import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg

from lakehouse.automation.pending import Stretch
from lakehouse.automation.runs import RANGE_END, RANGE_START, Planned, bronze_run, gold_run, silver_run
from lakehouse.bronze.partitions import floor, next_period
from lakehouse.contracts.model import Contract, Partition


class BackfillError(Exception):
    """A backfill that cannot be planned; the message says what to ask for instead."""


@dataclass(frozen=True)
class Backfill:
    """What is asked for: tables, for days of arrival, or gold, for days of events. Both days are included."""

    tables: tuple[str, ...]
    """None: gold."""
    first: date
    last: date
    refresh: bool = False
    """Take again what was taken, in place of it."""
    periods_a_run: int = 31
    has_downstream: bool = True

    def builds_gold(self, read_by_gold: Collection[str]) -> bool:
        """Whether gold is asked for, or follows from a table that it reads."""
        return not self.tables or (self.has_downstream and not set(self.tables).isdisjoint(read_by_gold))


def plan_backfill(
    asked: Backfill,
    contracts: Mapping[str, Contract],
    starts: Mapping[Partition | None, date],
    today: date,
    repository: dg.RepositoryDefinition | Any,
    read_by_gold: Collection[str],
) -> list[Planned]:
    """Of each table its periods in few runs, one after the other; then its silver, once; then, where gold reads one of the
    tables, gold and its release, once.

    `starts`: where the partitions of each grain begin. Raises BackfillError where no partition lies in the days.
    """
    if not asked.tables:
        days = {"from_date": asked.first.isoformat(), "to_date": asked.last.isoformat()}
        gold = gold_run(repository, config=days)
        if gold is None:
            raise BackfillError("There is no gold: no contract describes what the dbt models read.")
        return [gold]
    runs: list[Planned] = []
    config = {"refresh": True} if asked.refresh else None
    for table in asked.tables:
        for stretch in stretches(asked, contracts[table], starts, today):
            runs.append(
                bronze_run(stretch, runs[-1].title if runs and runs[-1].assets[0].path[-1] == table else None, config)
            )
    if not asked.has_downstream:
        return runs
    bronze = frozenset(run.title for run in runs)
    runs += [silver_run(table, bronze, repository) for table in asked.tables]
    if asked.builds_gold(read_by_gold) and (gold := gold_run(repository, frozenset(run.title for run in runs))):
        runs.append(gold)
    return runs


def stretches(
    asked: Backfill, contract: Contract, starts: Mapping[Partition | None, date], today: date
) -> list[Stretch]:
    """The periods of a table in the days asked for, at most `periods_a_run` in each; a table without periods as a whole.

    Raises BackfillError where there are none.
    """
    grain = contract.partition
    if grain is None:
        return [Stretch(contract.table, None, None)]
    first, last = max(floor(asked.first, grain), starts[grain]), min(floor(asked.last, grain), floor(today, grain))
    if first > last:
        raise BackfillError(
            f"{contract.table} has no partition from {asked.first} to {asked.last}: its {grain} partitions go from "
            f"{starts[grain]} to {floor(today, grain)}. (Days of arrival are meant, the folders of landing.)"
        )
    keys = [first]
    while (following := next_period(keys[-1], grain)) <= last:
        keys.append(following)
    size = asked.periods_a_run
    chunks = [keys[n : n + size] for n in range(0, len(keys), size)]
    return [Stretch(contract.table, chunk[0], chunk[-1]) for chunk in chunks]


def days_asked(asked: Backfill, contract: Contract) -> tuple[date, date]:
    """The arrival days [from, to) that a backfill touches of a table: whole periods; all of one that has none."""
    grain = contract.partition
    return (floor(asked.first, grain), next_period(floor(asked.last, grain), grain)) if grain else (date.min, date.max)


def days_of(run: Planned, contract: Contract) -> tuple[date, date]:
    """The arrival days [from, to) that a run of bronze takes."""
    first, last = run.partition_key or run.tags.get(RANGE_START), run.partition_key or run.tags.get(RANGE_END)
    if first is None or last is None or contract.partition is None:
        return date.min, date.max
    return date.fromisoformat(first), next_period(date.fromisoformat(last), contract.partition)


class Progress:
    """Which runs of a backfill are done, kept in a file of the home until all are: a killed one goes on."""

    def __init__(self, home: Path, asked: Backfill) -> None:
        said = json.dumps(asdict(asked), default=str, sort_keys=True)
        self._path = home / "backfills" / f"{hashlib.sha256(said.encode()).hexdigest()[:16]}.json"
        self.done: set[str] = set(json.loads(self._path.read_text())["done"]) if self._path.exists() else set()
        self._asked = json.loads(said)

    def add(self, planned: Planned) -> None:
        self.done.add(planned.title)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._path.with_suffix(f".{os.getpid()}.tmp")
        unfinished.write_text(json.dumps({"asked": self._asked, "done": sorted(self.done)}, indent=1))
        unfinished.replace(self._path)

    def forget(self) -> None:
        """All is done, or is to be done from the start: the same backfill asked for again begins anew."""
        self.done = set()
        self._path.unlink(missing_ok=True)

    def remaining(self, runs: Sequence[Planned]) -> list[Planned]:
        """The runs that are not done, and those that come after them, which were done without what comes now."""
        left = {run.title for run in runs if run.title not in self.done}
        while more := {run.title for run in runs if run.title not in left and run.after & left}:
            left |= more
        return [replace(run, after=run.after & left) for run in runs if run.title in left]


def last_seconds(instance: dg.DagsterInstance, planned: Planned) -> float | None:
    """How long the steps of a run's assets took when they were materialized last; None where one of them never was."""
    total, counted = 0.0, set[tuple[str, str]]()
    for key in planned.assets:
        event = instance.get_latest_materialization_event(key)
        if event is None or event.dagster_event is None or event.dagster_event.step_key is None:
            return None
        step = (event.run_id, event.dagster_event.step_key)
        if step in counted:
            continue
        counted.add(step)
        stats = instance.get_run_step_stats(event.run_id, [step[1]])
        if not stats:  # it is so long ago that maintenance has removed the run's log
            return None
        for told in stats:
            if told.start_time is None or told.end_time is None:
                return None
            total += told.end_time - told.start_time
    return total
