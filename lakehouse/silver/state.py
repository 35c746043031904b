"""The tables and views of one contract in silver: the state, the quarantine, and what people read."""

import hashlib

from pyspark.sql import SparkSession

from lakehouse.contracts.model import Column, Contract
from lakehouse.silver.masks import masked_record
from lakehouse.silver.parse import point_type, sequence_type
from lakehouse.silver.quarantine import STATUS, records
from lakehouse.storage import tables
from lakehouse.storage.tables import Field, quote

_PROPERTIES = {
    # The bounds that Delta keeps of each file are of the first columns: the batch, the key, and some of the rest.
    "delta.dataSkippingNumIndexedCols": "9",
    # Those bounds are values of people's rows: they are not to outlast them in the log.
    tables.CHECKPOINTED: "10",
    # A change marks the row that it replaces, instead of rewriting the file around it.
    "delta.enableDeletionVectors": "true",
}

QUARANTINE = (
    Field("record", "string", "The record as it arrived."),
    Field("header", "string", "The header line of its CSV file; null for other formats."),
    Field("reasons", "array<string>", "Every rule that it breaks, or why it cannot be read."),
    Field("disposition", "string", "quarantined (breaks a rule), rejected (unreadable) or too_late."),
    Field("file", "string", "Path of its file below landing."),
    Field("position", "bigint", "Its place in the file, from 1."),
    Field("arrived_on", "date", "The arrival day."),
    Field("batch", "bigint", "The batch of silver that put it here."),
    Field("quarantined_at", "timestamp", "When (UTC)."),
)


def is_historic(contract: Contract) -> bool:
    return contract.history == "full"


def state_fields(contract: Contract) -> list[Field]:
    """Columns of `silver_state.<table>`: visible rows, hidden events and tombstones, told apart by the last ones. The first
    ones are what files are found by: the batch, by whoever asks for what changed, and the key, by who changes it."""
    point = point_type(contract)
    by_key = sorted(contract.columns, key=lambda column: column.name not in contract.keys)
    fields = [
        Field("_batch", "bigint", "The batch that last changed the row."),
        *(Field(column.name, column.type, column.description) for column in by_key),
        Field("_rescued", "string", "JSON of the fields that the contract does not know; null if none."),
        Field("_sequence", sequence_type(contract), "What orders the versions of a key."),
        Field("_is_deleted", "boolean", "A tombstone: the row was deleted at this point of the sequence."),
        Field("_hash", "bigint", "Hash of the content, to know a change from a repetition."),
        Field("_file", "string", "The file that brought this version."),
        Field("_position", "bigint", "Its place in that file."),
        Field("_arrived_on", "date", "The arrival day of this version."),
    ]
    if contract.filled:
        fields.append(Field("_kept", "array<string>", "The columns that this event left to those before it."))
    if contract.keeps_events:
        fields += [
            Field("valid_from", point, "From when this version held."),
            Field("valid_to", point, "Until when it held, exclusive; null while it holds."),
            Field("_is_visible", "boolean", "False for events that are not shown, and for tombstones."),
        ]
    return fields


def is_visible(contract: Contract) -> str:
    """SQL: whether people see a row of the state."""
    return "_is_visible" if contract.keeps_events else "not _is_deleted"


def public_columns(contract: Contract) -> list[str]:
    """Columns of the view `silver.<table>`, in order."""
    names = list(contract.column_names)
    if is_historic(contract):
        names += ["valid_from", "valid_to", "is_current"]
    return [*names, "_rescued", "_arrived_on", "_batch"]


def ensure_tables(spark: SparkSession, storage: str, contract: Contract, is_rebuild: bool = False) -> None:
    """Creates the state and quarantine tables, or adds the columns that they lack. Idempotent.

    Raises TableShapeError where a column has another type, unless the table is about to be rebuilt anyway: then the
    rebuild's own commit changes it, so that readers keep the old rows until the new ones have passed their audit; or it
    is a wider one: then `reshape` changes it, once a batch has passed its audit.
    """
    fields = state_fields(contract)
    comment = f"State of silver.{contract.table}: visible rows, hidden repetitions and tombstones."
    of = tables.has_other_types if is_rebuild else tables.has_wider_types
    if not of(spark, contract.state_table, fields):
        tables.ensure(spark, storage, contract.state_table, fields, comment=comment, properties=_PROPERTIES)
    tables.ensure(
        spark,
        storage,
        contract.quarantine_table,
        QUARANTINE,
        comment=f"Records of {contract.table} that were not applied. One row per record.",
        properties={tables.BOUNDED: "batch,arrived_on"},
    )


