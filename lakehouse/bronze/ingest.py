"""Take landed files into a bronze table: one row a record, the record's text untouched."""

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakehouse.bronze.landing import LandedFile, refuse_oversized, refuse_unopenable
from lakehouse.contracts.model import Contract
from lakehouse.storage import tables
from lakehouse.storage.notes import note_text, notes
from lakehouse.storage.tables import Field, literal

BRONZE = (
    Field("record", "string", "The record as it arrived: one JSON document, or one CSV line."),
    Field("header", "string", "The header line of the record's CSV file; null for other formats."),
    Field("is_decoded", "boolean", "False where the record's bytes are not text in the contract's encoding."),
    Field("file", "string", "Path of the file below landing."),
    Field("position", "bigint", "Place of the record in its file: the line of JSON, the record of CSV, from 1."),
    Field("arrived_on", "date", "The arrival day: the folder that the file was landed in."),
    Field("file_modified_at", "timestamp", "When the file was last written (UTC)."),
    Field("batch", "bigint", "The batch that took the record; grows with every batch of the table."),
    Field("ingested_at", "timestamp", "When the batch took the record (UTC)."),
)
FILES = "ops.files"
_FILES = (
    Field("table_name", "string", "The table that the file belongs to."),
    Field("file", "string", "Path of the file below landing."),
    Field("arrived_on", "date", "The arrival day."),
    Field("size_bytes", "bigint", "Size of the file when it was taken."),
    Field("modified_at", "timestamp", "When the file was last written (UTC)."),
    Field("records", "bigint", "Records found in it."),
    Field("batch", "bigint", "The batch that took it."),
    Field("taken_at", "timestamp", "When it was taken (UTC)."),
)


_GLOB = re.compile(r"[\\\[\]{}*?]")
_ESCAPED = r"\\\g<0>"


@dataclass(frozen=True)
class Ingested:
    """What one batch took: counts, bytes of the files, and the batch's number (None: there was nothing to take)."""

    batch: int | None
    files: int
    records: int
    bytes: int
    records_by_day: dict[date, int]


class ConcurrentWriterError(Exception):
    """Another writer committed to the same table in between; the work is safe to run again."""


def new_batch(previous: int) -> int:
    """A batch's number: microseconds since 1970, and always more than the table's previous one."""
    return max(int(datetime.now(UTC).timestamp() * 1_000_000), previous + 1)


def ensure_tables(spark: SparkSession, storage: str, contract: Contract) -> None:
    tables.ensure(
        spark,
        storage,
        contract.bronze_table,
        BRONZE,
        comment=f"Raw history of {contract.source}.{contract.name}. One row per record that arrived.",
        properties={"delta.dataSkippingNumIndexedCols": "9"},
    )
    tables.ensure(spark, storage, FILES, _FILES, comment="Files taken from landing. One row per file and batch.")


def files_taken(spark: SparkSession, table: str | None = None) -> dict[str, set[str]]:
    """table → paths of all files already taken for it, in one query; of one table, or of all."""
    if not tables.exists(spark, FILES):
        return {}
    noted = spark.table(FILES) if table is None else spark.table(FILES).where(F.col("table_name") == table)
    rows = noted.groupBy("table_name").agg(F.collect_set("file").alias("files")).collect()
    return {row["table_name"]: set(row["files"]) for row in rows}


def taken_files(spark: SparkSession, contract: Contract) -> set[str]:
    """Paths of all files already taken for the table."""
    return files_taken(spark, contract.table).get(contract.table, set())


def pending_files(landed: Sequence[LandedFile], taken: Container[str]) -> list[LandedFile]:
    """Files not yet taken. A file is known by its path: one rewritten in place is not taken again by itself."""
    return [file for file in landed if file.path not in taken]


