"""The manifest says what the files hold: counted here again from the files alone, by rules of their own."""

import csv
import json
import re
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from lakehouse.sample import LandSummary
from lakehouse.sample.faults import RATES, USABLE_PER_UNUSABLE
from lakehouse.sample.manifest import NAME
from lakehouse_tests.sample.landed import files_of, lines_of, parsed

Record = dict[str, Any]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def order_is_usable(order: Record) -> bool:
    return (
        isinstance(order.get("order_id"), str)
        and isinstance(order["total_price"], float)
        and order["total_price"] >= 0
        and order["order_status"] in {"pending", "processing", "shipped", "delivered", "cancelled"}
    )


def payment_is_usable(event: Record) -> bool:
    row = event["after"]
    return (
        isinstance(row.get("payment_id"), str)
        and isinstance(row["amount"], int)
        and row["amount"] >= 0
        and row["status"] in {"pending", "succeeded", "failed", "refunded"}
    )


def customer_is_usable(event: Record) -> bool:
    row = event["after"] or event["before"]
    return (
        isinstance(row.get("customer_id"), str)
        and bool(TIME.fullmatch(row["created_at"]))
        and row["age"] in {None, "19-24", "25-34", "35-44", "45-54", "55-64", "65+"}
    )


def event_is_usable(event: Record) -> bool:
    return (
        isinstance(event.get("event_id"), str)
        and bool(TIME.fullmatch(event["occurred_at"]))
        and event["event_type"] in {"page_view", "product_view", "add_to_cart", "checkout"}
    )


TABLES: dict[str, tuple[Callable[[Record], bool], Callable[[Record], str], Callable[[Record], Any]]] = {
    "shopify.orders": (order_is_usable, lambda order: order["order_id"], lambda order: order["updated_at"]),
    "stripe.payments": (
        payment_is_usable,
        lambda event: event["after"]["payment_id"],
        lambda event: event["source"]["lsn"],
    ),
    "stripe.customers": (
        customer_is_usable,
        lambda event: (event["after"] or event["before"])["customer_id"],
        lambda event: event["source"]["lsn"],
    ),
    "web.events": (event_is_usable, lambda event: event["event_id"], lambda event: 0),
}


def newest(summary: LandSummary, table: str) -> dict[str, Record]:
    """The usable record of the highest sequence, for each key."""
    usable, key, sequence = TABLES[table]
    rows: dict[str, Record] = {}
    for line in lines_of(summary.landing, table):
        record = parsed(line)
        if record and usable(record) and (key(record) not in rows or sequence(record) > sequence(rows[key(record)])):
            rows[key(record)] = record
    return rows


@pytest.mark.parametrize("table", TABLES)
def test_records_reconcile(two_weeks: LandSummary, table: str) -> None:
    usable, key, sequence = TABLES[table]
    account = two_weeks.manifest["tables"][table]
    lines = lines_of(two_weeks.landing, table)
    records = [record for line in lines if (record := parsed(line)) is not None]
    good = [record for record in records if usable(record)]
    versions = Counter((key(record), sequence(record)) for record in good)
    expected = account["expected"]
    assert account["files"] == len(files_of(two_weeks.landing, table))
    assert account["records"] == len(lines)
    assert expected["unreadable"] == len(lines) - len(records) == account["faults"]["malformed"] > 0
    assert expected["quarantined"] == len(records) - len(good) > 0
    assert expected["usable"] == len(good)
    assert expected["versions"] == len(versions)
    assert expected["duplicates"] == sum(versions.values()) - len(versions) == account["faults"]["duplicate"] > 0
    assert expected["keys"] == len({key(record) for record in good})


def test_order_totals_reconcile(two_weeks: LandSummary) -> None:
    orders = newest(two_weeks, "shopify.orders").values()
    totals = two_weeks.manifest["tables"]["shopify.orders"]["totals"]
    assert totals["orders"] == len(orders)
    for column in ("total_price", "subtotal", "total_discount", "tax", "shipping"):
        assert Decimal(totals[column]) == sum(Decimal(str(order[column])) for order in orders)
    assert totals["lines"] == sum(len(order["line_items"]) for order in orders)
    assert {name: count for name, count in totals["statuses"].items() if count} == Counter(
        order["order_status"] for order in orders
    )


def test_payment_totals_reconcile(two_weeks: LandSummary) -> None:
    payments = [event["after"] for event in newest(two_weeks, "stripe.payments").values()]
    totals = two_weeks.manifest["tables"]["stripe.payments"]["totals"]
    assert totals["payments"] == len(payments)
    assert totals["amount_cents"] == sum(payment["amount"] for payment in payments)
    assert totals["amount_refunded_cents"] == sum(payment["amount_refunded"] for payment in payments) > 0


def test_customer_totals_reconcile(two_weeks: LandSummary) -> None:
    events = newest(two_weeks, "stripe.customers").values()
    totals = two_weeks.manifest["tables"]["stripe.customers"]["totals"]
    assert totals["customers"] == sum(event["op"] != "d" for event in events)
    assert totals["deleted"] == sum(event["op"] == "d" for event in events) > 0


