"""What landing says that a table held: a fold of its events in plain Python, which knows nothing of silver."""

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from lakehouse_tests.capture.workload import COLUMNS, KEYS, Row

UNAVAILABLE = "__debezium_unavailable_value"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def landed(folder: Path) -> list[dict[str, Any]]:
    """The events in a table's folder of landing, in the order of their names and lines."""
    paths = sorted(folder.glob("????-??-??/*.jsonl"), key=lambda path: path.name)
    # Split at line feeds alone: text may hold other line separators.
    return [json.loads(line) for path in paths for line in path.read_text("utf-8").split("\n") if line]


def sequence(event: dict[str, Any]) -> tuple[int, int]:
    return event["source"]["commit_lsn"], event["source"]["lsn"]


def replay(events: Iterable[dict[str, Any]], table: str, until: int | None = None) -> set[Row]:
    """The rows after all events that were committed up to a position."""
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for event in sorted(events, key=sequence):
        if until is not None and event["source"]["commit_lsn"] > until:
            break
        before, after = event["before"], event["after"]
        if event["op"] == "t":
            rows.clear()
        elif event["op"] == "d":
            del rows[_key(table, before)]
        else:
            held = rows.get(_key(table, after), {})
            rows[_key(table, after)] = {
                name: held[name] if value == UNAVAILABLE else value for name, value in after.items()
            }
    return {tuple(_value(name, row.get(name)) for name in COLUMNS[table]) for row in rows.values()}


def _key(table: str, row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in COLUMNS[table][: KEYS[table]])


def _value(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name == "amount":
        return Decimal(value)
    if name == "born":
        return date.fromisoformat(value.removesuffix("Z"))
    if name in ("seen", "at"):
        return micros(datetime.fromisoformat(value))
    return value


def micros(value: datetime) -> int:
    """Microseconds since 1970; without a zone it is UTC."""
    return (value.replace(tzinfo=value.tzinfo or UTC) - EPOCH) // timedelta(microseconds=1)


def differences(found: Iterable[Row], expected: set[Row]) -> list[str]:
    """Rows of one that the other lacks, and rows found twice. Instants of the database are made comparable."""
    rows = list(found)
    wanted = {tuple(micros(value) if isinstance(value, datetime) else value for value in row) for row in expected}
    twice = len(rows) - len(set(rows))
    return [
        *(f"invented or wrong: {row}" for row in sorted(set(rows) - wanted, key=str)[:3]),
        *(f"lost or wrong: {row}" for row in sorted(wanted - set(rows), key=str)[:3]),
        *([f"{twice} rows twice"] if twice else []),
    ]
