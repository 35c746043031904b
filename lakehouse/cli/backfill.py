"""`lakehouse backfill`: a stretch of days of some tables, or of gold, and what follows from it, once."""

import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from lakehouse.automation.backfills import (
    Backfill,
    BackfillError,
    Progress,
    days_asked,
    days_of,
    last_seconds,
    plan_backfill,
)
from lakehouse.automation.instance import instance as dagster_instance
from lakehouse.automation.instance import prepare_home
from lakehouse.automation.runs import Planned
from lakehouse.bronze.assets import first_periods
from lakehouse.bronze.landing import LandedFile, arrival_day, landed_files
from lakehouse.bronze.taken import NAMED_AT_MOST, taken_files
from lakehouse.cli.execution import closing_table, execute_all, only_run
from lakehouse.contracts.loader import load_all
from lakehouse.contracts.model import Contract
from lakehouse.engine.client import connect
from lakehouse.gold import project as dbt
from lakehouse.gold import release as releases
from lakehouse.settings import Settings, settings

_DAY = click.DateTime(["%Y-%m-%d"])


@click.command()
@click.option(
    "--select", required=True, multiple=True, help="A table, as shopify_orders; `gold`; or `all` tables. Repeatable."
)
@click.option("--from", "first", required=True, type=_DAY, help="The first day: of arrival; of gold, of events.")
@click.option("--to", "last", required=True, type=_DAY, help="The last day, included.")
@click.option("--refresh", is_flag=True, help="Take again what was taken of those days, in place of it.")
@click.option(
    "--accept-missing", is_flag=True, help="With --refresh: also where files that were taken are gone from landing."
)
@click.option("--no-downstream", is_flag=True, help="Bronze alone.")
@click.option("--periods-a-run", default=31, show_default=True, type=click.IntRange(1), help="Partitions in one run.")
@click.option("--restart", is_flag=True, help="From the start, where the same backfill was left unfinished.")
@click.option("--dry-run", is_flag=True, help="Say what would be run, and do nothing.")
def backfill(
    select: tuple[str, ...],
    first: datetime,
    last: datetime,
    refresh: bool,
    accept_missing: bool,
    no_downstream: bool,
    periods_a_run: int,
    restart: bool,
    dry_run: bool,
) -> None:
    """Materialize the partitions of a stretch of days in few runs, then silver, gold and its release, once.

    Stopped or killed, the same command goes on where it was. Exit 1: something failed or was held back; what could be
    committed was, and the same command tries the rest again.
    """
    here = settings()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160, file=sys.stdout)
    contracts = load_all(here)
    tables = _tables(select, contracts)
    if first > last:
        raise click.ClickException(f"--from {first.date()} is after --to {last.date()}.")
    if refresh and not tables:
        raise click.ClickException("--refresh takes files of landing again; gold's days are always built anew.")
    if no_downstream and not tables:
        raise click.ClickException("--no-downstream leaves gold alone, and nothing but gold is asked for.")
    asked = Backfill(tables, first.date(), last.date(), refresh, periods_a_run, not no_downstream)
    with only_run(here):
        prepare_home(here)
        dbt.prepare(here)
        spark = connect(here)
        releases.ensure_tables(spark, here.storage_dir)
        read = dbt.tables_read(here, contracts)
        if asked.builds_gold(read) and releases.is_held(releases.events(spark)):
            raise click.ClickException(
                "A release was put back in force by a rollback, so gold is not built. `lakehouse release resume` ends that"
                + ("; `--no-downstream` leaves gold alone." if tables else ".")
            )
        landed = {
            table: landed_files(here.landing_dir, contracts[table], spark, days_asked(asked, contracts[table]))
            for table in tables
        }
        if refresh and not accept_missing:
            for table in tables:
                _refuse_missing(spark, contracts[table], asked, landed[table])
        progress = Progress(here.home, asked)

        def planned(definitions: Any) -> list[Planned]:
            starts = first_periods(list(contracts.values()), here)
            repository = definitions.get_repository_def()
            return plan_backfill(asked, contracts, starts, datetime.now(UTC).date(), repository, read)

        runs = _planned(here, planned)
        _say_plan(here, runs, contracts, landed, set() if restart else progress.done, console)
        if dry_run:
            return
        if restart:
            progress.forget()
        outcome = execute_all(here, lambda _: progress.remaining(runs), lambda: True, console, progress.add)
        console.print(closing_table(outcome))
        left = progress.remaining(runs)
        if not left:
            progress.forget()
    for failure in outcome.failures:
        console.print(f"Failed: {failure}", style="red", markup=False)
    if left:
        console.print(f"{len(left)} of {len(runs)} run(s) are not done. The same command goes on with them.")
        sys.exit(1)
    said = f"Release {outcome.release} is in force." if outcome.release is not None else "Nothing was released."
    console.print(f"The backfill is done: {len(runs)} run(s). {said}")


