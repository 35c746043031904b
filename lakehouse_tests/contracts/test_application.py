"""What a contract says of how changes are applied, and what is said where it cannot be."""

from typing import Any

import pytest

from lakehouse.contracts.changes import basis, compare, rows_digest
from lakehouse.contracts.loader import ContractError
from lakehouse.contracts.model import Contract
from lakehouse_tests.silver.small import column, contract, key

CHANGES = {"delivery": "changes", "sequence": ["source.lsn"]}


def things(**own: Any) -> Contract:
    return contract([key(), column("name"), column("size", "int"), column("op")], **own)


def test_nothing_said_is_whole_rows_of_which_every_column_counts() -> None:
    plain = things()
    assert (plain.delete_when, plain.truncate_when, plain.tracked, plain.filled) == (None, None, (), ())
    assert not plain.keeps_events
    assert set(basis(plain)) == {"keys", "delivery", "sequence", "history"}, "what was committed before still holds"


def test_every_option_is_read() -> None:
    of = things(delete_when="op = 'D'", truncate_when="op = 'T'", ignore_nulls=["size"])
    assert (of.delete_when, of.truncate_when, of.null_keeps, of.filled) == (
        "op = 'D'",
        "op = 'T'",
        ("size",),
        ("size",),
    )
    assert of.keeps_events
    assert things(ignore_nulls=True).null_keeps == ("name", "size", "op")
    assert things(ignore_nulls=False).filled == ()
    partial = things(partial_rows=True, **CHANGES)
    assert (partial.filled, partial.null_keeps) == (("name", "size", "op"), ())
    assert things(history="full", tracked_columns=["size"]).tracked == ("size",)
    assert things(history="full", untracked_columns=["size"]).tracked == ("name", "op")


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"delete_when": "opp = 'D'"}, "`opp` is no column of this table. Perhaps"),
        ({"delete_when": "count(*) > 1"}, "`delete_when` sees one row, and `COUNT(*)` needs more"),
        ({"delete_when": True}, "`delete_when` cannot be `True`"),
        ({"delete_when": "op ="}, "this is not Spark SQL"),
        ({"truncate_when": "op = 'T'", "delivery": "snapshot"}, "`truncate_when` has no meaning for delivery snapshot"),
        ({"delete_when": "op = 'D'", "delivery": "append"}, "`delete_when` has no meaning for delivery append"),
        ({"partial_rows": True}, "`partial_rows` has no meaning for delivery versions"),
        ({"partial_rows": "yes"} | CHANGES, "`partial_rows` cannot be `yes`"),
        ({"ignore_nulls": "size"}, "`ignore_nulls` cannot be `size`"),
        ({"ignore_nulls": ["sice"]}, "`sice` is no column of this table. Perhaps"),
        ({"ignore_nulls": ["id"]}, "`id` is of the key"),
        ({"ignore_nulls": ["size", "size"]}, "`size` is listed twice"),
        ({"ignore_nulls": []}, "`ignore_nulls` cannot be `[]`"),
        ({"tracked_columns": ["size"]}, "`tracked_columns` says which changes make a version, and there are none"),
        ({"tracked_columns": ["size"], "untracked_columns": ["name"], "history": "full"}, "are both listed"),
        ({"untracked_columns": ["name", "size", "op"], "history": "full"}, "no column is left to be tracked"),
        ({"ignoreNull": True}, "`ignoreNull` is unknown to lakehouse. Perhaps"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else None,
)
def test_what_cannot_be_is_told_with_its_line_and_a_remedy(own: dict[str, Any], message: str) -> None:
    with pytest.raises(ContractError) as error:
        things(**own)
    found = [problem for problem in error.value.problems if message.replace(". Perhaps", "") in problem.message]
    assert found, str(error.value)
    assert all(problem.line > 1 and problem.remedy for problem in found)
    assert "Perhaps" not in message or "Perhaps" in found[0].remedy


@pytest.mark.parametrize(
    "own",
    [
        {"delete_when": "op = 'D'"},
        {"truncate_when": "op = 'T'"},
        {"ignore_nulls": True},
        {"ignore_nulls": ["name"]},
        {"tracked_columns": ["name"], "history": "full"},
        {"untracked_columns": ["name"], "history": "full"},
        {"partial_rows": True} | CHANGES,
    ],
    ids=" ".join,
)
def test_rows_made_by_another_option_are_not_merged_with(own: dict[str, Any]) -> None:
    option = next(iter(own))
    without = {name: value for name, value in own.items() if name != option}
    old, new = things(**without), things(**own)
    assert basis(old) != basis(new)
    assert rows_digest(old) != rows_digest(new)
    assert {change.where: change.kind for change in compare(old, new)} == {option: "breaking"}
