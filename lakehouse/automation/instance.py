"""Dagster's own home: where runs and events are kept."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import psutil
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import DefaultRunLauncher
from dagster._core.storage.event_log.sqlite import SqliteEventLogStorage
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG
from filelock import FileLock, Timeout

from lakehouse.automation.event_log import keep_connections
from lakehouse.settings import Settings

_CONFIG = """\
# Written once by lakehouse; yours to change. SQLite serves one machine; for many writers name a Postgres here:
# https://docs.dagster.io/deployment/oss/dagster-yaml
telemetry:
  enabled: false
nux:
  enabled: false
# One writer a table, and one build of gold, at a time.
concurrency:
  pools:
    default_limit: 1
    granularity: op
  runs:
    max_concurrent_runs: 2
# A run that does not start is marked as failed, and one that does not end is ended: later than each of its steps would be
# (LAKEHOUSE_STEP_MINUTES). The tag `dagster/max_runtime` of a run or job says otherwise, in seconds. (One whose process is
# gone: by the sensor, or by `lakehouse run`.)
run_monitoring:
  enabled: true
  poll_interval_seconds: 30
  start_timeout_seconds: 180
  max_runtime_seconds: 86400
# A step that fails is retried by its own policy; a run is retried only where its process died.
run_retries:
  enabled: true
  max_retries: 1
  retry_on_asset_or_op_failure: false
retention:
  schedule:
    purge_after_days: 30
  sensor:
    purge_after_days: {skipped: 7, failure: 30, success: 30}
"""


def run_lock(settings: Settings) -> FileLock:
    """Held by whoever starts runs in this home, by hand or by the sensor: two would race for the same tables."""
    settings.home.mkdir(parents=True, exist_ok=True)
    return FileLock(settings.home / "run.lock")


def prepare_home(settings: Settings) -> None:
    """Makes DAGSTER_HOME with its configuration, where there is none, and points this process at it. Idempotent."""
    home = settings.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    config = home / "dagster.yaml"
    if not config.exists():
        config.write_text(_CONFIG)
    os.environ["DAGSTER_HOME"] = str(home)


def prepare_ui(settings: Settings, port: int) -> None:
    """As `prepare_home`, for who is about to serve the UI. Ends the process with a sentence where the port is in use: Dagster
    would say so in the last of many lines, after its daemon has begun to work."""
    prepare_home(settings)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as problem:
            sys.exit(f"Port {port} cannot be served on ({problem.strerror}). Name another: make ui PORT={port + 1}")


@contextmanager
def only_ui(settings: Settings, port: int) -> Iterator[None]:
    """One `lakehouse ui` a home, for each has a daemon: two would start the same work. Ends the process with a sentence where
    there is one."""
    prepare_home(settings)
    lock, told = FileLock(settings.dagster_home / "ui.lock"), settings.dagster_home / "ui.txt"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        where = told.read_text().strip() if told.exists() else "it is just being started"
        sys.exit(
            f"The UI of {settings.home} is served already: {where}. Use it or end it, for its daemon and "
            "another one would start the same work twice; for another lakehouse, set LAKEHOUSE_HOME to a folder of its own."
        )
    try:
        told.write_text(f"http://127.0.0.1:{port}, process {os.getpid()}")
        yield
    finally:
        lock.release()


def instance(settings: Settings) -> dg.DagsterInstance:
    """The Dagster instance of this lakehouse; the UI shows what it holds."""
    prepare_home(settings)
    found = dg.DagsterInstance.get()
    # Dagster configures Python's logging anew at the start of each run. That closes the handlers of runs under way in
    # other threads of this process, and locks up where one is just writing an event: so it is done once, here.
    handlers = found.get_yaml_python_handlers()
    found.get_yaml_python_handlers = lambda: handlers  # type: ignore[method-assign]
    # What runs in several threads print goes to one file (`logs/run.log`): Dagster's capture of a run's output swaps the
    # process's own streams, and gives one run's output to another.
    found._compute_log_manager = NoOpComputeLogManager()
    keep_connections(found)
    return found


STARTED_BY = {"lakehouse/started_by": "lakehouse run"}
"""Tag of the runs that `lakehouse run` executes in its own process."""

_RETRIED_WITHIN_SECONDS = 60
"""Its daemon looks every few seconds; what it has not started again by then it has missed."""

_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def unfinished_runs(instance: dg.DagsterInstance, tags: dict[str, str]) -> list[dg.DagsterRun]:
    """Runs with these tags that are queued, starting or under way."""
    return list(instance.get_runs(dg.RunsFilter(tags=tags, statuses=_UNFINISHED)))


def runs_to_be_retried(instance: dg.DagsterInstance, tags: dict[str, str]) -> list[dg.DagsterRun]:
    """Runs with these tags that died within the last minute, and that Dagster is about to start again by itself."""
    lately = datetime.now(UTC) - timedelta(seconds=_RETRIED_WITHIN_SECONDS)
    died = dg.RunsFilter(
        tags={**tags, WILL_RETRY_TAG: "true"}, statuses=[dg.DagsterRunStatus.FAILURE], updated_after=lately
    )
    return [run for run in instance.get_runs(died) if AUTO_RETRY_RUN_ID_TAG not in run.tags]


def heal_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Marks runs of an earlier, killed `lakehouse run` as failed and frees the pools that they held; returns their ids.

    Only for whoever holds the lock of `lakehouse run`: no other such run can be alive then. Dagster itself would count
    them as running for ever, and every later run would wait for their slots.
    """
    return _fail(instance, unfinished_runs(instance, STARTED_BY))


