"""Two weeks of the sample shop through the whole product, as a user runs it: land, run, land more, run again.

One home for the module; the tests follow each other in the order of the file.
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from lakehouse.settings import PROJECT, executable
from lakehouse_tests.e2e.shop import Shop, Things, served

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

END = "2026-01-31"
ONE_DAY_LESS = "2026-01-24"  # the last day of the replay with orders is 2026-01-25


def land(shop: Shop, *more: str) -> None:
    shop.lakehouse("sample", "land", "--weeks", "2", "--end-date", END, *more)


def manifest(shop: Shop) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((shop.home / "landing" / "_manifest.json").read_text())
    return found["tables"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    shop = Shop(tmp_path_factory.mktemp("shop"), LAKEHOUSE_ENGINE_MEMORY="2g")
    land(shop, "--until", ONE_DAY_LESS)
    yield shop
    shop.close()


CRIMES = "id,Nature of Call,call_time,priority,district\n" + "".join(
    f"{n},{'Alarm, Burglar' if n % 3 else 'Welfare Check'},2026-01-{n % 28 + 1:02d} 10:00:00,{n % 4 + 1},D{n % 7}\n".replace(
        "Alarm, Burglar", '"Alarm, Burglar"'
    )
    for n in range(1, 301)
)
GOLD = ("dim_customers", "dim_dates", "dim_products", "fct_order_items", "fct_orders", "fct_revenue")


def fingerprints(shop: Shop, schema: str = "gold") -> dict[str, dict[str, Any]]:
    """Rows and an order-free hash of each gold table."""
    union = " union all ".join(
        f"select '{name}' as name, count(*) as n, cast(sum(cast(xxhash64(*) as decimal(38,0))) as string) as hash "
        f"from {schema}.{name}"
        for name in GOLD
    )
    return {row["name"]: row for row in shop.rows(union)}


def test_the_first_run_ends_with_a_release(shop: Shop) -> None:
    said = shop.lakehouse("run").stdout
    assert "Release 1 is in force" in said
    assert "silver.shopify_orders" in said
    assert shop.row("select count(*) as n from serving.fct_orders")["n"] > 4000


def test_a_run_after_another_day_takes_only_what_is_new_and_an_unrelated_file_by_one_contract(shop: Shop) -> None:
    before = shop.row("select sum(landed) as n from ops.batches where table_name = 'shopify_orders'")["n"]
    land(shop)
    day = shop.home / "landing" / "police" / "calls" / "2026-01-30"
    day.mkdir(parents=True)
    (day / "calls.csv").write_text(CRIMES)
    shop.lakehouse("contract", "new", str(day / "calls.csv"), "--source", "police", "--table", "calls")
    shop.lakehouse("contract", "check")
    said = shop.lakehouse("run").stdout
    assert "Release 2 is in force" in said
    assert "silver.police_calls" in said
    batches = shop.rows("select landed, since from ops.batches where table_name = 'shopify_orders' order by batch")
    assert batches[0]["landed"] == before
    assert batches[1]["since"] is not None
    assert sum(row["landed"] for row in batches) == manifest(shop)["shopify.orders"]["records"]
    found = shop.row("select count(*) as n, count(distinct nature_of_call) as kinds from silver.police_calls")
    assert found == {"n": 300, "kinds": 2}


def test_gold_reconciles_with_the_manifest_to_the_cent(shop: Shop) -> None:
    totals = manifest(shop)["shopify.orders"]["totals"]
    found = shop.row("select count(*) as n, sum(total_price) as total, sum(tax) as tax from serving.fct_orders")
    assert found["n"] == totals["orders"]
    assert Decimal(found["total"]) == Decimal(totals["total_price"])
    assert Decimal(found["tax"]) == Decimal(totals["tax"])
    lines = shop.row("select count(*) as n, sum(sales_value) as total from serving.fct_order_items")
    assert lines["n"] == totals["lines"]
    assert Decimal(lines["total"]) == Decimal(totals["total_price"])
    revenue = shop.row("select sum(revenue) as total from serving.fct_revenue")
    assert Decimal(revenue["total"]) == Decimal(totals["total_price"]) - Decimal(totals["cancelled_total_price"])


def test_every_record_has_one_disposition_and_those_that_the_manifest_expects(shop: Shop) -> None:
    found = {
        row["table_name"]: row
        for row in shop.rows(
            "select table_name, sum(landed) as landed, sum(quarantined) as quarantined, sum(rejected) as rejected, "
            "sum(too_late) as too_late, sum(duplicate) as duplicates, "
            "sum(applied + noop + duplicate + superseded + deleted + quarantined + too_late + rejected) as told "
            "from ops.batches group by table_name"
        )
    }
    for name, expected in manifest(shop).items():
        row = found[name.replace(".", "_")]
        assert row["landed"] == row["told"] == expected["records"], name
        refused = expected["expected"]["unreadable"] + expected["expected"]["quarantined"]
        assert row["quarantined"] + row["rejected"] == refused, name
        assert row["too_late"] == 0, name


def test_lost_keys_are_in_quarantine_and_nowhere_else(shop: Shop) -> None:
    lost = manifest(shop)["shopify.orders"]["expected"]["quarantined_keys"]
    assert lost
    listed = ", ".join(f"'{key}'" for key in lost)
    assert shop.rows(f"select order_id from silver.shopify_orders where order_id in ({listed})") == []
    reasons = shop.rows("select explode(reasons) as reason from silver.shopify_orders__quarantine")
    assert {"order_status_accepted", "total_price_range", "order_id_required"} <= {row["reason"] for row in reasons}


def test_unknown_columns_are_rescued(shop: Shop) -> None:
    found = shop.row("select count(*) as n from silver.shopify_orders where _rescued like '%discount_code%'")
    assert found["n"] == manifest(shop)["shopify.orders"]["totals"]["with_discount_code"]


def test_history_of_products_has_no_gap_and_no_overlap(shop: Shop) -> None:
    totals = manifest(shop)["catalog.products"]["totals"]
    found = shop.row("select count(*) as n, count_if(is_current) as current from silver.catalog_products")
    assert found == {"n": totals["history_rows"], "current": totals["products"]}


def test_a_run_with_nothing_new_starts_no_step(shop: Shop) -> None:
    runs = shop.dagster_runs()
    assert "Nothing to do. Release 2 is in force." in shop.lakehouse("run").stdout
    assert shop.dagster_runs() == runs


def test_personal_data_is_masked_wherever_people_look(shop: Shop) -> None:
    raw = shop.rows("select email, name from silver.stripe_customers where email is not null")
    assert len(raw) > 2000
    looked = ("serving.dim_customers", "silver.stripe_customers__quarantine")
    query = " union all ".join(f"select to_json(struct(*)) as row from {table}" for table in looked)
    told = shop.lakehouse("sql", query, "--format", "csv", "--limit", "0").stdout.replace('""', '"')
    assert told.count("\n") > len(raw)
    shop.lakehouse("report", "--out", str(shop.home / "report"), ok=False)
    told += "".join(path.read_text() for path in (shop.home / "report").rglob("*") if path.is_file())
    for path in (shop.home / "dagster").rglob("*.db"):
        told += path.read_bytes().decode("latin-1")
    # Thousands of texts are looked for in megabytes: in what surrounds each @, and among all that stands in quotes.
    assert all(len(row["email"]) < 60 for row in raw)
    addresses = "\n".join({told[max(0, at.start() - 60) : at.end() + 60] for at in re.finditer("@", told)})
    quoted = set(re.findall(r'(?="([^"]{1,80})")', told))
    for row in raw:
        assert row["email"] not in addresses
        assert row["name"] not in quoted


def test_increments_equal_a_rebuild_and_a_backfill_and_the_gold_that_follows_them(shop: Shop) -> None:
    tables = {
        "shopify_orders": "order_id, order_status, total_price, updated_at, to_json(line_items), _rescued",
        "catalog_products": "product_id, product_category, package_size, valid_from, coalesce(valid_to, date'9999-12-31')",
    }

    def fingerprint() -> list[dict[str, Any]]:
        union = " union all ".join(
            f"select '{table}' as name, count(*) as n, cast(sum(cast(xxhash64({columns}) as decimal(38,0))) as string) as h "
            f"from silver.{table}"
            for table, columns in tables.items()
        )
        return shop.rows(f"{union} order by name")

    increments, gold = fingerprint(), fingerprints(shop)
    assert "silver.catalog_products is made anew" in shop.lakehouse("rebuild", "catalog_products").stdout
    refused = shop.lakehouse("rebuild", "shopify_order", ok=False)
    assert refused.returncode == 1
    assert "There is no contract of a table shopify_order. Known: catalog_products" in refused.stderr
    days = ["backfill", "--select", "shopify_orders", "--from", "2026-01-13", "--to", "2026-01-15", "--refresh"]
    in_two = [*days, "--periods-a-run", "2"]
    planned = shop.lakehouse(*in_two, "--dry-run").stdout
    for run in (
        "2026-01-13 to 2026-01-14 ",
        "bronze shopify_orders 2026-01-15 ",
        "silver shopify_orders ",
        "gold and release ",
    ):
        assert run in planned
    killed = subprocess.Popen(
        [executable("lakehouse"), *in_two], env=shop.environment, cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )
    assert killed.stdout is not None
    while "bronze shopify_orders 2026-01-13 to 2026-01-14 done" not in killed.stdout.readline():
        assert killed.poll() is None
    while not any("2026-01-14" in path.read_text() for path in (shop.home / "backfills").glob("*.json")):
        assert killed.poll() is None
    killed.kill()
    killed.wait()
    assert "(done)" not in shop.lakehouse(*in_two, "--dry-run", "--restart").stdout  # which changes nothing
    said = shop.lakehouse(*in_two).stdout
    assert "2026-01-13 to 2026-01-14 (done)" in said
    assert "Release 3 is in force" in said
    assert not list((shop.home / "backfills").iterdir())
    assert fingerprint() == increments
    orders = sorted((shop.home / "dbt" / "target").glob("run-*/order.json"), key=lambda path: path.stat().st_mtime)
    assert "--full-refresh" in json.loads(orders[-1].read_text())
    assert fingerprints(shop) == gold
    gone = shop.home / "landing" / "shopify" / "orders" / "2026-01-13"
    gone.rename(gone.with_name("_put_aside"))
    refused = shop.lakehouse(*days, ok=False)
    gone.with_name("_put_aside").rename(gone)
    assert refused.returncode == 1
    assert "are gone from landing: shopify/orders/2026-01-13/" in refused.stderr


def test_a_partition_range_materializes_from_the_command_line(shop: Shop) -> None:
    said = shop.call(
        executable("dagster"), "asset", "materialize", "-m", "lakehouse.definitions", "--select", "bronze/shopify_orders",
        "--partition-range", "2026-01-13...2026-01-15",
    )  # fmt: skip
    assert "RUN_SUCCESS" in said.stderr + said.stdout
    twice = shop.row("select count(*) - count(distinct file, position) as n from bronze.shopify_orders")
    assert twice["n"] == 0


def test_definitions_validate(shop: Shop) -> None:
    shop.call(executable("dagster"), "definitions", "validate", "-w", "workspace.yaml")


def test_a_release_rolls_back_and_readers_see_the_older_one_also_after_maintenance(shop: Shop) -> None:
    def orders() -> int:
        return int(shop.row("select count(*) as n from serving.fct_orders")["n"])

    kept_up = shop.lakehouse("maintain").stdout
    for table in ("bronze.shopify_orders", "silver_state.shopify_orders", "gold.fct_orders", "ops.files"):
        assert table in kept_up
    assert "Nothing to do. Release 3 is in force." in shop.lakehouse("run").stdout
    newest = orders()
    said = shop.lakehouse("release", "rollback", "1").stdout
    assert "until `lakehouse release resume`" in said
    assert "gold is not built and nothing is released" in shop.lakehouse("run").stdout
    assert "builds on release 1" in shop.lakehouse("release", "resume").stdout
    assert shop.lakehouse("release", "resume", ok=False).returncode == 1
    assert orders() < newest
    assert "1 *" in shop.lakehouse("release", "list").stdout
    shop.lakehouse("release", "rollback", "3")
    assert orders() == newest
    refused = shop.lakehouse("release", "rollback", "99", ok=False)
    assert refused.returncode == 1
    assert "There is no release 99" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["sql", "select * from serving.nothing"], 1, "There is no table or view"),
        (["sql", "selec 1"], 1, "cannot be read"),
        (["run", "--nonsense"], 2, "No such option"),
        (["contract", "check", "missing.yaml"], 1, "missing.yaml"),
    ],
)
def test_mistakes_get_one_clear_sentence(shop: Shop, arguments: list[str], code: int, words: str) -> None:
    done = shop.lakehouse(*arguments, ok=False)
    assert done.returncode == code
    assert words in done.stderr + done.stdout
    assert "Traceback" not in done.stderr + done.stdout


def test_bad_files_in_landing_lose_nothing_and_are_told(shop: Shop) -> None:
    day = shop.home / "landing" / "police" / "calls" / "2026-01-31"
    day.mkdir(parents=True)
    (day / "empty.csv").write_text("")
    (day / "binary.csv").write_bytes(bytes(range(256)) * 4)
    (day / "cut.csv").write_text("id,Nature of Call,call_time,priority,district\n900,Alarm,2026-01-31 10:0")
    done = shop.lakehouse("run", ok=False)
    assert done.returncode == 1
    assert "held back, nothing was committed" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert shop.row("select count(*) as n from silver.police_calls")["n"] == 300
    assert shop.row("select count(*) as n from bronze.police_calls where arrived_on = '2026-01-31'")["n"] >= 2


def an_order(shop: Shop, order_id: str) -> dict[str, Any]:
    """A whole, valid order document, made of one that landed."""
    files = sorted((shop.home / "landing" / "shopify" / "orders").rglob("*.json*"), reverse=True)
    for line in (line for file in files for line in file.read_text().splitlines()):
        try:
            document = json.loads(line)
        except ValueError:  # a cut line is one of the sample's faults
            continue
        if document.get("order_status") == "delivered" and document.get("updated_at") and document.get("line_items"):
            return {**document, "order_id": order_id}
    raise LookupError(f"none of {len(files)} files holds a delivered order")


def test_files_dropped_in_landing_reach_readers_with_no_hand_also_where_dagster_is_killed(shop: Shop) -> None:
    """Also while a batch of another table is held back. Dagster's daemon and its sensor do it all; where the daemon and the
    code server die at work, `lakehouse ui` starts them again, and what landed is taken once."""
    things = Things(shop)
    with served(shop) as ui:
        day = shop.home / "landing" / "shopify" / "orders" / "2026-01-31"
        day.mkdir(parents=True, exist_ok=True)
        (day / "dropped.json").write_text(json.dumps(an_order(shop, "o999999999")) + "\n")
        things.land()
        until = time.monotonic() + 420
        while not (found := shop.rows("select order_id from serving.fct_orders where order_id = 'o999999999'")):
            assert time.monotonic() < until, f"the order did not arrive:\n{ui.said()}"
            assert ui.process.poll() is None, ui.said()
            time.sleep(1)
        assert len(found) == 1
        things.wait(ui)
        assert ui.find("multiprocessing.forkserver") or sys.platform != "linux", "runs do not begin loaded"
        things.land()
        time.sleep(5)  # the sensor has seen it, or is about to
        assert ui.kill("dagster", "grpc")
        assert ui.kill("dagster._daemon")
        things.land()
        things.wait(ui)
        # Dagster's own backfill of a job asks this daemon for its runs.
        job = ("-w", "workspace.yaml", "-j", "ingest_police_calls", "--from", "2026-01-30", "--to", "2026-01-30")
        shop.call(executable("dagster"), "job", "backfill", *job, "--noprompt")
        until = time.monotonic() + 240
        while (states := shop.runs_of_backfills()) != ["SUCCESS"]:
            assert time.monotonic() < until and "FAILURE" not in states, (states, ui.said())
            time.sleep(1)
