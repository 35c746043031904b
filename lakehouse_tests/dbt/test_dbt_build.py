"""Gold, built by dbt on a small silver: an increment must leave what a full refresh would have built."""

import json
import subprocess
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lakehouse.contracts.loader import load_all
from lakehouse.gold import release as releases
from lakehouse.gold.failures import compiled_query, failing_rows
from lakehouse.settings import settings
from lakehouse_tests.dbt.harness import DbtRun
from lakehouse_tests.dbt.small_silver import SmallSilver, day

GOLD = ("dim_customers", "dim_products", "dim_dates", "fct_orders", "fct_order_items", "fct_revenue")
FACTS = ("fct_orders", "fct_order_items", "fct_revenue")
ONLY_FACTS = ("--select", *FACTS)
"""The dimensions are built anew each time: where only facts are in question, the tests do not wait for those."""
BROKEN_LATER = (
    "dim_customers_email_pattern",
    "unique_dim_customers_email",
    "assert_orders_customers_match",
    "dim_customers_counts_plausible",
)
"""All of dbt's tests are run by the sample's builds (`e2e/test_sample_run`): here those whose queries are asked again."""


def first_state(silver: SmallSilver) -> None:
    silver.next_batch()
    for number, email in enumerate(["ann@example.com", "ben@example.org", "cat@example.net"], 1):
        silver.customer(f"c{number}", email)
    silver.product("p1", "GROCERY", day(3, 0))
    silver.product("p2", "PRODUCE", day(3, 0))
    silver.product("p3", "MEAT", day(3, 0))
    silver.order("o1", "c1", day(2), {1: ("p1", "10.00"), 2: ("p2", "5.50")})
    silver.order("o2", "c1", day(4), {1: ("p1", "3.00"), 2: ("p3", "7.25")})
    silver.order("o3", "c2", day(5), {1: ("p2", "8.00")})  # the only order of its day
    silver.order("o4", "c2", day(6), {1: ("p3", "1.00")})
    silver.order("o5", "c3", day(7), {1: ("p1", "20.00")})
    silver.order("o6", "c9", day(7), {1: ("p9", "2.00")})  # neither customer nor product is known yet
    silver.order("o8", "c3", day(8), {})  # an order may have no lines
    silver.payment("pay1", "o1", "c1", 1550)
    silver.payment("pay2", "o2", "c1", 1025)
    silver.payment("pay3", "o3", "c2", 800, status="failed")
    silver.payment("pay5", "o5", "c3", 2000)
    silver.event("e1")


def second_state(silver: SmallSilver) -> None:
    silver.next_batch()
    silver.put("shopify_orders", "o1", order_status="delivered", updated_at=day(9))
    silver.order("o2", "c1", day(4), {1: ("p1", "3.00")}, updated_at=day(9))  # a line was removed
    silver.delete("shopify_orders", "o3")
    silver.put("shopify_orders", "o4", created_at=day(2, 9), updated_at=day(9))  # moved to another day
    silver.put("shopify_orders", "o5", order_status="cancelled", updated_at=day(9))
    silver.order("o7", "c2", day(1), {1: ("p2", "4.00")})  # late: older than anything seen
    silver.put("stripe_customers", "c1", email="ann.new@example.com")
    silver.customer("c9", "dee@example.com")
    silver.payment("pay5", "o5", "c3", 2000, status="refunded", amount_refunded=2000)
    # A snapshot arrives late: p1 had moved already when o2 and o5 were placed.
    silver.product("p1", "GROCERY", day(3, 0), day(4, 0))
    silver.product("p1", "BAKERY", day(4, 0))
    silver.product("p9", "FLORAL", day(8, 0))


def third_state(silver: SmallSilver) -> None:
    silver.next_batch()
    silver.delete("catalog_products", ("p2", day(3, 0)))
    silver.delete("catalog_products", ("p1", day(4, 0)))  # that snapshot was withdrawn
    silver.product("p1", "GROCERY", day(3, 0))
    del silver.deleted["shopify_orders"]["o3"]
    silver.order("o3", "c2", day(10), {1: ("p3", "6.00"), 2: ("p1", "1.50")}, updated_at=day(10))  # back again
    silver.order("o2", "c1", day(4), {1: ("p1", "3.00"), 3: ("p2", "9.99")}, updated_at=day(10))
    silver.order("o7", "c3", day(1), {1: ("p2", "4.00")}, updated_at=day(10))  # another customer's


def fourth_state(silver: SmallSilver) -> None:
    """Orders change; the catalog is what it was."""
    silver.next_batch()
    silver.delete("shopify_orders", "o4")
    silver.put("shopify_orders", "o7", created_at=day(5, 9), updated_at=day(11))  # moved to another day
    silver.order("o3", "c2", day(10), {1: ("p3", "6.00")}, updated_at=day(11))  # a line was removed
    silver.order("o9", "c1", day(11), {1: ("p1", "2.50"), 2: ("p9", "0.50")})


