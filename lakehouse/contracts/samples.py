"""A data file as plain Python values, for profiling: what it holds, and how it is written. No Spark."""

import csv
import io
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 100_000
"""So many records are looked at; the rest of a larger file is not read."""
BYTES = 256 * 1024 * 1024

_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_DELIMITERS = ",;\t|"


class ProfileError(Exception):
    """A file that no contract can be proposed for; the text names the file, what is wrong and what to do."""


@dataclass(slots=True)
class Sample:
    """The first records of a file."""

    file: Path
    kind: Literal["csv", "json", "parquet", "declared"]
    """`declared`: its columns are known from elsewhere, and no values."""
    columns: dict[str, list[Any]]
    """The source's column names, in order, each with its values; None where a value is missing."""
    rows: int
    encoding: str = "utf-8"
    delimiter: str = ","
    envelope: str | None = None
    """Where the records came in change envelopes: the path in them that orders changes."""
    arrow_types: dict[str, pa.DataType] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    """Spark SQL types, where they are known."""
    descriptions: dict[str, str] = field(default_factory=dict)
    """What columns mean, where somebody has said so."""
    description: str = ""
    """What the records are, where somebody has said so."""
    origin: str = ""
    """What a person calls that which the records come from; empty: the file's name."""
    notes: list[str] = field(default_factory=list)
    """What a person should know about the file before trusting the proposal."""


def read_sample(path: Path) -> Sample:
    """The first records of a CSV, JSON (one document a line, or one array) or Parquet file, told apart by content.

    Raises ProfileError where the file is missing, empty, binary or holds no record at all.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(BYTES + 1)
    except OSError as error:
        raise ProfileError(f"{path} cannot be read: {error.strerror}. Check the path and its permissions.") from error
    if not raw.strip(b"\xef\xbb\xbf\xff\xfe \t\r\n\x00"):
        raise ProfileError(f"{path} is empty. Give a file with at least a header, better some hundred records.")
    if raw[:4] == b"PAR1":
        return _parquet(path)
    text, encoding = _decode(path, raw[:BYTES])
    cut = len(raw) > BYTES
    if cut:
        text = text[: text.rfind("\n") + 1]
    sample = _json(path, text) if text.lstrip()[:1] in ("{", "[") else _csv(path, text)
    sample.encoding = encoding
    if cut:
        sample.notes.append(f"only the first {BYTES // 1024 // 1024} MiB were read")
    return sample


def _decode(path: Path, raw: bytes) -> tuple[str, str]:
    for mark, encoding in _BOMS:
        if raw.startswith(mark):
            try:
                return raw.decode(encoding), "utf-8" if encoding == "utf-8-sig" else encoding
            except UnicodeDecodeError as error:
                raise ProfileError(f"{path} begins like {encoding} but is not. Save it as UTF-8.") from error
    if b"\x00" in raw[:65536]:
        raise ProfileError(f"{path} is binary. Give a CSV, JSON or Parquet file, unpacked.")
    try:
        return raw.decode("utf-8"), "utf-8"
    except UnicodeDecodeError as error:
        if error.end >= len(raw) - 3 and len(raw) >= BYTES:
            return raw[: error.start].decode("utf-8"), "utf-8"
    controls = sum(byte < 32 and byte not in (9, 10, 12, 13) for byte in raw[:65536])
    if controls > len(raw[:65536]) / 100:
        raise ProfileError(f"{path} is binary. Give a CSV, JSON or Parquet file, unpacked.")
    if any(0x80 <= byte <= 0x9F for byte in raw):
        return raw.decode("cp1252", errors="replace"), "windows-1252"
    return raw.decode("latin-1"), "iso-8859-1"


# --- CSV -----------------------------------------------------------------------------------------------------------


def _csv(path: Path, text: str) -> Sample:
    delimiter = _delimiter(text)
    reader = _rows(path, text, delimiter)
    header = next(reader, [])
    notes: list[str] = []
    names: dict[str, int] = {}
    for index, cell in enumerate(header):
        if cell in names:
            notes.append(f"the header {cell!r} occurs twice; only the first is declared, so rename one in the source")
        elif not cell.strip():
            notes.append(f"column {index + 1} has no name; it is not declared, so name it in the source")
        else:
            names[cell] = index
    if not names:
        raise ProfileError(f"{path} has no header. Write the columns' names in its first line.")
    if all(_like_data(cell) for cell in header):
        notes.append("the first line looks like data; a header with the columns' names is needed")
    columns: dict[str, list[Any]] = {name: [] for name in names}
    rows = ragged = 0
    for row in reader:
        if not row:
            continue
        if rows == ROWS:
            notes.append(f"only the first {ROWS} records were looked at")
            break
        rows += 1
        ragged += len(row) != len(header)
        for name, index in names.items():
            value = row[index] if index < len(row) else ""
            columns[name].append(value if value != "" else None)
    if ragged:
        notes.append(f"{ragged} of {rows} records have more or fewer fields than the header")
    return Sample(path, "csv", columns, rows, delimiter=delimiter, notes=notes)


def _rows(path: Path, text: str, delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(2**31 - 1)
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    except csv.Error as error:
        raise ProfileError(f"{path} cannot be read as CSV: {error}. Check quotes and line ends.") from error


def _delimiter(text: str) -> str:
    """The sign that cuts the first lines into the most fields, as many on each line."""
    best, best_score = ",", 1.0
    for sign in _DELIMITERS:
        lengths = _lengths(text[:100_000], sign)
        if not lengths or lengths[0] < 2:
            continue
        steady = sum(length == lengths[0] for length in lengths) / len(lengths)
        score = lengths[0] * steady**3
        if score > best_score:
            best, best_score = sign, score
    return best


def _lengths(head: str, sign: str) -> list[int]:
    """How many fields each of the first records has, cut by that sign; none where that is no CSV at all."""
    try:
        rows = (row for row in csv.reader(io.StringIO(head, newline=""), delimiter=sign) if row)
        return [len(row) for row in itertools.islice(rows, 50)]
    except csv.Error:
        return []


def _like_data(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


# --- JSON ----------------------------------------------------------------------------------------------------------


def _json(path: Path, text: str) -> Sample:
    notes: list[str] = []
    records, bad = _documents(text, notes)
    if not records:
        reason = f"none of its {bad} lines is a JSON object" if bad else "it holds no record"
        raise ProfileError(f"{path}: {reason}. Write one JSON object a line.")
    if bad:
        notes.append(f"{bad} of {bad + len(records)} lines are no JSON object; such lines are kept as rejected")
    records, envelope = _unwrap(records)
    columns: dict[str, list[Any]] = {}
    for record in records:
        for name in record:
            columns.setdefault(name, [])
    for name, values in columns.items():
        values.extend(record.get(name) for record in records)
    if not columns:
        raise ProfileError(f"{path}: its objects have no fields. Write one JSON object with fields a line.")
    if "" in columns:
        del columns[""]
        notes.append("a field without a name is not declared")
    return Sample(path, "json", columns, len(records), envelope=envelope, notes=notes)


def _documents(text: str, notes: list[str]) -> tuple[list[dict[str, Any]], int]:
    """The objects in the text, and how many lines (or elements) are none."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        whole = None
    if isinstance(whole, list):
        notes.append("the file is one JSON array; land one object a line instead")
        records = [item for item in whole[:ROWS] if isinstance(item, dict)]
        return records, len(whole[:ROWS]) - len(records)
    if isinstance(whole, dict):
        if text.strip().count("\n"):
            notes.append("the file is one JSON object over several lines; land one object a line instead")
        return [whole], 0
    records, bad = [], 0
    for line in text.split("\n"):
        if not line.strip():
            continue
        if len(records) == ROWS:
            notes.append(f"only the first {ROWS} records were looked at")
            break
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if isinstance(record, dict):
            records.append(record)
        else:
            bad += 1
    return records, bad


