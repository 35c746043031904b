"""What the tests share: fixed days, and reading what was landed back by means of their own."""

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

END = date(2026, 1, 31)
NOW = datetime(2026, 3, 1)


def files_of(landing: Path, table: str) -> list[Path]:
    """A table's files in the order of their arrival."""
    return sorted(path for path in (landing / table.replace(".", "/")).rglob("*") if path.is_file())


def lines_of(landing: Path, table: str) -> list[str]:
    """All its lines without the headers of CSV files."""
    skip = 1 if table.split(".")[0] in ("catalog", "marketing") else 0
    return [line for path in files_of(landing, table) for line in path.read_text().splitlines()[skip:]]


def parsed(line: str) -> dict[str, Any] | None:
    """A JSON line; None where it is cut off."""
    try:
        value: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    return value
