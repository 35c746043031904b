"""What becomes of fields and columns on which the records, the table and its contract do not agree.

The contract is the source of truth. Fields that it does not know are rescued, added as text columns, or hold the batch
back, as its `unknown_fields` says; columns that it lost are never dropped but by a rebuild.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakehouse.contracts.changes import basis
from lakehouse.contracts.inference import snake
from lakehouse.contracts.model import Column, Contract
from lakehouse.contracts.personal import is_personal, safe
from lakehouse.quality.audit import UNKNOWN_FIELDS, check_names
from lakehouse.quality.results import CheckResult, Outcome
from lakehouse.silver import ledger, state
from lakehouse.storage import tables

ADDED_AT_MOST = 100
"""Columns that are added to a table; the fields of a source that makes up names without end stay in `_rescued`."""
NAMED_AT_MOST = 20
_NO_NAME = "nameless"
"""Of a field whose name has no letter to make a column's name of: it stays in `_rescued`."""
_OURS = ("valid_from", "valid_to", "is_current")


class ContractChangedError(Exception):
    """The contract has changed in a way that the rows which are there cannot follow by themselves."""


class BasisError(ContractChangedError):
    """The rows of a state table were made by another key, delivery, sequence or history than its contract has now."""

    def __init__(self, contract: Contract, made_by: dict[str, Any]) -> None:
        now = basis(contract)
        changed = "; ".join(
            f"{name} was {made_by.get(name, 'not given')}, is {now.get(name, 'not given')}"
            for name in {**made_by, **now}
            if made_by.get(name) != now.get(name)
        )
        super().__init__(
            f"{contract.silver_table} was made by another contract: {changed}. Its rows cannot be merged with new ones. "
            f"`lakehouse rebuild {contract.table}` makes the table anew from bronze; or put the contract back."
        )


class FormatChangedError(ContractChangedError):
    """The records of a table were of another format than its contract says now."""

    def __init__(self, contract: Contract, before: str) -> None:
        super().__init__(
            f"{contract.silver_table}: its records are {before}, and its contract {contract.version} says {contract.format}. "
            f"What bronze holds cannot be read so. Put `format: {before}` back, and declare a table of another name for the "
            "new files."
        )


class LostColumnsError(ContractChangedError):
    """Columns that the rows of a table have are no longer in its contract."""

    def __init__(self, contract: Contract, lost: Sequence[str]) -> None:
        super().__init__(
            f"{contract.silver_table} has columns that its contract {contract.version} does not: {'; '.join(lost)}. "
            "Nothing was committed: a column is not dropped or renamed unasked. "
            f"`lakehouse rebuild {contract.table}` makes the table anew from bronze, by the contract as it is; or put the "
            "column back into the contract."
        )


class LostViewsError(ContractChangedError):
    """Child views that a table has are no longer in its contract."""

    def __init__(self, contract: Contract, lost: Sequence[str]) -> None:
        super().__init__(
            f"{contract.silver_table} has child views that its contract {contract.version} does not: {'; '.join(lost)}. "
            "Nothing was committed: a view that people may read is not dropped or renamed unasked. "
            f"`lakehouse rebuild {contract.table}` does so; or put its `childTable` back into the contract."
        )


class OriginChangedError(ContractChangedError):
    """The rows of a table were captured from another place than its contract says now."""

    def __init__(self, contract: Contract, before: str, now: str) -> None:
        super().__init__(
            f"{contract.silver_table}: its rows were captured from {before}, and its contract {contract.version} says {now}. "
            "Nothing was committed: places in the log of another database do not follow those of the rows that are there. "
            f"Where it is the same database by another name, `lakehouse rebuild {contract.table}` takes it over; else put "
            "the old one back, and declare a table of another name for the other."
        )


def with_added(spark: SparkSession, contract: Contract) -> Contract:
    """The contract with the columns that batches before have added to its table."""
    if contract.unknown_fields != "add" or not tables.exists(spark, contract.state_table):
        return contract
    last = ledger.last_note(spark, contract)
    return evolved(contract, last[1].get("added") or {}) if last else contract


def ensure_views(spark: SparkSession, storage: str, contract: Contract) -> bool:
    """As `state.ensure_views`, with the columns that batches before have added. False, and the views stay as they are, where
    the rows cannot follow the contract: the table's next step says so."""
    contract = with_added(spark, contract)
    last = ledger.last_note(spark, contract)
    if last is not None:
        try:
            refuse_changes(contract, last[1])
        except ContractChangedError:
            return False
    state.ensure_views(spark, storage, contract)
    return True


def evolved(contract: Contract, added: Mapping[str, str]) -> Contract:
    """The contract with more columns, by the names of their fields in the source: text, as it arrived."""
    names, sources = set(contract.column_names), {column.source_name for column in contract.columns}
    more = tuple(
        Column(
            name=name,
            source_name=source,
            type="string",
            logical_type="string",
            description="Not in the contract; added as it arrived.",
            is_added=True,
        )
        for name, source in sorted(added.items())
        if name not in names and source not in sources
    )
    return replace(contract, columns=(*contract.columns, *more))


def added_columns(contract: Contract) -> dict[str, str]:
    """Column → field, of what `evolved` added."""
    return {column.name: column.source_name for column in contract.columns if column.is_added}


