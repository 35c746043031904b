"""Every kind of check on data that passes and on data that fails; what cannot be evaluated never passes."""

import json
import threading
import time
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from lakehouse.contracts.model import BatchCheck, Contract
from lakehouse.quality.audit import (
    QUALITY_SCORE,
    QUARANTINE_RATE,
    Views,
    audit,
    blocking,
    check_names,
    checks_by_dimension,
)
from lakehouse.quality.results import CheckResult
from lakehouse.quality.rules import row_rules
from lakehouse.quality.soda import judged, scan
from lakehouse.silver.parse import parse
from lakehouse_tests.silver.small import accepted, column, contract, items, key

RAW = "record string, header string, is_decoded boolean, file string, position bigint, arrived_on date"
NOT_AUDITED = {"records_conserved", "quarantine_age", "quality_score", "anomalies"}
"""Checks that are no part of the audit: they come before it or after it."""


def library(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "library", **more}


def custom(name: str, engine: str, implementation: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "custom", "engine": engine, "implementation": implementation, **more}


def audited() -> Contract:
    quality = [
        library("rows_enough", metric="rowCount", mustBeGreaterOrEqualTo=4),
        library("rows_few", metric="rowCount", mustBeBetween=[1, 4]),
        library("rows_odd", metric="rowCount", mustNotBe=5),
        library("pairs", metric="duplicateValues", arguments={"properties": ["name", "amount"]}, mustBe=0),
        custom("average", "soda", "avg(amount) between 1 and 3"),
        custom("average_warns", "soda", "avg(amount) < 3", severity="warning"),
        custom("total_under", "spark-row", "amount < 100 or name = 'it''s %'", severity="warning"),
        {"name": "largest", "type": "sql", "query": "select max(amount) from ${table}", "mustBeLessThan": 3.0000001},
        {
            "name": "negative",
            "type": "sql",
            "query": "select -1234567.125 + 0 * count(*) from ${table}",
            "mustBeGreaterThan": -1234567.25,
        },
    ]
    return contract(
        [
            key(),
            column("name", logicalTypeOptions={"pattern": "^[a-z'% ]{1,8}$"}),
            column("status", quality=[accepted("new", "o'ld")]),
            column("amount", "int", required=True),
            column("code", unique=True),
            column(
                "maybe",
                quality=[
                    library("maybe_known", metric="nullValues", mustBeLessThan=50, unit="percent"),
                    library("maybe_given", metric="missingValues", arguments={"missingValues": ["-"]}, mustBeLessThan=3),
                    library("maybe_valid", metric="invalidValues", arguments={"validValues": ["a", "b"]},
                            mustBeLessThan=2),
                ],
            ),
        ],
        quality=quality,
        quarantine={"max_percent": 25},
    )  # fmt: skip


GOOD = [
    {"id": "1", "name": "it's %", "status": "new", "amount": 1, "code": "a", "maybe": "a"},
    {"id": "2", "name": "two", "status": "o'ld", "amount": 2, "code": "b", "maybe": "b"},
    {"id": "3", "name": None, "status": None, "amount": 3, "code": None, "maybe": "a"},
    {"id": "4", "name": "two", "status": None, "amount": 3, "code": None, "maybe": None},
]
BAD = [
    {"id": "1", "name": "TWO", "status": "odd", "amount": 7, "code": "a", "maybe": "x"},
    {"id": "1", "name": "TWO", "status": "odd", "amount": 7, "code": "a", "maybe": "x"},
    {"id": "3", "name": "x", "status": "new", "amount": 200, "code": "b", "maybe": "-"},
    {"id": "4", "name": "y", "status": "new", "amount": None, "code": "c", "maybe": None},
    {"id": "5", "name": "z", "status": "new", "amount": "x", "code": "d", "maybe": None},
]


