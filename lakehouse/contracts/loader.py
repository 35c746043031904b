"""Contract files in, `Contract` objects out, or every problem with its file, line and remedy."""

import codecs
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, cast

from lakehouse.contracts import application, arrival, scoring, servers, spark_sql
from lakehouse.contracts.changelog import missing_entries, read_changelog
from lakehouse.contracts.columns import read_columns
from lakehouse.contracts.document import Document, Where, read
from lakehouse.contracts.model import (
    Cadence,
    Column,
    Contract,
    Delivery,
    Format,
    History,
    Origin,
    Partition,
    Rewritten,
    Status,
    UnknownFields,
)
from lakehouse.contracts.odcs import check_structure
from lakehouse.contracts.problems import ContractError, Problem, choose
from lakehouse.contracts.rules import compile_rules, percent
from lakehouse.contracts.values import check_name, duration, entries, mapping, number, one_of, own, text
from lakehouse.contracts.watch import read_watch
from lakehouse.settings import Settings

__all__ = ["SAMPLE", "ContractError", "Problem", "check", "contract_files", "load", "load_all"]

SAMPLE = Path(__file__).parent / "tables"
"""The contracts of the sample shop."""

STATUSES = ("proposed", "draft", "active", "deprecated", "retired")
DELIVERIES = ("versions", "changes", "snapshot", "append")
FORMATS = ("json", "csv")
HISTORIES = ("current", "full")
REWRITTEN = ("ignore", "re-ingest", "fail")
UNKNOWN_FIELDS = ("rescue", "add", "fail")
PARTITIONS = ("daily", "weekly", "monthly", "none")
OWN_KEYS = (
    *(
        "source",
        "format",
        "delivery",
        "sequence",
        "lateness",
        "history",
        "partition",
        "start",
        "quarantine",
        "max_missing_percent",
        "encoding",
    ),
    "csv",
    "rewritten_files",
    *application.OWN_KEYS,
    *scoring.OWN_KEYS,
    *arrival.OWN_KEYS,
    "unknown_fields",
    "changelog",
    "anomalies",
)
SLAS = ("latency", "frequency", "retention")
CADENCES: dict[timedelta, Cadence] = {
    timedelta(hours=1): "hourly",
    timedelta(days=1): "daily",
    timedelta(weeks=1): "weekly",
}
ENCODINGS = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8",
    "ascii": "US-ASCII",
    "iso8859-1": "ISO-8859-1",
    "iso8859-15": "ISO-8859-15",
    "cp1252": "windows-1252",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16LE",
    "utf-16-be": "UTF-16BE",
}
"""Python's names of the encodings that may be declared, each with Java's."""

_ENVELOPE = re.compile(r"(source|transaction)\.[A-Za-z_]\w*|ts_(ms|us|ns)")
_ENVELOPE_TEXTS = frozenset(
    {
        "transaction.id",
        *("source.version", "source.connector", "source.name", "source.snapshot", "source.sequence", "source.query"),
        *("source.db", "source.schema", "source.table", "source.collection", "source.rs"),
        *("source.gtid", "source.file"),  # MySQL
        *("source.change_lsn", "source.lcr_position", "source.rs_id", "source.row_id", "source.user_name"),  # others
    }
)
"""What Debezium's connectors write as text in an event: nothing could be ordered by it, and every record would be refused."""
_HISTORY_COLUMNS = ("valid_from", "valid_to", "is_current")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


def load(path: Path) -> Contract:
    """Read and validate one file. Raises ContractError with all its problems; other contracts are not looked at."""
    contract, problems = _load(path)
    if contract is None or problems:
        raise ContractError(problems)
    return contract


def load_all(settings: Settings) -> dict[str, Contract]:
    """All contracts of these settings by table name, in order of name.

    Raises ContractError with the problems of all files together, among them what only shows across files: tables
    declared twice and relations that lead nowhere. Reads the files anew on each call.
    """
    contracts, problems = _load_many(contract_files(settings), _missing_folders(settings))
    if problems:
        raise ContractError(problems)
    return {contract.table: contract for contract in sorted(contracts, key=lambda contract: contract.table)}


