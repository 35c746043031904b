"""Which versions of gold maintenance may not touch."""

from datetime import UTC, datetime, timedelta

from lakehouse.gold.release import Release
from lakehouse.gold.retention import hours_kept, kept
from lakehouse.storage.maintain import LEAST_HOURS

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def event(number: int, status: str, days_ago: float) -> Release:
    at = (NOW - timedelta(days=days_ago)).replace(tzinfo=None)
    return Release(number, status, {}, {}, {"fct_orders": number}, at=at)


def test_young_releases_are_kept_and_the_one_in_force_however_old() -> None:
    history = [event(3, "released", 40), event(2, "released", 50), event(1, "released", 60)]
    assert [one.release_id for one in kept(history, NOW, 30)] == [3]
    assert [one.release_id for one in kept(history, NOW, 55)] == [3, 2]
    back = [event(1, "rolled_back", 35), *history]
    assert [one.release_id for one in kept(back, NOW, 30)] == [1], "put back in force, and held since"
    assert kept([], NOW, 30) == []


def test_files_stay_since_the_commit_that_removed_the_first_of_a_version() -> None:
    times = {version: NOW - timedelta(days=20 - version) for version in range(11)}
    assert hours_kept(10, times, NOW) == LEAST_HOURS, "the newest version loses no file"
    assert hours_kept(2, times, NOW) == (20 - 3) * 24 + 1
    assert hours_kept(9, times, NOW) == 10 * 24 + 1
    assert hours_kept(2, {version: at for version, at in times.items() if version > 3}, NOW) is None
    assert hours_kept(9, times | {10: NOW - timedelta(hours=2)}, NOW) == LEAST_HOURS, "Delta allows no less"
