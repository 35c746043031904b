"""What the client's session says, and what it keeps to itself."""

import gc
import logging.config
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql.connect.client.reattach import ExecutePlanResponseReattachableIterator

from lakehouse.engine.client import connect, reconnect
from lakehouse.settings import settings


def test_a_refused_query_is_told_by_its_exception_alone(spark: Any, capfd: pytest.CaptureFixture[str]) -> None:
    """Also after Dagster has configured the process's logs, which turns on loggers that were off."""
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
    with pytest.raises(AnalysisException):
        spark.sql("select nowhere").collect()
    assert capfd.readouterr().err == ""


def test_a_session_that_is_let_go_takes_nothing_from_those_of_other_threads(spark: Any) -> None:
    farewells = ExecutePlanResponseReattachableIterator._release_thread_pool
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(connect, settings()).result().session_id
        assert thread.submit(reconnect, settings()).result().session_id != first
    gc.collect()
    assert ExecutePlanResponseReattachableIterator._release_thread_pool is farewells
    assert spark.sql("select 1").first()[0] == 1
