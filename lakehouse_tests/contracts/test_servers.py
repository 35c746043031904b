"""Where a table is captured from, as the contract says it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from lakehouse.contracts.changes import compare
from lakehouse.contracts.loader import ContractError, check, load

SERVERS = """\
servers:
  - server: shop_db
    type: postgresql
    host: db.example.com
    port: 5432
    database: shop
    schema: sales
    environment: prod
customProperties:
  - property: lakehouse
    value:
      source: shop
      format: json
      delivery: changes
      sequence: [source.commit_lsn, source.lsn]
"""
CUSTOM = """\
customProperties:
  - property: lakehouse
    value:
      source: shop
      format: json
      delivery: versions
      sequence: [updated_at]
"""


def test_the_table_of_the_server_is_the_contracts_own_unless_it_says_otherwise(
    write: Callable[..., Path], odcs: Any
) -> None:
    path = write((CUSTOM, SERVERS))
    origin = load(path).origin
    assert origin is not None
    assert (origin.server, origin.address) == ("shop_db", "db.example.com:5432/shop")
    assert (origin.schema, origin.table) == ("sales", "orders")
    assert list(odcs.iter_errors(yaml.safe_load(path.read_text()))) == []
    more = "    customProperties:\n      - {property: lakehouse, value: {table: Orders}}\ncustomProperties:\n"
    named = load(write((CUSTOM, SERVERS.replace("customProperties:\n", more, 1)))).origin
    assert named is not None
    assert named.table == "Orders"


def test_the_order_of_a_captured_table_is_that_of_its_commits(write: Callable[..., Path]) -> None:
    unordered = SERVERS.replace("      sequence: [source.commit_lsn, source.lsn]\n", "")
    (problem,) = check([write((CUSTOM, unordered))])
    assert "sequence: [source.commit_lsn, source.lsn]" in problem.remedy
    (landed,) = check([write((CUSTOM, unordered[unordered.index("customProperties") :]))])
    assert "sequence: [source.lsn]" in landed.remedy


def test_only_changes_are_captured(write: Callable[..., Path]) -> None:
    assert (
        load(write(("customProperties:\n", SERVERS.partition("customProperties")[0] + "customProperties:\n"))).origin
        is None
    )


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("    port: 5432\n", "", "`port` is missing"),
        ("port: 5432", "port: 99999", "the port cannot be `99999`"),
        ("server: shop_db", "server: Shop DB", "no usable name of a server"),
        ("server: shop_db", f"server: {'s' * 41}", "more than 40 characters"),
        ("schema: sales", "schema: sales\n    password: x", "`password` is no key of ODCS"),
        (
            "schema: sales",
            "schema: sales\n    customProperties: [{property: password, value: x}]",
            "a contract holds no credentials",
        ),
        (
            "schema: sales",
            "schema: sales\n    customProperties: [{property: lakehouse, value: {table: 7}}]",
            "the table's name in the database",
        ),
        (
            "servers:\n",
            "servers:\n  - {server: other, type: postgres, host: h, port: 1, database: d, schema: s}\n",
            "Keep one",
        ),
    ],
)
def test_what_is_wrong_is_named(write: Callable[..., Path], old: str, new: str, problem: str) -> None:
    with pytest.raises(ContractError, match=problem.replace("(", r"\(")):
        load(write((CUSTOM, SERVERS.replace(old, new))))


def test_another_database_is_a_breaking_change_and_another_host_is_none(write: Callable[..., Path]) -> None:
    old = load(write((CUSTOM, SERVERS)))
    assert compare(old, load(write((CUSTOM, SERVERS.replace("db.example.com", "db2.example.com"))))) == []
    (change,) = compare(old, load(write((CUSTOM, SERVERS.replace("database: shop", "database: shop2")))))
    assert (change.kind, change.where) == ("breaking", "servers")
    (change,) = compare(old, replace(old, origin=None))
    assert (change.kind, change.text) == ("forward-only", "was shop_db/shop/sales.orders, is not given")


def test_contracts_of_one_server_agree_and_capture_each_table_once(write: Callable[..., Path]) -> None:
    first = write((CUSTOM, SERVERS), name="one.yaml")
    other = write(
        (CUSTOM, SERVERS.replace("port: 5432", "port: 5433")), ("name: orders", "name: others"), name="two.yaml"
    )
    same = write((CUSTOM, SERVERS), ("name: orders", "name: same"), name="three.yaml")
    same.write_text(
        same.read_text().replace(
            "schema: sales", "schema: sales\n    customProperties: [{property: lakehouse, value: {table: orders}}]"
        )
    )
    found = "\n".join(problem.message for problem in check([first, other, same]))
    assert "the server `shop_db` is db.example.com:5433/shop here" in found
    assert "sales.orders of `shop_db` is captured by" in found
