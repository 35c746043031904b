"""Types and literals of Spark SQL as text."""

import pytest

from lakehouse.contracts.spark_sql import identifier, literal, parse_type, text_literal


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("STRING", "string"),
        ("integer", "int"),
        ("Long", "bigint"),
        (" decimal ( 12 , 2 ) ", "decimal(12,2)"),
        ("numeric(38,0)", "decimal(38,0)"),
        ("array< struct<a: int, `b c` : map<string, double>> >", "array<struct<a:int,`b c`:map<string,double>>>"),
    ],
)
def test_a_type_has_one_spelling(written: str, canonical: str) -> None:
    assert parse_type(written) == canonical
    assert parse_type(canonical) == canonical


@pytest.mark.parametrize(
    "written",
    ["", "strin", "int int", "decimal", "decimal(0,0)", "decimal(5,6)", "array", "array<int", "array<>", "map<int>",
     "struct<>", "struct<a int>", "struct<a:int,>", "varchar(3)", "timestamp_ntz", "int;", "decimal(1,2,3)", "é"],
)  # fmt: skip
def test_what_is_no_type(written: str) -> None:
    with pytest.raises(ValueError, match="."):
        parse_type(written)


@pytest.mark.parametrize(
    ("value", "spark_type", "expected"),
    [
        ("it's", "string", r"'it\'s'"),
        ("^${1}$", "string", r"'^\u0024{1}$'"),
        ("a\\b\nc", "string", r"'a\\b\nc'"),
        (1, "int", "1"),
        (1.0, "bigint", "1"),
        (1e21, "double", "1000000000000000000000"),
        (0.1, "decimal(9,2)", "0.1"),
        (True, "boolean", "true"),
        ("2020-01-02", "date", "date'2020-01-02'"),
        ("2020-01-02T03:04:05+01:00", "timestamp", "timestamp'2020-01-02 03:04:05+01:00'"),
        ("2020-01-02", "timestamp", "timestamp'2020-01-02 00:00:00+00:00'"),
    ],
)
def test_literals(value: object, spark_type: str, expected: str) -> None:
    assert literal(value, spark_type) == expected


@pytest.mark.parametrize(
    ("value", "spark_type"),
    [(1, "string"), (True, "int"), ("1", "int"), ("yes", "boolean"), ("1.1.2020", "date"), ("noon", "timestamp"),
     (float("nan"), "double"), (float("inf"), "double"), (None, "string"), ("a", "array<string>")],
)  # fmt: skip
def test_a_value_that_does_not_fit_its_type(value: object, spark_type: str) -> None:
    with pytest.raises(ValueError, match="."):
        literal(value, spark_type)


def test_names_are_quoted_only_where_they_must_be() -> None:
    assert [identifier(name) for name in ("amount", "order", "a b", "a`b")] == ["amount", "`order`", "`a b`", "`a``b`"]
    assert text_literal("") == "''"