def check(paths: Iterable[Path], settings: Settings | None = None) -> list[Problem]:
    """The problems of these files, in order.

    With settings, relations may also lead to the contracts that they name, whose own problems are not reported.
    """
    own_files = list(paths)
    problems: list[Problem] = []
    files: list[Path] = []
    for path in own_files:
        found = files_in(path, settings)
        if not found:
            problems.append(
                Problem(path, 1, "", "there is no contract here", "Name a .yaml file, or a folder with some")
            )
        files += found
    others = list(contract_files(settings)) if settings else []
    known = {real(path) for path in files}
    _, found_problems = _load_many([*files, *(path for path in others if real(path) not in known)], problems)
    return sorted({problem for problem in found_problems if problem.file in files or problem in problems})


def contract_files(settings: Settings) -> list[Path]:
    """The files that these settings name: the sample's, if it is wanted, and all below the settings' folders."""
    folders = [*([SAMPLE] if settings.sample else []), *settings.contracts]
    found = [path for folder in folders for path in files_in(folder, settings)]
    return list({real(path): path for path in found}.values())


def table_names(settings: Settings, more: Iterable[Path] = ()) -> list[str]:
    """The tables of these settings' contracts, and of those at or below more paths, in order; of a contract with problems
    as far as it says. Raises nothing."""
    files = {*contract_files(settings), *(file for path in more for file in files_in(path, settings))}
    contracts = [contract for contract, _ in map(_load, files) if contract is not None]
    return sorted({contract.table for contract in contracts if contract.source and contract.name})


def files_in(path: Path, settings: Settings | None = None) -> list[Path]:
    """The contract files at or below a path, hidden ones and the settings' calendar of special days left out; empty where
    there is nothing."""
    if path.is_file():
        return [path]
    found = (*path.rglob("*.yaml"), *path.rglob("*.yml"))
    calendar = real(settings.calendar_file) if settings else None
    return sorted(
        file
        for file in found
        if not any(part.startswith(".") for part in file.relative_to(path).parts) and real(file) != calendar
    )


def real(path: Path) -> Path:
    """The path without links, to compare it with others. Raises nothing, which `Path.resolve` does where links go round."""
    return Path(os.path.realpath(path))


def _missing_folders(settings: Settings) -> list[Problem]:
    remedy = "Create it, or correct LAKEHOUSE_CONTRACTS"
    return [
        Problem(folder, 1, "", "this folder of contracts does not exist", remedy)
        for folder in settings.contracts
        if not folder.exists()
    ]


def _load_many(files: Iterable[Path], problems: list[Problem]) -> tuple[list[Contract], list[Problem]]:
    contracts: list[Contract] = []
    found = list(problems)
    for path in files:
        contract, faults = _load(path)
        found += faults
        if contract:
            contracts.append(contract)
    return contracts, found + _across(contracts)


def _load(path: Path) -> tuple[Contract | None, list[Problem]]:
    """The contract as far as it could be read, and what is wrong with it."""
    try:
        document = read(path)
    except ContractError as error:
        return None, error.problems
    check_structure(document)
    tables = entries(document.data, "schema")
    if len(tables) != 1:
        message = f"a contract describes one table, and {len(tables)} are found"
        document.add(("schema",), message, "Write one file for each table")
    if not tables:
        return None, sorted(document.problems)
    contract = _contract(document, ("schema", tables[0][0]), tables[0][1])
    return contract, sorted(document.problems)


