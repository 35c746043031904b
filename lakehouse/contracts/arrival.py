"""When a table's files are taken: its timetable, the assets that it comes after, and the health of its source."""

import re
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from lakehouse.contracts.document import Document, Where
from lakehouse.contracts.model import Cadence, Timetable
from lakehouse.contracts.problems import choose

OWN_KEYS = ("schedule", "after", "health")
_TIMETABLE = ("timezone", "at", "catch_up")
_AT = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_ASSET = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")


def read_timetable(document: Document, place: Where, settings: dict[str, Any], cadence: Cadence | None) -> Timetable:
    """`schedule: {timezone: Europe/Berlin, at: "06:30", catch_up: true}`; what is not said is as without it."""
    value, where = settings.get("schedule"), (*place, "schedule")
    if value is None:
        return Timetable()
    if not isinstance(value, dict):
        document.add(where, f"schedule cannot be `{value}`", 'Write `schedule: {timezone: Europe/Berlin, at: "06:30"}`')
        return Timetable()
    before = len(document.problems)
    for key in value:
        if key not in _TIMETABLE:
            document.add((*where, key), f"`{key}` is unknown to schedule", choose(key, _TIMETABLE))
    zone, at, catch_up = value.get("timezone", "UTC"), value.get("at"), value.get("catch_up", False)
    if zone not in available_timezones():
        remedy = choose(zone, sorted(available_timezones())) if isinstance(zone, str) else "Write a name"
        found = remedy if "Perhaps" in remedy else "Write a name of the IANA database, such as Europe/Berlin"
        document.add((*where, "timezone"), f"the time zone `{zone}` is unknown", found)
        zone = "UTC"
    if at is not None and (not isinstance(at, str) or not _AT.fullmatch(at)):
        document.add((*where, "at"), f"at cannot be `{at}`", 'Write hour and minute in quotes, such as "06:30"')
        at = None
    if at is not None and cadence == "hourly":
        remedy = "Remove it, or make the frequency a day or a week"
        document.add((*where, "at"), "an hourly schedule has no time of the day", remedy)
        at = None
    if not isinstance(catch_up, bool):
        document.add((*where, "catch_up"), f"catch_up cannot be `{catch_up}`", "Write true or false")
        catch_up = False
    if cadence is None and len(document.problems) == before:
        remedy = "Add the SLA `frequency` (`value: 1` and `unit: h`, d or w), or remove `schedule`"
        document.add(where, "a schedule without a frequency starts nothing", remedy)
    return Timetable(timezone=zone, at=at, catch_up=catch_up)


def read_after(document: Document, place: Where, settings: dict[str, Any]) -> tuple[str, ...]:
    """`after: [partner/exports]`: keys of assets of other code locations."""
    value, where = settings.get("after", []), (*place, "after")
    if not isinstance(value, list):
        document.add(where, f"after cannot be `{value}`", "Write a list of asset keys, such as `[partner/exports]`")
        return ()
    found = []
    for index, key in enumerate(value):
        if not isinstance(key, str) or not _ASSET.fullmatch(key):
            remedy = "Write the key as Dagster shows it, such as partner/exports"
            document.add((*where, index), f"`{key}` is no key of an asset", remedy)
        elif key in found:
            document.add((*where, index), f"`{key}` is given twice", "Remove one")
        else:
            found.append(key)
    return tuple(found)


def read_health(document: Document, place: Where, settings: dict[str, Any]) -> str | None:
    """`health: https://api.example.com/health`: a page that answers with success while the source is well."""
    value = settings.get("health")
    if value is None:
        return None
    where = (*place, "health")
    parts = urlsplit(value) if isinstance(value, str) else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        document.add(where, f"health cannot be `{value}`", "Write a URL, such as https://api.example.com/health")
        return None
    if parts.username or parts.password:
        document.add(where, "health holds a login, and contracts are read by everybody", "Name a page that needs none")
        return None
    return str(value)
