"""`lakehouse profile`: which table is meant, where rules may be written, and what is printed."""

import json
from pathlib import Path
from typing import Any

import click
import pytest

from lakehouse.cli import profile as command
from lakehouse.contracts.loader import SAMPLE, load, load_all
from lakehouse.contracts.personal import Personal
from lakehouse.contracts.proposals import ColumnProfile, Key, Proposal, Relation, TableProfile
from lakehouse.settings import Settings, settings
from lakehouse_tests.silver.small import column, contract, key

FOUND = TableProfile(
    table="shop_things",
    rows=1000,
    sampled=1000,
    columns=(
        ColumnProfile(name="id", type="string", rows=1000, nulls=0, distinct=990, shapes=(("a9+", 1.0),), longest=9),
        ColumnProfile(name="n", type="decimal(12,2)", rows=1000, nulls=1, distinct=3, smallest="0.50", largest="9.00"),
        ColumnProfile(
            name="contact",
            type="string",
            rows=1000,
            nulls=500,
            distinct=500,
            shapes=(("a+@a+.a+", 1.0),),
            personal=Personal("e-mail address", "hash", "98% of its values look like one"),
        ),
    ),
    keys=(Key(("id",)),),
    relations=(Relation("id", "shop_others", "id", 500, 499),),
    seconds=1.25,
)
REQUIRED = Proposal("n", "required", True, "0 of 1,000 are null")


def test_a_table_without_schema_is_the_silver_table_of_its_contract() -> None:
    contracts = load_all(settings())
    assert command._contract(contracts, "silver.shopify_orders") is contracts["shopify_orders"]
    assert command._contract(contracts, "bronze.shopify_orders") is contracts["shopify_orders"]
    assert command._contract(contracts, "gold.fct_orders") is None
    assert command._contract(contracts, "silver.shopify_order_lines") is None


def test_what_is_shown_to_people(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    of = contract([key(), column("n", "decimal(12,2)"), column("contact")], folder=tmp_path)
    command._show("silver.shop_things", FOUND, [REQUIRED], of)
    text = capsys.readouterr().out
    assert "silver.shop_things: 1,000 rows, 3 columns; measured in 1.2 s" in text
    assert "id (the key of its contract)" in text
    assert "id → shop_others.id: 499 of 500 sampled values" in text
    assert "contact: e-mail address, 98% of its values look like one" in text
    assert "••• a+@a+.a+" in text
    assert "n: required: true  (0 of 1,000 are null)" in text


def test_what_is_shown_to_programs() -> None:
    found = json.loads(json.dumps(command._as_json("silver.shop_things", FOUND, [REQUIRED])))
    number = found["columns"][1]
    assert (number["smallest"], number["largest"], number["nulls"]) == (0.5, 9.0, 1)
    assert found["proposals"][0]["evidence"] == "0 of 1,000 are null"
    assert found["keys"] == [{"columns": ["id"]}]


def test_a_contract_of_ones_own_is_amended_and_one_that_ships_is_not(tmp_path: Path, monkeypatch: Any) -> None:
    folder = tmp_path / "contracts"
    folder.mkdir()
    here = Settings(home=tmp_path, contracts=(folder,))
    own = contract([key(), column("n", "decimal(12,2)")], folder=folder)
    assert command._target(own, "silver.shop_things", here, None) == own.file
    command._write(own, own.file, [REQUIRED], here)
    assert "required: true # review: 0 of 1,000 are null" in own.file.read_text()
    assert load(own.file).column("n").required

    before = own.file.read_text()
    nowhere = Proposal("n", "relationships", {"type": "foreignKey", "to": "shop_nothing.id"}, "all 9 are there")
    with pytest.raises(click.ClickException, match="nothing was written"):
        command._write(own, own.file, [nowhere], here)
    assert own.file.read_text() == before

    shipped = load(SAMPLE / "shopify_orders.yaml")
    with pytest.raises(click.ClickException, match="ships with the package.*--out"):
        command._target(shipped, "silver.shopify_orders", here, None)
    copy = tmp_path / "copy" / "orders.yaml"
    assert command._target(shipped, "silver.shopify_orders", here, copy) == copy
    maximum = Proposal("tax", "logicalTypeOptions.maximum", 100, "0.00 to 6.42 in 3,649 rows")
    command._write(shipped, copy, [maximum], here)
    assert "logicalTypeOptions: {minimum: 0, maximum: 100} # review: 0.00 to 6.42" in copy.read_text()
    with pytest.raises(click.ClickException, match="exists"):
        command._target(shipped, "silver.shopify_orders", here, copy)
    with pytest.raises(click.ClickException, match="has no contract"):
        command._target(None, "gold.fct_orders", here, None)


@pytest.mark.engine
def test_personal_data_is_known_wherever_it_went(spark: Any) -> None:
    contracts, here = load_all(settings()), settings()
    frame = spark.sql("select 'x' as name, 'y' as email, 'z' as customer_name, 1 as n")

    def hidden(table: str) -> set[str]:
        return command._classified(frame, table, contracts, here)

    assert {"name", "email"} <= hidden("silver.stripe_customers")
    assert {"customer_name", "email"} <= hidden("gold.dim_customers")
    assert hidden("serving.dim_customers") == set(), "masked already"
    assert hidden("mine.people") == {"name", "email"}
    for secret in ("vault.mask_keys", "silver_state.stripe_customers__quarantine"):
        with pytest.raises(click.ClickException, match="not to be shown"):
            command._frame(spark, contracts, secret)
    with pytest.raises(click.ClickException, match="There is no table silver.nothing"):
        command._frame(spark, contracts, "silver.nothing")
