"""Contracts as small as they can be, written as YAML and loaded as everybody's are; and files for them in landing."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from lakehouse.contracts.loader import load
from lakehouse.contracts.model import Contract


def column(name: str, kind: str = "string", **more: Any) -> dict[str, Any]:
    """A property of a contract; `kind` is the Spark type."""
    logical = {"string": "string", "boolean": "boolean", "date": "date", "timestamp": "timestamp", "double": "number"}
    number = "number" if kind.startswith("decimal") else "integer"
    return {"name": name, "logicalType": logical.get(kind, number), "physicalType": kind, **more}


def key(name: str = "id", kind: str = "string", position: int = 1) -> dict[str, Any]:
    return column(name, kind, primaryKey=True, primaryKeyPosition=position)


def items(name: str, *fields: dict[str, Any], child_table: str | None = None) -> dict[str, Any]:
    """An array of objects."""
    array: dict[str, Any] = {
        "name": name,
        "logicalType": "array",
        "items": {"logicalType": "object", "properties": list(fields)},
    }
    if child_table:
        array["customProperties"] = [{"property": "lakehouse", "value": {"childTable": child_table}}]
    return array


def pii(name: str, how: str = "redact", kind: str = "string") -> dict[str, Any]:
    custom = [{"property": "lakehouse", "value": {"mask": how}}]
    return column(name, kind, classification="pii", customProperties=custom)


def accepted(*values: str) -> dict[str, Any]:
    """A quality entry that accepts these values only."""
    return {"type": "library", "metric": "invalidValues", "arguments": {"validValues": list(values)}, "mustBe": 0}


def contract(
    columns: Sequence[dict[str, Any]],
    *,
    name: str = "things",
    quality: Sequence[dict[str, Any]] = (),
    relationships: Sequence[dict[str, Any]] = (),
    sla: Sequence[dict[str, Any]] = (),
    servers: Sequence[dict[str, Any]] = (),
    version: str = "1.0.0",
    folder: Path | None = None,
    **own: Any,
) -> Contract:
    """The contract `shop.<name>`; `own` overrides the project's own properties (format, delivery, sequence, …). Its
    file stays where a `folder` for it is named. Unless `score` says so, no batch is held back by its quality score: three
    records of which one is broken are half of what many tests are about. Unless `anomalies` says so, days are not watched:
    profiling them takes a third of the time of so small a step."""
    own = {"score": {"publish": 0}, "anomalies": "off"} | own
    settings = {"source": "shop", "format": "json", "delivery": "versions", **own}
    table: dict[str, Any] = {
        "name": name,
        "logicalType": "object",
        "dataGranularityDescription": "One row per thing.",
        "properties": list(columns),
        "quality": list(quality),
        "relationships": list(relationships),
    }
    document = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": f"shop.{name}",
        "name": name,
        "version": version,
        "status": "active",
        "description": {"purpose": "To test."},
        "team": {"name": "Tests", "members": [{"username": "tests@example.com", "role": "owner"}]},
        "slaProperties": list(sla),
        "servers": list(servers),
        "customProperties": [{"property": "lakehouse", "value": settings}],
        "schema": [table],
    }
    with tempfile.TemporaryDirectory() as passing:
        path = (folder or Path(passing)) / f"shop_{name}_{version}.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        return load(path)


def land(landing: Path, of: Contract, day: str, name: str, content: bytes | str | Sequence[Any]) -> Path:
    """Writes a file into landing: bytes or text as they are, or a sequence of documents as JSON lines."""
    path = landing / of.source / of.name / day / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
        return path
    if not isinstance(content, str):
        content = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in content)
    path.write_text(content, encoding="utf-8", newline="")
    return path
