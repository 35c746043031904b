"""The sensor of what no materialization tells: it starts the runs for files in landing, and for whatever else is pending.

It looks at what is, not at what happened: a file, a contract, a model or a decision that is new, what a run that died left
undone, and what the automation conditions (`conditions`) missed. What these are about to start is left to them.
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from filelock import Timeout

from lakehouse.automation import handover, sources
from lakehouse.automation.conditions import BY_CONDITIONS
from lakehouse.automation.conditions import SENSOR as CONDITIONS
from lakehouse.automation.instance import (
    has_died,
    heal_dead_runs,
    heal_gone_runs,
    heal_lost_runs,
    run_lock,
    runs_to_be_retried,
    unfinished_runs,
)
from lakehouse.automation.pending import find_pending, gold_reason
from lakehouse.automation.runs import GOLD, Planned, plan_runs
from lakehouse.bronze.ingest import forget_lost_files
from lakehouse.bronze.landing import LandingError, can_list, landed_files
from lakehouse.bronze.taken import FILES
from lakehouse.contracts.changes import rows_digest
from lakehouse.contracts.loader import load_all
from lakehouse.contracts.model import Contract
from lakehouse.engine.client import connect
from lakehouse.gold import project as dbt
from lakehouse.gold import release as releases
from lakehouse.settings import Settings, settings
from lakehouse.silver.decisions import DECISIONS, standing
from lakehouse.silver.refine import pending_batch
from lakehouse.storage.notes import newest_commit

INTERVAL_SECONDS = 10
"""From a file to its readers are three runs, one look after the other. A look at what has not changed asks no engine."""
RUNS_A_TICK = 25
STARTS = 5
"""So often a run is asked for that dies outside of its steps."""
BY_SENSOR = {"lakehouse/started_by": "sensor"}
"""Tag of the runs that the sensor asks for."""


def unsettled(
    here: Settings, contracts: Mapping[str, Contract], today: str, has_gold: bool = True, said: Sequence[Any] = ()
) -> str | None:
    """A digest of all that decides what is pending, told without the engine: names and times in landing, the newest
    commits of the tables, contracts and dbt's files, the day, and what was `said` of the sources. None where landing or
    storage can be told by the engine alone.
    """
    if "://" in here.storage_dir or not can_list(here.landing_dir):
        return None
    parts: list[Any] = [today, *said, dbt.checksum(here) if has_gold and dbt.buildable_marts(here, contracts) else None]
    for contract in contracts.values():
        tables = (contract.bronze_table, contract.state_table)
        landed = _digest(landed_files(here.landing_dir, contract))
        parts.append((contract.table, rows_digest(contract), contract.file.stat().st_mtime_ns, landed))
        parts.append([newest_commit(table) for table in tables])
    parts.append([newest_commit(table) for table in (FILES, releases.RELEASES, DECISIONS)])
    return _digest(parts)


def _digest(told: Any) -> str:
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def next_wave(
    runs: Sequence[Planned], is_known: Callable[[Planned], bool], is_gold_due: Callable[[], bool]
) -> list[Planned]:
    """The runs to start now: those that wait for no other, less those that were tried already.

    One that was tried and did not succeed holds nobody up: what waits for it is started after it, as `lakehouse run` does,
    and gold where silver has something new for it all the same.
    """
    waiting = list(runs)
    while waiting:
        titles = {run.title for run in waiting}
        wave = [run for run in waiting if not run.after & titles]
        new = [run for run in wave if not is_known(run) and (run.title != GOLD or is_gold_due())]
        if new:
            return new
        waiting = [run for run in waiting if run not in wave]
    return []


def run_key(spark: Any, here: Settings, contracts: Mapping[str, Contract], run: Planned) -> str:
    """What a run would take, and the code that would take it. Dagster starts no second run of a key: one that failed is
    asked for again when there is something new for it, and not at every look."""
    layer, table = run.assets[0].path[0], run.assets[0].path[-1]
    takes: Any
    if run.title == GOLD:
        last = _decided_release(spark)
        takes = (releases.silver_now(spark, dict(contracts)), dbt.checksum(here), last and (last.status, last.at))
    elif layer == "bronze":
        landed = landed_files(here.landing_dir, contracts[table], spark)
        takes = (_digest(landed), rows_digest(contracts[table]), contracts[table].rewritten_files)
    else:
        of = contracts[_table_of(run)]
        batches = [pending_batch(spark, table) for table in (of, *_referred(of, contracts))]
        takes = (batches, rows_digest(of), _thresholds(of), standing(spark, of))
    return f"{run.title}:{_digest(takes)}"


def _referred(of: Contract, contracts: Mapping[str, Contract]) -> list[Contract]:
    """Tables that it refers to: a batch held for what is missing there is tried again when they have changed."""
    return [contracts[name] for name in sorted({check.reference_table or "" for check in of.checks} & set(contracts))]


def _decided_release(spark: Any) -> releases.Release | None:
    """The newest event that put a release in force, or resumed: a reason to build on the same silver again."""
    decided = (*releases.IN_FORCE, "resumed")
    return next((event for event in releases.events(spark) if event.status in decided), None)


def _thresholds(contract: Contract) -> Any:
    """What holds a batch back: whoever loosens it wants the batch tried again."""
    return contract.max_quarantined_percent, contract.rules, contract.checks, contract.score


def _loaded(contracts: Mapping[str, Contract], graph: Any) -> tuple[dict[str, Contract], str]:
    """(the contracts whose assets this code location has loaded, what to say of the others)."""
    loaded = {table: of for table, of in contracts.items() if graph.has(dg.AssetKey(["silver", table]))}
    missing = sorted(contracts.keys() - loaded.keys())
    return loaded, f" New contracts wait for the code location to be reloaded: {', '.join(missing)}." if missing else ""


def _knows_gold(here: Settings, contracts: Mapping[str, Contract], graph: Any) -> bool:
    """Whether this code location has loaded the models as dbt's project has them now: a part of gold is not released."""
    loaded = {node.key.path[-1] for node in graph.asset_nodes if node.group_name == "gold" and node.is_materializable}
    return loaded == set(dbt.buildable_marts(here, contracts))


