"""What changed between two versions of a contract, and what that means for rows that are there and for who reads them."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lakehouse.contracts.model import BatchCheck, Column, Contract, RowRule

Kind = Literal["breaking", "forward-only", "compatible"]
"""`breaking`: the rows that are there cannot be kept as they are, or a reader's query fails or changes its meaning; the
table has to be rebuilt. `forward-only`: asked of new batches; rows that are there may not fulfil it. `compatible`: rows
and readers go on as before."""

KINDS: tuple[Kind, ...] = ("breaking", "forward-only", "compatible")


@dataclass(frozen=True)
class Change:
    """One change: its kind, where (a column, a rule, a property of the table), and what in words."""

    kind: Kind
    where: str
    text: str


_BASIS = ("keys", "delivery", "sequence", "history")
_OPTIONS = ("delete_when", "truncate_when", "tracked_columns", "untracked_columns", "ignore_nulls", "partial_rows")
"""What else rows are made by, where a contract says it."""


def basis(contract: Contract) -> dict[str, Any]:
    """What the rows of a table are made by, as JSON can hold it: rows made by another one cannot be merged with."""
    chosen = {name: _plain(value) for name in _OPTIONS if (value := getattr(contract, name))}
    return {name: _plain(getattr(contract, name)) for name in _BASIS} | chosen


def rows_digest(contract: Contract) -> str:
    """Changes with whatever decides which rows a record becomes: what rows are made by, how values are read, and the rules
    that refuse records. Rows made under another digest may not be what the contract says now."""
    columns = [
        (
            column.name,
            column.source_name,
            column.type,
            column.format,
            [(child.source_name, child.format) for child in column.children],
        )
        for column in contract.columns
        if not column.is_added
    ]
    rules = [(rule.name, rule.predicate) for rule in contract.rules if rule.severity == "error"]
    required = [(column.name, column.required) for column in contract.columns if not column.is_added]
    parts = (basis(contract), columns, required, rules, contract.format, contract.encoding, contract.csv_delimiter)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def compare(old: Contract, new: Contract) -> list[Change]:
    """The changes from `old` to `new`, the gravest first. A renamed column is one removed and one added."""
    columns = [_ordering(change, new) for change in _columns(old.columns, new.columns, "")]
    found = [*_basics(old, new), *columns, *_rules(old, new), *_terms(old, new)]
    return sorted(found, key=lambda change: KINDS.index(change.kind))


_WIDENED = "widened with the next batch"


def _ordering(change: Change, new: Contract) -> Change:
    """A column that orders the versions of a key is part of what the state is sorted by: that cannot be widened."""
    if change.text.endswith(_WIDENED) and change.where in new.sequence:
        return Change("breaking", change.where, change.text.replace(_WIDENED, "it orders the versions of a key"))
    return change


def _basics(old: Contract, new: Contract) -> Iterator[Change]:
    for name in ("table", *_BASIS, "format"):
        before, after = _plain(getattr(old, name)), _plain(getattr(new, name))
        if before != after:
            # Another format is how new files are read; what bronze holds of the old ones is read by it too.
            yield Change("breaking", name, f"was {before}, is {after}")
    was, now = (of.origin.identity if of.origin else "not given" for of in (old, new))
    if was != now:
        # Hosts come and go; the log positions of another database do not follow those that are there.
        yield Change("breaking" if old.origin and new.origin else "forward-only", "servers", f"was {was}, is {now}")
    chosen, choice = basis(old), basis(new)
    for name in _OPTIONS:
        if chosen.get(name) != choice.get(name):
            yield Change("breaking", name, f"was {chosen.get(name, 'not given')}, is {choice.get(name, 'not given')}")


def _columns(old: Sequence[Column], new: Sequence[Column], inside: str) -> Iterator[Change]:
    before, after = {column.name: column for column in old}, {column.name: column for column in new}
    for name in before.keys() - after.keys():
        yield Change("breaking", inside + name, "removed")
    for name in after.keys() - before.keys():
        kind: Kind = "breaking" if inside else "forward-only" if after[name].required else "compatible"
        yield Change(kind, inside + name, f"added{', required' if after[name].required else ''}")
    for name in before.keys() & after.keys():
        yield from _column(before[name], after[name], inside + name)


def _column(old: Column, new: Column, where: str) -> Iterator[Change]:
    if old.children and new.children and _shell(old) == _shell(new):
        yield from _columns(old.children, new.children, f"{where}.")
    elif old.type != new.type and "." not in where and keeps_values(old.type, new.type):
        yield Change("forward-only", where, f"was {old.type}, is {new.type}: {_WIDENED}")
    elif old.type != new.type:
        widened = (
            " (wider, but rows of the old type hold less than their records say)"
            if is_wider(old.type, new.type) and "." not in where
            else ""
        )
        yield Change("breaking", where, f"was {old.type}, is {new.type}{widened}")
    if old.source_name != new.source_name:
        yield Change("forward-only", where, f"was read from {old.source_name}, is read from {new.source_name}")
    if old.format != new.format:
        yield Change("forward-only", where, f"was written as {old.format or 'ISO 8601'}, is {new.format or 'ISO 8601'}")
    if old.required != new.required:
        yield (
            Change("forward-only", where, "is required")
            if new.required
            else Change("compatible", where, "may be null: readers that count on a value see nulls")
        )
    if old.unique != new.unique:
        yield Change("forward-only" if new.unique else "compatible", where, f"unique: {str(new.unique).lower()}")
    if old.child_table != new.child_table:
        kind: Kind = "breaking" if old.child_table else "compatible"
        yield Change(kind, where, f"its view was {old.child_table or 'none'}, is {new.child_table or 'none'}")
    if (old.classification, old.mask) != (new.classification, new.mask):
        masked = f"{new.classification}{f', masked by {new.mask}' if new.mask else ''}"
        yield Change("compatible", where, f"was {old.classification}, is {masked}: views follow with the next release")
    if old.description != new.description:
        yield Change("compatible", where, "described anew")


def _shell(column: Column) -> str:
    return column.type.split("<")[0]


_WHOLE = ("tinyint", "smallint", "int", "bigint")
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")


def is_wider(old: str, new: str) -> bool:
    """Whether every value of one type is a value of the other: a whole number with more bytes, a decimal with no fewer
    digits on either side of its point, double for float, timestamp for date."""
    if old in _WHOLE and new in _WHOLE:
        return _WHOLE.index(new) > _WHOLE.index(old)
    before, after = _DECIMAL.fullmatch(old), _DECIMAL.fullmatch(new)
    if before and after:
        (p, s), (q, r) = map(int, before.groups()), map(int, after.groups())
        return old != new and r >= s and q - r >= p - s
    return (old, new) in (("float", "double"), ("date", "timestamp"))


def keeps_values(old: str, new: str) -> bool:
    """Whether a value of the one type, cast to the other, is what its record would be read as: as `is_wider`, but for
    float, which has rounded what double would not."""
    return is_wider(old, new) and old != "float"


def _rules(old: Contract, new: Contract) -> Iterator[Change]:
    before, after = _by_name(old), _by_name(new)
    for name in before.keys() - after.keys():
        yield Change("compatible", name, "is no longer asked")
    for name in after.keys() - before.keys():
        yield Change("forward-only", name, "is asked of new batches")
    for name in before.keys() & after.keys():
        if _asked(before[name]) != _asked(after[name]):
            yield Change("forward-only", name, "asks for something else")


def _by_name(contract: Contract) -> dict[str, RowRule | BatchCheck]:
    return {rule.name: rule for rule in contract.rules} | {check.name: check for check in contract.checks}


def _asked(item: RowRule | BatchCheck) -> tuple[Any, ...]:
    told = ("line", "description")
    return (type(item).__name__, *((name, getattr(item, name)) for name in item.__slots__ if name not in told))


_TERMS = {
    "rewritten_files": "what becomes of rewritten files",
    "unknown_fields": "what becomes of unknown fields",
    "lateness": "the lateness horizon",
    "max_quarantined_percent": "the share of a batch that may be refused",
    "max_missing_percent": "the share of its rows that a snapshot may lack",
    "score": "what is asked of the quality score of a batch",
    "quarantine_warn": "the age from which a record in quarantine is warned of",
    "anomalies": "how days are watched for anomalies",
    "freshness_fail": "the age from which data is stale",
    "retention": "the retention",
    "cadence": "the cadence",
    "timetable": "the timetable",
    "after": "the assets that its files wait for",
    "health": "the page of its source's health",
    "encoding": "the encoding of files",
    "csv_delimiter": "the delimiter of files",
    "owner": "the owner",
    "grain": "the grain",
    "description": "the description",
}


_OF_NEW_BATCHES = ("lateness", "encoding", "csv_delimiter", "rewritten_files", "unknown_fields")


def _terms(old: Contract, new: Contract) -> Iterator[Change]:
    if old.partition != new.partition:
        text = f"was {old.partition}, is {new.partition}: what Dagster knows of its partitions begins anew"
        yield Change("forward-only", "partition", text)
    for name, said in _TERMS.items():
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            kind: Kind = "forward-only" if name in _OF_NEW_BATCHES else "compatible"
            if (name, before) == ("unknown_fields", "add"):
                kind = "breaking"  # the columns that were added leave the table
            is_text = name in ("grain", "description")
            yield Change(kind, name, f"{said} has changed" if is_text else f"{said} was {before}, is {after}")
