"""`lakehouse …`: one clear sentence on an error, a traceback only with `--debug`. Exit 0 is success, 1 a failure that
the message explains, 2 a wrong use of the command line."""

import importlib
import sys
from typing import Any

import click

_COMMANDS = {
    "run": ("lakehouse.cli.run:run", "Materialize what is pending, in dependency order."),
    "backfill": ("lakehouse.cli.backfill:backfill", "Materialize a stretch of days, and what follows from it."),
    "rebuild": ("lakehouse.cli.rebuild:rebuild", "Fold a table of silver anew from bronze."),
    "maintain": ("lakehouse.cli.maintain:maintain", "Put small files together; remove files that nobody needs."),
    "batch": ("lakehouse.cli.batch:batch", "Look at batches that were held back; release or reject them."),
    "quarantine": ("lakehouse.cli.quarantine:quarantine", "Look at refused records, decide about them, replay them."),
    "alerts": ("lakehouse.cli.alerts:alerts", "Try whether messages about what broke reach anybody."),
    "ui": ("lakehouse.cli.ui:ui", "Serve Dagster's UI and run its daemon; start again what dies of them."),
    "sql": ("lakehouse.cli.query:sql", "Query the lakehouse through the engine."),
    "profile": ("lakehouse.cli.profile:profile", "Measure a table; propose rules for its contract."),
    "report": ("lakehouse.cli.query:report", "Write the quality report (HTML and Markdown)."),
    "release": ("lakehouse.cli.release:release", "List, show and roll back releases."),
    "contract": ("lakehouse.cli.contract:contract", "Check, compare, document, export and import contracts."),
    "engine": ("lakehouse.engine.cli:engine", "Start, stop and look at the shared engine."),
    "cdc": ("lakehouse.capture.cli:cdc", "Capture the changes of Postgres databases into landing."),
    "sample": ("lakehouse.sample.cli:sample", "Replay the sample shop into landing."),
}
"""Name → (where it is, what it does). Loaded when called: Dagster alone takes seconds to import."""


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[name][0].split(":")
        found: click.Command = getattr(importlib.import_module(module), attribute)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=_Lazy)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="lakehouse")
@click.pass_context
def lakehouse(ctx: click.Context, debug: bool) -> None:
    """A lakehouse from data contracts: land files, `lakehouse run`, query `serving`."""
    ctx.obj = {"debug": debug}


def main(args: list[str] | None = None) -> None:
    """The console script."""
    arguments = sys.argv[1:] if args is None else args
    try:
        lakehouse.main(args=arguments, prog_name="lakehouse", standalone_mode=False)
    except click.exceptions.Exit as ended:
        sys.exit(ended.exit_code)
    except click.ClickException as problem:
        problem.show()
        sys.exit(problem.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped. What was committed stays; run again to continue.", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
    except Exception as problem:
        if "--debug" in arguments:
            raise
        click.echo(f"Error: {explain(problem)}", err=True)
        click.echo("(`lakehouse --debug …` shows the traceback.)", err=True)
        sys.exit(1)


def explain(problem: Any) -> str:
    """One readable sentence or two for an error, whatever raised it."""
    from lakehouse.automation.errors import sentence

    return sentence(problem)


if __name__ == "__main__":
    main()