def _contract(document: Document, where: Where, table: dict[str, Any]) -> Contract:
    data = document.data
    place, settings = own(document, (), data, OWN_KEYS)
    if not settings:
        document.add(
            ("customProperties",), "the custom property `lakehouse` is missing", "Add it with source, format, delivery"
        )
    source, name = text(settings, "source") or "", text(table, "name") or ""
    if settings and not source:
        document.add(place, "`source` is missing", "Add `source:`, the table's folder in landing")
    if source:
        check_name(document, (*place, "source"), source, "source")
    if name:
        check_name(document, (*where, "name"), name, "table")
    _table(document, where, table, f"{source}_{name}")
    one_of(document, ("status",), data.get("status", "active"), STATUSES, "status")
    columns = read_columns(document, where, table)
    way = _delivery(document, place, settings, columns)
    applied = application.read_application(document, place, settings, columns, way.delivery, way.history)
    sla = _sla(document, columns)
    rules, checks = compile_rules(document, where, table, columns, f"{source}_{name}")
    team, owner = _team(document)
    return Contract(
        file=document.file,
        id=text(data, "id") or "",
        source=source,
        name=name,
        title=text(data, "name") or name,
        version=text(data, "version") or "",
        status=cast(Status, data.get("status", "active")),
        description=_description(document),
        grain=_grain(document, where, table),
        domain=text(data, "domain"),
        owner=owner,
        team=team,
        tags=tuple(str(tag) for tag in data.get("tags") or () if isinstance(data.get("tags"), list)),
        columns=columns,
        delivery=way.delivery,
        sequence=way.sequence,
        format=way.format,
        encoding=_encoding(document, place, settings),
        csv_delimiter=_delimiter(document, place, settings, way.format),
        lateness=_lateness(document, place, settings),
        history=way.history,
        partition=way.partition,
        start=_start(document, place, settings),
        unknown_fields=cast(
            UnknownFields, _word(document, place, settings, "unknown_fields", UNKNOWN_FIELDS, "rescue") or "rescue"
        ),
        rewritten_files=cast(
            Rewritten, _word(document, place, settings, "rewritten_files", REWRITTEN, "ignore") or "ignore"
        ),
        max_quarantined_percent=_max_percent(document, place, settings),
        max_missing_percent=_max_missing(document, place, settings, way.delivery),
        quarantine_warn=_quarantine_warn(document, place, settings),
        freshness_warn=sla.latency / 2 if sla.latency else None,
        freshness_fail=sla.latency,
        freshness_column=sla.column,
        cadence=sla.cadence,
        timetable=arrival.read_timetable(document, place, settings, sla.cadence),
        after=arrival.read_after(document, place, settings),
        health=arrival.read_health(document, place, settings),
        retention=sla.retention,
        rules=rules,
        checks=checks,
        origin=_origin(document, way.delivery, name),
        delete_when=applied.delete_when,
        truncate_when=applied.truncate_when,
        tracked_columns=applied.tracked_columns,
        untracked_columns=applied.untracked_columns,
        ignore_nulls=applied.ignore_nulls,
        partial_rows=applied.partial_rows,
        score=scoring.read_scoring(document, place, settings),
        changelog=read_changelog(document, place, settings),
        anomalies=read_watch(document, place, settings, columns),
        line=document.line(where),
    )


def _origin(document: Document, delivery: Delivery, name: str) -> Origin | None:
    """Only changes are captured; a server that another delivery names is read by people."""
    origin = servers.read_origin(document, name)
    return origin if delivery == "changes" else None


def _table(document: Document, where: Where, table: dict[str, Any], full_name: str) -> None:
    physical = text(table, "physicalName")
    if physical and physical != full_name:
        document.add(
            (*where, "physicalName"), f"physicalName `{physical}` is not source and name", f"Write `{full_name}`"
        )
    if table.get("logicalType", "object") != "object":
        document.add((*where, "logicalType"), "a table's logicalType is object", "Write `logicalType: object`")


def _description(document: Document) -> str:
    description = mapping(document.data, "description")
    if not text(description, "purpose"):
        document.add(("description",), "the purpose of the table is missing", "Add `description: {purpose: …}`")
    parts = [text(description, key) for key in ("purpose", "usage", "limitations")]
    return "\n\n".join(part for part in parts if part)


def _grain(document: Document, where: Where, table: dict[str, Any]) -> str:
    grain = text(table, "dataGranularityDescription")
    if not grain:
        remedy = "Add `dataGranularityDescription: One row per …`"
        document.add(where, "it is not said what one row is", remedy)
    return grain or ""


def _team(document: Document) -> tuple[str, str]:
    team = mapping(document.data, "team")
    where: Where = ("team",)
    if isinstance(document.data.get("team"), list):
        document.add(where, "a list of members is the old form of a team", "Write `team: {name: …, members: […]}`")
        return "", ""
    owners = [
        (index, text(member, "username") or "")
        for index, member in entries(team, "members")
        if member.get("role") == "owner"
    ]
    if not owners:
        document.add(
            where, "the table has no owner", "Add a member with a `username:` (e-mail address) and `role: owner`"
        )
    for index, username in owners:
        if not _EMAIL.fullmatch(username):
            place = (*where, "members", index, "username")
            document.add(place, f"the owner `{username}` is no e-mail address", "Write one; alerts go there")
    if team and not text(team, "name"):
        document.add(where, "the team has no name", "Add `name:`")
    return text(team, "name") or "", owners[0][1] if owners else ""


# --- how changes arrive --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Way:
    delivery: Delivery
    sequence: tuple[str, ...]
    format: Format
    history: History
    partition: Partition | None