def records(spark: SparkSession, landing: str, contract: Contract, files: Sequence[LandedFile]) -> DataFrame:
    """The records of `files`, in the columns of BRONZE less `batch` and `ingested_at`. Reads nothing yet.

    Files are read whole (`binaryFile`), so that positions are exact and bytes that are not text are seen. CSV records
    may span lines inside quotes; JSON is one document a line, or one array of documents in a file.
    """
    # Spark reads *?[]{} in a path as a pattern; here every path is one file.
    paths = [_GLOB.sub(_ESCAPED, f"{landing}/{file.path}") for file in files]
    plain = [path for path in paths if not path.endswith(".gz")]
    packed = [path for path in paths if path.endswith(".gz")]
    frames = []
    if plain:
        frames.append(
            spark.read.format("binaryFile")
            .load(plain)
            .selectExpr(
                f"decode(content, {literal(contract.encoding)}) as text",
                "content as bytes",
                "path as file_path",
                "modificationTime as file_modified_at",
            )
        )
    if packed:
        frames.append(
            spark.read.text(packed, wholetext=True).selectExpr(
                f"decode(cast(value as binary), {literal(contract.encoding)}) as text",
                "cast(value as binary) as bytes",
                "url_decode(replace(_metadata.file_path, '+', '%2B')) as file_path",
                "_metadata.file_modification_time as file_modified_at",
            )
        )
    contents = frames[0] if len(frames) == 1 else frames[0].unionByName(frames[1])
    is_utf8 = contract.encoding.lower().replace("-", "") == "utf8"
    # Bytes that are not text decode to U+FFFD. UTF-8 has that character itself; nobody writes it in another encoding.
    damaged = "cast(text as binary) <> bytes" if is_utf8 else "true"
    if contract.format == "csv":
        # A record ends at a line break outside quotes. Possessive, so that no input makes it backtrack.
        quoted = 'regexp_extract_all(text, \'(?:[^"\\\\r\\\\n]++|"[^"]*+"|")++\', 0)'
        # Most files have no quote: their lines are found in half the time.
        plain_lines = "filter(split(text, '\\n'), line -> line <> '')"
        split = f"""if(contains(text, '"') or contains(text, '\\r'), {quoted}, {plain_lines})"""
    else:
        # Inside an object, because Spark reads a first array and passes over whatever follows it.
        array = """from_json(concat('{"records":', text, '}'), 'records array<string>').records"""
        split = f"coalesce(if(text rlike '^\\\\s*\\\\[', {array}, null), split(text, '\\n'))"
    bom, blanks = "\ufeff", " \\t\\n\\r\u000b\u000c"
    root = landing.split("://", 1)[-1].rstrip("/") + "/"
    # What a file says of all of its records is told before they are taken apart: once a file, not once a record.
    of_file = ("is_damaged", "file", "arrived_on", "file_modified_at")
    header = "lines[0]" if contract.format == "csv" else "cast(null as string)"
    exploded = (
        contents.selectExpr(
            f"ltrim('{bom}', text) as text",
            f"{damaged} as is_damaged",
            f"substr(file_path, instr(file_path, {literal(root)}) + {len(root)}) as file",
            "file_modified_at",
        )
        .selectExpr(
            f"coalesce({split}, array(text)) as lines",
            r"to_date(regexp_extract(file, '/(\\d{4}-\\d{2}-\\d{2})/', 1)) as arrived_on",
            "is_damaged",
            "file",
            "file_modified_at",
        )
        .selectExpr(f"{header} as header", "posexplode(lines) as (index, record)", *of_file)
        .where(f"ltrim('{blanks}', record) <> ''" + (" and index > 0" if contract.format == "csv" else ""))
    )
    return exploded.selectExpr(
        "record",
        "header",
        "not (is_damaged and contains(record, '\ufffd')) as is_decoded",
        "file",
        "cast(index as bigint) + 1 as position",
        "arrived_on",
        "file_modified_at",
    )


