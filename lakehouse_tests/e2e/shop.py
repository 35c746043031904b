"""A home of its own, the command line and Dagster in it, as a user has them."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from lakehouse.engine.client import connect
from lakehouse.settings import PROJECT, Settings, executable
from lakehouse_tests.silver import small

DAY = "2025-03-05"


class Shop:
    """A home of its own, and what is done in it by processes of their own."""

    def __init__(self, home: Path, **own: str) -> None:
        self.home = home
        jars = os.environ.get("LAKEHOUSE_JARS", str(PROJECT / ".lakehouse" / "jars"))
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("LAKEHOUSE_", "SPARK_", "DAGSTER_"))},
            "LAKEHOUSE_HOME": str(home),
            "DAGSTER_HOME": str(home / "dagster"),
            "LAKEHOUSE_JARS": jars,
            "LAKEHOUSE_ENGINE_MEMORY": "1g",
            "LAKEHOUSE_CONTRACTS": str(home / "contracts"),
            "PYTHONPATH": str(PROJECT),
            **own,
        }
        self.settings = Settings(home=home, jars=Path(jars))
        self._thread = ThreadPoolExecutor(1)  # a session a thread: the tests' own stays as it is
        (home / "contracts").mkdir(parents=True)

    def call(self, *command: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, env=self.environment, cwd=PROJECT, capture_output=True, text=True, timeout=900, check=False
        )
        assert not ok or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def lakehouse(self, *arguments: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        return self.call(executable("lakehouse"), *arguments, ok=ok)

    def rows(self, query: str) -> list[dict[str, Any]]:
        """What a client of the engine reads."""

        def read() -> list[dict[str, Any]]:
            return [row.asDict(recursive=True) for row in connect(self.settings).sql(query).collect()]

        return self._thread.submit(read).result()

    def row(self, query: str) -> dict[str, Any]:
        (only,) = self.rows(query)
        return only

    def dagster_runs(self) -> int:
        with sqlite3.connect(self.home / "dagster" / "history" / "runs.db") as runs:
            return int(runs.execute("select count(*) from runs").fetchone()[0])

    def runs_of_backfills(self) -> list[str]:
        """How the runs stand that Dagster's own backfills asked for."""
        query = "select status from runs join run_tags using (run_id) where key = 'dagster/backfill'"
        with sqlite3.connect(self.home / "dagster" / "history" / "runs.db") as runs:
            return [row[0] for row in runs.execute(query)]

    def close(self) -> None:
        self._thread.shutdown()
        self.lakehouse("engine", "stop", ok=False)


class Served:
    """`lakehouse ui` in a shop."""

    def __init__(self, shop: Shop) -> None:
        self.log = shop.home / "ui.log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        with self.log.open("a") as said:
            self.process = subprocess.Popen(
                [executable("lakehouse"), "ui", "--port", port],
                env=shop.environment, cwd=PROJECT, stdout=said, stderr=said,
            )  # fmt: skip

    def said(self) -> str:
        return self.log.read_text()[-6000:]

    def find(self, *words: str) -> list[psutil.Process]:
        """The processes of Dagster whose command line has all of the words."""
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # also of one that has ended, and is not yet waited for
                line = " ".join(child.cmdline())
                found += [child] if all(word in line for word in words) else []
        return found

    def kill(self, *words: str) -> int:
        """Kills those; returns how many."""
        found = self.find(*words)
        for child in found:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        return len(found)

    def stop(self) -> None:
        """As a service manager does; nothing of Dagster is left behind."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=90) == 0
        _, left = psutil.wait_procs(children, timeout=20)
        for child in left:
            child.kill()
        assert not left, "Dagster goes on without lakehouse ui"


@contextmanager
def served(shop: Shop) -> Iterator[Served]:
    found = Served(shop)
    try:
        yield found
    finally:
        found.stop()


class Things:
    """A small table of a shop. Its commits are read from the log of silver, beside the engine."""

    def __init__(self, shop: Shop) -> None:
        self.shop, self.landed = shop, 0
        self.of = small.contract([small.key()], folder=shop.home / "contracts")

    def land(self) -> None:
        self.landed += 1
        small.land(self.shop.home / "landing", self.of, DAY, f"{self.landed}.json", [{"id": str(self.landed)}])

    def applied(self) -> int:
        """Rows that the commits of silver say were applied."""
        log = self.shop.home / "warehouse" / "silver_state" / self.of.table / "_delta_log"
        count = 0
        for path in log.glob("*.json"):
            note = json.loads(path.read_text().splitlines()[0]).get("commitInfo", {}).get("userMetadata", "{}")
            count += json.loads(note).get("lakehouse", {}).get("counts", {}).get("applied", 0)
        return count

    def wait(self, ui: Served) -> None:
        until = time.monotonic() + 240
        while self.applied() < self.landed:
            assert time.monotonic() < until, ui.said()
            time.sleep(1)
        assert self.applied() == self.landed, "each record once"
