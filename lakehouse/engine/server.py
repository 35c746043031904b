"""The engine's process: `python -m lakehouse.engine.server <settings file>`. Started by `lifecycle`, not by hand.

It owns the JVM and the catalog; serves Spark Connect; and ends by itself when nobody calls any more, or on SIGTERM.
"""

import logging
import os
import secrets
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import psutil
from filelock import FileLock, Timeout

from lakehouse.engine import catalog, class_archive, config, jars, kept_catalog, record, torn
from lakehouse.engine.improvements import (
    closures,
    code_lengths,
    known_formats,
    local_files,
    no_status,
    shared_code,
    short_conf,
    small_scans,
)
from lakehouse.engine.java import Java, find_java
from lakehouse.settings import Settings

POLL_SECONDS = 1.0
JVM_SECONDS = 25
"""What a JVM is granted to end in order."""
ARCHIVE_SECONDS = 150
"""What it is granted where it writes its class archive as it ends: 15 to 35 s where nothing else runs, by the machine."""
LAST_JARS = "SPARK_DIST_CLASSPATH"
"""The environment variable with what Spark's launcher puts on the class path after all else."""
_LEAKS = (
    # A client's process has the first four after its first session; with them Spark would try to be a client here.
    "SPARK_CONNECT_MODE_ENABLED",
    "SPARK_REMOTE",
    "SPARK_LOCAL_REMOTE",
    "PYSPARK_GATEWAY_PORT",
    "PYSPARK_GATEWAY_SECRET",
    # Another Spark's home, options and configuration would win over ours.
    "SPARK_HOME",
    "SPARK_CONF_DIR",
    "SPARK_LOCAL_DIRS",
    "PYSPARK_SUBMIT_ARGS",
    LAST_JARS,
)


def say(message: str) -> None:
    """A line for `lakehouse engine logs`."""
    print(message, flush=True)


def prepare_environment(engine_dir: Path, java: Java) -> None:
    """Cleans what a client process leaves to its children, and names Java, Python and the scratch folder."""
    for name in _LEAKS:
        os.environ.pop(name, None)
    os.environ["JAVA_HOME"] = str(java.home)
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    os.environ["SPARK_LAUNCHER_OPTS"] = "-XX:-UsePerfData"  # else files in /tmp/hsperfdata_<user>
    os.environ["MALLOC_ARENA_MAX"] = "2"  # else each of the JVM's many threads keeps memory of its own
    os.environ["TZ"] = "UTC"
    os.environ["TMPDIR"] = str(engine_dir / "tmp")
    tempfile.tempdir = None  # forget the folder chosen before
    os.chdir(engine_dir)  # what Spark drops where it stands stays in its home


def prepare_files(settings: Settings) -> None:
    """The engine's folders and the files that configure it, without what a killed engine left behind."""
    engine_dir = settings.engine_dir
    shutil.rmtree(engine_dir / "tmp", ignore_errors=True)
    (engine_dir / "tmp").mkdir(parents=True, mode=0o700)
    (engine_dir / "log4j2.properties").write_text(config.log4j_properties(engine_dir))
    (engine_dir / config.TURNS).write_text(config.turns())
    if "://" not in settings.storage_dir:
        Path(config.storage_uri(settings)).mkdir(parents=True, exist_ok=True)


def download(conf: dict[str, str]) -> None:
    """Lets Spark's own resolver (Ivy) fetch the jars named in `conf`: a JVM that starts, downloads and ends."""
    from pyspark import SparkConf
    from pyspark.java_gateway import launch_gateway

    say(f"Resolving {conf['spark.jars.packages']} (once).")
    gateway = launch_gateway(SparkConf(loadDefaults=False).setAll(list(conf.items())))
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait(timeout=60)


def start_spark(conf: dict[str, str]) -> tuple[Any, psutil.Process]:
    """A classic Spark session in a JVM of its own, and that JVM's process."""
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession

    options = SparkConf(loadDefaults=False).setAll(list(conf.items()))
    gateway = launch_gateway(options, popen_kwargs={"stdout": DEVNULL})
    SparkContext._ensure_initialized(gateway=gateway)
    builder = SparkSession.builder
    for key, value in conf.items():
        builder = builder.config(key, value)
    return builder.getOrCreate(), psutil.Process(gateway.proc.pid)


def quicken(spark: Any) -> None:
    """Makes the engine faster, before it opens a table; without an improvement it is slower, and nothing else."""
    from py4j.protocol import Py4JError

    for without, improve in IMPROVEMENTS.items():
        try:
            improve(spark)
        except (Py4JError, TypeError) as problem:  # TypeError: py4j calls a class that is not there
            say(f"{without}, which makes the engine slower: {str(problem).splitlines()[0][:300]}")


IMPROVEMENTS: Mapping[str, Callable[[Any], None]] = {
    "Each query asks the logs of its tables": small_scans.install,
    "Generated code is not shared between queries": shared_code.install,
    "Each file written starts a process": local_files.install,
    "Generated code is measured by regular expressions": code_lengths.install,
    "Functions are examined before they are sent": closures.install,
    "Records are kept of queries that nobody reads": no_status.install,
    "Each read and write searches all libraries for its format": known_formats.install,
    "Each task reads all of Hadoop's settings": short_conf.install,
}
"""What is without an improvement → the improvement."""