def heal_lost_runs(instance: dg.DagsterInstance, tags: dict[str, str]) -> list[str]:
    """Marks runs with these tags as failed that began in a code server which is gone, and frees the pools that they held;
    returns their ids. A server that lives does so for its own runs; Dagster does it for nobody else's."""
    begun = (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
    return _fail(
        instance,
        [
            run
            for run in unfinished_runs(instance, tags)
            if run.status in begun and not _has_server(instance, run.run_id)
        ],
    )


def heal_gone_runs(instance: dg.DagsterInstance) -> list[str]:
    """Marks runs as failed whose process is gone, whoever started them (a `dagster asset materialize` that was killed, say),
    and frees the pools that they held; returns their ids. Where Dagster's log is no local file, or runs are
    launched into containers, the process is not among this machine's, and nothing is done."""
    is_local = isinstance(instance.event_log_storage, SqliteEventLogStorage)
    if not is_local or not isinstance(instance.run_launcher, DefaultRunLauncher):
        return []
    begun = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING])
    return _fail(instance, [run for run in instance.get_runs(begun) if _is_gone(instance, run.run_id)])


def has_died(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a run failed without a step of it having failed: it could not be started, or its process was ended. Most often
    that is no fault of what it was to take."""
    if run.status != dg.DagsterRunStatus.FAILURE:
        return False
    return not instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE, limit=1).records


def _is_gone(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether the process that began a run has ended; its id alone proves nothing, for ids are used again."""
    started = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.RUN_START, limit=1).records
    event = started[0].event_log_entry.dagster_event if started else None
    if event is None or event.pid is None:
        return False
    try:
        process = psutil.Process(event.pid)
        return process.status() == psutil.STATUS_ZOMBIE or process.create_time() > started[0].timestamp + 1
    except psutil.NoSuchProcess:
        return True


def _has_server(instance: dg.DagsterInstance, run_id: str) -> bool:
    if not isinstance(instance.run_launcher, DefaultRunLauncher):  # in a container or a cluster: its launcher knows
        return True
    launcher: Any = instance.run_launcher
    client = launcher._get_grpc_client_for_termination(run_id)
    if client is None:
        return False
    try:
        client.ping("")
    except DagsterUserCodeUnreachableError:
        return False
    return True


def _fail(instance: dg.DagsterInstance, runs: list[dg.DagsterRun]) -> list[str]:
    for run in runs:
        instance.report_run_failed(run, "Its process ended before it did.")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return [run.run_id for run in runs]
