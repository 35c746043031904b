"""`stripe.customers`: change events of households with made-up names, and of a few leads that are deleted again."""

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lakehouse.sample.clock import WEEK, YEAR_WEEKS, Clock
from lakehouse.sample.envelope import envelopes, milliseconds, positions
from lakehouse.sample.faults import corrupter, inject
from lakehouse.sample.feed import RecordFeed, records
from lakehouse.sample.source import read

HOURS = 24
UPDATES = 1200
"""Changes of a name or an address over the whole year."""
LEADS = 12
FIRST_LEAD = 9001
"""Leads have numbers beyond every household's, and no orders."""
SNAPSHOT_BEFORE = timedelta(hours=6)
"""The initial snapshot is taken in the evening before the replay begins."""
DEMOGRAPHICS = ("age", "income", "home_ownership", "marital_status", "household_size", "household_comp", "kids_count")
FIRST_NAMES = [
    "Ada",
    "Alba",
    "Amir",
    "Ana",
    "Anton",
    "Aya",
    "Bela",
    "Bruno",
    "Carla",
    "Cem",
    "Chiara",
    "Dana",
    "David",
    "Dora",
    "Elif",
    "Emil",
    "Enzo",
    "Erik",
    "Eva",
    "Farid",
    "Finn",
    "Gina",
    "Greta",
    "Hana",
    "Hugo",
    "Ida",
    "Ilan",
    "Ines",
    "Ivo",
    "Jana",
    "Jonas",
    "Juno",
    "Kai",
    "Karim",
    "Klara",
    "Lars",
    "Leila",
    "Leon",
    "Lina",
    "Luca",
    "Maja",
    "Malik",
    "Mara",
    "Milo",
    "Mina",
    "Nadia",
    "Nils",
    "Noor",
    "Olga",
    "Omar",
    "Oskar",
    "Paula",
    "Pia",
    "Rafa",
    "Rosa",
    "Sami",
    "Sara",
    "Theo",
    "Tomas",
    "Uma",
    "Vera",
    "Viktor",
    "Yara",
    "Zoe",
]
LAST_NAMES = [
    "Abel",
    "Adler",
    "Ahmed",
    "Baker",
    "Bauer",
    "Berg",
    "Blanc",
    "Brook",
    "Carter",
    "Castro",
    "Chen",
    "Cole",
    "Costa",
    "Dahl",
    "Diaz",
    "Dubois",
    "Egan",
    "Falk",
    "Ferrari",
    "Fisher",
    "Flores",
    "Ford",
    "Garcia",
    "Gold",
    "Gray",
    "Haas",
    "Hale",
    "Hansen",
    "Hill",
    "Horn",
    "Ibarra",
    "Ito",
    "Jansen",
    "Jones",
    "Kaya",
    "Keller",
    "Khan",
    "Kim",
    "Klein",
    "Kovac",
    "Lang",
    "Lee",
    "Lopez",
    "Lund",
    "Marsh",
    "Meyer",
    "Mills",
    "Moreau",
    "Mori",
    "Nagy",
    "Novak",
    "Olsen",
    "Park",
    "Patel",
    "Perez",
    "Quinn",
    "Reyes",
    "Rossi",
    "Ruiz",
    "Sato",
    "Silva",
    "Stone",
    "Suzuki",
    "Tanaka",
    "Torres",
    "Vega",
    "Voss",
    "Walsh",
    "Weber",
    "West",
    "Wolf",
    "Young",
    "Zeman",
]
DOMAINS = ("example.com", "example.org", "example.net")


@dataclass(frozen=True, slots=True)
class Row:
    """A customer at one time."""

    number: int
    first: str
    last: str
    domain: str
    created: datetime
    updated: datetime
    demographics: tuple[str | None, ...]

    def text(self) -> str:
        return json.dumps(
            {
                "customer_id": f"c{self.number}",
                "name": f"{self.first} {self.last}",
                "email": f"{self.first}.{self.last}{self.number}@{self.domain}".lower(),
                "created_at": f"{self.created.isoformat()}Z",
                "updated_at": f"{self.updated.isoformat()}Z",
                **dict(zip(DEMOGRAPHICS, self.demographics, strict=True)),
            },
            separators=(",", ":"),
        )


@dataclass(frozen=True, slots=True)
class Change:
    time: datetime
    number: int
    op: str
    before: Row | None
    after: Row | None


