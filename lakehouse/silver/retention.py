"""What is older than the contract's `retention` leaves bronze and quarantine, by arrival day. Rows of silver stay.

A row of silver is what is known of its key now, however long ago its last record arrived: a customer who moved in eight
years ago still lives there. What goes is the record of it. From then on a fold of the whole table would lose the row, and
is refused.
"""

from datetime import date
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lakehouse.contracts.model import Contract
from lakehouse.silver import ledger, state
from lakehouse.storage import tables
from lakehouse.storage.maintain import delete_where

_KEPT_SINCE = "lakehouse.kept_since"
_DAY_OF_FILE = r"to_date(regexp_extract(file, '/(\\d{4}-\\d{2}-\\d{2})/', 1))"


class ExpiredError(Exception):
    """Bronze no longer holds what rows of silver were made of, so that a fold of the whole table would lose them."""

    def __init__(self, contract: Contract, since: date, rows: int) -> None:
        super().__init__(
            f"{contract.silver_table} cannot be folded anew without losing {rows} row(s): bronze holds what arrived since "
            f"{since} alone, as the contract's retention says, and their records are older. Nothing was changed. "
            f"`lakehouse rebuild {contract.table} --accept-loss` makes the table of what bronze holds; or put the contract "
            "and the files back as they were."
        )


def expire(spark: SparkSession, contract: Contract, today: date) -> dict[str, int]:
    """Table → rows removed from it: those that arrived more than `contract.retention` before `today`. Nothing that silver
    has not taken yet, nor the newest snapshot. Idempotent. For whoever is the only writer of the table in silver."""
    if contract.retention is None or not tables.exists(spark, contract.bronze_table):
        return {}
    last = ledger.last_note(spark, contract) if tables.exists(spark, contract.state_table) else None
    if last is None:
        return {}
    before = today - contract.retention
    if contract.delivery == "snapshot":
        newest = spark.table(contract.bronze_table).agg(F.max("arrived_on")).collect()[0][0]
        before = min(before, newest or before)
    expired = {
        contract.bronze_table: f"arrived_on < date'{before}' and batch <= {int(last[1]['batch'])}",
        contract.quarantine_table: f"arrived_on < date'{before}'",
        contract.resolutions_table: f"{_DAY_OF_FILE} < date'{before}'",
    }
    removed: dict[str, int] = {}
    for table, condition in expired.items():
        if not tables.exists(spark, table) or spark.table(table).where(condition).limit(1).isEmpty():
            continue
        if (
            table == contract.bronze_table
        ):  # noted first: who is killed in between has lost nothing, and refuses too much
            spark.sql(f"alter table {table} set tblproperties ('{_KEPT_SINCE}' = '{before}')")
        removed[table] = delete_where(spark, table, condition)
    return removed


def kept_since(spark: SparkSession, contract: Contract) -> date | None:
    """The day since which bronze holds everything that arrived; None where it holds all."""
    rows: list[Any] = spark.sql(f"show tblproperties {contract.bronze_table}").collect()
    return next((date.fromisoformat(row["value"]) for row in rows if row["key"] == _KEPT_SINCE), None)


def refuse_losing(spark: SparkSession, contract: Contract) -> None:
    """Raises ExpiredError where a fold of the whole table would lose rows that people see. (Current rows of a table that
    arrives as snapshots are all in the newest one.)"""
    since = kept_since(spark, contract)
    if since is None or (contract.delivery == "snapshot" and not state.is_historic(contract)):
        return
    seen = spark.table(contract.state_table).where(state.is_visible(contract))
    rows = seen.where(f"_arrived_on < date'{since}'").count()
    if rows:
        raise ExpiredError(contract, since, rows)
