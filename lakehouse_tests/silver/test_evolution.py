"""Records, table and contract that do not agree on the columns: each case has a clear verdict."""

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lakehouse.contracts.changes import compare, rows_digest
from lakehouse.contracts.model import Contract
from lakehouse.settings import settings
from lakehouse.silver import evolution, refine, state
from lakehouse.silver.evolution import (
    BasisError,
    FormatChangedError,
    LostColumnsError,
    LostViewsError,
    OriginChangedError,
    added_columns,
    check_unknown,
    evolved,
    refuse_changes,
    to_add,
)
from lakehouse.silver.refine import BatchBlockedError
from lakehouse.storage.tables import TableShapeError
from lakehouse_tests.silver.small import accepted, column, contract, items, key
from lakehouse_tests.silver.test_refine import Shop

_names = (f"evolved{number}" for number in itertools.count())
DAY = "2025-03-05"


def things(*columns: dict[str, Any], **own: Any) -> Contract:
    return contract(
        [key(), column("at", "timestamp", required=True), *columns],
        **{"sequence": ["at"], "quarantine": {"max_percent": 50}} | own,
    )


def thing(number: int, hour: int, **more: Any) -> dict[str, Any]:
    return {"id": str(number), "at": f"2025-03-01T{hour:02}:00:00Z"} | more


# --- without Spark -------------------------------------------------------------------------------------------------


def test_unknown_fields_become_columns_under_names_of_their_own() -> None:
    of = things(column("size"), unknown_fields="add")
    fields = dict.fromkeys(["colour", "Size", "unitPrice", "unit price", "???", "valid_from"], "a")
    assert to_add(of, fields) == {"colour": "colour", "unit_price": "unitPrice"}
    wider = evolved(of, {"colour": "colour"})
    assert wider.column_names == ("id", "at", "size", "colour")
    assert added_columns(wider) == {"colour": "colour"}
    assert rows_digest(wider) == rows_digest(of), "the contract is what it was"
    assert to_add(wider, {"colour": "b"}) == {}
    assert len(to_add(of, dict.fromkeys((f"f{n}" for n in range(300)), "a"))) == evolution.ADDED_AT_MOST
    assert evolved(of, {"colour": "size"}).column_names == of.column_names, "the contract reads that field by now"


def test_what_is_said_of_unknown_fields_can_be_pasted() -> None:
    of = replace(things(unknown_fields="add"), file=Path("shop_things.yaml"))
    assert check_unknown(of, {}, 1).outcome == "pass"
    said = check_unknown(evolved(of, {"unit_price": "unitPrice"}), {"???": "f.json"}, 1)
    assert (said.outcome, said.value) == ("warn", 2)
    assert "properties` in shop_things.yaml" in said.description
    lines = "\n      - name: unit_price\n        logicalType: string\n        physicalName: 'unitPrice'"
    assert said.description.endswith(lines)
    assert "`???` (first in f.json). They stay in `_rescued`." in said.description
    held = check_unknown(replace(of, unknown_fields="fail"), {"colour": "f.json"}, 1)
    assert held.outcome == "fail"
    assert "`colour` (first in f.json)" in held.sentence
    assert "unknown_fields: rescue" in held.sentence
    assert "such a batch pass, or add to `properties` in shop_things.yaml" in held.sentence
    taken = {"Id": "f.json", "Valid-From": "f.json", "???": "f.json"}  # each would be declared twice, or has no name
    held = check_unknown(replace(of, unknown_fields="fail"), taken, 1)
    assert held.description.endswith("`add` to let such a batch pass.") and "- name:" not in held.description


