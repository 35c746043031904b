"""`lakehouse run`, `sql`, `report` and `release`."""

import csv
import json
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from filelock import FileLock, Timeout
from rich.console import Console
from rich.table import Table

from lakehouse.automation import pending as work
from lakehouse.automation.instance import instance as dagster_instance
from lakehouse.automation.instance import prepare_home
from lakehouse.automation.runs import Outcome, Planned, events, execute, plan_runs, tell
from lakehouse.contracts.loader import load_all
from lakehouse.engine.client import connect
from lakehouse.gold import project as dbt
from lakehouse.gold import release as releases
from lakehouse.settings import Settings, settings


@contextmanager
def _only_run(here: Settings) -> Iterator[None]:
    """One `lakehouse run` a home: two would race for the same tables."""
    here.home.mkdir(parents=True, exist_ok=True)
    lock = FileLock(here.home / "run.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise click.ClickException(
            f"Another `lakehouse run` works in {here.home}. Wait for it to end, or set LAKEHOUSE_HOME to another folder."
        ) from None
    try:
        yield
    finally:
        lock.release()


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what is pending, and do nothing.")
def run(dry_run: bool) -> None:
    """Materialize what is pending, in dependency order: bronze, silver, gold, and the release.

    Exit 0: all is released, or there was nothing to do. Exit 1: something failed or was held back; what could be
    committed was, and running again continues.
    """
    here = settings()
    # A pipe has no width: nothing may be folded there.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    with _only_run(here):
        started = time.monotonic()
        contracts = load_all(here)
        if not contracts:
            raise click.ClickException("There are no contracts. Set LAKEHOUSE_CONTRACTS to a folder of them.")
        prepare_home(here)
        spark = connect(here)
        pending = _prepared(here, spark, contracts, console)
        for table, count in pending.unreachable.items():
            console.print(f"{table}: {count} file(s) in landing have an arrival day in the future; they wait for it.")
        if pending.is_empty:
            last = releases.current(spark)
            said = f"Release {last.release_id} is in force." if last else "Nothing has landed yet; try `lakehouse sample land`."
            console.print(f"Nothing to do. {said}")
            return
        if dry_run:
            console.print(_described(pending))
            return
        console.print(_described(pending))
        outcome = _run(here, contracts, spark, pending, console)
        console.print(_closing_table(outcome))
        _say_end(outcome, spark, console, time.monotonic() - started)
    if outcome.failures:
        sys.exit(1)


def _prepared(here: Settings, spark: Any, contracts: dict[str, Any], console: Console) -> work.Pending:
    dbt.prepare(here)
    releases.ensure_tables(spark, here.storage_dir)
    for done in releases.heal(spark, here.storage_dir, contracts, dbt.marts(here)):
        console.print(f"Made again: {done}")
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


def _run(here: Settings, contracts: dict[str, Any], spark: Any, pending: work.Pending, console: Console) -> Outcome:
    # Imported late: the definitions read landing and contracts as they are now.
    from lakehouse.definitions import build

    definitions = build(here)
    outcome = Outcome()
    with dagster_instance(here) as instance:
        for planned in plan_runs(pending, contracts, definitions.get_repository_def()):
            _run_one(planned, definitions, instance, outcome, console)
            if outcome.failures and planned.title.startswith("bronze"):
                # What did not fail goes on: silver takes whatever bronze has.
                continue
    return outcome


def _run_one(planned: Planned, definitions: Any, instance: Any, outcome: Outcome, console: Console) -> None:
    run_id = str(uuid.uuid4())
    outcome.run_ids.append(run_id)
    console.print(f"[bold]{planned.title}[/bold]")
    problem: list[BaseException] = []

    def work_it() -> None:
        try:
            execute(planned, definitions, instance, run_id)
        except BaseException as raised:
            problem.append(raised)

    worker = threading.Thread(target=work_it, daemon=True)
    worker.start()
    cursor, started = 0, {}
    while True:
        alive = worker.is_alive()
        for cursor, entry in events(instance, run_id, cursor):  # noqa: B007 - the last cursor is kept
            line = tell(outcome, started, entry)
            if line:
                console.print(f"  {line}")
        if not alive:
            break
        worker.join(0.5)
    if problem:
        raise problem[0]


