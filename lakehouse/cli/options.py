"""What several commands ask for: a contract's table, and who decides what and why."""

import getpass
import sys
from collections.abc import Callable, Mapping

import click

from lakehouse.contracts.model import Contract


def deciding(command: Callable[..., None]) -> Callable[..., None]:
    """The options `--note` and `--by` (as `made_by`) of a command that notes a decision."""
    command = click.option("--by", "made_by", default=getpass.getuser, help="Who decides. Default: your user name.")(
        command
    )
    return click.option("--note", help="Why. Asked for where it is missing.")(command)


def why(note: str | None) -> str:
    """The reason that goes with a decision: whoever finds its effect wants to know. Raises UsageError where none is given
    and nobody can be asked."""
    if note and note.strip():
        return note
    if not sys.stdin.isatty():
        raise click.UsageError("Say why: --note TEXT.")
    return str(click.prompt("Why"))


def known_contract(contracts: Mapping[str, Contract], table: str) -> Contract:
    """The contract of a table; raises ClickException that names those there are."""
    if table not in contracts:
        known = ", ".join(sorted(contracts)) or "none; set LAKEHOUSE_CONTRACTS to a folder of contracts"
        raise click.ClickException(f"There is no contract of a table {table}. Known: {known}.")
    return contracts[table]
