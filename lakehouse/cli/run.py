"""`lakehouse run`: what is pending, through Dagster, with live progress."""

import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import click
from filelock import FileLock, Timeout
from rich.console import Console
from rich.table import Table

from lakehouse.automation import pending as work
from lakehouse.automation.instance import heal_dead_runs, pools_in_use, prepare_home
from lakehouse.automation.instance import instance as dagster_instance
from lakehouse.automation.runs import GOLD, Outcome, Planned, events, execute, plan_runs, pools_of, tell
from lakehouse.bronze.partitions import record_start
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
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160, file=sys.stdout)
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

    # Where landing is a URL, only the engine can tell where the partitions begin.
    for table, days in pending.landed.items():
        if days:
            record_start(here.home, table, days[0])
    definitions = build(here)
    outcome = Outcome()
    log = here.home / "logs" / "run.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    # What dbt and Spark say goes to a file; the console has its own stream.
    with dagster_instance(here) as instance, log.open("w") as said, redirect_stdout(said), redirect_stderr(said):
        for run_id in heal_dead_runs(instance):
            console.print(f"Run {run_id[:8]} ended with its process; what it committed stays.")
        for planned in plan_runs(pending, contracts, definitions.get_repository_def()):
            # What did not fail goes on: silver takes whatever bronze has, gold whatever silver has.
            if planned.title == GOLD and work.gold_reason(spark, here, contracts, ()) is None:
                continue
            _run_one(planned, definitions, instance, outcome, console)
    return outcome


def _wait_for_pools(planned: Planned, definitions: Any, instance: Any, console: Console) -> None:
    """A table has one writer at a time: waits while a run of Dagster's daemon or UI holds one that this run needs."""
    told: dict[str, str] = {}
    while held := pools_in_use(instance, pools_of(planned, definitions)):
        if held != told:
            for pool, run_id in held.items():
                console.print(f"Waiting: run {run_id[:8]} holds {pool}. (If its process is dead, delete it in the UI.)")
            told = held
        time.sleep(2)


def _run_one(planned: Planned, definitions: Any, instance: Any, outcome: Outcome, console: Console) -> None:
    _wait_for_pools(planned, definitions, instance, console)
    run_id = str(uuid.uuid4())
    outcome.run_ids.append(run_id)
    console.print(f"[bold]{planned.title}[/bold]")
    problem: list[BaseException] = []
    succeeded: list[bool] = []
    failures = len(outcome.failures)

    def work_it() -> None:
        try:
            succeeded.append(execute(planned, definitions, instance, run_id))
        except BaseException as raised:
            problem.append(raised)

    worker = threading.Thread(target=work_it, daemon=True)
    worker.start()
    cursor: str | None = None
    started: dict[str, float] = {}
    while True:
        alive = worker.is_alive()
        entries, cursor = events(instance, run_id, cursor)
        for entry in entries:
            line = tell(outcome, started, entry)
            if line:
                console.print(f"  {line}")
        if not alive:
            break
        worker.join(0.5)
    if problem:
        raise problem[0]
    if not all(succeeded) and len(outcome.failures) == failures:
        outcome.failures.append(f"{planned.title}: run {run_id[:8]} failed outside of its steps; `make ui` shows why.")


def _closing_table(outcome: Outcome) -> Table:
    table = Table(title=None, pad_edge=False, box=None, header_style="bold")
    table.add_column("table", no_wrap=True)
    for name in ("landed", "applied", "duplicate", "other", "quarantined", "rows", "checks", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    order = {"bronze": 0, "silver": 1, "staging": 2, "gold": 3, "serving": 4}
    rows = sorted(outcome.tables.values(), key=lambda t: (order.get(t.layer, 9), t.table))
    for of in rows:
        if of.layer in ("staging", "serving", "ops", "release") or (not of.table and of.layer != "gold"):
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
        console.print(
            f"[bold]Release {outcome.release}[/bold] is in force, after {seconds:.0f} s. Read it in the schema `serving`."
        )
    elif now is not None:
        console.print(f"No new release; readers still read release {now.release_id}. ({seconds:.0f} s)")
    else:
        console.print(f"No release. ({seconds:.0f} s)")
