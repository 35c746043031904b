"""A slice of `make bench-anomalies`: sixteen weeks of the sample's payments, one incident of each kind."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import duckdb
import pytest

from benchmarks import anomalies as bench
from lakehouse.sample.clock import make_clock
from lakehouse.sample.landing import make_feeds

SEEDS = (11, 12)


@pytest.fixture(scope="module")
def payments(tmp_path_factory: pytest.TempPathFactory) -> bench.Feed:
    landing = tmp_path_factory.mktemp("landing")
    clock = make_clock(weeks=16, end_date=None, until=None, now=bench.NOW)
    feed = next(feed for feed in make_feeds(clock, seed=0, faults=True) if feed.name == "stripe.payments")
    files = feed.files()
    for file, text in zip(files, feed.texts(range(len(files))), strict=True):
        path = Path(landing / file.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (read,) = bench.read_feeds(landing, duckdb.connect(), ["stripe_payments"])
    read.special = bench.special_days(read.table, clock.shift_weeks)
    return read


def test_incidents_are_found_and_named_and_quiet_days_are_quiet(payments: bench.Feed) -> None:
    outcomes = [bench.trial(payments, seed) for seed in SEEDS]
    told = {kind: [] for kind in bench.NAMED}  # type: dict[str, list[bool]]
    for outcome in outcomes:
        for incident, verdicts in outcome.found:
            usual = [verdict for verdict in verdicts if not verdict.special]
            told[incident.kind] += [any(one.kind == incident.named for one in v.anomalies) for v in usual]
    assert all(told.values()), "every kind was tried"
    # A fifth more of so few payments of so many sizes is within what a day shows by itself.
    missed = {kind for kind, found in told.items() if not all(found)}
    assert missed <= {"mean +20 %"}
    days = [v for outcome in outcomes for _, verdicts in outcome.found for v in verdicts]
    usual = [bool(verdict.anomalies) for verdict in days if not verdict.special]
    assert len(usual) >= 12 and sum(usual) / len(usual) >= 0.8, (sum(usual), len(usual), len(days))
    false = {verdict.day for outcome in outcomes for verdict in outcome.false}
    assert len(false) <= 1, f"told of without need: {sorted(false)}"


def test_without_a_calendar_thanksgiving_and_christmas_are_told_of_and_incidents_on_them(payments: bench.Feed) -> None:
    as_any = replace(payments, special={})

    def told(feed: bench.Feed) -> set[date]:
        return {day for day, verdict in bench.verdicts(feed, feed.profiles).items() if verdict.anomalies}

    assert {date(2025, 11, 19), date(2025, 11, 21), date(2025, 12, 22)} <= told(as_any)
    assert told(payments) <= told(as_any) - payments.special.keys()
    recall, _ = bench.summary([bench.trial(as_any, seed) for seed in SEEDS])
    assert recall >= 0.85