def unknown_fields(parsed: DataFrame) -> dict[str, str]:
    """Field that the contract does not know → the first file that has it, of records that can be applied."""
    found = (
        parsed.where("_rescued is not null and _refused is null")
        .selectExpr("explode(json_object_keys(_rescued)) as field", "_file")
        .groupBy("field")
        .agg(F.min("_file").alias("file"))
    )
    return {row["field"]: row["file"] for row in sorted(found.collect(), key=lambda row: str(row["field"]))}


def to_add(contract: Contract, unknown: Mapping[str, str]) -> dict[str, str]:
    """Column → field, of the unknown fields that become columns: one each name, not more than ADDED_AT_MOST, and none that is
    called as only data is."""
    had = added_columns(contract)
    taken = {*contract.column_names, *_OURS}
    more: dict[str, str] = {}
    for field in unknown:
        if is_personal(field):
            continue
        name = snake(field, fallback=_NO_NAME)
        if not name.startswith(_NO_NAME) and name not in taken and len(had) + len(more) < ADDED_AT_MOST:
            more[name] = field
            taken.add(name)
    return more


def check_unknown(contract: Contract, unknown: Mapping[str, str], batch: int) -> CheckResult:
    """The check `unknown_fields`: of a batch where the contract says `fail`, of the table where it says `add`."""
    description, dimension, can_block = check_names(contract)[UNKNOWN_FIELDS]
    added = added_columns(contract)
    outcome: Outcome = "pass"
    count = len(added) + len(unknown)
    if count:
        outcome = "fail" if can_block else "warn"
        description = f"{description} {_said(contract, added, unknown)}"
    return CheckResult(
        table=contract.table,
        name=UNKNOWN_FIELDS,
        kind="pipeline",
        dimension=dimension,
        outcome=outcome,
        value=float(count),
        threshold="no field that the contract does not know",
        description=description,
        batch=batch,
        severity="error" if can_block else "warning",
    )


def _said(contract: Contract, added: Mapping[str, str], unknown: Mapping[str, str]) -> str:
    listed = [f"`{safe(field)}` (first in {file})" for field, file in list(unknown.items())[:NAMED_AT_MOST]]
    more = f" and {len(unknown) - NAMED_AT_MOST} more" if len(unknown) > NAMED_AT_MOST else ""
    fields = added if contract.unknown_fields == "add" else to_add(contract, unknown)
    lines = "".join(
        f"\n      - name: {name}\n        logicalType: string"
        + (f"\n        physicalName: {field!r}" if field != name else "")
        for name, field in list(fields.items())[:NAMED_AT_MOST]
    )
    parts = []
    if listed:
        kept = " They stay in `_rescued`." if contract.unknown_fields == "add" else ""
        parts.append(f"Fields: {', '.join(listed)}{more}.{kept}")
    if contract.unknown_fields == "fail":
        parts.append(f"Write `unknown_fields: rescue` or `add` to let such a batch pass{', or add' if lines else '.'}")
    elif lines:
        parts.append("Add")
    if lines:
        parts.append(
            f"to `properties` in {contract.file.name}, with the type, the classification and the description that they "
            f"should have:{lines}"
        )
    return " ".join(parts)


def is_reshaped(spark: SparkSession, contract: Contract) -> bool:
    """Whether the state is about to get columns or wider types."""
    if added_columns(contract):
        return True
    return tables.has_wider_types(spark, contract.state_table, state.state_fields(contract))


def declared(contract: Contract) -> dict[str, list[str]]:
    """Column → its field in the source and its type, as JSON can hold it."""
    return {c.name: [c.source_name, c.type] for c in contract.columns if not c.is_added}


def remembered(contract: Contract) -> dict[str, Any]:
    """What the note of a batch says of its contract, for a later one to be compared with."""
    return {
        "basis": basis(contract),
        "format": contract.format,
        "columns": declared(contract),
        "added": added_columns(contract),
        "children": {column.name: contract.child_view(column) for column in contract.child_tables},
        **({"origin": contract.origin.identity} if contract.origin else {}),
    }


def refuse_changes(contract: Contract, last: Mapping[str, Any]) -> None:
    """Compares the contract with that of the table's last batch, as its note tells. Raises BasisError,
    FormatChangedError, OriginChangedError, and LostColumnsError or LostViewsError where columns or child views are gone."""
    if (made_by := last.get("basis")) is not None and made_by != basis(contract):
        raise BasisError(contract, made_by)
    if (before := last.get("format", contract.format)) != contract.format:
        raise FormatChangedError(contract, before)
    if contract.origin and (before := last.get("origin", contract.origin.identity)) != contract.origin.identity:
        raise OriginChangedError(contract, before, contract.origin.identity)
    now = {column.source_name: column.name for column in contract.columns}
    had = [(name, source, kind) for name, (source, kind) in (last.get("columns") or {}).items()]
    had += [
        (name, source, "string, added by `unknown_fields: add`") for name, source in (last.get("added") or {}).items()
    ]
    lost = [
        f"`{name}` ({kind})" + (f", which is called `{now[source]}` now" if source in now else "")
        for name, source, kind in had
        if name not in contract.column_names
    ]
    if lost:
        raise LostColumnsError(contract, lost)
    views = {column.name: contract.child_view(column) for column in contract.child_tables}
    gone = [
        f"`{view}` (the elements of `{name}`)" + (f", which is `{views[name]}` now" if name in views else "")
        for name, view in (last.get("children") or {}).items()
        if view not in views.values()
    ]
    if gone:
        raise LostViewsError(contract, gone)
