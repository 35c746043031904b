"""What was taken from landing, file by file, and what of landing is to be taken."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lakehouse.bronze.landing import LandedFile, LandingError
from lakehouse.contracts.model import Contract
from lakehouse.storage import tables
from lakehouse.storage.maintain import append_small
from lakehouse.storage.tables import Field

FILES = "ops.files"
TAKEN, TOUCHED, IGNORED = "taken", "touched", "ignored"
COLUMNS = (
    Field("table_name", "string", "The table that the file belongs to."),
    Field("file", "string", "Path of the file below landing."),
    Field("arrived_on", "date", "The arrival day."),
    Field("size_bytes", "bigint", "Size of the file when it was taken."),
    Field("modified_at", "timestamp", "When the file was last written (UTC)."),
    Field("records", "bigint", "Records found in it; null where none were taken."),
    Field("batch", "bigint", "The batch that took it; null where none did."),
    Field("sha256", "string", "SHA-256 of its content (of a .gz file: unpacked) when it was taken."),
    Field("outcome", "string", "taken, touched (same content, written again), ignored (rewritten, not taken again)."),
    Field("taken_at", "timestamp", "When it was taken, or seen (UTC)."),
)
NAMED_AT_MOST = 3


class Taken(NamedTuple):
    """What was last noted of a file; None where it is not known. A plain tuple, because there is one of every file."""

    size: int | None
    modified_ms: int | None
    sha256: str | None

    def is_as(self, file: LandedFile) -> bool:
        """Whether the file is as it was, as far as size and time tell."""
        return self.size in (None, file.size) and self.modified_ms in (None, file.modified_ms)


class Rewritten(NamedTuple):
    """A file whose content is another than when it was taken."""

    file: LandedFile
    before: Taken
    sha256: str

    @property
    def sentence(self) -> str:
        before, after = self.before, self.file
        moment = None if before.modified_ms is None else after._replace(modified_ms=before.modified_ms).modified_at
        return (
            f"{after.path}: taken with {_told(before.size)} bytes of {_told(moment)}, SHA-256 {_told(before.sha256)}; now "
            f"it has {after.size} bytes of {after.modified_at}, SHA-256 {self.sha256}."
        )


def _told(value: object) -> str:
    return "(not noted)" if value is None else str(value)


def ensure_table(spark: SparkSession, storage: str) -> None:
    tables.ensure(spark, storage, FILES, COLUMNS, comment="Files taken from landing. One row per file and batch.")


def files_taken(spark: SparkSession, table: str | None = None) -> dict[str, dict[str, Taken]]:
    """table → path → what was last noted of every file already taken for it, in one query; of one table, or of all."""
    if not tables.exists(spark, FILES):
        return {}
    noted = spark.table(FILES) if table is None else spark.table(FILES).where(F.col("table_name") == table)
    # From a home that has not taken anything since this column is there.
    sha256 = "sha256" if "sha256" in noted.columns else "cast(null as string) as sha256"
    rows = (
        noted.selectExpr(
            "table_name",
            "file",
            # No nulls among the numbers, which pandas would make floats of.
            "coalesce(size_bytes, -1) as size_bytes",
            "coalesce(unix_millis(modified_at), -1) as modified_ms",
            sha256,
            "unix_micros(taken_at) as taken_at",
        )
        .toPandas()  # by columns: Spark's rows take ten times as long
        # Hardly a file is noted twice: to group them in the engine takes longer than to bring them all.
        .sort_values("taken_at", kind="stable")
        .drop_duplicates(["table_name", "file"], keep="last")
        .drop(columns="taken_at")
    )
    found: dict[str, dict[str, Taken]] = {}
    for name, file, size, modified_ms, sha256 in zip(*(rows[column].tolist() for column in rows), strict=True):
        known = Taken(size if size >= 0 else None, modified_ms if modified_ms >= 0 else None, sha256)
        found.setdefault(name, {})[file] = known
    return found


def taken_files(spark: SparkSession, contract: Contract) -> dict[str, Taken]:
    """path → what was last noted of every file already taken for the table."""
    return files_taken(spark, contract.table).get(contract.table, {})


def pending_files(landed: Sequence[LandedFile], taken: Mapping[str, Taken]) -> list[LandedFile]:
    """Files to look at: those not yet taken, and those with another size or time than when they were taken."""
    return [file for file in landed if (known := taken.get(file.path)) is None or not known.is_as(file)]


def note(
    spark: SparkSession,
    contract: Contract,
    files: Sequence[LandedFile],
    outcome: str,
    hashes: Mapping[str, str | None],
    said: dict[str, Any],
    records: Mapping[str, int] | None = None,
    batch: int | None = None,
    turn: tables.Turn | None = None,
) -> None:
    """Appends a row a file to ops.files."""
    rows = [
        (
            *(contract.table, file.path, file.arrived_on, file.size, file.modified_at),
            *(None if records is None else records.get(file.path, 0), batch, hashes.get(file.path), outcome),
        )
        for file in files
    ]
    frame = tables.local_rows(spark, rows, COLUMNS[:-1]).selectExpr("*", "current_timestamp() as taken_at")
    append_small(frame, FILES, said, turn)


def refuse_rewritten(contract: Contract, rewritten: Sequence[Rewritten]) -> None:
    """Raises LandingError that says of rewritten files what was taken, what is there, and what can be done."""
    if not rewritten:
        return
    more = f" And {len(rewritten) - NAMED_AT_MOST} more." if len(rewritten) > NAMED_AT_MOST else ""
    raise LandingError(
        f"{contract.bronze_table}: {len(rewritten)} file(s) in landing were rewritten after they were taken, and the "
        f"contract says `rewritten_files: fail`. {' '.join(one.sentence for one in rewritten[:NAMED_AT_MOST])}{more} "
        "Nothing of these arrival periods was taken. Put the old file back and land the correction under another name; or "
        f"accept it: materialize bronze/{contract.table} for its arrival day with `refresh`, or write "
        "`rewritten_files: re-ingest` into the contract."
    )
