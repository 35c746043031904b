"""`lakehouse contract …` where it needs more than contracts: the calendar of special days, what silver and the audit make of
a contract, and the engine.

The group and its other commands are in `lakehouse.contracts.cli`.
"""

import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lakehouse.cli.options import known_contract
from lakehouse.contracts.cli import contract, count, write_proposal
from lakehouse.contracts.declarations import dialects, propose_dbt, propose_ddl
from lakehouse.contracts.export.avro import avro_schema
from lakehouse.contracts.export.dbt_sources import dbt_sources
from lakehouse.contracts.export.json_schema import json_schema
from lakehouse.contracts.export.shape import Relation
from lakehouse.contracts.export.spark_ddl import spark_ddl
from lakehouse.contracts.inference import snake
from lakehouse.contracts.loader import SAMPLE, contract_files, files_in, load_all, real, table_names
from lakehouse.contracts.loader import check as check_files
from lakehouse.contracts.model import Column, Contract
from lakehouse.contracts.problems import Problem
from lakehouse.contracts.profile import propose, propose_sample
from lakehouse.contracts.samples import ProfileError, Sample
from lakehouse.quality import calendar
from lakehouse.quality.sodacl import sodacl
from lakehouse.settings import Settings, settings
from lakehouse.silver.parse import point_type
from lakehouse.silver.state import child_columns, is_historic
from lakehouse.storage.tables import quote

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

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
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
def check(files: tuple[Path, ...]) -> None:
    """Validate contract FILES (or folders), and the calendar of special days where it is among them; without any, all that
    the settings name."""
    here = settings()
    with_calendar = not files or any(_holds(path, here.calendar_file) for path in files)
    paths = [path for path in files if real(path) != real(here.calendar_file)]
    if not files:
        paths = [*contract_files(here), *(folder for folder in here.contracts if not folder.exists())]
    if not paths and not files:
        raise click.ClickException(
            "There are no contracts. Name files, or set LAKEHOUSE_CONTRACTS to a folder of them."
        )
    problems = check_files(paths, here)
    days, faults = _calendar(here, paths) if with_calendar else ((), [])
    for problem in [*problems, *faults]:
        click.echo(str(_shortened(problem)))
    number = sum(len(files_in(path, here)) for path in paths)
    if problems:
        faulty = len({problem.file for problem in problems})
        click.echo(f"{count(len(problems), 'problem')} in {faulty} of {count(number, 'contract')}.")
    elif paths:
        click.echo(f"{count(number, 'contract')}, no problems.")
    if faults:
        click.echo(f"{count(len(faults), 'problem')} in the calendar of special days.")
    elif days or (files and with_calendar):
        click.echo(f"{count(len(days), 'entry', 'entries')} in the calendar of special days, no problems.")
    if problems or faults:
        raise SystemExit(1)


def _holds(path: Path, file: Path) -> bool:
    """Whether there is something in the file's place, and that is at the path or below it."""
    return os.path.lexists(file) and real(file).is_relative_to(real(path))


def _calendar(here: Settings, paths: Sequence[Path]) -> tuple[calendar.Calendar, list[Problem]]:
    """The calendar, and what is wrong with it. The sample's tables are known to it also where its contracts are not loaded:
    it may have written the file. Where there is no calendar, no contract is read for it."""
    if calendar.check(here) == ((), []):
        return (), []
    return calendar.check(here, table_names(here, [*paths, SAMPLE]))


def _shortened(problem: Problem) -> Problem:
    """The problem with its file as seen from the working directory, where it lies below it."""
    try:
        file = problem.file.absolute().relative_to(Path.cwd())
    except ValueError:
        return problem
    return Problem(file, problem.line, problem.column_path, problem.message, problem.remedy)


@contract.command()
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write to. Default: <home>/contracts.")
def docs(out: Path | None) -> None:
    """Write the documentation of every contract: static pages, index.html and one a table."""
    from lakehouse.automation.contract_docs import render

    here = settings()
    folder = out or here.home / "contracts"
    pages = render(load_all(here))
    for name, text in pages.items():
        write(folder / name, text)
    click.echo(f"{folder / 'index.html'}: {len(pages) - 1} contract{'' if len(pages) == 2 else 's'}.")


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


ROWS_READ = 20_000
"""So many rows of a table are looked at for a proposal."""
_LAYERS = ("bronze", "silver", "silver_state", "gold", "serving")


