"""Create, write, restore and describe Delta tables by name (`schema.table`), each at `<storage>/<schema>/<table>`."""

import math
import random
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from filelock import FileLock
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, DataFrameWriter, SparkSession
from pyspark.sql import types as T

from lakehouse.contracts.changes import keeps_values
from lakehouse.engine import kept_catalog
from lakehouse.engine.client import configured
from lakehouse.engine.config import catalog_dir
from lakehouse.settings import settings
from lakehouse.storage.notes import last_commit, note_conf, note_text


@dataclass(frozen=True)
class Field:
    """One column of a table to create: its name, Spark SQL type and comment."""

    name: str
    type: str
    comment: str = ""

    @property
    def ddl(self) -> str:
        comment = f" comment {literal(self.comment)}" if self.comment else ""
        return f"{quote(self.name)} {self.type}{comment}"


def quote(name: str) -> str:
    """A column or schema name as SQL, whatever characters it has."""
    return f"`{name.replace('`', '``')}`"


def literal(text: str) -> str:
    """A string as a Spark SQL literal (backslash escapes, as Spark reads them by default)."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    escaped = escaped.replace("${", "\\u0024{")  # which Spark would substitute as a variable, anywhere in its SQL
    return f"'{escaped}'"


def location(storage: str, table: str) -> str:
    schema, name = table.split(".")
    return f"{storage}/{schema}/{name}"


def ensure_schema(spark: SparkSession, storage: str, schema: str) -> None:
    spark.sql(f"create schema if not exists {quote(schema)} location {literal(f'{storage}/{schema}')}")


_FOUND_FOR_SECONDS = 5
_found: WeakKeyDictionary[SparkSession, dict[str, float]] = WeakKeyDictionary()


def exists(spark: SparkSession, table: str) -> bool:
    """Whether there is a table or view of that name. The embedded engine keeps a file of each: where one is, and storage is a local
    folder, which is there whenever the engine is, it is not asked. Nor is it asked again for one that was there within five seconds:
    a step asks a dozen times for the same few, which nobody drops meanwhile."""
    here = settings()
    is_local = here.spark_remote is None and "://" not in here.storage_dir
    if is_local and kept_catalog.keeps(catalog_dir(here), table):
        return True
    found = _found.setdefault(spark, {})
    now = time.monotonic()
    if now - found.get(table, -math.inf) < _FOUND_FOR_SECONDS:
        return True
    try:
        _ = spark.table(table).schema  # an eighth of what `tableExists` costs, which is asked of what cannot be opened
    except PySparkException as problem:
        own = ".".join(map(quote, table.split(".")))
        return f"{own} cannot be found" not in str(problem) and bool(spark.catalog.tableExists(table))
    found[table] = now
    return True


def ensure(
    spark: SparkSession,
    storage: str,
    table: str,
    fields: Sequence[Field],
    *,
    comment: str = "",
    properties: dict[str, str] | None = None,
    widen: bool = False,
) -> None:
    """Creates the table, or adds the columns that it lacks. Idempotent.

    `properties`: Delta's, of a table that is created; what they leave out is as in `_PROPERTIES`.

    Raises TableShapeError where a column exists with another type: that is never changed silently. With `widen`, a type
    that became wider is changed, by rewriting the table in one commit. (In place, Delta 3.3 on Spark 3.5 widens whole
    numbers up to int alone, by a preview feature that other readers refuse.)
    """
    if not exists(spark, table):
        _create(spark, storage, table, fields, comment, _PROPERTIES | (properties or {}))
        return
    seen = (str(getattr(spark, "session_id", id(spark))), table, tuple(fields))
    if seen in _seen:
        return
    actual = {field.name: field.dataType.simpleString() for field in spark.table(table).schema}
    missing = [field for field in fields if field.name not in actual]
    if missing:
        spark.sql(f"alter table {table} add columns ({', '.join(field.ddl for field in missing)})")
    wanted = {field.name: _canonical(field.type) for field in fields if field.name in actual}
    other = {name: kind for name, kind in wanted.items() if _canonical(actual[name]) != kind}
    if other and not (widen and _are_wider(actual, other)):
        raise TableShapeError(table, [f"{name} is {actual[name]}, expected {kind}" for name, kind in other.items()])
    if other:
        extra = [Field(name, kind) for name, kind in actual.items() if name not in wanted]
        whole = [*fields, *extra]
        frame = spark.table(table).selectExpr(*(f"cast({quote(f.name)} as {f.type}) as {quote(f.name)}" for f in whole))
        overwrite(frame, table, fields=whole, turn=(f"widen after:{table}", version(spark, table)))
    _seen.add(seen)


CHECKPOINTED = "delta.checkpointInterval"
"""The property that says after how many commits a log is put together. What is older than its retention (30 days) goes then."""
BOUNDED = "delta.dataSkippingStatsColumns"
"""The property that lists the columns of which each file has the least and the greatest value in the log."""
_PROPERTIES = {
    # Without `BOUNDED`, the first column alone: to find them for all columns took a third of what it costs to write a few rows.
    "delta.dataSkippingNumIndexedCols": "1",
    # By default each tenth commit, and a checkpoint costs several times what a small one does. What is asked of a log stands beside
    # each commit.
    CHECKPOINTED: "50",
}

_seen: set[tuple[str, str, tuple[Field, ...]]] = set()
"""Tables whose shape this session has compared already: columns are added and types changed by this module alone."""


def has_other_types(spark: SparkSession, table: str, fields: Sequence[Field]) -> bool:
    """Whether a column of an existing table has another type than `fields` says: only `overwrite` can change that."""
    actual = _types(spark, table)
    return any(actual[field.name] != _canonical(field.type) for field in fields if field.name in actual)


def has_wider_types(spark: SparkSession, table: str, fields: Sequence[Field]) -> bool:
    """Whether columns of an existing table have other types than `fields` says, and all of those are wider ones."""
    actual = _types(spark, table)
    wanted = {field.name: _canonical(field.type) for field in fields if field.name in actual}
    other = {name: kind for name, kind in wanted.items() if actual[name] != kind}
    return bool(other) and _are_wider(actual, other)


def _are_wider(actual: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(keeps_values(_canonical(actual[name]), kind) for name, kind in wanted.items())


def has_shape(spark: SparkSession, table: str, fields: Sequence[Field]) -> bool:
    """Whether an existing table has the columns of `fields` in their order and with their types, and no other."""
    return list(_types(spark, table).items()) == [(field.name, _canonical(field.type)) for field in fields]


def _types(spark: SparkSession, table: str) -> dict[str, str]:
    """Column → type; of no table, nothing."""
    if not exists(spark, table):
        return {}
    return {field.name: _canonical(field.dataType.simpleString()) for field in spark.table(table).schema}


def _create(
    spark: SparkSession,
    storage: str,
    table: str,
    fields: Sequence[Field],
    comment: str,
    properties: dict[str, str],
) -> None:
    """Of several at once, one creates the table and the others find it: steps that run side by side share those of `ops`."""
    listed = ", ".join(f"{literal(key)} = {literal(value)}" for key, value in properties.items())
    create = (
        f"create table if not exists {table} ({', '.join(field.ddl for field in fields)})"
        f"\nusing delta\nlocation {literal(location(storage, table))}\ncomment {literal(comment)}"
        + (f"\ntblproperties ({listed})" if listed else "")
    )
    with _sole_creator(storage):
        ensure_schema(spark, storage, table.split(".")[0])
        for further in reversed(range(_CREATE_ATTEMPTS)):
            try:
                spark.sql(create)
                return
            except PySparkException as problem:
                if not further or not _CREATED_MEANWHILE.search(str(problem)):
                    raise
                time.sleep(random.uniform(0.05, 0.5))  # noqa: S311 - only that not all ask again at once


_CREATE_ATTEMPTS = 5
"""Each round at least one writer succeeds, and those that lost meet one fewer; no more than four steps run at once."""

_CREATED_MEANWHILE = re.compile(
    r"DELTA_(PROTOCOL|METADATA)_CHANGED|DELTA_CREATE_TABLE_WITH_NON_EMPTY_LOCATION|DELTA_TABLE_ALREADY_EXISTS"
)
"""What Delta says where another machine created the table at the same moment: it is there now."""


@contextmanager
def _sole_creator(storage: str) -> Iterator[None]:
    """One at a time, where storage is a local folder. Ends with the process."""
    if "://" in storage:
        yield
        return
    Path(storage).mkdir(parents=True, exist_ok=True)
    with FileLock(Path(storage) / "_creating.lock"):
        yield


_TYPES: dict[str, T.DataType] = {
    "string": T.StringType(),
    "bigint": T.LongType(),
    "int": T.IntegerType(),
    "double": T.DoubleType(),
    "boolean": T.BooleanType(),
    "date": T.DateType(),
    "timestamp": T.TimestampType(),
    "array<string>": T.ArrayType(T.StringType()),
    "map<string,bigint>": T.MapType(T.StringType(), T.LongType()),
    "map<string,string>": T.MapType(T.StringType(), T.StringType()),
}


def local_rows(spark: SparkSession, rows: Sequence[tuple[Any, ...]], fields: Sequence[Field]) -> DataFrame:
    """A few rows of this process as a DataFrame with the names and types of `fields` (simple types only).

    The types are given as objects: from a DDL string, Spark's Connect client guesses them from the values.
    """
    schema = T.StructType([T.StructField(field.name, _TYPES[field.type]) for field in fields])
    return spark.createDataFrame(list(rows), schema)


def _canonical(kind: str) -> str:
    return kind.lower().replace(" ", "").replace("`", "").replace("integer", "int").replace("long", "bigint")


class TableShapeError(Exception):
    """A table exists with a column of another type than its contract asks for."""

    def __init__(self, table: str, wrong: Iterable[str]) -> None:
        super().__init__(
            f"{table} has columns of another type than its contract: {'; '.join(wrong)}. "
            f"Rebuild it (`lakehouse rebuild {table.partition('.')[2]}`, in Dagster full_refresh), or put the old type back "
            "into the contract."
        )


class ConcurrentWriterError(Exception):
    """Another writer committed to the same table in between; the work is safe to run again."""


Turn = tuple[str, int]
"""(name, number) of a commit that only one writer may make. Delta keeps the number in the commit, and passes over a write
whose number is not higher than the last one of that name. Whoever derives the number from the state that was read, and
from nothing that another writer may draw anew, has it committed only on that state. A write that was passed over says
nothing: look for its note."""

CONFLICT = re.compile(r"Concurrent(Append|DeleteRead|DeleteDelete|Transaction|Write)|MetadataChanged|DELTA_CONCURRENT")
"""What Delta says of a commit that lost a race."""


@contextmanager
def _sole_writer(table: str) -> Iterator[None]:
    """Raises ConcurrentWriterError for what Delta says of a commit that lost a race."""
    try:
        yield
    except PySparkException as problem:
        if CONFLICT.search(str(problem)):
            raise lost_race(table) from problem
        raise


def lost_race(table: str) -> ConcurrentWriterError:
    return ConcurrentWriterError(
        f"{table}: another writer committed to it meanwhile; nothing was written by this one. Run it again."
    )


def _writer(frame: DataFrame, note: dict[str, Any] | None, turn: Turn | None = None) -> DataFrameWriter:
    writer = frame.write.format("delta")
    if turn is not None:
        writer = writer.option("txnAppId", turn[0]).option("txnVersion", str(turn[1]))
    return writer if note is None else writer.option("userMetadata", note_text(note))


def append(frame: DataFrame, table: str, note: dict[str, Any] | None = None, turn: Turn | None = None) -> None:
    with _sole_writer(table):
        _writer(frame, note, turn).mode("append").saveAsTable(table)


def overwrite(
    frame: DataFrame,
    table: str,
    note: dict[str, Any] | None = None,
    fields: Sequence[Field] | None = None,
    turn: Turn | None = None,
) -> None:
    """Replaces all rows in one commit; the table keeps its shape and comments, or takes those of `fields` with it."""
    shaped = frame
    if fields is not None:
        shaped = frame.select(*(frame[quote(f.name)].alias(f.name, metadata={"comment": f.comment}) for f in fields))
    writer = _writer(shaped, note, turn).mode("overwrite").option("overwriteSchema", str(fields is not None).lower())
    with _sole_writer(table):
        writer.saveAsTable(table)


def replace_where(
    frame: DataFrame, table: str, predicate: str, note: dict[str, Any] | None = None, turn: Turn | None = None
) -> None:
    """Replaces the rows for which `predicate` holds by those of `frame`, in one commit."""
    with _sole_writer(table):
        _writer(frame, note, turn).mode("overwrite").option("replaceWhere", predicate).saveAsTable(table)


def merge(
    source: DataFrame,
    table: str,
    on: str,
    clauses: str,
    note: dict[str, Any] | None = None,
    turn: Turn | None = None,
) -> int:
    """`merge into table as target using source on … clauses`, in one commit; aliases: `target` and `source`. `source` says the
    same each time that it is read. Returns how many rows it inserted, updated or deleted."""
    of_commit = (
        _READ_TWICE
        | (note_conf(note) if note is not None else {})
        | (dict(zip(_TURN, map(str, turn), strict=True)) if turn else {})
    )
    view = f"merge_source_{table.replace('.', '_')}"
    source.createOrReplaceTempView(view)
    spark = source.sparkSession
    try:
        with _sole_writer(table), configured(spark, of_commit):
            done = spark.sql(f"merge into {table} as target\nusing {view} as source\non {on}\n{clauses}").collect()
            return int(done[0]["num_affected_rows"]) if done else 0  # nothing is said of one that was passed over
    finally:
        spark.catalog.dropTempView(view)


_TURN = ("spark.databricks.delta.write.txnAppId", "spark.databricks.delta.write.txnVersion")
"""What makes the commits of a session a turn: for MERGE, which takes no option. Always unset, or Delta would pass over whatever
comes after it."""
_READ_TWICE = {"spark.databricks.delta.merge.materializeSource": "none"}
"""A merge reads its source twice. By default Delta writes it down first where it is no Delta table; what is merged here is a staged
file or a query on tables, and says the same each time."""


def compact(spark: SparkSession, table: str) -> None:
    """Puts small files together, in a commit of its own that changes no row; those of 128 MiB and more stay as they are."""
    spark.sql(f"optimize {table}").collect()


def version(spark: SparkSession, table: str) -> int:
    """The table's newest version."""
    return last_commit(spark, table)[0]


def restore(spark: SparkSession, table: str, to_version: int) -> bool:
    """Puts the table back to a version, by a new commit; False (and no commit) where it is there already."""
    if version(spark, table) == to_version:
        return False
    spark.sql(f"restore table {table} to version as of {to_version}").collect()
    return True


def create_view(
    spark: SparkSession, storage: str, view: str, query: str, properties: Mapping[str, str] | None = None
) -> None:
    ensure_schema(spark, storage, view.split(".")[0])
    listed = ", ".join(f"{literal(key)} = {literal(value)}" for key, value in (properties or {}).items())
    spark.sql(f"create or replace view {view}{f' tblproperties ({listed})' if listed else ''} as\n{query}")