def _has_partitions(run: Planned, graph: Any) -> bool:
    """Whether the arrival days of a run are partitions of its assets: an older file moves their beginning, which a code
    location learns when it is reloaded. Until then `lakehouse run` takes such a file."""
    if run.partition_key is None:
        return True
    return all(graph.get(key).partitions_def.has_partition_key(run.partition_key) for key in run.assets)


def _left(
    spark: Any,
    here: Settings,
    contracts: Mapping[str, Contract],
    runs: Sequence[Planned],
    instance: Any,
    now: float,
    is_off: bool,
) -> set[str]:
    """Titles of the runs that the conditions are to start."""
    found = set[str]()
    for run in runs:
        if run.title == GOLD:
            upstream = [dg.AssetKey(["silver", table]) for table in dbt.tables_read(here, contracts)]
            has_work = gold_reason(spark, here, dict(contracts), ()) is not None
        elif run.assets[0].path[0] == "silver":
            table = _table_of(run)
            upstream = [dg.AssetKey(["bronze", table])]
            done, newest = pending_batch(spark, contracts[table])
            has_work = done != newest
        else:
            continue
        if has_work and handover.is_left(instance, _main_asset(run), upstream, now, is_off):
            found.add(run.title)
    return found


def _table_of(run: Planned) -> str:
    return run.title.removeprefix("silver ")


def _main_asset(run: Planned) -> dg.AssetKey:
    """The asset that tells when a run of silver or gold was last asked for."""
    if run.title == GOLD:
        return next(key for key in run.assets if key.path[0] not in ("serving", "ops"))
    return dg.AssetKey(["silver", _table_of(run)])


def _news(spark: Any, here: Settings, contracts: Mapping[str, Contract], run: Planned, instance: Any) -> float:
    """When the newest of what a run of silver or gold would take, and of the code that would take it, came to be, in
    seconds since 1970."""
    if run.title == GOLD:
        upstream = [dg.AssetKey(["silver", table]) for table in dbt.tables_read(here, contracts)]
        batches = list(releases.silver_now(spark, dict(contracts))[1].values())
        last = _decided_release(spark)
        moments = [dbt.changed_at(here), last.at.timestamp() if last and last.at else 0.0]
    else:
        of = contracts[_table_of(run)]
        upstream = [dg.AssetKey(["bronze", of.table])]
        batches = [pending_batch(spark, table)[1] or 0 for table in (of, *_referred(of, contracts))]
        decided = [one.decided_at.timestamp() for one in standing(spark, of) if one.decided_at]
        moments = [of.file.stat().st_mtime, *decided]
    materialized = [handover.materialized_at(instance, key) or 0.0 for key in upstream]
    return max([*moments, *materialized, *(batch / 1e6 for batch in batches)], default=0.0)


