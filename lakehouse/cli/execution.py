"""Execute planned runs in this process, with live progress: what `lakehouse run` and `lakehouse rebuild` share."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

import click
from filelock import Timeout
from rich.console import Console
from rich.table import Table

from lakehouse.automation.instance import heal_dead_runs, heal_gone_runs, run_lock
from lakehouse.automation.instance import instance as dagster_instance
from lakehouse.automation.pools import pools_in_use
from lakehouse.automation.runs import GOLD, RUNS_AT_ONCE, Outcome, Planned, events, execute, pools_of, tell
from lakehouse.settings import Settings

_PATIENCE_SECONDS = 3
"""A look of the sensor holds the lock too, most often for less."""


@contextmanager
def only_run(here: Settings) -> Iterator[None]:
    """One command that writes tables a home: two would race for them."""
    lock = run_lock(here)
    try:
        lock.acquire(timeout=_PATIENCE_SECONDS)
    except Timeout:
        raise click.ClickException(
            f"Another command (a run, backfill, rebuild, replay or maintenance), or a look of the sensor, is at work in "
            f"{here.home}. Wait for it to end, or set LAKEHOUSE_HOME to another folder."
        ) from None
    try:
        yield
    finally:
        lock.release()


def execute_all(
    here: Settings,
    plan: Callable[[Any], list[Planned]],
    is_gold_due: Callable[[], bool],
    console: Console,
    on_success: Callable[[Planned], None] = lambda _: None,
) -> Outcome:
    """Executes what `plan` makes of the definitions as they are now, and returns what came of it.

    For whoever holds `only_run`: runs that a killed command left behind are failed first.
    """
    # Imported late: the definitions read landing and contracts as they are now.
    from lakehouse.definitions import build

    definitions = build(here)
    outcome = Outcome()
    log = here.home / "logs" / "run.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    # What dbt and Spark say goes to a file; the console has its own stream.
    with dagster_instance(here) as instance, log.open("w") as said, redirect_stdout(said), redirect_stderr(said):
        for run_id in [*heal_dead_runs(instance), *heal_gone_runs(instance)]:
            console.print(f"Run {run_id[:8]} ended with its process; what it committed stays.")
        _run_all(plan(definitions), _Workers(definitions, instance), outcome, console, is_gold_due, on_success)
    return outcome


@dataclass
class _Running:
    """A run under way, and how far its log has been told."""

    planned: Planned
    pools: set[str]
    run_id: str
    ended: "Future[bool]"
    cursor: str | None = None
    started: dict[str, float] = field(default_factory=dict)
    has_told_failure: bool = False


class _Workers:
    """Threads that execute runs, each with a Spark session of its own. They end with the process: Ctrl-C waits for none,
    but for a query that a step asks beside another one."""

    def __init__(self, definitions: Any, instance: Any) -> None:
        self.definitions, self.instance = definitions, instance
        self._work: SimpleQueue[_Running] = SimpleQueue()
        for _ in range(RUNS_AT_ONCE):
            threading.Thread(target=self._loop, daemon=True).start()

    def start(self, planned: Planned, pools: set[str]) -> _Running:
        running = _Running(planned, pools, str(uuid.uuid4()), Future())
        self._work.put(running)
        return running

    def _loop(self) -> None:
        while True:
            running = self._work.get()
            try:
                running.ended.set_result(execute(running.planned, self.definitions, self.instance, running.run_id))
            except BaseException as problem:
                running.ended.set_exception(problem)


def _run_all(
    runs: Sequence[Planned],
    workers: _Workers,
    outcome: Outcome,
    console: Console,
    is_gold_due: Callable[[], bool],
    on_success: Callable[[Planned], None] = lambda _: None,
) -> None:
    """Executes the runs, some at once, each after those that it waits for, and tells what happens meanwhile.

    What did not fail goes on: silver takes whatever bronze has, gold whatever silver has.
    """
    waiting, under_way, ended = list(runs), list[_Running](), set[str]()
    told: dict[str, str] = {}
    while waiting or under_way:
        for planned in [run for run in waiting if run.after <= ended]:
            if len(under_way) == RUNS_AT_ONCE:
                break
            pools = pools_of(planned, workers.definitions)
            is_ours = any(pools & running.pools for running in under_way)
            if is_ours or _is_held(pools, workers, told, console):
                continue
            waiting.remove(planned)
            if planned.title != GOLD or is_gold_due():
                under_way.append(workers.start(planned, pools))
                outcome.run_ids.append(under_way[-1].run_id)
        if not under_way and waiting:
            time.sleep(2)  # all are held by others
            heal_gone_runs(workers.instance)
        wait([running.ended for running in under_way], timeout=0.3, return_when=FIRST_COMPLETED)
        for running in list(under_way):
            has_ended = running.ended.done()
            _tell(running, workers.instance, outcome, console)
            if has_ended:
                under_way.remove(running)
                ended.add(running.planned.title)
                _settle(running, outcome)
                if running.ended.result():
                    on_success(running.planned)


def _is_held(pools: set[str], workers: _Workers, told: dict[str, str], console: Console) -> bool:
    """Whether a run of Dagster's daemon or UI holds one of these pools: a table has one writer at a time."""
    held = pools_in_use(workers.instance, pools)
    for pool, run_id in held.items():
        if told.get(pool) != run_id:
            console.print(f"Waiting: run {run_id[:8]} holds {pool}.")
            told[pool] = run_id
    return bool(held)


def _tell(running: _Running, instance: Any, outcome: Outcome, console: Console) -> None:
    entries, running.cursor = events(instance, running.run_id, running.cursor)
    failures = len(outcome.failures)
    for entry in entries:
        line = tell(outcome, running.started, entry, running.planned.title)
        if line:
            console.print(f"  {line}")
    running.has_told_failure |= len(outcome.failures) > failures


def _settle(running: _Running, outcome: Outcome) -> None:
    """A run that failed without a step of it saying so must not end as a success. Raises what the run raised."""
    if not running.ended.result() and not running.has_told_failure:
        outcome.failures.append(
            f"{running.planned.title}: run {running.run_id[:8]} failed outside of its steps; `make ui` shows why."
        )


def closing_table(outcome: Outcome) -> Table:
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
