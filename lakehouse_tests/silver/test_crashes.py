"""Whatever happens at any moment, run again: the table is the one that an undisturbed run gives.

The step is killed, the engine is, its catalog is taken away, the disk is full, the machine loses its power with the newest
commit half written, a second step takes the same files, the clock is a day off. The engine is this module's own, in a home of its own, and is killed by the pid that its record names.
Tables lie on a small disk of their own.
"""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from lakehouse.automation.errors import explain
from lakehouse.engine import lifecycle, record
from lakehouse.settings import PROJECT, settings
from lakehouse_tests.silver import storm

pytestmark = [pytest.mark.engine]
SOAK_KILLS = int(os.environ.get("SOAK_KILLS", 100))
KILLS_A_FILE = 5
DAY = 86400
SPAN_SECONDS = 15
"""Within which the moments are drawn: on a machine with nothing else to do a file is taken in less."""


class Home:
    """A home of its own, whose tables are taken by processes of their own."""

    def __init__(self, home: Path) -> None:
        self.settings = settings().model_copy(update={"home": home, "engine_memory": "1g"})
        self.environment = {
            **os.environ,
            "LAKEHOUSE_HOME": str(home),
            "LAKEHOUSE_ENGINE_MEMORY": "1g",
            # Half of what an engine that lives for so few queries does is compiling: the quick compiler alone is enough.
            "LAKEHOUSE_ENGINE_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1",
        }

    def start(self, *arguments: str, clock: float = 0) -> "subprocess.Popen[str]":
        """A step, whose clock is so many seconds ahead."""
        return subprocess.Popen(
            [sys.executable, "-m", "lakehouse_tests.silver.storm", *arguments],
            cwd=PROJECT,
            env={**self.environment, storm.CLOCK: str(clock)},
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

    def kill_engine_during_commit(self, child: "subprocess.Popen[str]", table: str) -> bool:
        """Kills the engine when the table has a new file of rows, which no commit has made part of it yet; False where the
        commit was quicker, on a machine that let this process wait."""
        place = Path(self.settings.storage_dir) / table.replace(".", "/")
        commits, rows = set(place.glob("_delta_log/*.json")), set(place.glob("*.parquet"))
        until(child, "before")
        while set(place.glob("*.parquet")) == rows:
            assert child.poll() is None, child.communicate()[0]
            time.sleep(0.001)
        assert self.kill_engine()
        self.end(child, ok=False)
        return set(place.glob("_delta_log/*.json")) == commits

    def lose_catalog(self) -> None:
        shutil.rmtree(self.settings.engine_dir / "catalog")

    def lose_power(self, schema: str = "*") -> None:
        """Ends the engine, and cuts the commit that was written last (of a schema) in half."""
        self.kill_engine()
        commits = Path(self.settings.storage_dir).glob(f"{schema}/*/_delta_log/*.json")
        newest = max(commits, key=lambda path: path.stat().st_mtime_ns)
        with newest.open("r+b") as file:
            file.truncate(newest.stat().st_size // 2)
        (newest.parent / f".{newest.name}.crc").unlink(missing_ok=True)

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """Nothing can be written to tables any more. Where no disk of their own could be mounted, the engine may write no
        byte more into any file, which it says in other words."""
        place = Path(self.settings.storage_dir)
        if place.is_mount():
            ballast = place / "ballast"
            with suppress(OSError), ballast.open("wb", buffering=0) as file:
                while True:
                    file.write(b"x" * 4096)
            try:
                yield
            finally:
                ballast.unlink()
            return
        found = record.alive(self.settings)
        assert found is not None, "the engine is there before its disk is full"
        jvm = psutil.Process(found.jvm_pid)
        _, most = jvm.rlimit(psutil.RLIMIT_FSIZE)
        jvm.rlimit(psutil.RLIMIT_FSIZE, (0, most))
        try:
            yield
        finally:
            with suppress(psutil.NoSuchProcess):
                jvm.rlimit(psutil.RLIMIT_FSIZE, (resource.RLIM_INFINITY if most == -1 else most, most))
            self.kill_engine()

    def assert_same(self, last: int, stormy: str, seed: object = "") -> None:
        """Takes the last file once more, undisturbed, and all of them into another table at once: both are the same."""
        said = self.end(self.start("compare", str(last), stormy, f"{stormy}_calm"), seconds=1800)
        found, expected = json.loads(said.splitlines()[-1])
        assert len(expected["silver"]) > 3
        for part, rows in expected.items():
            assert found[part] == rows, f"{part} differs; SOAK_SEED={seed}"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    own = Home(tmp_path)
    place = Path(own.settings.storage_dir)
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)], capture_output=True, check=False
    )
    try:
        yield own
    finally:
        lifecycle.stop(own.settings)
        if mounted.returncode == 0:
            subprocess.run(["umount", str(place)], check=True)


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
def test_three_kills_a_lost_catalog_a_full_disk_and_a_power_cut(home: Home) -> None:
    stormy = home.start("take", "stormy", "0", "after")
    until(stormy, "after")
    stormy.kill()
    home.end(stormy, ok=False)
    for file in range(1, 5):
        stormy = home.start("take", "stormy", str(file))
        if home.kill_engine_during_commit(stormy, storm.table("stormy").state_table):
            break
    else:
        raise AssertionError("no commit was met under way")
    home.lose_power("bronze")  # by which the engine was killed; killed with bronze whole, it is in the soak
    home.lose_catalog()
    home.end(home.start("take", "stormy", str(file)))
    last = file + 1
    with home.full_disk():
        said = home.end(home.start("take", "stormy", str(last)), ok=False)
        assert "The disk is full. Free some space and run again" in explain(said), said
    stormy = home.start("take", "stormy", str(last), "before")
    until(stormy, "before")
    stormy.kill()
    home.end(stormy, ok=False)
    home.assert_same(last, "stormy")


