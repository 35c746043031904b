"""A first contract for a data file: everything that the data itself can tell, for a person to review.

What rests on evidence says so in a comment that begins with `# review:`. No value of a column that seems to hold
personal data is written anywhere.
"""

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lakehouse.contracts.inference import ENOUGH, Guess, guess, snake
from lakehouse.contracts.known_types import with_type
from lakehouse.contracts.samples import ProfileError, Sample, read_sample

__all__ = ["ProfileError", "key_rank", "propose"]

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_ORDERING = (
    "updated_at",
    "modified_at",
    "last_updated",
    "last_modified",
    "update_time",
    "updated",
    "changed_at",
    "version",
)
_EVENTS = ("event", "events", "log", "logs", "clicks", "views", "readings", "measurements")
_KEY_WORDS = ("id", "key", "uuid", "guid", "code", "number", "no", "nr", "sku", "upc")


def propose(path: Path, source: str | None = None, table: str | None = None) -> str:
    """The YAML text of a whole contract for a CSV, JSON or Parquet file; it passes `lakehouse contract check`.

    Source and table default to what the path says (`<source>/<table>/<day>/<file>`), else to `files` and the file's
    name. Raises ProfileError where the file is missing, empty, binary or holds no record.
    """
    default_source, default_table = _names(path)
    return propose_sample(
        read_sample(path),
        snake(source, fallback="files") if source else default_source,
        snake(table, fallback="records") if table else default_table,
    )


def propose_sample(sample: Sample, source_name: str, table_name: str) -> str:
    """As `propose`, for records that were read already; source and table in snake case."""
    names: dict[str, str] = {}
    guesses: dict[str, Guess] = {}
    lowered: set[str] = set()
    for original, values in sample.columns.items():
        if original.lower() in lowered:
            sample.notes.append(f"{original!r} differs from another column only in capitals and is not declared")
            continue
        lowered.add(original.lower())
        name = snake(original, list(names.values()), fallback="column")
        names[original] = name
        guesses[original] = _guess(sample, original, name, values, table_name)
    keys, key_notes = _keys(sample, names, guesses, table_name)
    return render(sample, source_name, table_name, names, guesses, keys, key_notes)


def _names(path: Path) -> tuple[str, str]:
    parents = path.absolute().parents
    if len(parents) > 3 and _DAY.fullmatch(parents[0].name):
        return snake(parents[2].name, fallback="files"), snake(parents[1].name, fallback="records")
    stem = re.sub(r"[-_. ]?\d{4}-?\d{2}-?\d{2}.*$", "", path.name.partition(".")[0]) or "records"
    return "files", snake(stem, fallback="records")


def _guess(sample: Sample, original: str, name: str, values: Sequence[Any], table: str) -> Guess:
    found = guess(name, values, table, from_text=sample.kind == "csv")
    found.description = sample.descriptions.get(original, "")
    if original in sample.types:
        return with_type(found, sample.types[original])
    arrow = sample.arrow_types.get(original)
    if arrow is None:
        return found
    known = str(arrow)
    exact = {"bool": "boolean", "int8": "tinyint", "int16": "smallint", "int32": "int", "int64": "bigint"}
    exact |= {"float": "float", "double": "double", "date32[day]": "date"}
    logical = {"boolean": "boolean", "date": "date", "float": "number", "double": "number"}
    if known in exact:
        found.physical = exact[known]
        found.logical = logical.get(found.physical, "integer")
    elif known.startswith("decimal128"):
        found.physical = known.replace("decimal128", "decimal").replace(" ", "")
        found.logical = "number"
    elif known.startswith("timestamp"):
        found.physical, found.logical = "timestamp", "timestamp"
    return found


# --- keys ----------------------------------------------------------------------------------------------------------


