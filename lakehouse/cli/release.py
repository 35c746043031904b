"""`lakehouse release`: which audited versions of gold readers see."""

import click

from lakehouse.cli.output import write_table
from lakehouse.contracts.loader import load_all
from lakehouse.engine.client import connect
from lakehouse.gold import project as dbt
from lakehouse.gold import release as releases
from lakehouse.settings import settings


@click.group()
def release() -> None:
    """Releases: which audited versions of gold readers see."""


@release.command("list")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1))
def list_command(limit: int) -> None:
    """The newest events of releases; the one in force is marked."""
    spark = connect(settings())
    now = releases.current(spark)
    rows = [
        [
            f"{event.release_id}{' *' if now and event.at == now.at else ''}",
            event.status,
            f"{event.at:%Y-%m-%d %H:%M:%S}" if event.at else "",
            f"{sum(event.row_counts.values()):,}" if event.row_counts else "",
            f"{event.checks_passed}/{event.checks_passed + event.checks_warned}",
            event.reason,
        ]
        for event in releases.events(spark)[:limit]
    ]
    if not rows:
        click.echo("There is no release yet. `lakehouse run` makes the first.")
        return
    write_table(["release", "status", "at (UTC)", "rows", "checks passed", "reason"], rows)


@release.command("show")
@click.argument("release_id", type=int, required=False)
def show_command(release_id: int | None) -> None:
    """One release: versions of silver and gold, rows. Default: the one in force."""
    spark = connect(settings())
    found = releases.current(spark)
    if release_id is not None:
        found = next((event for event in releases.events(spark) if event.release_id == release_id), None)
    if found is None:
        raise click.ClickException(
            f"There is no release {release_id if release_id is not None else 'yet'}. `lakehouse release list` shows them."
        )
    click.echo(
        f"Release {found.release_id}: {found.status} at {found.at:%Y-%m-%d %H:%M:%S} UTC by run {found.run_id or '-'}"
    )
    if found.reason:
        click.echo(found.reason)
    gold = [
        [name, version, f"{found.row_counts.get(name, 0):,}"] for name, version in sorted(found.gold_versions.items())
    ]
    write_table(["gold table", "version", "rows"], gold)
    silver = [[n, v, found.silver_batches.get(n, "")] for n, v in sorted(found.silver_versions.items())]
    write_table(["silver table", "version", "batch"], silver)


@release.command("rollback")
@click.argument("release_id", type=int, required=False)
def rollback_command(release_id: int | None) -> None:
    """Put an older release in force again. Default: the one before the current."""
    here = settings()
    spark = connect(here)
    try:
        back = releases.rollback(spark, here.storage_dir, load_all(here), dbt.marts(here), release_id)
    except releases.ReleaseError as problem:
        raise click.ClickException(str(problem)) from problem
    click.echo(f"Release {back.release_id} is in force again.")
    if releases.is_held(releases.events(spark)):
        click.echo("Silver goes on; gold is not built and nothing is released until `lakehouse release resume`.")


@release.command("resume")
def resume_command() -> None:
    """Publish again after a rollback: the next run builds on the release in force."""
    try:
        now = releases.resume(connect(settings()))
    except releases.ReleaseError as problem:
        raise click.ClickException(str(problem)) from problem
    click.echo(f"The next run builds on release {now.release_id} and releases what is new.")
