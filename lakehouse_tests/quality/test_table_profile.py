"""A table measured in five queries: what is exact is exact, what is hidden stays hidden."""

import math
from dataclasses import asdict
from typing import Any

import pytest

from lakehouse.contracts.proposals import ColumnProfile, Key, Relation, TableProfile
from lakehouse.quality.table_profile import SAMPLE_ROWS, Target, profile

ROWS = 12_000
"""More than the sample: what rests on it is told apart from what was counted."""
COLUMNS = """
    concat('o', 1000000 + id) as order_id,
    concat('s', id div 4) as shop_id,
    cast(id % 4 as int) as line_no,
    case when id = 7 then 'lost' when id % 3 = 0 then 'open' else 'paid' end as status,
    concat('B', 100 + id % 800, '-', 1000 + id % 7000) as part,
    if(id = 5, 'weird', concat('x', id % 900)) as nearly,
    if(id % 10 = 0, null, cast(id % 1000 as decimal(12,2)) / 100) as amount,
    case when id % 100 = 0 then cast('NaN' as double) else id / 7D end as ratio,
    cast('2024-01-01' as date) + cast(id % 366 as int) as day,
    timestamp'2024-01-01 00:00:00' + make_interval(0, 0, 0, 0, 0, cast(id as int)) as at,
    concat('2024-01-', lpad(cast(1 + id % 28 as string), 2, '0')) as due,
    concat('jane.doe', id, '@secret.example') as contact,
    concat('Zacharias', id) as owner_label,
    if(id % 1000 = 1, 'ask zoe@secret.example', if(id % 2 = 0, ' ', 'fine')) as remark,
    id % 2 = 0 as flag,
    if(id = 0, null, sequence(1, 1 + id % 3)) as items,
    map('a', id) as pairs,
    concat('c', id % 300) as buyer,
    named_struct('e_mail', concat('zoe', id, '@secret.example')) as sender,
    '_' as _technical
"""


@pytest.fixture(scope="module")
def measured(spark: Any) -> TableProfile:
    name = "profile_targets"
    spark.sql("select concat('c', id) as customer_id from range(300)").createOrReplaceTempView(f"{name}_all")
    spark.sql("select concat('c', id) as customer_id from range(280)").createOrReplaceTempView(f"{name}_most")
    spark.sql("select concat('d', id) as customer_id from range(300)").createOrReplaceTempView(f"{name}_none")
    targets = [Target(f"crm_{part}", f"{name}_{part}", "customer_id", "string") for part in ("all", "most", "none")]
    frame = spark.range(ROWS).selectExpr(*_split(COLUMNS))
    return profile(frame, "shop_orders", {"owner_label"}, targets)


def _split(columns: str) -> list[str]:
    return [line.strip().removesuffix(",") for line in columns.strip().splitlines()]


def of(found: TableProfile, name: str) -> ColumnProfile:
    return next(column for column in found.columns if column.name == name)


def test_counts_bounds_and_quantiles(measured: TableProfile) -> None:
    assert measured.rows == ROWS
    assert "_technical" not in {column.name for column in measured.columns}
    amount = of(measured, "amount")
    assert (amount.nulls, amount.smallest, amount.largest) == (ROWS // 10, "0.010000", "9.990000")
    assert float(amount.quantiles[2]) == pytest.approx(5, abs=0.1)
    assert amount.distinct == pytest.approx(900, rel=0.05)
    ratio = of(measured, "ratio")
    assert (ratio.blanks, ratio.nulls) == (ROWS // 100, 0)
    assert float(ratio.largest or 0) == pytest.approx(11_999 / 7)
    assert of(measured, "day").quantiles[2][:4] == "2024"
    assert (of(measured, "at").smallest, of(measured, "at").largest) == ("2024-01-01 00:00:00", "2024-01-09 07:59:00")
    assert of(measured, "remark").blanks == ROWS // 2
    items = of(measured, "items")
    assert (items.nulls, items.shortest, items.longest, items.distinct) == (1, 1, 3, None)
    assert of(measured, "pairs").longest == 1


def test_few_values_are_all_counted_and_others_by_the_sample(measured: TableProfile) -> None:
    assert of(measured, "status").counts == {"paid": 7_999, "open": 4_000, "lost": 1}, (
        "the one that no sample would show"
    )
    assert of(measured, "status").top[0] == ("paid", 7_999)
    assert of(measured, "order_id").counts is None
    assert (of(measured, "status").top_of, of(measured, "remark").top_of) == (ROWS, ROWS)
    assert of(measured, "buyer").top_of == measured.sampled
    assert (of(measured, "order_id").distinct or 0) == pytest.approx(ROWS, rel=0.05)
    assert measured.sampled == pytest.approx(ROWS / math.ceil(ROWS / SAMPLE_ROWS), rel=0.1)


def test_forms_are_confirmed_on_every_row(measured: TableProfile) -> None:
    assert of(measured, "part").form == ("pattern", "^[A-Z][0-9]{3}-[0-9]{4}$")
    assert of(measured, "part").unlike == 0
    assert of(measured, "part").shapes == (("A999-9999", 1.0),)
    assert of(measured, "nearly").unlike in (1, None), "None, where the sample had the one that is unlike"
    assert of(measured, "due").really == "date"
    assert of(measured, "order_id").really is None


def test_keys_alone_and_in_pairs(measured: TableProfile) -> None:
    assert Key(("order_id",)) in measured.keys
    assert Key(("shop_id", "line_no")) in measured.keys or Key(("line_no", "shop_id")) in measured.keys
    assert not any(set(key.columns) & {"status", "ratio", "flag"} for key in measured.keys)


def test_relations_by_values(measured: TableProfile) -> None:
    assert Relation("buyer", "crm_all", "customer_id", 300, 300) in measured.relations
    assert Relation("buyer", "crm_most", "customer_id", 300, 280) in measured.relations
    assert {relation.table for relation in measured.relations} == {"crm_all", "crm_most"}


def test_nothing_personal_is_in_the_result(measured: TableProfile) -> None:
    everything = repr(asdict(measured))
    assert "secret" not in everything
    assert "Zacharias" not in everything
    contact = of(measured, "contact").personal
    assert contact is not None
    assert contact.kind == "e-mail address"
    assert of(measured, "owner_label").is_classified
    assert of(measured, "owner_label").shapes[0][0] == "Aa+9+", "its form alone leaves the engine"
    sender = of(measured, "sender").personal
    assert sender is not None
    assert (sender.kind, sender.mask) == ("e-mail address", "redact")
    assert of(measured, "remark").personal is None
    assert "•••" in repr(of(measured, "remark").top) or of(measured, "remark").counts is None


def test_an_empty_table_has_columns_and_nothing_else(spark: Any) -> None:
    found = profile(spark.range(0).selectExpr("id", "cast(id as string) as name", "array(id) as items"), "shop_none")
    assert (found.rows, found.keys, found.relations, found.sampled) == (0, (), (), 0)
    assert [(column.name, column.nulls, column.smallest) for column in found.columns] == [
        ("id", 0, None),
        ("name", 0, None),
        ("items", 0, None),
    ]
