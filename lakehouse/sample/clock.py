"""When things happen: the shift of the year's dates, the part of it that is replayed, and how much has arrived."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

WEEK = timedelta(days=7)
LAST_WEEK = datetime(2017, 12, 25)
"""Monday of the year's last whole week; a few baskets follow in the night after it."""
LAST_BASKET = datetime(2018, 1, 1, 4, 1, 20)
YEAR_WEEKS = 53
"""Weeks from the Monday before the first basket to the Sunday before the last."""

Times = NDArray[np.datetime64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The replay's time: all instants are UTC without a zone, at a resolution of seconds."""

    shift_weeks: int
    """Added to every date of the year."""
    weeks: int
    """How many of its last weeks are replayed."""
    limit: datetime | None
    """The last instant at which anything may arrive or happen; what would come later comes before it. None: no limit."""
    cutoff: datetime
    """Files that are complete by this instant are landed."""

    @property
    def start(self) -> datetime:
        """The Monday on which the replay begins."""
        return self.end - self.weeks * WEEK

    @property
    def end(self) -> datetime:
        """The Monday after the last whole week."""
        return LAST_WEEK + (self.shift_weeks + 1) * WEEK

    @property
    def middle(self) -> datetime:
        return self.start + (self.end - self.start) / 2

    def shifted(self, times: Times) -> Times:
        """Times of the original year, in the replay."""
        moved: Times = np.add(times.astype("M8[s]"), np.timedelta64(self.shift_weeks * 7, "D"))
        return moved

    def clamped(self, times: Times) -> Times:
        """No time lies beyond the limit."""
        if self.limit is None:
            return times
        limit = np.datetime64(self.limit, "s")
        return np.where(times > limit, limit, times)

    def squeezed(self, start: Times, *offsets: NDArray[np.int64]) -> tuple[Times, ...]:
        """`start` plus each offset (seconds, growing); drawn closer in proportion where the last would miss the limit."""
        if self.limit is not None:
            room = (np.datetime64(self.limit, "s") - start).astype(np.int64)
            share = np.minimum(1.0, room / np.maximum(offsets[-1], 1))
            offsets = tuple((offset * share).astype(np.int64) for offset in offsets)
        return tuple(start + offset.astype("m8[s]") for offset in offsets)


def make_clock(*, weeks: int | None, end_date: date | None, until: date | None, now: datetime | None) -> Clock:
    """The clock of a first landing. Without `end_date` the year's last week is the week of `now`.

    With it, the year is shifted to end on or before that day; a day in the past is also the limit by which all of the
    year arrives. `until` cuts off what has not arrived before that day, without moving any date.
    Raises ValueError where `weeks` is not between 1 and 53.
    """
    weeks = YEAR_WEEKS if weeks is None else weeks
    if not 1 <= weeks <= YEAR_WEEKS:
        raise ValueError(f"weeks must be between 1 and {YEAR_WEEKS}, not {weeks}")
    instant = utc(now)
    limit = None
    if end_date is None:
        monday = (instant - timedelta(days=instant.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)
        shift = (monday - LAST_WEEK) // WEEK
    else:
        shift = (midnight(end_date) + timedelta(days=1) - LAST_BASKET) // WEEK
        limit = midnight(end_date) + timedelta(days=1, seconds=-1)
    return Clock(shift_weeks=shift, weeks=weeks, limit=limit, cutoff=cutoff(limit, until, now))


def cutoff(limit: datetime | None, until: date | None, now: datetime | None) -> datetime:
    """Until when all has landed: the earliest of `now`, the midnight that begins `until`, and the end of the limit."""
    instants = [utc(now).replace(microsecond=0)]
    if until:
        instants.append(midnight(until))
    if limit:
        instants.append(limit + timedelta(seconds=1))
    return min(instants)


def utc(now: datetime | None) -> datetime:
    """An instant in UTC without its zone; the present where there is none. A time without a zone counts as UTC."""
    instant = now or datetime.now(UTC)
    return (instant.astimezone(UTC) if instant.tzinfo else instant).replace(tzinfo=None)


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)


def iso(times: Times) -> list[str]:
    """Times as `2026-11-23T12:00:00Z`."""
    return np.char.add(np.datetime_as_string(times.astype("M8[s]")), "Z").tolist()
