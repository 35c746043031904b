"""Proposals: each passes the check that they are written for, and says what the data showed."""

import gzip
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from lakehouse.contracts.loader import load
from lakehouse.contracts.model import Column, Contract
from lakehouse.contracts.profile import ProfileError, propose


def proposed(path: Path, *names: str) -> tuple[Contract, str]:
    """The proposal for a file, loaded, and its text."""
    text = propose(path, *names)
    target = path.parent / "proposal.yaml"
    target.write_text(text, encoding="utf-8")
    return load(target), text


def of_csv(tmp_path: Path, content: str | bytes, name: str = "data.csv") -> tuple[Contract, str]:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return proposed(path)


def of_json(tmp_path: Path, *records: Any) -> tuple[Contract, str]:
    path = tmp_path / "records.jsonl"
    path.write_text("\n".join(json.dumps(record) for record in records))
    return proposed(path)


def types(contract: Contract) -> dict[str, str]:
    return {column.name: column.type for column in contract.columns}


def test_a_csv_of_people(tmp_path: Path, odcs: Any) -> None:
    rows = "\n".join(
        f'{n},"Doe, J{n}",jane{n}@example.com,+49 170 123456{n % 10},{n % 28 + 1:02}.12.2024,{n}.5,{"AB"[n % 2]},0{n:04}'
        for n in range(60)
    )
    contract, text = of_csv(
        tmp_path,
        f"Customer ID,Full Name,E-Mail,Phone No.,Signup,Amount (EUR),Grade,Zip\n{rows}\n",
        "Our People 2024-01-01.csv",
    )
    assert (contract.table, contract.format, contract.csv_delimiter, contract.encoding) == (
        "files_our_people",
        "csv",
        ",",
        "UTF-8",
    )
    assert types(contract) == {
        "customer_id": "bigint",
        "full_name": "string",
        "e_mail": "string",
        "phone_no": "string",
        "signup": "date",
        "amount_eur": "decimal(12,2)",
        "grade": "string",
        "zip": "string",
    }
    assert contract.keys == ("customer_id",)
    assert {column.name: column.mask for column in contract.pii_columns} == {
        "full_name": "partial",
        "e_mail": "hash",
        "phone_no": "redact",
    }
    assert contract.column("amount_eur").source_name == "Amount (EUR)"
    assert contract.column("signup").format == "dd.MM.yyyy"
    assert all(column.required for column in contract.columns)
    rules = {rule.name: rule.predicate for rule in contract.rules}
    assert rules["grade_accepted"] == "grade in ('A', 'B')"
    assert rules["amount_eur_range"] == "amount_eur >= 0 and amount_eur <= 1000"
    assert "e_mail_format" in rules
    for secret in ("jane", "Doe", "170"):
        assert secret not in text, "no personal value is written into the contract"
    assert "different in all 60 records" in text
    odcs.validate(YAML(typ="safe").load(text))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    lines = [["id", "a text", "n"], *([str(n), f'"x{delimiter}, y"', "1"] for n in range(5))]
    contract, _ = of_csv(tmp_path, "\n".join(delimiter.join(line) for line in lines))
    assert contract.csv_delimiter == delimiter
    assert contract.column_names == ("id", "a_text", "n")


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [("utf-8-sig", "UTF-8"), ("latin-1", "ISO-8859-1"), ("cp1252", "windows-1252"), ("utf-16", "UTF-16")],
)
def test_the_encoding_is_found(tmp_path: Path, encoding: str, declared: str) -> None:
    content = "id,Größe\n1,müde\n2,café" + (" €" if encoding == "cp1252" else "")
    contract, _ = of_csv(tmp_path, content.encode(encoding))
    assert contract.encoding == declared
    assert [column.source_name for column in contract.columns] == ["id", "Größe"]
    assert contract.column_names == ("id", "groesse")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "2"], "bigint"),
        (["1", "99999999999999999999"], "decimal(38,0)"),
        (["1.5", "2"], "decimal(12,2)"),
        (["1.123", "2"], "decimal(12,3)"),
        (["1.123456", "2"], "double"),
        (["1e5", "2"], "double"),
        (["007", "123"], "string"),
        (["1,5", "2"], "string"),
        (["1", "NA", *"23456789"], "string"),
        (["true", "FALSE"], "boolean"),
        (["2024-01-31", "2024-02-01"], "date"),
        (["2024-02-30", "2024-02-01"], "string"),
        (["2024-01-31T10:00:00Z", "2024-01-31T10:00:00.5+01:00"], "timestamp"),
        (["2024-01-31 10:00", "2024-01-31 10:00"], "timestamp"),
        (["31/01/2024", "01/02/2024"], "date"),
        (["31.01.2024 10:00", "01.02.2024 23:59"], "timestamp"),
        (["", ""], "string"),
    ],
)
def test_types_of_text(tmp_path: Path, values: list[str], expected: str) -> None:
    contract, _ = of_csv(tmp_path, "id,v\n" + "\n".join(f'{n},"{value}"' for n, value in enumerate(values)))
    assert contract.column("v").type == expected


