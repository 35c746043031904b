"""Correcting a record's text: what is set is set, and nothing else changes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.silver.corrections import CorrectionError, checked, corrected
from lakehouse_tests.silver.small import column, contract, items, key, pii

RENAMED = column("amount", "decimal(12,2)")
RENAMED["physicalName"] = "Amount (€)"
OF = contract([key(), column("status"), RENAMED, column("n", "int"), pii("email"), items("lines", column("sku"))])
CHANGES = contract([key(), column("status")], delivery="changes", sequence=["source.lsn"])
CSV = contract([key(), column("status")], format="csv")

SET: list[tuple[str, dict[str, str], str]] = [
    # (record, values, corrected)
    ('{"id": "1",  "status":"odd"}', {"status": "new"}, '{"id": "1",  "status":"new"}'),
    ('{"id":"1","status":null,"n":1.10}', {"status": "null"}, '{"id":"1","status":null,"n":1.10}'),
    ('{"id":"1"}', {"status": 'say "no"'}, '{"id":"1","status":"say \\"no\\""}'),
    ("{}", {"status": "new", "n": "7"}, '{"status":"new","n":7}'),
    (' {"id":"1" } ', {"n": "seven"}, ' {"id":"1","n":"seven"} '),
    ('{"status":"a","id":"1","status":"b"}', {"status": "007"}, '{"status":"007","id":"1","status":"007"}'),
    ('{"Amount (€)":1.5,"x":{"status":"kept"}}', {"amount": "2.50"}, '{"Amount (€)":2.50,"x":{"status":"kept"}}'),
    ('{"lines":[{"sku":"}"}],"id":"1"}', {"lines": '[{"sku":"a"}]'}, '{"lines":[{"sku":"a"}],"id":"1"}'),
    ('{"st\\u0061tus":"odd"}', {"status": "new"}, '{"st\\u0061tus":"new"}'),
]  # fmt: skip


@pytest.mark.parametrize(("record", "values", "expected"), SET)
def test_members_are_set_and_every_other_character_stays(record: str, values: dict[str, str], expected: str) -> None:
    assert corrected(OF, record, None, values) == expected
    assert checked(OF, expected + "\r\n", None) == expected


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(), inside, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(["id", "status", "email"]) | st.text(), _JSON, max_size=6),
    st.dictionaries(
        st.sampled_from(["id", "status", "email"]), st.text().filter(lambda text: text != "null"), min_size=1
    ),
    st.sampled_from([None, 2]),
    st.booleans(),
)
def test_a_corrected_record_is_the_old_one_with_the_new_values(
    record: dict[str, Any], values: dict[str, str], indent: int | None, is_ascii: bool
) -> None:
    text = json.dumps(record, indent=indent, ensure_ascii=is_ascii)
    found = corrected(OF, text, None, values)
    assert json.loads(found) == record | values
    assert list(json.loads(found))[: len(record)] == list(record)
    assert corrected(OF, found, None, values) == found


def test_of_a_change_event_the_row_is_corrected() -> None:
    update = '{"op":"u","before":{"status":"a"},"after":{"id":"1","status":"odd"},"source":{"lsn":5}}'
    assert corrected(CHANGES, update, None, {"status": "new"}) == update.replace('"odd"', '"new"')
    delete = '{"op":"d","before":{"id":"one"},"after":{"id":"x"}}'
    assert corrected(CHANGES, delete, None, {"id": "1"}) == '{"op":"d","before":{"id":"1"},"after":{"id":"x"}}'
    with pytest.raises(CorrectionError, match="neither `after` nor `before`"):
        corrected(CHANGES, '{"op":"u","after":null}', None, {"id": "1"})


def test_csv_fields_are_set_by_the_header_of_their_file() -> None:
    assert corrected(CSV, '1,"a, b",x', "id,status,more", {"status": 'say "no"'}) == '1,"say ""no""",x'
    assert corrected(CSV, "1,odd", "id,status", {"status": "null"}) == "1,"
    assert checked(CSV, "1,new\n", "id,status") == "1,new"
    with pytest.raises(CorrectionError, match="one CSV record of 2 fields"):
        checked(CSV, "1,new,more", "id,status")
    with pytest.raises(CorrectionError, match="no column status; it has id"):
        corrected(CSV, "1", "id", {"status": "x"})
    with pytest.raises(CorrectionError, match="not the 2 fields"):
        corrected(CSV, "1", "id,status", {"status": "x"})


@pytest.mark.parametrize("record", ['{"id":"1"', "[1]", "", '{"id":"1"} {}', "{'id': 1}"])
def test_what_is_no_record_is_refused(record: str) -> None:
    with pytest.raises(CorrectionError):
        corrected(OF, record, None, {"status": "new"})
    with pytest.raises(CorrectionError):
        checked(OF, record, None)


def test_a_column_that_the_contract_lacks_is_named() -> None:
    with pytest.raises(CorrectionError, match="no column sttaus; it has id, status"):
        corrected(OF, "{}", None, {"sttaus": "new"})
