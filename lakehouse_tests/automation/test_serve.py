"""Dagster is started again where one of its processes dies. In its place here is a program with children like its own."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from lakehouse.automation import serve as module
from lakehouse.automation.serve import serve
from lakehouse_tests import waiting

FAKE = """
import subprocess, sys, time
def child(*words): return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", *words])
children = [child("dagster", "code-server", "start"), child("dagster", "api", "grpc")]
with open(sys.argv[1], "a") as said: said.write(" ".join(str(c.pid) for c in children) + "\\n")
time.sleep(600)
"""


until = partial(waiting.until, seconds=30)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("LOOK_SECONDS", 0.2), ("SOON_SECONDS", 0), ("END_SECONDS", 5)):
        monkeypatch.setattr(module, name, value)


@pytest.fixture
def served(tmp_path: Path, quick: None) -> Iterator[tuple[Callable[[], list[int]], list[str]]]:
    """(the pids of the code servers of the newest life, what was said)."""
    told, stop, said = tmp_path / "pids", threading.Event(), list[str]()
    told.touch()
    command = [sys.executable, "-c", FAKE, str(told)]
    thread = threading.Thread(target=serve, args=(command, said.append, lambda: False, stop))
    thread.start()
    yield lambda: [int(pid) for pid in (told.read_text().splitlines() or [""])[-1].split()], said
    stop.set()
    thread.join(timeout=30)
    until(lambda: not any(lives(int(pid)) for pid in told.read_text().split()))


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_dead_code_server_and_a_dead_dagster_are_started_again(
    served: tuple[Callable[[], list[int]], list[str]],
) -> None:
    pids, said = served
    until(pids)
    for number, words in ((1, "code server has died"), (0, "code server has died"), (None, "has ended")):
        before = pids()
        time.sleep(0.5)  # it has been seen
        process = psutil.Process(before[0]).parent() if number is None else psutil.Process(before[number])
        assert process is not None
        process.kill()
        until(lambda before=before: pids() != before)
        assert words in said[-1] and said[-1].endswith("It is started again.")


def test_what_does_not_start_at_all_is_given_up(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SOON_SECONDS", 60)
    monkeypatch.setattr(threading.Event, "wait", lambda self, timeout=None: time.sleep(0.05) or self.is_set())
    said: list[str] = []
    assert serve([sys.executable, "-c", "import sys; sys.exit(7)"], said.append, lambda: False) == 7
    assert len(said) == 3 and "is not started again" in said[-1]


def test_what_has_answered_is_started_again_however_soon_it_dies(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SOON_SECONDS", 60)
    stop, said = threading.Event(), list[str]()

    def say(sentence: str) -> None:
        said.append(sentence)
        if len(said) == 5:
            stop.set()

    assert serve([sys.executable, "-c", "import time; time.sleep(0.5)"], say, lambda: True, stop) == 0
    assert len(said) == 5 and all(sentence.endswith("It is started again.") for sentence in said)
