"""Take landed files into a bronze table: one row a record, the record's text untouched."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakehouse.bronze import taken as ledger
from lakehouse.bronze.landing import LandedFile, refuse_oversized, refuse_unopenable
from lakehouse.bronze.taken import FILES, IGNORED, TAKEN, TOUCHED, Rewritten, pending_files, taken_files
from lakehouse.contracts.model import Contract
from lakehouse.storage import exact_json, tables
from lakehouse.storage.maintain import append_small, delete_where
from lakehouse.storage.notes import commit_note, last_commit, notes
from lakehouse.storage.tables import ConcurrentWriterError, Field, literal, lost_race

__all__ = ["BRONZE", "FILES", "ConcurrentWriterError", "Ingested", "ingest", "pending_files", "taken_files"]

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
    Field("file_sha256", "string", "SHA-256 of the file's content (of a .gz file: unpacked)."),
)
COMPACTED_AFTER = 50
"""Batches, after which the small files that they left are put together."""
_GLOB = re.compile(r"[\\\[\]{}*?]")
_ESCAPED = r"\\\g<0>"
_EMPTY = sha256(b"").hexdigest()


@dataclass(frozen=True)
class Ingested:
    """What one batch took: counts, bytes of the files, and the batch's number (None: there was nothing to take)."""

    batch: int | None
    files: int
    records: int
    bytes: int
    records_by_day: dict[date, int]
    ignored: tuple[str, ...] = ()
    """A sentence for each file that was rewritten after it was taken, where the contract says to ignore that."""
    taken_again: int = 0
    """Files whose records were replaced, because they were rewritten."""


def new_batch(previous: int) -> int:
    """A batch's number: microseconds since 1970, and always more than the table's previous one."""
    return max(int(datetime.now(UTC).timestamp() * 1_000_000), previous + 1)


def newest_batch(spark: SparkSession, contract: Contract) -> int | None:
    """The newest batch that bronze has of the table, told by its newest note; None where it has none."""
    if not tables.exists(spark, contract.bronze_table):
        return None
    taken = next(notes(spark, contract.bronze_table), None)
    return taken[1]["batch"] if taken else None


def ensure_tables(spark: SparkSession, storage: str, contract: Contract) -> None:
    tables.ensure(
        spark,
        storage,
        contract.bronze_table,
        BRONZE,
        comment=f"Raw history of {contract.source}.{contract.name}. One row per record that arrived.",
        properties={tables.BOUNDED: "file,arrived_on,batch"},
    )
    ledger.ensure_table(spark, storage)


def _contents(spark: SparkSession, landing: str, contract: Contract, files: Sequence[LandedFile]) -> DataFrame:
    """One row a file: `file`, its `text` and `bytes`, `file_modified_at` and `file_sha256`. Reads nothing yet."""
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
                "sha2(content, 256) as file_sha256",
            )
        )
    if packed:
        frames.append(
            spark.read.text(packed, wholetext=True).selectExpr(
                f"decode(cast(value as binary), {literal(contract.encoding)}) as text",
                "cast(value as binary) as bytes",
                "url_decode(replace(_metadata.file_path, '+', '%2B')) as file_path",
                "_metadata.file_modification_time as file_modified_at",
                "sha2(cast(value as binary), 256) as file_sha256",
            )
        )
    together = frames[0] if len(frames) == 1 else frames[0].unionByName(frames[1])
    root = landing.split("://", 1)[-1].rstrip("/") + "/"
    return together.selectExpr(
        f"substr(file_path, instr(file_path, {literal(root)}) + {len(root)}) as file",
        *("text", "bytes", "file_modified_at", "file_sha256"),
    )


def content_hashes(
    spark: SparkSession, landing: str, contract: Contract, files: Sequence[LandedFile]
) -> dict[str, str]:
    """path → SHA-256 of what the files hold now."""
    if not files:
        return {}
    rows = _contents(spark, landing, contract, files).select("file", "file_sha256").collect()
    # Spark passes over files that hold nothing.
    return dict.fromkeys((file.path for file in files), _EMPTY) | {row["file"]: row["file_sha256"] for row in rows}