def test_a_date_that_may_be_read_in_two_ways(tmp_path: Path) -> None:
    contract, text = of_csv(tmp_path, "id,d\n1,01/02/2024\n2,03/04/2024\n")
    assert contract.column("d").format == "dd/MM/yyyy"
    assert "dd/MM/yyyy and MM/dd/yyyy both fit" in text


def test_odd_headers(tmp_path: Path) -> None:
    contract, text = of_csv(tmp_path, 'ID,id,"Bad: ""name""",2020,,dup,dup,order,%,true\n1,2,3,4,5,6,7,8,9,x\n')
    named = {column.name: column.source_name for column in contract.columns}
    assert named == {
        "id": "ID",
        "bad_name": 'Bad: "name"',
        "column_2020": "2020",
        "dup": "dup",
        "order": "order",
        "percent": "%",
        "true": "true",
    }
    for note in ("'id' differs from another column only in capitals", "'dup' occurs twice", "column 5 has no name"):
        assert note in text


def test_keys(tmp_path: Path) -> None:
    contract, _ = of_csv(tmp_path, "day,shop,n\n" + "\n".join(f"2024-01-0{n % 3 + 1},s{n % 2},7" for n in range(6)))
    assert set(contract.keys) == {"day", "shop"}, "two columns together"
    contract, text = of_csv(tmp_path, "a,b\n1,1\n1,1\n1,1\n")
    assert contract.keys == ("a",)
    assert "NO KEY FOUND" in text and "a repeats 2 times" in text
    contract, text = of_csv(tmp_path, "note,total,order_id\n")
    assert contract.keys == ("order_id",)
    assert "the file has no records" in text
    with pytest.raises(ProfileError, match="no column that could identify"):
        of_csv(tmp_path, "flag\ntrue\nfalse\n")


def test_ragged_lines_are_told(tmp_path: Path) -> None:
    _, text = of_csv(tmp_path, "a,b\n1,2\n3\n4,5,6\n")
    assert "2 of 3 records have more or fewer fields" in text


def test_json_records(tmp_path: Path, odcs: Any) -> None:
    contract, text = of_json(
        tmp_path,
        {"eventId": "e1", "at": "2025-01-01T00:00:00Z", "user": {"email": "a@b.co", "age": 3}, "ok": True, "n": 1, "tags": ["a"],
         "items": [{"Sku": "a", "price": 1.25}]},
        {"eventId": "e2", "at": "2025-01-01T00:00:01Z", "user": None, "ok": False, "n": "x", "tags": [], "items": []},
    )  # fmt: skip
    assert types(contract) == {
        "event_id": "string",
        "at": "timestamp",
        "user": "struct<email:string,age:bigint>",
        "ok": "boolean",
        "n": "string",
        "tags": "array<string>",
        "items": "array<struct<sku:string,price:decimal(12,2)>>",
    }
    assert contract.keys == ("event_id",)
    assert [(column.name, column.mask) for column in contract.pii_columns] == [("user", "redact")]
    assert contract.column("items").child_table == "records_items"
    assert not contract.column("user").required
    assert "text, whole numbers occur together" in text
    odcs.validate(YAML(typ="safe").load(text))


def test_a_field_with_the_name_of_the_key(tmp_path: Path) -> None:
    contract, _ = of_json(tmp_path, {"id": 1, "items": [{"id": 7}]}, {"id": 2, "items": []})
    (field,) = contract.column("items").children
    assert (field.name, field.source_name) == ("items_id", "id")


def test_spaces_in_a_header_are_part_of_the_name(tmp_path: Path) -> None:
    contract, _ = of_csv(tmp_path, "id, Total ,x\n1,2,3\n")
    assert contract.column("total").source_name == " Total "


