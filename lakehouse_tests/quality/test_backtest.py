"""A slice of `make bench-anomalies`: sixteen weeks of the sample's payments, one incident of each kind."""

from datetime import date
from pathlib import Path

import duckdb
import pytest

from benchmarks import anomalies as bench
from lakehouse.sample.clock import make_clock
from lakehouse.sample.landing import make_feeds

HOLIDAYS = [(date(2025, 11, 18), date(2025, 11, 23)), (date(2025, 12, 19), date(2025, 12, 31))]
"""Thanksgiving and Christmas as they fall in the replay: days on which the shop is not as usual."""


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
    return read


def test_incidents_are_found_and_named_and_quiet_days_are_quiet(payments: bench.Feed) -> None:
    outcomes = [bench.trial(payments, seed) for seed in (11, 12)]
    told = {kind: [] for kind in bench.NAMED}  # type: dict[str, list[bool]]
    for outcome in outcomes:
        for incident, verdicts in outcome.found:
            told[incident.kind] += [any(one.kind == incident.named for one in v.anomalies) for v in verdicts]
    assert all(told.values()), "every kind was tried"
    # A fifth more of so few payments of so many sizes is within what a day shows by itself.
    missed = {kind for kind, found in told.items() if not all(found)}
    assert missed <= {"mean +20 %"}
    recall, _ = bench.summary(outcomes)
    assert recall >= 0.85
    false = {verdict.day for outcome in outcomes for verdict in outcome.false}
    usual = {day for day in false if not any(first <= day <= last for first, last in HOLIDAYS)}
    assert len(usual) <= 1, f"told of without need: {sorted(usual)}"
