"""Special days: days of which one knows before they come that business will not be as usual, such as Thanksgiving.

A file names them, for all tables or for some. What depends on business being as usual is not judged on them, and other days
are not held against them (`anomalies.judge`).
"""

import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from textwrap import shorten
from typing import Any

from lakehouse.contracts.document import Document, Where, read_list
from lakehouse.contracts.problems import ContractError, Problem, choose
from lakehouse.quality.baselines import WINDOW
from lakehouse.settings import Settings

KEYS = ("name", "from", "to", "tables")
LONGEST_NAME = 100
"""Characters; the name is told in one sentence with the days."""
_EXAMPLE = "Write `{name: Thanksgiving, from: 2025-11-26, to: 2025-11-28}`"
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class SpecialDays:
    """Some days in a row that have a name."""

    name: str
    first: date
    last: date
    tables: tuple[str, ...] = ()
    """The tables they are special to, by their names in silver; none: all tables."""


Calendar = Sequence[SpecialDays]


def days_of(calendar: Calendar, table: str) -> dict[date, str]:
    """The special days of one table, each with its name; with both where it has two."""
    found: dict[date, dict[str, None]] = {}
    for one in calendar:
        if one.tables and table not in one.tables:
            continue
        for n in range((one.last - one.first).days + 1):
            found.setdefault(one.first + timedelta(days=n), {})[one.name] = None
    return {day: " and ".join(names) for day, names in sorted(found.items())}


def load(settings: Settings) -> Calendar:
    """The calendar that these settings name, read anew on each call; empty where the default file is not there. Names of
    tables are taken as they are: see `check`. Raises ContractError with all problems of the file."""
    calendar, problems = check(settings)
    if problems:
        raise ContractError(problems)
    return calendar


def check(settings: Settings, tables: Collection[str] | None = None) -> tuple[Calendar, list[Problem]]:
    """(the calendar that these settings name as far as it can be used, all that is wrong with it, in order). Its tables are to
    be among `tables`; None: nobody knows which there are."""
    file = settings.calendar_file
    if settings.calendar is None and not os.path.lexists(file):
        return (), []
    if fault := _fault_of_place(file):
        return (), [fault]
    try:
        document, entries = read_list(file)
    except ContractError as error:
        return (), error.problems
    found = [_entry(document, (index,), entry, tables) for index, entry in enumerate(entries)]
    return tuple(one for one in found if one is not None), sorted(document.problems)


def _fault_of_place(file: Path) -> Problem | None:
    """What is wrong with a calendar that is no file to be read: reading a pipe would not end. None of its questions raises
    where nobody may look, or links go round: a batch is not lost for it."""
    if os.path.isfile(file):
        return None
    if os.path.exists(file):
        message, remedy = "this calendar of special days is no regular file", "Put a YAML file there"
    elif os.path.islink(file):
        message, remedy = "this calendar of special days is a link that leads to no file", "Correct the link"
    else:
        message, remedy = "this calendar of special days cannot be found", "Create it"
    return Problem(file, 1, "", message, f"{remedy}, or correct LAKEHOUSE_CALENDAR")


# --- one entry -----------------------------------------------------------------------------------------------------


def _entry(document: Document, where: Where, entry: Any, tables: Collection[str] | None) -> SpecialDays | None:
    """One entry of the list; None where it has no days. Problems are recorded in the document."""
    if not isinstance(entry, dict):
        document.add(where, f"special days are a mapping of keys, and `{entry}` is found", _EXAMPLE)
        return None
    for key in entry:
        if key not in KEYS:
            document.add((*where, key), f"`{key}` is unknown to special days", choose(key, KEYS))
    name = _name(document, where, entry)
    first = _day(document, where, entry, "from")
    last = _day(document, where, entry, "to") if "to" in entry else first
    named = _tables(document, (*where, "tables"), entry["tables"], tables) if "tables" in entry else ()
    if first is None or last is None:
        return None
    if not _is_span(document, (*where, "to"), first, last):
        return None
    return SpecialDays(name, first, last, named)


def _name(document: Document, where: Where, entry: dict[str, Any]) -> str:
    """The name of the days; empty where there is none."""
    at, written = (*where, "name"), entry.get("name")
    if written is None or (isinstance(written, str) and not written.strip()):
        remedy = "Add `name:`, such as Thanksgiving; it is told with the days"
        document.add(at if "name" in entry else where, "these special days have no name", remedy)
        return ""
    if not isinstance(written, str):
        message = f"a name is text, and `{shorten(str(written), 100)}` is none"
        document.add(at, message, 'Write it in quotes, such as `name: "2026"`')
        return ""
    name = written.strip()
    if len(name.splitlines()) > 1:
        document.add(at, "the name of these special days has a line break", "Write it in one line")
    if len(name) > LONGEST_NAME:
        message = f"the name of these special days has {len(name):,} characters, and {LONGEST_NAME} are the most"
        document.add(at, message, "Write a shorter one; `#` begins a comment, for what else is to be said")
    return name


def _day(document: Document, where: Where, entry: dict[str, Any], key: str) -> date | None:
    if key not in entry:
        document.add(where, f"these special days have no `{key}:`", f"Add `{key}:`, a day such as 2025-11-26")
        return None
    written = str(entry[key])
    try:
        day = date.fromisoformat(written) if _DAY.fullmatch(written) else None
    except ValueError:  # the 30th of February
        day = None
    if day is None:
        document.add((*where, key), f"`{key}` cannot be `{written}`", "Write a day such as 2025-11-26")
    return day


def _is_span(document: Document, where: Where, first: date, last: date) -> bool:
    days = (last - first).days + 1
    if days < 1:
        document.add(where, f"`to` ({last}) is before `from` ({first})", "Exchange them, or correct one")
    elif days > WINDOW:
        message = f"{first} to {last} are {days:,} days, and what lasts longer than {WINDOW} days is the usual"
        document.add(
            where, message, "Correct a year; to have a table never judged, write `anomalies: off` in its contract"
        )
    return 1 <= days <= WINDOW


def _tables(document: Document, where: Where, listed: Any, known: Collection[str] | None) -> tuple[str, ...]:
    if not isinstance(listed, list) or not listed or not all(isinstance(name, str) for name in listed):
        remedy = "Write it as `[shopify_orders]`, or leave it out: then the days are special to all tables"
        document.add(where, f"`tables` is a list of tables, and `{listed}` is found", remedy)
        return ()
    for index, name in enumerate(listed):
        if known is not None and name not in known:
            message = f"no contract declares the table `{name}`"
            remedy = choose(name, sorted(known)) if known else "Leave `tables:` out: there are no contracts"
            document.add((*where, index), message, remedy)
    return tuple(listed)
