"""`catalog.products`: the whole catalogue every week, with a few changes from one week to the next."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from lakehouse.sample.clock import WEEK, YEAR_WEEKS, Clock
from lakehouse.sample.faults import TRUNCATED_PER_SNAPSHOT
from lakehouse.sample.feed import FAULTS, Account, PlannedFile
from lakehouse.sample.source import read

TAKEN_BEFORE = timedelta(hours=2)
"""A week's snapshot is written on Sunday evening, before the week begins."""
RESIZED = 30
"""Products a week that come in another package."""
RENAMED = {6: ("FRZN ICE", "FROZEN ICE"), 20: ("HOT DOGS", "HOT DOGS & FRANKS"), 52: ("MAGAZINE", "MAGAZINES")}
"""Week of the year, category as it was, and its new name."""
COMING = GOING = 2
"""Products a week that are listed first, and last: only such that were never sold."""


class Catalogue:
    """The feed: one file a week; week numbers are those of the whole year, from 0."""

    name = "catalog.products"

    def __init__(self, clock: Clock, rng: np.random.Generator, faults: np.random.Generator | None) -> None:
        products = read("products").sort_values("product_id", ignore_index=True)
        products = products.astype(object).where(products.notna(), "").astype(str)
        self._header = ",".join(products.columns) + "\n"
        self._clock = clock
        self._weeks = range(YEAR_WEEKS - clock.weeks, YEAR_WEEKS)
        self._rows = products.to_numpy(dtype=object).tolist()
        self._plan(products["product_id"].astype(np.int64).to_numpy(), rng)
        self._cuts = (
            faults.integers(0, len(self._rows), (YEAR_WEEKS, TRUNCATED_PER_SNAPSHOT)).tolist() if faults else None
        )

    def _plan(self, product_id: Any, rng: np.random.Generator) -> None:
        """Which products change, come and go in which week."""
        sold = read("transactions", ["product_id"])["product_id"].unique()
        unsold = np.flatnonzero(~np.isin(product_id, sold))
        sized = np.array([i for i, row in enumerate(self._rows) if re.match(r"\d", row[-1])])
        picked = rng.permutation(unsold)[: (COMING + GOING) * (YEAR_WEEKS - 1)].reshape(YEAR_WEEKS - 1, -1)
        self._comes = {int(i): week for week in range(1, YEAR_WEEKS) for i in picked[week - 1, :COMING]}
        self._goes = {int(i): week for week in range(1, YEAR_WEEKS) for i in picked[week - 1, COMING:]}
        resized = rng.permutation(sized)[: RESIZED * (YEAR_WEEKS - 1)].reshape(YEAR_WEEKS - 1, RESIZED)
        self._resized = {week: resized[week - 1].tolist() for week in range(1, YEAR_WEEKS)}

    def states(self) -> Iterator[tuple[int, dict[int, str], int]]:
        """Week by week: its number, the lines by product, and how many lines are new or differ from the week before."""
        rows = [list(row) for row in self._rows]
        current = {i: ",".join(row) for i, row in enumerate(rows) if i not in self._comes}
        for week in range(YEAR_WEEKS):
            changed = self._changed(week, rows) if week else set()
            for i in changed & current.keys():
                current[i] = ",".join(rows[i])
            arrived = [i for i, first in self._comes.items() if first == week]
            gone = [i for i, last in self._goes.items() if last == week]
            versions = len(changed & current.keys()) + len(arrived)
            for i in gone:
                versions -= i in changed
                del current[i]
            current.update({i: ",".join(rows[i]) for i in arrived})
            if week in self._weeks:
                yield week, current, len(current) if week == self._weeks[0] else versions

    def _changed(self, week: int, rows: list[list[str]]) -> set[int]:
        """Applies the week's changes to the rows; returns the products whose row differs now."""
        changed = set()
        if week in RENAMED:
            old, new = RENAMED[week]
            for i, row in enumerate(rows):
                if row[4] == old:
                    row[4] = new
                    changed.add(i)
        for i in self._resized[week]:
            number, rest = re.match(r"([\d.]*\d)(.*)", rows[i][-1]).groups()  # type: ignore[union-attr]
            rows[i][-1] = f"{float(number) * 0.9:.1f}{rest}"
            changed.add(i)
        return changed

    def files(self) -> list[PlannedFile]:
        files = []
        for week in self._weeks:
            taken = self._taken(week)
            closes = taken.replace(minute=0) + timedelta(hours=1)
            files.append(PlannedFile(f"catalog/products/{taken.date().isoformat()}/products.csv", closes))
        return files

    def _taken(self, week: int) -> datetime:
        return self._clock.end - (YEAR_WEEKS - week) * WEEK - TAKEN_BEFORE

    def texts(self, wanted: Sequence[int]) -> Iterator[str]:
        weeks = {self._weeks[i] for i in wanted}
        for week, lines, _ in self.states():
            if week in weeks:
                yield self._header + "\n".join(self._listed(week, lines)) + "\n"

    def _listed(self, week: int, lines: dict[int, str]) -> list[str]:
        listed = [lines[i] for i in sorted(lines)]
        for place in sorted(self._cuts[week], reverse=True) if self._cuts else []:
            place = min(place, len(listed) - 1)
            listed.insert(place + 1, ",".join(listed[place].split(",")[:2]))
        return listed

    def account(self, cutoff: datetime) -> Account:
        landed = {week for week, file in zip(self._weeks, self.files(), strict=True) if file.closes <= cutoff}
        ever: set[int] = set()
        records = history = current = 0
        for week, lines, versions in self.states():
            if week in landed:
                records += len(lines)
                history += versions
                current = len(lines)
                ever |= lines.keys()
        cut = len(landed) * TRUNCATED_PER_SNAPSHOT if self._cuts else 0
        return {
            "files": len(landed),
            "records": records + cut,
            "faults": {name: cut if name == "malformed" else 0 for name in FAULTS[1:]},
            "expected": {
                "unreadable": cut,
                "quarantined": 0,
                "usable": records,
                "versions": records,
                "duplicates": 0,
                "keys": len(ever),
                "quarantined_keys": [],
            },
            "totals": {"products": current, "history_rows": history},
        }