@pytest.mark.soak
@pytest.mark.timeout(3 * 3600)
def test_a_hundred_faults_at_random_moments(home: Home) -> None:
    seed = int(os.environ.get("SOAK_SEED", time.time_ns() % 1_000_000))
    print(f"SOAK_SEED={seed}")
    chance = random.Random(seed)
    files = max(1, SOAK_KILLS // KILLS_A_FILE)
    faults = dict.fromkeys(("step", "engine", "catalog", "disk", "power", "rival", "clock"), 0)
    for file in range(files):
        for _ in range(KILLS_A_FILE):
            is_warm = record.alive(home.settings) is not None
            clock = chance.choice([0, 0, 0, 0, -DAY, DAY])
            faults["clock"] += clock != 0
            stormy = home.start("take", "soaked", str(file), clock=clock)
            # It takes so long until it calls the engine, and longer where that is to be started first.
            time.sleep((1.5 if is_warm else 6) + chance.uniform(0, SPAN_SECONDS))
            kind = chance.choice(["step", "step", "engine", "engine", "catalog", "disk", "power", "rival"])
            if kind == "disk" and record.alive(home.settings):
                with home.full_disk():
                    time.sleep(chance.uniform(0, SPAN_SECONDS))
                    stormy.kill()
            elif kind == "power":
                stormy.kill()
                stormy.wait()
                if any(Path(home.settings.storage_dir).glob("*/*/_delta_log/*.json")):
                    home.lose_power()
            elif kind == "rival":
                home.end(home.start("take", "soaked", str(file)), ok=False)
            elif kind in ("engine", "catalog") and home.kill_engine():
                if kind == "catalog":
                    home.lose_catalog()
            else:
                kind = "step"
                stormy.kill()
            faults[kind] += 1
            home.end(stormy, ok=False)
        if file % 4 == 3:
            home.end(home.start("take", "soaked", str(file)))
    print(f"faults: {faults}")
    home.assert_same(files - 1, "soaked", seed)
