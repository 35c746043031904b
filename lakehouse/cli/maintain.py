"""`lakehouse maintain`: what the weekly schedule does, now."""

import sys
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from lakehouse.automation.instance import instance as dagster_instance
from lakehouse.automation.instance import prepare_home
from lakehouse.automation.maintenance import upkeep_keys
from lakehouse.automation.runs import Planned
from lakehouse.cli.execution import execute_all, only_run
from lakehouse.gold import project as dbt
from lakehouse.settings import settings


@click.command()
def maintain() -> None:
    """Put small files together, and remove those that no version in use needs: of every table.

    Removed is what no version of the last seven days needs; of gold, what no release in use needs. Rows change in bronze and
    quarantine alone: records older than their contract's retention go. So do old logs.
    Exit 1: a table could not be kept up; the others were.
    """
    here = settings()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160, file=sys.stdout)
    with only_run(here):
        prepare_home(here)
        dbt.prepare(here)
        planned: list[Planned] = []

        def plan(definitions: Any) -> list[Planned]:
            keys = upkeep_keys(list(definitions.get_repository_def().asset_graph.asset_nodes))
            planned.extend(Planned(" ".join(key.path), (key,)) for key in keys)
            return planned

        outcome = execute_all(here, plan, lambda: False, console)
        with dagster_instance(here) as instance:
            console.print(_told(instance, planned, outcome.run_ids))
    for failure in outcome.failures:
        console.print(f"Failed: {failure}", style="red", markup=False)
    if outcome.failures:
        sys.exit(1)


def _told(instance: Any, planned: list[Planned], run_ids: list[str]) -> Table:
    """What was done, a row a table of Delta."""
    shown = Table(pad_edge=False, box=None, header_style="bold")
    shown.add_column("table", no_wrap=True)
    for name in ("files before", "after", "megabytes", "megabytes freed", "rows removed"):
        shown.add_column(name, justify="right", no_wrap=True)
    for (key,) in (run.assets for run in planned):
        event = instance.get_latest_materialization_event(key)
        if event is None or event.run_id not in run_ids:
            continue
        for record in event.asset_materialization.metadata["tables"].records:
            row = record.data
            shown.add_row(
                str(row.get("table") or f"home: {row['part']}"),
                f"{row['files_before']:,}",
                f"{row['files_after']:,}",
                f"{row['megabytes']:,.1f}",
                f"{row['megabytes_freed']:,.1f}",
                f"{row.get('rows_removed', 0):,}",
            )
    return shown
