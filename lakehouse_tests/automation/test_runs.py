"""What `lakehouse run` makes of a Dagster run."""

import dagster as dg
import pytest
from rich.console import Console

from lakehouse.automation.runs import Outcome, Planned
from lakehouse.cli import run as cli


@pytest.mark.parametrize("succeeded", [True, False])
def test_a_run_that_fails_outside_of_its_steps_is_a_failure(monkeypatch: pytest.MonkeyPatch, succeeded: bool) -> None:
    monkeypatch.setattr(cli, "execute", lambda *_: succeeded)
    monkeypatch.setattr(cli, "events", lambda *_: ([], None))
    monkeypatch.setattr(cli, "_wait_for_pools", lambda *_: None)
    outcome = Outcome()
    cli._run_one(Planned("silver", (dg.AssetKey(["silver", "a"]),)), None, None, outcome, Console(quiet=True))
    assert [failure.partition(":")[0] for failure in outcome.failures] == ([] if succeeded else ["silver"])
