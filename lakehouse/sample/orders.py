"""`shopify.orders`: one document for each version of an order, lines nested, in hourly files."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lakehouse.sample.clock import Clock, iso
from lakehouse.sample.faults import corrupter, inject
from lakehouse.sample.feed import RecordFeed, records
from lakehouse.sample.outcomes import CANCELLED, DELIVERED, PENDING, SHIPPED, STATUSES, Outcomes
from lakehouse.sample.source import Baskets

Ints = NDArray[np.int64]
_PAYMENT = ("pending", "paid", "refunded")
_CENTS = [f"{cents // 100}.{cents % 100:02d}" for cents in range(200_000)]
"""Text of every amount below 2,000.00; the largest of the year is 970.49."""


class Orders:
    """Versions of orders as parallel arrays, and their documents."""

    def __init__(self, baskets: Baskets, outcomes: Outcomes, discount_code_from: np.datetime64 | None) -> None:
        """`discount_code_from`: versions made from then on carry the new field, where a discount was given."""
        three = np.flatnonzero(outcomes.versions == 3)
        size = len(baskets)
        every = np.arange(size)
        self.baskets = baskets
        self.basket: Ints = np.concatenate([every, every, three])
        self.version = np.repeat([1, 2, 3], [size, size, len(three)])
        self.status = np.concatenate(
            [np.full(size, PENDING), outcomes.second_status, outcomes.final_status[three]]
        ).astype(np.int64)
        self.updated = np.concatenate([baskets.time, outcomes.second_time, outcomes.final_time[three]])
        settled = np.where(outcomes.fails, 0, 1)
        final = np.where(outcomes.refund > 0, 2, settled)
        self.payment = np.concatenate(
            [
                np.where(outcomes.settles_late, 0, 1),
                np.where(outcomes.versions == 2, final, settled),
                final[three],
            ]
        )
        handed_over = np.isin(self.status, (SHIPPED, DELIVERED))
        first_over = np.where(
            np.isin(outcomes.second_status, (SHIPPED, DELIVERED)), outcomes.second_time, outcomes.final_time
        )
        self.fulfilled = np.where(handed_over, first_over[self.basket], np.datetime64("NaT"))
        short = outcomes.line_added[self.basket] & (self.version == 1)
        last = baskets.first + baskets.count - 1
        lines = baskets.lines

        def amount(whole: Ints, line: Ints) -> Ints:
            return whole[self.basket] - np.where(short, line[last][self.basket], 0)

        self.lines = baskets.count[self.basket] - short
        self.total = amount(outcomes.total, lines.sales_value)
        self.discount = amount(outcomes.discount, lines.retail_disc + lines.coupon_match_disc)
        self.tax = amount(outcomes.tax, lines.tax)
        # The fee is due only where the goods of this version pay for it.
        self.shipping = np.minimum(outcomes.shipping[self.basket], self.total - self.tax)
        self.subtotal = self.total + self.discount - self.tax - self.shipping
        coded = self.discount > 0
        self.coded = coded & (self.updated >= discount_code_from) if discount_code_from is not None else coded & False

    def documents(self, base: Ints) -> list[str]:
        """The JSON documents of those versions."""
        at = self.basket[base]
        fulfilled = [
            "null" if text.startswith("NaT") else f'"{text}"' for text in iso(self.fulfilled[base].astype("M8[s]"))
        ]
        over = ~np.isnat(self.fulfilled[base])
        code = self.coded[base]
        return [
            f'{{"order_id":"o{order}","customer_id":"c{customer}","store_id":"{store}","order_status":"{STATUSES[status]}",'
            f'"fulfillment_status":"{"fulfilled" if done else "unfulfilled"}","payment_status":"{_PAYMENT[payment]}",'
            f'"currency":"USD","subtotal":{_CENTS[subtotal]},"total_discount":{_CENTS[discount]},"tax":{_CENTS[tax]},'
            f'"shipping":{_CENTS[shipping]},"total_price":{_CENTS[total]},"item_count":{count},'
            f'"created_at":"{created}","updated_at":"{updated}","fulfilled_at":{fulfilled_at},'
            f'{_discount_code(order) if coded else ""}"line_items":[{items}]}}'
            for order, customer, store, status, done, payment, subtotal, discount, tax, shipping, total, count,
            created, updated, fulfilled_at, coded, items in zip(
                self.baskets.basket_id[at].tolist(),
                self.baskets.household_id[at].tolist(),
                self.baskets.store_id[at].tolist(),
                self.status[base].tolist(),
                over.tolist(),
                self.payment[base].tolist(),
                self.subtotal[base].tolist(),
                self.discount[base].tolist(),
                self.tax[base].tolist(),
                self.shipping[base].tolist(),
                self.total[base].tolist(),
                self.lines[base].tolist(),
                iso(self.baskets.time[at]),
                iso(self.updated[base]),
                fulfilled,
                code.tolist(),
                self._items(base),
                strict=True,
            )
        ]  # fmt: skip

    def _items(self, base: Ints) -> list[str]:
        """For each version the text of its lines; lines of a basket that comes up again are made once."""
        at, places = np.unique(self.basket[base], return_inverse=True)
        count = self.baskets.count[at]
        ends = np.cumsum(count)
        number = np.arange(int(ends[-1])) - np.repeat(ends - count, count)
        rows = np.repeat(self.baskets.first[at], count) + number
        lines = self.baskets.lines
        texts = [
            f'{{"line_number":{n},"product_id":"{product}","quantity":{quantity},"sales_value":{_CENTS[sales]},'
            f'"retail_disc":{_CENTS[retail]},"coupon_disc":{_CENTS[coupon]},"coupon_match_disc":{_CENTS[match]}}}'
            for n, product, quantity, sales, retail, coupon, match in zip(
                (number + 1).tolist(),
                lines.product_id[rows].tolist(),
                lines.quantity[rows].tolist(),
                lines.sales_value[rows].tolist(),
                lines.retail_disc[rows].tolist(),
                lines.coupon_disc[rows].tolist(),
                lines.coupon_match_disc[rows].tolist(),
                strict=True,
            )
        ]
        begins = (ends - count)[places].tolist()
        return [",".join(texts[i : i + n]) for i, n in zip(begins, self.lines[base].tolist(), strict=True)]

    def totals(self, base: Ints) -> dict[str, Any]:
        """What those versions add up to, amounts as exact text."""
        statuses = np.bincount(self.status[base], minlength=len(STATUSES)).tolist()
        return {
            "orders": len(base),
            "total_price": money(self.total[base]),
            "subtotal": money(self.subtotal[base]),
            "total_discount": money(self.discount[base]),
            "tax": money(self.tax[base]),
            "shipping": money(self.shipping[base]),
            "lines": int(self.lines[base].sum()),
            "with_discount_code": int(self.coded[base].sum()),
            "statuses": dict(zip(STATUSES, statuses, strict=True)),
            "cancelled_total_price": money(self.total[base][self.status[base] == CANCELLED]),
        }

    def notes(self, base: Ints) -> dict[str, Any]:
        """The column that appears mid-year: how many usable records have it, repeated ones included."""
        return {"new_columns": {"discount_code": int(self.coded[base].sum())}}


def money(cents: Ints) -> str:
    total = int(cents.sum())
    return f"{total // 100}.{total % 100:02d}"


def orders_feed(baskets: Baskets, outcomes: Outcomes, clock: Clock, rng: np.random.Generator | None) -> RecordFeed:
    """The feed; without a generator, without faults."""
    orders = Orders(baskets, outcomes, np.datetime64(clock.middle, "s") if rng else None)
    frame = records(np.arange(len(orders.basket)), orders.basket, orders.version, orders.updated)
    if rng:
        frame = inject(frame, rng=rng, clock=clock, hours=1, lost=True)
    return RecordFeed(
        name="shopify.orders",
        records=frame,
        hours=1,
        file="orders-{HH}.jsonl",
        lines=orders.documents,
        key_name=lambda key: f"o{baskets.basket_id[key]}",
        totals=orders.totals,
        corrupt=corrupter(key="order_id", number="total_price", options="order_status", negative="total_price"),
        notes=orders.notes,
    )


def _discount_code(order: int) -> str:
    return f'"discount_code":"SAVE{order % 7 * 5 + 5}",'