def open_catalog(spark: Any, settings: Settings) -> None:
    """Takes up what the catalog knew, and registers what the storage holds."""
    folder = config.catalog_dir(settings)
    for file in kept_catalog.install(spark, folder):
        say(
            f"Cannot be taken up: {file}. Delta tables are found in storage; views are made again by the next `lakehouse run`."
        )
    tables = catalog.register_tables(spark, config.storage_uri(settings))
    say(f"Catalog: {tables.registered} tables registered, {tables.dropped} lost entries dropped.")
    before = settings.engine_dir / "metastore"
    if before.exists():
        say(
            "An earlier version's metastore is removed. Views and tables of your own that are not Delta's are to be made again."
        )
        for left in (before, before.with_suffix(".id"), before.with_name("derby.log")):
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)


def serve(settings: Settings, stop: threading.Event) -> None:
    """Runs the engine until it is told to stop or has been idle for long enough."""
    java = find_java(settings.java_home)
    prepare_files(settings)
    prepare_environment(settings.engine_dir, java)
    settings.jars_dir.mkdir(parents=True, exist_ok=True)
    with FileLock(settings.jars_dir / "resolve.lock"):  # several homes may share one folder of jars
        found = jars.resolve(settings.jars_dir, download)
        if settings.reads_s3:  # last, for the usual class archive is of a class path that begins as this one
            last = jars.resolve(jars.folder_of(settings), download, jars.S3)
            os.environ[LAST_JARS] = os.pathsep.join(map(str, last))
        archive = class_archive.archive_of(settings, java)
        class_archive.sweep(archive)
    conf = config.spark_conf(settings, config.this_machine(), found)
    flags = class_archive.java_options(archive, os.getpid())
    conf["spark.driver.extraJavaOptions"] += " " + " ".join(flags)
    for sentence in torn.take_back(settings.storage_dir):
        say(sentence)
    spark, jvm = start_spark(conf)
    try:
        from lakehouse.engine.gate import open_gate

        quicken(spark)
        open_catalog(spark, settings)
        token = secrets.token_urlsafe(32)
        gate = open_gate(spark, token)
        me = psutil.Process()
        record.write(
            settings,
            record.Record(
                pid=me.pid,
                started=record.began(me),
                jvm_pid=jvm.pid,
                jvm_started=record.began(jvm),
                port=gate.port,
                token=token,
                versions={
                    "spark": str(spark.version),
                    "delta": jars.COORDINATES[0].rsplit(":", 1)[1],
                    "java": java.version,
                    "python": sys.version.split()[0],
                },
            ),
        )
        say(
            f"Serving on 127.0.0.1:{gate.port} with {conf['spark.default.parallelism']} core(s), heap {conf['spark.driver.memory']}."
        )
        say(watch(settings, gate, jvm, stop))
        gate.close()
    finally:
        forget(settings)
        logging.disable()  # py4j would lament the end of its JVM, line after line
        class_archive.keep(archive, os.getpid(), end_jvm(jvm, granted(flags)))


def watch(settings: Settings, gate: Any, jvm: psutil.Process, stop: threading.Event) -> str:
    """Waits for a reason to end, and returns it. Notes the last activity in the time stamp of `activity`."""
    activity = settings.engine_dir / "activity"
    activity.touch()
    lock = FileLock(settings.engine_dir / "start.lock")
    limit = settings.engine_idle_minutes * 60
    while not stop.wait(min(POLL_SECONDS, limit / 4)):
        if not jvm.is_running() or jvm.status() == psutil.STATUS_ZOMBIE:
            return "The JVM is gone: the engine ends."
        mine = record.read(settings)
        if mine is None or mine.pid != os.getpid():
            return "engine.json is gone or names another engine: this one ends."
        idle = gate.idle_seconds()
        if idle < 2 * POLL_SECONDS:
            os.utime(activity)
        if idle < limit:
            continue
        try:  # whoever starts or attaches holds the lock: then it is not idle after all
            with lock.acquire(timeout=0):
                if gate.idle_seconds() >= limit:
                    forget(settings)
                    return f"Nobody called for {limit / 60:g} minutes: the engine ends."
        except Timeout:
            continue
    return "Told to stop: the engine ends."


def forget(settings: Settings) -> None:
    """Removes engine.json if it is this process's own."""
    mine = record.read(settings)
    if mine and mine.pid == os.getpid():
        record.record_path(settings).unlink(missing_ok=True)


def granted(flags: list[str]) -> float:
    """The seconds in which a JVM with these flags must end when it is told to."""
    return ARCHIVE_SECONDS if class_archive.is_written_by(flags) else JVM_SECONDS


def end_jvm(jvm: psutil.Process, seconds: float) -> bool:
    """Ends the JVM in order, by force after so many seconds.

    Returns whether it ended in order.
    """
    try:
        jvm.terminate()
        jvm.wait(timeout=seconds)
    except psutil.TimeoutExpired:
        jvm.kill()
        return False
    except psutil.NoSuchProcess:
        return False
    return True


def main() -> None:
    settings_file = Path(sys.argv[1])
    settings = Settings.model_validate_json(settings_file.read_text())
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with alone(settings, stop) as is_alone:
        if is_alone:
            serve(settings, stop)


@contextmanager
def alone(settings: Settings, stop: threading.Event) -> Iterator[bool]:
    """Whether this is the only engine of its home, which holds a lock as long as it lives.

    Waits for one that starts (whoever started it may have been killed meanwhile, and its lock with it), or ends: two
    would overwrite what the other one keeps. False where another serves, or this one is told to stop.
    """
    lock = FileLock(settings.engine_dir / "engine.lock")
    is_told = False
    while not stop.is_set():
        with suppress(Timeout):
            lock.acquire(timeout=POLL_SECONDS / 4)
            break
        if not is_told:
            say("Another engine of this home starts or ends: this one waits for it.")
            is_told = True
        if record.alive(settings):
            say("Another engine of this home serves: this one ends.")
            break
    try:
        yield lock.is_locked
    finally:
        lock.release()


if __name__ == "__main__":
    main()
