"""What a whole table tells about itself, as plain data, and the rules that its contract could have because of it.

Each proposal carries its evidence. Nothing here holds a value of a column that is, or seems to be, personal data.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lakehouse.contracts import spark_sql
from lakehouse.contracts.inference import ENOUGH, accepted, enumerated, is_code, limits
from lakehouse.contracts.model import Contract
from lakehouse.contracts.personal import Personal
from lakehouse.contracts.values import entries, mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnProfile:
    """What a column holds. Values are text, as Spark writes them; all of them are empty for personal data."""

    name: str
    type: str
    rows: int
    nulls: int
    distinct: int | None = None
    """Approximate (1 to 2 %), exact where `counts` is; None for arrays, maps and structs."""
    blanks: int = 0
    """Texts of blanks alone, and numbers that are none (NaN)."""
    smallest: str | None = None
    largest: str | None = None
    mean: float | None = None
    quantiles: tuple[str, ...] = ()
    """Of numbers and times: at 5, 25, 50, 75 and 95 %; approximate."""
    shortest: int | None = None
    longest: int | None = None
    """Characters of text, elements of arrays and maps."""
    top: tuple[tuple[str, int], ...] = ()
    """The most frequent values, and in how many rows."""
    top_of: int = 0
    """The rows that they were counted in: all, or those of the sample."""
    counts: Mapping[str, int] | None = None
    """All values, each with its rows; None where they are too many."""
    shapes: tuple[tuple[str, float], ...] = ()
    """Forms of text (`A999-9999`), the most frequent ones, each with its share of the sample."""
    is_classified: bool = False
    """Whether the contract calls it personal data."""
    personal: Personal | None = None
    """What personal data it seems to be."""
    form: tuple[str, str] | None = None
    """What all sampled texts are like: ("format", "email"), or ("pattern", a regular expression)."""
    unlike: int | None = None
    """Rows whose value is not of that form, counted exactly."""
    really: str | None = None
    """Of text: the type that all sampled values are written like, where that is another."""


@dataclass(frozen=True, slots=True)
class Key:
    """Columns of which no two rows have the same values, counted exactly."""

    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Relation:
    """A column whose values are found among those of a key column of another table."""

    column: str
    table: str
    to: str
    sampled: int
    """Different values that were looked for."""
    found: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TableProfile:
    table: str
    rows: int
    sampled: int
    """Rows that patterns, most frequent values and guesses about people rest on."""
    columns: tuple[ColumnProfile, ...]
    keys: tuple[Key, ...] = ()
    relations: tuple[Relation, ...] = ()
    seconds: float = 0


@dataclass(frozen=True, slots=True)
class Proposal:
    """One thing that a contract could say."""

    column: str | None
    """None: of the table."""
    setting: str
    """`required`, `unique`, `logicalTypeOptions.<option>`, `quality`, `relationships`, or `classification`."""
    value: Any
    evidence: str

    @property
    def text(self) -> str:
        """As it would stand in the contract, on one line."""
        key, _, option = self.setting.partition(".")
        if key == "classification":
            return f"classification: pii, with the mask {self.value}"
        value = json.dumps(self.value, ensure_ascii=False)
        return f"{key}: {{{option}: {value}}}" if option else f"{key}: {value}"


def propose_rules(profile: TableProfile, contract: Contract, data: Mapping[str, Any]) -> list[Proposal]:
    """The rules that the profiled table keeps and its contract (`data`: its YAML) does not ask for, in order of columns.

    Rules about values take room beyond what was seen. Fewer rows than 30 prove nothing: none are proposed.
    """
    if profile.rows < ENOUGH:
        return []
    table = next((item for _, item in entries(dict(data), "schema")), {})
    declared = {str(item.get("name")): item for _, item in entries(table, "properties")}
    unique = {key.columns[0] for key in profile.keys if len(key.columns) == 1}
    found: list[Proposal] = []
    for column in profile.columns:
        if column.name in declared and column.nulls < column.rows:
            found += _of_column(column, declared[column.name], contract, column.name in unique)
    found += _relations(profile.relations, declared, table)
    order = {column.name: place for place, column in enumerate(profile.columns)}
    found.sort(key=lambda proposal: order[proposal.column or ""])
    if not any(check.kind == "row_count" for check in contract.checks):
        entry = {"name": "has_rows", "type": "library", "metric": "rowCount", "mustBeGreaterThan": 0}
        found.append(Proposal(None, "quality", entry, f"{profile.rows:,} rows; an empty batch would pass unseen"))
    return found


def _of_column(
    column: ColumnProfile, declared: Mapping[str, Any], contract: Contract, is_unique: bool
) -> Iterator[Proposal]:
    name, kind = column.name, contract.column(column.name)
    if column.nulls == 0 and not kind.required and name not in contract.filled:
        yield Proposal(name, "required", True, f"0 of {column.rows:,} are null")
    is_identity = is_code(name) or (column.personal is not None and column.personal.kind == "e-mail address")
    if is_unique and is_identity and not kind.unique and contract.keys != (name,) and column.nulls == 0:
        yield Proposal(name, "unique", True, f"{column.rows:,} different values in {column.rows:,} rows")
    if column.personal and kind.classification != "pii":
        evidence = f"looks like {column.personal.kind}, {column.personal.why}; the contract does not mask it"
        yield Proposal(name, "classification", column.personal.mask, evidence)
    if spark_sql.is_number(kind.type):
        yield from _range(column, declared)
    elif kind.type == "string":
        yield from _text(column, declared)


def _range(column: ColumnProfile, declared: Mapping[str, Any]) -> Iterator[Proposal]:
    if is_code(column.name) or column.personal or column.smallest is None or column.largest is None:
        return
    options = mapping(dict(declared), "logicalTypeOptions")
    seen = f"{column.smallest} to {column.largest} in {column.rows - column.nulls:,} rows"
    for side, value in limits(float(column.smallest), float(column.largest)).items():
        exclusive = f"exclusive{side.capitalize()}"
        if side not in options and exclusive not in options:
            room = "" if side == "minimum" else "; ten times the largest, rounded up"
            yield Proposal(column.name, f"logicalTypeOptions.{side}", value, seen + room)


def _text(column: ColumnProfile, declared: Mapping[str, Any]) -> Iterator[Proposal]:
    options = mapping(dict(declared), "logicalTypeOptions")
    arguments = [mapping(entry, "arguments") for _, entry in entries(dict(declared), "quality")]
    has_values = any({"validValues", "pattern"} & set(given) for given in arguments)
    if has_values or "pattern" in options or "format" in options:
        return
    filled = column.rows - column.nulls
    if column.counts and not column.personal and (values := accepted(column.counts)):
        entry = {
            "name": f"{column.name}_accepted",
            "type": "library",
            "metric": "invalidValues",
            "arguments": {"validValues": values},
            "mustBe": 0,
        }
        yield Proposal(column.name, "quality", entry, enumerated(column.counts))
    elif column.form and column.unlike == 0 and filled >= ENOUGH:
        yield Proposal(column.name, f"logicalTypeOptions.{column.form[0]}", column.form[1], f"holds for all {filled:,}")
    elif column.longest and "maxLength" not in options:
        span = f"{column.shortest} to " if column.shortest != column.longest else ""
        seen = f"{span}{column.longest} characters in {filled:,} rows"
        yield Proposal(
            column.name, "logicalTypeOptions.maxLength", _roomy(column.longest), f"{seen}; twice as many fit"
        )


def _roomy(longest: int) -> int:
    """Twice as much, in whole tens."""
    return -(-longest * 2 // 10) * 10


def _relations(
    relations: Sequence[Relation], declared: Mapping[str, Mapping[str, Any]], table: Mapping[str, Any]
) -> Iterator[Proposal]:
    known = {str(entry.get("from")) for _, entry in entries(dict(table), "relationships")}
    for relation in relations:
        has_one = any(relation.column in word for word in known) or entries(
            dict(declared.get(relation.column, {})), "relationships"
        )
        if relation.found == relation.sampled and relation.column in declared and not has_one:
            evidence = f"all {relation.sampled:,} sampled values are there"
            entry = {"type": "foreignKey", "to": f"{relation.table}.{relation.to}"}
            yield Proposal(relation.column, "relationships", entry, evidence)
