"""`lakehouse batch`: batches that an audit held back, and what people decide about them."""

from collections.abc import Mapping
from typing import Any

import click

from lakehouse.cli.options import deciding, known_contract, why
from lakehouse.cli.output import WRITERS
from lakehouse.contracts.loader import load_all
from lakehouse.contracts.model import Contract
from lakehouse.engine.client import connect
from lakehouse.quality.audit import BATCH_REJECTED, CONSERVATION
from lakehouse.settings import settings
from lakehouse.silver import decisions
from lakehouse.silver.decisions import REJECTED, RELEASED, Decision, Held
from lakehouse.silver.refine import pending_batch

_LISTED = ("table", "batch", "records", "first_day", "last_day", "failed", "decision", "behind")


@click.group()
def batch() -> None:
    """Look at batches that were held back, and release or reject them.

    A decision changes nothing before the table is materialized: `lakehouse run` does, and so does the sensor.
    """


@batch.command(name="list")
@click.option("--format", "how", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
def list_(how: str) -> None:
    """List the batches that wait: the checks that held them back, and what was decided.

    `behind` are records that arrived later; they wait too, and are tried together with the batch until somebody decides.
    """
    here = settings()
    spark = connect(here)
    rows: list[dict[str, Any]] = []
    for contract in load_all(here).values():
        found = decisions.held(spark, contract, *pending_batch(spark, contract))
        if found is not None:
            rows.append(_row(found, _about(decisions.standing(spark, contract), found.batch)))
    if not rows and how == "table":
        click.echo("No batch is held back.")
        return
    WRITERS[how](list(_LISTED), [row if how == "json" else list(row.values()) for row in rows])


def _row(found: Held, made: Decision | None) -> dict[str, Any]:
    days = found.first_day.isoformat(), found.last_day.isoformat()
    failed = ", ".join(name for name, _, _ in found.failed)
    values = (found.table, found.batch, found.records, *days, failed, made.decision if made else None, found.behind)
    return dict(zip(_LISTED, values, strict=True))


@batch.command()
@click.argument("table")
def show(table: str) -> None:
    """Show the batch of TABLE that waits, what each check expected and found, and every decision in force."""
    contract, spark, found, made = _looked_up(table)
    if found is None:
        click.echo(f"No batch of {table} is held back.")
    else:
        click.echo(
            f"{table}: batch {found.batch} of {found.records} records, arrived {found.first_day} to {found.last_day}, "
            "is held back."
        )
        for name, expected, value in found.failed:
            click.echo(
                f"  {name}: expected {expected}, {'nothing was measured' if value is None else f'found {value:g}'}"
            )
        if found.behind:
            click.echo(f"  {found.behind} record(s) that arrived later wait behind it.")
        after = "true" if found.since is None else f"batch > {found.since}"
        files = (
            spark.table(contract.bronze_table)
            .where(f"{after} and batch <= {found.batch}")
            .groupBy("file")
            .count()
            .orderBy("file")
        )
        listed = files.limit(_FILES + 1).collect()
        for row in listed[:_FILES]:
            click.echo(f"  {row['file']}: {row['count']} record(s)")
        if len(listed) > _FILES:
            click.echo("  … and more files.")
        for decision, means in (("release", "takes it as it is"), ("reject", "refuses every record of it")):
            click.echo(f"`lakehouse batch {decision} {table} {found.batch} --note …` {means}.")
    for one in made:
        click.echo(f"Batch {one.batch} was {one.decision} by {one.made_by} at {one.decided_at} UTC: {one.note}")


_FILES = 20


@batch.command()
@click.argument("table")
@click.argument("number", metavar="BATCH", type=int)
@deciding
def release(table: str, number: int, note: str | None, made_by: str) -> None:
    """Let BATCH of TABLE into silver as it is: the checks that held it back warn. Or take its rejection back.

    Records that break a rule go to quarantine all the same. What else fails by then still holds the batch back.
    """
    contract, spark, found, made = _looked_up(table)
    before = _about(made, number)
    if found is not None and found.batch == number:
        _refuse_unconserved(found)
        _decide(contract, spark, found, RELEASED, why(note), made_by)
        click.echo(f"Released: batch {number} of {table}. `lakehouse run` takes it; the sensor does so by itself.")
        return
    if before is None or before.decision != REJECTED:
        raise _not_held(table, number, found)
    again = Decision(before.since, number, RELEASED, before.checks, why(note), made_by)
    decisions.decide(spark, settings().storage_dir, contract, again)
    click.echo(
        f"Batch {number} of {table} is no longer rejected. "
        f"`lakehouse quarantine replay {table} --reason {BATCH_REJECTED}` brings its records in."
    )


@batch.command()
@click.argument("table")
@click.argument("number", metavar="BATCH", type=int)
@deciding
def reject(table: str, number: int, note: str | None, made_by: str) -> None:
    """Refuse every record of BATCH of TABLE, so that what arrives after it is taken.

    The records stay in quarantine, and `lakehouse batch release` takes the rejection back.
    """
    contract, spark, found, _ = _looked_up(table)
    if found is None or found.batch != number:
        raise _not_held(table, number, found)
    _refuse_unconserved(found)
    _decide(contract, spark, found, REJECTED, why(note), made_by)
    click.echo(
        f"Rejected: batch {number} of {table}. `lakehouse run` puts its {found.records} record(s) into quarantine; the "
        "sensor does so by itself."
    )


def _looked_up(table: str) -> tuple[Contract, Any, Held | None, list[Decision]]:
    here = settings()
    contracts: Mapping[str, Contract] = load_all(here)
    contract = known_contract(contracts, table)
    spark = connect(here)
    found = decisions.held(spark, contract, *pending_batch(spark, contract))
    return contract, spark, found, decisions.standing(spark, contract)


def _about(made: list[Decision], number: int) -> Decision | None:
    return next((one for one in made if one.batch == number), None)


def _decide(contract: Contract, spark: Any, found: Held, decision: str, note: str, made_by: str) -> None:
    checks = tuple(name for name, _, _ in found.failed)
    made = Decision(found.since, found.batch, decision, checks, note, made_by)
    decisions.decide(spark, settings().storage_dir, contract, made)


def _refuse_unconserved(found: Held) -> None:
    if any(name == CONSERVATION for name, _, _ in found.failed):
        raise click.ClickException(
            f"Batch {found.batch} of {found.table} lost records on its way, which nobody can decide to accept: this is a "
            "fault of Lakehouse. Report it; the batch is kept in bronze."
        )


def _not_held(table: str, number: int, found: Held | None) -> click.ClickException:
    waits = f"batch {found.batch} is" if found else "none is"
    return click.ClickException(
        f"Batch {number} of {table} is not held back; {waits}. `lakehouse batch list` shows all."
    )