def _delivery(document: Document, place: Where, settings: dict[str, Any], columns: tuple[Column, ...]) -> _Way:
    delivery = _word(document, place, settings, "delivery", DELIVERIES, None)
    format_ = _word(document, place, settings, "format", FORMATS, None)
    history = _word(document, place, settings, "history", HISTORIES, "current")
    partition = _word(document, place, settings, "partition", PARTITIONS, "none")
    if delivery == "changes" and format_ == "csv":
        document.add((*place, "format"), "change envelopes cannot arrive as csv", "Write `format: json`")
    if delivery == "append" and history == "full":
        document.add((*place, "history"), "appended events have no history", "Write `history: current`")
    if format_ == "csv":
        for index, column in enumerate(columns):
            if not spark_sql.is_scalar(column.type):
                at = ("schema", 0, "properties", index)
                message = f"`{column.name}` is {column.type.partition('<')[0]}, which csv cannot hold"
                document.add(at, message, "Use format json, or declare it as string")
    if history == "full":
        for column in columns:
            if column.name in _HISTORY_COLUMNS:
                message = f"the column `{column.name}` is made by `history: full`"
                document.add(("schema", 0, "properties"), message, "Rename it; physicalName keeps the source's name")
    return _Way(
        delivery=cast(Delivery, delivery or "versions"),
        sequence=_sequence(document, place, settings, columns, delivery),
        format=cast(Format, format_ or "json"),
        history=cast(History, history or "current"),
        partition=None if partition in ("none", None) else cast(Partition, partition),
    )


def _word(
    document: Document, place: Where, settings: dict[str, Any], key: str, known: tuple[str, ...], default: str | None
) -> str | None:
    if settings.get(key) is None:
        if default is None and settings:
            document.add(place, f"`{key}` is missing", f"Add `{key}:`, one of {', '.join(known)}")
        return default
    return one_of(document, (*place, key), settings[key], known, key)


def _sequence(
    document: Document, place: Where, settings: dict[str, Any], columns: tuple[Column, ...], delivery: str | None
) -> tuple[str, ...]:
    where = (*place, "sequence")
    value = settings.get("sequence", [])
    names = value if isinstance(value, list) else [value]
    if not isinstance(value, list) or not all(isinstance(name, str) for name in names):
        document.add(where, f"`sequence` is a list of columns, and `{value}` is found", "Write it as `[updated_at]`")
        return ()
    if len(set(names)) != len(names):
        document.add(where, "`sequence` names a column twice", "Remove one")
    if delivery == "snapshot" and names:
        document.add(where, "snapshots are ordered by their day of arrival", "Remove `sequence:`")
    if delivery == "changes":
        _envelope_sequence(document, where, place, names)
    elif delivery in ("versions", "append"):
        for index, name in enumerate(names):
            _sequence_column(document, (*where, index), name, columns)
    return tuple(names)


def _envelope_sequence(document: Document, where: Where, place: Where, names: list[str]) -> None:
    if not names:
        remedy = (
            "Add `sequence: [source.commit_lsn, source.lsn]`, where its transaction was committed and where it was written"
            if servers.is_captured(document)
            else "Add `sequence: [source.lsn]`, the place in the source's log"
        )
        document.add(place, "changes need a sequence to be ordered by", remedy)
    for index, name in enumerate(names):
        if not _ENVELOPE.fullmatch(name):
            remedy = "Write a path such as `source.lsn`, or `ts_ms`"
            document.add((*where, index), f"`{name}` is no place in a change envelope", remedy)
        elif name in _ENVELOPE_TEXTS:
            remedy = "Name a whole number, such as `source.lsn`, `source.pos` or `ts_ms`"
            document.add((*where, index), f"`{name}` is text, and changes are ordered by numbers", remedy)


def _sequence_column(document: Document, where: Where, name: str, columns: tuple[Column, ...]) -> None:
    column = next((column for column in columns if column.name == name), None)
    if column is None:
        known = [column.name for column in columns]
        document.add(where, f"the sequence `{name}` is no column of this table", choose(name, known))
    elif not spark_sql.is_scalar(column.type):
        document.add(where, f"the sequence `{name}` is {column.type}, which has no order", "Choose another column")
    elif not column.required:
        remedy = "Write `required: true` at that column: a record without it has no place in the order"
        document.add(where, f"the sequence `{name}` may be null", remedy)


def _lateness(document: Document, place: Where, settings: dict[str, Any]) -> timedelta:
    written = settings.get("lateness", "30d")
    span = duration(written) if isinstance(written, str) else None
    if span is None or span <= timedelta(0):
        document.add((*place, "lateness"), f"lateness cannot be `{written}`", "Write a time such as 30d, 12h or 2w")
        return timedelta(days=30)
    return span