@dg.sensor(
    name="pending_work",
    asset_selection=dg.AssetSelection.all(),
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts bronze for files in landing; silver and gold for what no materialization tells (a contract, a model "
    "or a decision that is new, what a run that died left undone). As `lakehouse run`, one wave after the other.",
)
def pending_work(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Asks for the runs that wait for no other; the next look, after they ended, asks for those that come then."""
    here = settings()
    lock = run_lock(here)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return dg.SensorResult(
            skip_reason="`lakehouse run` is at work, or another command that writes.", cursor=context.cursor
        )
    try:
        return _look(context, here)
    except LandingError as problem:
        return dg.SensorResult(skip_reason=str(problem), cursor=context.cursor)
    finally:
        lock.release()


def _look(context: dg.SensorEvaluationContext, here: Settings) -> dg.SensorResult:
    """What there is to start, for whoever holds the lock of `lakehouse run`."""
    instance, now = context.instance, time.time()
    heal_dead_runs(instance)
    heal_gone_runs(instance)
    under_way: list[dg.DagsterRun] = []
    for tags in (BY_SENSOR, BY_CONDITIONS):
        heal_lost_runs(instance, tags)
        under_way += [*unfinished_runs(instance, tags), *runs_to_be_retried(instance, tags)]
    if under_way:
        return dg.SensorResult(skip_reason=f"{len(under_way)} run(s) are under way.", cursor=context.cursor)
    assert context.repository_def is not None
    graph = context.repository_def.asset_graph
    contracts, told = _loaded(load_all(here), graph)
    if not contracts:
        return dg.SensorResult(skip_reason=f"There are no contracts; LAKEHOUSE_CONTRACTS names folders of them.{told}")
    try:
        dbt.prepare(here)
        has_gold = _knows_gold(here, contracts, graph)
        told += "" if has_gold else " dbt's models have changed: reload the code location, and gold is built."
    except dbt.DbtError as problem:
        has_gold, told = False, f"{told} Gold waits: {str(problem)[:300]}"
    is_off = handover.is_off(instance)
    said = [is_off, *sources.said(instance, here, contracts.values(), now)]
    seen = unsettled(here, contracts, datetime.now(UTC).date().isoformat(), has_gold, said)
    if seen is not None and seen == context.cursor:
        return dg.SensorResult(skip_reason=f"Nothing has changed since the last look.{told}", cursor=seen)
    spark = connect(here)
    releases.ensure_tables(spark, here.storage_dir)
    for contract in contracts.values():
        forget_lost_files(spark, contract)
    pending = find_pending(spark, here, contracts, has_gold, sources.why_not(instance, here, now))
    if pending.growing:  # they look the same, and are whole, by the time of the next look
        seen = None
        told += f" Files are still being written: {', '.join(pending.growing)}."
    told += "".join(f" Files of {table} wait: {why}." for table, why in pending.waiting.items())
    runs = [run for run in plan_runs(pending, contracts, context.repository_def) if _has_partitions(run, graph)]
    if left := _left(spark, here, contracts, runs, instance, now, is_off):
        told += f" Left to `{CONDITIONS}`{', which is off' if is_off else ''}: {', '.join(sorted(left))}."
        # Should the conditions miss it, nothing else would tell.
        seen = seen if is_off else None
    mine = handover.without(runs, left)
    keys = {run.title: key_to_ask_with(instance, run_key(spark, here, contracts, run)) for run in mine}

    def is_known(run: Planned) -> bool:
        if keys[run.title] is None:
            return True
        is_bronze = run.assets[0].path[0] == "bronze"
        return not is_bronze and handover.was_tried(
            instance, _main_asset(run), _news(spark, here, contracts, run, instance)
        )

    wave = next_wave(mine, is_known, lambda: gold_reason(spark, here, dict(contracts), ()) is not None)
    if not wave:
        if releases.is_held(releases.events(spark)):
            told = f" An older release was put back in force: gold waits for `lakehouse release resume`.{told}"
        if mine:
            told = (
                f" Tried already, with the same files, batches and contract: {', '.join(keys)}. Their runs say why "
                f"they failed; `lakehouse run` tries again.{told}"
            )
        return dg.SensorResult(skip_reason=told.strip() or "Nothing is pending.", cursor=seen)
    requests = [
        dg.RunRequest(
            run_key=keys[run.title],
            asset_selection=list(run.assets),
            partition_key=run.partition_key,
            tags={**run.tags, **BY_SENSOR},
        )
        for run in wave[:RUNS_A_TICK]
    ]
    return dg.SensorResult(run_requests=requests, cursor=context.cursor)


def key_to_ask_with(instance: dg.DagsterInstance, key: str) -> str | None:
    """The key to ask for a run with; None where it was tried: Dagster passes over a key that it knows without a word. A run
    that died outside of its steps (the code server was gone when it was to be started) has tried nothing, and is asked for
    again, a few times: Dagster's own retry needs that server too."""
    for one in (key, *(f"{key}:{again}" for again in range(2, STARTS + 1))):
        last = next(iter(instance.get_runs(dg.RunsFilter(tags={"dagster/run_key": one}), limit=1)), None)
        if last is None:
            return one
        if not has_died(instance, last):
            return None
    return None
