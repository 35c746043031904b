"""Contracts for tables that are declared elsewhere: each passes the check, and says what it took over and what it guessed."""

import json
from pathlib import Path
from typing import Any

import pytest

from lakehouse.contracts.declarations import propose_dbt, propose_ddl
from lakehouse.contracts.known_types import declared
from lakehouse.contracts.loader import check, load
from lakehouse.contracts.model import Contract
from lakehouse.contracts.samples import ProfileError

DUMP = """\
SET statement_timeout = 0;
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE crm.orders (
    id bigint NOT NULL,
    "Customer Id" uuid NOT NULL REFERENCES customers(id),
    state character varying(20) DEFAULT 'new' CHECK (state IN ('new', 'it''s')),
    total numeric(12,2) NOT NULL,
    weight numeric,
    payload jsonb,
    photo bytea,
    tags text[],
    email text,
    reference text UNIQUE,
    feeling mood,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT positive CHECK ((total > 0)),
    CONSTRAINT one UNIQUE ("Customer Id", updated_at)
);
COMMENT ON TABLE crm.orders IS 'What people ordered.';
COMMENT ON COLUMN crm.orders.total IS 'It''s the total: with tax.';
ALTER TABLE ONLY crm.orders ADD CONSTRAINT orders_pkey PRIMARY KEY (id);
"""


def used(tmp_path: Path, text: str) -> Contract:
    """The proposal as it is loaded, once it has passed the check."""
    path = tmp_path / "proposal.yaml"
    path.write_text(text, encoding="utf-8")
    assert check([path]) == []
    return load(path)


def of_ddl(tmp_path: Path, sql: str, **how: Any) -> tuple[Contract, str]:
    file = tmp_path / "tables.sql"
    file.write_text(sql, encoding="utf-8")
    text = propose_ddl(file, how.get("table"), how.get("source"), how.get("dialect", "spark"))
    return used(tmp_path, text), text


def test_a_dump_of_postgres(tmp_path: Path) -> None:
    of, text = of_ddl(tmp_path, DUMP, dialect="postgres")
    assert (of.table, of.keys, of.description) == ("crm_orders", ("id",), "What people ordered.")
    assert {column.name: column.type for column in of.columns} == {
        "id": "bigint",
        "customer_id": "string",
        "state": "string",
        "total": "decimal(12,2)",
        "weight": "decimal(38,10)",
        "payload": "string",
        "photo": "string",
        "tags": "array<string>",
        "email": "string",
        "reference": "string",
        "feeling": "string",
        "updated_at": "timestamp",
    }
    assert [column.name for column in of.columns if column.required] == ["id", "customer_id", "total", "updated_at"]
    assert of.column("customer_id").source_name == "Customer Id"
    assert of.column("total").description == "It's the total: with tax."
    assert of.column("state").accepted == ("new", "it's")
    assert dict(of.column("state").options) == {"maxLength": 20}
    assert of.column("reference").unique and of.column("email").mask == "hash"
    assert of.sequence == ("updated_at",)
    for note in (
        "# review: the source checks `total > 0`",
        "# review: Customer Id, updated_at are unique together",
        "# review: refers to customers (id)",
        "# review: the number of digits is not declared",
        "# review: jsonb in the source",
        "`mood` has no counterpart",
    ):
        assert note in text, note


def test_a_statement_of_spark(tmp_path: Path) -> None:
    of, text = of_ddl(
        tmp_path,
        "create table shop.events (`Event Id` string not null comment 'Which.', at timestamp,"
        " lines array<struct<n:int,`Sku Code`:string>>, m map<string,int>, b binary, s struct<a:int,b:struct<c:date>>)"
        " using delta comment 'Events.' partitioned by (at)",
    )
    assert (of.table, of.keys, of.delivery) == ("shop_events", ("event_id",), "append")
    assert of.column("event_id").description == "Which." and of.column("event_id").source_name == "Event Id"
    assert of.column("lines").type == "array<struct<n:int,sku_code:string>>"
    assert (of.column("m").type, of.column("s").type) == ("map<string,int>", "struct<a:int,b:struct<c:date>>")
    assert "no key is declared, so this is a guess by name" in text and "`binary` has no counterpart" in text


def test_a_key_of_several_columns_and_one_table_of_two(tmp_path: Path) -> None:
    sql = "create table a (x int, y int, primary key (y, x)); create table b (z int primary key);"
    of, _ = of_ddl(tmp_path, sql, table="A", source="erp")
    assert (of.table, of.keys) == ("erp_a", ("y", "x"))
    with pytest.raises(ProfileError, match="creates 2 tables. Name one with --table: a, b"):
        of_ddl(tmp_path, sql)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("select 1", "creates no table with columns"),
        ("", "creates no table with columns"),
        ("create table t (a map<int,int>, ok boolean)", "no column that could identify a row"),
        ("create table t (a int not null,\n b int() default 'x", "this is not SQL of spark.*--dialect"),
    ],
)
def test_sql_that_no_contract_comes_of(tmp_path: Path, sql: str, message: str) -> None:
    with pytest.raises(ProfileError, match=message):
        of_ddl(tmp_path, sql)
    with pytest.raises(ProfileError, match="cannot be read: No such file"):
        propose_ddl(tmp_path / "gone.sql", None, None)