def judge(spark: Any, of: Contract, documents: list[Any], references: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The results by name, of a batch whose rows all win."""
    rows = [(json.dumps(document), None, True, "f", n, date(2025, 3, 3)) for n, document in enumerate(documents)]
    parsed = parse(spark.createDataFrame(rows, RAW), of).persist()
    views = Views("audited", "audited_folded", references)
    for name in (views.parsed, views.parsed + "_all", views.folded):
        parsed.createOrReplaceTempView(name)
    try:
        results = audit(spark, of, views, len(documents), 7)
        broken = dict.fromkeys((rule.name for rule in row_rules(of)), 0)
        for row in parsed.selectExpr("explode(_violations) as rule").groupBy("rule").count().collect():
            broken[row["rule"]] = row["count"]
        for rule in row_rules(of):  # the split and the audit count the same
            found = next(result for result in results if result.name == rule.name)
            if rule.severity == "error" and found.value is not None:
                assert found.value == broken[rule.name], rule.name
        return {result.name: result for result in results}
    finally:
        parsed.unpersist()
        for name in (views.parsed, views.parsed + "_all", views.folded):
            spark.catalog.dropTempView(name)


def test_each_kind_of_check_passes_and_fails(spark: Any) -> None:
    of = audited()
    good = judge(spark, of, GOOD)
    assert {name: result.outcome for name, result in good.items() if result.outcome != "pass"} == {}
    assert all(result.seconds is not None and result.seconds > 0 for result in good.values())
    bad = judge(spark, of, BAD)
    assert set(good) == set(bad) == set(check_names(of)) - NOT_AUDITED
    outcomes = {name: (result.outcome, result.value) for name, result in bad.items()}
    assert outcomes == {
        "amount_type": ("warn", 1),
        "sequence_known": ("pass", 0),
        "id_required": ("pass", 0),
        "name_pattern": ("fail", 2),
        "status_accepted_values": ("fail", 2),
        "amount_required": ("fail", 2),
        "total_under": ("warn", 1),
        QUARANTINE_RATE: ("fail", 80),
        "code_unique": ("fail", 2),
        "maybe_known": ("pass", 40),
        "maybe_given": ("fail", 3),
        "maybe_valid": ("fail", 3),
        "primary_key_unique": ("fail", 2),
        "rows_enough": ("pass", 5),
        "rows_few": ("fail", 5),
        "rows_odd": ("fail", 5),
        "pairs": ("fail", 2),
        "average": ("fail", outcomes["average"][1]),
        "average_warns": ("warn", outcomes["average"][1]),
        "largest": ("fail", 200),
        "negative": ("pass", -1234567.125),
    }
    assert outcomes["average"][1] == pytest.approx(214 / 3, abs=0.01)
    assert {result.name for result in blocking(list(bad.values()))} == {
        name for name, (outcome, _) in outcomes.items() if outcome == "fail"
    }
    assert all(result.batch == 7 and result.threshold and result.description for result in bad.values())


def test_a_check_that_cannot_be_evaluated_is_a_failure(spark: Any) -> None:
    """And it takes no other check of its query with it, as it would in Soda."""
    of = contract(
        [key(), column("name"), column("size", "double")], quality=[library("rows", metric="rowCount", mustBe=2)]
    )
    queries = {
        "unknown": "select nowhere from ${table}",
        "nothing": "select max(name) from ${table} where id = 'x'",
        "no_number": "select date'2025-01-01'",
        "not_a_number": "select max(size) from ${table}",
        "many_rows": "select id from ${table}",
    }
    lost = [BatchCheck(name=n, kind="sql", text=q, operator="<", threshold=(3,)) for n, q in queries.items()]
    lost.append(
        BatchCheck(name="of_nothing", kind="soda", text="m > 0: {m expression: avg(nowhere)}", severity="warning")
    )
    found = judge(spark, replace(of, checks=(*lost, *of.checks)), [{"id": "1", "size": "NaN"}, {"id": "2"}])
    for check in lost:
        result = found.pop(check.name)
        assert (result.outcome, result.value) == ("warn" if check.name == "of_nothing" else "fail", None), check.name
        assert "could not be evaluated" in result.description, check.name
    assert {result.outcome for result in found.values()} == {"pass"}
    assert (found["rows"].value, found["id_required"].value) == (2, 0)


def test_references_by_one_column_by_several_and_inside_arrays(spark: Any, schema: str) -> None:
    lines = items("lines", column("product", relationships=[{"to": "shop_parents.a"}]))
    of = contract(
        [key(), column("a", relationships=[{"to": "shop_parents.a"}]), column("b", "int"), lines],
        relationships=[{"from": ["shop_things.a", "shop_things.b"], "to": ["shop_parents.a", "shop_parents.b"]}],
    )
    documents = [
        {"id": "1", "a": "x", "b": 1, "lines": [{"product": "x"}, {"product": "gone"}]},
        {"id": "2", "a": "x", "b": 2, "lines": []},
        {"id": "3", "a": "gone", "b": None, "lines": [{"product": None}]},
        {"id": "4", "a": None, "b": 9},
    ]
    spark.sql("create schema if not exists silver")
    spark.sql("create or replace view silver.shop_parents as select 'x' as a, 1 as b")
    try:
        found = judge(spark, of, documents, frozenset({"shop_parents"}))
    finally:
        spark.sql("drop view silver.shop_parents")
    values = {name: result.value for name, result in found.items() if name.endswith("reference")}
    assert values == {"a_reference": 25, "a_b_reference": 25, "lines_product_reference": pytest.approx(100 / 3)}
    assert all(found[name].outcome == "warn" for name in values)
    missing = judge(spark, of, documents)
    assert missing["a_reference"].value == 75, "while the other table does not exist, every reference dangles"


def test_freshness_reads_the_column_that_the_contract_names(spark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In whatever time zone the process lives: Soda's own check would take five hours more for a fact in New York."""
    columns = [key(), column("at", "timestamp"), column("updated_at", "timestamp", required=True)]
    sla = {"property": "latency", "value": 10, "unit": "d"}
    record = {"id": "1", "at": "2020-01-01T00:00:00Z", "updated_at": "2999-01-01T00:00:00Z"}
    named = contract(columns, sequence=["updated_at"], sla=[{**sla, "element": "shop_things.at"}])
    assert named.freshness_column == "at"
    assert judge(spark, named, [record])["data_freshness"].outcome == "warn"
    unnamed = contract(columns, sequence=["updated_at"], sla=[sla])
    assert judge(spark, unnamed, [record])["data_freshness"].outcome == "pass"
    now = {**record, "updated_at": datetime.now(UTC).isoformat()}
    try:
        with monkeypatch.context() as there:
            there.setenv("TZ", "America/New_York")
            time.tzset()
            value = judge(spark, unnamed, [now])["data_freshness"].value
    finally:
        time.tzset()
    assert value == pytest.approx(0, abs=1)


def test_the_dimensions_of_a_contract_s_checks_are_told() -> None:
    told = checks_by_dimension(audited())
    assert list(told) == ["completeness", "uniqueness", "validity", "accuracy", "consistency", "timeliness"]
    assert told["consistency"] == () and "primary_key_unique" in told["uniqueness"]
    assert {name for names in told.values() for name in names} == set(check_names(audited())) - {QUALITY_SCORE}


def test_a_scan_in_this_process_leaves_no_thread_of_telemetry(spark: Any) -> None:
    spark.range(3).createOrReplaceTempView("three")
    found = scan(spark, "three", {"rows": judged("rows", "count(*)", "= 3")})
    spark.catalog.dropTempView("three")
    assert (found["rows"].outcome, found["rows"].value) == ("pass", 3)
    assert scan(spark, "three", {}) == {}
    assert not any("Otel" in thread.name for thread in threading.enumerate())


def test_a_result_says_what_was_expected_and_found() -> None:
    result = CheckResult("t", "c", "batch", "validity", "fail", 3.5, "<= 2", "Few.")
    assert result.sentence == "t.c: expected <= 2, found 3.5. Few."
    assert "nothing was measured" in replace(result, value=None).sentence