def test_a_field_that_is_called_as_an_address_is_no_column_and_is_told_without_its_name() -> None:
    """A header line was lost, or a map has addresses for its keys."""
    of = replace(things(unknown_fields="add"), file=Path("shop_things.yaml"))
    fields = {"@type": "f.json", "colour": "f.json", "jane@example.com": "g.json", "+49 170 1234567": "g.json"}
    assert to_add(of, fields) == {"colour": "colour", "type": "@type"}
    for how in ("add", "fail"):
        said = check_unknown(replace(of, unknown_fields=how), fields, 1)
        assert said.value == 4
        assert "`•••` (first in g.json)" in said.sentence
        assert "jane" not in said.sentence and "1234567" not in said.sentence


def test_a_column_that_is_gone_is_told_from_one_that_is_called_otherwise() -> None:
    old = things(column("note"), column("size", "int"))
    last = {"columns": evolution.declared(old), "format": "json"}
    refuse_changes(old, last)
    refuse_changes(things(column("note"), column("size", "int"), column("more")), last)
    refuse_changes(things(), {"batch": 1})  # a note from before columns were noted
    with pytest.raises(LostColumnsError, match=r"`note` \(string\)\..*lakehouse rebuild shop_things"):
        refuse_changes(things(column("size", "int")), last)
    with pytest.raises(LostColumnsError, match=r"`note` \(string\), which is called `remark` now; `size` \(int\)\."):
        refuse_changes(things(column("remark", physicalName="note")), last)
    with pytest.raises(FormatChangedError, match=r"are json, and its contract 1\.0\.0 says csv"):
        refuse_changes(things(column("note"), column("size", "int"), format="csv"), last)


def captured(database: str = "shop", **own: Any) -> Contract:
    place = {"server": "shop_db", "type": "postgresql", "host": "h", "port": 5432, "database": database, "schema": "s"}
    return contract([key()], delivery="changes", sequence=["source.commit_lsn"], servers=[place], **own)


def parts(child_table: str | None) -> Contract:
    return things(items("parts", column("sku"), child_table=child_table))


LARGE = {"colour": "Colour"}
BREAKING: dict[str, tuple[Contract, Contract, type[Exception], str]] = {
    # what diff calls it: (before, after, what refuses it, what it says)
    "keys": (things(), contract([key(), column("at", "timestamp", required=True, primaryKey=True, primaryKeyPosition=2)],
                                sequence=["at"]), BasisError, r"keys was \['id'\], is \['id', 'at'\]"),
    "delivery": (things(), things(delivery="append"), BasisError, "delivery was versions, is append"),
    "sequence": (things(), things(sequence=[]), BasisError, r"sequence was \['at'\], is \[\]"),
    "history": (things(), things(history="full"), BasisError, "history was current, is full"),
    "delete_when": (things(), things(delete_when="id = '0'"), BasisError, "delete_when was not given, is id = '0'"),
    "tracked_columns": (things(column("size"), history="full", tracked_columns=["size"]),
                        things(column("size"), history="full"), BasisError, "tracked_columns was"),
    "ignore_nulls": (things(ignore_nulls=True), things(), BasisError, "ignore_nulls was all, is not given"),
    "partial_rows": (captured(), captured(partial_rows=True), BasisError, "partial_rows was not given, is True"),
    "format": (things(), things(format="csv"), FormatChangedError, "are json"),
    "note": (things(column("note")), things(), LostColumnsError, r"`note` \(string\)\."),
    "servers": (captured(), captured("other"), OriginChangedError,
                r"from shop_db/shop/s\.things, .* says shop_db/other/s\.things.*lakehouse rebuild shop_things"),
    "unknown_fields": (evolved(things(unknown_fields="add"), LARGE), things(), LostColumnsError,
                       r"`colour` \(string, added by `unknown_fields: add`\)\..*lakehouse rebuild shop_things"),
    "parts": (parts("parts"), parts(None), LostViewsError,
              r"`silver\.shop_parts` \(the elements of `parts`\)\..*lakehouse rebuild shop_things"),
}  # fmt: skip


