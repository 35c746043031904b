"""`lakehouse contract …`: tell two versions apart, keep a changelog, and propose a contract for a data file."""

from datetime import UTC, datetime
from pathlib import Path

import click

from lakehouse.contracts.changelog import entry, insert
from lakehouse.contracts.changes import KINDS, Change, compare
from lakehouse.contracts.document import read
from lakehouse.contracts.history import HistoryError, version_of
from lakehouse.contracts.loader import contract_files, real
from lakehouse.contracts.loader import load as load_contract
from lakehouse.contracts.model import Contract
from lakehouse.contracts.problems import ContractError
from lakehouse.contracts.profile import ProfileError, propose
from lakehouse.settings import Settings, settings


@click.group("contract")
def contract() -> None:
    """Data contracts: one YAML file a table."""


@contract.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--source", help="The system it comes from; its folder in landing.")
@click.option("--table", help="The table's name in that system.")
@click.option("--out", type=click.Path(path_type=Path), help="The contract to write, or the folder to write it to.")
def new(file: Path, source: str | None, table: str | None, out: Path | None) -> None:
    """Profile a CSV, JSON or Parquet FILE and write a contract for it, to be reviewed."""
    try:
        text = propose(file, source, table)
    except ProfileError as error:
        raise click.ClickException(str(error)) from error
    write_proposal(text, out)


@contract.command()
@click.argument("old")
@click.argument("new", type=click.Path(path_type=Path))
def diff(old: str, new: Path) -> None:
    """Classify what changed between two versions of a contract, OLD and NEW.

    OLD is a file, or a revision of git (HEAD, main, v1.2) at which NEW's file is looked up.

    breaking: rows or readers cannot go on as before; rebuild the table. forward-only: asked of new batches alone.
    compatible: rows and readers go on. Exit 1 where a change is breaking or the version does not tell of it.
    """
    before, after, changes = _compared(old, new)
    for change in changes:
        click.echo(f"{change.kind:12}  {change.where}: {change.text}")
    counts = ", ".join(f"{sum(c.kind == kind for c in changes)} {kind}" for kind in KINDS)
    click.echo(f"{before.version} to {after.version}: {counts}." if changes else "No change.")
    breaking = any(change.kind == "breaking" for change in changes)
    if breaking:
        click.echo(f"Apply it with `lakehouse rebuild {after.table}`, and raise the first number of its version.")
    if changes and before.version == after.version:
        raise click.ClickException(
            f"The version is {after.version} in both: raise it, so that results tell them apart."
        )
    if breaking:
        raise SystemExit(1)


@contract.command()
@click.argument("old")
@click.argument("new", type=click.Path(path_type=Path))
@click.option("--write", is_flag=True, help="Put the entry into NEW, on top of its changelog.")
def changelog(old: str, new: Path, write: bool) -> None:
    """Write the entry of NEW's version: what it changed since OLD, a file or a revision of git, as `diff` says.

    A contract that keeps a changelog has an entry for its version; `lakehouse contract check` sees to it.
    """
    before, after, changes = _compared(old, new)
    if not changes:
        click.echo("No change.", err=True)
        return
    if before.version == after.version:
        raise click.ClickException(f"The version is {after.version} in both: raise it in {new} first.")
    if any(revision.version == after.version for revision in after.changelog):
        raise click.ClickException(f"The changelog of {new} has an entry for {after.version}. Edit or remove it.")
    lines = entry(after.version, changes, datetime.now(UTC).date())
    if not write:
        click.echo("\n".join(["changelog:", *(f"  {line}" for line in lines)]))
        return
    try:
        new.write_text(insert(read(new), lines), encoding="utf-8")
    except ValueError as error:
        raise click.ClickException(
            f"{new} was left as it is: {error}. Run without --write and add it by hand."
        ) from error
    except OSError as error:
        raise click.ClickException(f"{new} cannot be written: {error.strerror}. Check its permissions.") from error
    click.echo(f"Wrote the entry of {after.version} into {new}: {count(len(changes), 'change')}.")


def _compared(old: str, new: Path) -> tuple[Contract, Contract, list[Change]]:
    try:
        before, after = version_of(old, new), load_contract(new)
    except (ContractError, HistoryError) as error:
        raise click.ClickException(str(error)) from error
    return before, after, compare(before, after)


def write_proposal(text: str, out: Path | None) -> None:
    """Writes the text of a new contract and says what to do with it; `out` is a file or a folder, else the first folder of
    the settings. Raises ClickException where a file is there already or cannot be written."""
    target = _target(out, text, settings())
    if target.exists():
        raise click.ClickException(f"{target} exists. Remove it first, or name another with --out.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise click.ClickException(f"{target} cannot be written: {error.strerror}. Name another with --out.") from error
    click.echo(f"Wrote {target} with {count(text.count('# review:'), 'place')} to review.")
    try:
        written = load_contract(target)
    except ContractError as error:
        raise click.ClickException(f"The proposal needs mending before it can be used:\n{error}") from error
    if not any(real(target) == real(path) for path in contract_files(settings())):
        click.echo(f"To use it, set LAKEHOUSE_CONTRACTS={target.parent}")
    click.echo(f"Its files are looked for in landing under {written.source}/{written.name}/<arrival day>/.")


def _target(out: Path | None, text: str, chosen: Settings) -> Path:
    full_name = next(line.partition(":")[2].strip() for line in text.splitlines() if "physicalName:" in line)
    if out and (out.suffix in (".yaml", ".yml") and not out.is_dir()):
        return out
    folder = out or next((path for path in chosen.contracts if not path.is_file()), Path("contracts"))
    return folder / f"{full_name}.yaml"


def count(number: int, noun: str, nouns: str = "") -> str:
    """`1 problem`, `2 problems`; of other plurals, the plural too."""
    return f"{number} {noun if number == 1 else nouns or noun + 's'}"
