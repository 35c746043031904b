"""SodaCL on its own: Soda's parser takes every check, and Soda finds in a table what the contract forbids."""

from typing import Any

import pytest
import yaml

from lakehouse.contracts.loader import load_all
from lakehouse.contracts.model import Contract
from lakehouse.quality.soda import _scan_class, scan
from lakehouse.quality.sodacl import checks, sodacl
from lakehouse.settings import settings
from lakehouse_tests.contracts.export.rich import rich
from lakehouse_tests.quality.test_audit import audited, custom, library
from lakehouse_tests.silver.small import accepted, column, contract, items, key


def understood(text: str) -> set[str]:
    """The names of the checks that Soda's own parser makes of SodaCL; raises where it complains."""
    runner = _scan_class()()
    runner.set_data_source_name("elsewhere")
    runner.add_sodacl_yaml_str(text)
    told = runner.get_logs_text()
    assert not runner.get_error_logs_text() and not runner.has_check_warns(), told
    found = runner._sodacl_cfg.data_source_scan_cfgs["elsewhere"].tables_cfgs.values()
    parts = [
        part for table in found for one in table.partition_cfgs for part in (one, *one.column_checks_cfgs.values())
    ]
    return {check.name for part in parts for check in part.check_cfgs}


def names(of: Contract) -> list[str]:
    return [item.name for item in (*of.rules, *of.checks)]


def test_soda_s_parser_takes_every_check_of_every_table() -> None:
    settings.cache_clear()
    contracts = [*load_all(settings()).values(), audited(), rich()]
    for of in contracts:
        assert understood(sodacl([of])) == set(names(of)), of.table
    assert list(yaml.safe_load(sodacl(contracts))) == [f"checks for {of.table}" for of in contracts]
    with pytest.raises((AssertionError, KeyError)):
        understood("checks for x:\n- no check at all")


def test_a_history_is_asked_of_the_versions_that_hold() -> None:
    of = contract([key(), column("at", "timestamp", required=True)], history="full", sequence=["at"])
    assert {
        "duplicate_count(id)": {"name": "primary_key_unique", "filter": "is_current", "fail": "when != 0"}
    } in checks(of)


def strict() -> Contract:
    return contract(
        [
            key(),
            column("size", "int", logicalTypeOptions={"minimum": 0},
                   quality=[library("few_known", metric="nullValues", mustBeLessThan=1, arguments={"where": "id < '3'"})]),
            column("state", quality=[accepted("new", "o'ld")]),
            column("code", unique=True),
            column("owner", relationships=[{"to": "shop_owners.owner_id"}]),
            column(
                "maybe",
                quality=[
                    library("known", metric="nullValues", mustBeLessThan=50, unit="percent"),
                    library("given", metric="missingValues", arguments={"missingValues": ["-"]}, mustBeLessThan=2),
                    library("some_valid", metric="invalidValues", mustBeLessThan=1,
                            arguments={"validValues": ["a", "b"], "where": "size > 0"}, severity="warning"),
                    library("valid", metric="invalidValues", arguments={"validValues": ["a", "b"]}, mustBeLessThan=2),
                ],
            ),
            items("lines", column("sku", relationships=[{"to": "shop_skus.sku"}])),
        ],
        quality=[
            library("enough", metric="rowCount", mustBeGreaterOrEqualTo=3),
            library("pairs", metric="duplicateValues", arguments={"properties": ["size", "state"]}, mustBeLessThan=30,
                    unit="percent"),
            library("states_of_some", metric="duplicateValues", arguments={"properties": ["state"], "where": "id = '2'"},
                    mustBe=0),
            library("enough_of_some", metric="rowCount", arguments={"where": "size > 0"}, mustBeGreaterThan=0),
            custom("average", "soda", "avg(size) between 1 and 3"),
            custom("largest_warns", "soda", "max(size) < 10", severity="warning"),
            {"name": "total", "type": "sql", "query": "select sum(size) from ${table}", "mustBeLessThan": 9.5},
        ],
        quarantine={"max_percent": 40},
    )  # fmt: skip


COLUMNS = "id string, size int, state string, code string, owner string, maybe string, lines array<struct<sku:string>>"
GOOD = [
    ("1", 1, "new", "a", "o1", "a", [("s",)]),
    ("2", 2, "o'ld", "b", "o1", "b", []),
    ("3", None, None, None, None, None, None),
    ("4", 3, "new", "c", "o2", "a", [("s",), ("t",)]),
]
BAD = [
    ("1", -1, "odd", "a", "o1", "x", [("u",)]),
    ("1", 50, "odd", "a", "o9", "-", []),
]
BROKEN = {
    "id_required": "pass",
    "size_range": "fail",  # half of the rows: above 40 %
    "state_accepted_values": "fail",
    "code_unique": "fail",
    "owner_reference": "warn",
    "few_known": "pass",
    "known": "pass",
    "some_valid": "warn",
    "given": "pass",
    "valid": "fail",
    "lines_sku_reference": "warn",
    "primary_key_unique": "fail",
    "enough": "fail",
    "pairs": "pass",
    "states_of_some": "pass",
    "enough_of_some": "pass",
    "average": "fail",
    "largest_warns": "warn",
    "total": "fail",
}


def test_soda_finds_what_the_contract_forbids(spark: Any) -> None:
    of = strict()
    tables = {"shop_owners": "select 'o1' as owner_id union all select 'o2'"}
    tables["shop_skus"] = "select explode(array('s', 't')) as sku"
    for name, query in tables.items():
        spark.sql(query).createOrReplaceTempView(name)
    try:
        for rows, expected in ((GOOD, dict.fromkeys(names(of), "pass")), (BAD, BROKEN)):
            spark.createDataFrame(rows, COLUMNS).createOrReplaceTempView(of.table)
            named = {body["name"]: one for one in checks(of) for body in one.values()}
            assert set(named) == set(names(of))
            found = scan(spark, of.table, named)
            assert {name: measured.outcome for name, measured in found.items()} == expected
    finally:
        for name in (*tables, of.table):
            spark.catalog.dropTempView(name)