def _closing_table(outcome: Outcome) -> Table:
    table = Table(title=None, pad_edge=False, box=None, header_style="bold")
    table.add_column("table", no_wrap=True)
    for name in ("landed", "applied", "duplicate", "other", "quarantined", "rows", "checks", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    order = {"bronze": 0, "silver": 1, "staging": 2, "gold": 3, "serving": 4}
    rows = sorted(outcome.tables.values(), key=lambda t: (order.get(t.layer, 9), t.table))
    for of in rows:
        if of.layer in ("staging", "serving", "ops", "release") or not of.table and of.layer != "gold":
            continue
        if of.table.endswith("__quarantine"):
            continue
        counts = of.counts
        is_silver = of.layer == "silver" and bool(counts)
        checks = f"{of.passed} passed" if of.passed or of.warned or of.failed else ""
        checks += f", {of.warned} warned" if of.warned else ""
        checks += f", [red]{of.failed} failed[/red]" if of.failed else ""
        refused = counts.get("quarantined", 0) + counts.get("rejected", 0) + counts.get("too_late", 0)
        table.add_row(
            f"{of.layer}.{of.table}" if of.table else "gold (dbt build)",
            f"{of.landed:,}" if of.layer == "bronze" or is_silver else "",
            f"{counts.get('applied', 0) + counts.get('deleted', 0):,}" if is_silver else "",
            f"{counts.get('duplicate', 0):,}" if is_silver else "",
            f"{counts.get('superseded', 0) + counts.get('noop', 0):,}" if is_silver else "",
            f"{refused:,}" if is_silver else "",
            f"{of.rows:,}" if of.rows is not None else "",
            checks,
            f"{of.seconds:.1f}" if of.seconds else "",
        )
    return table


def _say_end(outcome: Outcome, spark: Any, console: Console, seconds: float) -> None:
    if outcome.warnings:
        console.print(f"{len(outcome.warnings)} check(s) warned; `lakehouse report` shows each. The first:")
        console.print(f"  {outcome.warnings[0]}", markup=False)
    for failure in outcome.failures:
        console.print(f"Failed: {failure}", style="red", markup=False)
    now = releases.current(spark)
    if outcome.release is not None:
        console.print(f"[bold]Release {outcome.release}[/bold] is in force, after {seconds:.0f} s. Read it in the schema `serving`.")
    elif now is not None:
        console.print(f"No new release; readers still read release {now.release_id}. ({seconds:.0f} s)")
    else:
        console.print(f"No release. ({seconds:.0f} s)")


@click.command()
@click.argument("query")
@click.option("--format", "how", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
@click.option("--limit", default=1000, show_default=True, type=click.IntRange(min=0), help="Rows at most; 0: all.")
def sql(query: str, how: str, limit: int) -> None:
    """Query the lakehouse: lakehouse sql "select * from serving.fct_orders limit 5"."""
    here = settings()
    spark = connect(here)
    contracts = load_all(here)
    releases.heal(spark, here.storage_dir, contracts, dbt.marts(here))
    frame = spark.sql(query)
    names = frame.columns
    rows = (frame.limit(limit + 1) if limit else frame).collect()
    cut = bool(limit) and len(rows) > limit
    _WRITERS[how](names, [row.asDict(recursive=True) if how == "json" else list(row) for row in (rows[:limit] if cut else rows)])
    if cut:
        click.echo(f"(the first {limit:,} rows; --limit 0 shows all)", err=True)


def _write_table(names: list[str], rows: list[Any]) -> None:
    table = Table(pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row))
    # A pipe has no width: nothing may be folded there.
    Console(width=None if sys.stdout.isatty() else 500, markup=False, highlight=False).print(table)


def _write_csv(names: list[str], rows: list[Any]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)


def _write_json(names: list[str], rows: list[Any]) -> None:
    for row in rows:
        click.echo(json.dumps(row, default=str, ensure_ascii=False))


_WRITERS: dict[str, Callable[[list[str], list[Any]], None]] = {
    "table": _write_table,
    "csv": _write_csv,
    "json": _write_json,
}


@click.command()
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write to. Default: <home>/report.")
def report(out: Path | None) -> None:
    """Write the quality report: index.html with plots, and summary.md. Exit 1 where a check fails."""
    from lakehouse.automation.report import write_report

    here = settings()
    spark = connect(here)
    contracts = load_all(here)
    releases.heal(spark, here.storage_dir, contracts, dbt.marts(here))
    written = write_report(spark, here, contracts, out or here.home / "report")
    click.echo(f"{written.html}\n{written.markdown}")
    if written.failed:
        click.echo(f"{len(written.failed)} check(s) fail: {', '.join(written.failed)}", err=True)
        sys.exit(1)


@click.group()
def release() -> None:
    """Releases: which audited versions of gold readers see."""


@release.command("list")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1))
def list_command(limit: int) -> None:
    """The newest events of releases; the one in force is marked."""
    spark = connect(settings())
    now = releases.current(spark)
    rows = [
        [
            f"{event.release_id}{' *' if now and event.at == now.at else ''}",
            event.status,
            f"{event.at:%Y-%m-%d %H:%M:%S}" if event.at else "",
            f"{sum(event.row_counts.values()):,}" if event.row_counts else "",
            f"{event.checks_passed}/{event.checks_passed + event.checks_warned}",
            event.reason,
        ]
        for event in releases.events(spark)[:limit]
    ]
    if not rows:
        click.echo("There is no release yet. `lakehouse run` makes the first.")
        return
    _write_table(["release", "status", "at (UTC)", "rows", "checks passed", "reason"], rows)


@release.command("show")
@click.argument("release_id", type=int, required=False)
def show_command(release_id: int | None) -> None:
    """One release: versions of silver and gold, rows. Default: the one in force."""
    spark = connect(settings())
    found = releases.current(spark)
    if release_id is not None:
        found = next((event for event in releases.events(spark) if event.release_id == release_id), None)
    if found is None:
        raise click.ClickException(
            f"There is no release {release_id if release_id is not None else 'yet'}. `lakehouse release list` shows them."
        )
    click.echo(f"Release {found.release_id}: {found.status} at {found.at:%Y-%m-%d %H:%M:%S} UTC by run {found.run_id or '-'}")
    if found.reason:
        click.echo(found.reason)
    gold = [[name, version, f"{found.row_counts.get(name, 0):,}"] for name, version in sorted(found.gold_versions.items())]
    _write_table(["gold table", "version", "rows"], gold)
    silver = [[n, v, found.silver_batches.get(n, "")] for n, v in sorted(found.silver_versions.items())]
    _write_table(["silver table", "version", "batch"], silver)


@release.command("rollback")
@click.argument("release_id", type=int, required=False)
def rollback_command(release_id: int | None) -> None:
    """Put an older release in force again. Default: the one before the current."""
    here = settings()
    spark = connect(here)
    try:
        back = releases.rollback(spark, here.storage_dir, load_all(here), dbt.marts(here), release_id)
    except releases.ReleaseError as problem:
        raise click.ClickException(str(problem)) from problem
    click.echo(f"Release {back.release_id} is in force again. The next run builds on it and releases what is new.")
