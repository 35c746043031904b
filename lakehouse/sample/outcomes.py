"""What became of each basket: made up once, so that the shop and the payment system tell the same story."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lakehouse.sample.clock import Clock, Times
from lakehouse.sample.source import Baskets

STATUSES = ("pending", "processing", "shipped", "delivered", "cancelled")
PENDING, PROCESSING, SHIPPED, DELIVERED, CANCELLED = range(5)
METHODS = ("card", "wallet", "bank_transfer", "gift_card")
HOUR = 3600

CANCEL, IN_TRANSIT, IN_WORK = 0.025, 0.015, 0.01
"""Shares of orders that end cancelled, shipped and processing; the rest is delivered."""
THREE_VERSIONS = 0.5
RETURNED = 0.03
"""Share of the delivered orders with two versions that are returned later, in part or whole: a third version."""
PAYMENT_FAILS = 0.2
"""Share of the cancelled orders that were cancelled because the payment failed."""
SHIPPING_FEE, DELIVERED_HOME = 250, 0.08
"""Fee in cents contained in the price, and the share of orders of at least 20.00 that pay it."""
LINE_ADDED = 0.05
"""Share of orders of several lines whose last line is added after the first version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """Parallel to the baskets. Amounts are whole cents, of the final version."""

    versions: NDArray[np.int64]
    """2 or 3."""
    second_status: NDArray[np.int64]
    final_status: NDArray[np.int64]
    second_time: Times
    final_time: Times
    """Equal to `second_time` where there are two versions."""
    total: NDArray[np.int64]
    discount: NDArray[np.int64]
    tax: NDArray[np.int64]
    shipping: NDArray[np.int64]
    line_added: NDArray[np.bool_]
    """The first version lacks the last line."""
    method: NDArray[np.int64]
    settles_late: NDArray[np.bool_]
    """The payment is pending until `settled`."""
    fails: NDArray[np.bool_]
    settled: Times
    refund: NDArray[np.int64]
    """Given back at `final_time`; 0 for most."""


def decide(baskets: Baskets, clock: Clock, rng: np.random.Generator) -> Outcomes:
    """The outcomes; the same for the same baskets and generator, whatever the dates are shifted by."""
    size = len(baskets)
    lines = baskets.lines
    total, tax = _sum(lines.sales_value, baskets), _sum(lines.tax, baskets)
    discount = _sum(lines.retail_disc + lines.coupon_match_disc, baskets)
    home = (rng.random(size) < DELIVERED_HOME) & (total >= 2000)

    draw = rng.random(size)
    final = np.select(
        [draw < CANCEL, draw < CANCEL + IN_TRANSIT, draw < CANCEL + IN_TRANSIT + IN_WORK],
        [CANCELLED, SHIPPED, PROCESSING],
        DELIVERED,
    )
    three = (rng.random(size) < THREE_VERSIONS) & (final != PROCESSING)
    returned = ~three & (final == DELIVERED) & (total > 0) & (rng.random(size) < RETURNED)
    versions = np.where(three | returned, 3, 2)
    middle = np.where((final == DELIVERED) & (rng.random(size) < 0.7), SHIPPED, PROCESSING)
    second = np.where(versions == 2, final, np.where(returned, DELIVERED, middle))

    offset = rng.integers(HOUR, 30 * HOUR, size)
    later = offset + np.where(returned, rng.integers(24 * HOUR, 240 * HOUR, size), rng.integers(HOUR, 72 * HOUR, size))
    second_time, third_time = clock.squeezed(baskets.time, offset, later)

    fails = (final == CANCELLED) & (rng.random(size) < PAYMENT_FAILS)
    method = rng.choice(4, size, p=[0.6, 0.2, 0.12, 0.08])
    back = np.where(final == CANCELLED, total, np.ceil(total * np.minimum(1, 0.2 + rng.random(size))).astype(np.int64))
    return Outcomes(
        versions=versions,
        second_status=second,
        final_status=final,
        second_time=second_time,
        final_time=np.where(versions == 3, third_time, second_time),
        total=total,
        discount=discount,
        tax=tax,
        shipping=np.where(home, SHIPPING_FEE, 0),
        line_added=(baskets.count > 1) & (rng.random(size) < LINE_ADDED),
        method=method,
        settles_late=fails | (method == METHODS.index("bank_transfer")),
        fails=fails,
        settled=baskets.time + (second_time - baskets.time) // 2,
        refund=np.where(~fails & ((final == CANCELLED) | returned), np.minimum(back, total), 0),
    )


def _sum(values: NDArray[np.int64], baskets: Baskets) -> NDArray[np.int64]:
    return np.add.reduceat(values, baskets.first) if len(baskets) else values[:0]
