"""The two commits of a batch: what it refuses, into the quarantine, and then the state, which is what counts."""

from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakehouse.contracts.model import Contract
from lakehouse.silver import quarantine, reach, state
from lakehouse.silver.fold import TOO_LATE
from lakehouse.storage import tables
from lakehouse.storage.notes import notes
from lakehouse.storage.tables import quote

REASONS = (
    "case when _unreadable is not null then array(_unreadable) "
    f"when _refused = '{TOO_LATE}' then array('{TOO_LATE}') else _violations end"
)
"""SQL of why a record is refused."""


def of_quarantine(
    spark: SparkSession, contract: Contract, parsed: DataFrame, since: int | None, count: int, of: dict[str, Any]
) -> bool:
    """Replaces what a batch that died before its commit may have left; then it is as if written once. False where there was
    nothing to write. A record that a fold anew refuses again has been in quarantine since it was refused first."""
    _, held = next(notes(spark, contract.quarantine_table), (0, None))
    if not count and (held is None or (since is not None and held["batch"] <= since)):
        return False
    refused = parsed.where("_refused is not null").selectExpr(
        "_record as record",
        "_header as header",
        f"{REASONS} as reasons",
        "_refused as disposition",
        "_file as file",
        "_position as position",
        "_arrived_on as arrived_on",
        f"cast({of['batch']} as bigint) as batch",
        "current_timestamp() as quarantined_at",
    )
    if since is None and held is not None:
        columns = [*refused.columns[:-1], "coalesce(first_at, quarantined_at) as quarantined_at"]
        known = ("file", "position", "record")
        first = spark.table(contract.quarantine_table).groupBy(*known).agg(F.min("quarantined_at").alias("first_at"))
        refused = refused.join(first, [*known], "left").selectExpr(*columns)
    leftover = f"batch > {since}" if since is not None else "true"
    tables.replace_where(refused, contract.quarantine_table, leftover, quarantine.note_of(of) | {"records": count})
    return True


def of_state(
    spark: SparkSession,
    contract: Contract,
    classified: DataFrame,
    since: int | None,
    batch: int,
    note: dict[str, Any],
    within: str | None,
) -> None:
    """Commits the batch on the state that was read, or not at all: see `tables.Turn`. `within`: see `refine._classify`."""
    turn = (f"refine after:{contract.table}", int(note["after"]))
    shape = state.state_fields(contract)
    fields = [field.name for field in shape if field.name != "_batch"]
    rows = classified.where("_is_written").selectExpr(*map(quote, fields), f"cast({batch} as bigint) as _batch")
    if since is None:
        is_reshaped = not tables.has_shape(spark, contract.state_table, shape)
        laid_out = reach.laid_out(rows, contract.keys, note["landed"])
        tables.overwrite(laid_out, contract.state_table, note, shape if is_reshaped else None, turn)
        return
    # By name: the state may still have a column that the contract has no more.
    names = [*map(quote, fields), "_batch"]
    update = "update set " + ", ".join(f"{name} = source.{name}" for name in names)
    values = ", ".join(f"source.{name}" for name in names)
    insert = f"when not matched then insert ({', '.join(names)}) values ({values})"
    same_key = " and ".join(f"target.{quote(key)} = source.{quote(key)}" for key in contract.keys)
    if within:
        same_key = f"{within} and {same_key}"
    if contract.keeps_events:
        tables.merge(
            rows,
            contract.state_table,
            f"{same_key} and target._sequence = source._sequence",
            f"when matched then {update}\n{insert}",
            note,
            turn,
        )
    else:
        tables.merge(
            rows,
            contract.state_table,
            same_key,
            f"when matched and source._sequence > target._sequence then {update}\n{insert}",
            note,
            turn,
        )
