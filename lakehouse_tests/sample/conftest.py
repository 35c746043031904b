"""Two landed weeks, with and without faults, and the feeds of the whole year without files."""

from collections.abc import Sequence

import pytest

from lakehouse.sample import LandSummary, land
from lakehouse.sample.clock import Clock, make_clock
from lakehouse.sample.feed import Feed
from lakehouse.sample.landing import make_feeds
from lakehouse_tests.sample.landed import END, NOW


@pytest.fixture(scope="session")
def two_weeks(tmp_path_factory: pytest.TempPathFactory) -> LandSummary:
    return land(tmp_path_factory.mktemp("sample") / "landing", weeks=2, end_date=END, now=NOW)


@pytest.fixture(scope="session")
def two_clean_weeks(tmp_path_factory: pytest.TempPathFactory) -> LandSummary:
    return land(tmp_path_factory.mktemp("clean") / "landing", weeks=2, end_date=END, now=NOW, faults=False)


@pytest.fixture(scope="session")
def year_clock() -> Clock:
    return make_clock(weeks=None, end_date=END, until=None, now=NOW)


@pytest.fixture(scope="session")
def year(year_clock: Clock) -> dict[str, Feed]:
    feeds: Sequence[Feed] = make_feeds(year_clock, seed=0, faults=False)
    return {feed.name: feed for feed in feeds}