def _keys(sample: Sample, names: dict[str, str], guesses: dict[str, Guess], table: str) -> tuple[list[str], list[str]]:
    """The source's names of the columns that identify a row, and what to say about the choice."""
    usable = [
        original
        for original, found in guesses.items()
        if found.logical not in ("array", "object", "boolean") and found.physical not in ("float", "double")
    ]
    if not usable:
        raise ProfileError(f"{sample.file} has no column that could identify a record. Add one to the source.")
    ranked = sorted(
        usable, key=lambda original: key_rank(names[original], guesses[original], table, usable.index(original))
    )
    filled = [original for original in ranked if guesses[original].required]
    for width in (1, 2, 3, 4):
        for chosen in itertools.combinations(filled[:10], width):
            repeats = _repeats(sample, chosen)
            if repeats == 0 or (sample.envelope and width == 1 and _named_like_key(names[chosen[0]], table)):
                return list(chosen), _key_notes(sample, chosen)
    if sample.rows == 0:
        return ranked[:1], ["the file has no records: the key is a guess by name"]
    best = (filled or ranked)[:1]
    repeats = _repeats(sample, best)
    return best, [
        f"NO KEY FOUND: no four columns together identify a record, and {names[best[0]]} repeats {repeats} times;",
        "records with equal keys replace each other, so name the columns that identify a row",
    ]


def _key_notes(sample: Sample, chosen: Sequence[str]) -> list[str]:
    if sample.envelope:
        return ["the key is a guess by name: change envelopes repeat it"]
    notes = [f"different in all {sample.rows} records"]
    if sample.rows < ENOUGH:
        notes.append(f"{sample.rows} records prove little")
    return notes


def key_rank(name: str, found: Guess, table: str, position: int) -> tuple[int, int, int]:
    """Sorts columns by how likely they identify a row of that table: by name, kind of value, and place."""
    personal = 1 if found.pii else 0
    kind = 2 if found.logical in ("timestamp", "number") else 1 if found.logical == "date" else 0
    return (0 if _named_like_key(name, table) else 1, personal + kind, position)


def _named_like_key(name: str, table: str) -> bool:
    return name.split("_")[-1] in _KEY_WORDS or name in (table, table.rstrip("s"))


def _repeats(sample: Sample, chosen: Sequence[str]) -> int:
    rows = list(zip(*(map(str, sample.columns[name]) for name in chosen), strict=True))
    return len(rows) - len(set(rows))


# --- the text ------------------------------------------------------------------------------------------------------


def render(
    sample: Sample,
    source: str,
    table: str,
    names: dict[str, str],
    guesses: dict[str, Guess],
    keys: list[str],
    key_notes: list[str],
) -> str:
    """The YAML of a contract: of the sample what it is and how it is written, of each column (by the source's name) its
    name here and what is known of it, and of the key what to say about it."""
    format_ = "csv" if sample.kind == "csv" else "json"
    purpose = sample.description or f"Records of {table.replace('_', ' ')} from {source}."
    told = "" if sample.kind == "declared" else f" ({sample.rows} records)"
    lines = [
        f"# A contract proposed from {_safe(sample.origin or sample.file.name)}{told}. Read every `review:` and",
        "# correct what could not be known; then try `lakehouse contract check`.",
        *(f"# review: {_safe(note)}" for note in sample.notes),
        "apiVersion: v3.1.0",
        "kind: DataContract",
        f"id: {source}.{table}",
        f"name: {_scalar(table.replace('_', ' ').capitalize())}",
        "version: 1.0.0",
        "status: active",
        f"domain: {_scalar(source)} # review: the business domain",
        "description:",
        f"  purpose: {_scalar(purpose)} # review: what for, for whom",
        "team:",
        "  name: Data # review: who answers for the table",
        "  members:",
        "    - {username: owner@example.com, role: owner} # review: alerts go to this address",
        "slaProperties:",
        *_sla(table, names, guesses),
        "customProperties:",
        "  - property: lakehouse",
        "    value:",
        f"      source: {_scalar(source)}",
        f"      format: {format_}{' # review: or csv' if sample.kind == 'declared' else ''}",
        *(f"      {line}" for line in _delivery(sample, table, names, guesses)),
        "      partition: daily # review: by day of arrival; weekly, monthly or none for little data",
        "      quarantine: {max_percent: 5} # review: more bad records than this block a batch",
    ]
    if sample.encoding != "utf-8":
        lines.append(f"      encoding: {sample.encoding} # review: judged by its bytes")
    if format_ == "csv":
        lines.append(f"      csv: {{delimiter: {json.dumps(sample.delimiter)}}}")
    grain = " and ".join(names[key] for key in keys)
    lines += [
        "schema:",
        f"  - name: {_scalar(table)}",
        f"    physicalName: {source}_{table}",
        "    logicalType: object",
        "    physicalType: table",
        f"    dataGranularityDescription: One row per {grain}.",
        "    properties:",
    ]
    for original, name in names.items():
        position = keys.index(original) + 1 if original in keys else None
        notes = key_notes if original == keys[0] else []
        lines += _column(
            original, name, guesses[original], position, notes, "      ", table, [names[key] for key in keys]
        )
    lines += [
        "    quality:",
        "      - {name: has_rows, type: library, metric: rowCount, mustBeGreaterThan: 0}",
    ]
    return "\n".join(lines) + "\n"


