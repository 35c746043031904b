"""What constraints and quality entries compile to."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lakehouse.contracts.loader import load
from lakehouse.contracts.model import BatchCheck, RowRule

Write = Callable[..., Path]
QUALITY = "      - {name: has_rows, metric: rowCount, mustBeGreaterThan: 0}\n"


def compiled(write: Write, column: str, quality: str = "", relationships: str = "") -> dict[str, RowRule | BatchCheck]:
    """The rules and checks of the minimal contract with one more column, without those that it always has."""
    path = write(
        ("    quality:\n", f"      - {{name: x, {column}}}\n    quality:\n") if column else ("a", "a"),
        (QUALITY, QUALITY + (f"      - {quality}\n" if quality else "")),
        ("    quality:\n", f"    relationships:\n      - {relationships}\n    quality:\n")
        if relationships
        else ("a", "a"),
    )
    contract = load(path)
    usual = {"order_id_required", "updated_at_required", "primary_key_unique", "has_rows"}
    found: dict[str, RowRule | BatchCheck] = {rule.name: rule for rule in contract.rules}
    found.update({check.name: check for check in contract.checks})
    assert usual <= set(found)
    return {name: item for name, item in found.items() if name not in usual}


TEXT, NUMBER = "logicalType: string", "logicalType: integer, physicalType: int"
ARRAY = "logicalType: array, items: {logicalType: object, properties: [{name: f, logicalType: integer, %s}]}"
VALUES = "quality: [{metric: invalidValues, arguments: {%s}, mustBe: 0}]"


@pytest.mark.parametrize(
    ("column", "name", "predicate"),
    [
        (f"{TEXT}, required: true", "x_required", "x is not null"),
        (f"{TEXT}, logicalTypeOptions: {{minLength: 2}}", "x_length", "length(x) >= 2"),
        (
            f"{TEXT}, logicalTypeOptions: {{minLength: 2, maxLength: 9}}",
            "x_length",
            "length(x) >= 2 and length(x) <= 9",
        ),
        (f"{TEXT}, logicalTypeOptions: {{pattern: '^\\d+$'}}", "x_pattern", r"x rlike '^\\d+$'"),
        (f'{TEXT}, logicalTypeOptions: {{pattern: "^o\'x"}}', "x_pattern", r"x rlike '^o\'x'"),
        (f"{TEXT}, logicalTypeOptions: {{pattern: '^(?<a>\\p{{L}}+)$'}}", "x_pattern", r"x rlike '^(?<a>\\p{L}+)$'"),
        (f"{TEXT}, logicalTypeOptions: {{format: email}}", "x_format", r"x rlike '^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$'"),
        (f"{NUMBER}, logicalTypeOptions: {{minimum: 0}}", "x_range", "x >= 0"),
        (
            f"{NUMBER}, logicalTypeOptions: {{exclusiveMinimum: 0, exclusiveMaximum: 9.5}}",
            "x_range",
            "x > 0 and x < 9.5",
        ),
        (f"{NUMBER}, logicalTypeOptions: {{multipleOf: 5}}", "x_multiple", "x % 5 = 0"),
        ("logicalType: number, logicalTypeOptions: {maximum: 1e-7}", "x_range", "x <= 0.0000001 and not isnan(x)"),
        (
            "logicalType: number, physicalType: 'decimal(9,2)', logicalTypeOptions: {minimum: -0.05}",
            "x_range",
            "x >= -0.05",
        ),
        ("logicalType: date, logicalTypeOptions: {minimum: '2020-01-31'}", "x_range", "x >= date'2020-01-31'"),
        (
            "logicalType: timestamp, logicalTypeOptions: {maximum: '2020-01-31T10:00:00Z'}",
            "x_range",
            "x <= timestamp'2020-01-31 10:00:00+00:00'",
        ),
        (f"{TEXT}, {VALUES % 'validValues: [a, its, yes]'}", "x_accepted_values", r"x in ('a', 'its', 'yes')"),
        (f"{TEXT}, {VALUES % 'invalidValues: [a]'}", "x_accepted_values", "x not in ('a')"),
        (f"{TEXT}, {VALUES % 'pattern: ^a'}", "x_pattern", "x rlike '^a'"),
        (f"{NUMBER}, {VALUES % 'validValues: [1, 2]'}", "x_accepted_values", "x in (1, 2)"),
        (f"logicalType: boolean, {VALUES % 'validValues: [true]'}", "x_accepted_values", "x in (true)"),
        (f"logicalType: date, {VALUES % 'validValues: [2020-01-31]'}", "x_accepted_values", "x in (date'2020-01-31')"),
        (f"{TEXT}, quality: [{{metric: nullValues, mustBe: 0}}]", "x_required", "x is not null"),
        (
            f"{TEXT}, quality: [{{metric: missingValues, arguments: {{missingValues: [null, '']}}, mustBe: 0}}]",
            "x_not_missing",
            "x is not null and x not in ('')",
        ),
        (
            f"{NUMBER}, quality: [{{name: own, type: custom, engine: spark-row, implementation: '${{column}} > amount'}}]",
            "own",
            "x > amount",
        ),
        (
            "logicalType: array, items: {logicalType: string, logicalTypeOptions: {maxLength: 3}}",
            "x_items_length",
            "forall(x, i -> length(i) <= 3)",
        ),
        (
            "logicalType: array, items: {logicalType: string}, logicalTypeOptions: {minItems: 1, maxItems: 3}",
            "x_size",
            "array_size(x) >= 1 and array_size(x) <= 3",
        ),
        (
            "logicalType: array, items: {logicalType: string}, logicalTypeOptions: {uniqueItems: true}",
            "x_distinct",
            "array_size(array_distinct(x)) = array_size(x)",
        ),
        (ARRAY % "required: true", "x_f_required", "forall(x, i -> i.f is not null)"),
        (ARRAY % "logicalTypeOptions: {minimum: 1}", "x_f_range", "forall(x, i -> i.f >= 1)"),
        (
            "logicalType: object, properties: [{name: f, logicalType: string, required: true}]",
            "x_f_required",
            "(x is null or x.f is not null)",
        ),
        (
            "logicalType: array, items: {logicalType: array, items: {logicalType: integer, logicalTypeOptions: {minimum: 0}}}",
            "x_items_items_range",
            "forall(x, i -> forall(i, j -> j >= 0))",
        ),
    ],
)
def test_a_constraint_becomes_a_row_rule(write: Write, column: str, name: str, predicate: str) -> None:
    (rule,) = compiled(write, column).values()
    assert isinstance(rule, RowRule)
    assert (rule.name, rule.predicate) == (name, predicate)
    assert rule.column == "x" and "x" in rule.columns
    assert (rule.severity, rule.max_percent) == ("error", None)
    assert rule.description and rule.line > 1


def test_a_column_named_like_a_keyword_is_quoted(write: Write) -> None:
    path = write(("name: amount", "name: order"), ("        physicalType: decimal(12,2)\n", "        required: true\n"))
    assert [rule.predicate for rule in load(path).rules if rule.column == "order"] == ["`order` is not null"]


def test_a_row_rule_says_what_it_reads_and_how_much_it_tolerates(write: Write) -> None:
    custom = (
        "{name: own, type: custom, engine: spark-row, implementation: 'updated_at > x or size(lines) > amount', "
        "dimension: conformity, severity: warning, description: Why., "
        "customProperties: [{property: lakehouse, value: {max_percent: 2}}]}"
    )
    rule = compiled(write, "logicalType: date", custom)["own"]
    assert isinstance(rule, RowRule)
    assert (rule.column, rule.columns) == (None, ("updated_at", "amount", "lines", "x"))
    assert (rule.dimension, rule.severity, rule.max_percent, rule.description) == ("validity", "warning", 2.0, "Why.")


@pytest.mark.parametrize("operator", ["mustBeLessThan", "mustBeLessOrEqualTo"])
def test_a_share_of_invalid_values_blocks_the_batch_above_it(write: Write, operator: str) -> None:
    entry = f"metric: invalidValues, arguments: {{validValues: [a]}}, {operator}: 3, unit: percent"
    (rule,) = compiled(write, f"{TEXT}, quality: [{{{entry}}}]").values()
    assert isinstance(rule, RowRule) and rule.max_percent == 3


def fields(check: RowRule | BatchCheck, *names: str) -> tuple[Any, ...]:
    assert isinstance(check, BatchCheck)
    return tuple(getattr(check, name) for name in names)


@pytest.mark.parametrize(
    ("written", "operator", "threshold"),
    [
        ("mustBe: 1", "=", (1,)),
        ("mustNotBe: 1", "!=", (1,)),
        ("mustBeGreaterThan: 1", ">", (1,)),
        ("mustBeGreaterOrEqualTo: 1", ">=", (1,)),
        ("mustBeLessThan: 1", "<", (1,)),
        ("mustBeLessOrEqualTo: 1.5", "<=", (1.5,)),
        ("mustBeBetween: [1, 2]", "between", (1, 2)),
        ("mustNotBeBetween: [1, 2]", "not between", (1, 2)),
    ],
)
def test_every_operator_becomes_a_threshold(write: Write, written: str, operator: str, threshold: tuple[float]) -> None:
    check = compiled(write, "", f"{{metric: rowCount, {written}}}")["row_count"]
    assert fields(check, "kind", "operator", "threshold", "unit") == ("row_count", operator, threshold, "rows")


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (
            "quality: [{metric: nullValues, mustBeLessThan: 5, unit: percent}]",
            ("missing", ("x",), "<", (5,), "percent"),
        ),
        (
            "quality: [{metric: missingValues, arguments: {missingValues: [na]}, mustBeLessThan: 5}]",
            ("missing", ("x",), "<", (5,), "rows"),
        ),
        ("quality: [{metric: duplicateValues, mustBe: 0}]", ("unique", ("x",), "=", (0,), "rows")),
        (
            "quality: [{metric: invalidValues, arguments: {validValues: [a]}, mustBeLessThan: 5}]",
            ("invalid", ("x",), "<", (5,), "rows"),
        ),
        ("unique: true", ("unique", ("x",), "=", (0,), "rows")),
    ],
)
def test_what_needs_the_batch_becomes_a_check(write: Write, column: str, expected: tuple[Any, ...]) -> None:
    (check,) = compiled(write, f"{TEXT}, {column}").values()
    assert fields(check, "kind", "columns", "operator", "threshold", "unit") == expected


def test_checks_of_the_table(write: Write) -> None:
    duplicates = "{metric: duplicateValues, arguments: {properties: [amount, email]}, mustBeLessThan: 1, unit: percent}"
    check = compiled(write, "", duplicates)["amount_email_duplicates"]
    assert fields(check, "kind", "columns", "unit", "dimension") == (
        "unique",
        ("amount", "email"),
        "percent",
        "uniqueness",
    )
    soda = "{name: own, type: custom, engine: soda, implementation: avg(amount) < 9, severity: warning}"
    check = compiled(write, "", soda)["own"]
    assert fields(check, "kind", "text", "operator", "severity") == ("soda", "avg(amount) < 9", None, "warning")
    sql = "{name: own, type: sql, query: 'select max(amount) as m from ${object} where m > 1', mustBeLessThan: 9}"
    check = compiled(write, "", sql)["own"]
    assert fields(check, "kind", "text") == ("sql", "select max(amount) as m from ${table} where m > 1")


def test_the_primary_key_is_unique_once(write: Write) -> None:
    contract = load(write(("        primaryKey: true\n", "        primaryKey: true\n        unique: true\n")))
    unique = [check for check in contract.checks if check.kind == "unique"]
    assert [(check.name, check.columns) for check in unique] == [("primary_key_unique", ("order_id",))]


def test_relations_become_reference_checks(write: Write) -> None:
    own = "customProperties: [{property: lakehouse, value: {severity: error, max_percent: 1.5}}]"
    (check,) = compiled(write, f"{TEXT}, relationships: [{{to: a_b.c, {own}}}]").values()
    assert fields(check, "name", "kind", "columns", "reference_table", "reference_columns") == (
        "x_reference",
        "reference",
        ("x",),
        "a_b",
        ("c",),
    )
    assert fields(check, "operator", "threshold", "unit", "severity") == ("<=", (1.5,), "percent", "error")
    (check,) = compiled(write, ARRAY % "relationships: [{to: a_b.c}]").values()
    assert fields(check, "columns", "severity", "threshold") == (("x.f",), "warning", (0,))
    pair = "{from: [orders.amount, shop_orders.email], to: [a_b.c, a_b.d]}"
    (check,) = compiled(write, "", relationships=pair).values()
    assert fields(check, "columns", "reference_columns") == (("amount", "email"), ("c", "d"))


def test_text_entries_are_for_people(write: Write) -> None:
    assert compiled(write, "", "{type: text, description: The rows are looked at each Monday.}") == {}
