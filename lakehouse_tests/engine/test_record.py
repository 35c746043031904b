"""engine.json: who is believed to be the engine."""

import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from lakehouse.engine import class_archive, lifecycle, record
from lakehouse.settings import Settings


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    found = Settings(home=tmp_path)
    found.engine_dir.mkdir()
    return found


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is no engine."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield child
    child.kill()
    child.wait()


def make(pid: int, started: float, port: int = 1) -> record.Record:
    return record.Record(pid, started, pid, started, port, "s3cret", {"spark": "3.5.7"})


def test_a_live_process_with_its_own_start_time_is_believed(here: Settings, bystander: subprocess.Popen[bytes]) -> None:
    mine = make(bystander.pid, record.began(psutil.Process(bystander.pid)))
    record.write(here, mine)
    assert record.alive(here) == mine


def test_a_clock_that_is_set_makes_no_other_process_of_it(
    here: Settings, bystander: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = make(bystander.pid, record.began(psutil.Process(bystander.pid)))
    record.write(here, mine)
    linux: Any = psutil._psplatform
    started = linux.boot_time()
    for seconds in (3600, -3600):  # by which Linux says that the machine started later, or earlier
        monkeypatch.setattr(linux, "boot_time", lambda seconds=seconds: started + seconds)
        assert record.alive(here) == mine


def test_a_dead_pid_is_stale(here: Settings, bystander: subprocess.Popen[bytes]) -> None:
    record.write(here, make(bystander.pid, record.began(psutil.Process(bystander.pid))))
    bystander.kill()  # not waited for: a zombie is dead too
    psutil.wait_procs([psutil.Process(bystander.pid)], timeout=0.5)
    assert record.alive(here) is None
    assert not lifecycle.status(here).running


@pytest.mark.parametrize("is_first", [True, False])
def test_whether_it_writes_its_class_archive_as_it_ends_is_known_by_its_flags(here: Settings, is_first: bool) -> None:
    archive = here.home / "classes.jsa"
    if not is_first:
        archive.touch()
    flags = class_archive.java_options(archive, 7)
    assert not lifecycle.writes_archive(here)
    program = "import time; print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program, *flags], stdout=subprocess.PIPE) as jvm:
        assert jvm.stdout is not None
        jvm.stdout.readline()  # its flags are not there before it runs
        record.write(here, make(jvm.pid, record.began(psutil.Process(jvm.pid))))
        assert lifecycle.writes_archive(here) is is_first
        jvm.kill()
    assert not lifecycle.writes_archive(here)


def test_a_pid_used_again_is_stale_and_never_signalled(here: Settings, bystander: subprocess.Popen[bytes]) -> None:
    record.write(here, make(bystander.pid, record.began(psutil.Process(bystander.pid)) - 1000))
    assert not lifecycle.status(here).running
    assert lifecycle.stop(here) is False
    assert bystander.poll() is None
    assert record.read(here) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
def test_an_unreadable_record_counts_as_none(here: Settings, text: str) -> None:
    record.record_path(here).write_text(text)
    assert record.read(here) is None
    assert not lifecycle.status(here).running


def test_an_engine_of_another_version_that_wrote_more_is_found(here: Settings) -> None:
    record.write(here, make(1, 1.0))
    path = record.record_path(here)
    path.write_text(json.dumps({**json.loads(path.read_text()), "more": "of it"}))
    assert record.read(here) == make(1, 1.0)


def test_only_the_owner_may_read_the_token(here: Settings) -> None:
    record.write(here, make(1, 1.0))
    assert stat.S_IMODE(record.record_path(here).stat().st_mode) == 0o600
    assert [path.name for path in here.engine_dir.iterdir()] == ["engine.json"]


def test_the_token_does_not_show_when_printed() -> None:
    assert "s3cret" not in repr(make(1, 1.0))