def _planned(here: Settings, plan: Any) -> list[Planned]:
    from lakehouse.definitions import build  # late: the definitions read landing and contracts as they are now

    try:
        runs: list[Planned] = plan(build(here))
    except BackfillError as problem:
        raise click.ClickException(str(problem)) from None
    return runs


def _tables(select: Sequence[str], contracts: Mapping[str, Contract]) -> tuple[str, ...]:
    """The tables that are meant, in the order of their contracts; none for gold."""
    said = [name.strip() for part in select for name in part.split(",")]
    names = {re.sub(r"^(bronze|silver)[./]", "", name) for name in said if name}
    if names == {"gold"}:
        return ()
    if "gold" in names:
        raise click.ClickException("Of gold, days of events are meant; of tables, days of arrival: two backfills.")
    unknown = names - contracts.keys() - {"all"}
    if unknown or not names:
        known = ", ".join(sorted(contracts)) or "none; set LAKEHOUSE_CONTRACTS to a folder of contracts"
        problem = f"There is no table {', '.join(sorted(unknown))}." if unknown else "--select names no table."
        raise click.ClickException(f"{problem} Known: {known}; `gold`; `all`.")
    return tuple(table for table in contracts if table in names or "all" in names)


def _refuse_missing(spark: Any, contract: Contract, asked: Backfill, landed: Sequence[LandedFile]) -> None:
    """A refresh puts what is in landing in place of what was taken: files that are gone would take their records along."""
    since, until = days_asked(asked, contract)
    there = {file.path for file in landed}
    gone = sorted(
        path
        for path in taken_files(spark, contract)
        if path not in there and (day := arrival_day(path)) is not None and since <= day < until
    )
    if gone:
        raise click.ClickException(
            f"{len(gone)} file(s) that {contract.bronze_table} took of these days are gone from landing: "
            f"{', '.join(gone[:NAMED_AT_MOST])}{' …' if len(gone) > NAMED_AT_MOST else ''} A refresh would take their "
            "records out of the lakehouse. Put them back; or, if that is what you want, --accept-missing."
        )


def _say_plan(
    here: Settings,
    runs: Sequence[Planned],
    contracts: Mapping[str, Contract],
    landed: Mapping[str, list[LandedFile]],
    done: set[str],
    console: Console,
) -> None:
    table = Table(pad_edge=False, box=None, header_style="bold")
    table.add_column("run", no_wrap=True)
    for name in ("files", "megabytes", "seconds, when run last"):
        table.add_column(name, justify="right")
    with dagster_instance(here) as instance:
        for run in runs:
            files = _files_of(run, contracts, landed)
            seconds = last_seconds(instance, run)
            table.add_row(
                run.title + (" (done)" if run.title in done else ""),
                f"{len(files):,}" if files is not None else "",
                f"{sum(file.size for file in files) / 1e6:,.1f}" if files is not None else "",
                f"{seconds:,.0f}" if seconds is not None else "not known",
            )
    console.print(table)
    if done:
        console.print(f"{len(done)} run(s) were done when this backfill was left; --restart begins anew.")


def _files_of(
    run: Planned, contracts: Mapping[str, Contract], landed: Mapping[str, list[LandedFile]]
) -> list[LandedFile] | None:
    """The files in landing that a run of bronze looks at; None of another run."""
    layer, table = run.assets[0].path[0], run.assets[0].path[-1]
    if layer != "bronze":
        return None
    first, until = days_of(run, contracts[table])
    return [file for file in landed[table] if first <= file.arrived_on < until]
