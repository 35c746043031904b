"""Pools: a table, and the build of gold, has one writer at a time. Who holds one, and how a step waits for it."""

import time

import dagster as dg
from dagster._core.execution.plan.instance_concurrency_context import (
    MAX_CONCURRENCY_CLAIM_BLOCKED_INTERVAL,
    InstanceConcurrencyContext,
)


def pools_in_use(instance: dg.DagsterInstance, pools: set[str]) -> dict[str, str]:
    """Pool → the run that holds it, of those of `pools` that are held. A run that has ended holds none."""
    held: dict[str, str] = {}
    storage = instance.event_log_storage
    for pool in pools & storage.get_concurrency_keys():
        for run_id in storage.get_concurrency_info(pool).active_run_ids:
            run = instance.get_run_by_id(run_id)
            if run is None or run.is_finished:
                storage.free_concurrency_slots_for_run(run_id)
            else:
                held[pool] = run_id
    return held


def wait_asleep() -> None:
    """Lets steps of this process that wait for a pool sleep until they may ask for it again. Idempotent.

    Dagster's executor sleeps for what the context of its pools says, and that takes the least of zero and the time
    that is left: a run that waits turns round as fast as its core allows, beside the one that it waits for.
    """
    InstanceConcurrencyContext.interval_to_next_pending_claim_check = _seconds_to_next_claim  # type: ignore[method-assign, assignment]


def _seconds_to_next_claim(context: InstanceConcurrencyContext) -> float:
    if not context.has_pending_claims():
        return 0.0
    left = min(context._pending_timeouts.values(), default=0.0) - time.time()
    return max(0.0, min(left, MAX_CONCURRENCY_CLAIM_BLOCKED_INTERVAL))  # the clock may have been set back meanwhile
