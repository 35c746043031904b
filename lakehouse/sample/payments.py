"""`stripe.payments`: change events, a payment an order; some settle later, fail, or are given back."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lakehouse.sample.clock import Clock, iso
from lakehouse.sample.envelope import envelopes, milliseconds, positions
from lakehouse.sample.faults import corrupter, inject
from lakehouse.sample.feed import RecordFeed, records
from lakehouse.sample.outcomes import METHODS, Outcomes
from lakehouse.sample.source import Baskets

Ints = NDArray[np.int64]
HOURS = 6
_STATUSES = ("pending", "succeeded", "failed", "refunded")
_PENDING, _SUCCEEDED, _FAILED, _REFUNDED = range(4)


class Payments:
    """Changes of payments as parallel arrays in the order of the log, and their envelopes."""

    def __init__(self, baskets: Baskets, outcomes: Outcomes, rng: np.random.Generator) -> None:
        size = len(baskets)
        late, back = np.flatnonzero(outcomes.settles_late), np.flatnonzero(outcomes.refund > 0)
        created = baskets.time + rng.integers(2, 60, size).astype("m8[s]")
        first = np.where(outcomes.settles_late, _PENDING, _SUCCEEDED)
        settled = np.where(outcomes.fails, _FAILED, _SUCCEEDED)
        basket = np.concatenate([np.arange(size), late, back])
        old = np.concatenate([np.full(size, -1), first[late], settled[back]])
        new = np.concatenate([first, settled[late], np.full(len(back), _REFUNDED)])
        time = np.concatenate([created, outcomes.settled[late], outcomes.final_time[back]])
        previous = np.concatenate(
            [created, created[late], np.where(outcomes.settles_late, outcomes.settled, created)[back]]
        )
        order = np.lexsort((new, basket, time))
        self.baskets, self.outcomes, self.created = baskets, outcomes, created
        self.basket, self.old, self.new = basket[order], old[order], new[order]
        self.time, self.previous = time[order], previous[order]
        self.lsn = positions(len(order), rng)

    def lines(self, base: Ints) -> list[str]:
        at = self.basket[base]
        head = [
            f'{{"payment_id":"pay_{order}","order_id":"o{order}","customer_id":"c{customer}","amount":{amount},'
            f'"currency":"USD","method":"{METHODS[method]}","created_at":"{created}",'
            for order, customer, amount, method, created in zip(
                self.baskets.basket_id[at].tolist(),
                self.baskets.household_id[at].tolist(),
                self.outcomes.total[at].tolist(),
                self.outcomes.method[at].tolist(),
                iso(self.created[at]),
                strict=True,
            )
        ]
        refund = self.outcomes.refund[at].tolist()
        old, new = self.old[base].tolist(), self.new[base].tolist()
        before = [
            "null"
            if status < 0
            else f'{text}"status":"{_STATUSES[status]}","amount_refunded":0,"updated_at":"{time}"}}'
            for text, status, time in zip(head, old, iso(self.previous[base]), strict=True)
        ]
        after = [
            f'{text}"status":"{_STATUSES[status]}","amount_refunded":{back if status == _REFUNDED else 0},'
            f'"updated_at":"{time}"}}'
            for text, status, time, back in zip(head, new, iso(self.time[base]), refund, strict=True)
        ]
        op = ["c" if status < 0 else "u" for status in old]
        return envelopes("payments", op, before, after, self.lsn[base].tolist(), milliseconds(self.time[base]).tolist())

    def totals(self, base: Ints) -> dict[str, Any]:
        at, status = self.basket[base], self.new[base]
        counts = np.bincount(status, minlength=len(_STATUSES)).tolist()
        return {
            "payments": len(base),
            "amount_cents": int(self.outcomes.total[at].sum()),
            "amount_refunded_cents": int(self.outcomes.refund[at][status == _REFUNDED].sum()),
            "statuses": dict(zip(_STATUSES, counts, strict=True)),
        }


def payments_feed(
    baskets: Baskets, outcomes: Outcomes, clock: Clock, rng: np.random.Generator, faults: np.random.Generator | None
) -> RecordFeed:
    """The feed; without a second generator, without faults."""
    payments = Payments(baskets, outcomes, rng)
    frame = records(np.arange(len(payments.basket)), payments.basket, payments.lsn, payments.time)
    if faults:
        frame = inject(frame, rng=faults, clock=clock, hours=HOURS)
    return RecordFeed(
        name="stripe.payments",
        records=frame,
        hours=HOURS,
        file="payments-{HH}.jsonl",
        lines=payments.lines,
        key_name=lambda key: f"pay_{baskets.basket_id[key]}",
        totals=payments.totals,
        corrupt=corrupter(key="payment_id", number="amount", options="status", negative="amount", inside='"after":'),
    )
