"""`make bench-changes`: what 10,000 changes cost a silver table of 200,000 rows, of ten and of a hundred times as many.

Each batch lands as a file and goes through the product's own ingest and refine. Of the keys, half are new and half are
of the newest rows ("local", as orders are); or half are new and the others lie anywhere ("scattered"). Prints, for each
table and kind, seconds of refine (the median of its batches), bytes written and files touched, and how they grow.
`--times 1,10` takes some of the sizes; `--without-deletion-vectors` shows what those are for.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import tempfile
import time
from dataclasses import dataclass
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
from lakehouse.silver import reach, refine, state
from lakehouse.storage import tables

ROWS, CHANGES, BATCHES = 200_000, 10_000, 3
_START = "2026-01-01 00:00:00"


@dataclass
class Cost:
    """Of one batch."""

    seconds: float
    bytes_written: int
    files_removed: int
    files_marked: int


def contract_of(folder: Path, times: int) -> Contract:
    def column(name: str, logical: str, physical: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "logicalType": logical, "physicalType": physical, "description": name, **more}

    properties = [
        column("order_id", "string", "string", primaryKey=True, primaryKeyPosition=1),
        column("status", "string", "string"),
        column("amount", "number", "decimal(12,2)"),
        column("note", "string", "string"),
        column("updated_at", "timestamp", "timestamp", required=True),
    ]
    own = {"source": "bench", "format": "json", "delivery": "versions", "sequence": ["updated_at"]}
    table = {
        "name": f"orders_{times}",
        "logicalType": "object",
        "dataGranularityDescription": "One row per order.",
        "description": "Orders.",
        "properties": properties,
    }
    document = {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": f"bench.orders_{times}", "name": f"orders_{times}",
        "version": "1.0.0", "status": "active", "description": {"purpose": "To measure."},
        "team": {"name": "Bench", "members": [{"username": "bench@example.com", "role": "owner"}]},
        "customProperties": [{"property": "lakehouse", "value": own}], "schema": [table],
    }  # fmt: skip
    path = folder / f"orders_{times}.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return load(path)


def order_id(number: int) -> str:
    return f"o{number:012d}"


def fill(spark: Any, of: Contract, count: int) -> None:
    """Rows as a first load of so many would have left them."""
    fields = {field.name: field.type for field in state.state_fields(of)}
    moment = f"timestamp'{_START}' + make_dt_interval(0, 0, 0, id div 1000)"
    values = {
        "order_id": "concat('o', lpad(cast(id as string), 12, '0'))",
        "status": "element_at(array('pending', 'shipped', 'delivered'), cast(id % 3 + 1 as int))",
        "amount": "cast(id % 10000 / 100 as decimal(12,2))",
        "note": "sha2(cast(id as string), 256)",
        "updated_at": moment,
        "_sequence": f"cast(named_struct('s0', {moment}, 'tie', xxhash64(id)) as {fields['_sequence']})",
        "_is_deleted": "false",
        "_hash": "xxhash64(id)",
        "_batch": "cast(0 as bigint)",
    }
    rows = spark.range(count).selectExpr(
        *(f"{values.get(name, f'cast(null as {kind})')} as {name}" for name, kind in fields.items())
    )
    scrambled = rows.repartition(2, "order_id")  # as the windows of a first load leave them
    tables.append(reach.laid_out(scrambled, of.keys, count), of.state_table)


def batch(here: Settings, spark: Any, of: Contract, numbers: list[int], when: str, name: str) -> Cost:
    folder = Path(here.landing_dir) / of.source / of.name / "2026-01-01"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.json").open("w") as file:
        for number in numbers:
            row = {"order_id": order_id(number), "status": name, "amount": number % 700, "note": "x" * 40}
            file.write(json.dumps(row | {"updated_at": when}) + "\n")
    time.sleep(2.5)  # a file is taken once nothing has written to it for a while
    bronze.ensure_tables(spark, here.storage_dir, of)
    files = bronze.pending_files(landed_files(here.landing_dir, of), bronze.taken_files(spark, of))
    bronze.ingest(spark, here.landing_dir, here.storage_dir, of, files, "bench")
    started = time.monotonic()
    done = refine.refine(spark, here.storage_dir, of, "bench", frozenset({of.table}))
    seconds = time.monotonic() - started
    assert done is not None
    assert done.counts["applied"] == len(numbers), done.counts
    history = spark.sql(f"describe history {of.state_table} limit 1").collect()[0]
    told = {key: int(value) for key, value in history["operationMetrics"].items() if value.isdigit()}
    return Cost(
        seconds,
        told.get("numTargetBytesAdded", told.get("numOutputBytes", 0)),
        told.get("numTargetFilesRemoved", 0),
        told.get("numTargetDeletionVectorsAdded", 0) + told.get("numTargetDeletionVectorsUpdated", 0),
    )


def measure(here: Settings, spark: Any, folder: Path, times: int, is_plain: bool) -> dict[str, list[Cost]]:
    of, count = contract_of(folder, times), ROWS * times
    batch(here, spark, of, list(range(count, count + CHANGES)), "2027-01-01T00:00:00Z", "first")
    if is_plain:
        spark.sql(f"alter table {of.state_table} set tblproperties ('delta.enableDeletionVectors' = 'false')")
    fill(spark, of, count)
    top, found = count + CHANGES, {"local": list[Cost](), "scattered": list[Cost]()}
    drawn = random.Random(times)  # noqa: S311  # keys to change, not secrets
    for number in range(2 * BATCHES + 2):
        kind = "local" if number <= BATCHES else "scattered"
        new = list(range(top, top + CHANGES // 2))
        old = range(top - CHANGES, top) if kind == "local" else range(count)
        top += CHANGES // 2
        cost = batch(
            here, spark, of, new + drawn.sample(old, CHANGES // 2), f"2027-02-{number + 1:02d}T00:00:00Z", f"b{number}"
        )
        if number not in (0, BATCHES + 1):  # the first of a kind warms the engine up
            found[kind].append(cost)
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--times", default="1,10,100")
    options.add_argument("--without-deletion-vectors", action="store_true")
    chosen = options.parse_args()
    sizes = [int(part) for part in chosen.times.split(",")]
    home = Path(tempfile.mkdtemp(prefix="lakehouse-bench-"))
    here = settings().model_copy(update={"home": home, "jars": settings().jars_dir})
    os.environ["LAKEHOUSE_HOME"] = str(home)  # the notes of commits are read from there, and the names of tables
    settings.cache_clear()
    try:
        spark = connect(here)
        measured = {times: measure(here, spark, home, times, chosen.without_deletion_vectors) for times in sizes}
    finally:
        lifecycle.stop(here)
        shutil.rmtree(home, ignore_errors=True)
    print(f"{CHANGES:,} changes, medians of {BATCHES} batches\n")
    print(
        f"{'rows':>12} {'keys':10} {'seconds':>8} {'MiB written':>12} {'files removed':>14} {'files marked':>13}  against the smallest"
    )
    for kind in ("local", "scattered"):
        least = None
        for times in sizes:
            costs = measured[times][kind]
            median = [statistics.median(getattr(cost, name) for cost in costs) for name in Cost.__annotations__]
            least = least or median
            grown = f"{median[0] / least[0]:.2f} x the time, {median[1] / least[1]:.2f} x the bytes"
            print(
                f"{ROWS * times:12,} {kind:10} {median[0]:8.1f} {median[1] / 2**20:12.2f} {median[2]:14.0f} {median[3]:13.0f}  {grown}"
            )


if __name__ == "__main__":
    main()
