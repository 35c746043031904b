"""The whole year, from its frames: the figures of the published data, to the cent."""

import itertools
from collections import Counter
from datetime import date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from lakehouse.sample.clock import Clock, make_clock
from lakehouse.sample.feed import Feed, RecordFeed
from lakehouse.sample.landing import make_feeds
from lakehouse.sample.orders import Orders
from lakehouse.sample.outcomes import DELIVERED, SHIPPED, STATUSES, Outcomes, decide
from lakehouse.sample.products import Catalogue
from lakehouse.sample.source import Baskets, read, read_baskets
from lakehouse_tests.sample.landed import NOW, parsed


@pytest.fixture(scope="module")
def baskets(year_clock: Clock) -> Baskets:
    return read_baskets(year_clock)[0]


@pytest.fixture(scope="module")
def outcomes(year_clock: Clock, baskets: Baskets) -> Outcomes:
    return decide(baskets, year_clock, np.random.default_rng(5))


@pytest.fixture(scope="module")
def orders(baskets: Baskets, outcomes: Outcomes) -> Orders:
    return Orders(baskets, outcomes, None)


def test_the_year_is_whole(year: dict[str, Feed], year_clock: Clock) -> None:
    account = year["shopify.orders"].account(year_clock.cutoff)
    assert account["expected"]["keys"] == account["totals"]["orders"] == 155_848
    assert Decimal(account["totals"]["total_price"]) == Decimal("4596039.58")
    assert account["totals"]["lines"] == 1_469_307
    assert account["records"] > 2.3 * 155_848


def test_with_any_seed_it_is_the_same_year_less_what_is_lost(year_clock: Clock) -> None:
    feed = {feed.name: feed for feed in make_feeds(year_clock, seed=11, faults=True)}["shopify.orders"]
    account = feed.account(year_clock.cutoff)
    lost = account["expected"]["quarantined_keys"]
    assert 50 < len(lost) < 300
    assert account["totals"]["orders"] == 155_848 - len(lost)
    missing = read("transactions", ["basket_id", "sales_value"])
    missing = missing[missing["basket_id"].isin([int(key[1:]) for key in lost])]
    lost_sales = Decimal(int((missing["sales_value"] * 100).round().sum())) / 100
    assert Decimal(account["totals"]["total_price"]) == Decimal("4596039.58") - lost_sales


def test_every_version_adds_up(orders: Orders, baskets: Baskets) -> None:
    assert (orders.total == orders.subtotal - orders.discount + orders.tax + orders.shipping).all()
    for amount in (orders.total, orders.subtotal, orders.discount, orders.tax, orders.shipping):
        assert (amount >= 0).all()
    assert (orders.tax > 0).any() and (orders.shipping > 0).any()
    sums = np.r_[0, np.cumsum(baskets.lines.sales_value)]
    first = baskets.first[orders.basket]
    assert (sums[first + orders.lines] - sums[first] == orders.total).all()
    assert (orders.lines >= 1).all()


def test_478_baskets_come_to_nothing(outcomes: Outcomes) -> None:
    assert (outcomes.total == 0).sum() == 478


def test_versions_follow_each_other(orders: Orders, year_clock: Clock) -> None:
    ordered = np.lexsort((orders.version, orders.basket))
    same = orders.basket[ordered][1:] == orders.basket[ordered][:-1]
    step = np.diff(orders.updated[ordered])[same]
    assert (step > np.timedelta64(0, "s")).all()
    assert np.unique(np.bincount(orders.basket)).tolist() == [2, 3]
    assert orders.updated.max() <= np.datetime64(year_clock.limit)


def test_every_status_occurs(orders: Orders) -> None:
    assert (np.bincount(orders.status, minlength=len(STATUSES)) > 1000).all()
    over = ~np.isnat(orders.fulfilled)
    assert (over == np.isin(orders.status, (SHIPPED, DELIVERED))).all()
    assert (orders.fulfilled[over] <= orders.updated[over]).all()


def test_one_payment_an_order_of_the_same_amount(year: dict[str, Feed], year_clock: Clock) -> None:
    account = year["stripe.payments"].account(year_clock.cutoff)
    totals = account["totals"]
    assert account["expected"]["keys"] == totals["payments"] == 155_848
    assert totals["amount_cents"] == 459_603_958
    assert totals["statuses"]["refunded"] > 1000 and totals["statuses"]["failed"] > 100
    assert totals["statuses"]["pending"] == 0, "by the end every payment is settled"
    assert 0 < totals["amount_refunded_cents"] < 0.1 * totals["amount_cents"]


@pytest.mark.parametrize("name", ["stripe.payments", "stripe.customers"])
def test_log_positions_grow_with_time(year: dict[str, Feed], name: str) -> None:
    feed = year[name]
    assert isinstance(feed, RecordFeed)
    frame = feed.records.sort_values("sequence")
    assert frame["sequence"].is_unique
    assert frame["arrival"].is_monotonic_increasing


