"""Records as text to typed rows: nothing is rounded, guessed or dropped without a reason."""

import json
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from lakehouse.contracts.model import Contract
from lakehouse.silver.parse import NOTHING, TRUNCATE, _decimal, header_names, parse
from lakehouse_tests.silver.small import accepted, column, contract, items, key

_RAW = "record string, header string, is_decoded boolean, file string, position bigint, arrived_on date"
DAY = date(2025, 3, 3)


def parsed(
    spark: Any, of: Contract, records: Sequence[Any], header: str | None = None, is_decoded: bool = True
) -> list[Any]:
    """The rows that the records become, in their order; documents are written as JSON, texts stay as they are."""
    texts = [record if isinstance(record, str) else json.dumps(record, ensure_ascii=False) for record in records]
    rows = [(text, header, is_decoded, "f", place, DAY) for place, text in enumerate(texts)]
    headers = [header] if header else []
    return sorted(parse(spark.createDataFrame(rows, _RAW), of, headers).collect(), key=lambda row: row["_position"])


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text)


NONE = object()
"""A value that is there but not of its type."""

TYPED: list[tuple[str, Any, Any]] = [
    # (column, JSON value, what it becomes)
    ("amount", "12.34", Decimal("12.34")),
    ("amount", 12.3, Decimal("12.30")),
    ("amount", "1e2", Decimal("100.00")),
    ("amount", "-0.01", Decimal("-0.01")),
    ("amount", "12.345", NONE),
    ("amount", "12.3400", Decimal("12.34")),
    ("amount", "99999999999.99", NONE),
    ("amount", "", NONE),
    ("amount", "1,5", NONE),
    ("amount", "NaN", NONE),
    ("amount", "+5", Decimal("5.00")),
    ("amount", ".5", Decimal("0.50")),
    ("amount", "5.", Decimal("5.00")),
    ("amount", ".", NONE),
    ("amount", " 5 ", Decimal("5.00")),
    ("amount", "1.5e-1", Decimal("0.15")),
    ("amount", "1.5e-2", NONE),
    ("amount", "1200e-3", Decimal("1.20")),
    ("amount", "0e-300", Decimal("0.00")),
    ("amount", "1e-300", NONE),
    ("amount", "1E-300", NONE),
    ("amount", "1e-999999999", NONE),
    ("amount", "1e999999999", NONE),
    ("amount", "1e-99999999999", NONE),
    ("amount", "9" * 400, NONE),
    ("amount", None, None),
    ("count", 3, 3),
    ("count", " 3 ", 3),
    ("count", "3.7", NONE),
    ("count", 3.7, NONE),
    ("count", "2147483648", NONE),
    ("count", "0x1f", NONE),
    ("count", True, NONE),
    ("big", 9223372036854775807, 9223372036854775807),
    ("big", 9223372036854775808, NONE),
    ("flag", True, True),
    ("flag", "false", False),
    ("flag", "maybe", NONE),
    ("at", "2025-01-31T10:00:00Z", utc("2025-01-31T10:00:00")),
    ("at", "2025-01-31T10:00:00.123456Z", utc("2025-01-31T10:00:00.123456")),
    ("at", "2025-01-31T10:00:00+02:00", utc("2025-01-31T08:00:00")),
    ("at", "2025-01-31 10:00:00", utc("2025-01-31T10:00:00")),
    ("at", "2025-01-31", utc("2025-01-31")),
    ("at", "1899-12-31T23:59:59Z", utc("1899-12-31T23:59:59")),
    ("at", "0001-01-01", utc("0001-01-01")),
    ("at", "9999-12-31T23:59:59.999999Z", utc("9999-12-31T23:59:59.999999")),
    ("at", "2025-02-30T10:00:00Z", NONE),
    ("at", "2025-01-31T25:00:00Z", NONE),
    ("at", "10:15", NONE),
    ("at", "now", NONE),
    ("at", "epoch", NONE),
    ("at", "2025", NONE),
    ("at", 1738317600000, NONE),
    ("day", "2025-01-31", date(2025, 1, 31)),
    ("day", "2025-01-31T00:00:00Z", date(2025, 1, 31)),
    ("day", "2025-01-31T13:00:00Z", NONE),
    ("day", "2025-01-31Tanything", NONE),
    ("day", "today", NONE),
    ("day", "1582-10-10", date(1582, 10, 10)),
    ("day", "2025-02-29", NONE),
    ("millis", 1738317600123, utc("2025-01-31T10:00:00.123")),
    ("millis", "soon", NONE),
    ("millis", 9223372036854775807, NONE),
    ("micros", 1738317600123456, utc("2025-01-31T10:00:00.123456")),
    ("micros", -9223372036854775808, NONE),
    ("german", "31.01.2025", date(2025, 1, 31)),
    ("german", "2025-01-31", NONE),
    ("german", "1.1.2025", NONE),
    ("ratio", "0.25", 0.25),
    ("ratio", "a quarter", NONE),
    ("text", 7, "7"),
    ("text", "", ""),
    ("text", {"a": [1]}, '{"a":[1]}'),
    ("numbers", [1, 2], [1, 2]),
    ("numbers", [], []),
    ("numbers", [1, None], [1, None]),
    ("numbers", [1, "x"], NONE),
    ("numbers", "none", NONE),
    ("words", ["a", "b"], ["a", "b"]),
    ("place", {"zip": 7, "town": "x"}, (7, "x")),
    ("place", {"zip": "7a", "town": "x"}, NONE),
    ("place", {}, (None, None)),
    ("place", "somewhere", NONE),
    ("lines", [{"number": 1, "price": "2.50", "note": "x"}, {"number": 2}],
     [(1, Decimal("2.50"), "x", None), (2, None, None, None)]),
    ("lines", [], []),
    ("lines", [{"number": "one"}], NONE),
    ("lines", [{"number": 1, "price": 2.555}], NONE),
    ("lines", [{"number": 1}, 5], NONE),
    ("lines", [None], NONE),
    ("lines", {"number": 1}, NONE),
    ("lines", "none", NONE),
    ("lines", [{"number": 1, "inner": {"depth": 3}}], [(1, None, None, (3,))]),
    ("lines", [{"number": 1, "inner": {"depth": "deep"}}], NONE),
]  # fmt: skip
"""What is null in the result although it is there must be named in `_type_errors`."""


