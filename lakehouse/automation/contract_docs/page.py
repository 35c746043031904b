"""A contract as HTML: what the table is, its columns, what is asked of it, and what each version changed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lakehouse.automation.contract_docs.diagram import Relation, draw
from lakehouse.automation.report import text
from lakehouse.contracts.changes import KINDS
from lakehouse.contracts.model import Column, Contract
from lakehouse.quality.audit import ALL_DIMENSIONS, check_names

DIMENSIONS = ("completeness", "uniqueness", "validity", "accuracy", "consistency", "timeliness")
DELIVERIES = {
    "versions": "each record is a newer version of its row",
    "changes": "change events, as Debezium writes them",
    "snapshot": "each arrival day brings the whole table",
    "append": "events that never change",
}
REWRITTEN = {
    "ignore": "a file that is rewritten after it was taken is ignored, with a warning",
    "re-ingest": "a file that is rewritten after it was taken is taken again, in place of its records",
    "fail": "a file that is rewritten after it was taken fails the run",
}
UNKNOWN = {
    "rescue": "fields that the contract does not know are kept as JSON in _rescued",
    "add": "a field that the contract does not know becomes a column of text",
    "fail": "a batch with fields that the contract does not know is held back",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table of columns: a column, or a field `depth` levels inside one."""

    column: Column
    depth: int
    rules: tuple[str, ...]


def render(contracts: Mapping[str, Contract]) -> dict[str, str]:
    """File name → HTML: `index.html`, and `<table>.html` for each. Every value is escaped."""
    environment = _environment()
    made = {
        "index.html": environment.get_template("contracts_index.html").render(
            contracts=list(contracts.values()), drawing=draw(contracts, relations(contracts), page_of)
        )
    }
    page = environment.get_template("contract_page.html")
    for contract in contracts.values():
        made[page_of(contract.table)] = page.render(contract=contract, article=article(contract, contracts))
    return made


def page_of(table: str) -> str:
    return f"{table}.html"


def article(contract: Contract, contracts: Mapping[str, Contract], link: Callable[[str], str] = page_of) -> Markup:
    """All that a contract says, as a fragment of HTML for any page with the report's style; `link` gives the page of
    another table. Needs the other contracts for what refers to this one."""
    listed = relations(contracts)
    near = [relation for relation in listed if contract.table in (relation.table, relation.to)]
    around = [contract.table, *(name for relation in near for name in (relation.table, relation.to))]
    made = (
        _environment()
        .get_template("contract.html")
        .render(
            contract=contract,
            rows=_rows(contract),
            dimensions=_by_dimension(contract),
            near=near,
            drawing=draw(around, near, link, contract.table) if near else "",
            link=lambda table: link(table) if table in contracts else "",
            deliveries=DELIVERIES,
            rewritten=REWRITTEN,
            unknown=UNKNOWN,
            entries=[(revision, [_change(change) for change in revision.changes]) for revision in contract.changelog],
        )
    )
    return Markup(made)


def relations(contracts: Mapping[str, Contract]) -> list[Relation]:
    """What refers to what, each once."""
    found = {
        Relation(contract.table, check.reference_table, check.columns)
        for contract in contracts.values()
        for check in contract.checks
        if check.kind == "reference" and check.reference_table
    }
    return sorted(found)


def _rows(contract: Contract) -> list[Row]:
    """Columns in the contract's order, each followed by its fields. A rule of a field stands at its column."""
    rows: list[Row] = []
    for column in contract.columns:
        asked = [rule.description for rule in contract.rules if rule.column == column.name]
        asked += [check.description for check in contract.checks if check.columns == (column.name,)]
        told = dict.fromkeys(rule for rule in asked if not rule.endswith(" is present"))  # which `required` says
        rows.append(Row(column, 0, tuple(told)))
        rows += _fields(column, 1)
    return rows


def _fields(column: Column, depth: int) -> list[Row]:
    return [row for child in column.children for row in (Row(child, depth, ()), *_fields(child, depth + 1))]


def _by_dimension(contract: Contract) -> dict[str, list[tuple[str, str, bool]]]:
    """Dimension → (name, description, whether it can block) of every check that an audit reports; of one without any, none."""
    found: dict[str, list[tuple[str, str, bool]]] = {dimension: [] for dimension in DIMENSIONS}
    for name, (description, dimension, blocks) in check_names(contract).items():
        found.setdefault("all dimensions" if dimension == ALL_DIMENSIONS else dimension, []).append(
            (name, description, blocks)
        )
    return found


def _change(said: str) -> tuple[str, str]:
    """The kind of a change and the rest of its words; no kind where a person wrote it otherwise."""
    kind, colon, rest = said.partition(": ")
    return (kind, rest) if colon and kind in KINDS else ("", said)


def _environment() -> Environment:
    environment = Environment(
        loader=ChoiceLoader(
            [
                PackageLoader("lakehouse.automation.contract_docs", "."),
                PackageLoader("lakehouse.automation.report", "."),  # its style
            ]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"span": text.span, "number": text.number, "shown": _shown}
    environment.globals |= {"plural": text.plural, "page_of": page_of}
    return environment


def _shown(column: Column) -> str:
    """A type as people read it: of an object or a list of objects, whose fields follow, no more than that."""
    if not column.children:
        return column.type
    return "list of objects" if column.type.startswith("array<") else "object"
