"""`lakehouse sample land`, as a person types it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from lakehouse.sample.cli import sample
from lakehouse.settings import settings


@pytest.fixture
def landing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
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