def contents(spark: Any) -> dict[str, list[tuple[Any, ...]]]:
    """Every gold table, its columns by name, its rows sorted."""
    found = {}
    for table in GOLD:
        frame = spark.sql(f"select * from dev_gold.{table}")
        frame = frame.select(*sorted(frame.columns))
        found[table] = [tuple(frame.columns), *sorted((tuple(row) for row in frame.collect()), key=repr)]
    return found


def versions(spark: Any) -> dict[str, int]:
    return {table: spark.sql(f"describe history dev_gold.{table} limit 1").collect()[0]["version"] for table in FACTS}


def revenue(spark: Any) -> dict[tuple[int, str], Decimal]:
    rows = spark.sql("select day(revenue_date) as day, department, revenue from dev_gold.fct_revenue").collect()
    return {(row["day"], row["department"]): row["revenue"] for row in rows}


class Gold:
    """The gold of one small silver, and the batches that its last build has seen."""

    def __init__(self, spark: Any, dbt: DbtRun, silver: SmallSilver) -> None:
        self.spark, self.dbt, self.silver = spark, dbt, silver
        self.since: dict[str, int] = {}
        self.target = Path()

    def build(self, *arguments: str, **variables: Any) -> "subprocess.CompletedProcess[str]":
        seen = {"since": self.since, "unchanged": self.silver.unchanged(self.since)}
        values = {"silver_schema": self.silver.schema, **seen, **variables}
        done = self.dbt(*arguments, variables=values)
        self.target = Path(done.args[done.args.index("--target-path") + 1])
        self.since = dict(self.silver.batches)
        return done


@pytest.fixture(scope="module")
def gold(spark: Any, dbt: DbtRun) -> Iterator[Gold]:
    silver = SmallSilver("dbt_small_silver")
    spark.sql(f"create schema if not exists {silver.schema}")
    first_state(silver)
    silver.write(spark)
    made = Gold(spark, dbt, silver)
    made.build("run", "--full-refresh")
    yield made
    for schema in (silver.schema, "dev_gold", "dev_staging"):
        spark.sql(f"drop schema if exists {schema} cascade")


def test_the_first_build_counts_what_it_should(gold: Gold) -> None:
    assert revenue(gold.spark) == {
        (2, "GROCERY"): Decimal("10.00"),  # before the first snapshot: the first version
        (2, "PRODUCE"): Decimal("5.50"),
        (4, "GROCERY"): Decimal("3.00"),
        (4, "MEAT"): Decimal("7.25"),
        (5, "PRODUCE"): Decimal("8.00"),
        (6, "MEAT"): Decimal("1.00"),
        (7, "GROCERY"): Decimal("20.00"),
        (7, "UNKNOWN"): Decimal("2.00"),
    }
    customers = gold.spark.sql("select customer_id, lifetime_value, has_profile from dev_gold.dim_customers").collect()
    assert {(row[0], row[1], row[2]) for row in customers} == {
        ("c1", Decimal("25.75"), True),
        ("c2", Decimal("0.00"), True),
        ("c3", Decimal("20.00"), True),
        ("c9", Decimal("0.00"), False),
    }


def test_the_calendar_covers_whole_years_and_weeks_begin_on_monday(gold: Gold) -> None:
    bounds = gold.spark.sql("select min(date_day), max(date_day), count(*) from dev_gold.dim_dates").collect()[0]
    assert tuple(bounds) == (date(2024, 1, 1), date(2024, 12, 31), 366)
    row = gold.spark.sql("select * from dev_gold.dim_dates where date_day = date '2024-12-30'").collect()[0]
    assert (row["iso_weekday"], row["weekday_name"], row["iso_week"], row["is_weekend"]) == (1, "Monday", 1, False)
    assert row["week_start"] == row["date_day"]


def test_the_declared_types_are_the_real_ones(gold: Gold, manifest: dict[str, Any]) -> None:
    for node in manifest["nodes"].values():
        if node["resource_type"] == "model":
            frame = gold.spark.sql(f"select * from dev_{node['config']['schema']}.{node['name']} limit 0")
            real = {field.name: field.dataType.simpleString() for field in frame.schema.fields}
            declared = {name: column["data_type"] for name, column in node["columns"].items()}
            assert real == declared, node["name"]


def test_an_increment_rebuilds_what_silver_changed_and_unit_tests_pass(gold: Gold, manifest: dict[str, Any]) -> None:
    second_state(gold.silver)
    gold.silver.write(gold.spark)
    before = versions(gold.spark)
    gold.build("build", "--select", "resource_type:model", "test_type:unit", *BROKEN_LATER)
    results = json.loads((gold.target / "run_results.json").read_text())["results"]
    units = {one["unique_id"]: one["status"] for one in results if one["unique_id"].startswith("unit_test.")}
    assert units == dict.fromkeys(manifest["unit_tests"], "pass")
    assert {table: version - before[table] for table, version in versions(gold.spark).items()} == dict.fromkeys(
        FACTS, 1
    )
    assert revenue(gold.spark) == {
        (1, "PRODUCE"): Decimal("4.00"),
        (2, "GROCERY"): Decimal("10.00"),
        (2, "PRODUCE"): Decimal("5.50"),
        (2, "MEAT"): Decimal("1.00"),
        (4, "BAKERY"): Decimal("3.00"),
        (7, "FLORAL"): Decimal("2.00"),
    }


