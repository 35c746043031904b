"""A stream as Debezium gives it, without Debezium."""

import json
from typing import Any

from lakehouse.capture.recorder import Event, Kind
from lakehouse.capture.sources import Source, Table

SHOP = Source(
    "shop",
    "127.0.0.1",
    5432,
    "shop",
    (Table("public", "orders", ("id",), "shop/orders"), Table("public", "lines", ("id",), "shop/lines")),
)


def event(kind: Kind, lsn: int, value: Any = None, **offset: Any) -> Event:
    return Event(kind, json.dumps(value or {}), lambda: {"lsn": lsn, "lsn_proc": lsn, "transaction_id": "7", **offset})


def row(lsn: int, name: str = "é", table: str = "orders", op: str = "c", **more: Any) -> Event:
    source = {"schema": "public", "table": table, "lsn": lsn}
    return event("row", lsn, {"before": None, "after": {"id": lsn, "name": name}, "source": source, "op": op}, **more)


def transaction(commit: int, *rows: Event) -> list[Event]:
    begin = event("begin", commit - 1, {"status": "BEGIN"})
    return [begin, *rows, event("end", commit, {"status": "END", "ts_ms": 1_700_000_000_000}, lsn_commit=commit)]