def _sla(table: str, names: dict[str, str], guesses: dict[str, Guess]) -> Iterator[str]:
    times = [name for original, name in names.items() if guesses[original].logical == "timestamp"]
    element = next((name for name in _ORDERING if name in times), None)
    where = f", element: {table}.{element}" if element else ""
    yield f"  - {{property: latency, value: 48, unit: h{where}}} # review: older than this is stale; half of it warns"
    yield "  - {property: frequency, value: 1, unit: d} # review: runs every hour (h), day (d) or week (w)"
    yield "  - {property: retention, value: 7, unit: y} # review: how long rows are kept"


def _delivery(sample: Sample, table: str, names: dict[str, str], guesses: dict[str, Guess]) -> list[str]:
    if sample.envelope:
        return [
            "delivery: changes # change envelopes, with op, before and after",
            f"sequence: [{sample.envelope}] # review: what orders the changes of a row",
            "lateness: 30d # review: records later than this are set aside",
        ]
    ordering = [
        name
        for wanted in _ORDERING
        for original, name in names.items()
        if name == wanted
        and guesses[original].required
        and guesses[original].logical in ("timestamp", "date", "integer")
    ]
    if ordering:
        return [
            "delivery: versions # review: each record is a newer version of its row",
            f"sequence: [{ordering[0]}] # review: the newest by this column counts",
            "lateness: 30d # review: records later than this are set aside",
        ]
    if any(word in _EVENTS for word in table.split("_")):
        return [
            "delivery: append # review: records that never change",
            "lateness: 30d # review: how late they may come",
        ]
    return [
        "delivery: versions # review: the record that arrived last counts; `snapshot` if each day brings the whole table,",
        "                   # `append` if records never change",
        "lateness: 30d # review: records later than this are set aside",
    ]


