"""A table that is taken in a process of its own, which others may kill: `python -m lakehouse_tests.silver.storm …`.

`take TABLE FILE [MOMENT]` lands a file (where it is not there yet) and takes it into bronze and silver. It says when
it is about to commit and when it has, and stands still at that MOMENT (before, after). `compare FILE TABLE OTHER` takes the
file into one, all files up to it into the other, in one batch, and prints what has come of both, as JSON.
"""

import json
import os
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lakehouse.bronze import ingest as bronze
from lakehouse.bronze.landing import landed_files
from lakehouse.contracts.model import Contract
from lakehouse.engine import client
from lakehouse.settings import settings
from lakehouse.silver import commits, refine
from lakehouse_tests.silver.small import accepted, column, contract, key, land

RECORDS = 30
CLOCK = "STORM_CLOCK"
"""The environment variable with how many seconds this process's clock is ahead."""


def table(name: str) -> Contract:
    """Every version of a few things, some of them broken, some repeated, some out of order."""
    return contract(
        [
            key(),
            column("status", quality=[accepted("new", "paid", "sent")]),
            column("updated_at", "timestamp", required=True),
        ],
        name=name,
        sequence=["updated_at"],
        history="full",
        quarantine={"max_percent": 100},
        anomalies={"severity": "warning"},
    )


def content(file: int) -> list[Any]:
    chance = random.Random(file)
    return [
        '{"cut":'
        if chance.random() < 0.05
        else {
            "id": str(chance.randrange(8)),
            "status": chance.choice(["new", "paid", "sent", "sent", "odd"]),
            "updated_at": f"2025-03-01T{chance.randrange(24):02}:{chance.randrange(0, 60, 5):02}:00Z",
        }
        for _ in range(RECORDS)
    ]


def take(of: Contract, files: Sequence[int], moment: str | None = None) -> None:
    landing, storage = settings().landing_dir, settings().storage_dir
    for file in files:
        if not (Path(landing) / of.source / of.name / "2025-03-02" / f"{file:04}.json").exists():
            unfinished = land(Path(landing), of, "2025-03-02", f"{file:04}.json.tmp", content(file))
            os.rename(unfinished, unfinished.with_suffix(""))
    spark = client.connect(settings())
    bronze.ensure_tables(spark, storage, of)
    bronze.ingest(spark, landing, storage, of, landed_files(landing, of), "run")
    commit = commits.of_state

    def told(*given: Any) -> None:
        say("before", moment)
        commit(*given)
        say("after", moment)

    commits.of_state = told
    refine.refine(spark, storage, of, "run", frozenset())


def say(word: str, moment: str | None) -> None:
    print(word, flush=True)
    if word == moment:
        time.sleep(600)


def tell(of: Contract) -> dict[str, Any]:
    spark = client.connect(settings())
    parts = {
        "bronze": f"select file, position, record from {of.bronze_table}",
        "files": f"select file, records, size_bytes is null from ops.files where table_name = '{of.table}'",
        "silver": f"select id, status, updated_at, valid_from, valid_to, _rescued from {of.silver_table}",
        "quarantine": f"select record, reasons, disposition, file, position from {of.quarantine_table}",
        "state": f"select id, _sequence, _is_deleted, valid_from, valid_to, _is_visible from {of.state_table}",
        "batches": "select sum(landed), sum(applied + noop + duplicate + superseded + deleted + quarantined + too_late "
        f"+ rejected), count(*) = count(distinct batch) from ops.batches where table_name = '{of.table}'",
    }
    told = {
        name: sorted(str(tuple(row)).replace(of.name, "…") for row in spark.sql(query).collect())
        for name, query in parts.items()
    }
    told["files"] = [row.replace("True", "False") for row in told["files"]]  # found after a crash: without its size
    return told


if __name__ == "__main__":
    ahead, true_time = float(os.environ.get(CLOCK, 0)), time.time
    time.time = lambda: true_time() + ahead
    match sys.argv[1:]:
        case ["take", name, file, *moment]:
            take(table(name), [int(file)], *moment)
        case ["compare", file, name, other]:
            take(table(name), [int(file)])
            take(table(other), range(int(file) + 1))
            print(json.dumps([tell(table(name)), tell(table(other))]))
