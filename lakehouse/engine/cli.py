"""`lakehouse engine start|status|stop|logs|prepare`."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import click

from lakehouse.engine import lifecycle
from lakehouse.engine.errors import EngineError
from lakehouse.engine.lifecycle import EngineStatus
from lakehouse.settings import settings

P = ParamSpec("P")
T = TypeVar("T")


def _one_sentence(command: Callable[P, T]) -> Callable[P, T]:
    """Turns an EngineError into click's `Error: …` and exit code 1, without a traceback."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except EngineError as problem:
            raise click.ClickException(str(problem)) from problem

    return wrapped


@click.group("engine")
def engine() -> None:
    """The embedded Spark engine. It starts by itself when needed and ends by itself when idle."""


@engine.command("start")
@_one_sentence
def start_command() -> None:
    """Start the engine, unless it runs."""
    if settings().spark_remote is not None:
        raise EngineError(
            "LAKEHOUSE_SPARK_REMOTE names another Spark server, so the embedded engine is not used.",
            "Unset it to use the embedded engine.",
        )
    click.echo(describe(lifecycle.start(settings())))


@engine.command("status")
@_one_sentence
def status_command() -> None:
    """Show whether the engine runs; exit code 3 where it does not."""
    found = lifecycle.status(settings())
    click.echo(describe(found))
    if not found.running:
        raise SystemExit(3)  # as `systemctl status` has it: not running is no error


@engine.command("stop")
@_one_sentence
def stop_command() -> None:
    """Stop the engine; queries under way are cut off."""
    if lifecycle.writes_archive(settings()):
        click.echo(
            "It is the first one here: it writes its class archive as it ends, which takes half a minute or more."
        )
    click.echo("Stopped." if lifecycle.stop(settings()) else "The engine does not run.")


@engine.command("logs")
@click.option("-n", "--lines", default=50, show_default=True, type=click.IntRange(min=1), help="Lines to show.")
@_one_sentence
def logs_command(lines: int) -> None:
    """Show the last lines of the engine's log."""
    for line in lifecycle.logs(settings(), lines):
        click.echo(line)
    click.echo(f"({lifecycle.log_path(settings())})", err=True)


@engine.command("prepare")
@_one_sentence
def prepare_command() -> None:
    """Fetch Spark's jars and archive its classes, once: for an image, or a machine that will have no network."""
    from lakehouse.engine.prepare import prepare

    click.echo(prepare(settings()))


def describe(found: EngineStatus) -> str:
    """The status in words, one fact a line; without the token."""
    if not found.running:
        return "The engine does not run."
    versions = ", ".join(f"{name} {version}" for name, version in (found.versions or {}).items())
    return "\n".join(
        (
            f"The engine runs on 127.0.0.1:{found.port}, pid {found.pid}.",
            f"  up      {_duration(found.uptime_seconds or 0)}, idle {_duration(found.idle_seconds or 0)}",
            f"  memory  {(found.memory_bytes or 0) / 1024**2:,.0f} MiB",
            f"  has     {versions}",
        )
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