def typed_contract() -> Contract:
    inner = {"name": "inner", "logicalType": "object", "properties": [column("depth", "int")]}
    line = items("lines", column("number", "int"), column("price", "decimal(12,2)"), column("note"), inner)
    epoch = {"logicalTypeOptions": {"format": "epoch_millis"}}
    micros = {"logicalTypeOptions": {"format": "epoch_micros"}}
    german = {"logicalTypeOptions": {"format": "dd.MM.yyyy"}}
    place = {"name": "place", "logicalType": "object", "properties": [column("zip", "int"), column("town")]}
    return contract(
        [
            key(),
            column("amount", "decimal(12,2)"),
            column("count", "int"),
            column("big", "bigint"),
            column("flag", "boolean"),
            column("at", "timestamp"),
            column("day", "date"),
            column("millis", "timestamp", **epoch),
            column("micros", "timestamp", **micros),
            column("german", "date", **german),
            column("ratio", "double"),
            column("text"),
            {"name": "numbers", "logicalType": "array", "items": column("number", "int")},
            {"name": "words", "logicalType": "array", "items": column("word")},
            place,
            line,
        ]
    )


def plain(value: Any) -> Any:
    """Rows inside values as tuples."""
    if isinstance(value, list):
        return [plain(element) for element in value]
    return tuple(map(plain, value)) if isinstance(value, tuple) else value


def test_values_become_their_type_or_are_named_as_errors(spark: Any) -> None:
    rows = parsed(spark, typed_contract(), [{"id": "x", name: value} for name, value, _ in TYPED])
    for row, (name, value, expected) in zip(rows, TYPED, strict=True):
        said = (name, value, row[name])
        assert row["_unreadable"] is None, said
        if expected is NONE:
            assert row["_type_errors"] == [name], said
            assert row["_violations"] == [f"{name}_type"], said
        else:
            assert plain(row[name]) == expected, said
            assert row["_type_errors"] == [], said
            assert row["_violations"] == [], said


