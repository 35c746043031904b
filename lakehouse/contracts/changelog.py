"""A contract's changelog: what each of its versions changed, kept in the contract itself, for whoever reads its table.

It is optional. Where it is kept, the version that the contract bears must be in it.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from lakehouse.contracts.changes import Change
from lakehouse.contracts.document import Document, Where
from lakehouse.contracts.model import Contract, Revision
from lakehouse.contracts.problems import Problem, choose
from lakehouse.contracts.values import NAMESPACE, entries, text

KEYS = ("version", "date", "changes")


def read_changelog(document: Document, place: Where, settings: dict[str, Any]) -> tuple[Revision, ...]:
    """The entries under `changelog`, as written; problems are recorded in the document."""
    where, written = (*place, "changelog"), settings.get("changelog")
    if written is None:
        return ()
    if not isinstance(written, list) or not written or not all(isinstance(item, dict) for item in written):
        remedy = "Write a list of entries, as `- {version: 1.0.0, changes: [First version.]}`"
        document.add(where, "`changelog` is no list of entries", remedy)
        return ()
    found = [_revision(document, (*where, index), item) for index, item in enumerate(written)]
    for index, revision in enumerate(found):
        if revision.version and revision.version in [earlier.version for earlier in found[:index]]:
            document.add((*where, index), f"the version {revision.version} has two entries", "Put both into one")
    return tuple(found)


def missing_entries(contracts: Iterable[Contract]) -> list[Problem]:
    """The contracts that keep a changelog which their own version is not in."""
    remedy = "Add it; `lakehouse contract changelog OLD NEW --write` does, from what has changed"
    return [
        Problem(of.file, of.changelog[0].line, "", f"the changelog has no entry for the version {of.version}", remedy)
        for of in contracts
        if of.changelog and of.version not in [revision.version for revision in of.changelog]
    ]


def _revision(document: Document, where: Where, item: dict[str, Any]) -> Revision:
    for key in item:
        if key not in KEYS:
            document.add((*where, key), f"`{key}` is unknown to an entry of the changelog", choose(key, KEYS))
    version, changes = text(item, "version"), item.get("changes")
    if version is None:
        document.add(where, "an entry of the changelog needs its version, as text", "Add `version: 1.0.0`")
    if not isinstance(changes, list) or not changes or not all(isinstance(change, str) for change in changes):
        document.add((*where, "changes"), "it is not said what the version changed", "Add `changes:`, a list of text")
        changes = []
    day, line = _day(document, (*where, "date"), item), document.line(where)
    return Revision(version=version or "", changes=tuple(changes), day=day, line=line)


def _day(document: Document, where: Where, item: dict[str, Any]) -> date | None:
    if item.get("date") is None:
        return None
    try:
        return date.fromisoformat(str(item["date"]))
    except ValueError:
        document.add(where, f"the date cannot be `{item['date']}`", "Write a day such as 2025-11-24")
        return None


def entry(version: str, changes: Sequence[Change], day: date) -> list[str]:
    """The entry of a version as lines of YAML, the gravest change first."""
    lines = [f"- version: {version}", f"  date: {day.isoformat()}", "  changes:"]
    return lines + [f"    - {_quoted(f'{change.kind}: {change.where}: {change.text}')}" for change in changes]


def _quoted(words: str) -> str:
    return '"' + words.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'


def insert(document: Document, lines: Sequence[str]) -> str:
    """The text of the document's file with the lines of an entry on top of its changelog, which is begun where there is
    none; all else stays as it is, comments too. Raises ValueError where the file is written in a way that only a person
    can add to."""
    rows = document.file.read_text(encoding="utf-8").splitlines(keepends=True)
    place = next(
        (*("customProperties", index), "value")
        for index, item in entries(document.data, "customProperties")
        if item.get("property") == NAMESPACE
    )
    where = (*place, "changelog")
    if where in document.lines:
        at, inner = document.line(where), _indent(rows[document.line((*where, 0)) - 1])
        block = [f"{inner}{line}" for line in lines]
    else:
        keys = [found for found in document.lines if found[:-1] == place]
        at = min(document.line(key) for key in keys) - 1
        outer = _indent(rows[at])
        block = [f"{outer}changelog:", *(f"{outer}  {line}" for line in lines)]
    written = "".join([*rows[:at], *(f"{line}\n" for line in block), *rows[at:]])
    if not _differs_in_changelog_alone("".join(rows), written, where):
        raise ValueError("the custom property `lakehouse`, or its changelog, is not written a line a key")
    return written


def _differs_in_changelog_alone(before: str, after: str, where: Where) -> bool:
    documents = []
    for yaml in (before, after):
        try:
            data = YAML(typ="safe").load(yaml)
            data[where[0]][where[1]][where[2]].pop(where[3], None)
        except (YAMLError, KeyError, IndexError, TypeError, AttributeError):
            return False
        documents.append(data)
    return documents[0] == documents[1]


def _indent(row: str) -> str:
    return row[: len(row) - len(row.lstrip())]
