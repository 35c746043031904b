"""`lakehouse contract …` where it needs more than contracts: what silver and the audit make of one, and the engine.

The group and its other commands are in `lakehouse.contracts.cli`.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click

from lakehouse.cli.options import known_contract
from lakehouse.contracts.cli import contract
from lakehouse.contracts.export.avro import avro_schema
from lakehouse.contracts.export.dbt_sources import dbt_sources
from lakehouse.contracts.export.json_schema import json_schema
from lakehouse.contracts.export.shape import Relation
from lakehouse.contracts.export.spark_ddl import spark_ddl
from lakehouse.contracts.loader import load_all
from lakehouse.contracts.model import Column, Contract
from lakehouse.quality.sodacl import sodacl
from lakehouse.settings import settings
from lakehouse.silver.parse import point_type
from lakehouse.silver.state import child_columns, is_historic

__all__ = ["contract"]


def _row(of: Contract) -> Relation:
    """The row of the view `silver.<table>`, less its technical columns."""
    columns = of.columns
    if is_historic(of):
        kind = point_type(of)
        columns += (
            _made("valid_from", kind, "From when this version held.", required=True),
            _made("valid_to", kind, "Until when it held, exclusive; null while it holds."),
            _made("is_current", "boolean", "Whether this version holds now.", required=True),
        )
    return Relation(of, of.silver_table, f"{of.title}. {of.grain}", columns)


def _made(name: str, kind: str, description: str, required: bool = False) -> Column:
    logical = kind if kind in ("timestamp", "boolean") else "integer"
    return Column(
        name=name, source_name=name, type=kind, logical_type=logical, description=description, required=required
    )


def _relations(contracts: Sequence[Contract]) -> Iterator[Relation]:
    for of in contracts:
        yield _row(of)
        for column in of.child_tables:
            said = f"The elements of {column.name} of {of.table}, one row each, with the key of their row."
            yield Relation(of, of.child_view(column), said, tuple(child_columns(of, column)))


def _json(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n"


_EACH: dict[str, tuple[str, Callable[[Contract], str]]] = {
    "json-schema": ("{}.schema.json", lambda of: _json(json_schema(of))),
    "avro": ("{}.avsc", lambda of: _json(avro_schema(_row(of)))),
}
"""Formats that are a document a table: its file's name, and what makes it."""
_ALL: dict[str, tuple[str, Callable[[Sequence[Contract]], str]]] = {
    "dbt-sources": ("_silver__sources.yml", lambda all_of: dbt_sources(list(_relations(all_of)))),
    "sodacl": ("checks.yml", sodacl),
    "spark-ddl": ("tables.sql", lambda all_of: "\n".join(spark_ddl(_row(of)) for of in all_of)),
}
"""Formats of which one document holds all tables."""


@contract.command()
@click.argument("how", metavar="FORMAT", type=click.Choice([*_EACH, *_ALL]))
@click.argument("tables", nargs=-1)
@click.option("--out", type=click.Path(path_type=Path), help="The file to write, or a folder. Default: the terminal.")
def export(how: str, tables: tuple[str, ...], out: Path | None) -> None:
    """Write contracts in another tool's language: those of TABLES, or all.

    \b
    json-schema  a record as it arrives, for whoever delivers
    avro         the row of the silver table, for whoever reads
    spark-ddl    the same, as `create table` statements
    dbt-sources  the silver tables as sources of dbt, with descriptions and tests
    sodacl       every rule and check, for Soda on its own
    """
    known = load_all(settings())
    chosen = [known_contract(known, table) for table in tables] or list(known.values())
    if not chosen:
        raise click.ClickException("There are no contracts. Set LAKEHOUSE_CONTRACTS to a folder of them.")
    if how in _EACH:
        name, make = _EACH[how]
        documents = {name.format(of.table): make(of) for of in chosen}
    else:
        name, make_all = _ALL[how]
        documents = {name: make_all(chosen)}
    if out is None:
        if len(documents) > 1:
            raise click.UsageError(f"{how} is a document a table: name one table, or a folder with --out.")
        click.echo(next(iter(documents.values())), nl=False)
        return
    is_folder = out.is_dir() or not out.suffix
    if not is_folder and len(documents) > 1:
        raise click.UsageError(f"{how} is a document a table, and {out} is a file: name a folder.")
    for name, text in documents.items():
        click.echo(write(out / name if is_folder else out, text))


def write(path: Path, text: str) -> Path:
    """Writes a file, over one that is there; makes its folder. Raises ClickException where it cannot."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}. Name another with --out.") from error
    return path