def test_a_decimal_with_more_whole_digits_than_spark_converts_exactly_is_read_as_its_type_says(spark: Any) -> None:
    of = contract([key(), column("amount", "decimal(38,2)")])
    most = "9" * 36 + ".99"
    told = [
        (most, Decimal(most)),
        (f"-{most}00", None),
        ("9" * 37, None),
        ("9" * 20 + ".990", Decimal("9" * 20 + ".99")),
    ]
    rows = parsed(spark, of, [{"id": "x", "amount": text} for text, _ in told])
    assert [row["amount"] for row in rows] == [value for _, value in told]
    assert [row["_type_errors"] for row in rows] == [[] if value else ["amount"] for _, value in told]


def test_a_number_that_would_overflow_is_none_in_a_compiled_plan_too(spark: Any) -> None:
    number = _decimal("decimal(12,2)", "text")
    texts = "if(id % 1000 = 7, '1e-999999999', cast(id as string)) as text"
    counted = spark.range(30_000).selectExpr(texts).selectExpr(f"count({number})", "count(*)")
    assert tuple(counted.first()) == (29_970, 30_000)


LONG = "1234567890123456.78"
"""More digits than a double holds."""


def exact_columns() -> list[dict[str, Any]]:
    number = column("number", "decimal(18,2)")
    return [key(), column("amount", "decimal(18,2)"), column("big", "bigint"), column("ratio", "double"),
            column("text"), {"name": "numbers", "logicalType": "array", "items": number},
            {"name": "place", "logicalType": "object", "properties": [column("number", "decimal(18,2)")]},
            items("lines", number, column("text"))]  # fmt: skip


def test_no_digit_of_a_json_number_is_lost(spark: Any) -> None:
    exact = Decimal(LONG)
    cases: list[tuple[str, str, Any]] = [
        # (column, JSON, what it becomes)
        ("amount", LONG, exact),
        ("amount", f" -{LONG} ", -exact),
        ("amount", f'"{LONG}"', exact),
        ("amount", "1234567890123456.7800000", exact),
        ("amount", "1.23456789012345678E15", Decimal("1234567890123456.78")),
        ("amount", "1234567890123456.785", NONE),
        ("amount", "0.1000000000000000055", NONE),
        ("amount", "1e-300", NONE),
        ("big", "9007199254740993", 9007199254740993),
        ("big", "9007199254740993.0", NONE),
        ("ratio", "52.520006599999997", 52.520006599999997),
        ("ratio", f"[{LONG}]", NONE),
        ("text", LONG, LONG),
        ("text", '"a \\" \\\\"', 'a " \\'),
        ("text", f'"[{LONG}, \\"{LONG}\\", {LONG}]"', f'[{LONG}, "{LONG}", {LONG}]'),
        ("text", f'{{"a": [{LONG}, "{LONG}", "\\\\"]}}', f'{{"a":[{LONG},"{LONG}","\\\\"]}}'),
        ("numbers", f"[{LONG},-{LONG}, 1.5]", [exact, -exact, Decimal("1.5")]),
        ("place", f'{{"number": {LONG}}}', (exact,)),
        ("lines", f'[{{"number":{LONG}, "text": {LONG}}}, {{"number": "{LONG}"}}]', [(exact, LONG), (exact, None)]),
    ]
    records = [f'{{"id":"x","{name}":{value},"more": {{"n":{LONG}}}}}' for name, value, _ in cases]
    events = [f'{{"op":"c","source":{{"lsn":1}},"after":{record}}}' for record in records]
    of_changes = contract(exact_columns(), delivery="changes", sequence=["source.lsn"])
    for of, sent in ((contract(exact_columns()), records), (of_changes, events)):
        for row, record, (name, _, expected) in zip(parsed(spark, of, sent), sent, cases, strict=True):
            assert row["_unreadable"] is None, record
            assert row["_type_errors"] == ([name] if expected is NONE else []), record
            assert plain(row[name]) == (None if expected is NONE else expected), record
            assert json.loads(row["_rescued"]) == {"more": f'{{"n":{LONG}}}'}, record
    quotes = '\\"' * 100_000
    row = parsed(spark, contract([key(), column("text")]), [f'{{"id":{LONG},"text":"{quotes}"}}'])[0]
    assert (row["id"], row["text"]) == (LONG, '"' * 100_000)
    broken = ["[", "{", '"', f'{{"id":{LONG}', f'{{"id":0{LONG}}}', f'{{"id":{LONG}.1}}', f'{{"id":"{LONG}}}']
    rows = parsed(spark, contract([key()]), [f"{text} {LONG}" for text in broken] + broken)
    assert {row["_unreadable"] for row in rows} == {"not a JSON document"}


