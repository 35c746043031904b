"""`lakehouse rebuild`: a table of silver, folded anew from bronze."""

import sys

import click
from rich.console import Console

from lakehouse.automation.instance import prepare_home
from lakehouse.automation.runs import plan_rebuild
from lakehouse.cli.execution import closing_table, execute_all, only_run
from lakehouse.cli.options import known_contract
from lakehouse.contracts.loader import load_all
from lakehouse.settings import settings


@click.command()
@click.argument("table")
@click.option(
    "--accept-loss", is_flag=True, help="Also where bronze no longer holds the records of some rows: they go."
)
def rebuild(table: str, accept_loss: bool) -> None:
    """Fold the silver TABLE (such as shopify_orders) anew from all that bronze holds, by its contract as it is now.

    One commit: readers see the old rows until the new ones have passed their audit. `lakehouse run` then publishes it.
    Exit 1: the audit held it back; nothing was changed.
    """
    here = settings()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160, file=sys.stdout)
    known_contract(load_all(here), table)
    with only_run(here):
        prepare_home(here)
        outcome = execute_all(
            here,
            lambda definitions: [plan_rebuild(table, definitions.get_repository_def(), accept_loss)],
            lambda: False,
            console,
        )
        console.print(closing_table(outcome))
    for failure in outcome.failures:
        console.print(f"Failed: {failure}", style="red", markup=False)
    if outcome.failures:
        sys.exit(1)
    if not outcome.of("silver", table).counts.get("landed"):
        console.print(f"Bronze holds nothing for {table}; nothing was made.")
        return
    console.print(f"silver.{table} is made anew. `lakehouse run` publishes it.")
