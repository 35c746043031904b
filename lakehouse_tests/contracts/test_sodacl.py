"""SodaCL in contracts: what a check becomes, and what is said of every form that is not evaluated."""

import re
from pathlib import Path

import pytest

from lakehouse.contracts.model import Column
from lakehouse.contracts.sodacl import METRICS, REFUSED, SodaClError, compile_check, text_of

TYPES = {
    "name": "string",
    "price": "decimal(12,2)",
    "size": "int",
    "at": "timestamp",
    "order": "string",
    "tags": "array<string>",
}
COLUMNS = tuple(Column(name=n, source_name=n, type=t, logical_type="string") for n, t in TYPES.items())
PAGE = Path(__file__).parents[2] / "docs" / "checks.md"

COMPILED = {
    "row_count > 0": ("count(*)", "> 0"),
    "row_count between 1 and 9": ("count(*)", "between 1 and 9"),
    "row_count not between 1 and 9": ("count(*)", "not between 1 and 9"),
    "row_count != 3:\n  filter: size > 1": ("count(case when (size > 1) then 1 end)", "!= 3"),
    "missing_count(name) = 0": ("count(case when (coalesce(name is null, false)) then 1 end)", "= 0"),
    "missing_percent(order) < 0.5 %": (
        "count(case when (coalesce(`order` is null, false)) then 1 end) * 100.0 / greatest(count(*), 1)",
        "< 0.5",
    ),
    "missing_count(name) <> 1:\n  missing values: [n/a]\n  missing regex: ^-$": (
        "count(case when (coalesce(name is null or name in ('n/a') or (name rlike '^-$'), false)) then 1 end)",
        "!= 1",
    ),
    "invalid_count(size) <= 2:\n  valid min: 1\n  valid max: 2.5": (
        "count(case when (not coalesce(size is null, false) and not (size >= 1 and size <= 2.5)) then 1 end)",
        "<= 2",
    ),
    "invalid_count(name) >= 2:\n  invalid values: [o'k]\n  filter: size = 1": (
        "count(case when (size = 1) and (not coalesce(name is null, false) and not (name not in ('o\\'k'))) then 1 end)",
        ">= 2",
    ),
    "duplicate_count(name, size) = 0": (
        "(select count(*) from (select 1 from ${table} where name is not null and size is not null"
        " group by name, size having count(*) > 1))",
        "= 0",
    ),
    "avg(price) > -1.5": ("avg(price)", "> -1.5"),
    "max(size) < 3:\n  filter: name = 'a'": ("max(case when name = 'a' then size end)", "< 3"),
    "percentile(price, 0.95) < 3": ("percentile(price, 0.95)", "< 3"),
    "avg_length(name) < 3": ("avg(length(name))", "< 3"),
    "freshness(at) < 1d12h30m": (
        "(unix_micros(current_timestamp()) - unix_micros(max(cast(`at` as timestamp)))) / 3600000000",
        "< 36.5",
    ),
    "ratio > 1:\n  ratio expression: sum(size) / count(*)": ("sum(size) / count(*)", "> 1"),
}


@pytest.mark.parametrize("written", COMPILED)
def test_a_check_becomes_one_number_and_its_threshold(written: str) -> None:
    check = compile_check(written, COLUMNS)
    assert (check.expression, check.comparison) == COMPILED[written]


def test_warn_and_fail_stand_below_a_bare_metric_and_a_mapping_is_the_same_check() -> None:
    written = text_of({"avg(size)": {"warn": "when > 3", "fail": "when not between 0 and 9"}})
    check = compile_check(written or "", COLUMNS)
    assert (check.comparison, check.warn, check.fail) == ("", "when > 3", "when not between 0 and 9")
    assert check.threshold == "warns when > 3, fails when not between 0 and 9"


@pytest.mark.parametrize(
    ("written", "dimension"),
    [
        ("row_count > 0", "completeness"),
        ("missing_count(name) = 0", "completeness"),
        ("invalid_percent(name) = 0: {valid values: [a]}", "validity"),
        ("duplicate_count(name) = 0", "uniqueness"),
        ("freshness(at) < 1d", "timeliness"),
        ("stddev(size) < 1", "accuracy"),
        ("own < 1: {own expression: avg(size)}", "accuracy"),
    ],
)
def test_each_metric_has_its_dimension(written: str, dimension: str) -> None:
    assert compile_check(written, COLUMNS).dimension == dimension


