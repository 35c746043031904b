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
    of = things(deleteWhen="op = 'D'", truncateWhen="op = 'T'", ignoreNulls=["size"])
    assert (of.delete_when, of.truncate_when, of.null_keeps, of.filled) == (
        "op = 'D'",
        "op = 'T'",
        ("size",),
        ("size",),
    )
    assert of.keeps_events
    assert things(ignoreNulls=True).null_keeps == ("name", "size", "op")
    assert things(ignoreNulls=False).filled == ()
    partial = things(partialRows=True, **CHANGES)
    assert (partial.filled, partial.null_keeps) == (("name", "size", "op"), ())
    assert things(history="full", trackedColumns=["size"]).tracked == ("size",)
    assert things(history="full", untrackedColumns=["size"]).tracked == ("name", "op")


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"deleteWhen": "opp = 'D'"}, "`opp` is no column of this table. Perhaps"),
        ({"deleteWhen": "count(*) > 1"}, "`deleteWhen` sees one row, and `COUNT(*)` needs more"),
        ({"deleteWhen": True}, "`deleteWhen` cannot be `True`"),
        ({"deleteWhen": "op ="}, "this is not Spark SQL"),
        ({"truncateWhen": "op = 'T'", "delivery": "snapshot"}, "`truncateWhen` has no meaning for delivery snapshot"),
        ({"deleteWhen": "op = 'D'", "delivery": "append"}, "`deleteWhen` has no meaning for delivery append"),
        ({"partialRows": True}, "`partialRows` has no meaning for delivery versions"),
        ({"partialRows": "yes"} | CHANGES, "`partialRows` cannot be `yes`"),
        ({"ignoreNulls": "size"}, "`ignoreNulls` cannot be `size`"),
        ({"ignoreNulls": ["sice"]}, "`sice` is no column of this table. Perhaps"),
        ({"ignoreNulls": ["id"]}, "`id` is of the key"),
        ({"ignoreNulls": ["size", "size"]}, "`size` is listed twice"),
        ({"ignoreNulls": []}, "`ignoreNulls` cannot be `[]`"),
        ({"trackedColumns": ["size"]}, "`trackedColumns` says which changes make a version, and there are none"),
        ({"trackedColumns": ["size"], "untrackedColumns": ["name"], "history": "full"}, "are both listed"),
        ({"untrackedColumns": ["name", "size", "op"], "history": "full"}, "no column is left to be tracked"),
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
        {"deleteWhen": "op = 'D'"},
        {"truncateWhen": "op = 'T'"},
        {"ignoreNulls": True},
        {"ignoreNulls": ["name"]},
        {"trackedColumns": ["name"], "history": "full"},
        {"untrackedColumns": ["name"], "history": "full"},
        {"partialRows": True} | CHANGES,
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
