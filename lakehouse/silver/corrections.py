"""Corrected records: fields of a record's text set to other values, every other character as it arrived."""

import csv
import io
import json
from collections.abc import Mapping
from typing import Any

from lakehouse.contracts.model import Contract
from lakehouse.silver.parse import header_names

_DECODER = json.JSONDecoder()
_BLANK = " \t\n\r"


class CorrectionError(Exception):
    """A correction cannot be applied to a record, or is no record of its table."""


def corrected(contract: Contract, record: str, header: str | None, values: Mapping[str, str]) -> str:
    """The record with columns of the contract set to `values`: texts, or JSON where the column is no string. `null`
    is no value. Of a change event, the columns of its row.

    Raises CorrectionError (a column that the contract does not have, or a record that cannot be read).
    """
    unknown = sorted(set(values) - set(contract.column_names))
    if unknown:
        raise CorrectionError(
            f"{contract.table} has no column {', '.join(unknown)}; it has {', '.join(contract.column_names)}."
        )
    named = {contract.column(name): text for name, text in values.items()}
    if contract.format == "csv":
        texts = {column.source_name: "" if text == "null" else text for column, text in named.items()}
        return _csv_with(record, header or "", contract.csv_delimiter, texts)
    jsons = {column.source_name: _json(column.type, text) for column, text in named.items()}
    if contract.delivery != "changes":
        return _with(record, jsons)
    event = {name: record[slice(*places[-1])] for name, places in _members(record).items()}
    sides = ("before", "after") if event.get("op") == '"d"' else ("after", "before")
    side = next((side for side in sides if event.get(side, "").startswith("{")), None)
    if side is None:
        raise CorrectionError("The event has no row to correct: neither `after` nor `before` is an object.")
    return _with(record, {side: _with(event[side], jsons)})


def checked(contract: Contract, record: str, header: str | None) -> str:
    """A whole corrected record, as somebody wrote it, less the line break at its end; raises CorrectionError where it is
    none of its table's format."""
    text = record.removeprefix("\ufeff").rstrip("\r\n")
    if contract.format == "csv":
        names = header_names(header or "", contract.csv_delimiter)
        rows = _csv_rows(text, contract.csv_delimiter)
        if len(rows) != 1 or len(rows[0]) != len(names):
            found = f"{len(rows)} records" if len(rows) != 1 else f"{len(rows[0])} fields"
            raise CorrectionError(f"Expected one CSV record of {len(names)} fields ({header}), found {found}.")
        return text
    _members(text)
    return text


def _json(kind: str, text: str) -> str:
    """JSON of a value that was given as text."""
    if text == "null":
        return "null"
    if kind != "string":
        try:
            json.loads(text)
        except ValueError:
            return json.dumps(text, ensure_ascii=False)
        return text
    return json.dumps(text, ensure_ascii=False)


def _with(text: str, values: Mapping[str, str]) -> str:
    """A JSON object with members set to JSON values; one that it lacks comes last, one that it has twice is set twice."""
    members = _members(text)
    spans = sorted(((span, values[name]) for name in values for span in members.get(name, ())), reverse=True)
    for (start, end), value in spans:
        text = text[:start] + value + text[end:]
    missing = [
        f"{json.dumps(name, ensure_ascii=False)}:{value}" for name, value in values.items() if name not in members
    ]
    if missing:
        end = text.rindex("}")
        text = text[:end].rstrip(_BLANK) + ("," if members else "") + ",".join(missing) + text[end:]
    return text


def _members(text: str) -> dict[str, list[tuple[int, int]]]:
    """name → where its values stand in the text of a JSON object. Raises CorrectionError where it is none."""
    found: dict[str, list[tuple[int, int]]] = {}
    try:
        whole = _DECODER.decode(text)
        if not isinstance(whole, dict):
            raise CorrectionError("Expected a JSON object, found another value. Give a whole record instead.")
        at = _after(text, text.index("{") + 1)
        while text[at] != "}":
            name, at = _value(text, at)
            at = _after(text, _after(text, at) + 1)  # the colon
            _, end = _value(text, at)
            found.setdefault(name, []).append((at, end))
            at = _after(text, end)
            if text[at] == ",":
                at = _after(text, at + 1)
    except ValueError:
        raise CorrectionError(
            "The record is no JSON document; fields of it cannot be set. Give a whole record instead."
        ) from None
    return found


def _value(text: str, at: int) -> tuple[Any, int]:
    return _DECODER.raw_decode(text, at)


def _after(text: str, at: int) -> int:
    """The next place that is no blank."""
    while text[at] in _BLANK:
        at += 1
    return at


def _csv_with(record: str, header: str, delimiter: str, values: Mapping[str, str]) -> str:
    names = header_names(header, delimiter)
    missing = sorted(set(values) - set(names))
    if missing:
        raise CorrectionError(f"The record's file has no column {', '.join(missing)}; it has {', '.join(names)}.")
    rows = _csv_rows(record, delimiter)
    if len(rows) != 1 or len(rows[0]) != len(names):
        raise CorrectionError(
            f"The record has not the {len(names)} fields of its file's header; fields of it cannot be set. "
            "Give a whole record instead."
        )
    row = [values.get(name, value) for name, value in zip(names, rows[0], strict=True)]
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="").writerow(row)
    return out.getvalue()


def _csv_rows(text: str, delimiter: str) -> list[list[str]]:
    """The records of a CSV text; none where its quotes do not match."""
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error:
        return []
