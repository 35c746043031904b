"""Where one attempt at a batch keeps its frames, and how attempts of this machine wait for each other."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from filelock import FileLock, Timeout
from pyarrow import parquet
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T

from lakehouse.contracts.model import Contract
from lakehouse.settings import settings
from lakehouse.storage import s3
from lakehouse.storage.tables import ConcurrentWriterError

WAIT_FOR_ANOTHER = 120
"""Seconds that a step waits for another one of the same table, which then leaves it nothing to do."""

OLD = timedelta(days=2)
"""Age from which what an attempt has in a bucket is left of a killed one: a younger one may be at work on another machine."""


def folder(storage: str, contract: Contract) -> str:
    """Where the attempts at a table have their folders."""
    return f"{storage}/_staging/{contract.table}"


@contextmanager
def sole_refiner(storage: str, contract: Contract) -> Iterator[None]:
    """One at a time a table, on this machine. Ends with the process. What it cannot see (another machine, a commit that the
    engine goes on with after its client has died), the turn finds out. Raises ConcurrentWriterError where the other one
    takes too long."""
    is_local = "://" not in storage
    path = (Path(storage) / "_staging" if is_local else settings().home / "locks") / f"{contract.table}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=WAIT_FOR_ANOTHER)
    except Timeout:
        raise ConcurrentWriterError(
            f"{contract.silver_table}: another process has been refining it for {WAIT_FOR_ANOTHER} s ({path} is locked); "
            "nothing was written by this one. Run it again."
        ) from None
    try:
        if is_local:
            remove(folder(storage, contract))  # what a killed batch left
        elif s3.is_s3(storage):
            s3.remove_old(folder(storage, contract), datetime.now(UTC) - OLD)
        yield
    finally:
        lock.release()


def stage(spark: SparkSession, place: str, name: str, frame: DataFrame) -> DataFrame:
    """Writes a frame to the folder of an attempt, which nobody else writes to, and returns what was written.

    Whatever comes after reads a file instead of a plan: the plan of a parsed batch is large, and Spark would analyze
    and optimize it anew for each of some twenty queries, cached or not.
    """
    place = f"{place}/{name}"
    # Read a few times and removed: a dictionary of each column would take longer to make than it spares.
    frame.write.mode("overwrite").option("parquet.enable.dictionary", "false").parquet(place)
    # Asked for once: without a schema, each query on the frame would start a job to read it from a file.
    return spark.read.schema(_written_schema(spark, place)).parquet(place)


def _written_schema(spark: SparkSession, place: str) -> T.StructType:
    """The columns of a folder of Parquet that Spark wrote. It starts a job to read them; of a local file they are read here."""
    if "://" not in place and (part := next(Path(place).glob("*.parquet"), None)):
        return T.StructType.fromJson(json.loads(parquet.read_metadata(part).metadata[_SPARKS_SCHEMA]))
    return spark.read.parquet(place).schema


_SPARKS_SCHEMA = b"org.apache.spark.sql.parquet.row.metadata"
"""Where Spark's own reader looks for it."""


def remove(place: str) -> None:
    """Removes a folder with what is in it. On storage that this process cannot reach without the engine it stays."""
    if s3.is_s3(place):
        s3.remove(place)
    elif "://" not in place:
        shutil.rmtree(place, ignore_errors=True)