def test_rows_that_break_a_test_are_found_by_what_dbt_ran_and_masked(gold: Gold, manifest: dict[str, Any]) -> None:
    tests = {node["name"]: node for node in manifest["nodes"].values() if node["resource_type"] == "test"}
    queries = {name: compiled_query(node, gold.target) for name, node in tests.items()}
    releases.ensure_tables(gold.spark, settings().storage_dir)  # the key of masked hashes
    contracts = load_all(settings())

    def broken(name: str) -> list[dict[str, Any]]:
        return failing_rows(gold.spark, queries[name], tests[name], manifest, contracts)

    assert broken("dim_customers_email_pattern") == []
    gold.spark.sql("update dev_gold.dim_customers set email = 'secret' where customer_id in ('c1', 'c2')")
    (first, second) = broken("dim_customers_email_pattern")
    assert first == second
    assert len(first["email"]) == 64
    assert "secret" not in repr(broken("unique_dim_customers_email")), "where dbt calls the column by another name"
    assert broken("unique_dim_customers_email")[0]["n_records"] == 2
    gold.spark.sql(
        "update dev_gold.dim_customers set total_orders = 77, customer_name = 'Jane' where customer_id = 'c1'"
    )
    (row,) = broken("assert_orders_customers_match")
    assert (row["orders_in_facts"], row["orders_in_dimension"]) == (2, 77)
    assert len(row["customer_key"]) == 32
    gold.spark.sql("update dev_gold.dim_customers set lifetime_value = -1 where customer_id = 'c1'")
    (whole,) = broken("dim_customers_counts_plausible")
    assert (whole["customer_id"], whole["lifetime_value"]) == ("c1", Decimal("-1.00"))
    assert (whole["customer_name"], len(whole["email"])) == ("J•••", 64)


def test_a_run_without_changes_commits_no_fact(gold: Gold) -> None:
    before = versions(gold.spark)
    gold.build("run", *ONLY_FACTS)
    assert versions(gold.spark) == before


def test_a_withdrawn_snapshot_and_a_restored_order_reach_the_facts_and_increments_equal_a_full_refresh(
    gold: Gold,
) -> None:
    third_state(gold.silver)
    gold.silver.write(gold.spark)
    gold.build("run")
    found = revenue(gold.spark)
    assert found[(4, "UNKNOWN")] == Decimal("9.99")  # p2 has left the catalog altogether
    assert found[(4, "GROCERY")] == Decimal("3.00")
    assert found[(10, "GROCERY")] == Decimal("1.50")
    incremental = contents(gold.spark)
    gold.build("run", "--full-refresh", *ONLY_FACTS)
    full = contents(gold.spark)
    for table in GOLD:
        assert incremental[table] == full[table], table


def test_while_the_catalog_stays_an_increment_looks_at_changed_orders_alone_and_equals_a_full_refresh(
    gold: Gold,
) -> None:
    fourth_state(gold.silver)
    gold.silver.write(gold.spark)
    gold.build("run", *ONLY_FACTS)
    asked = gold.target / "compiled" / "lakehouse" / "models" / "marts" / "core" / "fct_order_items.sql"
    assert "refiled_orders" not in asked.read_text()
    incremental = contents(gold.spark)
    gold.build("run", "--full-refresh", *ONLY_FACTS)
    assert incremental == contents(gold.spark)


def test_a_window_of_days_is_rebuilt_whatever_changed(gold: Gold) -> None:
    expected = contents(gold.spark)
    gold.spark.sql("delete from dev_gold.fct_orders where order_id = 'o2'")
    gold.spark.sql("update dev_gold.fct_order_items set sales_value = 99 where order_id = 'o2'")
    gold.spark.sql("update dev_gold.fct_orders set order_status = 'pending' where order_id = 'o1'")
    gold.build("run", *ONLY_FACTS, **{"from": "2024-03-02", "to": "2024-03-04"})
    assert contents(gold.spark) == expected


def test_without_a_known_batch_everything_is_compared(gold: Gold) -> None:
    expected = contents(gold.spark)
    gold.spark.sql("delete from dev_gold.fct_orders where order_id = 'o2'")
    gold.spark.sql(
        "insert into dev_gold.fct_order_items (order_id, line_number, customer_key, product_key, order_date)"
        " values ('gone', 1, 'k', 'k', date '2024-03-01')"
    )
    gold.since = {}
    gold.build("run", *ONLY_FACTS)
    assert contents(gold.spark) == expected
