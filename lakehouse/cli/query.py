"""`lakehouse sql` and `lakehouse report`: what is in the lakehouse, and how good it is."""

import sys
from pathlib import Path

import click

from lakehouse.cli.output import WRITERS
from lakehouse.contracts.loader import load_all
from lakehouse.engine.client import connect
from lakehouse.gold import project as dbt
from lakehouse.gold import release as releases
from lakehouse.settings import settings


@click.command()
@click.argument("query")
@click.option("--format", "how", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
@click.option("--limit", default=1000, show_default=True, type=click.IntRange(min=0), help="Rows at most; 0: all.")
def sql(query: str, how: str, limit: int) -> None:
    """Query the lakehouse: lakehouse sql "select * from serving.fct_orders limit 5"."""
    here = settings()
    spark = connect(here)
    contracts = load_all(here)
    releases.heal(spark, here.storage_dir, contracts, dbt.marts(here))
    frame = spark.sql(query)
    names = frame.columns
    rows = (frame.limit(limit + 1) if limit else frame).collect()
    cut = bool(limit) and len(rows) > limit
    WRITERS[how](
        names, [row.asDict(recursive=True) if how == "json" else list(row) for row in (rows[:limit] if cut else rows)]
    )
    if cut:
        click.echo(f"(the first {limit:,} rows; --limit 0 shows all)", err=True)


@click.command()
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write to. Default: <home>/report.")
def report(out: Path | None) -> None:
    """Write the quality report: a static site (index.html first), and summary.md. Exit 1 where a check fails."""
    from lakehouse.automation.report import write_report

    here = settings()
    spark = connect(here)
    contracts = load_all(here)
    releases.heal(spark, here.storage_dir, contracts, dbt.marts(here))
    written = write_report(spark, here, contracts, out or here.home / "report")
    click.echo(f"{written.html}\n{written.markdown}")
    if written.failed:
        click.echo(f"{len(written.failed)} check(s) fail: {', '.join(written.failed)}", err=True)
        sys.exit(1)