def _start(document: Document, place: Where, settings: dict[str, Any]) -> date | None:
    written = settings.get("start")
    if written is None:
        return None
    try:
        return date.fromisoformat(str(written))
    except ValueError:
        document.add((*place, "start"), f"start cannot be `{written}`", "Write a day such as 2025-11-24")
        return None


def _max_percent(document: Document, place: Where, settings: dict[str, Any]) -> float:
    where = (*place, "quarantine")
    value = settings.get("quarantine", {})
    if not isinstance(value, dict):
        document.add(where, f"quarantine cannot be `{value}`", "Write `quarantine: {max_percent: 5}`")
        return 5.0
    for key in value:
        if key not in ("max_percent", "warn_after"):
            document.add((*where, key), f"`{key}` is unknown to quarantine", choose(key, ["max_percent", "warn_after"]))
    share = percent(document, (*where, "max_percent"), value.get("max_percent"))
    return 5.0 if share is None else share


def _max_missing(document: Document, place: Where, settings: dict[str, Any], delivery: str) -> float:
    where = (*place, "max_missing_percent")
    written = settings.get("max_missing_percent")
    if written is not None and delivery != "snapshot":
        document.add(where, "rows can be missing from a snapshot alone", "Remove `max_missing_percent:`")
    share = percent(document, where, written)
    return 50.0 if share is None else share


def _quarantine_warn(document: Document, place: Where, settings: dict[str, Any]) -> timedelta:
    value = settings.get("quarantine", {})
    written = value.get("warn_after", "7d") if isinstance(value, dict) else "7d"
    span = duration(written) if isinstance(written, str) else None
    if span is None or span <= timedelta(0):
        where = (*place, "quarantine", "warn_after")
        document.add(where, f"warn_after cannot be `{written}`", "Write a time such as 7d, 12h or 2w")
        return timedelta(days=7)
    return span


def _encoding(document: Document, place: Where, settings: dict[str, Any]) -> str:
    written = settings.get("encoding", "utf-8")
    try:
        return ENCODINGS[codecs.lookup(str(written)).name]
    except (LookupError, ValueError):
        remedy = f"Choose one of {', '.join(sorted(set(ENCODINGS.values())))}"
        document.add((*place, "encoding"), f"the encoding `{written}` is unknown", remedy)
        return "UTF-8"


def _delimiter(document: Document, place: Where, settings: dict[str, Any], format_: str) -> str:
    where = (*place, "csv")
    if "csv" not in settings:
        return ","
    value = settings["csv"]
    if format_ != "csv":
        document.add(where, f"`csv` has no meaning for format {format_}", "Remove it")
    if not isinstance(value, dict):
        document.add(where, f"csv cannot be `{value}`", 'Write `csv: {delimiter: ";"}`')
        return ","
    for key in value:
        if key != "delimiter":
            document.add((*where, key), f"`{key}` is unknown to csv", choose(key, ["delimiter"]))
    delimiter = value.get("delimiter", ",")
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\\\r\n':
        document.add(
            (*where, "delimiter"), f"the delimiter cannot be `{delimiter}`", 'Write one sign, such as ";" or "\\t"'
        )
        return ","
    return delimiter


# --- service levels ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Sla:
    latency: timedelta | None = None
    column: str | None = None
    cadence: Cadence | None = None
    retention: timedelta | None = None


def _sla(document: Document, columns: tuple[Column, ...]) -> _Sla:
    sla = _Sla()
    if "slaDefaultElement" in document.data:
        document.add(("slaDefaultElement",), "`slaDefaultElement` is not used", "Write `element:` at the SLA")
    seen: set[str] = set()
    for index, data in entries(document.data, "slaProperties"):
        where: Where = ("slaProperties", index)
        kind = data.get("property")
        if kind is None or one_of(document, (*where, "property"), kind, SLAS, "the property of an SLA") is None:
            continue
        if kind in seen:
            document.add(where, f"the SLA `{kind}` is given twice", "Remove one")
        seen.add(kind)
        value = number(data.get("value"))
        span = duration(value if value is not None else "", data.get("unit"))
        if span is None or span <= timedelta(0):
            shown = f"{data.get('value')} {data.get('unit') or '(no unit)'}"
            document.add(where, f"the SLA `{kind}` cannot be `{shown}`", "Write `value: 24` and `unit: h` (or d, w, y)")
        elif kind == "latency":
            sla.latency = span
        elif kind == "retention":
            sla.retention = span
        else:
            sla.cadence = _cadence(document, where, span)
        if kind == "latency":
            sla.column = _freshness_column(document, where, data, columns)
        for key in ("schedule", "scheduler", "valueExt"):
            if key in data:
                document.add((*where, key), f"`{key}` is not used", "Remove it: `frequency` decides the schedule")
    return sla


