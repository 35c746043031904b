"""`lakehouse run`: what is pending, through Dagster, with live progress."""

import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click
from rich.console import Console

from lakehouse.automation import pending as work
from lakehouse.automation.instance import prepare_home
from lakehouse.automation.report.summary import summarize_run
from lakehouse.automation.runs import Outcome, plan_runs
from lakehouse.bronze.ingest import forget_lost_files
from lakehouse.bronze.landing import passed_over
from lakehouse.bronze.partitions import record_start
from lakehouse.cli.execution import closing_table, execute_all, only_run
from lakehouse.contracts.loader import load_all
from lakehouse.contracts.model import Contract
from lakehouse.engine.client import connect
from lakehouse.gold import project as dbt
from lakehouse.gold import release as releases
from lakehouse.gold.release import Release
from lakehouse.settings import Settings, settings
from lakehouse.silver.refine import pending_batch

_NAMED = 5
"""So many of what is passed over in landing are named."""


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what is pending, and do nothing.")
def run(dry_run: bool) -> None:
    """Materialize what is pending, in dependency order: bronze, silver, gold, and the release.

    Exit 0: all is released, or there was nothing to do. Exit 1: something failed or was held back, which is told last, as
    Markdown that can be passed on; what could be committed was, and running again continues.
    """
    here = settings()
    # A pipe has no width: nothing may be folded there.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160, file=sys.stdout)
    with only_run(here):
        started = time.monotonic()
        contracts = load_all(here)
        if not contracts:
            raise click.ClickException("There are no contracts. Set LAKEHOUSE_CONTRACTS to a folder of them.")
        prepare_home(here)
        with ThreadPoolExecutor(1) as pool:  # dbt reads its project while the engine starts
            project_read = pool.submit(dbt.prepare, here)
            spark = connect(here)
            project_read.result()
        pending = _prepared(here, spark, contracts, console)
        for table, count in pending.unreachable.items():
            console.print(f"{table}: {count} file(s) in landing have an arrival day in the future; they wait for it.")
        for table, count in pending.growing.items():
            console.print(f"{table}: {count} file(s) in landing are still being written; they wait for the next run.")
        if strays := passed_over(here.landing_dir, contracts.values()):
            more = f" and {len(strays) - _NAMED} more" if len(strays) > _NAMED else ""
            console.print(
                f"Passed over in landing: {', '.join(strays[:_NAMED])}{more}. No contract looks there; a file is taken from "
                "<source>/<table>/<arrival day>/ of a contract's table, as shopify/orders/2026-01-31/.",
                markup=False,
            )
        for table in pending.outdated:
            console.print(
                f"{table}: its contract has changed since its first rows were made, and applies to new batches alone. "
                f"`lakehouse rebuild {table}` applies it to all."
            )
        history = releases.events(spark)
        last = releases.in_force(history)
        if last and releases.is_held(history):
            console.print(
                f"Release {last.release_id} was put back in force by a rollback: gold is not built and nothing is "
                "released. `lakehouse release resume` ends that."
            )
        if pending.is_empty:
            said = (
                f"Release {last.release_id} is in force."
                if last
                else "Nothing has landed yet; try `lakehouse sample land`."
            )
            console.print(f"Nothing to do. {said}")
            return
        if dry_run:
            console.print(_described(pending))
            return
        console.print(_described(pending))
        # Where landing is a URL, only the engine can tell where the partitions begin.
        for table, days in pending.landed.items():
            if days:
                record_start(here.home, table, days[0])
        outcome = execute_all(
            here,
            lambda definitions: plan_runs(pending, contracts, definitions.get_repository_def()),
            lambda: _is_gold_due(spark, here, contracts),
            console,
        )
        console.print(closing_table(outcome))
        _say_end(outcome, spark, contracts, console, time.monotonic() - started)
    if outcome.failures:
        sys.exit(1)


def _prepared(here: Settings, spark: Any, contracts: dict[str, Any], console: Console) -> work.Pending:
    releases.ensure_tables(spark, here.storage_dir)
    for done in releases.heal(spark, here.storage_dir, contracts, dbt.marts(here)):
        console.print(f"Made again: {done}")
    for contract in contracts.values():
        if forget_lost_files(spark, contract):
            console.print(f"{contract.bronze_table} has lost its newest batch, as by a power cut; it is taken again.")
    return work.find_pending(spark, here, contracts)


def _described(pending: work.Pending) -> str:
    files = sum(pending.files.values())
    parts = []
    if files:
        parts.append(f"{files:,} file(s) in landing for {', '.join(pending.files)}")
    if pending.silver:
        parts.append(f"silver: {', '.join(pending.silver)}")
    if pending.gold:
        parts.append(f"gold: {pending.gold}")
    return "Pending: " + "; ".join(parts)


def _is_gold_due(spark: Any, here: Settings, contracts: dict[str, Any]) -> bool:
    """Whether silver has something new for gold; of a target that is not released, nobody knows but the plan."""
    return here.dbt_target != "prod" or work.gold_reason(spark, here, contracts, ()) is not None


def _say_end(outcome: Outcome, spark: Any, contracts: Mapping[str, Contract], console: Console, seconds: float) -> None:
    if outcome.warnings:
        console.print(f"{len(outcome.warnings)} check(s) warned; `lakehouse report` shows each. The first:")
        console.print(f"  {outcome.warnings[0]}", markup=False)
    standing = _standing(outcome, releases.current(spark), seconds)
    if not outcome.failures:
        taken = {table: of for table, of in contracts.items() if f"silver.{table}" in outcome.tables}
        if more := behind(spark, taken):
            console.print(
                f"{', '.join(more)}: what arrived after a batch that was decided about waits, as a batch of its own. "
                "`lakehouse run` takes it."
            )
        console.print(standing)
        return
    owners = {contract.table: contract.owner for contract in contracts.values()}
    console.print()
    console.print(summarize_run(outcome, owners, standing), markup=False, soft_wrap=True)


def behind(spark: Any, contracts: Mapping[str, Contract]) -> list[str]:
    """The tables of which bronze has records that silver has not taken."""
    batches = {table: pending_batch(spark, contract) for table, contract in contracts.items()}
    return [contracts[table].silver_table for table, (done, newest) in batches.items() if done != newest]


def _standing(outcome: Outcome, now: Release | None, seconds: float) -> str:
    """What readers see after a run."""
    if outcome.release is not None:
        return f"Release {outcome.release} is in force, after {seconds:.0f} s. Read it in the schema `serving`."
    if now is not None:
        return f"No new release; readers still read release {now.release_id}. ({seconds:.0f} s)"
    return f"No release. ({seconds:.0f} s)"
