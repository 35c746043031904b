"""An archive of Spark's loaded classes (JDK class data sharing): a later start spends half the processor time.

`lakehouse engine prepare` writes it, or the first engine of an installation when it ends in order; it lies beside the jars,
whose classes it holds.
A JVM that finds the archive does not fit ignores it.
"""

import hashlib
from pathlib import Path

import psutil

from lakehouse.engine import jars
from lakehouse.engine.java import Java
from lakehouse.settings import Settings

_WRITES = "-XX:ArchiveClassesAtExit="


def archive_path(jars_dir: Path, java: Java, last: tuple[str, ...] = ()) -> Path:
    """The archive for this Java with this Spark, these jars, and those that come last on its class path (their coordinates);
    anything else gets another file."""
    import pyspark  # here, for whoever asks whether an engine runs does not need it

    parts = (java.home, java.version, pyspark.__file__, pyspark.__version__, jars_dir, jars.COORDINATES, *last)
    identity = "|".join(map(str, parts))
    return jars_dir / f"classes-{hashlib.sha256(identity.encode()).hexdigest()[:12]}.jsa"


def archive_of(settings: Settings, java: Java) -> Path:
    """The archive of the engine that these settings start: of its own jars, or else the usual one where that is there, for a
    JVM takes one whose class path its own begins with."""
    own = archive_path(jars.folder_of(settings), java, jars.S3 if settings.reads_s3 else ())
    usual = archive_path(settings.jars_dir, java)
    return usual if usual.exists() and not own.exists() else own


def java_options(archive: Path, pid: int) -> list[str]:
    """JVM flags that use the archive, or, while there is none, write one at exit into `draft`."""
    if archive.exists():
        return [f"-XX:SharedArchiveFile={archive}", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]
    return [f"{_WRITES}{draft(archive, pid)}", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]


def is_written_by(options: list[str]) -> bool:
    """Whether a JVM with these flags writes an archive as it ends, which takes it a while."""
    return any(option.startswith(_WRITES) for option in options)


def draft(archive: Path, pid: int) -> Path:
    return archive.with_name(f"{archive.name}.{pid}")


def keep(archive: Path, pid: int, ended_in_order: bool) -> None:
    """Makes the draft of this process the archive, or throws it away if the JVM had to be killed while writing it."""
    mine = draft(archive, pid)
    if ended_in_order and mine.exists():
        mine.replace(archive)
    mine.unlink(missing_ok=True)


def sweep(archive: Path) -> None:
    """Removes the drafts that killed engines left behind (100 MB each)."""
    for path in archive.parent.glob("classes-*.jsa.*"):
        pid = path.suffix.removeprefix(".")
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            path.unlink(missing_ok=True)
