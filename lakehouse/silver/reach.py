"""Which part of a table a batch can touch, as a condition over its key columns.

Delta keeps the least and the greatest value of a column for each file, and passes over the files that a condition rules
out. So a batch of neighbouring keys, as new orders are, reads and rewrites the files that hold such keys and no others,
however large the table is. Keys that lie scattered rule out nothing, and cost what the size of the table costs.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import date
from itertools import pairwise
from os.path import commonprefix
from typing import Any

from pyspark.sql import DataFrame

from lakehouse.contracts.model import Contract
from lakehouse.storage.tables import literal, quote

MOST_KEYS = 100_000
"""A batch of more keys touches most of a table, if not all."""
MOST_RANGES = 16
"""A few old keys among many new ones must not make one wide range of all; each range costs a look at every file's bounds."""
ROWS_PER_FILE = 1_000_000
_ORDERED = ("string", "bigint", "int", "date")
"""Types whose order is the same here, in Spark and in Delta's bounds: text is ordered by its bytes, as by code points."""


def of_events(events: DataFrame, contract: Contract) -> str | None:
    """SQL over the state as `target` that holds for every key of `events`; None where it would say nothing."""
    keys = [key for key in contract.keys if contract.column(key).type in _ORDERED]
    if not keys:
        return None
    rows = events.select(*map(quote, keys)).distinct().limit(MOST_KEYS + 1).collect()
    if not 0 < len(rows) <= MOST_KEYS:
        return None
    return condition({key: [row[index] for row in rows] for index, key in enumerate(keys)})


def condition(values: dict[str, Sequence[Any]]) -> str:
    """SQL that holds for every row of `target` whose columns have some of these values (at least one each, none null)."""
    parts = []
    for column, known in values.items():
        spans = (f"target.{quote(column)} between {_sql(low)} and {_sql(high)}" for low, high in ranges(known))
        parts.append(f"({' or '.join(spans)})")
    return " and ".join(parts)


def ranges(values: Iterable[Any], most: int = MOST_RANGES) -> list[tuple[Any, Any]]:
    """At most so many closed ranges that hold all of the values (whole numbers, texts or dates), in order: what lies
    between two of them are the widest gaps."""
    ordered = sorted(set(values))
    places = _places(ordered)
    gaps = sorted(range(1, len(ordered)), key=lambda at: places[at] - places[at - 1], reverse=True)[: most - 1]
    cuts = [0, *sorted(gaps), len(ordered)]
    return [(ordered[start], ordered[end - 1]) for start, end in pairwise(cuts)]


def _places(ordered: Sequence[Any]) -> list[int]:
    """Numbers whose differences say how far values lie from each other; of texts, the bytes that follow what all share."""
    if isinstance(ordered[0], date):
        return [value.toordinal() for value in ordered]
    if isinstance(ordered[0], str):
        shared = len(commonprefix([ordered[0], ordered[-1]]).encode())
        return [int.from_bytes(value.encode()[shared : shared + 16].ljust(16, b"\0"), "big") for value in ordered]
    return [int(value) for value in ordered]


def _sql(value: Any) -> str:
    if isinstance(value, date):
        return f"date'{value}'"
    return literal(value) if isinstance(value, str) else str(value)


def laid_out(rows: DataFrame, keys: Sequence[str], count: int) -> DataFrame:
    """The rows of a whole table, in files of neighbouring keys where it takes several; smaller tables are one file or two
    anyway, and sorting them would bring nothing."""
    files = math.ceil(count / ROWS_PER_FILE)
    return rows if files < 3 else rows.repartitionByRange(files, *map(quote, keys))
