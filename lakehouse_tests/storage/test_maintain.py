"""Upkeep of tables, on the engine."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from lakehouse.settings import settings
from lakehouse.storage import maintain, tables

KEYS = ["key"]


@pytest.fixture
def small_files(spark: Any, schema: str) -> str:
    """A table of more small files than it needs, with rows that a deletion vector hides."""
    table = f"{schema}.notes"
    spark.sql(
        f"create table {table} (key bigint, text string) using delta "
        "tblproperties ('delta.enableDeletionVectors' = 'true')"
    )
    rows = spark.range(400).selectExpr("id * 7919 % 400 as key", "concat('note ', id) as text")
    rows.repartition(maintain.SPARE_FILES + 4).write.format("delta").mode("append").saveAsTable(table)
    spark.sql(f"delete from {table} where key % 40 = 3").collect()
    return table


def place(table: str) -> Path:
    return Path(tables.location(settings().storage_dir, table))


def test_small_files_are_put_together_and_no_row_changes(spark: Any, small_files: str) -> None:
    rows = spark.table(small_files).orderBy("key").collect()
    assert maintain.layout(spark, small_files).is_fragmented
    after = maintain.compact(spark, small_files, KEYS)
    assert after.files == 1
    assert spark.table(small_files).orderBy("key").collect() == rows
    version = tables.version(spark, small_files)
    assert maintain.compact(spark, small_files, KEYS) == after
    assert tables.version(spark, small_files) == version, "nothing to do, no commit"


def test_what_nobody_needs_is_removed_and_what_a_week_ago_was_needed_stays(spark: Any, small_files: str) -> None:
    before = tables.version(spark, small_files)
    rows = spark.table(small_files).orderBy("key").collect()
    maintain.compact(spark, small_files)
    left_behind = place(small_files) / "part-00000-of-a-writer-that-was-killed.c000.snappy.parquet"
    left_behind.write_bytes(b"half a file" * 10_000)
    ten_days_ago = time.time() - 10 * 86400
    os.utime(left_behind, (ten_days_ago, ten_days_ago))
    young = left_behind.with_name("part-00001-of-one-that-runs.c000.snappy.parquet")
    young.write_bytes(b"half a file")
    stored = maintain.folder_bytes(settings().storage_dir, small_files)
    maintain.vacuum(spark, small_files)
    assert not left_behind.exists() and young.exists()
    now = maintain.folder_bytes(settings().storage_dir, small_files)
    assert stored is not None and now is not None and stored - now > 100_000
    earlier = spark.sql(f"select * from {small_files} version as of {before}")
    assert earlier.orderBy("key").collect() == rows, "removed less than a week ago"


def test_less_than_a_week_is_refused(spark: Any, small_files: str) -> None:
    with pytest.raises(ValueError, match="24 hours are fewer than 168"):
        maintain.vacuum(spark, small_files, 24)
