"""Kill the engine or the step at any moment, run again: the table is the one that an undisturbed run gives.

The engine is this module's own, in a home of its own, and is killed by the pid that its record names.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakehouse.engine import lifecycle, record
from lakehouse.settings import PROJECT, settings

pytestmark = [pytest.mark.engine]
SOAK_KILLS = int(os.environ.get("SOAK_KILLS", 100))
KILLS_A_FILE = 5
SPAN_SECONDS = 15
"""Within which the moments are drawn: on a machine with nothing else to do a file is taken in less."""


class Home:
    """A home of its own, whose tables are taken by processes of their own."""

    def __init__(self, home: Path) -> None:
        self.settings = settings().model_copy(update={"home": home, "engine_memory": "1g"})
        self.environment = {**os.environ, "LAKEHOUSE_HOME": str(home), "LAKEHOUSE_ENGINE_MEMORY": "1g"}

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "lakehouse_tests.silver.storm", *arguments],
            cwd=PROJECT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def end(self, child: "subprocess.Popen[str]", ok: bool = True, seconds: float = 300) -> str:
        said, _ = child.communicate(timeout=seconds)
        assert not ok or child.returncode == 0, said
        return said

    def kill_engine(self) -> bool:
        found = record.alive(self.settings)
        if found is None:
            return False
        try:
            os.kill(found.jvm_pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def assert_same(self, last: int, stormy: str, seed: object = "") -> None:
        """Takes the last file once more, undisturbed, and all of them into another table: both are the same."""
        said = self.end(self.start("compare", str(last), stormy, f"{stormy}_calm"), seconds=1800)
        found, expected = json.loads(said.splitlines()[-1])
        assert len(expected["silver"]) > 3
        for part, rows in expected.items():
            assert found[part] == rows, f"{part} differs; SOAK_SEED={seed}"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    own = Home(tmp_path)
    yield own
    lifecycle.stop(own.settings)


def until(child: "subprocess.Popen[str]", word: str) -> None:
    """Waits for the child to say so."""
    assert child.stdout is not None
    heard = []
    for line in child.stdout:
        heard.append(line)
        if line.strip() == word:
            return
    raise AssertionError("".join(heard))


@pytest.mark.timeout(900)
def test_three_kills_before_during_and_after_the_commit(home: Home) -> None:
    stormy = home.start("take", "stormy", "0", "before")
    until(stormy, "before")
    stormy.kill()
    home.end(stormy, ok=False)
    stormy = home.start("take", "stormy", "0", "after")
    until(stormy, "after")
    stormy.kill()
    home.end(stormy, ok=False)
    stormy = home.start("take", "stormy", "1")
    until(stormy, "before")
    time.sleep(0.15)
    assert home.kill_engine(), "during the commit"
    home.end(stormy, ok=False)
    home.assert_same(1, "stormy")


@pytest.mark.soak
@pytest.mark.timeout(3 * 3600)
def test_a_hundred_kills_at_random_moments(home: Home) -> None:
    seed = int(os.environ.get("SOAK_SEED", time.time_ns() % 1_000_000))
    print(f"SOAK_SEED={seed}")
    chance = random.Random(seed)
    files = max(1, SOAK_KILLS // KILLS_A_FILE)
    kills = {"step": 0, "engine": 0}
    for file in range(files):
        for _ in range(KILLS_A_FILE):
            is_warm = record.alive(home.settings) is not None
            stormy = home.start("take", "soaked", str(file))
            # It takes so long until it calls the engine, and longer where that is to be started first.
            time.sleep((1.5 if is_warm else 6) + chance.uniform(0, SPAN_SECONDS))
            if chance.random() < 0.4 and home.kill_engine():
                kills["engine"] += 1
            else:
                stormy.kill()
                kills["step"] += 1
            home.end(stormy, ok=False)
        if file % 4 == 3:
            home.end(home.start("take", "soaked", str(file)))
    print(f"killed: {kills}")
    home.assert_same(files - 1, "soaked", seed)