def history(first_purchase: "pd.Series[Any]", year_start: datetime, rng: np.random.Generator) -> list[Change]:
    """Everything that happened to customers until the end of the year, by time.

    `first_purchase` is indexed by household. Customers exist before they buy; who buys in the first 30 days existed
    before the year.
    """
    known = read("demographics").set_index("household_id")[list(DEMOGRAPHICS)].sort_index()
    known = known.astype(object).where(known.notna(), None)
    facts: dict[int, tuple[str | None, ...]] = dict(
        zip(known.index.tolist(), known.itertuples(index=False, name=None), strict=True)
    )
    changes: list[Change] = []
    rows: dict[int, Row] = {}
    bought_first = first_purchase.sort_index()
    for number, bought in zip(bought_first.index.tolist(), bought_first, strict=True):
        days = rng.uniform(30, 900), rng.uniform(2, 4)
        bought = bought.to_pydatetime()
        early = bought < year_start + timedelta(days=30)
        created = year_start - timedelta(days=days[0]) if early else bought - timedelta(days=days[1])
        rows[number] = row = _row(number, created, facts, rng)
        changes.append(Change(row.created, row.number, "c", None, row))
    changes += _updates(rows, year_start, rng) + _leads(year_start, facts, rng)
    return sorted(changes, key=lambda change: (change.time, change.number))


def _row(number: int, created: datetime, facts: dict[int, tuple[str | None, ...]], rng: np.random.Generator) -> Row:
    first, last, domain = (str(names[int(rng.integers(len(names)))]) for names in (FIRST_NAMES, LAST_NAMES, DOMAINS))
    created = created.replace(microsecond=0)
    return Row(number, first, last, domain, created, created, facts.get(number, (None,) * len(DEMOGRAPHICS)))


def _updates(rows: dict[int, Row], year_start: datetime, rng: np.random.Generator) -> list[Change]:
    """Marriages and new addresses, each on the row as the one before left it."""
    numbers = rng.choice(sorted(rows), UPDATES)
    seconds = np.sort(rng.integers(0, int(YEAR_WEEKS * WEEK.total_seconds()), UPDATES))
    changes = []
    for number, second in zip(numbers.tolist(), seconds.tolist(), strict=True):
        row, time = rows[number], year_start + timedelta(seconds=second)
        name, domain = LAST_NAMES[int(rng.integers(len(LAST_NAMES)))], DOMAINS[int(rng.integers(len(DOMAINS)))]
        if time <= row.updated:
            continue
        after = replace(row, updated=time, last=name) if second % 2 else replace(row, updated=time, domain=domain)
        changes.append(Change(time, number, "u", row, after))
        rows[number] = after
    return changes


def _leads(year_start: datetime, facts: dict[int, tuple[str | None, ...]], rng: np.random.Generator) -> list[Change]:
    changes = []
    for i in range(LEADS):
        deleted = (year_start + YEAR_WEEKS * WEEK * ((i + 1) / (LEADS + 0.2))).replace(microsecond=0)
        row = _row(FIRST_LEAD + i, deleted - timedelta(days=20), facts, rng)
        changes += [Change(row.created, row.number, "c", None, row), Change(deleted, row.number, "d", row, None)]
    return changes


def events_of(changes: list[Change], start: datetime) -> list[Change]:
    """The events that a capture begun just before `start` sends: what exists (op r), then what happens."""
    rows: dict[int, Row] = {}
    for change in changes:
        if change.time < start:
            if change.after:
                rows[change.number] = change.after
            else:
                del rows[change.number]
    taken = start - SNAPSHOT_BEFORE
    first = [Change(taken, number, "r", None, row) for number, row in sorted(rows.items())]
    return first + [change for change in changes if change.time >= start]


def customers_feed(
    first_purchase: "pd.Series[Any]", clock: Clock, rng: np.random.Generator, faults: np.random.Generator | None
) -> RecordFeed:
    """The feed; without a second generator, without faults."""
    events = events_of(history(first_purchase, clock.end - YEAR_WEEKS * WEEK, rng), clock.start)
    time = np.array([event.time for event in events], dtype="M8[s]")
    number = np.array([event.number for event in events])
    lsn = positions(len(events), rng)
    text = envelopes(
        "customers",
        [event.op for event in events],
        [event.before.text() if event.before else "null" for event in events],
        [event.after.text() if event.after else "null" for event in events],
        lsn.tolist(),
        milliseconds(time).tolist(),
    )
    frame = records(np.arange(len(events)), number, lsn, clock.clamped(time))
    if faults:
        op = np.array([event.op for event in events])
        kinds = ("malformed", "wrong_type", "missing_key", "outside_set")
        # Later days bring a handful of changes each: one unusable record there would be a large share of its batch.
        # New customers are never late: their orders do not wait for them.
        frame = inject(
            frame,
            rng=faults,
            clock=clock,
            hours=HOURS,
            kinds=kinds,
            spoilable=op == "r",
            movable=(op == "u") | (op == "d"),
        )

    def totals(base: NDArray[np.int64]) -> dict[str, Any]:
        alive = [events[i].after for i in base.tolist() if events[i].op != "d"]
        return {
            "customers": len(alive),
            "deleted": len(base) - len(alive),
            "with_demographics": sum(row.demographics[0] is not None for row in alive if row),
        }

    return RecordFeed(
        name="stripe.customers",
        records=frame,
        hours=HOURS,
        file="customers.jsonl",
        lines=lambda base: [text[i] for i in base.tolist()],
        key_name=lambda key: f"c{key}",
        totals=totals,
        corrupt=corrupter(key="customer_id", number="created_at", options="age", inside='"after":'),
    )
