"""A database under random transactions that is captured while the capture is killed again and again."""

import itertools
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from lakehouse.capture import lifecycle, record, state
from lakehouse.capture.sources import Source, sources
from lakehouse.settings import settings
from lakehouse_tests.capture import pipeline, replay, workload
from lakehouse_tests.capture.database import Database
from lakehouse_tests.capture.workload import TABLES, WHOLE_ROWS, Workload
from lakehouse_tests.silver.small import column, contract, key

_names = (f"bank{number}" for number in itertools.count())
WAIT_SECONDS = 120
LIFE_SECONDS = 7
"""About what a capture lives between two kills, its start included; transactions are spread over all lives."""


class Bank:
    """A database that is captured, and the contracts of its tables: `accounts` with history, `entries` without."""

    def __init__(self, database: Database, server: str) -> None:
        self.contracts = pipeline.captured(server)
        self.source: Source = sources(self.contracts.values())[server]
        self.database = database
        self.kills = 0
        self.begins = 0
        """The position of the snapshot: nobody knows what was before."""

    def torment(
        self, load: Workload, transactions: int, remembered: int, kills: int, meanwhile: Callable[[], None]
    ) -> None:
        """Transactions run, a column is added among them, and the capture is killed at random moments; `meanwhile` is
        done over and over beside. Returns when all of it is in landing and the capture has stopped."""
        load.run(transactions // 20, 1)  # a snapshot finds these, and others under way
        chance = random.Random(load.random.random())
        failures: list[BaseException] = []

        def work() -> None:
            pause = LIFE_SECONDS * (kills + 1) / transactions
            load.run(transactions * 9 // 20, remembered // 2, pause)
            self.wait_for(0)  # the rest is streamed, however slow the machine is
            load.add_column()
            load.run(transactions // 2, remembered - remembered // 2, pause)

        def capture() -> None:
            lifecycle.start(settings(), self.source)
            for _ in range(kills):
                time.sleep(chance.uniform(0.1, 2.5))
                self.kill()
                lifecycle.start(settings(), self.source)

        def noted(task: Callable[[], None]) -> None:
            try:
                task()
            except BaseException as problem:
                failures.append(problem)

        threads = [threading.Thread(target=noted, args=(task,), daemon=True) for task in (work, capture)]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive() and not failures:
                noted(meanwhile)
                thread.join(0.5)
        assert not failures, failures
        load.remember()
        self.wait_for(load.mark())
        assert lifecycle.stop(settings(), self.source)
        events = [event for name in TABLES for event in self.landed(name)]
        # A snapshot right after a truncate finds no row; what is known then begins with the first change.
        read = [event for event in events if event["op"] == "r"] or events
        self.begins = min(replay.sequence(event)[0] for event in read)

    def kill(self) -> None:
        """SIGKILL, wherever the capture stands."""
        found = record.alive(settings(), self.source.name)
        assert found
        running = psutil.Process(found.pid)
        running.send_signal(signal.SIGKILL)
        running.wait(10)
        self.kills += 1

    def wait_for(self, lsn: int) -> None:
        """Until everything up to this position is in landing."""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            held = state.read(settings(), self.source.name)
            if held and held.offset is not None and held.lsn >= lsn:
                landing = Path(settings().landing_dir)  # files get their names a moment after they are known of
                if not any((landing / unnamed).exists() for unnamed, _ in held.files):
                    return
            time.sleep(0.05)
        raise AssertionError(f"not captured up to {lsn}: {lifecycle.logs(settings(), self.source.name)}")

    def landed(self, table: str) -> list[dict[str, Any]]:
        of = self.contracts[table]
        return replay.landed(Path(settings().landing_dir) / of.source / of.name)


@contextmanager
def open_bank(database: Database, folder: Path) -> Iterator[Bank]:
    """Tables, contracts and settings of a bank; its capture is ended by its pid, and its slot removed."""
    server = next(_names)
    (folder / "contracts").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "CONTRACTS": folder / "contracts",
            "SAMPLE": "false",
            "LANDING": folder / "landing",
            "CDC_FLUSH_SECONDS": "0.5",
            f"CDC_{server.upper()}_USER": database.user,
        }.items():
            patch.setenv(f"LAKEHOUSE_{name}", str(value))
        settings.cache_clear()
        for table in TABLES:
            place = {"host": database.host, "port": database.port, "database": database.name, "schema": "public"}
            own = {"property": "lakehouse", "value": {"table": table}}
            contract(
                columns_of(table),
                name=f"{table}_{server}",
                folder=folder / "contracts",
                delivery="changes",
                sequence=["source.commit_lsn", "source.lsn"],
                history="full" if table == "accounts" else "current",
                quarantine={"max_percent": 0},
                partial_rows=table not in WHOLE_ROWS,
                servers=[{"server": server, "type": "postgresql", **place, "customProperties": [own]}],
            )
        connection = database.connect()
        workload.create(connection)
        bank = Bank(database, server)
        try:
            yield bank
        finally:
            lifecycle.forget(settings(), bank.source)
            connection.run(f"drop table {', '.join(TABLES)}")
            connection.close()
    settings.cache_clear()


def columns_of(table: str) -> list[dict[str, Any]]:
    if table == "accounts":
        day = column("born", "date", logicalTypeOptions={"format": "yyyy-MM-dd'Z'"})
        instants = [column("seen", "timestamp"), column("at", "timestamp")]
        found = [key("id", "bigint"), column("name"), column("amount", "decimal(12,2)"), day, *instants]
    else:
        found = [key("account", "int"), key("number", "int", 2), column("label"), column("weight", "double")]
        found.append(column("is_open", "boolean"))
    return [*found, column("note"), column("added")]
