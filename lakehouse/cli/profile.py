"""`lakehouse profile`: what a table holds, and the rules that its contract could have because of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from pyspark.sql import DataFrame, SparkSession

from lakehouse.cli.output import write_table
from lakehouse.contracts import loader
from lakehouse.contracts.amend import amend
from lakehouse.contracts.document import read
from lakehouse.contracts.model import Contract
from lakehouse.contracts.problems import ContractError
from lakehouse.contracts.proposals import ColumnProfile, Proposal, TableProfile, propose_rules
from lakehouse.contracts.spark_sql import is_number
from lakehouse.engine.client import connect
from lakehouse.gold import project as dbt
from lakehouse.gold import release as releases
from lakehouse.gold.serving import mask_of
from lakehouse.quality.table_profile import Target
from lakehouse.quality.table_profile import profile as measure
from lakehouse.settings import Settings, settings
from lakehouse.silver.parse import parse
from lakehouse.storage import tables

_SHOWN = 40
"""Characters of a value in the table; JSON has all of them."""


@click.command()
@click.argument("table")
@click.option("--format", "how", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("--write", is_flag=True, help="Add the proposed rules to the contract, for review.")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the amended contract there instead."
)
def profile(table: str, how: str, write: bool, out: Path | None) -> None:
    """What TABLE holds, and the rules that its contract could have: lakehouse profile shopify_orders.

    TABLE is a contract's table (its silver table), or any table or view as schema.table; of bronze, the records are parsed
    as the contract says. Personal data is not shown.
    """
    here = settings()
    contracts = loader.load_all(here)
    name = table if "." in table else f"silver.{table}"
    contract = _contract(contracts, name)
    target = _target(contract, name, here, out) if write or out else None
    spark = connect(here)
    releases.heal(spark, here.storage_dir, contracts, dbt.marts(here))
    frame = _frame(spark, contracts, name)
    classified = _classified(frame, name, contracts, here)
    found = measure(frame, name.split(".")[1], classified, _targets(spark, contracts))
    proposals = propose_rules(found, contract, read(contract.file).data) if contract else []
    if how == "json":
        click.echo(json.dumps(_as_json(name, found, proposals), ensure_ascii=False, default=str))
    else:
        _show(name, found, proposals, contract)
    if target and contract:
        _write(contract, target, proposals, here)


# --- which table ---------------------------------------------------------------------------------------------------


def _contract(contracts: Mapping[str, Contract], name: str) -> Contract | None:
    """The contract whose rows these are, before or after refining; None for views of parts, and for gold."""
    schema, _, table = name.partition(".")
    return contracts.get(table) if schema in ("silver", "bronze") else None


def _frame(spark: SparkSession, contracts: Mapping[str, Contract], name: str) -> DataFrame:
    schema, _, table = name.partition(".")
    if schema in ("silver_state", "vault"):
        raise click.ClickException(f"{name} holds what is not to be shown. Profile silver.{table.partition('__')[0]}.")
    if not tables.exists(spark, name):
        known = ", ".join(sorted(contracts)) or "none"
        raise click.ClickException(
            f"There is no table {name}. Contracts have these: {known}; `lakehouse run` makes them. "
            'Others: lakehouse sql "show tables in gold".'
        )
    frame = spark.table(name)
    if schema != "bronze":
        return frame
    if table not in contracts:
        raise click.ClickException(f"No contract says how to read {name}. Put its contract back, or profile silver.")
    contract = contracts[table]
    headers = [str(row[0]) for row in frame.where("header is not null").select("header").distinct().collect()]
    parsed = parse(frame, contract, headers if contract.format == "csv" else ())
    return parsed.where("_unreadable is null").select(*map(tables.quote, contract.column_names))


def _classified(frame: DataFrame, name: str, contracts: Mapping[str, Contract], here: Settings) -> set[str]:
    """The columns that contracts call personal data, wherever their values went. Serving has masked them already."""
    schema, _, table = name.partition(".")
    if schema == "serving":
        return set()
    if table in contracts:
        return {column.name for column in contracts[table].pii_columns}
    node = next((node for node in dbt.models(here).values() if node["name"] == table), None)
    if node:
        return {column for column in frame.columns if mask_of(column, node, contracts)}
    return {column.name for contract in contracts.values() for column in contract.pii_columns} & set(frame.columns)


def _targets(spark: SparkSession, contracts: Mapping[str, Contract]) -> list[Target]:
    """The single columns that identify the rows of the silver tables there are."""
    return [
        Target(contract.table, contract.silver_table, contract.keys[0], contract.column(contract.keys[0]).type)
        for contract in contracts.values()
        if len(contract.keys) == 1 and tables.exists(spark, contract.silver_table)
    ]


# --- into the contract ---------------------------------------------------------------------------------------------


def _target(contract: Contract | None, name: str, here: Settings, out: Path | None) -> Path:
    """The file to write the proposals to; raises ClickException where there is none, before anything is measured."""
    if contract is None:
        raise click.ClickException(f"{name} has no contract to add rules to; those of gold are dbt tests (dbt/models).")
    if out:
        if out.exists():
            raise click.ClickException(f"{out} exists. Remove it first, or name another with --out.")
        return out
    if contract.file.resolve().is_relative_to(loader.SAMPLE.resolve()):
        raise click.ClickException(
            f"The contract of {contract.table} ships with the package and is not edited. Write an amended copy with "
            f"--out contracts/{contract.table}.yaml, and use it with LAKEHOUSE_CONTRACTS=contracts and "
            "LAKEHOUSE_SAMPLE=false (copy the other contracts that you need as well)."
        )
    return contract.file


def _write(contract: Contract, target: Path, proposals: Sequence[Proposal], here: Settings) -> None:
    """Writes the amended contract, if it is a valid one; else leaves the file as it was and raises ClickException."""
    is_copy = target != contract.file
    if not proposals and not is_copy:
        click.echo("Nothing to add: the contract asks for all of it.", err=True)
        return
    before = contract.file.read_text(encoding="utf-8-sig")
    text = amend(before, proposals)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        # Of a copy, what lies across files would be that its table is declared twice.
        loader.load(target)
        problems = [] if is_copy else loader.check([target], here)
    except OSError as error:
        raise click.ClickException(f"{target} cannot be written: {error.strerror}. Name another with --out.") from error
    except ContractError as error:
        problems = error.problems
    if problems:
        target.unlink() if is_copy else target.write_text(before, encoding="utf-8")
        listed = "\n".join(map(str, problems))
        raise click.ClickException(f"The amended contract would not pass its check, so nothing was written:\n{listed}")
    click.echo(f"Wrote {target} with {len(proposals)} rule(s) to review: look for `# review:`.", err=True)


# --- for people and programs ---------------------------------------------------------------------------------------


def _as_json(name: str, found: TableProfile, proposals: Sequence[Proposal]) -> dict[str, Any]:
    """The profile as JSON: numbers as numbers, what is not there left out."""
    data = asdict(found) | {"table": name, "seconds": round(found.seconds, 2)}
    for column in data["columns"]:
        number = _as_number if is_number(column["type"]) else str
        for key in ("smallest", "largest"):
            column[key] = None if column[key] is None else number(column[key])
        column["quantiles"] = [number(value) for value in column["quantiles"]]
    data["columns"] = [
        {key: value for key, value in column.items() if value not in (None, (), [])} for column in data["columns"]
    ]
    return {**data, "proposals": [{**asdict(proposal), "text": proposal.text} for proposal in proposals]}


def _as_number(text: str) -> int | float | str:
    if text.lstrip("-").isdigit():
        return int(text)
    return float(text) if text not in ("•••", "NaN", "Infinity", "-Infinity") else text


def _show(name: str, found: TableProfile, proposals: Sequence[Proposal], contract: Contract | None) -> None:
    click.echo(f"{name}: {found.rows:,} rows, {len(found.columns)} columns; measured in {found.seconds:.1f} s")
    if not found.rows:
        click.echo("It is empty: there is nothing to say about it yet.")
        return
    heads = ["column", "type", "null", "distinct", "smallest", "median", "largest", "length", "most frequent, or form"]
    write_table(heads, [_row(column) for column in found.columns])
    _list("Keys: no two rows have the same", [_key(key.columns, contract) for key in found.keys])
    _list(
        "Relations: values found among the keys of",
        [f"{r.column} → {r.table}.{r.to}: {r.found:,} of {r.sampled:,} sampled values" for r in found.relations],
    )
    _list("Personal data, by the look of it", [text for column in found.columns if (text := _personal(column))])
    _list(
        "Text that is something else",
        [f"{c.name}: all sampled values are written like {c.really}" for c in found.columns if c.really],
    )
    if contract:
        lines = [f"{p.column or contract.table}: {p.text}  ({p.evidence})" for p in proposals]
        _list("Rules that the contract could have; --write adds them for review", lines)
        if not proposals:
            click.echo("\nThe contract asks for all that the data could tell.")


def _list(title: str, lines: Sequence[str]) -> None:
    if lines:
        click.echo(f"\n{title}:")
        for line in lines:
            click.echo(f"  {line}")


def _row(column: ColumnProfile) -> list[str]:
    of = f"{column.shortest} to {column.longest}" if column.shortest != column.longest else f"{column.longest}"
    exact = "" if column.distinct is None or column.counts is not None or column.distinct <= 1 else "~"
    return [
        column.name,
        column.type if len(column.type) <= 20 else column.type.partition("<")[0] + "<…>",
        _share(column.nulls, column.rows),
        "" if column.distinct is None else f"{exact}{min(column.distinct, column.rows):,}",
        _cut(column.smallest),
        _cut(column.quantiles[2] if column.quantiles else None),
        _cut(column.largest),
        "" if column.longest is None else of,
        _frequent(column),
    ]


def _share(part: int, whole: int) -> str:
    share = f"{part / whole:.1%}" if part / whole >= 0.001 else "<0.1%"
    return share if part else "0"


def _cut(value: str | None) -> str:
    if value is None:
        return ""
    line = " ".join(value.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"


def _frequent(column: ColumnProfile) -> str:
    if column.is_classified or column.personal:
        forms = ", ".join(form for form, _ in column.shapes[:1])
        return f"••• {forms}".strip()
    frequent = [(value, number) for value, number in column.top[:3] if number >= 0.01 * column.top_of]
    if frequent:
        return ", ".join(f"{_cut(value)} {_share(number, column.top_of)}" for value, number in frequent)
    return ", ".join(f"{_cut(form)} {share:.0%}" for form, share in column.shapes[:2] if share >= 0.01)


def _key(columns: Sequence[str], contract: Contract | None) -> str:
    is_known = contract is not None and set(columns) == set(contract.keys)
    return f"{', '.join(columns)}{' (the key of its contract)' if is_known else ''}"


def _personal(column: ColumnProfile) -> str | None:
    if column.is_classified:
        return f"{column.name}: its contract says so"
    return f"{column.name}: {column.personal.kind}, {column.personal.why}" if column.personal else None
