"""What the client's session says, and what it keeps to itself."""

import gc
import logging.config
import os
import re
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql.connect.client.reattach import ExecutePlanResponseReattachableIterator

from lakehouse.engine import lifecycle
from lakehouse.engine.client import connect, reconnect, remote_url
from lakehouse.settings import settings
from lakehouse.storage import tables


def test_a_refused_query_is_told_by_its_exception_alone(spark: Any, capfd: pytest.CaptureFixture[str]) -> None:
    """Also after Dagster has configured the process's logs, which turns on loggers that were off."""
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
    with pytest.raises(AnalysisException):
        spark.sql("select nowhere").collect()
    assert capfd.readouterr().err == ""


def test_dbt_s_session_keeps_dates_of_long_ago_too(spark: Any, schema: str) -> None:
    made = (
        f"create table {schema}.old using delta as select date'1582-10-10' as day, timestamp'1899-12-31 00:00:00' as at"
    )
    code = (
        f'from lakehouse.gold.dbt_session import _session; _session({{"spark.sql.ansi.enabled": False}}).sql("{made}")'
    )
    environment = {**os.environ, "SPARK_REMOTE": remote_url(settings())}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120)
    assert tuple(spark.sql(f"select cast(day as string), cast(at as string) from {schema}.old").first()) == (
        "1582-10-10", "1899-12-31 00:00:00",
    )  # fmt: skip


@pytest.mark.parametrize("tasks", ["many", "a core each"])
def test_short_queries_take_turns_with_a_long_one(spark: Any, tasks: str) -> None:
    """Of whoever asks for much, as a load of a year does, nobody else waits for all of it."""
    cores = int(spark.conf.get("spark.sql.shuffle.partitions"))
    rows, count = 4_000_000 * cores, 100 if tasks == "many" else cores

    def long() -> Any:
        return (
            connect(settings())
            .sql(f"select max(sha2(cast(id as string), 512)) from range(0, {rows}, 1, {count})")
            .first()
        )

    with ThreadPoolExecutor(1) as beside:
        running = beside.submit(long)
        rounds = 0
        while not running.done():
            spark.sql("select sum(id) from range(0, 10, 1, 2)").first()
            rounds += 1
    assert running.result() is not None
    assert rounds > 5


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