def test_every_change_of_content_changes_the_hash_and_nothing_else_does(spark: Any) -> None:
    of = typed_contract()
    different = [
        {"id": "x"},
        {"id": "y"},
        {"id": "x", "text": ""},
        {"id": "x", "text": "a"},
        {"id": "x", "numbers": [1]},
        {"id": "x", "numbers": [1, None]},
        {"id": "x", "numbers": [None, 1]},
        {"id": "x", "numbers": []},
        {"id": "x", "lines": [{"number": 1}]},
        {"id": "x", "lines": [{"number": 1}, {"number": 1}]},
        {"id": "x", "place": {"zip": 1}},
        {"id": "x", "place": {"town": "1"}},
        {"id": "x", "count": 1},
        {"id": "x", "big": 1},
    ]
    same = ['{"id":"x"}', ' {"count":null,"id" : "x"}', '{"id":"x","unknown":1}']
    hashes = [row["_hash"] for row in parsed(spark, of, [*different, *same])]
    assert len(set(hashes[: len(different)])) == len(different)
    assert set(hashes[len(different) :]) == {hashes[0]}


JSON_RECORDS: list[tuple[str, str | None]] = [
    ('{"id":"a"}', None),
    (' {"id":"a"} \r', None),
    ('{"id":"a","id":"b"}', None),
    ('{"id":"a"', "not a JSON document"),
    ('{"id":"a"}{"id":"b"}', "not a JSON document"),
    ('{"id":"a"} and more', "not a JSON document"),
    ('{"id":"a"},{"id":"b"}', "not a JSON document"),
    ('{"id":"a"},', "not a JSON document"),
    ('[{"id":"a"}]', "not a JSON document"),
    ("null", "not a JSON document"),
    ("5", "not a JSON document"),
    ('"text"', "not a JSON document"),
    ("id,name", "not a JSON document"),
    ('{"id":"a\x00b"}', "not a JSON document"),
]


def test_what_is_no_single_json_document_is_unreadable(spark: Any) -> None:
    of = contract([key()])
    rows = parsed(spark, of, [record for record, _ in JSON_RECORDS])
    for row, (record, reason) in zip(rows, JSON_RECORDS, strict=True):
        assert row["_unreadable"] == reason, record
        assert (row["id"] is None) == (reason is not None), record
        assert row["_record"] == record
        assert reason is None or row["_violations"] == [], "what cannot be read breaks no rule besides"
    undecoded = parsed(spark, of, ['{"id":"a\ufffd"}'], is_decoded=False)[0]
    assert "encoding" in undecoded["_unreadable"]
    assert undecoded["id"] is None


def test_unknown_fields_are_rescued_and_only_those_that_hold_something(spark: Any) -> None:
    of = contract([key(), column("name", physicalName="Full Name")])
    records = [
        {"id": "1", "Full Name": "x"},
        {"id": "2", "full name": "x", "extra": {"a": [1, "ü"]}, "gone": None},
        {"id": "3", "gone": None},
        {"id": "4", "name": 'quo"te'},
    ]
    rows = parsed(spark, of, records)
    assert [row["name"] for row in rows] == ["x", None, None, None]
    rescued = [row["_rescued"] and json.loads(row["_rescued"]) for row in rows]
    assert rescued == [None, {"full name": "x", "extra": '{"a":[1,"ü"]}'}, None, {"name": 'quo"te'}]


def test_every_reason_is_told_at_once_and_in_the_contracts_order(spark: Any) -> None:
    of = contract(
        [key(), column("status", quality=[accepted("new", "old")]), column("amount", "int", required=True)],
        quality=[
            {"name": "positive", "type": "custom", "engine": "spark-row", "implementation": "amount > 0"},
            {"name": "small", "type": "custom", "engine": "spark-row", "implementation": "amount < 9",
             "severity": "warning"},
        ],
    )  # fmt: skip
    rows = parsed(
        spark,
        of,
        [{"id": "1", "status": "new", "amount": 1}, {"status": "odd", "amount": "x"}, {"id": "3", "amount": -1},
         {"id": "4", "amount": 99}],
    )  # fmt: skip
    broken = ["amount_type", "id_required", "status_accepted_values", "amount_required"]
    assert [row["_violations"] for row in rows] == [[], broken, ["positive"], []]


