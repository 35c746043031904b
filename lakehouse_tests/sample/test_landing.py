"""Landing is deterministic, adds only what has arrived since, and changes no file."""

import json
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from lakehouse.sample import LandSummary, land
from lakehouse.sample.landing import SampleError
from lakehouse.sample.manifest import NAME
from lakehouse_tests.sample.landed import END, NOW, files_of


def contents(landing: Path) -> dict[str, bytes]:
    return {str(path.relative_to(landing)): path.read_bytes() for path in landing.rglob("*") if path.is_file()}


def data(landing: Path) -> dict[str, bytes]:
    return {name: content for name, content in contents(landing).items() if name != NAME}


def test_same_arguments_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        land(tmp_path / name, seed=3, weeks=1, end_date=END, now=NOW)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_another_seed_other_bytes_same_sales(tmp_path: Path) -> None:
    first, second = (
        land(tmp_path / str(seed), seed=seed, weeks=1, end_date=END, now=NOW, faults=False) for seed in (1, 2)
    )
    assert contents(first.landing) != contents(second.landing)
    totals = [summary.manifest["tables"]["shopify.orders"]["totals"] for summary in (first, second)]
    assert totals[0]["total_price"] == totals[1]["total_price"]
    assert totals[0]["statuses"] != totals[1]["statuses"]


def test_landing_again_adds_nothing(tmp_path: Path) -> None:
    first = land(tmp_path, weeks=1, end_date=END, now=NOW)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*") if path.name != NAME}
    again = land(tmp_path, weeks=1, end_date=END, now=NOW + timedelta(days=3))
    assert first.files > 0 and again.files == 0 and again.bytes == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*") if path.name != NAME} == before
    assert again.manifest == first.manifest and again.complete


def test_landing_day_by_day_equals_landing_at_once(two_weeks: LandSummary, tmp_path: Path) -> None:
    written = 0
    for until in (date(2026, 1, 16), date(2026, 1, 17), None):
        earlier = data(tmp_path)
        summary = land(tmp_path, weeks=2, end_date=END, until=until, now=NOW)
        now_there = data(tmp_path)
        assert {name: now_there[name] for name in earlier} == earlier
        assert summary.files == len(now_there) - len(earlier) > 0
        if until:
            assert max(name.split("/")[2] for name in now_there) < until.isoformat()
            assert not summary.complete
        written += summary.files
    assert written == two_weeks.files
    assert contents(tmp_path) == contents(two_weeks.landing)


def test_an_earlier_until_takes_nothing_back(tmp_path: Path) -> None:
    later = land(tmp_path, weeks=1, end_date=END, until=date(2026, 1, 24), now=NOW)
    earlier = land(tmp_path, weeks=1, end_date=END, until=date(2026, 1, 20), now=NOW)
    assert earlier.files == 0
    assert earlier.manifest == later.manifest


def test_the_sample_lives(tmp_path: Path) -> None:
    """Without an end date the year's last week is this week, and dates stay as they are when time goes on."""
    wednesday = datetime(2026, 3, 4, 15, 20)
    first = land(tmp_path, weeks=1, now=wednesday)
    orders = [path.relative_to(tmp_path).as_posix() for path in files_of(tmp_path, "shopify.orders")]
    assert max(orders) == "shopify/orders/2026-03-04/orders-14.jsonl", "the hour is not over"
    before = data(tmp_path)
    next_week = land(tmp_path, weeks=1, now=wednesday + timedelta(days=6))
    after = data(tmp_path)
    assert {name: after[name] for name in before} == before
    assert next_week.files == len(after) - len(before) > 0
    assert next_week.first_day == first.first_day
    orders_expected = [
        summary.manifest["tables"]["shopify.orders"]["expected"]["keys"] for summary in (first, next_week)
    ]
    assert orders_expected[0] < orders_expected[1]


def test_nothing_arrives_after_the_limit(two_weeks: LandSummary) -> None:
    days = {path.relative_to(two_weeks.landing).parts[2] for path in two_weeks.landing.glob("*/*/*/*")}
    assert max(days) <= END.isoformat()
    assert two_weeks.complete


def test_a_lost_file_comes_back(tmp_path: Path) -> None:
    """As after a landing that was interrupted."""
    land(tmp_path, weeks=1, end_date=END, now=NOW)
    whole = contents(tmp_path)
    for table in ("shopify.orders", "stripe.customers", "catalog.products"):
        files_of(tmp_path, table)[0].unlink()
    assert land(tmp_path, weeks=1, end_date=END, now=NOW).files == 3
    assert contents(tmp_path) == whole


def test_an_interrupted_first_landing_goes_on_with_its_dates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = Path.write_bytes

    def full(self: Path, content: bytes) -> int:
        if "orders-1" in self.name:
            raise OSError(28, "No space left on device")
        return replace(self, content)

    wednesday = datetime(2026, 3, 4, 20)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space left"):
            land(tmp_path, weeks=1, now=wednesday)
    assert not list(tmp_path.rglob(".*")), "no half-written file stays"
    land(tmp_path, weeks=1, now=wednesday + timedelta(days=7))
    assert min(path.parent.name for path in files_of(tmp_path, "shopify.orders")) == "2026-03-03"


def test_other_options_are_refused(tmp_path: Path) -> None:
    land(tmp_path, weeks=1, end_date=END, now=NOW)
    before = contents(tmp_path)
    with pytest.raises(
        SampleError, match=r"--seed 0 --weeks 1 --end-date 2026-01-31, not with --seed 1 .*empty folder"
    ):
        land(tmp_path, seed=1, weeks=1, end_date=END, now=NOW)
    assert contents(tmp_path) == before


def test_a_folder_with_other_data_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shopify").mkdir()
    with pytest.raises(SampleError, match=r"shopify but no _manifest\.json"):
        land(tmp_path, weeks=1, end_date=END, now=NOW)


def test_a_broken_manifest_is_named(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text('{"replay": ')
    with pytest.raises(SampleError, match=r"_manifest\.json is not a manifest of the sample"):
        land(tmp_path, weeks=1, end_date=END, now=NOW)


def test_weeks_out_of_range_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match="between 1 and 53, not 99"):
        land(tmp_path, weeks=99, end_date=END, now=NOW)


def test_folders_are_arrival_days(two_weeks: LandSummary) -> None:
    """An order's first version arrives in the hour of its time, unless it is late or overtaken."""
    inside = total = 0
    for path in files_of(two_weeks.landing, "shopify.orders"):
        hour = f"{path.parent.name}T{path.stem[-2:]}"
        for line in path.read_text().splitlines():
            if line.endswith("]}"):
                total += 1
                inside += json.loads(line)["updated_at"].startswith(hour)
    assert 0.95 < inside / total < 1
