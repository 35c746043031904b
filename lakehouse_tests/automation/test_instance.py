"""Runs whose process is gone."""

import os
import socket
import subprocess
from pathlib import Path

import dagster as dg
import pytest

from lakehouse.automation import instance as instances
from lakehouse.automation.instance import (
    STARTED_BY,
    heal_dead_runs,
    heal_gone_runs,
    heal_lost_runs,
    only_ui,
    prepare_ui,
)
from lakehouse.settings import Settings

TAGS = {"lakehouse/started_by": "a test"}


@dg.op
def nothing() -> None:
    """A step that does nothing."""


@dg.job
def a_job() -> None:
    nothing()


def begun(instance: dg.DagsterInstance, tags: dict[str, str], pid: int | None = None) -> dg.DagsterRun:
    run = instance.create_run_for_job(a_job, tags=tags)
    instance.report_dagster_event(
        dg.DagsterEvent(event_type_value=dg.DagsterEventType.RUN_START.value, job_name="a_job", pid=pid),
        run_id=run.run_id,
    )
    return run


def status(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status.value


def test_only_runs_that_began_and_whose_server_is_gone_are_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        lost, alive, other = begun(instance, TAGS), begun(instance, TAGS), begun(instance, {})
        waiting = instance.create_run_for_job(a_job, tags=TAGS)
        monkeypatch.setattr(instances, "_has_server", lambda _, run_id: run_id == alive.run_id)
        assert heal_lost_runs(instance, TAGS) == [lost.run_id]
        assert status(instance, lost) == "FAILURE"
        assert {status(instance, run) for run in (alive, other)} == {"STARTED"}
        assert status(instance, waiting) == "NOT_STARTED"


def test_runs_of_a_killed_lakehouse_run_are_failed() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        dead, other = begun(instance, STARTED_BY), begun(instance, TAGS)
        assert heal_dead_runs(instance) == [dead.run_id]
        assert (status(instance, dead), status(instance, other)) == ("FAILURE", "STARTED")


def test_runs_whose_process_was_killed_are_failed_whoever_started_them() -> None:
    with subprocess.Popen(["sleep", "0"]) as ended:
        pass
    with dg.DagsterInstance.local_temp() as instance:
        dead, alive, unknown = (begun(instance, {}, pid) for pid in (ended.pid, os.getpid(), None))
        assert heal_gone_runs(instance) == [dead.run_id]
        assert [status(instance, run) for run in (dead, alive, unknown)] == ["FAILURE", "STARTED", "STARTED"]
    with dg.DagsterInstance.ephemeral() as instance:
        begun(instance, {}, ended.pid)
        assert heal_gone_runs(instance) == [], "another machine may have it"


def test_a_home_has_one_ui_for_each_has_a_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "")
    here = Settings(home=tmp_path)
    with (
        only_ui(here, 3005),
        pytest.raises(SystemExit, match=r"served already: http://127.0.0.1:3005, process \d+"),
        only_ui(here, 3006),
    ):
        raise AssertionError("a second daemon begins")
    with only_ui(here, 3006):
        assert "3006" in (tmp_path / "dagster" / "ui.txt").read_text()


def test_a_port_in_use_is_one_sentence_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SystemExit, match=rf"Port {port} .*make ui PORT={port + 1}"):
            prepare_ui(Settings(home=tmp_path), port)
    prepare_ui(Settings(home=tmp_path), port)
    assert (tmp_path / "dagster" / "dagster.yaml").exists()
