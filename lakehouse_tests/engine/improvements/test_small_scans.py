"""What Delta has in memory of a small table's log is what the log says, and the log is left alone."""

import json
import os
import random
import time
from collections.abc import Callable
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from lakehouse.engine.improvements.small_scans import MIB
from lakehouse.settings import settings
from lakehouse.storage import tables

Rows = dict[int, str]
"""Of a table of `id` and `name`."""


def _log(schema: str, table: str) -> Path:
    return Path(settings().storage_dir) / schema / table / "_delta_log"


def _rows(frame: Any) -> Rows:
    return {row["id"]: row["name"] for row in frame.collect()}


def _create(spark: Any, table: str, more: str = "") -> None:
    # A checkpoint is made of the log itself, and compared with what is known.
    marks = "tblproperties ('delta.enableDeletionVectors' = 'true', 'delta.checkpointInterval' = '5')"
    spark.sql(f"create table {table} (id bigint, name string) using delta {more} {marks}")


def _values(rows: Rows) -> str:
    return ", ".join(f"({key}, '{name}')" for key, name in rows.items())


def test_neither_queries_nor_writers_read_the_log_of_a_small_table(spark: Any, schema: str) -> None:
    _create(spark, f"{schema}.numbers")
    for number in range(4):
        spark.sql(f"insert into {schema}.numbers values {_values({number: 'a'})}")
    first = _log(schema, "numbers") / f"{1:020d}.json"
    first.write_text("{}")  # what is computed from the log now lacks a row
    (first.parent / f".{first.name}.crc").unlink()
    assert _rows(spark.table(f"{schema}.numbers").where("id < 3 and name = 'a'")) == {0: "a", 1: "a", 2: "a"}
    frame = spark.sql("select 4L as id, 'a' as name")
    tables.append(frame, f"{schema}.numbers", turn=("test", 1))
    tables.append(frame, f"{schema}.numbers", turn=("test", 1))  # the writer and its number are known: passed over
    on = "target.id = source.id"
    merged = tables.merge(
        spark.sql(f"select * from values {_values({3: 'b', 5: 'b'})} as t(id, name)"),
        f"{schema}.numbers",
        on,
        "when matched then update set *\nwhen not matched then insert *",
        turn=("test", 2),
    )
    assert merged == 2
    assert _rows(spark.table(f"{schema}.numbers")) == {0: "a", 1: "a", 2: "a", 3: "b", 4: "a", 5: "b"}
    more = spark.sql("select id, 'c' as name from range(6, 9, 1, 1)")
    tables.append(more, f"{schema}.numbers")
    max(first.parent.glob("*.json")).write_text("{}")
    for gone in (6, 7):  # in a file that keeps other rows, and again in the same
        spark.sql(f"delete from {schema}.numbers where id = {gone}").collect()
    assert _rows(spark.table(f"{schema}.numbers")) == {0: "a", 1: "a", 2: "a", 3: "b", 4: "a", 5: "b", 8: "c"}


def test_the_log_says_of_a_file_with_rows_that_are_gone_what_delta_says(spark: Any, schema: str) -> None:
    marks = "tblproperties ('delta.enableDeletionVectors' = 'true')"
    spark.sql(f"create table {schema}.nulls (id bigint, name string, rate decimal(38, 18)) using delta {marks}")
    rows = "id, if(id < 3, 'a', null), cast(concat(id, '.123456789012345678') as decimal(38, 18))"
    spark.sql(f"insert into {schema}.nulls select {rows} from range(0, 4, 1, 1)").collect()

    def told(gone: int) -> dict[str, Any]:
        spark.sql(f"delete from {schema}.nulls where id = {gone}").collect()
        newest = max(_log(schema, "nulls").glob("*.json")).read_text().splitlines()
        (added,) = (json.loads(line)["add"] for line in newest if line.startswith('{"add"'))
        assert added["deletionVector"]["cardinality"] == gone
        return json.loads(added["stats"], parse_float=Decimal)

    bounds = {"minValues": Decimal("0.123456789012345678"), "maxValues": Decimal("3.123456789012345678")}
    of_all: dict[str, Any] = {"numRecords": 4, "nullCount": {"id": 0, "name": 1, "rate": 0}, "tightBounds": False}
    of_all |= {name: {"id": int(rate), "name": "a", "rate": rate} for name, rate in bounds.items()}
    assert told(1) == told(2) == of_all


Change = tuple[str, Callable[[Rows], Rows]]
CHANGES: tuple[Change, ...] = (
    (f"insert into {{t}} values {_values(dict.fromkeys(range(9), 'a'))}", lambda rows: dict.fromkeys(range(9), "a")),
    ("delete from {t} where false", dict),
    ("delete from {t} where id in (2, 3)", lambda rows: {k: v for k, v in rows.items() if k not in (2, 3)}),
    ("delete from {t} where id > 100", dict),
    ("delete from {t} where 1 = 2 and id = 4", dict),
    ("update {t} set name = 'b' where id % 2 = 0", lambda rows: {k: v if k % 2 else "b" for k, v in rows.items()}),
    ("update {t} set name = 'c' where false", dict),
    ("insert into {t} values (2, 'd')", lambda rows: {**rows, 2: "d"}),
    (
        "insert into {t} replace where id < 2 select 1L, 'e'",
        lambda rows: {k: v for k, v in rows.items() if k > 1} | {1: "e"},
    ),
    ("optimize {t}", dict),
    (
        "merge into {t} as t using (select * from values (1L, 'f'), (7L, 'f'), (50L, 'f') as v(id, name)) as s on t.id = s.id "
        "when matched and s.id = 7 then delete when matched then update set * when not matched then insert *",
        lambda rows: {k: v for k, v in rows.items() if k != 7} | {1: "f", 50: "f"},
    ),
    ("delete from {t} where true", lambda rows: {}),
    ("insert into {t} values (8, 'g')", lambda rows: {8: "g"}),
    ("insert overwrite {t} values (9, 'h'), (10, 'h')", lambda rows: {9: "h", 10: "h"}),
)


