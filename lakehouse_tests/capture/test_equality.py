"""Silver equals the database: random transactions on a live Postgres, while the capture is killed again and again, and so are
the runs that take what it lands.

Nothing stands in for anything here: Postgres, Debezium, landing, bronze and silver are the real ones.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lakehouse_tests.capture import pipeline, replay
from lakehouse_tests.capture.bank import Bank, open_bank
from lakehouse_tests.capture.database import postgres
from lakehouse_tests.capture.workload import COLUMNS, TABLES, Workload

LIFE_OF_A_RUN = 8
"""Seconds: about what the first takes, which makes the tables."""


@pytest.fixture
def bank(spark: Any, tmp_path: Path) -> Iterator[Bank]:
    with postgres() as database, open_bank(database, tmp_path) as found:
        yield found


def silver(spark: Any, bank: Bank, table: str, where: str = "true") -> list[tuple[Any, ...]]:
    of = bank.contracts[table]
    columns = [
        f"unix_micros(`{name}`) as `{name}`" if of.column(name).type == "timestamp" else f"`{name}`"
        for name in COLUMNS[table]
    ]
    rows = spark.sql(f"select {', '.join(columns)} from {of.silver_table} where {where}").collect()
    return [tuple(row) for row in rows]


def prove(spark: Any, bank: Bank, load: Workload, transactions: int, remembered: int, kills: int) -> None:
    """Row for row: the newest state of both tables, and history as of every moment that was remembered."""
    chance = random.Random(load.random.random())
    runs_killed = 0

    def run_pipeline() -> None:
        nonlocal runs_killed
        if runs_killed < kills:
            pipeline.run_and_kill(bank.source.name, chance.uniform(0.2, LIFE_OF_A_RUN))
            runs_killed += 1
        pipeline.run(spark, bank.contracts)

    bank.torment(load, transactions, remembered, kills, run_pipeline)
    pipeline.run(spark, bank.contracts)
    assert runs_killed
    _, content = load.moments[-1]
    for table in TABLES:
        current = "is_current" if table == "accounts" else "true"
        assert replay.differences(silver(spark, bank, table, current), content[table]) == [], table
    moments = [(lsn, held["accounts"]) for lsn, held in load.moments if lsn >= bank.begins]
    for lsn, held in moments:
        found = silver(spark, bank, "accounts", f"valid_from <= {lsn} and (valid_to is null or {lsn} < valid_to)")
        assert replay.differences(found, held) == [], f"as of {lsn}"
    assert len(moments) > remembered // 2
    print(
        f"{load.committed} transactions ({load.rolled_back} rolled back), {bank.kills} captures and {runs_killed} "
        f"runs killed, {len(moments)} moments, differences: none"
    )


def test_silver_equals_the_database_after_a_thousand_transactions(spark: Any, bank: Bank) -> None:
    with Workload(bank.database, seed=1, keys=60) as load:
        prove(spark, bank, load, transactions=1000, remembered=8, kills=3)


@pytest.mark.soak
@pytest.mark.timeout(5400)
def test_silver_equals_the_database_after_a_hundred_thousand_transactions(spark: Any, bank: Bank) -> None:
    with Workload(bank.database, seed=2, keys=4000, truncate_every=15_000) as load:
        prove(spark, bank, load, transactions=100_000, remembered=20, kills=30)
