"""What the client's session says, and what it keeps to itself."""

import gc
import logging.config
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql.connect.client.reattach import ExecutePlanResponseReattachableIterator

from lakehouse.engine import lifecycle
from lakehouse.engine.client import connect, reconnect
from lakehouse.settings import settings
from lakehouse.storage import tables


def test_a_refused_query_is_told_by_its_exception_alone(spark: Any, capfd: pytest.CaptureFixture[str]) -> None:
    """Also after Dagster has configured the process's logs, which turns on loggers that were off."""
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
    with pytest.raises(AnalysisException):
        spark.sql("select nowhere").collect()
    assert capfd.readouterr().err == ""


def test_the_log_has_what_went_wrong_and_not_what_was_asked_for_in_vain(spark: Any) -> None:
    asked = f"nothing_{uuid.uuid4().hex}"
    assert not tables.exists(spark, f"default.{asked}")
    fails = f"it fails {uuid.uuid4().hex}"
    with pytest.raises(PySparkException):
        spark.sql(f"select raise_error('{fails}') from range(1)").collect()
    log = lifecycle.log_path(settings()).read_text()
    assert asked not in log
    after = log[log.index(fails) :]
    assert re.search(r"\n\tat [^\n]*\n(?!\tat)", after), "the next entry begins on a line of its own"


def test_a_session_that_is_let_go_takes_nothing_from_those_of_other_threads(spark: Any) -> None:
    farewells = ExecutePlanResponseReattachableIterator._release_thread_pool
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(connect, settings()).result().session_id
        assert thread.submit(reconnect, settings()).result().session_id != first
    gc.collect()
    assert ExecutePlanResponseReattachableIterator._release_thread_pool is farewells
    assert spark.sql("select 1").first()[0] == 1