@pytest.mark.parametrize("kind", ["marked", "partitioned"])
def test_after_every_change_the_rows_are_those_that_it_leaves(spark: Any, schema: str, kind: str) -> None:
    table = f"{schema}.{kind}"
    _create(spark, table, "partitioned by (name)" if kind == "partitioned" else "")
    rows: Rows = {}
    history = {}
    for statement, effect in CHANGES if kind == "marked" else CHANGES[:6]:
        spark.sql(statement.format(t=table)).collect()
        rows = effect(rows)
        history[tables.version(spark, table)] = rows
        assert _rows(spark.table(table)) == rows, statement
        found = spark.table(table).where("id between 2 and 8 and name <> 'c'")
        assert _rows(found) == {k: v for k, v in rows.items() if 2 <= k <= 8}, statement
    log = _log(schema, kind)
    for version, then in sorted(history.items())[::4]:
        for _ in range(2):  # of the checksums as they were written, and without them
            assert _rows(spark.sql(f"select * from {table} version as of {version}")) == then
            (log / f"{version:020d}.crc").unlink(missing_ok=True)


@pytest.mark.parametrize(("files", "rows", "hashes"), [(51, 51, 0), (2, 1100, 300)])  # Delta lists fifty files
def test_a_table_of_many_or_large_files_is_read_by_their_statistics(
    spark: Any, schema: str, files: int, rows: int, hashes: int
) -> None:
    def name(key: int) -> str:
        return str(key) + "".join(sha256(f"{key} {n}".encode()).hexdigest() for n in range(hashes))

    table = f"{schema}.many"
    _create(spark, table)
    numbers = f"slice(sequence(0, {hashes}), 1, {hashes})"
    named = f"id || array_join(transform({numbers}, n -> sha2(id || ' ' || n, 256)), '') as name"
    parts = spark.range(rows).selectExpr("id", named).repartitionByRange(files, "id")
    parts.write.format("delta").mode("append").saveAsTable(table)
    written = list(_log(schema, "many").parent.glob("*.parquet"))
    assert len(written) == files
    assert files > 50 or sum(path.stat().st_size for path in written) > MIB * 1024**2
    assert _rows(spark.table(table)) == {n: name(n) for n in range(rows)}
    for path in written:
        if 7 not in parquet.read_table(path, columns=["id"]).to_pydict()["id"]:
            path.unlink()
    assert _rows(spark.table(table).where("id = 7")) == {7: name(7)}  # looks into no file but one


def _drawn(chance: random.Random, table: str, history: dict[int, Rows]) -> Change:
    """A change at random: what it says, and its effect on the rows."""
    low, name = chance.randrange(1, 40), f"x{chance.randrange(3)}"
    few = dict.fromkeys(chance.sample(range(60), 5), name)
    there = chance.choice(sorted(history))
    wheres: list[tuple[str, Callable[[int, str], bool]]] = [
        (f"id between {low} and {low + 9}", lambda key, _: low <= key <= low + 9),
        (f"id % 3 = 1 and name <> '{name}'", lambda key, said: key % 3 == 1 and said != name),
        ("false", lambda key, said: False),
        ("true", lambda key, said: True),
    ]
    (where, holds) = chance.choices(wheres, [4, 4, 1, 1])[0]
    source = f"(select * from values {_values(few)} as v(id, name))"
    changes: list[Change] = [
        (f"delete from {table} where {where}", lambda rows: {k: v for k, v in rows.items() if not holds(k, v)}),
        (
            f"update {table} set name = 'u' where {where}",
            lambda rows: {k: "u" if holds(k, v) else v for k, v in rows.items()},
        ),
        (
            f"merge into {table} as t using {source} as s on t.id = cast(s.id as bigint) and t.id >= {min(few)} "
            "when matched then update set * when not matched then insert *",
            lambda rows: {**rows, **few},
        ),
        (
            f"insert into {table} replace where id < {low} select 0L, '{name}'",
            lambda rows: {k: v for k, v in rows.items() if k >= low} | {0: name},
        ),
        (f"optimize {table}", dict),
        (f"restore table {table} to version as of {there}", lambda rows: dict(history[there])),
    ]
    return chance.choices(changes, [4, 4, 9, 3, 1, 1])[0]


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_after_changes_at_random_the_rows_are_those_that_they_leave(spark: Any, schema: str) -> None:
    seed = int(os.environ.get("SOAK_SEED", time.time_ns() % 1_000_000))
    print(f"SOAK_SEED={seed}")
    chance, table = random.Random(seed), f"{schema}.changed"
    _create(spark, table)
    rows: Rows = {}
    history = {0: rows}
    for _ in range(200):
        statement, effect = _drawn(chance, table, history)
        spark.sql(statement).collect()
        rows = effect(rows)
        history[tables.version(spark, table)] = rows
        for path in _log(schema, "changed").glob("*.crc"):
            if chance.random() < 0.02:
                path.unlink()
        assert _rows(spark.table(table)) == rows, f"{statement}; SOAK_SEED={seed}"
        assert _rows(spark.table(table).where("id > 20 and name = 'u'")) == {
            k: v for k, v in rows.items() if k > 20 and v == "u"
        }, f"{statement}; SOAK_SEED={seed}"
        then = chance.choice(sorted(history))
        assert _rows(spark.sql(f"select * from {table} version as of {then}")) == history[then], f"SOAK_SEED={seed}"
