"""Thanksgiving and Christmas as they fall in the replay, and the calendar of special days that names them.

The year is shifted by whole weeks, so holidays are on other dates than people know. Nothing but these two: other days on
which the shop was not as usual, nobody knew of before they came.
"""

import os
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from lakehouse.sample.landing import write_whole

TABLES = ("shopify_orders", "stripe_payments", "web_events")
"""The tables that live by the shop's hours. A new customer, a catalogue and a coupon are no fewer for a holiday."""
_HOLIDAYS = (
    ("Thanksgiving", date(2017, 11, 22), date(2017, 11, 24)),  # with the day before and the day after
    ("Christmas", date(2017, 12, 25), date(2017, 12, 26)),
)
_OURS = (
    b"# Written by `lakehouse sample land`, which writes it anew; without this line it is yours, and stays as it is."
)


@dataclass(frozen=True, slots=True)
class Holiday:
    """Days in a row of the replay."""

    name: str
    first: date
    last: date

    @property
    def days(self) -> tuple[date, ...]:
        return tuple(self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1))


def holidays(shift_weeks: int) -> tuple[Holiday, ...]:
    """The holidays of the year, shifted as the replay is."""
    shift = timedelta(weeks=shift_weeks)
    return tuple(Holiday(name, first + shift, last + shift) for name, first, last in _HOLIDAYS)


def text_of(shift_weeks: int) -> str:
    """The calendar as a file: the same for the same shift."""
    lines = [_OURS.decode(), "# The holidays of the year that is replayed, with its dates shifted by whole weeks."]
    for one in holidays(shift_weeks):
        lines += [
            f"- name: {one.name}",
            f"  from: {one.first}",
            f"  to: {one.last}",
            f"  tables: [{', '.join(TABLES)}]",
        ]
    return "\n".join(lines) + "\n"


def write(path: Path, shift_weeks: int) -> bool:
    """Writes the calendar where there is none, or one that the sample wrote; where that is behind a link, the link stays.
    Returns whether it is there now; False where the place is taken by something else, which stays as it is: a link that leads
    nowhere, too. Idempotent. Raises OSError where it cannot be read or written."""
    if os.path.lexists(path) and not _is_ours(path):
        return False
    write_whole(Path(os.path.realpath(path)), text_of(shift_weeks))
    return True


def _is_ours(path: Path) -> bool:
    """Whether the path is, or leads to, a file that the sample wrote."""
    if not os.path.isfile(path):
        return False
    with path.open("rb") as file:
        return file.read(len(_OURS)) == _OURS
