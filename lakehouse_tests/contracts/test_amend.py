"""A contract that gets rules: what was there stays to the byte, what is new says why."""

import difflib
from pathlib import Path

import pytest

from lakehouse.contracts.amend import amend
from lakehouse.contracts.loader import SAMPLE, load
from lakehouse.contracts.profile import propose
from lakehouse.contracts.proposals import Proposal

RULE = {
    "name": "added",
    "type": "library",
    "metric": "invalidValues",
    "arguments": {"validValues": ["1", "no"]},
    "mustBe": 0,
}


def changes(before: str, after: str) -> tuple[list[str], list[str]]:
    """Lines that are gone, and lines that are new."""
    found = [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] in "+-"]
    return [line[2:] for line in found if line[0] == "-"], [line[2:] for line in found if line[0] == "+"]


def every_kind(names: list[str], optional: list[str]) -> list[Proposal]:
    """All that can be proposed, for columns of text."""
    return [
        *(Proposal(name, "required", True, "0 of 99 are null") for name in optional),
        *(Proposal(name, "logicalTypeOptions.maxLength", 10_000, "1 to 9\ncharacters") for name in names),
        *(Proposal(name, "logicalTypeOptions.minLength", 1, "1 to 9 characters") for name in names),
        *(Proposal(name, "quality", {**RULE, "name": f"{name}_added"}, "2 different values") for name in names),
        Proposal(None, "quality", {"name": "added_rows", "metric": "rowCount", "mustBeGreaterThan": 0}, "99 rows"),
    ]


@pytest.mark.parametrize("path", sorted(SAMPLE.glob("*.yaml")), ids=lambda path: path.stem)
def test_nothing_else_changes(path: Path, tmp_path: Path) -> None:
    before = path.read_text()
    assert amend(before, []) == before
    contract = load(path)
    texts = [column.name for column in contract.columns if column.type == "string"]
    proposals = every_kind(texts, [name for name in texts if not contract.column(name).required])
    after = amend(before, proposals)
    target = tmp_path / path.name
    target.write_text(after)
    amended = load(target)
    assert {f"{name}_added" for name in texts} <= {rule.name for rule in amended.rules}
    assert all(amended.column(name).required for name in texts)
    gone, new = changes(before, after)
    assert all("logicalTypeOptions: {" in line for line in gone), "only options in one line with others are rewritten"
    for key in ("required", "logicalTypeOptions", "- name"):
        assert all("# review: " in line for line in new if line.strip().startswith(key)), key
    assert "9 characters" in after, "evidence stays on its line"


def test_other_layouts_are_kept(tmp_path: Path) -> None:
    """What `contract new` writes, and lists that are not indented."""
    file = tmp_path / "people.csv"
    file.write_text("id,full name,n\n" + "".join(f"k{i},Jane Doe,{i}\n" for i in range(40)))
    proposed = propose(file)
    for before in (proposed, "\n".join(_dedented(proposed)) + "\n# the end\n"):
        after = amend(before, [Proposal("n", "unique", True, "40 different values"), *every_kind(["id"], [])[:2]])
        gone, new = changes(before, after)
        assert all("logicalTypeOptions" in line for line in gone)
        assert len(new) == 1 + len(gone)
        target = tmp_path / "people.yaml"
        target.write_text(after)
        assert any(check.name == "n_unique" for check in load(target).checks)


def test_what_is_said_already_stays_said(tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("id,n\n" + "".join(f"k{i},{i}\n" for i in range(40)))
    before = propose(file)
    assert "classification: internal\n        # review: values seen: 0 to 39\n" in before
    twice = [
        Proposal("n", "classification", "redact", "looks like it"),
        Proposal("n", "logicalTypeOptions.minimum", -1, "0 to 39 in 40 rows"),
        Proposal("n", "logicalTypeOptions.maximum", 50, "0 to 39 in 40 rows; room"),
        Proposal("n", "required", True, "0 of 40 are null"),
    ]
    after = amend(
        before.replace("        required: true\n        logical", "        required: true # said\n        logical"),
        twice,
    )
    assert "classification: pii # review: looks like it\n        # review: values seen: 0 to 39\n" in after
    assert "{minimum: -1, maximum: 50} # review: 0 to 39 in 40 rows; room\n" in after
    assert "required: true # said; review: 0 of 40 are null\n" in after


def _dedented(text: str) -> list[str]:
    """The columns, as people write them who do not indent lists."""
    lines = text.splitlines()
    start = lines.index("    properties:") + 1
    end = next(i for i in range(start, len(lines)) if lines[i].startswith("    quality"))
    return [*lines[:start], *(line[2:] for line in lines[start:end]), *lines[end:]]


def test_personal_data_gets_a_mask(tmp_path: Path) -> None:
    before = (SAMPLE / "shopify_orders.yaml").read_text()
    target = tmp_path / "orders.yaml"
    target.write_text(amend(before, [Proposal("store_id", "classification", "hash", "looks like a card number")]))
    column = load(target).column("store_id")
    assert (column.classification, column.mask) == ("pii", "hash")
    gone, new = changes(before, target.read_text())
    assert [line.strip() for line in gone] == ["classification: internal"]
    assert new[0].strip() == "customProperties:" or "# review: looks like a card number" in "".join(new)
