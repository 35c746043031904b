"""What people may see of personal data."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from lakehouse.silver.masks import KEYS_TABLE, REDACTED, mask, masked_column, masked_record
from lakehouse.storage.tables import literal
from lakehouse_tests.silver.small import column, contract, key, pii

SECRET = "s3cr3t"


def shown(spark: Any, of: Any, records: Sequence[str | None], disposition: str = "quarantined") -> list[Any]:
    frame = spark.createDataFrame(list(enumerate(records)), "nth int, record string")
    rows = frame.selectExpr("nth", f"'{disposition}' as disposition", "record").selectExpr(
        "nth", f"{masked_record(of)} as shown"
    )
    return [row["shown"] for row in sorted(rows.collect())]


def people(**own: Any) -> Any:
    address = {"name": "address", "logicalType": "object", "properties": [column("street"), column("town")]}
    address |= {"classification": "pii", "customProperties": [{"property": "lakehouse", "value": {"mask": "redact"}}]}
    named = pii("prenom")
    named["physicalName"] = "prénom (a)"
    return contract([key(), column("note"), pii("email", "hash"), named, address, pii("age", kind="int")], **own)


RECORDS: list[tuple[str, str | None]] = [
    # (record, what stays of it; None: nothing)
    (json.dumps({"id": "1", "email": SECRET, "note": "email"}), '{"id": "1", "email": "•••", "note": "email"}'),
    (json.dumps({"email": f'a"{SECRET}\\"b', "id": "1"}), '{"email": "•••", "id": "1"}'),
    ('{"email" : "' + SECRET + '\\\\","id":"1"}', '{"email" : "•••","id":"1"}'),
    ('{"age":-1.5e3,"id":"1"}', '{"age":"•••","id":"1"}'),
    ('{"age":true,"id":"1"}', '{"age":"•••","id":"1"}'),
    ('{"email":null,"id":"1"}', '{"email":null,"id":"1"}'),
    ('{"email":["' + SECRET + ']","' + SECRET + '"],"id":"1"}', '{"email":"•••","id":"1"}'),
    ('{"address":{"geo":{"lat":[1]},"street":"' + SECRET + '}"},"id":"1"}', '{"address":"•••","id":"1"}'),
    ('{"before":{"email":"' + SECRET + '"},"after":{"email":"' + SECRET + '","id":"1"}}',
     '{"before":{"email":"•••"},"after":{"email":"•••","id":"1"}}'),
    ('{"Email":"' + SECRET + '","EMAIL":"' + SECRET + '"}', '{"Email":"•••","EMAIL":"•••"}'),
    (json.dumps({"prénom (a)": SECRET}, ensure_ascii=False), '{"prénom (a)": "•••"}'),
    (json.dumps({"prénom (a)": SECRET}), '{"pr\\u00e9nom (a)": "•••"}'),
    ('{"\\u0065mail":"' + SECRET + '"}', None),
    (json.dumps({"after": json.dumps({"email": SECRET})}), None),
    ('{"address":' + '{"a":' * 9 + '"' + SECRET + '"' + "}" * 9 + "}", None),
    ('{"email":"' + SECRET, None),
    ('{"email":"' + SECRET * 50_000 + '","id":"1"}', '{"email":"•••","id":"1"}'),
    ('{"note":"a \\u0026 b \\u00e9","id":"1"}', '{"note":"a \\u0026 b \\u00e9","id":"1"}'),
    ('{"customer_email":"kept"}', '{"customer_email":"kept"}'),
]  # fmt: skip


def test_personal_data_is_blotted_out_of_json_or_the_record_is_hidden(spark: Any) -> None:
    for (record, expected), found in zip(
        RECORDS, shown(spark, people(), [record for record, _ in RECORDS]), strict=True
    ):
        assert SECRET not in found, record[:200]
        if expected is None:
            assert found.startswith(f"{REDACTED} ("), record
        else:
            assert found == expected


def test_nothing_is_shown_of_what_cannot_be_read_nor_of_csv(spark: Any) -> None:
    records = [record for record, _ in RECORDS]
    for of, disposition in ((people(), "rejected"), (contract([key(), pii("email")], format="csv"), "quarantined")):
        assert all(found.startswith(f"{REDACTED} (") for found in shown(spark, of, records, disposition))
    assert shown(spark, contract([key(), pii("email")], format="csv"), [None]) == [None], (
        "what is not there is not hidden"
    )


def test_a_table_without_personal_data_is_shown_as_it_is() -> None:
    assert masked_record(contract([key()]), "x") == "x"


@pytest.fixture
def mask_key(spark: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Masks that take their key from a view of this session."""
    spark.createDataFrame([("a key",)], "mask_key string").createOrReplaceTempView("mask_keys_of_a_test")
    monkeypatch.setattr("lakehouse.silver.masks.KEYS_TABLE", "mask_keys_of_a_test")
    yield
    spark.catalog.dropTempView("mask_keys_of_a_test")


def test_masks_of_values(spark: Any, mask_key: None) -> None:
    def masked(value: str | None, how: Any) -> Any:
        text = "cast(null as string)" if value is None else literal(value)
        return spark.sql(f"select {mask('v', how)} as m from (select {text} as v)").first()["m"]

    assert masked("jo@example.com", "partial") == "j•••@example.com"
    assert masked("Jo Smith", "partial") == "J•••"
    assert masked("", "partial") == "•••"
    assert masked("Jo", "redact") == "•••"
    hashed = masked("jo@example.com", "hash")
    assert len(hashed) == 64
    assert masked("jo@example.com", "hash") == hashed
    assert masked("jo@example.org", "hash") != hashed
    spark.createDataFrame([("another key",)], "mask_key string").createOrReplaceTempView("mask_keys_of_a_test")
    assert masked("jo@example.com", "hash") != hashed, "the key must matter"
    assert [masked(None, how) for how in ("hash", "partial", "redact")] == [None] * 3


def test_masked_columns(spark: Any, mask_key: None) -> None:
    of = people()
    assert masked_column(of.column("note"), "note") == "note"
    assert KEYS_TABLE not in masked_column(of.column("address"), "address")
    row = spark.sql(
        f"select {masked_column(of.column('age'), 'age')} as age, {masked_column(of.column('address'), 'a')} as address "
        "from (select 41 as age, named_struct('street', 's', 'town', 't') as a)"
    ).first()
    assert tuple(row) == (REDACTED, REDACTED)
