"""What a profile proposes: each rule with its evidence, and only what its contract does not ask for."""

from dataclasses import replace
from pathlib import Path

from lakehouse.contracts.amend import amend
from lakehouse.contracts.document import read
from lakehouse.contracts.loader import load
from lakehouse.contracts.model import Contract
from lakehouse.contracts.personal import Personal
from lakehouse.contracts.proposals import ColumnProfile, Key, Relation, TableProfile, propose_rules
from lakehouse_tests.silver.small import accepted, column, contract, key

ROWS = 155_848


def measured(name: str, kind: str = "string", **more: object) -> ColumnProfile:
    given: dict[str, object] = {"name": name, "type": kind, "rows": ROWS, "nulls": 5, "distinct": 1000, **more}
    return ColumnProfile(**given)  # type: ignore[arg-type]


def table(*columns: ColumnProfile, **more: object) -> TableProfile:
    return TableProfile(table="shop_things", rows=ROWS, sampled=5000, columns=columns, **more)  # type: ignore[arg-type]


THINGS = table(
    measured("id", nulls=0, form=("pattern", "^o[0-9]+$"), unlike=0, shortest=4, longest=9),
    measured("status", nulls=0, counts={"paid": 155_000, "open": 848}, distinct=2, shortest=4, longest=4),
    measured("amount", "decimal(12,2)", smallest="0.00", largest="29.49"),
    measured("delta", "double", smallest="-3.5", largest="4.0"),
    measured("serial_no", form=("pattern", "^[A-Z][0-9]{3}$"), unlike=3, shortest=4, longest=43),
    measured("contact", personal=Personal("e-mail address", "hash", "98% of its values look like one"), longest=40),
    measured("buyer_id", shortest=4, longest=4),
    keys=(Key(("serial_no",)), Key(("id",)), Key(("status", "amount"))),
    relations=(
        Relation("buyer_id", "shop_buyers", "id", 500, 500),
        Relation("serial_no", "shop_parts", "id", 500, 499),
    ),
)


def things(folder: Path, *changed: dict[str, object], **more: object) -> Contract:
    """A contract of those columns that asks for nothing but its key, save where one of them is `changed`."""
    kinds = {"amount": "decimal(12,2)", "delta": "double"}
    plain = [column(c.name, kinds.get(c.name, "string"), description=f"The {c.name}.") for c in THINGS.columns[1:]]
    by_name = {str(item["name"]): item for item in (key(), *plain, *changed)}
    return contract(list(by_name.values()), folder=folder, **more)  # type: ignore[arg-type]


def proposed(profile: TableProfile, of: Contract) -> dict[tuple[str | None, str], tuple[object, str]]:
    found = propose_rules(profile, of, read(of.file).data)
    return {(p.column, p.setting): (p.value, p.evidence) for p in found}


def test_what_an_open_contract_could_ask_for(tmp_path: Path) -> None:
    found = proposed(THINGS, things(tmp_path))
    assert found[("id", "logicalTypeOptions.pattern")] == ("^o[0-9]+$", "holds for all 155,848")
    assert found[("status", "required")] == (True, "0 of 155,848 are null")
    values, evidence = found[("status", "quality")]
    assert isinstance(values, dict)
    assert values["arguments"] == {"validValues": ["open", "paid"]}
    assert evidence == "2 different values in 155,848 records, the rarest 848 times"
    assert found[("amount", "logicalTypeOptions.minimum")][0] == 0
    assert found[("amount", "logicalTypeOptions.maximum")][0] == 1000
    assert found[("delta", "logicalTypeOptions.maximum")][0] == 100
    assert ("delta", "logicalTypeOptions.minimum") not in found, "a limit below zero would be a guess"
    assert ("serial_no", "logicalTypeOptions.pattern") not in found, "three rows are not of that form"
    assert found[("serial_no", "logicalTypeOptions.maxLength")][0] == 90
    assert ("serial_no", "unique") not in found, "it is null somewhere"
    assert found[("contact", "classification")][0] == "hash"
    assert found[("buyer_id", "relationships")][0] == {"type": "foreignKey", "to": "shop_buyers.id"}
    assert ("serial_no", "relationships") not in found
    assert (None, "quality") in found
    assert ("id", "required") not in found
    assert ("id", "unique") not in found


def test_what_a_contract_asks_for_is_not_proposed_again(tmp_path: Path) -> None:
    full = things(
        tmp_path,
        column("status", required=True, quality=[accepted("paid", "open")]),
        column("amount", "decimal(12,2)", logicalTypeOptions={"exclusiveMinimum": -1, "maximum": 50}),
        column("delta", "double", logicalTypeOptions={"maximum": 5}),
        column("serial_no", logicalTypeOptions={"maxLength": 50}),
        column("buyer_id", relationships=[{"to": "shop_other.id"}], logicalTypeOptions={"pattern": "^b"}),
        {**key(), "logicalTypeOptions": {"pattern": "^o"}},
        quality=[{"name": "rows", "metric": "rowCount", "mustBeGreaterThan": 5}],
    )
    assert set(proposed(THINGS, full)) == {("contact", "classification"), ("contact", "logicalTypeOptions.maxLength")}


def test_few_rows_prove_nothing(tmp_path: Path) -> None:
    assert proposed(replace(THINGS, rows=29), things(tmp_path)) == {}


def test_proposals_that_were_added_are_rules_of_the_contract_and_not_proposed_again(tmp_path: Path) -> None:
    of = things(tmp_path)
    found = propose_rules(THINGS, of, read(of.file).data)
    of.file.write_text(amend(of.file.read_text(), found))
    amended = load(of.file)
    assert {"status_required", "status_accepted", "amount_range", "id_pattern"} <= {rule.name for rule in amended.rules}
    assert {"has_rows", "buyer_id_exists"} & {check.name for check in amended.checks} >= {"has_rows"}
    assert [column.name for column in amended.pii_columns] == ["contact"]
    assert propose_rules(THINGS, amended, read(of.file).data) == []