def reshape(spark: SparkSession, storage: str, contract: Contract) -> None:
    """Gives the state the columns and the wider types that it lacks, and has its views show them. Idempotent."""
    tables.ensure(spark, storage, contract.state_table, state_fields(contract), widen=True)
    ensure_views(spark, storage, contract)


def views(contract: Contract, is_resolved: bool) -> dict[str, str]:
    """The public views and their SQL: they read the newest state, so that they change with the contract alone (and when
    the first decision about a refused record is made: `is_resolved`). The table's own comes last: it bears the digest of
    them all."""
    return {
        **{contract.child_view(column): child_rows(contract, column) for column in contract.child_tables},
        f"{contract.silver_table}__quarantine": (
            f"select\n    {masked_record(contract)} as record,\n    "
            + ",\n    ".join(field.name for field in (*QUARANTINE[2:], *STATUS))
            + f"\nfrom ({records(contract, is_resolved)})"
        ),
        contract.silver_table: visible_rows(contract),
    }


def views_digest(contract: Contract, is_resolved: bool) -> str:
    """Changes whenever a view has to be made anew: with columns, types and masks."""
    shape = [(field.name, field.type) for field in state_fields(contract)]
    return hashlib.sha256(repr((views(contract, is_resolved), shape)).encode()).hexdigest()[:16]


def ensure_views(spark: SparkSession, storage: str, contract: Contract) -> None:
    """Points the public views at the newest state, and drops child views that the contract has no more. Idempotent; does
    nothing where they are as they should be."""
    is_resolved = tables.exists(spark, contract.resolutions_table)
    wanted, digest = views(contract, is_resolved), views_digest(contract, is_resolved)
    said = _said_by(spark, contract.silver_table)
    if all(tables.exists(spark, name) for name in wanted) and _CHILDREN in said and said[_DIGEST] == digest:
        return
    for name in filter(None, said.get(_CHILDREN, "").split(",")):
        if name not in wanted:
            spark.sql(f"drop view if exists {name}")
    children = ",".join(map(contract.child_view, contract.child_tables))
    for name, query in wanted.items():
        is_last = name == contract.silver_table
        told = {_DIGEST: digest, _CHILDREN: children} if is_last else {}
        tables.create_view(spark, storage, name, query, told)


_DIGEST, _CHILDREN = "lakehouse.views", "lakehouse.children"


def _said_by(spark: SparkSession, view: str) -> dict[str, str]:
    """The properties of a view; of none, nothing."""
    if not tables.exists(spark, view):
        return {}
    return {row["key"]: str(row["value"]) for row in spark.sql(f"show tblproperties {view}").collect()}


def visible_rows(contract: Contract, version: int | None = None) -> str:
    """SQL of what people see of the state, now or at one of its versions."""
    at = "" if version is None else f" version as of {version}"
    derived = {"is_current": "valid_to is null as is_current"}
    columns = ",\n    ".join(derived.get(name, quote(name)) for name in public_columns(contract))
    return f"select\n    {columns}\nfrom {contract.state_table}{at}\nwhere {is_visible(contract)}"


def deleted_rows(contract: Contract, version: int | None = None) -> str:
    """SQL of the keys that were deleted, with the batch that did so: of a table with history also those that came back, for
    their history has changed; of any other, those that have no row."""
    at = "" if version is None else f" version as of {version}"
    keys = ",\n    ".join(map(quote, contract.keys))
    if contract.keeps_events and not is_historic(contract):  # beside a row there may be a delete from before it
        return (
            f"select\n    {keys},\n    max(_batch) as _batch\nfrom {contract.state_table}{at}\n"
            f"group by\n    {keys}\nhaving not bool_or(_is_visible)"
        )
    return f"select\n    {keys},\n    _batch\nfrom {contract.state_table}{at}\nwhere _is_deleted"


def child_rows(contract: Contract, column: Column, version: int | None = None) -> str:
    """SQL of the elements of an array column, one row each, with the key of their parent."""
    at = "" if version is None else f" version as of {version}"
    keys = ",\n    ".join(map(quote, contract.keys))
    children = ",\n    ".join(f"_element.{quote(child.name)}" for child in column.children)
    return (
        f"select\n    {keys},\n    {children},\n    _arrived_on,\n    _batch\nfrom (\n"
        f"    select\n        *,\n        explode({quote(column.name)}) as _element\n"
        f"    from {contract.state_table}{at}\n    where {is_visible(contract)}\n)"
    )


def child_columns(contract: Contract, column: Column) -> list[Column]:
    """The columns of a child view, less the technical ones."""
    return [*(contract.column(key) for key in contract.keys), *column.children]


def in_force(contract: Contract) -> str:
    """SQL over the state: the rows that the table has now."""
    return "_is_visible and valid_to is null" if is_historic(contract) else "not _is_deleted"
