"""`make bench-upkeep`: whether a year of daily runs, with the weekly maintenance, leaves file counts and run times flat.

Every day a file of changes lands and goes through the product's own ingest and refine; every seventh day the table and the
product's own tables are maintained as the schedule does it, records beyond the contract's 60 days expire, and what is
beyond a week old is removed. Time is simulated: after every day all files of tables become a day older (Delta's log is
cleaned by that), and what a maintenance would remove a week later is removed at once. Prints, for each month of 30 days
(`--period`), the medians of the seconds, and what lies in the folders at its end. `--days 365` is a year; `--without` leaves maintenance
out, to see what it is for.
"""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import yaml

from lakehouse.bronze import ingest as bronze
from lakehouse.bronze.landing import landed_files
from lakehouse.contracts.loader import load
from lakehouse.contracts.model import Contract
from lakehouse.engine import lifecycle
from lakehouse.engine.client import connect
from lakehouse.settings import Settings, settings
from lakehouse.silver import refine, retention
from lakehouse.storage import maintain, tables

KEYS, CHANGES = 20_000, 1_000
FIRST_DAY = date(2025, 1, 1)
_DAY = 86400


@dataclass
class Month:
    """What the days of a month took, in seconds."""

    ingest: list[float] = field(default_factory=list)
    refine: list[float] = field(default_factory=list)
    upkeep: list[float] = field(default_factory=list)


def contract_of(folder: Path) -> Contract:
    def column(name: str, logical: str, physical: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "logicalType": logical, "physicalType": physical, "description": name, **more}

    own = {"source": "bench", "format": "json", "delivery": "versions", "sequence": ["updated_at"]}
    table = {
        "name": "orders", "logicalType": "object", "dataGranularityDescription": "One row per order.",
        "description": "Orders.",
        "properties": [
            column("order_id", "string", "string", primaryKey=True, primaryKeyPosition=1),
            column("status", "string", "string", required=True),
            column("updated_at", "timestamp", "timestamp", required=True),
        ],
    }  # fmt: skip
    document = {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "bench.orders", "name": "orders", "version": "1.0.0",
        "status": "active", "description": {"purpose": "To measure."},
        "team": {"name": "Bench", "members": [{"username": "bench@example.com", "role": "owner"}]},
        "slaProperties": [{"property": "retention", "value": 60, "unit": "d"}],
        "customProperties": [{"property": "lakehouse", "value": own}], "schema": [table],
    }  # fmt: skip
    path = folder / "orders.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return load(path)


def land(here: Settings, of: Contract, number: int, day: date) -> None:
    """A file of changes, one in a hundred of them broken."""
    chance = random.Random(number)  # noqa: S311  # keys to change, not secrets
    folder = Path(here.landing_dir) / of.source / of.name / day.isoformat()
    folder.mkdir(parents=True)
    with (folder / "changes.json").open("w") as file:
        for number in chance.sample(range(KEYS), CHANGES):
            status = None if chance.random() < 0.01 else chance.choice(["pending", "shipped", "delivered"])
            row = {
                "order_id": f"o{number:06d}",
                "status": status,
                "updated_at": f"{day}T{chance.randrange(24):02}:00:00Z",
            }
            file.write(json.dumps(row) + "\n")


def maintained(spark: Any, here: Settings, of: Contract, today: date) -> None:
    retention.expire(spark, of, today)
    own = {f"ops.{row[0]}": () for row in spark.sql("show tables in ops").select("tableName").collect()}
    for table, keys in {of.bronze_table: (), of.state_table: of.keys, of.quarantine_table: (), **own}.items():
        if tables.exists(spark, table):
            maintain.compact(spark, table, keys)
            spark.sql(f"vacuum {table} retain 0 hours").collect()


def age(here: Settings) -> None:
    """Makes every file of every table a day older."""
    for path in Path(here.storage_dir).rglob("*"):
        if path.is_file():
            told = path.stat()
            os.utime(path, (told.st_atime - _DAY, told.st_mtime - _DAY))


def told(here: Settings, number: int, month: Month, spark: Any, of: Contract) -> str:
    places = [Path(here.storage_dir) / name for name in ("bronze", "silver_state", "ops")]
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    data = sum(1 for path in files if path.suffix == ".parquet" and "_delta_log" not in path.parts)
    log = sum(1 for path in files if "_delta_log" in path.parts)
    size = sum(path.stat().st_size for path in files) / 1e6
    seconds = [statistics.median(part) if part else 0 for part in (month.ingest, month.refine, month.upkeep)]
    rows = spark.table(of.bronze_table).count()
    return (
        f"| {number:9} | {seconds[0]:6.2f} | {seconds[1]:6.2f} | {seconds[2]:6.1f} | {data:10} | {log:9} | {size:6.1f} | "
        f"{rows:14,} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=120)
    parser.add_argument("--period", type=int, default=30, help="days that a line of the table tells of")
    parser.add_argument("--home", type=Path, help="where to keep all of it: a run that was ended goes on there")
    parser.add_argument("--without", action="store_true", help="leave maintenance out")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-upkeep-") as passing:
        folder: Path = given.home or Path(passing)
        folder.mkdir(parents=True, exist_ok=True)
        here = settings().model_copy(update={"home": folder, "jars": settings().jars_dir})
        os.environ["LAKEHOUSE_HOME"] = str(folder)  # the notes of commits are read from there
        settings.cache_clear()
        spark = connect(here)
        spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
        of, month = contract_of(folder), Month()
        done = len(list((folder / "landing" / of.source / of.name).glob("*")))
        try:
            if not done:
                print("| until day | ingest | refine | upkeep | data files | log files |     MB | rows of bronze |")
                print("|---|---|---|---|---|---|---|---|")
            for number in range(done + 1, given.days + 1):
                run(spark, here, of, number, month, given.without)
                if number % given.period == 0:
                    print(told(here, number, month, spark, of), flush=True)
                    month = Month()
        finally:
            lifecycle.stop(here)


def run(spark: Any, here: Settings, of: Contract, number: int, month: Month, is_without: bool) -> None:
    """One day."""
    day = FIRST_DAY + timedelta(days=number - 1)
    land(here, of, number, day)
    started = time.monotonic()
    bronze.ensure_tables(spark, here.storage_dir, of)
    files = landed_files(here.landing_dir, of, spark, (day - timedelta(days=1), day + timedelta(days=1)))
    bronze.ingest(spark, here.landing_dir, here.storage_dir, of, files, "bench")
    taken = time.monotonic()
    refine.refine(spark, here.storage_dir, of, "bench", frozenset({of.table}))
    ended = time.monotonic()
    month.ingest.append(taken - started)
    month.refine.append(ended - taken)
    if number % 7 == 0 and not is_without:
        maintained(spark, here, of, day)
        month.upkeep.append(time.monotonic() - ended)
    age(here)
    print(f"day {number}: {taken - started:.1f} + {ended - taken:.1f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
