"""What the automation conditions are about to start, and what they tried: so that `pending_work` starts nothing twice."""

from collections.abc import Iterable, Mapping, Sequence

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorStatus, InstigatorType

from lakehouse.automation.conditions import BY_CONDITIONS, SENSOR
from lakehouse.automation.instance import STARTED_BY, has_died
from lakehouse.automation.runs import Planned

REACTS_WITHIN_SECONDS = 120
"""What the conditions have not asked for by then they have missed: they look every ten seconds."""


def is_off(instance: dg.DagsterInstance) -> bool:
    """Whether somebody turned the sensor of the conditions off."""
    states = instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
    return any(state.instigator_name == SENSOR and state.status == InstigatorStatus.STOPPED for state in states)


def is_left(
    instance: dg.DagsterInstance, key: dg.AssetKey, upstream: Iterable[dg.AssetKey], now: float, is_off: bool
) -> bool:
    """Whether the conditions are to start `key`: something upstream of it was materialized since it was last started, by
    somebody who does not do what follows. Not for ever; but where they were turned off, somebody wants to start it himself.
    Also where they have just started it: they look while `pending_work` looks.

    `now` in seconds since 1970.
    """
    if is_off:
        return True
    last = _last_start(instance, key)
    run = instance.get_run_by_id(last.run_id) if last else None
    if run is not None and not run.is_finished:
        return True
    for event in filter(None, (_last_materialization(instance, one) for one in upstream)):
        is_new = last is None or event.storage_id > last.storage_id
        if is_new and now - event.timestamp < REACTS_WITHIN_SECONDS and not _is_by(instance, event.run_id, STARTED_BY):
            return True
    return False


def was_tried(instance: dg.DagsterInstance, key: dg.AssetKey, news: float) -> bool:
    """Whether the newest run of `key` was one of the conditions, failed in its steps or was ended by somebody, and began after
    all that it is to take was there: after `news`, in seconds since 1970."""
    last = _last_start(instance, key)
    if last is None or last.timestamp <= news or not _is_by(instance, last.run_id, BY_CONDITIONS):
        return False
    run = instance.get_run_by_id(last.run_id)
    if run is None or run.status not in (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED):
        return False
    return not has_died(instance, run)


def materialized_at(instance: dg.DagsterInstance, key: dg.AssetKey) -> float | None:
    """When an asset was last materialized, in seconds since 1970; None where it never was."""
    event = _last_materialization(instance, key)
    return event.timestamp if event else None


def without(runs: Sequence[Planned], titles: Iterable[str]) -> list[Planned]:
    """The runs but those of these titles, and those that wait for them."""
    gone = set(titles)
    while more := {run.title for run in runs if run.title not in gone and run.after & gone}:
        gone |= more
    return [run for run in runs if run.title not in gone]


def _last_materialization(instance: dg.DagsterInstance, key: dg.AssetKey) -> dg.EventLogRecord | None:
    return next(iter(instance.fetch_materializations(key, limit=1).records), None)


def _last_start(instance: dg.DagsterInstance, key: dg.AssetKey) -> dg.EventLogRecord | None:
    """What the newest run of an asset noted when it was asked for."""
    return next(iter(instance.fetch_planned_materializations(key, limit=1).records), None)


def _is_by(instance: dg.DagsterInstance, run_id: str, tags: Mapping[str, str]) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is not None and tags.items() <= run.tags.items()
