"""`web.events`: what customers looked at before each basket; immutable, slightly out of order, in micro-batches."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lakehouse.sample.clock import Clock, iso
from lakehouse.sample.faults import corrupter, inject
from lakehouse.sample.feed import RecordFeed, records
from lakehouse.sample.source import Baskets

Ints = NDArray[np.int64]
HOURS = 6
TYPES = ("page_view", "product_view", "add_to_cart", "checkout")
_PAGE, _VIEW, _CART, _CHECKOUT = range(4)
DEVICES = ("mobile", "desktop", "tablet")
BROWSED = 3.4
"""Product and cart events a visit, on average, beyond the page view, a product view and the checkout."""
BUFFERED = 90 * 60
"""Seconds that a browser may hold an event back."""


class Events:
    """Events as parallel arrays, visit by visit, and their lines."""

    def __init__(self, baskets: Baskets, rng: np.random.Generator) -> None:
        size = len(baskets)
        count = 3 + rng.poisson(BROWSED, size)
        ends = np.cumsum(count)
        self.baskets = baskets
        self.basket = np.repeat(np.arange(size), count)
        self.position = np.arange(len(self.basket)) - np.repeat(ends - count, count)
        from_end = count[self.basket] - 1 - self.position
        self.type = np.select(
            [self.position == 0, from_end == 0, self.position % 2 == 1], [_PAGE, _CHECKOUT, _VIEW], _CART
        )
        self.device = rng.choice(3, size, p=[0.6, 0.33, 0.07])
        # A cart event is about the product viewed just before it.
        line = (rng.random(len(self.basket)) * baskets.count[self.basket]).astype(np.int64)
        line = np.where(self.type == _CART, np.roll(line, 1), line)
        self.product = baskets.lines.product_id[baskets.first[self.basket] + line]
        pause = np.repeat(rng.integers(15, 120, size), count)
        self.time = baskets.time[self.basket] - (from_end * pause).astype("m8[s]")
        self.delay = (rng.random(len(self.basket)) ** 6 * BUFFERED).astype("m8[s]")

    def lines(self, base: Ints) -> list[str]:
        at = self.basket[base]
        return [
            f'{{"event_id":"e{basket}-{position}","event_type":"{TYPES[kind]}","customer_id":"c{customer}",'
            f'"session_id":"s{basket}",{_about(kind, product)}"device":"{DEVICES[device]}","occurred_at":"{time}"}}'
            for basket, position, kind, customer, product, device, time in zip(
                self.baskets.basket_id[at].tolist(),
                (self.position[base] + 1).tolist(),
                self.type[base].tolist(),
                self.baskets.household_id[at].tolist(),
                self.product[base].tolist(),
                self.device[at].tolist(),
                iso(self.time[base]),
                strict=True,
            )
        ]

    def name(self, key: int) -> str:
        return f"e{self.baskets.basket_id[self.basket[key]]}-{self.position[key] + 1}"

    def totals(self, base: Ints) -> dict[str, Any]:
        counts = np.bincount(self.type[base], minlength=len(TYPES)).tolist()
        return {"events": len(base), "types": dict(zip(TYPES, counts, strict=True))}


def events_feed(
    baskets: Baskets, clock: Clock, rng: np.random.Generator, faults: np.random.Generator | None
) -> RecordFeed:
    """The feed; without a second generator, without faults."""
    events = Events(baskets, rng)
    every = np.arange(len(events.basket))
    frame = records(every, every, np.zeros(len(every), dtype=np.int64), clock.clamped(events.time + events.delay))
    if faults:
        kinds = ("malformed", "wrong_type", "missing_key", "outside_set")
        frame = inject(frame, rng=faults, clock=clock, hours=HOURS, kinds=kinds, moves=("duplicate", "late"), lost=True)
    return RecordFeed(
        name="web.events",
        records=frame,
        hours=HOURS,
        file="events-{HH}.jsonl",
        lines=events.lines,
        key_name=events.name,
        totals=events.totals,
        corrupt=corrupter(key="event_id", number="occurred_at", options="event_type"),
    )


def _about(kind: int, product: int) -> str:
    if kind == _VIEW:
        return f'"product_id":"{product}","page":"/products/{product}",'
    if kind == _CART:
        return f'"product_id":"{product}","page":"/cart",'
    return '"product_id":null,"page":"/",' if kind == _PAGE else '"product_id":null,"page":"/checkout",'