def test_json_in_other_shapes(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text('[{"id": 1},\n {"id": 2}, 3]')
    contract, text = proposed(path)
    assert contract.keys == ("id",) and "one JSON array" in text and "1 of 3 lines are no JSON object" in text
    path.write_text('{\n "id": 1\n}')
    assert "one JSON object over several lines" in proposed(path)[1]
    path.write_text('{"id": 1}\n{"id": 2')
    assert "1 of 2 lines are no JSON object" in proposed(path)[1]


def test_change_envelopes(tmp_path: Path) -> None:
    def change(n: int, op: str) -> dict[str, Any]:
        row = {"customer_id": f"c{n % 2}", "name": "A"}
        return {
            "op": op,
            "before": row if op == "d" else None,
            "after": None if op == "d" else row,
            "source": {"lsn": n},
        }

    contract, text = of_json(tmp_path, *(change(n, "crud"[n % 4]) for n in range(8)))
    assert (contract.delivery, contract.sequence, contract.keys) == ("changes", ("source.lsn",), ("customer_id",))
    assert contract.column_names == ("customer_id", "name")
    assert "the key is a guess by name" in text


def test_versions_are_told_by_their_column(tmp_path: Path) -> None:
    contract, _ = of_csv(tmp_path, "id,updated_at\n1,2024-01-01T00:00:00Z\n2,2024-01-01T00:00:00Z\n")
    assert (contract.delivery, contract.sequence, contract.freshness_column) == (
        "versions",
        ("updated_at",),
        "updated_at",
    )
    contract, _ = of_csv(tmp_path, "id,n\n1,2\n", "page_events.csv")
    assert (contract.delivery, contract.sequence) == ("append", ())


def test_names_come_from_the_landing_folder(tmp_path: Path) -> None:
    folder = tmp_path / "crm" / "Contacts" / "2025-01-31"
    folder.mkdir(parents=True)
    path = folder / "part-0.csv"
    path.write_text("id\n1\n")
    assert proposed(path)[0].table == "crm_contacts"
    assert proposed(path, "Web Shop", "Order Lines")[0].table == "web_shop_order_lines"


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "readings.parquet"
    table = pa.table(
        {
            "Id": pa.array(range(40), pa.int32()),
            "small": pa.array([1] * 40, pa.int16()),
            "price": pa.array([Decimal("1.50")] * 40, pa.decimal128(10, 2)),
            "ratio": pa.array([0.5] * 40, pa.float32()),
            "on": pa.array([date(2024, 1, 1)] * 40),
            "at": pa.array([datetime(2024, 1, 1, tzinfo=UTC)] * 40, pa.timestamp("us", "UTC")),
            "kind": pa.array(["a", "b"] * 20).dictionary_encode(),
            "parts": pa.array([[{"n": 1}]] * 40),
            "raw": pa.array([b"\x00"] * 40),
            "none": pa.nulls(40, pa.int64()),
        }
    )
    pq.write_table(table, path)
    contract, text = proposed(path)
    assert types(contract) == {
        "id": "int",
        "small": "smallint",
        "price": "decimal(10,2)",
        "ratio": "float",
        "on": "date",
        "at": "timestamp",
        "kind": "string",
        "parts": "array<struct<n:bigint>>",
        "raw": "string",
        "none": "bigint",
    }
    assert contract.format == "json" and "landing takes json and csv" in text
    assert "kind_accepted" in {rule.name for rule in contract.rules}
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ProfileError, match="cannot be read as Parquet"):
        propose(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf\n\n", "is empty"),
        (gzip.compress(b"id\n1\n", mtime=0), "is binary"),
        (b"\x7fELF\x00\x00", "is binary"),
        (b"{nonsense\n{more", "none of its 2 lines is a JSON object"),
        (b"[]", "holds no record"),
        (b"{}", "have no fields"),
        (b",,\n1,2,3\n", "has no header"),
    ],
)
def test_a_file_that_no_contract_fits(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(ProfileError, match=message) as error:
        propose(path)
    assert str(path) in str(error.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="cannot be read: No such file"):
        propose(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("name", "table", "expected"),
    [
        ("email", "orders", "hash"),
        ("customer_email_address", "orders", "hash"),
        ("email_count", "orders", None),
        ("phone", "orders", "redact"),
        ("shipping_address", "orders", "redact"),
        ("last_name", "orders", "partial"),
        ("name", "customers", "partial"),
        ("name", "products", None),
        ("product_name", "customers", None),
        ("birth_date", "users", "redact"),
        ("description", "orders", None),
        ("zip", "orders", None),
    ],
)
def test_personal_data_is_known_by_name(tmp_path: Path, name: str, table: str, expected: str | None) -> None:
    contract, _ = of_csv(tmp_path, f"id,{name}\n1,x\n2,y\n", f"{table}.csv")
    found: Column = contract.column(name)
    assert (found.classification == "pii", found.mask) == (expected is not None, expected)


def test_personal_data_is_known_by_its_values(tmp_path: Path) -> None:
    contract, _ = of_csv(
        tmp_path, "id,a,b,c\n1,x@example.com,(030) 123-4567,2024-01-01\n2,y@example.com,030 765-4321,2024-01-02\n"
    )
    assert {column.name: column.mask for column in contract.pii_columns} == {"a": "hash", "b": "redact"}


def test_personal_data_is_known_however_deep_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "any.json"
    path.write_text(json.dumps({"id": 1, "a": {"b": {"card": 4398046511105}}}))
    contract, _ = proposed(path)
    assert [column.name for column in contract.pii_columns] == ["a"]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(st.text(max_size=6), JSON_VALUES, max_size=4), min_size=1, max_size=5))
def test_every_json_gets_a_valid_contract_or_a_reason(tmp_path: Path, records: list[dict[str, Any]]) -> None:
    path = tmp_path / "any.json"
    path.write_text("\n".join(json.dumps(record) for record in records))
    try:
        proposed(path)
    except ProfileError as error:
        assert str(path) in str(error)


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=80) | st.text(alphabet="ab1,;\"'\n\té.-@: #{", max_size=80).map(str.encode))
def test_every_file_gets_a_valid_contract_or_a_reason(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.csv"
    path.write_bytes(content)
    try:
        proposed(path)
    except ProfileError as error:
        assert str(path) in str(error)