@pytest.mark.parametrize("where", BREAKING)
def test_what_diff_calls_breaking_is_refused(where: str) -> None:
    """Less what a column's type tells, which the table itself is compared with."""
    old, new, error, said = BREAKING[where]
    assert ("breaking", where) in {(change.kind, change.where) for change in compare(old, new)}
    last = json.loads(json.dumps(evolution.remembered(old)))
    refuse_changes(old, last)
    with pytest.raises(error, match=said):
        refuse_changes(new, last)


def test_what_is_called_otherwise_is_lost_and_what_was_added_may_be_declared() -> None:
    last = evolution.remembered(evolved(things(unknown_fields="add"), LARGE))
    refuse_changes(things(column("colour", physicalName="Colour")), last)
    with pytest.raises(LostColumnsError, match=r"`unknown_fields: add`\), which is called `tint` now"):
        refuse_changes(things(column("tint", physicalName="Colour"), unknown_fields="add"), last)
    refuse_changes(things(), evolution.remembered(things(unknown_fields="add")))
    with pytest.raises(LostViewsError, match=r"`parts`\), which is `silver\.shop_pieces` now"):
        refuse_changes(parts("pieces"), evolution.remembered(parts("parts")))
    # A table whose files came another way until now.
    refuse_changes(captured(), evolution.remembered(replace(captured(), origin=None)))


# --- with it -------------------------------------------------------------------------------------------------------


def test_added_fields_are_columns_of_the_table_and_a_rebuild_gives_the_same(spark: Any, tmp_path: Path) -> None:
    of = contract([key(), column("name")], name=next(_names), history="full", unknown_fields="add", ignore_nulls=True)
    shop = Shop(spark, tmp_path, of)
    columns = ("id", "name", "valid_from", "valid_to")
    first = [{"id": "1", "name": "x"}, {"id": "2", "name": "y", "colour": "red"}]
    assert shop.take("2025-03-05", "a", first) == {"applied": 2}
    assert shop.seen("id", "colour", "_rescued") == [("1", None, None), ("2", "red", None)]
    assert refine.refine(spark, settings().storage_dir, of, "run", frozenset()) is None
    assert "colour" in spark.table(of.silver_table).columns, "a look that finds nothing leaves the view alone"

    second = [{"id": "1", "name": "x"}, {"id": "2", "name": "y", "colour": "blue"}, {"id": "3", "unitPrice": 1.5}]
    shop.ingest("2025-03-06", "b", second)
    done = shop.refine()
    assert done is not None
    assert {name: count for name, count in done.counts.items() if count} == {"applied": 2, "noop": 1}
    (said,) = (check for check in done.checks if check.name == "unknown_fields")
    assert (said.outcome, said.value) == ("warn", 2)
    assert "- name: unit_price" in said.description
    seen = shop.seen(*columns, "colour", "unit_price")
    assert [(row[0], row[4], row[5], row[3] is None) for row in seen] == [
        ("1", None, None, True), ("2", "red", None, False), ("2", "blue", None, True), ("3", None, "1.5", True),
    ]  # fmt: skip
    assert not refine.is_outdated(spark, of)
    assert shop.refine(full_refresh=True) is not None
    assert shop.seen(*columns, "colour", "unit_price") == seen
    assert evolution.ensure_views(spark, settings().storage_dir, of)
    assert shop.seen(*columns, "colour", "unit_price") == seen

    # Declared at last, as it was added: nothing changes.
    declared = [key(), column("name"), column("colour")]
    shop.of = contract(declared, name=of.name, history="full", unknown_fields="add", ignore_nulls=True)
    assert shop.take("2025-03-07", "c", [{"id": "1", "name": "x", "colour": "green"}]) == {"applied": 1}
    assert [row[4] for row in shop.seen(*columns, "colour", "unit_price") if row[0] == "1"] == [None, "green"]

    # What was added does not go unasked, not even where nothing has come.
    shop.of = contract(declared, name=of.name, history="full", ignore_nulls=True)
    with pytest.raises(LostColumnsError, match="`unit_price`"):
        shop.refine()
    assert "unit_price" in spark.table(of.silver_table).columns


