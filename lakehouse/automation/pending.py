"""What there is to do, told from landing, the notes of commits, and the last release."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from lakehouse.bronze.landing import LandedFile, landed_files, settled
from lakehouse.bronze.partitions import floor, next_period, periods
from lakehouse.bronze.taken import files_taken, pending_files
from lakehouse.contracts.model import Contract, Partition
from lakehouse.gold import project as dbt
from lakehouse.gold import release as releases
from lakehouse.settings import Settings
from lakehouse.silver.refine import is_outdated, pending_batch


@dataclass(frozen=True)
class Pending:
    """Work, in dependency order."""

    bronze: dict[str, list[date]] = field(default_factory=dict)
    """Table → arrival days with files that are not taken yet."""
    files: dict[str, int] = field(default_factory=dict)
    """Table → how many such files."""
    landed: dict[str, list[date]] = field(default_factory=dict)
    """Table → every arrival day in landing."""
    silver: list[str] = field(default_factory=list)
    """Tables for which bronze holds, or will hold, what silver has not."""
    gold: str | None = None
    """Why gold is to be built; None where it is up to date."""
    unreachable: dict[str, int] = field(default_factory=dict)
    """Table → files with an arrival day in the future; they wait for their day."""
    growing: dict[str, int] = field(default_factory=dict)
    """Table → files that are still being written; they wait for the next look."""
    waiting: dict[str, str] = field(default_factory=dict)
    """Table → why none of its files is taken now."""
    outdated: list[str] = field(default_factory=list)
    """Tables with rows that were made by an older contract; a rebuild makes them anew."""

    @property
    def is_empty(self) -> bool:
        return not self.bronze and not self.silver and self.gold is None


def find_pending(
    spark: Any,
    settings: Settings,
    contracts: Mapping[str, Contract],
    with_gold: bool = True,
    why_not: Callable[[Contract, Sequence[LandedFile]], str | None] = lambda *_: None,
) -> Pending:
    """Reads names in landing and the notes of commits; changes nothing.

    `why_not`: why these files of a table are to wait; None where they are not.
    """
    today = datetime.now(UTC).date()
    bronze: dict[str, list[date]] = {}
    files: dict[str, int] = {}
    landed_days: dict[str, list[date]] = {}
    unreachable: dict[str, int] = {}
    growing: dict[str, int] = {}
    waiting: dict[str, str] = {}
    silver = []
    taken = files_taken(spark)
    for contract in contracts.values():
        landed = landed_files(settings.landing_dir, contract, spark)
        landed_days[contract.table] = sorted({file.arrived_on for file in landed})
        pending = pending_files(landed, taken.get(contract.table, {}))
        whole = settled(settings.landing_dir, pending, settings.landing_settle_seconds)
        if len(whole) < len(pending):
            growing[contract.table] = len(pending) - len(whole)
        pending = whole
        if ahead := [file for file in pending if file.arrived_on > today]:
            unreachable[contract.table] = len(ahead)
        pending = [file for file in pending if file.arrived_on <= today]
        if pending and (reason := why_not(contract, pending)):
            waiting[contract.table], pending = reason, []
        if pending:
            bronze[contract.table] = sorted({file.arrived_on for file in pending})
            files[contract.table] = len(pending)
        done, newest = pending_batch(spark, contract)
        if pending or newest != done:
            silver.append(contract.table)
    return Pending(
        bronze=bronze,
        files=files,
        landed=landed_days,
        silver=silver,
        gold=gold_reason(spark, settings, dict(contracts), silver) if with_gold else None,
        unreachable=unreachable,
        growing=growing,
        waiting=waiting,
        outdated=[contract.table for contract in contracts.values() if is_outdated(spark, contract)],
    )


def gold_reason(spark: Any, settings: Settings, contracts: dict[str, Contract], silver: Sequence[str]) -> str | None:
    """Why gold is to be built; None where it is up to date, and after a rollback until somebody resumes."""
    if not dbt.buildable_marts(settings, contracts):
        return None
    history = releases.events(spark) if settings.dbt_target == "prod" else []
    if releases.is_held(history):
        return None
    read = dbt.tables_read(settings, contracts)
    is_new = not read.isdisjoint(silver)
    if settings.dbt_target != "prod":
        return f"target {settings.dbt_target}" if is_new else None
    if is_new:
        return "new in silver"
    last = releases.in_force(history)
    _, batches = releases.silver_now(spark, {table: contracts[table] for table in read})
    if last is None:
        return "no release yet" if batches else None
    if batches != {table: batch for table, batch in last.silver_batches.items() if table in read}:
        return "silver is ahead of the last release"
    if last.code != dbt.checksum(settings):
        return "the dbt project has changed"
    marts = {f"{node['schema']}.{name}": last.gold_versions.get(name, 0) for name, node in dbt.marts(settings).items()}
    if any(releases.is_lost(spark, table, version) for table, version in marts.items() if version):
        return "released versions of it are gone"
    return None


@dataclass(frozen=True)
class Stretch:
    """Arrival periods of one bronze table to materialize in one run: keys of the first and the last."""

    table: str
    first: date | None
    last: date | None


def bronze_runs(pending: Pending, contracts: Mapping[str, Contract]) -> list[Stretch]:
    """The fewest runs that take what is pending: one a table and contiguous stretch of periods.

    A period in which nothing ever landed is bridged: materializing it says, rightly, that nothing arrived.
    """
    found = []
    for table, days in pending.bronze.items():
        partition = contracts[table].partition
        if partition is None:
            found.append(Stretch(table, None, None))
            continue
        landed = {floor(day, partition) for day in pending.landed[table]}
        runs = _bridged(periods(days, partition), landed, partition)
        found += [Stretch(table, first, last) for first, last in runs]
    return found


def _bridged(runs: list[tuple[date, date]], landed: set[date], partition: Partition) -> list[tuple[date, date]]:
    joined: list[tuple[date, date]] = []
    for first, last in runs:
        if joined and not any(next_period(joined[-1][1], partition) <= day < first for day in landed):
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return joined