def records(spark: SparkSession, landing: str, contract: Contract, files: Sequence[LandedFile]) -> DataFrame:
    """The records of `files`, in the columns of BRONZE less `batch` and `ingested_at`. Reads nothing yet.

    Files are read whole (`binaryFile`), so that positions are exact and bytes that are not text are seen. CSV records
    may span lines inside quotes; JSON is one document a line, or one array of documents in a file.
    """
    contents = _contents(spark, landing, contract, files)
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
        reader = """from_json(concat('{"records":', {text}, '}'), 'records array<string>').records"""
        array = exact_json.read("text", "array<string>", reader, exact_json.has_long_numbers("text"))
        split = f"coalesce(if(text rlike '^\\\\s*\\\\[', {array}, null), split(text, '\\n'))"
    bom, blanks = "\ufeff", " \\t\\n\\r\u000b\u000c"
    # What a file says of all of its records is told before they are taken apart: once a file, not once a record.
    of_file = ("is_damaged", "file", "arrived_on", "file_modified_at", "file_sha256")
    header = "lines[0]" if contract.format == "csv" else "cast(null as string)"
    exploded = (
        contents.selectExpr(
            f"ltrim('{bom}', text) as text",
            f"{damaged} as is_damaged",
            "file",
            "file_modified_at",
            "file_sha256",
        )
        .selectExpr(
            f"coalesce({split}, array(text)) as lines",
            r"to_date(regexp_extract(file, '/(\\d{4}-\\d{2}-\\d{2})/', 1)) as arrived_on",
            "is_damaged",
            "file",
            "file_modified_at",
            "file_sha256",
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
        "file_sha256",
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
    """Appends the records of the files that are not taken yet in one commit, then notes them as taken.

    Files that were taken already are passed over; of those that were written again since, it does what the contract
    says (`rewritten_files`), once their content is another: their records are replaced in a commit of its own. With
    `refresh`, the rows of that arrival period [from, to) are replaced by the records of `files` instead, whatever was
    taken of it. Safe to repeat: a crash between the two commits is healed by `heal_files`, which every ingest begins with.

    Raises LandingError (a file too large, with a name that cannot be opened, or rewritten where the contract says
    `fail`) and ConcurrentWriterError (another writer took files meanwhile; nothing was written by this one).
    """
    refuse_oversized(files)
    refuse_unopenable(landing, files)
    # Read before what is taken is: who commits in between is found out, because the batch comes after this one or not.
    previous = _newest_batch(spark, contract)
    heal_files(spark, contract)
    if refresh is not None:
        period = f"arrived_on >= date'{refresh[0]}' and arrived_on < date'{refresh[1]}'"
        days = [day.isoformat() for day in refresh]
        return _take(spark, landing, contract, files, previous, run_id, {"replaced": days}, period)
    if not files:
        return _NOTHING
    known = taken_files(spark, contract)
    pending = pending_files(files, known)
    new = [file for file in pending if file.path not in known]
    rewritten = _rewritten(spark, landing, contract, [file for file in pending if file.path in known], known)
    done = _NOTHING
    ignored: tuple[str, ...] = ()
    if contract.rewritten_files == "fail":
        ledger.refuse_rewritten(contract, rewritten)
    elif contract.rewritten_files == "ignore":
        _pass_over(spark, contract, [(one.file, one.sha256) for one in rewritten], IGNORED)
        ignored = tuple(one.sentence for one in rewritten)
    elif rewritten:
        again = [one.file for one in rewritten]
        days = [min(file.arrived_on for file in again).isoformat(), max(file.arrived_on for file in again).isoformat()]
        listed = ", ".join(literal(file.path) for file in again)
        # What silver may hold of them is gone: it folds the table anew.
        said = {"replaced": days, "rewritten_files": len(again)}
        done = _take(spark, landing, contract, again, previous, run_id, said, f"file in ({listed})")
        done = replace(done, taken_again=len(again))
        assert done.batch is not None
        previous = done.batch
    if new:
        done = _together(done, _take(spark, landing, contract, new, previous, run_id, {}, None))
    return replace(done, ignored=ignored)


_NOTHING = Ingested(None, 0, 0, 0, {})


def _together(one: Ingested, other: Ingested) -> Ingested:
    days = one.records_by_day.keys() | other.records_by_day.keys()
    by_day = {day: one.records_by_day.get(day, 0) + other.records_by_day.get(day, 0) for day in days}
    return Ingested(
        batch=other.batch,
        files=one.files + other.files,
        records=one.records + other.records,
        bytes=one.bytes + other.bytes,
        records_by_day=by_day,
        taken_again=one.taken_again,
    )


def _newest_batch(spark: SparkSession, contract: Contract) -> int:
    """The batch that bronze took last; 0 for none. Told by its rows where its note is no longer in the log."""
    noted = next(notes(spark, contract.bronze_table), None)
    if noted is not None:
        return int(noted[1]["batch"])
    # A new table needs no query to say that it is empty.
    if last_commit(spark, contract.bronze_table)[1] == "CREATE TABLE":
        return 0
    return int(spark.table(contract.bronze_table).agg(F.max("batch")).collect()[0][0] or 0)


def _rewritten(
    spark: SparkSession,
    landing: str,
    contract: Contract,
    changed: Sequence[LandedFile],
    known: Mapping[str, ledger.Taken],
) -> list[Rewritten]:
    """Of files with another size or time than when they were taken, those whose content is another as well. The rest is
    noted as touched, so that nobody reads them again."""
    hashes = content_hashes(spark, landing, contract, changed)
    found = [
        Rewritten(file, known[file.path], hashes[file.path])
        for file in changed
        if hashes[file.path] != known[file.path].sha256
    ]
    touched = [(file, hashes[file.path]) for file in changed if hashes[file.path] == known[file.path].sha256]
    _pass_over(spark, contract, touched, TOUCHED)
    return found


def _pass_over(spark: SparkSession, contract: Contract, seen: Sequence[tuple[LandedFile, str]], outcome: str) -> None:
    """Notes files that are not taken (again) as they are now."""
    if seen:
        said = {"kind": outcome, "table": contract.table}
        ledger.note(spark, contract, [file for file, _ in seen], outcome, {f.path: sha for f, sha in seen}, said)


def _take(
    spark: SparkSession,
    landing: str,
    contract: Contract,
    files: Sequence[LandedFile],
    previous: int,
    run_id: str,
    said: dict[str, Any],
    instead_of: str | None,
) -> Ingested:
    """One batch: commits the records of `files`, in place of the rows for which `instead_of` holds, and notes the files."""
    batch = new_batch(previous)
    of_batch = {"batch": f"cast({batch} as bigint) as batch", "ingested_at": "current_timestamp() as ingested_at"}
    if files:
        rows = records(spark, landing, contract, files).selectExpr(*(of_batch.get(f.name, f.name) for f in BRONZE))
    else:
        rows = spark.table(contract.bronze_table).limit(0).select(*(field.name for field in BRONZE))
    _, last = next(notes(spark, contract.bronze_table), (0, {}))
    uncompacted = (last.get("uncompacted", 0) + 1) % COMPACTED_AFTER
    note = {"kind": "ingest", "table": contract.table, "batch": batch, "run_id": run_id, "uncompacted": uncompacted}
    note |= said
    # The batch comes after the one that was the newest when it was told what is taken, or not at all.
    turn = (f"ingest after:{contract.table}", previous)
    if instead_of is None:
        tables.append(rows, contract.bronze_table, note, turn)
    else:
        tables.replace_where(rows, contract.bronze_table, instead_of, note, turn)
    if not any(committed["batch"] == batch for _, committed in notes(spark, contract.bronze_table)):
        raise lost_race(contract.bronze_table)
    by_file = _note_files(spark, landing, contract, batch, files)
    if not uncompacted:
        tables.compact(spark, contract.bronze_table)
    by_day: dict[date, int] = {}
    for file in files:
        by_day[file.arrived_on] = by_day.get(file.arrived_on, 0) + by_file.get(file.path, 0)
    return Ingested(batch, len(files), sum(by_file.values()), sum(file.size for file in files), by_day)


def _note_files(
    spark: SparkSession, landing: str, contract: Contract, batch: int, files: Sequence[LandedFile]
) -> dict[str, int]:
    """Writes one row a file to ops.files; returns records by file. A file without records is noted too."""
    of_batch = spark.table(contract.bronze_table).where(F.col("batch") == batch).groupBy("file")
    found = of_batch.agg(F.count("*").alias("records"), F.max("file_sha256").alias("sha256")).collect()
    counts = {row["file"]: int(row["records"]) for row in found}
    hashes = {row["file"]: row["sha256"] for row in found}
    hashes |= content_hashes(spark, landing, contract, [file for file in files if file.path not in counts])
    if files:
        said, turn = _files_note(contract, batch), _files_turn(contract, batch)
        ledger.note(spark, contract, files, TAKEN, hashes, said, counts, batch, turn)
    return counts


def heal_files(spark: SparkSession, contract: Contract) -> bool:
    """Notes the files of a batch that was committed to bronze while its process died before noting them; and what
    `forget_lost_files` does."""
    if forget_lost_files(spark, contract):
        return True
    _, newest = next(notes(spark, contract.bronze_table), (0, None))
    if newest is None:
        return False
    batch, noted = newest["batch"], _noted(spark, contract)
    if noted is not None and noted["batch"] == batch:
        return False
    of_batch = (F.col("table_name") == contract.table) & (F.col("batch") == batch)
    if noted is None and spark.table(FILES).where(of_batch).limit(1).count():  # its commit is no longer in the log
        return False
    missing = (
        spark.table(contract.bronze_table)
        .where(F.col("batch") == batch)
        .groupBy("file", "arrived_on")
        .agg(
            F.count("*").alias("records"),
            F.max("file_modified_at").alias("modified_at"),
            F.max("file_sha256").alias("sha256"),
        )
        .selectExpr(
            f"{literal(contract.table)} as table_name",
            "file",
            "arrived_on",
            "cast(null as bigint) as size_bytes",
            "modified_at",
            "records",
            f"cast({batch} as bigint) as batch",
            "sha256",
            f"'{TAKEN}' as outcome",
            "current_timestamp() as taken_at",
        )
    )
    if not missing.limit(1).count():
        return False
    append_small(missing, FILES, _files_note(contract, batch), _files_turn(contract, batch))
    return True


def forget_lost_files(spark: SparkSession, contract: Contract) -> bool:
    """Takes back that files were taken in batches that bronze no longer has, because its machine lost its power and with it
    the newest commit: they are pending again. Told by notes; True where there were some."""
    if not tables.exists(spark, FILES) or not tables.exists(spark, contract.bronze_table):
        return False
    noted = _noted(spark, contract)  # read first: bronze commits before its files are noted
    if noted is None or noted["batch"] <= (newest := _newest_batch(spark, contract)):
        return False
    with commit_note(spark, _files_note(contract, newest)):
        delete_where(spark, FILES, f"table_name = {literal(contract.table)} and batch > {newest}")
    return True


def _noted(spark: SparkSession, contract: Contract) -> dict[str, Any] | None:
    """The note of the batch whose files were noted last."""
    of_table = (note for _, note in notes(spark, FILES) if note.get("table") == contract.table)
    return next((note for note in of_table if note["kind"] == "files"), None)


def _files_note(contract: Contract, batch: int) -> dict[str, Any]:
    return {"kind": "files", "table": contract.table, "batch": batch}


def _files_turn(contract: Contract, batch: int) -> tables.Turn:
    """A batch's files are noted once: by who took them, or by who found them not noted."""
    return f"files:{contract.table}", batch
