"""The class archive: written aside, kept only when whole; whoever writes it is given the time."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from lakehouse.engine import class_archive, lifecycle, server
from lakehouse.engine.jars import S3, S3_FOLDER
from lakehouse.engine.java import Java
from lakehouse.settings import Settings

JAVA = Java(Path("/java"), "17.0.9", "a test")
NO_PID = 2**22 + 1  # above the largest pid that Linux gives


def test_another_java_has_another_archive(tmp_path: Path) -> None:
    other = Java(Path("/java"), "17.0.10", "a test")
    assert class_archive.archive_path(tmp_path, JAVA) != class_archive.archive_path(tmp_path, other)
    assert class_archive.archive_path(tmp_path, JAVA).parent == tmp_path


def test_with_an_object_store_the_usual_archive_serves_until_there_is_its_own(tmp_path: Path) -> None:
    local = Settings(home=tmp_path, jars=tmp_path)
    with_s3 = Settings(home=tmp_path, jars=tmp_path, landing="s3://bucket/in")
    usual = class_archive.archive_path(tmp_path, JAVA)
    own = class_archive.archive_path(tmp_path / S3_FOLDER, JAVA, S3)
    assert class_archive.archive_of(local, JAVA) == usual
    assert class_archive.archive_of(with_s3, JAVA) == own
    usual.touch()
    assert class_archive.archive_of(with_s3, JAVA) == usual
    own.parent.mkdir()
    own.touch()
    assert class_archive.archive_of(with_s3, JAVA) == own
    assert class_archive.archive_of(local, JAVA) == usual


@pytest.mark.parametrize("in_order", [True, False])
def test_a_draft_becomes_the_archive_only_if_the_jvm_ended_in_order(tmp_path: Path, in_order: bool) -> None:
    archive = class_archive.archive_path(tmp_path, JAVA)
    assert any(option.startswith("-XX:ArchiveClassesAtExit=") for option in class_archive.java_options(archive, 7))
    class_archive.draft(archive, 7).write_text("classes")
    class_archive.keep(archive, 7, in_order)
    assert archive.exists() is in_order
    assert not class_archive.draft(archive, 7).exists()
    assert server.granted(class_archive.java_options(archive, 8)) == (
        server.JVM_SECONDS if in_order else server.ARCHIVE_SECONDS
    )
    uses = f"-XX:SharedArchiveFile={archive}" in class_archive.java_options(archive, 8)
    assert uses is in_order


def test_drafts_of_dead_engines_are_swept(tmp_path: Path) -> None:
    archive = class_archive.archive_path(tmp_path, JAVA)
    dead, living = class_archive.draft(archive, NO_PID), class_archive.draft(archive, 1)
    for path in (archive, dead, living):
        path.touch()
    class_archive.sweep(archive)
    assert (archive.exists(), dead.exists(), living.exists()) == (True, False, True)


@pytest.mark.parametrize(("seconds", "in_order"), [(20, True), (0.2, False)])
def test_what_takes_a_while_to_end_is_waited_for_as_long_as_is_granted(seconds: float, in_order: bool) -> None:
    program = "import signal, time; signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1), exit())); print(1, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert server.end_jvm(psutil.Process(child.pid), seconds) is in_order


def test_whoever_asks_an_engine_to_end_or_waits_for_it_is_more_patient_than_its_server() -> None:
    assert server.JVM_SECONDS < lifecycle.STOP_SECONDS
    assert server.ARCHIVE_SECONDS < lifecycle.WRITING_SECONDS
    assert server.ARCHIVE_SECONDS + 120 < lifecycle.START_SECONDS