def _column(
    original: str,
    name: str,
    found: Guess,
    position: int | None,
    key_notes: Sequence[str],
    indent: str,
    table: str = "",
    keys: Sequence[str] = (),
    nested: bool = False,
) -> list[str]:
    lines = [f"name: {_scalar(name)}"]
    if original != name:
        lines.append(f"physicalName: {_scalar(original)}")
    lines += _type_lines(found)
    if found.description:
        lines.append(f"description: {_scalar(found.description)}")
    else:
        lines.append(f"description: {_scalar(name.replace('_', ' ').capitalize() + '.')} # review: what it means")
    if position is not None:
        lines += ["required: true", "primaryKey: true", f"primaryKeyPosition: {position}"]
        lines += [f"# review: {_safe(note)}" for note in key_notes]
    elif found.required and not nested:
        is_weak = found.declared_required is None and found.rows < ENOUGH
        weak = f" # review: filled in all of only {found.rows} records" if is_weak else ""
        lines.append(f"required: true{weak}")
    if found.unique and not nested and keys != [name]:
        lines.append("unique: true")
    options = {key: value for key, value in found.options.items() if not (position and key in ("minimum", "maximum"))}
    if options:
        shown = ", ".join(f"{key}: {_scalar(value)}" for key, value in options.items())
        lines.append(f"logicalTypeOptions: {{{shown}}}")
    mask = _pii(found)
    lines.append(f"classification: {'pii' if found.pii or mask else 'internal'}")
    pii = None if nested else mask  # a field is masked with the whole column that holds it
    own = f"mask: {pii}" if pii else ""
    if not own and found.logical == "array" and found.fields and not nested:
        own = f"childTable: {table}_{name}"
    if own:
        lines += ["customProperties:", "  - property: lakehouse"]
        comment = " # review: judged by its name and values" if pii else " # review: a view with a row for each element"
        lines.append(f"    value: {{{own}}}{comment}")
    lines += [
        f"# review: {_safe(note)}" for note in found.notes if position is None or found.declared_required is not None
    ]
    if found.accepted and position is None and not nested:
        lines += [
            "quality:",
            f"  - name: {name}_accepted",
            "    type: library",
            "    metric: invalidValues",
            f"    arguments: {{validValues: [{', '.join(_scalar(value) for value in found.accepted)}]}}",
            "    mustBe: 0",
        ]
    if found.item is not None:
        lines.append("items:")
        lines += [f"  {line}" for line in _type_lines(found.item)]
        lines += [f"  {line}" for line in _below(found.item, name, keys)]
    elif found.logical == "object":
        lines += _below(found)
    return [f"{indent}- {lines[0]}", *(f"{indent}  {line}" for line in lines[1:])]


def _below(found: Guess, holder: str = "", keys: Sequence[str] = ()) -> list[str]:
    """The lines for what lies below; a field named like a key column, which a child table also has, gets a longer name."""
    if found.item is not None:
        return ["items:", *(f"  {line}" for line in (*_type_lines(found.item), *_below(found.item)))]
    if not found.fields:
        return []
    lines, taken, lowered = ["properties:"], list[str](), set[str]()
    for original, child in found.fields.items():
        if original.lower() in lowered:
            lines.append(f"  # review: {_safe(repr(original))} differs from another field only in capitals")
            continue
        lowered.add(original.lower())
        name = snake(original, taken, fallback="field")
        taken.append(snake(f"{holder} {name}", [*taken, *keys]) if name in keys else name)
        lines += _column(original, taken[-1], child, None, (), "  ", nested=True)
    return lines


def _type_lines(found: Guess) -> list[str]:
    return [f"logicalType: {found.logical}", *([f"physicalType: {found.physical}"] if found.physical else [])]


def _pii(found: Guess) -> str | None:
    """The mask of a whole column: its own, or `redact` where a field inside it holds personal data."""
    if found.pii and found.logical not in ("array", "object"):
        return found.pii
    below = [*found.fields.values(), *([found.item] if found.item else [])]
    return "redact" if any(_pii(child) for child in below) else None


def _scalar(value: object) -> str:
    """A value as YAML: plain where that cannot be misread, else in double quotes."""
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    text = str(value)
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*( [A-Za-z0-9_]+)*\.?", text) and not re.fullmatch(
        r"(?i)(true|false|null|yes|no|on|off|y|n)", text
    ):
        return text
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(sign: str) -> str:
    """A sign inside double quotes; a lone surrogate, which no file can hold, becomes the replacement character."""
    if sign in '"\\':
        return f"\\{sign}"
    if sign.isprintable():
        return sign
    code = ord(sign)
    if 0xD800 <= code <= 0xDFFF:
        return "\ufffd"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _safe(text: str) -> str:
    """Text fit for a comment of one line."""
    return "".join(sign if sign.isprintable() else " " for sign in text)
