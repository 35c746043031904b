"""A small, complete contract to break in one place at a time."""

import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

MINIMAL = """\
apiVersion: v3.1.0
kind: DataContract
id: shop.orders
name: Orders
version: 1.0.0
status: active
description: {purpose: To test.}
team:
  name: Tests
  members:
    - {username: tests@example.com, role: owner}
customProperties:
  - property: lakehouse
    value:
      source: shop
      format: json
      delivery: versions
      sequence: [updated_at]
schema:
  - name: orders
    logicalType: object
    dataGranularityDescription: One row per order.
    properties:
      - name: order_id
        logicalType: string
        primaryKey: true
      - name: updated_at
        logicalType: timestamp
        required: true
      - name: amount
        logicalType: number
        physicalType: decimal(12,2)
      - name: email
        logicalType: string
        classification: pii
        customProperties:
          - {property: lakehouse, value: {mask: hash}}
      - name: lines
        logicalType: array
        items:
          logicalType: object
          properties:
            - name: number
              logicalType: integer
              physicalType: int
            - name: sku
              logicalType: string
    quality:
      - {name: has_rows, metric: rowCount, mustBeGreaterThan: 0}
"""


@pytest.fixture
def minimal() -> str:
    """The contract's text."""
    return MINIMAL


@pytest.fixture(scope="session")
def odcs() -> Any:
    """The validator of the standard's own JSON schema, which knows nothing of this project."""
    schema = resources.files("open_data_contract_standard").joinpath("schema.json").read_text(encoding="utf-8")
    return jsonschema.Draft201909Validator(json.loads(schema))


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a contract: the minimal one with each `old` replaced by its `new`."""

    def write_contract(*replacements: tuple[str, str], name: str = "shop_orders.yaml") -> Path:
        text = MINIMAL
        for old, new in replacements:
            assert text.count(old) >= 1, f"{old!r} is not in the minimal contract"
            text = text.replace(old, new, 1)
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write_contract
