"""Planned runs, for tests of what starts them."""

import dagster as dg

from lakehouse.automation.runs import GOLD, Planned


def planned(title: str, *after: str) -> Planned:
    return Planned(title, (dg.AssetKey(title.split()),), frozenset(after))


RUNS = [
    planned("bronze a"),
    planned("bronze b"),
    planned("silver a", "bronze a", "silver b"),
    planned("silver b", "bronze b"),
    planned(GOLD, "bronze a", "bronze b", "silver a", "silver b"),
]
"""Two tables, of which one refers to the other, and gold."""