def test_a_batch_with_unknown_fields_is_held_back_where_the_contract_says_so(spark: Any, tmp_path: Path) -> None:
    of = things(column("kind", quality=[accepted("a", "b")]), name=next(_names), unknown_fields="fail")
    shop = Shop(spark, tmp_path, of)
    # What is refused anyway holds nobody up.
    assert shop.take(DAY, "a", [thing(1, 1, kind="a"), thing(2, 1, kind="odd", colour="red")]) == {
        "applied": 1, "quarantined": 1,
    }  # fmt: skip
    shop.ingest(DAY, "b", [thing(3, 2, kind="b", colour="red"), thing(4, 2)])
    with pytest.raises(
        BatchBlockedError, match=r"(?s)`colour` \(first in shop/evolved\d+/2025-03-05/b\).*- name: colour"
    ):
        shop.refine()
    assert len(shop.seen("id")) == 1
    shop.of = replace(of, unknown_fields="rescue")
    assert shop.refine() is not None
    assert shop.seen("id", "_rescued") == [("1", None), ("3", '{"colour":"red"}'), ("4", None)]


def test_types_are_widened_in_one_commit_and_for_others_and_other_names_a_rebuild_is_the_migration(
    spark: Any, tmp_path: Path
) -> None:
    name = next(_names)
    narrow = [column("size", "int"), column("price", "decimal(6,2)"), column("on", "date")]
    wide = [column("size", "bigint"), column("price", "decimal(12,4)"), column("on", "date")]
    shop = Shop(spark, tmp_path, things(*narrow, column("note"), column("gone"), name=name))
    shop.take(DAY, "a", [thing(1, 1, size=1, price="1.50", on="2025-01-01", note="x", gone="y")])
    version = refine.ledger.last_note(spark, shop.of)
    shop.of = things(*wide, column("note"), column("gone"), name=name)
    assert shop.take(DAY, "b", [thing(2, 2, size=2**40, price="123456.7891")]) == {"applied": 1}
    assert [(key, size, str(price)) for key, size, price in shop.seen("id", "size", "price")] == [
        ("1", 1, "1.5000"), ("2", 2**40, "123456.7891"),
    ]  # fmt: skip
    assert version is not None
    pinned = state.visible_rows(shop.of, version[0])
    assert [row["size"] for row in spark.sql(pinned).collect()] == [1], "older versions stay readable"

    shop.of = things(*wide, column("remark", physicalName="note"), name=name)
    shop.ingest(DAY, "c", [thing(3, 3, note="z")])
    with pytest.raises(LostColumnsError, match=r"`note` \(string\), which is called `remark` now; `gone`"):
        shop.refine()
    assert shop.seen("id", "note") == [("1", "x"), ("2", None)]
    done = shop.refine(full_refresh=True)
    assert done is not None
    assert done.counts["applied"] == 3
    assert shop.seen("id", "size", "remark", "_rescued") == [
        ("1", 1, "x", '{"gone":"y"}'), ("2", 2**40, None, None), ("3", None, "z", None),
    ]  # fmt: skip
    assert not {"note", "gone"} & set(spark.table(shop.of.state_table).columns)
    assert shop.take(DAY, "d", [thing(4, 4, note="w")]) == {"applied": 1}

    more = [*wide[1:], column("remark", physicalName="note")]
    for narrower in (column("size", "int"), column("size", "string")):
        shop.of = things(narrower, *more, name=name)
        with pytest.raises(
            TableShapeError, match=rf"size is bigint, expected {narrower['physicalType']}.*lakehouse rebuild"
        ):
            shop.refine()
    shop.of = contract([key(), column("at", "date", required=True), wide[0], *more], name=name, sequence=["at"])
    with pytest.raises(TableShapeError, match="at is timestamp, expected date"):
        shop.refine()