def ingest(
    spark: SparkSession,
    landing: str,
    storage: str,
    contract: Contract,
    files: Sequence[LandedFile],
    run_id: str,
    refresh: tuple[date, date] | None = None,
) -> Ingested:
    """Appends the records of `files` in one commit, then notes the files as taken.

    With `refresh`, the rows of that arrival period [from, to) are replaced by the records of `files` instead.
    Safe to repeat: a crash between the two commits is healed by `heal_files`, which every ingest begins with.

    Raises LandingError (a file too large, or with a name that cannot be opened) and ConcurrentWriterError (another batch committed meanwhile).
    """
    refuse_oversized(files)
    refuse_unopenable(landing, files)
    if heal_files(spark, contract) and refresh is None:
        files = pending_files(files, taken_files(spark, contract))
    if not files and refresh is None:
        return Ingested(None, 0, 0, 0, {})
    _, newest = next(notes(spark, contract.bronze_table), (0, {"batch": 0}))
    batch = new_batch(newest["batch"])
    rows = (
        records(spark, landing, contract, files).withColumns(
            {"batch": F.lit(batch).cast("bigint"), "ingested_at": F.current_timestamp()}
        )
        if files
        else spark.table(contract.bronze_table).limit(0)
    )
    note: dict[str, Any] = {"kind": "ingest", "table": contract.table, "batch": batch, "run_id": run_id}
    if refresh is not None:  # what was there before is gone: silver must fold the table anew
        note["replaced"] = [day.isoformat() for day in refresh]
    writer = (
        rows.select(*(field.name for field in BRONZE))
        .write.format("delta")
        # Delta refuses a batch older than the table's newest, so batches can never be committed out of order.
        .option("txnAppId", f"ingest:{contract.table}")
        .option("txnVersion", str(batch))
        .option("userMetadata", note_text(note))
    )
    if refresh is None:
        writer.mode("append").saveAsTable(contract.bronze_table)
    else:
        period = f"arrived_on >= date'{refresh[0]}' and arrived_on < date'{refresh[1]}'"
        writer.mode("overwrite").option("replaceWhere", period).saveAsTable(contract.bronze_table)
    if not any(committed["batch"] == batch for _, committed in notes(spark, contract.bronze_table)):
        raise ConcurrentWriterError(
            f"{contract.bronze_table}: a newer batch was committed while batch {batch} was read; nothing was written "
            "by this one. Run it again."
        )
    by_file = _note_files(spark, contract, batch, files)
    by_day: dict[date, int] = {}
    for file in files:
        by_day[file.arrived_on] = by_day.get(file.arrived_on, 0) + by_file.get(file.path, 0)
    return Ingested(batch, len(files), sum(by_file.values()), sum(file.size for file in files), by_day)


def _note_files(spark: SparkSession, contract: Contract, batch: int, files: Sequence[LandedFile]) -> dict[str, int]:
    """Writes one row a file to ops.files; returns records by file. A file without records is noted too."""
    counts = {
        row["file"]: row["count"]
        for row in spark.table(contract.bronze_table).where(F.col("batch") == batch).groupBy("file").count().collect()
    }
    if files:
        rows = [
            (contract.table, f.path, f.arrived_on, f.size, f.modified_at, counts.get(f.path, 0), batch) for f in files
        ]
        noted = tables.local_rows(spark, rows, _FILES[:-1])
        tables.append(noted.withColumn("taken_at", F.current_timestamp()), FILES, _files_note(contract, batch))
    return counts


def heal_files(spark: SparkSession, contract: Contract) -> bool:
    """Notes the files of a batch that was committed to bronze while its process died before noting them."""
    _, newest = next(notes(spark, contract.bronze_table), (0, None))
    if newest is None:
        return False
    batch = newest["batch"]
    noted = next((note for _, note in notes(spark, FILES) if note.get("table") == contract.table), None)
    if noted is not None and noted["batch"] == batch:
        return False
    of_batch = (F.col("table_name") == contract.table) & (F.col("batch") == batch)
    if noted is None and spark.table(FILES).where(of_batch).limit(1).count():  # its commit is no longer in the log
        return False
    missing = (
        spark.table(contract.bronze_table)
        .where(F.col("batch") == batch)
        .groupBy("file", "arrived_on")
        .agg(F.count("*").alias("records"), F.max("file_modified_at").alias("modified_at"))
        .selectExpr(
            f"{literal(contract.table)} as table_name",
            "file",
            "arrived_on",
            "cast(null as bigint) as size_bytes",
            "modified_at",
            "records",
            f"cast({batch} as bigint) as batch",
            "current_timestamp() as taken_at",
        )
    )
    if not missing.limit(1).count():
        return False
    tables.append(missing, FILES, _files_note(contract, batch))
    return True


def _files_note(contract: Contract, batch: int) -> dict[str, Any]:
    return {"kind": "files", "table": contract.table, "batch": batch}
