"""Keep a table quick and its folder small: put small files together, and remove those that nobody needs any more."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from lakehouse.storage import tables
from lakehouse.storage.notes import local_log
from lakehouse.storage.tables import quote

FILE_BYTES = 128 * 1024**2
"""The size that a compaction aims at: the engine's `delta.optimize.maxFileSize`."""
SPARE_FILES = 16
"""So many small files cost a reader little; putting them together at every commit would cost the writer more."""
SMALL_APPENDS = 50
LEAST_HOURS = 168
"""Delta's own limit: a writer or reader that began within a week finds its files."""


@dataclass(frozen=True)
class Layout:
    """The files that a table's newest version consists of."""

    files: int
    bytes: int

    @property
    def is_fragmented(self) -> bool:
        """Whether the table has more than twice the files that it needs, and some to spare. So each compaction follows a
        growth by as many files as it leaves, and a row is rewritten a few times in the life of a table, not every week."""
        return self.files > SPARE_FILES + 2 * math.ceil(self.bytes / FILE_BYTES)


def layout(spark: SparkSession, table: str) -> Layout:
    row = spark.sql(f"describe detail {table}").select("numFiles", "sizeInBytes").first()
    assert row is not None
    return Layout(int(row[0]), int(row[1]))


def compact(spark: SparkSession, table: str, keys: Sequence[str] = ()) -> Layout:
    """Puts the files of a fragmented table together, in one commit that changes no row; leaves any other as it is. With
    `keys`, all rows are laid out anew by them, so that neighbouring keys share files, and rows that deletion vectors hide
    are left out. Returns the layout after it.
    Idempotent. Of this and a writer of the same files, whoever commits second fails."""
    now = layout(spark, table)
    if not now.is_fragmented:
        return now
    spark.sql(f"optimize {table}" + (f" zorder by ({', '.join(map(quote, keys))})" if keys else "")).collect()
    return layout(spark, table)


def append_small(
    frame: DataFrame, table: str, note: dict[str, Any] | None = None, turn: tables.Turn | None = None
) -> None:
    """Appends a few rows to a table that gets some at every batch, and puts its files together at every fiftieth commit: a
    week of hourly batches would make thousands, and each reader waits for them. On storage that is no local folder, where
    to ask for the version takes a query, the weekly maintenance does it alone."""
    tables.append(frame, table, note, turn)
    if local_log(table) is not None and tables.version(frame.sparkSession, table) % SMALL_APPENDS == 0:
        try:
            compact(frame.sparkSession, table)
        except PySparkException as problem:
            # Somebody else did it meanwhile. What was appended stays, and that is what the caller asked for.
            warnings.warn(f"{table} was not put together: {str(problem).splitlines()[0]}", stacklevel=2)


def vacuum(spark: SparkSession, table: str, hours: int = LEAST_HOURS) -> None:
    """Removes the files that no version of the last `hours` needs, also those that a killed writer left. Idempotent.

    Raises ValueError for fewer than LEAST_HOURS.
    """
    if hours < LEAST_HOURS:
        raise ValueError(f"{table}: {hours} hours are fewer than {LEAST_HOURS}; running readers would lose their files")
    spark.sql(f"vacuum {table} retain {hours} hours").collect()


def delete_where(spark: SparkSession, table: str, condition: str) -> int:
    """Deletes the rows for which `condition` holds, in one commit that carries no note; returns how many."""
    row = spark.sql(f"delete from {table} where {condition}").first()
    return int(row[0]) if row is not None else 0


def folder_bytes(storage: str, table: str) -> int | None:
    """Bytes of everything in a table's folder, its log too; None where the storage is no local folder."""
    place = tables.location(storage, table)
    if "://" in place:
        return None
    return sum(path.stat().st_size for path in Path(place).rglob("*") if path.is_file())
