"""What changed between two versions of a contract."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lakehouse.contracts.changes import Change, basis, compare, is_wider, keeps_values
from lakehouse.contracts.cli import contract as command
from lakehouse.contracts.model import Contract
from lakehouse_tests.silver.small import accepted, column, contract, items, key


def things(*more: dict[str, Any], **own: Any) -> Contract:
    return contract([key(), column("name"), column("size", "int"), *more], **own)


def kinds(old: Contract, new: Contract) -> dict[str, str]:
    return {change.where: change.kind for change in compare(old, new)}


def test_a_contract_has_no_change_from_itself() -> None:
    assert compare(things(), things()) == []


@pytest.mark.parametrize(
    ("old", "new", "where", "kind"),
    [
        (things(column("note")), things(), "note", "breaking"),
        (things(), things(column("note")), "note", "compatible"),
        (things(), things(column("note", required=True)), "note", "forward-only"),
        (things(column("note")), things(column("note", "int")), "note", "breaking"),
        (things(column("note")), things(column("note", required=True)), "note", "forward-only"),
        (things(column("note", required=True)), things(column("note")), "note", "compatible"),
        (things(), things(delivery="append"), "delivery", "breaking"),
        (things(column("n", "int")), things(column("n", "bigint")), "n", "forward-only"),
        (things(column("n", "date")), things(column("n", "timestamp")), "n", "forward-only"),
        (things(column("n", "int", required=True), sequence=["n"]),
         things(column("n", "bigint", required=True), sequence=["n"]), "n", "breaking"),
        (things(items("parts", column("n", "int"))), things(items("parts", column("n", "bigint"))), "parts.n", "breaking"),
        (things(), things(unknown_fields="add"), "unknown_fields", "forward-only"),
        (things(unknown_fields="add"), things(), "unknown_fields", "breaking"),
        (things(), things(history="full"), "history", "breaking"),
        (things(), things(lateness="9d"), "lateness", "forward-only"),
        (things(), things(score={"publish": 0.8}), "score", "compatible"),
        (things(items("parts", column("sku"))), things(items("parts", column("no"))), "parts.sku", "breaking"),
        (things(items("parts", column("sku"), child_table="parts")), things(items("parts", column("sku"))),
         "parts", "breaking"),
        (contract([key()]), contract([key(), key("other", position=2)]), "keys", "breaking"),
    ],
    ids=lambda value: None if isinstance(value, Contract) else value,
)  # fmt: skip
def test_what_a_change_means(old: Contract, new: Contract, where: str, kind: str) -> None:
    assert kinds(old, new)[where] == kind


def test_the_gravest_come_first_and_a_renamed_column_is_one_removed_and_one_added() -> None:
    found = compare(things(column("note")), things(column("remark"), lateness="9d"))
    assert [(change.kind, change.where) for change in found] == [
        ("breaking", "note"),
        ("forward-only", "lateness"),
        ("compatible", "remark"),
    ]


def test_a_rule_that_asks_for_more_is_for_new_batches() -> None:
    loose = things(column("state", quality=[accepted("new", "paid")]))
    tight = things(column("state", quality=[accepted("new")]))
    assert set(kinds(loose, tight).values()) == {"forward-only"}
    assert "forward-only" in kinds(things(column("state")), loose).values()
    assert set(kinds(loose, things(column("state"))).values()) == {"compatible"}


@pytest.mark.parametrize(
    ("old", "new", "wider"),
    [
        ("int", "bigint", True),
        ("bigint", "int", False),
        ("int", "int", False),
        ("decimal(12,2)", "decimal(14,2)", True),
        ("decimal(12,2)", "decimal(14,4)", True),
        ("decimal(12,2)", "decimal(12,4)", False),
        ("float", "double", True),
        ("date", "timestamp", True),
        ("string", "int", False),
    ],
)
def test_which_types_are_wider(old: str, new: str, wider: bool) -> None:
    assert is_wider(old, new) is wider
    assert keeps_values(old, new) is (wider and old != "float"), "0.1 as float is not 0.1 as double"


def test_the_basis_is_what_rows_are_merged_by() -> None:
    assert basis(things()) == basis(things(column("note"), version="2.0.0"))
    assert basis(things()) != basis(things(delivery="append"))


def test_the_command_says_what_is_breaking_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    old, new = things(column("note"), folder=tmp_path), things(version="2.0.0", folder=tmp_path)
    ended = CliRunner().invoke(command, ["diff", str(old.file), str(new.file)])
    assert ended.exit_code == 1
    assert "breaking      note: removed" in ended.output
    assert "1.0.0 to 2.0.0: 1 breaking, 0 forward-only, 0 compatible." in ended.output
    assert "lakehouse rebuild shop_things" in ended.output
    same = CliRunner().invoke(command, ["diff", str(old.file), str(old.file)])
    assert (same.exit_code, same.output) == (0, "No change.\n")
    silent = CliRunner().invoke(command, ["diff", str(old.file), str(things(folder=tmp_path / "other").file)])
    assert silent.exit_code == 1
    assert "The version is 1.0.0 in both" in silent.output


def test_texts_are_compatible() -> None:
    old = things()
    assert compare(old, replace(old, owner="other@example.com")) == [
        Change("compatible", "owner", "the owner was tests@example.com, is other@example.com")
    ]
