"""The note that a commit carries: JSON in Delta's `userMetadata`, from which everything that happened can be told."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyspark.sql import SparkSession

_CONF = "spark.databricks.delta.commitInfo.userMetadata"
_MARK = "lakehouse"


@contextmanager
def commit_note(spark: SparkSession, note: dict[str, Any] | None) -> Iterator[None]:
    """Every commit inside the block carries `note`. A session conf reaches MERGE too, over Spark Connect; it is
    always unset, or the next statement of the session would carry it as well."""
    if note is None:
        yield
        return
    spark.conf.set(_CONF, json.dumps({_MARK: note}, separators=(",", ":")))
    try:
        yield
    finally:
        spark.conf.unset(_CONF)


def notes(spark: SparkSession, table: str) -> list[tuple[int, dict[str, Any]]]:
    """(version, note) of every commit of `table` that carries one and is still in its log, newest first."""
    rows = spark.sql(f"describe history {table}").select("version", "userMetadata").collect()
    found = []
    for row in rows:
        text = row["userMetadata"]
        if text and text.startswith(f'{{"{_MARK}":'):
            found.append((int(row["version"]), json.loads(text)[_MARK]))
    return found
