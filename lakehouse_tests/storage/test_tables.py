"""The verbs that change a table, against Delta itself."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from lakehouse.engine.config import catalog_dir
from lakehouse.settings import settings
from lakehouse.storage import tables
from lakehouse.storage.notes import commit_note, notes
from lakehouse.storage.tables import Field, TableShapeError, literal, quote

CONF = "spark.databricks.delta.commitInfo.userMetadata"
FIELDS = (Field("id", "bigint", "The key."), Field("name", "string", "It's a `name`\\ with 'quotes'\nand lines."))


@pytest.fixture
def table(spark: Any, schema: str) -> str:
    name = f"{schema}.people"
    tables.ensure(spark, settings().storage_dir, name, FIELDS, comment="It's people", properties={"p.a": "it's"})
    tables.append(spark.sql("select 1L as id, 'a' as name union all select 2L, 'b'"), name)
    return name


def rows(spark: Any, table: str) -> list[tuple[Any, ...]]:
    return sorted(tuple(row) for row in spark.table(table).collect())


def unset(spark: Any) -> bool:
    return spark.conf.get(CONF, "unset") == "unset"


def test_a_log_has_bounds_and_checkpoints_as_is_usual_or_as_the_table_says(spark: Any, schema: str) -> None:
    own = {tables.BOUNDED: "name", tables.CHECKPOINTED: "1"}
    for name, properties, bounded in (("first", {}, {"id"}), ("named", own, {"name"})):
        table = f"{schema}.{name}"
        tables.ensure(spark, settings().storage_dir, table, FIELDS, properties=properties)
        tables.append(spark.sql("select 1L as id, 'a' as name"), table)
        log = Path(settings().storage_dir) / schema / name / "_delta_log" / f"{1:020}.json"
        added = [json.loads(line)["add"] for line in log.read_text().splitlines() if '"add"' in line]
        assert [json.loads(file["stats"])["minValues"].keys() for file in added] == [bounded]
        assert any(log.parent.glob("*.checkpoint*")) == (name == "named")


def test_the_note_reaches_append_overwrite_replace_and_merge_and_is_unset_afterwards(spark: Any, table: str) -> None:
    one = spark.sql("select 3L as id, 'c' as name")
    tables.append(one, table, {"n": "append"})
    assert unset(spark)
    tables.replace_where(spark.sql("select 1L as id, 'A' as name"), table, "id < 3", {"n": "replace"})
    assert unset(spark)
    assert rows(spark, table) == [(1, "A"), (3, "c")]
    merged = spark.sql("select 3L as id, 'C' as name union all select 4L, 'd'")
    clauses = "when matched then update set * when not matched then insert *"
    tables.merge(merged, table, "target.id = source.id", clauses, {"n": 'merge "quoted" ü'})
    assert unset(spark)
    assert rows(spark, table) == [(1, "A"), (3, "C"), (4, "d")]
    tables.overwrite(one, table, {"n": "overwrite"})
    assert unset(spark)
    tables.append(one, table)  # carries none
    found = list(notes(spark, table))
    assert [note["n"] for _, note in found] == ["overwrite", 'merge "quoted" ü', "replace", "append"]
    assert [version for version, _ in found] == [5, 4, 3, 2]


def test_the_note_is_unset_also_when_the_statement_fails(spark: Any, table: str) -> None:
    with pytest.raises(Exception, match=r"(?i)nowhere"):
        tables.append(spark.sql("select nowhere from nothing"), table, {"n": "lost"})
    with pytest.raises(Exception, match=r"(?i)MULTIPLE_SOURCE_ROW"):
        twice = spark.sql("select 1L as id, 'x' as name union all select 1L, 'y'")
        tables.merge(twice, table, "target.id = source.id", "when matched then update set *", {"n": "lost"})
    with pytest.raises(RuntimeError), commit_note(spark, {"n": "lost"}):
        raise RuntimeError
    assert unset(spark)
    assert list(notes(spark, table)) == []
    assert rows(spark, table) == [(1, "a"), (2, "b")]
    assert not any("merge_source" in found.name for found in spark.catalog.listTables())
    assert spark.conf.get("spark.databricks.delta.merge.materializeSource") == "auto"


def test_ensure_adds_columns_and_keeps_rows_and_comments(spark: Any, table: str) -> None:
    storage = settings().storage_dir
    odd = Field("odd-`x`'", "array<struct<order:int,`end`:string>>", "new")
    for _ in range(2):  # the second time there is nothing to do
        tables.ensure(spark, storage, table, [*FIELDS, odd])
    assert rows(spark, table) == [(1, "a", None), (2, "b", None)]
    comments = {field.name: field.metadata.get("comment") for field in spark.table(table).schema}
    assert comments == {"id": FIELDS[0].comment, "name": FIELDS[1].comment, odd.name: "new"}
    detail = spark.sql(f"describe detail {table}").first()
    assert (detail["description"], detail["properties"]["p.a"]) == ("It's people", "it's")
    assert detail["location"].endswith(table.replace(".", "/"))


def test_ensure_refuses_another_type_and_changes_nothing(spark: Any, table: str) -> None:
    storage = settings().storage_dir
    with pytest.raises(TableShapeError, match=r"id is bigint, expected string.*full_refresh"):
        tables.ensure(spark, storage, table, [Field("id", "string"), FIELDS[1]])
    assert tables.version(spark, table) == 1
    tables.ensure(spark, storage, table, [Field("id", "LONG"), Field("name", "String")])  # the same by another name


def test_overwrite_keeps_the_shape_or_takes_another_in_the_same_commit(spark: Any, table: str) -> None:
    changed = (Field("id", "string", "A text now."), Field("name", "string", "As it was."))
    assert tables.has_other_types(spark, table, changed)
    assert not tables.has_other_types(spark, table, FIELDS)
    tables.overwrite(spark.sql("select 7L as id, 'g' as name"), table)
    assert spark.table(table).schema["name"].metadata == {"comment": FIELDS[1].comment}
    before = tables.version(spark, table)
    tables.overwrite(spark.sql("select 'seven' as id, 'g' as name"), table, {"n": "reshape"}, changed)
    assert tables.version(spark, table) == before + 1
    assert rows(spark, table) == [("seven", "g")]
    assert {f.name: f.metadata["comment"] for f in spark.table(table).schema} == {f.name: f.comment for f in changed}
    detail = spark.sql(f"describe detail {table}").first()
    assert (detail["description"], detail["properties"]["p.a"]) == ("It's people", "it's")
    assert spark.sql(f"select id from {table} version as of {before}").first()[0] == 7


def test_restore_goes_back_by_a_new_commit_and_only_if_need_be(spark: Any, table: str) -> None:
    tables.append(spark.sql("select 3L as id, 'c' as name"), table)
    assert tables.restore(spark, table, 1)
    assert rows(spark, table) == [(1, "a"), (2, "b")]
    version = tables.version(spark, table)
    assert version == 3
    assert not tables.restore(spark, table, version)
    assert tables.version(spark, table) == version


def test_replace_where_empties_a_range_and_refuses_rows_outside(spark: Any, table: str) -> None:
    with pytest.raises(Exception, match="REPLACE_WHERE_MISMATCH"):
        tables.replace_where(spark.sql("select 9L as id, 'z' as name"), table, "id < 3")
    assert rows(spark, table) == [(1, "a"), (2, "b")]
    tables.replace_where(spark.table(table).limit(0), table, "id = 2")
    assert rows(spark, table) == [(1, "a")]


def test_local_rows_keep_types_also_of_nulls_and_of_none_at_all(spark: Any) -> None:
    fields = [
        Field("a", "bigint"),
        Field("b", "string"),
        Field("c", "timestamp"),
        Field("d", "array<string>"),
        Field("e", "map<string,bigint>"),
    ]
    for given in ([], [(None, None, None, None, None)], [(1, "x", None, ["y"], {"z": 1})]):
        frame = tables.local_rows(spark, given, fields)
        assert [kind for _, kind in frame.dtypes] == [field.type for field in fields]
        assert [tuple(row) for row in frame.collect()] == given


NASTY = ["it's", "a\\b", "\\'", "line\nbreak", "tab\t", "ü € 😀", "`tick`", '"', "%_", "${x}", "{{y}}", "\\u0041", ""]


def name(index: int, text: str) -> str:
    """Spark substitutes `${…}` in SQL text; a name, unlike a literal, cannot escape it."""
    return f"{index} {text.replace('$', '')}"


def test_literals_and_quoted_names_come_back_as_they_were(spark: Any) -> None:
    frame = spark.sql(
        "select " + ", ".join(f"{literal(text)} as {quote(name(i, text))}" for i, text in enumerate(NASTY))
    )
    assert frame.columns == [name(i, text) for i, text in enumerate(NASTY)]
    assert list(frame.first()) == NASTY


def test_views_are_made_again_and_a_missing_table_is_said_to_be_missing(spark: Any, table: str, schema: str) -> None:
    storage = settings().storage_dir
    for query, expected in ((f"select id from {table}", 2), (f"select id from {table} where id = 1", 1)):
        tables.create_view(spark, storage, f"{schema}.seen", query)
        assert spark.table(f"{schema}.seen").count() == expected
    assert tables.exists(spark, table)
    assert not tables.exists(spark, f"{schema}.nothing")
    assert not tables.has_other_types(spark, f"{schema}.nothing", FIELDS)


@pytest.mark.parametrize("is_local", [True, False], ids=["a local folder", "storage without locks"])
def test_several_at_once_create_a_table_that_all_of_them_find(
    spark: Any, schema: str, monkeypatch: pytest.MonkeyPatch, is_local: bool
) -> None:
    """Steps that run side by side share the tables of `ops`, and the first run of all finds none of them."""
    if not is_local:
        monkeypatch.setattr(tables, "_sole_creator", lambda storage: nullcontext())
    together = Barrier(4)

    def create(table: str) -> None:
        together.wait()
        tables._create(spark, settings().storage_dir, table, FIELDS, "", {})

    for number in range(4):
        table = f"{schema}.shared_{number}"
        with ThreadPoolExecutor(4) as pool:
            for ended in [pool.submit(create, table) for _ in range(4)]:
                ended.result()
        assert tables.version(spark, table) == 0


def test_what_cannot_be_opened_is_there_all_the_same(spark: Any, schema: str) -> None:
    for name in ("kept", "seen", "lost"):
        spark.sql(f"create table {schema}.{name} (id int) using delta")
    spark.sql(f"create view {schema}.looks as select id from {schema}.seen")
    spark.sql(f"drop table {schema}.seen")
    shutil.rmtree(f"{settings().storage_dir}/{schema}/lost")
    found = {name: tables.exists(spark, f"{schema}.{name}") for name in ("kept", "looks", "lost", "seen", "never")}
    assert found == {"kept": True, "looks": True, "lost": True, "seen": False, "never": False}
    assert not tables.exists(spark, "nowhere.never")
    nobody: Any = None  # the embedded engine keeps files of what is there, and is not asked
    assert all(tables.exists(nobody, f"{schema}.{name.title()}") for name in found if found[name])
    assert tables.exists(spark, f"spark_catalog.{schema}.kept") and not tables.exists(
        spark, f"spark_catalog.{schema}.never"
    )
    files = catalog_dir(settings()) / schema
    shutil.rmtree(files)
    spark.sql(f"create table {schema}.later (id int) using delta")
    assert (files / "later").exists() and tables.exists(spark, f"{schema}.kept"), "what a running engine knows is there"
