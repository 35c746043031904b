"""`lakehouse sample …`."""

from datetime import date, datetime
from pathlib import Path

import click

from lakehouse.sample import holidays
from lakehouse.sample.clock import YEAR_WEEKS
from lakehouse.sample.landing import LandSummary, SampleError, land
from lakehouse.settings import settings


class Day(click.ParamType[date]):
    """A calendar day, as 2025-12-31."""

    name = "YYYY-MM-DD"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        if isinstance(value, date):
            return value
        try:
            return datetime.strptime(str(value), "%Y-%m-%d").date()
        except ValueError:
            self.fail(f"{value!r} is not a day such as 2025-12-31", param, ctx)


@click.group()
def sample() -> None:
    """A real retail year, replayed as the source systems of a shop."""


@sample.command("land")
@click.option("--seed", default=0, show_default=True, help="Another seed makes up other names, statuses and faults.")
@click.option(
    "--weeks", type=click.IntRange(1, YEAR_WEEKS), help=f"Only the year's last weeks.  [default: all {YEAR_WEEKS}]"
)
@click.option("--faults/--no-faults", default=True, show_default=True, help="Whether things go wrong on the way.")
@click.option("--end-date", type=Day(), help="The day by which the year ends.  [default: it ends this week]")
@click.option("--until", type=Day(), help="Land only what arrives before this day.  [default: all until now]")
def land_command(seed: int, weeks: int | None, faults: bool, end_date: date | None, until: date | None) -> None:
    """Land what the source systems have sent by now; again: what they have sent since. Names the year's holidays in the
    calendar of special days, where there is none or the sample's own."""
    landing, calendar = Path(settings().landing_dir), settings().calendar_file
    try:
        summary = land(landing, seed=seed, weeks=weeks, faults=faults, end_date=end_date, until=until)
    except SampleError as error:
        raise click.ClickException(str(error)) from error
    click.echo(report(summary))
    is_named = _name_holidays(calendar, summary)
    click.echo(
        f"Its holidays are special days to anomalies: {calendar}"
        if is_named
        else f"{calendar} was not written by the sample and stays as it is: its holidays are not named."
    )


def _name_holidays(calendar: Path, summary: LandSummary) -> bool:
    """Whether the calendar names the holidays of the replay. Raises ClickException where it cannot be read or written."""
    try:
        return holidays.write(calendar, summary.manifest["replay"]["shift_weeks"])
    except OSError as error:
        raise click.ClickException(
            f"The files have landed, but their holidays are not named: the calendar {calendar} cannot be read or written "
            f"({error.strerror or error}). Have LAKEHOUSE_CALENDAR name a file that can be, and land again."
        ) from error


def report(summary: LandSummary) -> str:
    """What a landing did, for people."""
    width = max(len(name) for name in summary.manifest["tables"])
    lines = [
        f"{summary.files:,} new files ({summary.bytes / 1e6:,.1f} MB) in {summary.landing}: "
        f"{summary.first_day} to {summary.last_day}, as arrived by {summary.landed_until:%Y-%m-%d %H:%M} UTC",
        f"  {'':{width}} {'new files':>10} {'files':>8} {'records':>10} {'faulty':>8}",
    ]
    for name, table in summary.manifest["tables"].items():
        lines.append(
            f"  {name:{width}} {summary.written[name]:>10,} {table['files']:>8,} {table['records']:>10,} "
            f"{sum(table['faults'].values()):>8,}"
        )
    if summary.complete:
        lines.append("The whole year has arrived. For a year that ends this week, land into an empty folder.")
    return "\n".join(lines)
