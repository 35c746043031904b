"""Which versions of gold stay readable: those of the release in force, and of all that one may want to go back to."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from pyspark.sql import SparkSession

from lakehouse.gold.release import IN_FORCE, Release
from lakehouse.storage.maintain import LEAST_HOURS


def kept(history: Sequence[Release], now: datetime, days: int) -> list[Release]:
    """The events of releases whose versions must stay: that of the release in force, however old, and those of the last
    `days`. `history`: newest first; its times are in UTC."""
    in_force = next((event for event in history if event.status in IN_FORCE), None)
    since = (now - timedelta(days=days)).replace(tzinfo=None)
    young = [event for event in history if event.at is not None and event.at.replace(tzinfo=None) >= since]
    return [*young, *([in_force] if in_force is not None and in_force not in young else [])]


def hours_kept(version: int, committed_at: Mapping[int, datetime], now: datetime) -> int | None:
    """For how many hours removed files must be kept, so that `version` of a table stays readable: since the commit after
    it, which removed the first of them. None where the log no longer tells when that was. Never less than Delta's limit.

    `committed_at`: version → time of its commit.
    """
    newest = max(committed_at, default=version)
    if version >= newest:
        return LEAST_HOURS
    if version + 1 not in committed_at:
        return None
    return max(LEAST_HOURS, math.ceil((now - committed_at[version + 1]) / timedelta(hours=1)) + 1)


def commit_times(spark: SparkSession, table: str) -> dict[int, datetime]:
    rows = spark.sql(f"describe history {table}").selectExpr("version", "unix_millis(timestamp) as at").collect()
    return {int(row["version"]): datetime.fromtimestamp(row["at"] / 1000, UTC) for row in rows}
