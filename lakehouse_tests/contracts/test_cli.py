"""`lakehouse contract check` and `new`."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lakehouse.cli.contract import contract
from lakehouse.settings import settings

Write = Callable[..., Path]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """Run `lakehouse contract …` in an empty folder, with contracts in its folder `mine`."""
    home = tmp_path / "work"
    (home / "mine").mkdir(parents=True)
    monkeypatch.chdir(home)
    monkeypatch.setenv("LAKEHOUSE_CONTRACTS", str(home / "mine"))
    settings.cache_clear()
    yield lambda *arguments: CliRunner().invoke(contract, [str(argument) for argument in arguments])
    settings.cache_clear()


def test_check_without_files_checks_all(run: Callable[..., Result]) -> None:
    result = run("check")
    assert result.exit_code == 0, result.output
    assert result.output == "7 contracts, no problems.\n"


def test_check_tells_each_problem_in_a_line(run: Callable[..., Result], write: Write) -> None:
    good, bad = write(), write(("decimal(12,2)", "money"), ("mask: hash", "mask: x"), name="bad.yaml")
    result = run("check", bad)
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"{bad}:32: physicalType `money`: `money` is no type. Write")
    assert lines[2] == "2 problems in 1 of 1 contract."
    result = run("check", good, bad)
    assert "is declared in" in result.output and result.output.endswith("in 1 of 2 contracts.\n")


def test_check_of_nothing(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEHOUSE_SAMPLE", "false")
    settings.cache_clear()
    result = run("check")
    assert result.exit_code == 1 and "There are no contracts" in result.output
    monkeypatch.setenv("LAKEHOUSE_CONTRACTS", "nowhere")
    settings.cache_clear()
    result = run("check")
    assert result.exit_code == 1 and "nowhere:1: " in result.output


def test_new_writes_a_contract_that_is_used_at_once(run: Callable[..., Result]) -> None:
    Path("people.csv").write_text("id,email\n1,a@example.com\n2,b@example.com\n")
    result = run("new", "people.csv", "--source", "crm")
    assert result.exit_code == 0, result.output
    assert "Wrote" in result.output and "crm/people/<arrival day>/" in result.output
    assert "LAKEHOUSE_CONTRACTS" not in result.output, "it is in a folder that is read already"
    assert Path("mine/crm_people.yaml").exists()
    assert run("check").output == "8 contracts, no problems.\n"
    again = run("new", "people.csv", "--source", "crm")
    assert again.exit_code == 1 and "exists. Remove it first" in again.output


def test_new_says_how_to_use_what_lies_elsewhere(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAKEHOUSE_CONTRACTS")
    settings.cache_clear()
    Path("people.csv").write_text("id\n1\n")
    assert "set LAKEHOUSE_CONTRACTS=contracts" in run("new", "people.csv").output
    assert Path("contracts/files_people.yaml").exists()
    run("new", "people.csv", "--table", "folk", "--out", "deep/my.yaml")
    assert "name: folk" in Path("deep/my.yaml").read_text()


def test_new_refuses_what_it_cannot_read(run: Callable[..., Result]) -> None:
    Path("empty.csv").touch()
    result = run("new", "empty.csv")
    assert result.exit_code == 1
    assert result.output.startswith("Error: empty.csv is empty.")
    assert not list(Path("mine").iterdir())
