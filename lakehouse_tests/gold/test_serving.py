"""What readers may see of a gold column."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lakehouse.contracts.loader import load_all
from lakehouse.contracts.model import Contract
from lakehouse.gold.serving import mask_of, masks_digest
from lakehouse.settings import settings


@pytest.fixture(scope="module")
def contracts(lakehouse_home: Path) -> dict[str, Contract]:
    return load_all(settings())


def model(**columns: str | None) -> dict[str, Any]:
    """A model with these columns, each with the contract's column that it says it shows."""
    return {
        "columns": {name: {"meta": {"contract_column": stated} if stated else {}} for name, stated in columns.items()}
    }


def test_a_column_is_masked_as_the_contract_says(contracts: dict[str, Contract]) -> None:
    node = model(customer_name="stripe_customers.name", email=None, age_group="stripe_customers.age", total=None)
    customers = contracts["stripe_customers"]
    assert mask_of("customer_name", node, contracts) == customers.column("name").mask
    assert mask_of("email", node, contracts) == customers.column("email").mask
    assert mask_of("Email", node, contracts) == customers.column("email").mask
    assert mask_of("age_group", node, contracts) is None
    assert mask_of("total", node, contracts) is None


@pytest.mark.parametrize("node", [None, model(total=None), model(customer_name="stripe_customers.nickname")])
def test_what_cannot_be_told_is_hidden(contracts: dict[str, Contract], node: dict[str, Any] | None) -> None:
    assert mask_of("customer_name", node, contracts) == "redact"


def test_a_column_of_a_contract_that_is_no_more_is_hidden(contracts: dict[str, Contract]) -> None:
    node = model(customer_name="stripe_customers.name", total=None)
    without = {table: contract for table, contract in contracts.items() if table != "stripe_customers"}
    assert mask_of("customer_name", node, without) == "redact"
    assert mask_of("total", node, without) is None


def test_without_personal_data_anywhere_nothing_is_hidden(contracts: dict[str, Contract]) -> None:
    assert mask_of("anything", None, {"catalog_products": contracts["catalog_products"]}) is None


def test_another_mask_is_noticed(contracts: dict[str, Contract]) -> None:
    marts = {"dim_customers": model(customer_name="stripe_customers.name", total=None)}
    customers = contracts["stripe_customers"]
    columns = tuple(replace(c, mask="redact") if c.name == "email" else c for c in customers.columns)
    changed = {**contracts, "stripe_customers": replace(customers, columns=columns)}
    assert masks_digest(marts, contracts) == masks_digest(dict(marts), dict(contracts))
    assert masks_digest(marts, changed) != masks_digest(marts, contracts)
    assert masks_digest({"dim_customers": model(customer_name=None, total=None)}, contracts) != masks_digest(
        marts, contracts
    )
