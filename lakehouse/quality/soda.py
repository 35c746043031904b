"""Run SodaCL on views of a Spark session, offline, and account for every check that was asked for."""

import functools
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pyspark.sql import DataFrame, SparkSession

_ROW_CAP = 10_001
"""Soda pages through whatever a query returns; more rows than this are of no use to a check."""

_one_scan_at_a_time = threading.Lock()
"""Soda's log is one for the process and every new scan resets it, so scans must not overlap."""


class _EagerFrame:
    """The rows of one query, collected once. Soda runs a query again for every 100 rows that it reads, twice."""

    def __init__(self, frame: DataFrame, rows: list[Any] | None = None) -> None:
        self._frame = frame
        self._rows = rows

    @functools.cached_property
    def schema(self) -> Any:
        return self._frame.schema

    def collect(self) -> list[Any]:
        if self._rows is None:
            self._rows = self._frame.limit(_ROW_CAP).collect()
        return self._rows

    def count(self) -> int:
        return len(self.collect())

    def offset(self, n: int) -> "_EagerFrame":
        return _EagerFrame(self._frame, self.collect()[n:])

    def limit(self, n: int) -> "_EagerFrame":
        return _EagerFrame(self._frame, self.collect()[:n])


class _EagerSession:
    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark

    def sql(self, sqlQuery: str) -> _EagerFrame:  # noqa: N803 - the name that Soda passes
        return _EagerFrame(_query(self._spark, sqlQuery))


def _query(spark: SparkSession, text: str) -> DataFrame:
    """`spark.sql` of a query, without asking the server twice: that sends the text once as a command, to learn whether
    it is one, and again when its rows are read. What Soda sends is never a command."""
    from pyspark.sql.connect.dataframe import DataFrame as ConnectFrame
    from pyspark.sql.connect.plan import SQL

    session: Any = spark
    frame: Any = ConnectFrame.withPlan(SQL(text), session)
    return frame


@dataclass(frozen=True)
class Measured:
    """What Soda found for one check: pass, warn, fail, or error (it could not be evaluated)."""

    outcome: str
    value: float | None
    problem: str | None = None
    seconds: float | None = None
    """How long its queries took; a query may measure several checks."""


@functools.cache
def _scan_class() -> type:
    """Soda's Scan, imported with its telemetry off: the import alone would start a thread that calls home and write a
    file into the user's home. Soda's configuration is a singleton, so it is set before the first import."""
    from soda.common.config_helper import ConfigHelper

    ConfigHelper.get_instance(str(Path(__file__).with_name("soda_config.yml")))
    from soda.scan import Scan

    return Scan


def scan(
    spark: SparkSession, checks: Mapping[str, Sequence[dict[str, Any]]], names: Sequence[str]
) -> dict[str, Measured]:
    """Evaluates SodaCL checks, given by dataset (a table or temporary view). Each check has one of `names` as `name`.

    Returns a result for every name: a check that Soda left out (it drops what it cannot evaluate, and one unknown
    column takes a table's other checks with it) is an error, never a pass.
    """
    if not names:
        return {}
    document = {f"checks for {dataset}": list(listed) for dataset, listed in checks.items() if listed}
    with _one_scan_at_a_time:
        runner = _scan_class()()
        runner.set_data_source_name("lakehouse")
        runner.add_spark_session(_EagerSession(spark), data_source_name="lakehouse")
        runner.add_sodacl_yaml_str(yaml.safe_dump(document, sort_keys=False, width=10_000))
        runner._configuration.samples_limit = 0  # records that break a rule are shown from the quarantine, masked
        runner.execute()
        found = {check["name"]: check for check in runner.get_scan_results()["checks"]}
        seconds = {check.name: _seconds(check) for check in runner._checks}
        problems = runner.get_error_logs_text() or "Soda did not evaluate it and gave no reason"
    return {name: _measured(found.get(name), problems, seconds.get(name)) for name in names}


def _seconds(check: Any) -> float | None:
    queries = {id(query): query.duration for metric in check.metrics.values() for query in metric.queries}
    known = [duration.total_seconds() for duration in queries.values() if duration is not None]
    return sum(known) if known else None


def _measured(check: dict[str, Any] | None, problems: str, seconds: float | None) -> Measured:
    if check is None or check.get("outcome") not in ("pass", "warn", "fail"):
        return Measured("error", None, problems, seconds)
    return Measured(check["outcome"], _number((check.get("diagnostics") or {}).get("value")), seconds=seconds)


def _number(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None