@pytest.mark.parametrize(
    ("written", "dialect", "expected"),
    [
        ("INT UNSIGNED", "mysql", "bigint"),
        ("datetime2", "tsql", "timestamp"),
        ("NUMBER(10,0)", "snowflake", "decimal(10,0)"),
        ("int64", "bigquery", "bigint"),
        ("double precision", "postgres", "double"),
        ("decimal(50,2)", "mysql", "decimal(38,10)"),
        ("varchar(9)", "spark", "string"),
        ("utter nonsense(", "spark", "string"),
        ("", None, "string"),
    ],
)
def test_types_of_other_dialects(written: str, dialect: str | None, expected: str) -> None:
    assert declared(written, dialect).physical == expected


# --- dbt -----------------------------------------------------------------------------------------------------------


def column(name: str, kind: str | None = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "data_type": kind, "description": "", **more}


def manifest(tmp_path: Path, *columns: dict[str, Any], **more: Any) -> Path:
    """A manifest with one model, and the tests of its columns."""
    model = {
        "unique_id": "model.shop.orders",
        "resource_type": "model",
        "name": "orders",
        "package_name": "shop",
        "description": "One row\nper order.",
        "columns": {item["name"]: item for item in columns},
    }
    tests = {f"test.{index}": {"resource_type": "test", **test} for index, test in enumerate(more.pop("tests", ()))}
    path = tmp_path / "manifest.json"
    nodes = {"model.shop.orders": {**model, **more}, **tests}
    path.write_text(json.dumps({"metadata": {"adapter_type": "postgres"}, "nodes": nodes, "sources": {}}))
    return path


def of_column(kind: str, name: str | None, **arguments: Any) -> dict[str, Any]:
    return {
        "attached_node": "model.shop.orders",
        "column_name": name,
        "test_metadata": {"name": kind, "kwargs": arguments},
    }


def test_a_model_with_its_tests(tmp_path: Path) -> None:
    path = manifest(
        tmp_path,
        column("order_id", "bigint", description="The order."),
        column("state", "text"),
        column("customer_id", "uuid", constraints=[{"type": "not_null"}]),
        column("amount"),
        tests=[
            of_column("unique", "order_id"),
            of_column("not_null", "order_id"),
            of_column("accepted_values", "state", arguments={"values": ["new", "paid"]}),
            of_column("relationships", "customer_id", to="ref('customers')", field="id"),
        ],
    )
    text = propose_dbt(path, "orders", None, None)
    of = used(tmp_path, text)
    assert (of.table, of.keys, of.description) == ("shop_orders", ("order_id",), "One row per order.")
    assert of.column("order_id").description == "The order."
    assert of.column("state").accepted == ("new", "paid") and of.column("customer_id").required
    assert of.column("amount").type == "string" and "# review: no type is declared" in text
    assert "refers to id of ref('customers')" in text and "`dbt docs generate` writes a catalog.json" in text
    catalog = {"nodes": {"model.shop.orders": {"columns": {"AMOUNT": {"type": "numeric(9,2)"}}}}}
    (tmp_path / "catalog.json").write_text(json.dumps(catalog))
    assert (
        used(tmp_path, propose_dbt(path, "model.shop.orders", "erp", "sales")).column("amount").type == "decimal(9,2)"
    )


@pytest.mark.parametrize(
    "more",
    [
        {"constraints": [{"type": "primary_key", "columns": ["b", "a"]}]},
        {"tests": [of_column("unique_combination_of_columns", None, combination_of_columns=["b", "a"])]},
    ],
)
def test_a_model_with_a_key_of_two_columns(tmp_path: Path, more: dict[str, Any]) -> None:
    path = manifest(tmp_path, column("a", "int"), column("b", "int"), **more)
    assert used(tmp_path, propose_dbt(path, "orders", None, None)).keys == ("b", "a")


def test_a_manifest_that_no_contract_comes_of(tmp_path: Path) -> None:
    for text, message in (
        ("{", "is not JSON"),
        ("[]", "is no manifest"),
        ('{"nodes": 1}', "is no manifest"),
    ):
        (tmp_path / "m.json").write_text(text)
        with pytest.raises(ProfileError, match=message):
            propose_dbt(tmp_path / "m.json", "orders", None, None)
    with pytest.raises(ProfileError, match="cannot be read: No such file"):
        propose_dbt(tmp_path / "gone.json", "orders", None, None)
    with pytest.raises(ProfileError, match="has no model order. Perhaps `orders`"):
        propose_dbt(manifest(tmp_path, column("a")), "order", None, None)
    with pytest.raises(ProfileError, match="declares no column of orders.*dbt docs generate"):
        propose_dbt(manifest(tmp_path), "orders", None, None)
