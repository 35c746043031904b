"""Dagster's daemon and code server are killed: whatever lands is in silver soon after, with no hand.

A small table of its own, in a home of its own. Its commits are read from the log of silver, beside the engine.
"""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from lakehouse.settings import PROJECT, executable
from lakehouse_tests.silver.small import contract, key, land

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]
DAY = "2025-03-05"


class Shop:
    """A home with one table, and `lakehouse ui` in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "contracts").mkdir(parents=True)
        self.of = contract([key()], folder=home / "contracts")
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("LAKEHOUSE_", "SPARK_", "DAGSTER_"))},
            "LAKEHOUSE_HOME": str(home),
            "DAGSTER_HOME": str(home / "dagster"),
            "LAKEHOUSE_JARS": os.environ.get("LAKEHOUSE_JARS", str(PROJECT / ".lakehouse" / "jars")),
            "LAKEHOUSE_ENGINE_MEMORY": "1g",
            "LAKEHOUSE_CONTRACTS": str(home / "contracts"),
            "LAKEHOUSE_SAMPLE": "false",
            "PYTHONPATH": str(PROJECT),
        }
        self.landed = 0
        self.ui: subprocess.Popen[bytes] | None = None
        self.call(executable("lakehouse"), "run")  # prepares the home

    def call(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=self.environment, cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False
        )

    def start(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        with (self.home / "ui.log").open("a") as said:
            self.ui = subprocess.Popen(
                [executable("lakehouse"), "ui", "--port", port],
                env=self.environment, cwd=PROJECT, stdout=said, stderr=said,
            )  # fmt: skip

    def stop(self) -> None:
        """As a service manager does; nothing of Dagster is left behind."""
        assert self.ui is not None
        children = psutil.Process(self.ui.pid).children(recursive=True)
        self.ui.send_signal(signal.SIGTERM)
        assert self.ui.wait(timeout=90) == 0
        _, left = psutil.wait_procs(children, timeout=20)
        for child in left:
            child.kill()
        assert not left, "Dagster goes on without lakehouse ui"

    def kill(self, *words: str) -> int:
        """Kills the processes of Dagster whose command line has all of the words; returns how many."""
        assert self.ui is not None
        found = []
        for child in psutil.Process(self.ui.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # also of one that has ended, and is not yet waited for
                line = " ".join(child.cmdline())
                found += [child] if all(word in line for word in words) else []
        for child in found:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        return len(found)

    def land(self) -> None:
        self.landed += 1
        land(self.home / "landing", self.of, DAY, f"{self.landed}.json", [{"id": str(self.landed)}])

    def applied(self) -> int:
        """Rows that the commits of silver say were applied."""
        log = self.home / "warehouse" / "silver_state" / self.of.table / "_delta_log"
        count = 0
        for path in log.glob("*.json"):
            note = json.loads(path.read_text().splitlines()[0]).get("commitInfo", {}).get("userMetadata", "{}")
            count += json.loads(note).get("lakehouse", {}).get("counts", {}).get("applied", 0)
        return count

    def wait(self) -> None:
        until = time.monotonic() + 240
        while self.applied() < self.landed:
            assert time.monotonic() < until, (self.home / "ui.log").read_text()[-5000:]
            time.sleep(1)
        assert self.applied() == self.landed, "each record once"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    found = Shop(tmp_path_factory.mktemp("faults"))
    found.start()
    yield found
    found.stop()
    found.call(executable("lakehouse"), "engine", "stop")


def test_code_server_and_daemon_are_killed_at_work_and_what_lands_is_taken_once(shop: Shop) -> None:
    shop.land()
    shop.wait()
    shop.land()
    time.sleep(5)  # the sensor has seen it, or is about to
    assert shop.kill("dagster", "grpc")
    assert shop.kill("dagster._daemon")
    shop.land()
    shop.wait()


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_both_are_killed_at_random_moments(shop: Shop) -> None:
    import random

    seed = int(os.environ.get("SOAK_SEED", time.time_ns() % 1_000_000))
    print(f"SOAK_SEED={seed}")
    chance = random.Random(seed)
    for _ in range(int(os.environ.get("SOAK_KILLS", 100)) // 10):
        shop.land()
        time.sleep(chance.uniform(0, 30))
        shop.kill(*chance.choice([("dagster", "grpc"), ("dagster", "code-server"), ("dagster._daemon",)]))
        shop.wait()
