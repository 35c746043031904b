"""The catalog is disposable: it is filled again from the Delta tables that the storage holds."""

import re
from dataclasses import dataclass
from typing import Any

_COMMIT = re.compile(r"\d{20}\.(json$|checkpoint)")


@dataclass(frozen=True)
class Found:
    """What a scan changed: tables registered, and entries dropped because their files are gone."""

    registered: int
    dropped: int


def quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def register_tables(spark: Any, storage: str) -> Found:
    """Makes the catalog agree with the commits in `<storage>/<schema>/<table>/_delta_log`.

    Tables that the catalog lacks are registered under their schema (created at `<storage>/<schema>`); a Delta table's entry
    that points to such a place where none is any more is dropped, so that the name can be used again. Views and tables of
    other formats are left alone. `spark` is a classic session of the server. Idempotent; changes no data file.
    """
    disk = _tables_on_disk(spark, storage)
    schemas = {str(row[0]) for row in spark.sql("show databases").collect()}
    registered = dropped = 0
    for schema, tables in disk.items():
        if schema not in schemas:
            spark.sql(f"create schema if not exists {quoted(schema)} location '{_literal(f'{storage}/{schema}')}'")
        known = {str(row["tableName"]) for row in spark.sql(f"show tables in {quoted(schema)}").collect()}
        for table in sorted(tables - known):
            place = _literal(f"{storage}/{schema}/{table}")
            name = f"{quoted(schema)}.{quoted(table)}"
            spark.sql(f"create table if not exists {name} using delta location '{place}'")
            registered += 1
    for schema in sorted(schemas):
        dropped += _drop_lost(spark, storage, schema, disk.get(schema, set()))
    return Found(registered, dropped)


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")


def _tables_on_disk(spark: Any, storage: str) -> dict[str, set[str]]:
    """Schema → tables, for each folder whose Delta log holds a commit. Through Hadoop, so that any storage will do."""
    path_class = spark._jvm.org.apache.hadoop.fs.Path
    root = path_class(storage)
    files = root.getFileSystem(spark._jsc.hadoopConfiguration())
    found: dict[str, set[str]] = {}
    for schema in _folders(files, root):
        tables = {str(table.getName()) for table in _folders(files, schema) if _has_commit(files, path_class, table)}
        if tables:
            found[str(schema.getName())] = tables
    return found


def _has_commit(files: Any, path_class: Any, table: Any) -> bool:
    """A log without one is what is left of a table whose first commit was under way when its writer ended."""
    log = path_class(table, "_delta_log")
    return bool(files.exists(log)) and any(
        _COMMIT.match(str(status.getPath().getName())) for status in files.listStatus(log)
    )


def _folders(files: Any, parent: Any) -> list[Any]:
    if not files.exists(parent):
        return []
    paths = (status.getPath() for status in files.listStatus(parent) if status.isDirectory())
    return [path for path in paths if not str(path.getName()).startswith(("_", "."))]


def _drop_lost(spark: Any, storage: str, schema: str, on_disk: set[str]) -> int:
    catalog = spark._jsparkSession.sessionState().catalog()
    dropped = 0
    for row in spark.sql(f"show tables in {quoted(schema)}").collect():
        name = str(row["tableName"])
        if name in on_disk or row["isTemporary"]:
            continue
        identifier = (
            spark._jsparkSession.sessionState().sqlParser().parseTableIdentifier(f"{quoted(schema)}.{quoted(name)}")
        )
        entry = catalog.getTableMetadata(identifier)
        kind = entry.provider()
        if kind.isEmpty() or str(kind.get()) != "delta":  # a view, or somebody's table of another format
            continue
        if entry.storage().locationUri().isEmpty():
            continue
        location = str(entry.location().toString()).removeprefix("file:").replace("///", "/").rstrip("/")
        if location == f"{storage}/{schema}/{name}".removeprefix("file:"):
            spark.sql(f"drop table if exists {quoted(schema)}.{quoted(name)}")
            dropped += 1
    return dropped
