"""`lakehouse sample land`, as a person types it."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from lakehouse.contracts.loader import table_names
from lakehouse.quality.calendar import check, load
from lakehouse.sample.cli import sample
from lakehouse.settings import Settings, settings


@pytest.fixture
def landing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))  # the calendar would be there for other tests, too
    monkeypatch.setenv("LAKEHOUSE_LANDING", str(tmp_path / "landing"))
    settings.cache_clear()
    yield tmp_path / "landing"
    settings.cache_clear()


def test_it_lands_and_says_what(landing: Path) -> None:
    arguments = ["land", "--weeks", "1", "--no-faults", "--end-date", "2026-01-31", "--until", "2026-01-25"]
    first = CliRunner().invoke(sample, arguments)
    assert first.exit_code == 0, first.output
    assert "shopify.orders" in first.output and "new files" in first.output
    assert list((landing / "shopify" / "orders").glob("2026-01-*/orders-*.jsonl"))
    again = CliRunner().invoke(sample, arguments[:-2])
    assert again.exit_code == 0 and "The whole year has arrived" in again.output


def test_other_options_are_one_clear_sentence(landing: Path) -> None:
    arguments = ["land", "--weeks", "1", "--end-date", "2026-01-31", "--until", "2026-01-20"]
    assert CliRunner().invoke(sample, arguments).exit_code == 0
    refused = CliRunner().invoke(sample, [*arguments, "--seed", "4"])
    assert refused.exit_code == 1
    assert refused.output.startswith("Error: ") and "--seed 0" in refused.output and "empty folder" in refused.output


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [("--end-date", "31.1.2026", "not a day such as"), ("--weeks", "54", "1<=x<=53"), ("--until", "x", "not a day")],
)
def test_bad_options_are_named(landing: Path, option: str, value: str, message: str) -> None:
    refused = CliRunner().invoke(sample, ["land", option, value])
    assert refused.exit_code == 2 and message in refused.output
    assert not landing.exists()


WEEK = ["land", "--weeks", "1", "--end-date", "2026-01-31", "--until", "2026-01-20"]


def test_the_holidays_of_the_replay_are_special_days(landing: Path) -> None:
    done = CliRunner().invoke(sample, WEEK)
    calendar = landing.parent / "calendar.yaml"
    assert done.exit_code == 0 and f"Its holidays are special days to anomalies: {calendar}\n" in done.output
    read = load(Settings(home=landing.parent))
    assert [(one.name, one.first, one.last) for one in read] == [
        ("Thanksgiving", date(2025, 12, 17), date(2025, 12, 19)),
        ("Christmas", date(2026, 1, 19), date(2026, 1, 20)),
    ]
    assert {one.first.strftime("%A") for one in read} == {"Wednesday", "Monday"}, "as in the year that is replayed"
    assert check(settings(), table_names(settings()))[1] == []
    before = calendar.read_text()
    calendar.write_text(before.replace("Christmas", "Yule"))
    assert CliRunner().invoke(sample, WEEK).exit_code == 0
    assert calendar.read_text() == before, "it is the sample's own"
    assert sorted(path.name for path in landing.parent.iterdir()) == ["calendar.yaml", "landing"]


@pytest.mark.parametrize("is_named", [False, True], ids=["default", "named"])
def test_a_calendar_of_somebody_else_stays_as_it_is(
    landing: Path, monkeypatch: pytest.MonkeyPatch, is_named: bool
) -> None:
    calendar = landing.parent / ("mine.yaml" if is_named else "calendar.yaml")
    if is_named:
        monkeypatch.setenv("LAKEHOUSE_CALENDAR", str(calendar))
        settings.cache_clear()
    calendar.write_text("- {name: Easter, from: 2026-04-05}\n")
    done = CliRunner().invoke(sample, WEEK)
    assert done.exit_code == 0
    assert f"{calendar} was not written by the sample and stays as it is: its holidays are not named." in done.output
    assert calendar.read_text() == "- {name: Easter, from: 2026-04-05}\n"
    assert sorted(path.name for path in landing.parent.glob("*.yaml")) == [calendar.name]


@pytest.mark.parametrize("place", ["file/days.yaml", "file/below/days.yaml", "x" * 300, "/proc/none/days.yaml"])
def test_a_calendar_that_cannot_be_written_is_one_clear_sentence_after_what_has_landed(
    landing: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (landing.parent / "file").write_text("")
    calendar = landing.parent / place
    monkeypatch.setenv("LAKEHOUSE_CALENDAR", str(calendar))
    settings.cache_clear()
    refused = CliRunner().invoke(sample, WEEK)
    assert refused.exit_code == 1 and isinstance(refused.exception, SystemExit), refused.exception
    assert "new files" in refused.output.partition("Error: ")[0]
    told = refused.output.partition("Error: ")[2]
    assert str(calendar) in told and "cannot be read or written" in told and "LAKEHOUSE_CALENDAR" in told
    assert told.count("\n") == 1


def test_a_calendar_that_cannot_be_read_is_one_clear_sentence(landing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, shift_weeks: int) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("lakehouse.sample.holidays.write", refuse)
    refused = CliRunner().invoke(sample, WEEK)
    assert refused.exit_code == 1 and "(Permission denied)" in refused.output, "whoever runs the test may be root"
