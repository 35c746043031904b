"""`lakehouse cdc start|status|stop|logs`."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import click

from lakehouse.capture import lifecycle
from lakehouse.capture.errors import CaptureError
from lakehouse.capture.lifecycle import Forgotten, Status
from lakehouse.capture.sources import Source, chosen, sources
from lakehouse.contracts.loader import load_all
from lakehouse.engine.errors import EngineError
from lakehouse.settings import settings

P = ParamSpec("P")
T = TypeVar("T")


def _one_sentence(command: Callable[P, T]) -> Callable[P, T]:
    """Turns a CaptureError into click's `Error: …` and exit code 1, without a traceback."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except (CaptureError, EngineError) as problem:
            raise click.ClickException(str(problem)) from problem

    return wrapped


@click.group("cdc")
def cdc() -> None:
    """Changes of live Postgres databases, captured into landing. Contracts name the servers (docs/cdc.md)."""


def _chosen(names: tuple[str, ...]) -> list[Source]:
    return chosen(sources(load_all(settings()).values()), names)


_SERVERS = click.argument("servers", nargs=-1)


@cdc.command("start")
@_SERVERS
@click.option("--foreground", is_flag=True, help="Capture in this process, until Ctrl-C or SIGTERM; one server.")
@click.option("--snapshot", is_flag=True, help="Begin anew, with a snapshot of all tables of the server.")
@_one_sentence
def start_command(servers: tuple[str, ...], foreground: bool, snapshot: bool) -> None:
    """Capture the servers that are named, or all. What is captured already goes on."""
    found = _chosen(servers)
    if foreground:
        if len(found) > 1:
            names = ", ".join(source.name for source in found)
            raise CaptureError(f"--foreground captures one server, and there are {names}.", "Name one.")
        from lakehouse.capture.process import capture

        capture(settings(), found[0], snapshot)
        return
    for source in found:
        has_begun = lifecycle.start(settings(), source, snapshot)
        click.echo(f"{source.name} {'is captured now' if has_begun else 'is being captured already'}.")
        for note in lifecycle.status(settings(), source).notes if has_begun else ():
            click.echo(f"  Note: {note}")


@cdc.command("status")
@_SERVERS
@_one_sentence
def status_command(servers: tuple[str, ...]) -> None:
    """Show each capture; exit code 1 with a warning, 3 where one does not run."""
    found = [lifecycle.status(settings(), source) for source in _chosen(servers)]
    for one in found:
        click.echo(describe(one))
    if any(one.warnings for one in found):
        raise SystemExit(1)
    if not all(one.is_running for one in found):
        raise SystemExit(3)  # as `systemctl status` has it: not running is no error


@cdc.command("stop")
@_SERVERS
@click.option(
    "--forget", is_flag=True, help="For good: remove the replication slot, so that the database keeps no log."
)
@_one_sentence
def stop_command(servers: tuple[str, ...], forget: bool) -> None:
    """Stop capturing. The database keeps its log until the next start, which goes on where this ends."""
    for source in _chosen(servers):
        has_run = lifecycle.stop(settings(), source)
        click.echo(f"{source.name}: {'stopped' if has_run else 'was not being captured'}.")
        if forget:
            click.echo(
                f"{source.name}: {outcome(lifecycle.forget(settings(), source))}; the next start takes a snapshot."
            )


@cdc.command("logs")
@_SERVERS
@click.option("-n", "--lines", default=50, show_default=True, type=click.IntRange(min=1), help="Lines to show.")
@_one_sentence
def logs_command(servers: tuple[str, ...], lines: int) -> None:
    """Show the last lines of the captures' logs."""
    for source in _chosen(servers):
        for line in lifecycle.logs(settings(), source.name, lines):
            click.echo(line)
        click.echo(f"({lifecycle.log_path(settings(), source.name)})", err=True)


def describe(found: Status) -> str:
    """The status in words, one fact a line; no value of any row."""
    state, slot = found.state, found.slot
    runs = f"is captured by pid {found.record.pid}" if found.record else "is not being captured"
    lines = [f"{found.source.name} ({found.source.address}) {runs}."]
    for table in found.source.tables:
        events = state.events.get(table.folder, 0) if state else 0
        lines.append(f"  {table.full_name} → {table.folder}: {events:,} events")
    if state and state.offset is None and found.is_running:
        lines.append("  a snapshot is under way: what it reads lands when it is complete")
    elif state and state.stored_at:
        newest = f", newest transaction of {state.committed_at}" if state.committed_at else ""
        lines.append(f"  position {lsn_text(state.lsn)}, stored at {state.stored_at}{newest}")
    if slot:
        seconds = f" and {found.seconds_behind:.0f} s" if found.seconds_behind is not None else ""
        lines.append(
            f"  behind by {_size(slot.behind)}{seconds}; the database keeps {_size(slot.retained)} of log for it"
        )
    lines += [f"  Note: {note}" for note in found.notes]
    return "\n".join([*lines, *(f"  Warning: {warning}" for warning in found.warnings)])


def outcome(found: Forgotten) -> str:
    """What became of a capture that was ended for good, in words: what was removed, and what was left."""
    removed = f"removed {' and '.join(found.removed)}" if found.removed else "there was nothing of its own to remove"
    return f"{removed}; left the publication {found.left}, which the capture did not make" if found.left else removed


def lsn_text(lsn: int) -> str:
    """A position as Postgres writes it: `0/1735F08`."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def _size(count: int) -> str:
    return (
        f"{count:,} B"
        if count < 1024
        else f"{count / 1024**2:,.1f} MiB"
        if count >= 1024**2
        else f"{count / 1024:,.1f} KiB"
    )