def _cadence(document: Document, where: Where, span: timedelta) -> Cadence | None:
    if span not in CADENCES:
        document.add(
            where, "the frequency is neither an hour, a day nor a week", "Write `value: 1` and `unit: h`, d or w"
        )
    return CADENCES.get(span)


def _freshness_column(
    document: Document, where: Where, data: dict[str, Any], columns: tuple[Column, ...]
) -> str | None:
    element = text(data, "element")
    if element is None:
        return None
    name = element.rpartition(".")[2]
    column = next((column for column in columns if column.name == name), None)
    times = [column.name for column in columns if column.type in ("date", "timestamp")]
    if column is None:
        remedy = choose(name, times) if times else "Remove it: the table has no column of time"
        document.add((*where, "element"), f"the element `{element}` is no column of this table", remedy)
    elif column.type not in ("date", "timestamp"):
        remedy = choose(name, times) if times else "Remove it: the table has no column of time"
        document.add((*where, "element"), f"the element `{element}` is {column.type}, not a time", remedy)
    return name if name in times else None


# --- across files --------------------------------------------------------------------------------------------------


def _across(contracts: list[Contract]) -> list[Problem]:
    problems: list[Problem] = []
    tables: dict[str, Contract] = {}
    ids: dict[str, Contract] = {}
    for contract in contracts:
        if not contract.source or not contract.name:
            continue
        for kind, key, seen in (("table", contract.table, tables), ("id", contract.id, ids)):
            if key and key in seen:
                message = f"the {kind} `{key}` is declared in {seen[key].file} too"
                problems.append(Problem(contract.file, contract.line, "", message, "Rename one, or remove a file"))
            seen.setdefault(key, contract)
    views = _child_views(contracts, tables, problems)
    for contract in contracts:
        problems += _references(contract, tables, views)
    return problems + servers.across(contracts) + missing_entries(contracts)


def _child_views(contracts: list[Contract], tables: dict[str, Contract], problems: list[Problem]) -> set[str]:
    views: dict[str, Contract] = {}
    for contract in contracts:
        for column in contract.child_tables:
            view = f"{contract.source}_{column.child_table}"
            other = tables.get(view) or views.get(view)
            if other and other is not contract:
                message = f"the childTable `{view}` is a table of {other.file} too"
                problems.append(Problem(contract.file, column.line, "", message, "Rename one"))
            elif view == contract.table:
                message = f"the childTable `{view}` has the name of its own table"
                problems.append(Problem(contract.file, column.line, "", message, "Rename it"))
            views.setdefault(view, contract)
    return set(views)


def _references(contract: Contract, tables: dict[str, Contract], views: set[str]) -> list[Problem]:
    problems: list[Problem] = []

    def add(line: int, message: str, remedy: str) -> None:
        problems.append(Problem(contract.file, line, "", message, remedy))

    for check_ in contract.checks:
        if check_.kind != "reference" or check_.reference_table is None:
            continue
        if check_.reference_table not in tables:
            known = [table for table in sorted(tables) if table]
            hint = "; a view of array elements cannot be referred to" if check_.reference_table in views else ""
            message = f"no contract declares the table `{check_.reference_table}`{hint}"
            add(check_.line, message, choose(check_.reference_table, known))
            continue
        target = tables[check_.reference_table]
        for name, to in zip(check_.columns, check_.reference_columns, strict=True):
            if to not in target.column_names:
                add(check_.line, f"{target.table} has no column `{to}`", choose(to, target.column_names))
                continue
            here, there = _type_at(contract, name), target.column(to).type
            if here and here != there:
                message = f"`{name}` is {here}, and {target.table}.{to} is {there}"
                add(check_.line, message, "Give both the same physicalType")
    return problems


def _type_at(contract: Contract, path: str) -> str | None:
    columns = contract.columns
    found: Column | None = None
    for part in path.split("."):
        found = next((column for column in columns if column.name == part), None)
        if found is None:
            return None
        columns = found.children
    return found.type if found else None
