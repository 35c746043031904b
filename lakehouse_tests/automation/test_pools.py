"""A table has one writer at a time, and who waits for it sleeps."""

from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext

from lakehouse.automation.pools import pools_in_use, wait_asleep

POOL = "shop_orders"


@pytest.fixture
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    own = {"concurrency": {"pools": {"default_limit": 1, "granularity": "op"}}}
    with dg.instance_for_test(temp_dir=str(tmp_path_factory.mktemp("dagster")), overrides=own) as found:
        yield found


def test_a_step_sleeps_until_it_may_ask_for_its_pool_again(instance: dg.DagsterInstance) -> None:
    wait_asleep()

    @dg.op(pool=POOL)
    def write() -> None: ...

    @dg.job
    def writes() -> None:
        write()

    first, second = (instance.create_run_for_job(writes) for _ in range(2))
    instance.report_engine_event("begins", first)
    with InstanceConcurrencyContext(instance, first) as mine, InstanceConcurrencyContext(instance, second) as other:
        assert mine.claim(POOL, "write")
        assert mine.interval_to_next_pending_claim_check() == 0
        assert not other.claim(POOL, "write")
        assert 0.5 < other.interval_to_next_pending_claim_check() <= 15
        assert pools_in_use(instance, {POOL, "another"}) == {POOL: first.run_id}
        mine.free_step("write")
        other._pending_timeouts["write"] = 0  # the time is over
        assert other.interval_to_next_pending_claim_check() == 0
        assert other.claim(POOL, "write")
