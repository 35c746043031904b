"""Dagster's daemon and code server are killed at random moments: whatever lands is in silver soon after, with no hand.

A small table of its own, in a home of its own. One case of it is in `make test`: see `test_sample_run`.
"""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakehouse_tests.e2e.shop import Shop, Things, served

pytestmark = [pytest.mark.engine, pytest.mark.soak, pytest.mark.timeout(3600)]


@pytest.fixture
def things(tmp_path: Path) -> Iterator[Things]:
    shop = Shop(tmp_path, LAKEHOUSE_SAMPLE="false")
    things = Things(shop)
    shop.lakehouse("run")  # prepares the home
    yield things
    shop.close()


def test_both_are_killed_at_random_moments(things: Things) -> None:
    seed = int(os.environ.get("SOAK_SEED", time.time_ns() % 1_000_000))
    print(f"SOAK_SEED={seed}")
    chance = random.Random(seed)
    with served(things.shop) as ui:
        for _ in range(int(os.environ.get("SOAK_KILLS", 100)) // 10):
            things.land()
            time.sleep(chance.uniform(0, 30))
            ui.kill(*chance.choice([("dagster", "grpc"), ("dagster", "code-server"), ("dagster._daemon",)]))
            things.wait(ui)
