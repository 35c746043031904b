"""Thanksgiving and Christmas in the replay, and the calendar that names them."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from lakehouse.sample.clock import Clock
from lakehouse.sample.feed import Feed
from lakehouse.sample.holidays import TABLES, holidays, text_of, write


def test_holidays_are_shifted_by_whole_weeks() -> None:
    thanksgiving, christmas = holidays(417)  # the replay of December 2025
    assert thanksgiving.days == (date(2025, 11, 19), date(2025, 11, 20), date(2025, 11, 21))
    assert christmas.days == (date(2025, 12, 22), date(2025, 12, 23))
    assert [one.days[0] for one in holidays(0)] == [date(2017, 11, 22), date(2017, 12, 25)]
    assert text_of(3) == text_of(3) != text_of(4)


@pytest.mark.parametrize("name", ["stripe.payments", "web.events"])
def test_on_each_of_them_the_shop_is_not_as_usual(year: dict[str, Feed], year_clock: Clock, name: str) -> None:
    """Records that arrive on a holiday, beside those of the same weekday in the three weeks before it."""
    feed = year[name]
    files = feed.files()

    def records(day: date) -> int:
        of_day = [i for i, file in enumerate(files) if file.path.split("/")[2] == day.isoformat()]
        return sum(text.count("\n") for text in feed.texts(of_day))

    thanksgiving, christmas = holidays(year_clock.shift_weeks)
    share = {
        day: records(day) / np.median([records(day - timedelta(weeks=n)) for n in (1, 2, 3)])
        for day in (*thanksgiving.days, *christmas.days)
    }
    eve, _, day_after = (share[day] for day in thanksgiving.days)
    first, second = (share[day] for day in christmas.days)
    assert eve > 1.25 and day_after < 0.75 and first < 0.2 and second < 0.95, share


def test_the_calendar_is_written_where_there_is_none_and_over_the_sample_s_own_alone(tmp_path: Path) -> None:
    place = tmp_path / "new" / "calendar.yaml"
    assert write(place, 1) and place.read_text() == text_of(1)
    assert write(place, 2) and place.read_text() == text_of(2)
    assert all(table in text_of(2) for table in TABLES)
    mine = "# mine now\n" + text_of(2)
    place.write_text(mine)
    assert not write(place, 3) and place.read_text() == mine
    place.write_bytes(b"")
    assert not write(place, 3) and place.read_bytes() == b""
    place.unlink()
    place.mkdir()
    assert not write(place, 3) and place.is_dir()


def test_a_link_to_the_sample_s_calendar_stays_a_link(tmp_path: Path) -> None:
    target, place = tmp_path / "kept" / "days.yaml", tmp_path / "calendar.yaml"
    assert write(target, 1)
    place.symlink_to(target)
    assert write(place, 2) and place.is_symlink() and target.read_text() == text_of(2)
    target.write_text("# mine\n")
    assert not write(place, 3) and place.is_symlink() and target.read_text() == "# mine\n"
    assert [path.name for path in target.parent.iterdir()] == ["days.yaml"]


@pytest.mark.parametrize("to", ["nowhere.yaml", "calendar.yaml", "folder"], ids=["nowhere", "itself", "folder"])
def test_a_link_that_leads_to_no_file_is_something_else(tmp_path: Path, to: str) -> None:
    (tmp_path / "folder").mkdir()
    place = tmp_path / "calendar.yaml"
    place.symlink_to(tmp_path / to)
    assert not write(place, 1) and place.is_symlink()
    assert {path.name for path in tmp_path.iterdir()} == {"folder", "calendar.yaml"}
