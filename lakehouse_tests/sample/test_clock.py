"""Dates are shifted by whole weeks; time runs out at the limit, in order."""

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest

from lakehouse.sample.clock import LAST_BASKET, LAST_WEEK, YEAR_WEEKS, make_clock


@pytest.mark.parametrize(
    "day", [datetime(2026, 11, 23), datetime(2026, 11, 26, 15, 30), datetime(2026, 11, 29, 23, 59)]
)
def test_the_last_week_is_the_week_of_now(day: datetime) -> None:
    clock = make_clock(weeks=None, end_date=None, until=None, now=day)
    assert clock.end - timedelta(days=7) <= day < clock.end
    assert clock.end.weekday() == 0
    assert clock.limit is None and clock.cutoff == day


@pytest.mark.parametrize("offset", range(8))
def test_the_year_ends_by_the_end_date_and_less_than_a_week_before(offset: int) -> None:
    end = date(2026, 1, 26) + timedelta(days=offset)
    clock = make_clock(weeks=None, end_date=end, until=None, now=datetime(2027, 1, 1))
    last = LAST_BASKET + timedelta(weeks=clock.shift_weeks)
    assert 0 <= (end - last.date()).days < 7
    assert last.weekday() == LAST_BASKET.weekday()
    assert clock.cutoff == datetime(end.year, end.month, end.day) + timedelta(days=1)


def test_until_moves_no_date() -> None:
    whole = make_clock(weeks=3, end_date=date(2026, 1, 31), until=None, now=datetime(2026, 3, 1))
    part = make_clock(weeks=3, end_date=date(2026, 1, 31), until=date(2026, 1, 20), now=datetime(2026, 3, 1))
    assert (part.shift_weeks, part.start, part.end) == (whole.shift_weeks, whole.start, whole.end)
    assert part.cutoff == datetime(2026, 1, 20) < whole.cutoff


def test_weeks_count_back_from_the_end() -> None:
    clock = make_clock(weeks=2, end_date=date(2018, 1, 1), until=None, now=datetime(2026, 3, 1))
    assert clock.shift_weeks == 0
    assert clock.start == LAST_WEEK - timedelta(days=7)


@pytest.mark.parametrize("weeks", [0, -1, YEAR_WEEKS + 1])
def test_a_year_has_so_many_weeks(weeks: int) -> None:
    with pytest.raises(ValueError, match="between 1 and 53"):
        make_clock(weeks=weeks, end_date=None, until=None, now=datetime(2026, 3, 1))


def test_now_in_another_zone_counts_in_utc() -> None:
    here = datetime(2026, 3, 2, 1, tzinfo=timezone(timedelta(hours=2)))
    clock = make_clock(weeks=1, end_date=None, until=None, now=here)
    assert clock.cutoff == here.astimezone(UTC).replace(tzinfo=None)
    assert clock.end == datetime(2026, 3, 2)


def test_squeezed_times_keep_their_order_before_the_limit() -> None:
    clock = make_clock(weeks=1, end_date=date(2018, 1, 1), until=None, now=datetime(2026, 3, 1))
    start = np.array(["2017-12-20T00:00:00", "2018-01-01T04:01:20"], dtype="M8[s]")
    first, last = clock.squeezed(start, np.array([3600, 3600]), np.array([7200, 30 * 86400]))
    assert (start < first).all() and (first < last).all()
    assert last[0] == start[0] + 7200
    assert last[1] == np.datetime64("2018-01-01T23:59:59")
    assert (clock.clamped(last + 86400) <= np.datetime64("2018-01-01T23:59:59")).all()