def change(op: str | None, before: Any, after: Any, lsn: Any = 1) -> dict[str, Any]:
    return {"op": op, "before": before, "after": after, "source": {"lsn": lsn, "table": "x"}, "ts_ms": 5}


def test_change_events(spark: Any) -> None:
    of = contract(
        [key(), column("name", required=True), column("count", "int")], delivery="changes", sequence=["source.lsn"]
    )
    old, new = {"id": "1", "name": "old"}, {"id": "1", "name": "new", "extra": 1}
    cases: list[tuple[Any, str | None, tuple[Any, ...] | None, list[str]]] = [
        (change("r", None, new, 10), None, ("1", "new", False, 10), []),
        (change("c", None, new, 11), None, ("1", "new", False, 11), []),
        (change("u", old, new, 12), None, ("1", "new", False, 12), []),
        (change("d", old, None, 13), None, ("1", "old", True, 13), []),
        (change("d", {"id": "1"}, None, 14), None, ("1", None, True, 14), []),
        (change("d", {"id": "1", "count": "x"}, None, 14), None, ("1", None, True, 14), []),
        (change("u", old, {"id": "1"}, 15), None, ("1", None, False, 15), ["name_required"]),
        (change("u", old, new, None), None, ("1", "new", False, None), ["sequence_known"]),
        (change("u", old, new, "7"), None, ("1", "new", False, 7), []),
        (change("u", old, new, "x"), None, ("1", "new", False, None), ["sequence_known"]),
        (change("u", old, None), "a change event without a row", None, []),
        (change("d", None, None), "a change event without a row", None, []),
        (change("c", None, "text"), "a change event without a row", None, []),
        (change("t", None, None, 16), None, (None, None, False, 16), []),
        (change("t", None, None, None), None, (None, None, False, None), ["sequence_known"]),
        (change("m", None, None), "not a change event: op is none of r, c, u, d, t", None, []),
        (change(None, old, new), "not a change event: op is none of r, c, u, d, t", None, []),
        (new, "not a change event: op is none of r, c, u, d, t", None, []),
        (" null", None, (None, None, False, None), []),
        ("null\r", None, (None, None, False, None), []),
        ("nul", "not a JSON document", None, []),
        (
            change("u", old, {"id": "1", "name": "__debezium_unavailable_value"}),
            "a partial row, which the contract does not expect: write `partial_rows: true` in it",
            None,
            [],
        ),
    ]
    for row, (record, reason, expected, broken) in zip(
        parsed(spark, of, [case[0] for case in cases]), cases, strict=True
    ):
        assert row["_unreadable"] == reason, record
        assert row["_violations"] == broken, record
        if expected:
            assert (row["id"], row["name"], row["_is_deleted"], row["_sequence"]["s0"]) == expected, record
    first = parsed(spark, of, [cases[0][0]])[0]
    assert json.loads(first["_rescued"]) == {"extra": "1"}
    about = [row["_without_row"] for row in parsed(spark, of, [change("t", None, None), "null", cases[0][0]])]
    assert about == [TRUNCATE, NOTHING, None]


def test_what_wins_at_one_place_is_told_by_what_it_does_and_then_by_its_content(spark: Any) -> None:
    of = contract([key(), column("name")], delivery="changes", sequence=["source.lsn"])
    images = [{"id": "1", "name": str(number)} for number in range(50)]
    rows = parsed(spark, of, [change(op, image, image) for op in "rtcud" for image in images])
    read, truncates, created, updated, deletes = (
        [row["_sequence"]["tie"] for row in rows[start : start + 50]] for start in range(0, 250, 50)
    )
    assert created == updated
    order = [read, truncates, created, deletes]
    assert all(max(first) < min(then) for first, then in pairwise(order)), "a deletion is not lost"
    assert len({*read, *truncates, *created, *deletes}) == 200


