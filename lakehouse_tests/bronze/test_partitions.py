"""Arrival periods, without Spark."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from lakehouse.bronze.landing import passed_over
from lakehouse.bronze.partitions import floor, next_period, periods, record_start, recorded_starts, start_of
from lakehouse.contracts.model import Contract, Partition
from lakehouse_tests.silver.small import contract, key, land

SUNDAY, MONDAY = date(2025, 3, 2), date(2025, 3, 3)


@pytest.mark.parametrize(
    ("partition", "day", "first", "following"),
    [
        ("daily", SUNDAY, SUNDAY, MONDAY),
        ("weekly", SUNDAY, date(2025, 2, 24), MONDAY),
        ("weekly", MONDAY, MONDAY, date(2025, 3, 10)),
        ("monthly", date(2024, 2, 29), date(2024, 2, 1), date(2024, 3, 1)),
        ("monthly", date(2025, 12, 31), date(2025, 12, 1), date(2026, 1, 1)),
    ],
)
def test_periods_begin_and_end(partition: Partition, day: date, first: date, following: date) -> None:
    assert floor(day, partition) == first
    assert next_period(first, partition) == following


def test_periods_that_touch_are_one_run() -> None:
    days = [date(2025, 3, 12), SUNDAY, MONDAY, MONDAY]
    assert periods(days, "daily") == [(SUNDAY, MONDAY), (date(2025, 3, 12), date(2025, 3, 12))]
    assert periods(days, "weekly") == [(date(2025, 2, 24), date(2025, 3, 10))]
    assert periods([], "daily") == []


def of(**own: str) -> Contract:
    return contract([key()], **own)


def test_what_lies_where_no_contract_looks_is_told(tmp_path: Path) -> None:
    calls, orders = (
        replace(contract([key()], name="calls"), source="police"),
        replace(contract([key()], name="orders"), source="shop"),
    )
    for path in (
        "_manifest.json",
        "readme.txt",
        "police/calls/2026-01-31/a.csv",
        "police/calls/2026-01-31/more/b.csv",
        "police/calls/stray.csv",
        "police/calls/31.01.2026/c.csv",
        "police/callz/2026-01-31/d.csv",
        "police/calls/.tmp/e.csv",
        "polise/calls/2026-01-31/f.csv",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    for empty in ("lost+found", "police/nothing", "shop/orders/nothing"):
        (tmp_path / empty).mkdir(parents=True)
    assert passed_over(str(tmp_path), [calls, orders]) == [
        "police/calls/31.01.2026/",
        "police/calls/stray.csv",
        "police/callz/",
        "polise/",
        "readme.txt",
    ]
    assert passed_over(str(tmp_path / "none"), [calls]) == passed_over("s3://bucket/landing", [calls]) == []


def test_partitions_begin_with_the_earliest_of_what_is_known(tmp_path: Path) -> None:
    landing, home, today = tmp_path / "landing", tmp_path / "home", date(2025, 6, 4)
    weekly = of(partition="weekly")
    assert start_of(weekly, str(landing), home, today) == date(2025, 6, 2)
    land(landing, weekly, "2025-03-06", "a.json", "")
    land(landing, weekly, "not-a-day", "a.json", "")
    land(landing, weekly, "2025-02-30", "a.json", "")
    assert start_of(weekly, str(landing), home, today) == MONDAY
    assert start_of(of(), str(landing), home, today) == date(2025, 3, 6)
    assert start_of(of(start="2025-01-15", partition="monthly"), str(landing), home, today) == date(2025, 1, 1)
    record_start(home, "shop_things", date(2025, 2, 20))
    assert start_of(weekly, str(landing), home, today) == date(2025, 2, 17)


def test_the_first_day_ever_is_remembered_when_landing_is_cleaned_up(tmp_path: Path) -> None:
    assert recorded_starts(tmp_path) == {}
    for day in (MONDAY, SUNDAY, date(2025, 4, 1)):
        record_start(tmp_path, "a", day)
    record_start(tmp_path, "b", MONDAY)
    assert recorded_starts(tmp_path) == {"a": SUNDAY, "b": MONDAY}
    assert [path.name for path in tmp_path.iterdir()] == ["partitions.json"], "nothing unfinished is left"
