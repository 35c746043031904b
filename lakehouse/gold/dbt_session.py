"""dbt's cursor on Spark Connect: one call a query, where the adapter's own makes six.

The adapter was written for a Spark in its own process. Over Connect it sets three settings before each statement, two of
which the server refuses, one thread after the other; and each query is analyzed three times: when it is sent, when its
columns are asked for, and when its rows are.
"""

import os
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from dbt.adapters.spark import session as adapter
from dbt_common.exceptions import DbtRuntimeError
from pyspark.errors import AnalysisException
from pyspark.sql.connect.conversion import ArrowTableToRowsConversion
from pyspark.sql.connect.dataframe import DataFrame
from pyspark.sql.connect.plan import SQL
from pyspark.sql.connect.session import SparkSession
from pyspark.sql.types import Row

from lakehouse.engine.client import configure
from lakehouse.engine.config import session_conf

_QUERY = re.compile(r"\s*(/\*.*?\*/\s*|--[^\n]*\n\s*)*(select|with)\b", re.IGNORECASE | re.DOTALL)

_lock = threading.Lock()
_opened: list[SparkSession] = []


def install() -> None:
    """Makes dbt's connections use this cursor, in this process."""
    adapter.Cursor = Cursor  # type: ignore[misc]


def is_query(sql: str) -> bool:
    """Whether a statement only reads, by what it begins with after comments."""
    return _QUERY.match(sql) is not None


def _session(conf: Mapping[str, str]) -> SparkSession:
    """The session of all threads: temporary views of one are seen by none but its own statements."""
    with _lock:
        if not _opened:
            session: Any = SparkSession.builder.remote(os.environ["SPARK_REMOTE"]).getOrCreate()
            own = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in conf.items()}
            configure(session, {**session_conf(), **own})  # the same meaning of time as elsewhere
            _opened.append(session)
        return _opened[0]


class Cursor(adapter.Cursor):
    """A statement and what it returned."""

    _names: Sequence[str] | None = None

    def execute(self, sql: str, *parameters: Any) -> None:
        """Runs the statement. A query is one plan, with its rows; a command's rows are had when they are asked for."""
        text = sql % parameters if parameters else sql
        spark = _session(self.server_side_parameters)
        try:
            if is_query(text):
                self._df = DataFrame.withPlan(SQL(text), spark)  # type: ignore[assignment]
                self.fetchall()
            else:
                self._df = spark.sql(text)  # type: ignore[assignment]
        except AnalysisException as problem:
            raise DbtRuntimeError(str(problem)) from problem

    def fetchall(self) -> list[Row] | None:
        if self._rows is None and self._df is not None:
            frame: Any = self._df
            client = frame.sparkSession.client
            table, schema = client.to_table(frame._plan.to_proto(client))
            self._names = schema.names
            self._rows = ArrowTableToRowsConversion.convert(table, schema)
        return self._rows

    @property
    def description(self) -> Sequence[tuple[str, Any, None, None, None, None, bool]]:
        self.fetchall()
        return [(name, "string", None, None, None, None, True) for name in self._names or ()]
