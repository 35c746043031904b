"""What `lakehouse run` makes of Dagster runs."""

import threading
from typing import Any

import pytest
from rich.console import Console

from lakehouse.automation.runs import GOLD, Outcome, Planned
from lakehouse.cli import execution as cli
from lakehouse_tests.automation.planned import RUNS, planned


@pytest.fixture
def run_all(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs `_run_all` with an `execute` of the test's own, and no Dagster."""
    monkeypatch.setattr(cli, "events", lambda *_: ([], None))
    monkeypatch.setattr(cli, "_is_held", lambda *_: False)

    def run(runs: list[Planned], execute: Any, is_gold_due: bool = True) -> Outcome:
        monkeypatch.setattr(cli, "execute", lambda planned, *_: execute(planned))
        outcome = Outcome()
        cli._run_all(runs, cli._Workers(None, None), outcome, Console(quiet=True), lambda: is_gold_due)
        return outcome

    return run


@pytest.mark.parametrize("succeeded", [True, False])
def test_a_run_that_fails_outside_of_its_steps_is_a_failure(run_all: Any, succeeded: bool) -> None:
    outcome = run_all([planned("silver a")], lambda _: succeeded)
    assert [failure.partition(":")[0] for failure in outcome.failures] == ([] if succeeded else ["silver a"])


def test_runs_wait_for_those_before_them_and_no_failure_stops_the_rest(run_all: Any) -> None:
    ended: list[str] = []

    def execute(planned: Planned) -> bool:
        assert planned.after <= set(ended), f"{planned.title} began before {planned.after - set(ended)} had ended"
        ended.append(planned.title)
        return planned.title != "bronze a"

    outcome = run_all(RUNS, execute)
    assert ended[-1] == GOLD and len(ended) == 5
    assert len(outcome.failures) == 1


def test_runs_that_know_nothing_of_each_other_are_under_way_at_once(run_all: Any) -> None:
    both = threading.Barrier(2)
    run_all([planned("silver a"), planned("silver b")], lambda _: both.wait(timeout=30) >= 0)


def test_gold_is_not_built_where_nothing_new_came_of_silver(run_all: Any) -> None:
    ran: list[str] = []
    run_all([planned("silver a"), planned(GOLD, "silver a")], lambda run: ran.append(run.title) or True, False)
    assert ran == ["silver a"]


def test_what_a_run_raises_reaches_the_caller(run_all: Any) -> None:
    def execute(planned: Planned) -> bool:
        raise RuntimeError("no instance")

    with pytest.raises(RuntimeError, match="no instance"):
        run_all([planned("silver a")], execute)
