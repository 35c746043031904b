"""What an engine needs is fetched and archived ahead of time, and nothing else is touched."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from lakehouse.engine import class_archive
from lakehouse.engine.cli import engine
from lakehouse.engine.java import find_java
from lakehouse.settings import settings


@pytest.mark.engine
@pytest.mark.soak  # nearly a minute; `make test` prepares its own engines so
@pytest.mark.timeout(240)
def test_the_next_engine_finds_jars_and_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = settings().jars_dir
    jars = tmp_path / "jars"
    jars.mkdir()
    for name in ("jars", "resolved.json"):  # downloaded once: by the engine that the other tests share
        os.symlink(known / name, jars / name)
    monkeypatch.setenv("LAKEHOUSE_JARS", str(jars))
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    settings.cache_clear()
    said = CliRunner().invoke(engine, ["prepare"], catch_exceptions=False)
    assert said.output == f"Prepared: jars and class archive are in {jars}.\n"
    archive = class_archive.archive_of(settings(), find_java(settings().java_home))
    assert archive.stat().st_size > 50 * 1024**2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["jars"]
    again = CliRunner().invoke(engine, ["prepare"], catch_exceptions=False)
    assert again.output == f"Nothing to do: jars and class archive are in {jars}.\n"
