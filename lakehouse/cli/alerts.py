"""`lakehouse alerts`: whether they reach anybody."""

import sys
from datetime import UTC, datetime

import click

from lakehouse.automation.alerts.channels import Alert, ChannelError, name_of, send
from lakehouse.settings import settings


@click.group()
def alerts() -> None:
    """Messages about what broke, to the channels in LAKEHOUSE_ALERTS."""


@alerts.command()
def test() -> None:
    """Send a message to every channel, and say which took it. Exit 1: one did not."""
    here = settings()
    if not here.alert_channels:
        raise click.ClickException(
            "There is no channel: LAKEHOUSE_ALERTS is empty. It takes URLs, separated by blanks: slack+https://… for a "
            "Slack-compatible webhook, https://… for any other, pagerduty://ROUTING_KEY, smtp://host/?from=…&to=…"
        )
    at = datetime.now(UTC).isoformat(timespec="seconds")
    refused = 0
    for channel in here.alert_channels:
        try:
            send(channel, Alert("notice", "test", "This is a test; nothing happened.", url=here.ui_url, at=at))
            click.echo(f"{name_of(channel)} took it.")
        except ChannelError as problem:
            refused += 1
            click.echo(str(problem), err=True)
    if refused:
        sys.exit(1)