@contract.command("import")
@click.option(
    "--delta", metavar="TABLE", help="A table of the lakehouse (`schema.table`), or the path of a Delta table."
)
@click.option("--ddl", metavar="FILE", type=click.Path(path_type=Path), help="A file of SQL with `create table`.")
@click.option(
    "--dbt", metavar="MANIFEST", type=click.Path(path_type=Path), help="The target/manifest.json of a dbt project."
)
@click.option("--model", help="With --dbt: the model, seed, snapshot or source.")
@click.option("--dialect", default="spark", show_default=True, help="With --ddl: the SQL that it is written in.")
@click.option("--source", help="The system it comes from; its folder in landing.")
@click.option("--table", help="The table's name in that system; with --ddl, which one of several.")
@click.option("--out", type=click.Path(path_type=Path), help="The contract to write, or the folder to write it to.")
def import_(
    delta: str | None,
    ddl: Path | None,
    dbt: Path | None,
    model: str | None,
    dialect: str,
    source: str | None,
    table: str | None,
    out: Path | None,
) -> None:
    """Write a contract for a table that is there already: in Delta, in dbt, or in DDL; to be reviewed.

    Of a Delta table rows are looked at too, as by `contract new`; of a table of bronze the records in it.
    """
    if sum(given is not None for given in (delta, ddl, dbt)) != 1:
        raise click.UsageError("Say where from: one of --delta TABLE, --ddl FILE, --dbt MANIFEST.")
    if (dbt is None) != (model is None):
        raise click.UsageError("--dbt MANIFEST and --model NAME go together.")
    if dialect.lower() not in dialects():
        raise click.UsageError(f"There is no dialect {dialect}. Known: {', '.join(dialects())}.")
    try:
        if delta is not None:
            text = _of_delta(delta, source, table)
        elif ddl is not None:
            text = propose_ddl(ddl, table, source, dialect.lower())
        else:
            assert dbt is not None and model is not None
            text = propose_dbt(dbt, model, source, table)
    except ProfileError as error:
        raise click.ClickException(str(error)) from error
    write_proposal(text, out)


def _of_delta(name: str, source: str | None, table: str | None) -> str:
    """The text of a contract for a Delta table. Raises ProfileError where there is none, or it is empty of columns."""
    from pyspark.errors import PySparkException

    from lakehouse.engine.client import connect

    spark = connect(settings())
    place = f"delta.{quote(str(Path(name).absolute()) if '://' not in name else name)}" if "/" in name else name
    try:
        frame = spark.table(place)
        schema = frame.schema
    except PySparkException as error:
        reason = str(error).strip().splitlines()[0]
        raise ProfileError(
            f'There is no table {name}: {reason} `lakehouse sql "show tables in silver"` lists those of silver.'
        ) from error
    found_source, found_table = _names(name)
    source_name = snake(source, fallback="files") if source else found_source
    table_name = snake(table, fallback="records") if table else found_table
    if {"record", "header", "file", "position", "arrived_on"} <= set(schema.names):
        return _of_records(frame, source_name, table_name)
    fields = [field for field in schema if not field.name.startswith("_")]
    rows = [row.asDict(recursive=True) for row in frame.limit(ROWS_READ).collect()]
    sample = Sample(
        file=Path(name),
        kind="parquet",
        columns={field.name: [row[field.name] for row in rows] for field in fields},
        rows=len(rows),
        types={field.name: field.dataType.simpleString() for field in fields},
        descriptions={field.name: (field.metadata or {}).get("comment", "") for field in fields},
        origin=f"the Delta table {name}",
        notes=["landing takes json and csv: land the rows as JSON, one object a line, with these names"],
    )
    if len(fields) < len(schema):
        technical = ", ".join(field.name for field in schema if field.name.startswith("_"))
        sample.notes.append(f"columns that begin with `_` are not declared: {technical}")
    if len(rows) == ROWS_READ:
        sample.notes.append(f"only {ROWS_READ:,} rows were looked at")
    if not fields:
        raise ProfileError(f"{name} has no columns to declare. Name a table with data.")
    return propose_sample(sample, source_name, table_name)


def _names(name: str) -> tuple[str, str]:
    """Source and table as the name of a table, or its path, tells them: `bronze.shop_orders` is `orders` of `shop`."""
    if "/" in name:
        return "files", snake(Path(name).name, fallback="records")
    schema, _, table = name.replace("`", "").rpartition(".")
    schema = schema.rpartition(".")[2]
    if schema in _LAYERS and (parts := re.fullmatch(r"([a-z0-9]+)_(.+)", table)):
        return parts[1], parts[2]
    return snake(schema if schema and schema not in _LAYERS else "files"), snake(table, fallback="records")


def _of_records(frame: "DataFrame", source: str, table: str) -> str:
    """The text of a contract for the records that a table of bronze holds as they arrived."""
    found: list[Any] = (
        frame.where("record is not null and is_decoded").select("record", "header").limit(ROWS_READ).collect()
    )
    headers = {row["header"] for row in found}
    first = next((header for header in headers if header), None)
    lines = [row["record"] for row in found if row["header"] == first]
    with tempfile.TemporaryDirectory() as passing:
        file = Path(passing) / f"bronze.{source}_{table}"
        file.write_text("\n".join([*([first] if first else []), *lines]) + "\n", encoding="utf-8")
        text = propose(file, source, table)
    others = len(headers) - 1
    more = f"# review: its files had {others} other header{'s' if others > 1 else ''}, too\n" if others > 0 else ""
    return more + text