def test_lost_orders_are_listed(two_weeks: LandSummary, two_clean_weeks: LandSummary) -> None:
    lost = two_weeks.manifest["tables"]["shopify.orders"]["expected"]["quarantined_keys"]
    clean, faulty = newest(two_clean_weeks, "shopify.orders"), newest(two_weeks, "shopify.orders")
    assert lost and sorted(clean.keys() - faulty.keys()) == lost
    assert two_clean_weeks.manifest["tables"]["shopify.orders"]["expected"]["quarantined_keys"] == []


@pytest.mark.parametrize("table", TABLES)
def test_faults_change_nothing_but_lost_keys(two_weeks: LandSummary, two_clean_weeks: LandSummary, table: str) -> None:
    lost = set(two_weeks.manifest["tables"][table]["expected"]["quarantined_keys"])
    clean = {key: record for key, record in newest(two_clean_weeks, table).items() if key not in lost}
    faulty = newest(two_weeks, table)
    for record in faulty.values():
        record.pop("discount_code", None)
    assert faulty == clean


def test_the_new_column_appears_in_the_middle(two_weeks: LandSummary) -> None:
    orders = [record for line in lines_of(two_weeks.landing, "shopify.orders") if (record := parsed(line))]
    coded = [order for order in orders if "discount_code" in order]
    account = two_weeks.manifest["tables"]["shopify.orders"]
    assert account["new_columns"]["discount_code"] == sum(map(order_is_usable, coded)) > 0
    final = newest(two_weeks, "shopify.orders").values()
    assert account["totals"]["with_discount_code"] == sum("discount_code" in order for order in final) > 0
    start, end = two_weeks.manifest["replay"]["start"], two_weeks.manifest["replay"]["end"]
    assert start < min(order["updated_at"] for order in coded) < end
    assert min(order["updated_at"] for order in orders) < min(order["updated_at"] for order in coded)
    assert all(re.fullmatch(r"SAVE\d+", order["discount_code"]) for order in coded)


def test_every_fault_occurs(two_weeks: LandSummary) -> None:
    assert all(two_weeks.manifest["tables"]["shopify.orders"]["faults"].values())
    assert set(two_weeks.manifest["tables"]["shopify.orders"]["faults"]) == RATES.keys() - {"lost"}


def test_without_faults_there_are_none(two_clean_weeks: LandSummary) -> None:
    for table, account in two_clean_weeks.manifest["tables"].items():
        assert not any(account["faults"].values()), table
        assert account["records"] == account["expected"]["usable"] == account["expected"]["versions"]
    assert two_clean_weeks.manifest["rates"] == {}
    assert two_clean_weeks.manifest["tables"]["shopify.orders"]["new_columns"] == {"discount_code": 0}
    for table, (usable, _, _) in TABLES.items():
        records = [parsed(line) for line in lines_of(two_clean_weeks.landing, table)]
        assert all(record is not None and usable(record) and "discount_code" not in record for record in records)


@pytest.mark.parametrize("table", TABLES)
def test_no_file_is_mostly_unusable(two_weeks: LandSummary, table: str) -> None:
    """So no batch of any size is blocked for its share of quarantined records."""
    usable = TABLES[table][0]
    for path in files_of(two_weeks.landing, table):
        records = [parsed(line) for line in path.read_text().splitlines()]
        bad = sum(record is None or not usable(record) for record in records)
        assert bad * USABLE_PER_UNUSABLE <= len(records) - bad, path


def test_snapshots_reconcile(two_weeks: LandSummary) -> None:
    account = two_weeks.manifest["tables"]["catalog.products"]
    weeks = []
    cut = 0
    for path in files_of(two_weeks.landing, "catalog.products"):
        with path.open(newline="") as file:
            header, *rows = csv.reader(file)
        whole = [row for row in rows if len(row) == len(header)]
        cut += len(rows) - len(whole)
        weeks.append({row[0]: tuple(row) for row in whole})
        assert len(weeks[-1]) == len(whole), "a product is listed once"
    changes = sum(weeks[0].get(key) != row for key, row in weeks[1].items())
    assert cut == account["expected"]["unreadable"] == account["faults"]["malformed"] > 0
    assert account["records"] == sum(map(len, weeks)) + cut
    assert account["expected"]["keys"] == len(weeks[0].keys() | weeks[1].keys())
    assert account["totals"] == {"products": len(weeks[1]), "history_rows": len(weeks[0]) + changes}
    assert weeks[0].keys() - weeks[1].keys() and weeks[1].keys() - weeks[0].keys()


@pytest.mark.parametrize("table", ["marketing.campaigns", "marketing.coupon_redemptions"])
def test_marketing_reconciles(two_weeks: LandSummary, table: str) -> None:
    rows = lines_of(two_weeks.landing, table)
    account = two_weeks.manifest["tables"][table]
    assert account["records"] == account["totals"]["rows"] == len(rows) == len(set(rows)) > 0


def test_the_file_is_what_landing_returned(two_weeks: LandSummary) -> None:
    assert json.loads((two_weeks.landing / NAME).read_text()) == two_weeks.manifest
