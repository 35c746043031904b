"""Run SodaCL on views of a Spark session, offline, and account for every check that was asked for."""

import functools
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Number
from pathlib import Path
from typing import Any

import yaml
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T

_ROW_CAP = 10_001
"""Soda pages through whatever a query returns; more rows than this are of no use to a check."""

_PROBLEM_LENGTH = 600
"""Of what Soda and Spark say of a query that failed, the rest is the plan of all its checks."""

_SHOWS_THE_VALUE = "Expected a numeric value, but was"
"""What Soda says of a result that is no number, which may be somebody's address."""

_one_is_made_at_a_time = threading.Lock()
"""Soda's configuration is made by the first scan of a process, and fails where two do so at once."""
_of_thread = threading.local()


class _EagerFrame:
    """The rows of one query, collected once. Soda runs a query again for every 100 rows that it reads, twice."""

    def __init__(self, frame: DataFrame, rows: list[Any] | None = None) -> None:
        self._frame = frame
        self._rows = rows

    @functools.cached_property
    def schema(self) -> Any:
        """The names of the columns, from the rows where there are some: to ask for the schema is to plan the query twice."""
        rows = self.collect()
        return (
            T.StructType([T.StructField(n, T.NullType()) for n in rows[0].__fields__]) if rows else self._frame.schema
        )

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
    """How long its query took, which measures many checks."""


@functools.cache
def _scan_class() -> type:
    """Soda's Scan, imported with its telemetry off: the import alone would start a thread that calls home and write a
    file into the user's home. Soda's configuration is a singleton, so it is set before the first import."""
    from soda.common.config_helper import ConfigHelper

    ConfigHelper.get_instance(str(Path(__file__).with_name("soda_config.yml")))
    from soda.common import env_helper
    from soda.common.logs import Logs
    from soda.scan import Scan

    # Soda's log is one for the process, and every new scan empties it: of two at once, each gets one of its own.
    Logs.__new__ = _logs_of_thread
    # Soda would read a `.env` file of any folder above its own, and let it win over the environment of the process.
    env_helper.load_dotenv = lambda **_: False
    return Scan


def load() -> None:
    """Imports Soda, which takes a moment the first time: for whoever has something else to wait for meanwhile."""
    with _one_is_made_at_a_time:
        _scan_class()


def _logs_of_thread(of: type, logger: Any = None) -> Any:
    if not hasattr(_of_thread, "logs"):
        _of_thread.logs = object.__new__(of)
        _of_thread.logs._initialize()
    return _of_thread.logs


def judged(
    name: str, expression: str, comparison: str = "", *, warn: str | None = None, fail: str | None = None
) -> dict[str, Any]:
    """SodaCL for a number and how it must compare (`between 1 and 3`), or when it warns and fails (`when > 3`).

    The expression is selected under a name of its own: Soda finds values by the names of their columns, and Spark calls
    all subqueries the same. It must not hold `${`, which Soda and Spark would replace; the contract's compiler sees to it.
    """
    metric = f"m_{name}"
    conditions = {"warn": warn, "fail": fail}
    return {
        f"{metric} {comparison}".strip(): {
            "name": name,
            f"{metric} expression": f"{expression} as {metric}",
            **{outcome: condition for outcome, condition in conditions.items() if condition},
        }
    }


def scan(spark: SparkSession, dataset: str, checks: Mapping[str, dict[str, Any]]) -> dict[str, Measured]:
    """Evaluates SodaCL checks (see `judged`), by name, on a dataset: a table or temporary view. One query for all.

    Returns a result for every name: a check that Soda left out (it drops what it cannot evaluate) is an error, never a
    pass. What cannot be evaluated takes the rest of its query with it, so the lost ones are asked for again in halves.
    """
    measured = _scan(spark, dataset, checks) if checks else {}
    lost = [name for name in checks if measured[name].outcome == "error"]
    if len(lost) < 2 or not _answers(spark):
        return measured
    middle = len(lost) // 2
    for half in (lost[:middle], lost[middle:]):
        measured |= scan(spark, dataset, {name: checks[name] for name in half})
    return measured


def _answers(spark: SparkSession) -> bool:
    """Whether the engine is there: if not, no check is to blame."""
    try:
        return bool(_query(spark, "select 1").collect())
    except Exception:
        return False


def _scan(spark: SparkSession, dataset: str, checks: Mapping[str, dict[str, Any]]) -> dict[str, Measured]:
    # With it, the query is of aggregates and has one row, also where all that is asked for are subqueries.
    anchor = judged("_rows", "count(*)", ">= 0")
    document = {f"checks for {dataset}": [*checks.values(), anchor]}
    with _one_is_made_at_a_time:
        runner = _scan_class()()
    runner.set_data_source_name("lakehouse")
    runner.add_spark_session(_EagerSession(spark), data_source_name="lakehouse")
    runner.add_sodacl_yaml_str(yaml.safe_dump(document, sort_keys=False, width=10_000))
    runner._configuration.samples_limit = 0  # records that break a rule are shown from the quarantine, masked
    source = runner._data_source_manager.get_data_source("lakehouse")
    source.get_max_aggregation_fields = lambda: len(checks) + 1  # beyond 50 it would read the data once more
    runner.build_scan_results = dict  # a document of all that was found takes as long to write as the rest
    runner.execute()
    found = {check.name: check for check in runner._checks}
    said = (str(log) for log in runner.get_error_logs() if _SHOWS_THE_VALUE not in str(log))
    problems = ("\n".join(said) or "it measured nothing")[:_PROBLEM_LENGTH]
    return {name: _measured(found.get(name), problems) for name in checks}


def _seconds(check: Any) -> float | None:
    queries = {id(query): query.duration for metric in check.metrics.values() for query in metric.queries}
    known = [duration.total_seconds() for duration in queries.values() if duration is not None]
    return sum(known) if known else None


def _measured(check: Any, problems: str) -> Measured:
    seconds = _seconds(check) if check else None
    if check is not None and check.check_value is not None and not isinstance(check.check_value, Number):
        kind = type(check.check_value).__name__  # not what it is: that may be a personal value
        return Measured("error", None, f"the result is not a number but of type {kind}", seconds)
    if check is None or check.outcome is None:
        return Measured("error", None, problems, seconds)
    value = _number(check.check_value)
    if value is not None and math.isnan(value):  # it compares as false, which Soda takes for a pass
        return Measured("error", None, "the result is not a number (NaN)", seconds)
    return Measured(check.outcome.value, value, seconds=seconds)


def _number(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None