BEGINNINGS = {
    "schema": "schema: {fail: {when required column missing: [a]}}",
    "failed rows": "failed rows: {fail condition: size < 0}",
    "group by": "group by: {group_limit: 2}",
    "group evolution": "group evolution: {fail: {when required group missing: [a]}}",
    "values in": "values in (name) must exist in others (name)",
    "row_count same as": "row_count same as others",
    "anomaly": "anomaly detection for row_count",
    "change": "change for row_count < 50",
    "distribution_difference": "distribution_difference(size) > 0.05",
    "for each": "for each dataset D",
}
OTHERS = {
    "- row_count > 0": "not a list",
    "checks for x: [row_count > 0]": "not a list",
    "row_count > 0\n- x: {": "not YAML",
    "a > 1: {}\nb > 1: {}": "not one check",
    "row_count > 0: 3": "is no mapping",
    "(size) > 3": "is no check",
    "row_cout > 3": "Perhaps `row_count`",
    "distinct(name) > 3": "is no metric that can be evaluated",
    "avg(prize) > 3": "Perhaps `price`",
    "avg(name) > 3": "needs a number, and name is string",
    "avg(size, price) > 3": "has other arguments",
    "row_count(size) > 3": "has other arguments",
    "avg_length(size) > 3": "needs text",
    "freshness(name) < 1d": "needs a date or timestamp",
    "freshness(at) < 3": "cannot be compared with `3`",
    "avg(size) < 1d": "cannot be compared with `1d`",
    "percentile(size) < 3": "has other arguments",
    "percentile(size, 95) < 3": "no percentile 95",
    "duplicate_count() = 0": "duplicates need the columns",
    "duplicate_count(tags) = 0": "needs single values",
    "invalid_count(name) = 0": "not said what is valid",
    "invalid_count(name) = 0: {valid min: 3}": "needs a number, and name is string",
    "invalid_count(size) = 0: {valid min: few}": "`valid min` cannot be `few`",
    "invalid_count(size) = 0: {valid min: .nan}": "`valid min` cannot be `nan`",
    "invalid_count(size) = 0: {valid max: .inf}": "`valid max` cannot be `inf`",
    "invalid_count(size) = 0: {valid length: 3}": "needs text, and size is int",
    "invalid_count(size) = 0: {valid regex: a}": "needs text, and size is int",
    "invalid_count(name) = 0: {valid regex: (a}": "is no regular expression",
    "invalid_count(name) = 0: {valid values: a}": "is no list of values",
    "invalid_count(size) = 0: {valid values: [a]}": "'a' is no number",
    "invalid_count(name) = 0: {valid format: email}": "`valid format` has no meaning",
    "missing_count(name) = 0: {valid values: [a]}": "`valid values` has no meaning for `missing_count`",
    "avg(size) < 3: {valid max: 9}": "`valid max` has no meaning for `avg`",
    "avg(size) < 3: {name: x}": "`name` has no meaning",
    "avg(size) < 3: {samples limit: 3}": "`samples limit` has no meaning",
    "avg(size) < 3: {attributes: {a: b}}": "`attributes` has no meaning",
    "avg(size) < 3: {filtr: size > 1}": "Perhaps `filter`",
    "avg(size) < 3: {filter: 3}": "is no condition",
    "avg(size)": "the threshold is missing",
    "avg(size) 3": "is no threshold",
    "avg(size) < many": "is no threshold",
    "avg(size) between 9 and 1": "begins with the larger",
    "avg(size) < 3 %": "is no percentage",
    "avg(size) < 3: " + "[" * 5_000 + "]" * 5_000: "nested too deeply",
    "avg(size) < 3: {fail: when > 9}": "are both given",
    "avg(size): {fail: '> 9'}": "`fail` cannot be",
    "m > 1: {m query: select 1}": "a query of its own",
    "m > 1: {m expression: avg(size), filter: size > 1}": "no effect on an expression",
    "m > 1: {m expression: }": "is missing",
    "m(size) > 1: {m expression: avg(size)}": "takes no columns",
    "avg > 1: {avg expression: avg(size)}": "a metric of SodaCL's own",
    "avg(size) < ${limit}": "`${limit}` is unknown",
}


@pytest.mark.parametrize(("written", "message"), [(w, f"`{b}` is not evaluated") for b, w in BEGINNINGS.items()])
def test_what_soda_s_cloud_or_its_paging_would_be_needed_for_is_refused(written: str, message: str) -> None:
    with pytest.raises(SodaClError) as error:
        compile_check(written, COLUMNS)
    assert message in str(error.value) and error.value.remedy


@pytest.mark.parametrize("written", OTHERS)
def test_what_cannot_be_evaluated_is_refused_with_a_remedy(written: str) -> None:
    with pytest.raises(SodaClError) as error:
        compile_check(written, COLUMNS)
    assert OTHERS[written] in f"{error.value} {error.value.remedy}" and error.value.remedy


def test_every_refusal_is_tried() -> None:
    assert set(BEGINNINGS) == set(REFUSED)


def test_the_page_of_checks_names_every_metric() -> None:
    words = set(re.findall(r"[a-z_]+", PAGE.read_text(encoding="utf-8")))
    assert set(METRICS) <= words
