"""Every kind of check on data that passes and on data that fails; what cannot be evaluated never passes."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from lakehouse.contracts.model import BatchCheck, Contract
from lakehouse.quality.audit import QUARANTINE_RATE, Views, audit, blocking, check_names
from lakehouse.quality.results import CheckResult
from lakehouse.quality.rules import row_rules
from lakehouse.quality.soda import scan
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
    unknown = BatchCheck(name="of_nothing", kind="soda", text="avg(nowhere) > 0")
    broken = BatchCheck(name="broken", kind="sql", text="select nowhere from ${table}", operator="=", threshold=(0,))
    of = contract([key()])
    for extra, severity, outcome in (
        (unknown, "error", "fail"),
        (broken, "error", "fail"),
        (broken, "warning", "warn"),
    ):
        check = replace(extra, severity=severity)  # type: ignore[arg-type]
        results = judge(spark, replace(of, checks=(*of.checks, check)), [{"id": "1"}])
        assert results[check.name].outcome == outcome, check
        assert set(results) == {*check_names(of), check.name} - NOT_AUDITED
        dropped = [result for result in results.values() if result.value is None]
        assert all(result.outcome != "pass" for result in dropped), "with it, Soda drops others of the table"
        assert "could not be evaluated" in results[check.name].description
        assert results[check.name].value is None


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
    assert values == {"a_reference": 25, "a_b_reference": 25, "lines_product_reference": 25}
    assert all(found[name].outcome == "warn" for name in values)
    missing = judge(spark, of, documents)
    assert missing["a_reference"].value == 75, "while the other table does not exist, every reference dangles"


def test_freshness_reads_the_column_that_the_contract_names(spark: Any) -> None:
    columns = [key(), column("at", "timestamp"), column("updated_at", "timestamp", required=True)]
    sla = {"property": "latency", "value": 10, "unit": "d"}
    record = {"id": "1", "at": "2020-01-01T00:00:00Z", "updated_at": "2999-01-01T00:00:00Z"}
    named = contract(columns, sequence=["updated_at"], sla=[{**sla, "element": "shop_things.at"}])
    assert named.freshness_column == "at"
    assert judge(spark, named, [record])["data_freshness"].outcome == "warn"
    unnamed = contract(columns, sequence=["updated_at"], sla=[sla])
    assert judge(spark, unnamed, [record])["data_freshness"].outcome == "pass"


def test_soda_calls_nobody_and_writes_nothing_into_the_home(tmp_path: Path) -> None:
    code = """
import threading
from lakehouse.quality import soda
class Frame:
    schema = None
soda._scan_class()
runner = soda._scan_class()()
from soda.telemetry.soda_telemetry import SodaTelemetry
names = [thread.name for thread in threading.enumerate()]
assert not any("Otel" in name for name in names), names
"""
    env = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_scan_in_this_process_leaves_no_thread_of_telemetry(spark: Any) -> None:
    spark.range(3).createOrReplaceTempView("three")
    check = {"m_rows = 3": {"name": "rows", "m_rows expression": "count(*)"}}
    found = scan(spark, {"three": [check]}, ["rows", "never_asked"])
    spark.catalog.dropTempView("three")
    assert (found["rows"].outcome, found["rows"].value) == ("pass", 3)
    assert found["never_asked"].outcome == "error"
    assert scan(spark, {}, []) == {}
    assert not any("Otel" in thread.name for thread in threading.enumerate())


def test_a_result_says_what_was_expected_and_found() -> None:
    result = CheckResult("t", "c", "batch", "validity", "fail", 3.5, "<= 2", "Few.")
    assert result.sentence == "t.c: expected <= 2, found 3.5. Few."
    assert "nothing was measured" in replace(result, value=None).sentence
