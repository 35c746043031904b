"""A contract with a column of every type, and what a record of it may look like."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from lakehouse.contracts.model import Contract
from lakehouse_tests.silver.small import accepted, column, contract, items, key, pii

KINDS = {
    "flag": ("boolean", True),
    "tiny": ("tinyint", -128),
    "small": ("smallint", 32767),
    "whole": ("int", 7),
    "long": ("bigint", 2**62),
    "ratio": ("double", 0.5),
    "price": ("decimal(12,2)", Decimal("12.30")),
    "day": ("date", date(2025, 3, 1)),
    "moment": ("timestamp", datetime(2025, 3, 1, 8, 30, tzinfo=UTC)),
}
"""Column → its Spark type, and a value of it."""


def rich(**own: Any) -> Contract:
    return contract(
        [
            key(),
            *(column(name, kind) for name, (kind, _) in KINDS.items()),
            column("state", quality=[accepted("new", "o'ld")], required=True),
            column("code", logicalTypeOptions={"pattern": "^[A-Z]{2}$", "maxLength": 2}),
            column("limited", "int", logicalTypeOptions={"minimum": 0, "exclusiveMaximum": 10}),
            column("seen", "timestamp", logicalTypeOptions={"format": "epoch_millis"}),
            column("born", "date", logicalTypeOptions={"format": "dd.MM.yyyy"}),
            pii("email", "hash"),
            {"name": "tags", "logicalType": "array", "items": {"logicalType": "string"}},
            {"name": "counts", "logicalType": "object", "physicalType": "map<string,int>"},
            {"name": "by_number", "logicalType": "object", "physicalType": "map<int,string>"},
            {
                "name": "place",
                "logicalType": "object",
                "properties": [column("city", required=True), column("zip_code", physicalName="zip")],
            },
            items("lines", column("number", "int", required=True), column("price", "decimal(9,3)")),
        ],
        name="rich",
        **own,
    )


def typed() -> dict[str, Any]:
    """A row of silver as Python values."""
    return {
        "id": "1",
        **{name: value for name, (_, value) in KINDS.items()},
        "state": "new",
        "code": "AB",
        "limited": None,
        "seen": datetime(2025, 3, 1, tzinfo=UTC),
        "born": None,
        "email": "jane@example.com",
        "tags": ["a", None],
        "counts": {"x": 1, "y": None},
        "by_number": [{"key": 1, "value": "one"}],
        "place": {"city": "Here", "zip_code": None},
        "lines": [{"number": 1, "price": Decimal("1.125")}],
    }


def arrived() -> dict[str, Any]:
    """The same as it is delivered."""
    return typed() | {
        "price": 12.3,
        "day": "2025-03-01",
        "moment": "2025-03-01T08:30:00Z",
        "seen": 1740787200000,
        "born": "24.12.1999",
        "by_number": {"1": "one"},
        "place": {"city": "Here", "zip": "0123"},
        "lines": [{"number": 1, "price": 1.125}],
    }