def test_an_update_with_another_key_before_it_tells_the_old_key(spark: Any) -> None:
    of = contract([key(), key("part", "decimal(18,2)", 2), column("name")], delivery="changes", sequence=["source.lsn"])
    new = {"id": "1", "part": 2, "name": "x"}
    cases: list[tuple[str, Any, tuple[str, Any] | None]] = [
        ("u", {"id": "1", "part": 1}, ("1", 1)),
        ("u", {"id": "0", "part": "2", "name": "x"}, ("0", 2)),
        ("u", {"id": "1", "part": 2, "name": "y"}, None),
        ("u", {"id": "1", "part": " 2"}, None),
        ("u", {"id": "0"}, None),
        ("u", {"id": "0", "part": "two"}, None),
        ("u", None, None),
        ("u", "text", None),
        ("c", {"id": "0", "part": 1}, None),
        ("u", {"id": "1", "part": "LONG"}, ("1", Decimal(LONG))),
    ]
    texts = [json.dumps(change(op, before, new)).replace('"LONG"', LONG) for op, before, _ in cases]
    rows = parsed(spark, of, texts)
    assert [row["_old_key"] and tuple(row["_old_key"]) for row in rows] == [old for _, _, old in cases]


def test_values_that_a_record_leaves_as_they_were(spark: Any) -> None:
    columns = [key(), column("name", required=True), column("size", "int", required=True), column("tags", "string"),
               column("mail", quality=[accepted("a@b")])]  # fmt: skip
    of = contract(columns, delivery="changes", sequence=["source.lsn"], partial_rows=True, ignore_nulls=["size"])
    away = "__debezium_unavailable_value"
    cases: list[tuple[dict[str, Any], list[str], list[str]]] = [
        ({"name": "x", "size": 1}, [], []),
        ({"name": away, "size": 1, "mail": away}, ["name", "mail"], []),
        ({"name": None, "size": None}, ["size"], ["name_required"]),
        ({"name": "x", "size": away}, ["size"], []),
        ({"name": "x", "size": "wide"}, ["size"], ["size_type"]),  # should it be let through, it is a null
        ({"name": "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==", "size": 1, "tags": [away]}, ["name", "tags"], []),
        ({"name": "java.lang.Object@1f2e", "size": 1, "tags": {away: away}}, ["name", "tags"], []),
        ({"name": "x", "size": 1, "tags": list(away.encode())}, ["tags"], []),
        ({"name": f"not {away}", "size": 1, "unknown": away}, [], []),
        ({"id": away, "name": "x", "size": 1}, [], ["id_required"]),
    ]
    rows = parsed(spark, of, [change("u", None, {"id": "1"} | fields, 1) for fields, _, _ in cases])
    for row, (fields, kept, broken) in zip(rows, cases, strict=True):
        assert (row["_kept"], row["_violations"], row["_unreadable"]) == (kept, broken, None), fields
        assert all(row[name] is None for name in kept), fields
        assert row["_rescued"] is None, fields


def test_conditions_tell_deletes_and_truncates(spark: Any) -> None:
    of = contract(
        [key(), key("part", "int", 2), column("op"), column("at", "timestamp", required=True),
         column("name", required=True), column("size", "int")],
        sequence=["at"],
        delete_when="op = 'D' or name = 'gone'",
        truncate_when="op = 'T'",
    )  # fmt: skip
    at = {"at": "2025-03-01T00:00:00Z", "part": 1}
    cases: list[tuple[dict[str, Any], bool, str | None, list[str]]] = [
        ({"id": "1", "name": "x"} | at, False, None, []),
        ({"id": "1", "name": "x", "op": "U"} | at, False, None, []),
        ({"id": "1", "op": "D"} | at, True, None, []),
        ({"op": "D"} | at, True, None, ["id_required"]),
        ({"id": "1", "op": "D", "size": "x"} | at, True, None, []),
        ({"id": "1", "op": "U", "name": "x", "size": "x"} | at, False, None, ["size_type"]),
        ({"id": "1", "op": "D"} | at | {"part": "x"}, True, None, ["part_type", "part_required"]),
        ({"id": "1", "op": "D"} | at | {"at": "x"}, True, None, ["at_type", "sequence_known"]),
        ({"op": "T"} | at, False, TRUNCATE, []),
        ({"op": "T"}, False, TRUNCATE, ["sequence_known"]),
        ({"id": "1"} | at, False, None, ["name_required"]),
    ]
    for row, (record, is_deleted, about, broken) in zip(
        parsed(spark, of, [case[0] for case in cases]), cases, strict=True
    ):
        assert (row["_is_deleted"], row["_without_row"], row["_violations"]) == (is_deleted, about, broken), record


