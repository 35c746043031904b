"""What one session writes into the catalog is seen by all; what outlives the engine, `test_engine` tells."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pyspark.errors import AnalysisException

from lakehouse.engine import lifecycle
from lakehouse.engine.client import connect
from lakehouse.settings import settings


def test_what_is_written_is_seen_at_once_by_all_sessions(spark: Any, schema: str) -> None:
    with ThreadPoolExecutor(1) as other:
        reader = other.submit(connect, settings()).result()
    assert reader.session_id != spark.session_id

    def seen(name: str) -> Any:
        return reader.sql(f"select * from {schema}.{name}").columns

    def is_there(name: str) -> bool:
        return bool(reader.catalog.tableExists(f"{schema}.{name}"))

    assert not is_there("numbers")
    spark.sql(f"create table {schema}.numbers (id int) using delta comment 'first'")
    assert is_there("numbers")
    assert seen("numbers") == ["id"]
    spark.sql(f"alter table {schema}.numbers add column (name string)")
    assert seen("numbers") == ["id", "name"]
    spark.sql(f"create or replace view {schema}.looked as select id from {schema}.numbers")
    assert seen("looked") == ["id"]
    spark.sql(f"create or replace view {schema}.looked as select name from {schema}.numbers")
    assert seen("looked") == ["name"]
    spark.sql(f"alter view {schema}.looked as select name as said from {schema}.numbers")
    assert seen("looked") == ["said"]
    spark.sql(f"alter table {schema}.numbers rename to {schema}.figures")
    assert is_there("figures")
    assert not is_there("numbers")
    assert seen("figures") == ["id", "name"]
    spark.sql(f"drop view {schema}.looked")
    with pytest.raises(AnalysisException, match="TABLE_OR_VIEW_NOT_FOUND"):
        seen("looked")
    spark.sql(f"drop table {schema}.figures")
    assert not is_there("figures")
    spark.sql(f"create table {schema}.numbers (other int)")
    assert spark.sql(f"describe detail {schema}.numbers").first()["format"] == "delta"
    assert seen("numbers") == ["other"]
    spark.sql(f"create table {schema}.lines (a int) using parquet")  # the columns of others are in the catalog alone
    for name in ("b", "c"):
        spark.sql(f"alter table {schema}.lines add columns ({name} int)")
    assert seen("lines") == ["a", "b", "c"]
    spark.sql(f"drop table {schema}.LINES")
    assert not is_there("lines")
    spark.sql(f"drop schema {schema} cascade")
    assert not reader.catalog.databaseExists(schema)
    spark.sql(f"create schema {schema}")
    assert not is_there("numbers")


def test_nothing_makes_the_engine_slower_than_it_is_made(spark: Any) -> None:
    assert spark.sql("select 1").first()[0] == 1
    assert "makes the engine slower" not in lifecycle.out_path(settings()).read_text()