def _unwrap(records: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str | None]:
    """The rows inside Debezium-style change envelopes, and what orders them; other records as they are."""
    if not all("op" in record and ("after" in record or "before" in record) for record in records):
        return records, None
    rows = [record.get("after") or record.get("before") for record in records]
    sources = [record.get("source") for record in records]
    for name in ("lsn", "pos", "scn", "ts_ms"):
        if all(isinstance(source, dict) and source.get(name) is not None for source in sources):
            return [row for row in rows if isinstance(row, dict)], f"source.{name}"
    return [row for row in rows if isinstance(row, dict)], "ts_ms"


# --- Parquet -------------------------------------------------------------------------------------------------------


def _parquet(path: Path) -> Sample:
    try:
        file = pq.ParquetFile(path)
        batches = []
        rows = 0
        for batch in file.iter_batches(batch_size=10_000):
            batches.append(batch.slice(0, ROWS - rows))
            rows += len(batches[-1])
            if rows >= ROWS:
                break
        table = pa.Table.from_batches(batches, schema=file.schema_arrow)
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ProfileError(f"{path} cannot be read as Parquet: {reason}. Write it again.") from error
    notes = ["landing takes json and csv: land the rows as JSON, one object a line, with these names"]
    if file.metadata.num_rows > rows:
        notes.append(f"only the first {rows} of {file.metadata.num_rows} records were looked at")
    names = table.column_names
    for name in sorted({name for name in names if names.count(name) > 1}):
        notes.append(f"the column {name!r} occurs twice; only the first is declared, so rename one in the source")
    columns = {name: table.column(names.index(name)).to_pylist() for name in dict.fromkeys(names) if name.strip()}
    if not columns:
        raise ProfileError(f"{path} has no columns. Give a file with at least one.")
    types = {name: table.schema.field(names.index(name)).type for name in columns}
    return Sample(path, "parquet", columns, table.num_rows, arrow_types=types, notes=notes)