def test_what_is_not_a_number_has_no_place_in_the_order(spark: Any) -> None:
    of = contract([key(), column("at", "double", required=True)], sequence=["at"])
    rows = parsed(spark, of, [{"id": "1", "at": at} for at in (1.5, "NaN", "Infinity", None)])
    told = [[], ["sequence_known"], [], ["sequence_known", "at_required"]]
    assert [row["_violations"] for row in rows] == told, "a NaN would be newer than whatever comes"


def csv_contract(**own: Any) -> Contract:
    return contract([key(), column("name"), column("amount", "decimal(12,2)")], format="csv", **own)


def test_csv_records(spark: Any) -> None:
    header = "id,name,amount,extra"
    cases: list[tuple[str, tuple[Any, ...] | None]] = [
        ("1,x,2.50,more", ("1", "x", Decimal("2.50"), {"extra": "more"})),
        ("1,,,", ("1", None, None, None)),
        ('1,"","",""', ("1", None, None, None)),  # as Spark reads it: CSV has one kind of nothing
        ('1,"a, b","1",', ("1", "a, b", Decimal(1), None)),
        ('1,"say ""hi""",,', ("1", 'say "hi"', None, None)),
        ('1,"two\nlines\r\nhere",,', ("1", "two\nlines\r\nhere", None, None)),
        ("1,back\\slash,,", ("1", "back\\slash", None, None)),
        ("1, spaces , 2 ,", ("1", " spaces ", Decimal(2), None)),
        ("1,it's,,", ("1", "it's", None, None)),
        ("1,NULL,,", ("1", "NULL", None, None)),
        ("1,x", None),
        ("1,x,2,3,4", None),
    ]
    for row, (record, expected) in zip(
        parsed(spark, csv_contract(), [record for record, _ in cases], header), cases, strict=True
    ):
        if expected is None:
            assert "not a CSV record of 4 fields" in row["_unreadable"], record
            continue
        rescued = row["_rescued"] and json.loads(row["_rescued"])
        assert (row["id"], row["name"], row["amount"], rescued) == expected, record
        assert row["_unreadable"] is None, record
        assert row["_type_errors"] == [], record


def test_each_csv_file_is_read_by_its_own_header(spark: Any) -> None:
    of = csv_contract(csv={"delimiter": ";"})
    rows = [
        ("1;x;2", "id;name;amount", True, "a", 2, DAY),
        ("2.5;7;y", "amount;extra;id", True, "b", 2, DAY),
        ("z;1", "id;\"the; `odd` 'name'\"", True, "c", 2, DAY),
        ("u;first;second", "id;name;name", True, "d", 2, DAY),
        ("7", "nothing known", True, "e", 2, DAY),
        ("x;1;2", "name;id;amount", True, "f", 2, DAY),
        ("x;1;2", "id;name;amount", True, "g", 2, DAY),
    ]
    raw = spark.createDataFrame(rows, _RAW)
    found = {row["_file"]: row for row in parse(raw, of, sorted(row[1] for row in rows)).collect()}
    assert [found[f]["id"] for f in "abcde"] == ["1", "y", "z", "u", None]
    assert [found[f]["name"] for f in "abcd"] == ["x", None, None, "first"]
    rescued = [found[f]["_rescued"] and json.loads(found[f]["_rescued"]) for f in "abcde"]
    assert rescued == [None, {"extra": "7"}, {"the; `odd` 'name'": "1"}, {"name__3": "second"}, {"nothing known": "7"}]
    assert found["e"]["_violations"] == ["id_required"]
    assert found["f"]["_sequence"]["tie"] != found["g"]["_sequence"]["tie"], "the same line, and another record"


def test_a_csv_key_in_the_wrong_encoding_is_no_key(spark: Any) -> None:
    row = parsed(spark, csv_contract(), ["caf\ufffd,x,1"], "id,name,amount", is_decoded=False)[0]
    assert (row["id"], "encoding" in row["_unreadable"]) == (None, True)


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("a,b", ["a", "b"]),
        ("\ufeffa, b ", ["a", "b"]),
        ('"a,1","b ""q"""', ["a,1", 'b "q"']),
        ("a,a,,a", ["a", "a__2", "column__3", "a__4"]),
        ("", []),
    ],
)
def test_header_names(header: str, names: list[str]) -> None:
    assert header_names(header, ",") == names


def test_a_binary_header_is_one_name() -> None:
    header = "\x00\x01" * 100_000
    assert header_names(header, ",") == [header]
