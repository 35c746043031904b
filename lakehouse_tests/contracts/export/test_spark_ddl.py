"""Spark's own parser and Delta make the table that the contract describes."""

from dataclasses import replace
from typing import Any

from lakehouse.contracts.export.shape import Relation
from lakehouse.contracts.export.spark_ddl import spark_ddl
from lakehouse_tests.contracts.export.rich import rich


def test_the_statement_makes_a_table_of_the_contract_s_columns(spark: Any, schema: str) -> None:
    of = rich()
    described = tuple(
        replace(column, description=r"It's \d+ ${x}.") if column.name == "code" else column for column in of.columns
    )
    statement = spark_ddl(Relation(of, f"{schema}.rich", of.grain, described))
    spark.sql(statement.rstrip().removesuffix(";"))
    made = spark.table(f"{schema}.rich").schema
    types = {column.name: column.type.replace("`", "") for column in of.columns}
    assert {field.name: field.dataType.simpleString() for field in made} == types
    assert {field.name for field in made if not field.nullable} == {"id", "state"}
    assert made["code"].metadata["comment"] == r"It's \d+ ${x}."
    told = {row["key"]: row["value"] for row in spark.sql(f"show tblproperties {schema}.rich").collect()}
    assert told["contract.id"] == "shop.rich" and told["contract.version"] == "1.0.0"
    spark.sql(statement.rstrip().removesuffix(";"))  # once more: it is there