def test_customers_are_the_households(year: dict[str, Feed], year_clock: Clock) -> None:
    totals = year["stripe.customers"].account(year_clock.cutoff)["totals"]
    assert totals == {"customers": 2469, "deleted": 12, "with_demographics": 801}
    feed = year["stripe.customers"]
    events = [parsed(line) for text in feed.texts(range(len(feed.files()))) for line in text.splitlines()]
    assert {event["op"] for event in events if event} == {"r", "c", "u", "d"}
    addresses = {row["customer_id"]: row["email"] for event in events if event and (row := event["after"])}
    assert len(set(addresses.values())) == len(addresses)
    assert all(address.split("@")[1].startswith("example.") for address in addresses.values())


def test_customers_exist_before_they_buy(year: dict[str, Feed], baskets: Baskets) -> None:
    feed = year["stripe.customers"]
    assert isinstance(feed, RecordFeed)
    known = feed.records.groupby("key")["arrival"].min()
    bought = dict(zip(baskets.household_id[::-1].tolist(), baskets.time[::-1], strict=True))
    assert all(known[household].to_datetime64() < time for household, time in bought.items())


def test_about_a_million_events_lead_to_the_baskets(year: dict[str, Feed], year_clock: Clock) -> None:
    account = year["web.events"].account(year_clock.cutoff)
    assert 950_000 < account["records"] < 1_050_000
    assert account["totals"]["types"]["checkout"] == 155_848
    assert all(count > 100_000 for count in account["totals"]["types"].values())


def test_events_are_out_of_order(year: dict[str, Feed]) -> None:
    feed = year["web.events"]
    middle = len(feed.files()) // 2
    times = [
        event["occurred_at"] for text in feed.texts([middle]) for line in text.splitlines() if (event := parsed(line))
    ]
    swaps = sum(later < earlier for earlier, later in itertools.pairwise(times))
    assert 0 < swaps < len(times) / 2


def test_every_product_that_is_sold_stays_listed(year: dict[str, Feed]) -> None:
    catalogue = year["catalog.products"]
    assert isinstance(catalogue, Catalogue)
    products = read("products").sort_values("product_id")["product_id"].tolist()
    sold = set(read("transactions", ["product_id"])["product_id"].unique())
    known = sold & set(products)
    assert len(sold - known) == 17, "service items that the published catalogue does not have"
    sizes, versions = [], 0
    for _, lines, changed in catalogue.states():
        assert known <= {products[i] for i in lines}
        sizes.append(len(lines))
        versions += changed
    assert len(sizes) == 53
    assert max(sizes) <= 92_331
    assert 1000 < versions - sizes[0] < 10_000


def test_marketing_is_as_published(year: dict[str, Feed], year_clock: Clock) -> None:
    assert year["marketing.campaigns"].account(year_clock.cutoff)["records"] == 6589
    assert year["marketing.coupon_redemptions"].account(year_clock.cutoff)["records"] == 2102


def test_weekdays_stay_true(baskets: Baskets, year_clock: Clock) -> None:
    published = read("transactions", ["basket_id", "transaction_timestamp"]).drop_duplicates("basket_id")
    times = dict(zip(published["basket_id"].tolist(), published["transaction_timestamp"], strict=True))
    weekdays = Counter(times[basket].weekday() for basket in baskets.basket_id[:5000].tolist())
    assert weekdays == Counter(time.weekday() for time in baskets.time[:5000].tolist())
    assert times[baskets.basket_id[0].item()] + timedelta(weeks=year_clock.shift_weeks) == baskets.time[0].item()


def test_last_weeks_are_the_year_s_last_weeks(year_clock: Clock, baskets: Baskets) -> None:
    clock = make_clock(weeks=2, end_date=date(2026, 1, 31), until=None, now=NOW)
    late, first_purchase = read_baskets(clock)
    assert clock.end == year_clock.end
    assert late.basket_id.tolist() == baskets.basket_id[-len(late) :].tolist()
    assert late.time[0] >= np.datetime64(clock.start) > baskets.time[-len(late) - 1]
    assert len(first_purchase) == 2469, "all customers are known, whenever they bought"


def test_shifting_the_dates_changes_nothing_else(baskets: Baskets, outcomes: Outcomes) -> None:
    clock = make_clock(weeks=None, end_date=None, until=None, now=datetime(2026, 11, 23))
    others = read_baskets(clock)[0]
    again = decide(others, clock, np.random.default_rng(5))
    assert (others.basket_id == baskets.basket_id).all()
    for name in ("final_status", "total", "refund", "method", "versions"):
        assert (getattr(again, name) == getattr(outcomes, name)).all()
