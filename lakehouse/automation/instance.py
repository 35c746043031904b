"""Dagster's own home: where runs and events are kept."""

import os

import dagster as dg

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
# A run whose process is gone is noticed and marked as failed.
run_monitoring:
  enabled: true
  poll_interval_seconds: 30
  start_timeout_seconds: 180
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


def prepare_home(settings: Settings) -> None:
    """Makes DAGSTER_HOME with its configuration, where there is none, and points this process at it. Idempotent."""
    home = settings.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    config = home / "dagster.yaml"
    if not config.exists():
        config.write_text(_CONFIG)
    os.environ["DAGSTER_HOME"] = str(home)


def instance(settings: Settings) -> dg.DagsterInstance:
    """The Dagster instance of this lakehouse; the UI shows what it holds."""
    prepare_home(settings)
    return dg.DagsterInstance.get()
