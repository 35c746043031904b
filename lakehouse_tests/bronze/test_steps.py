"""Every step is tried again for what passes by itself and for nothing else, and has an end."""

import threading
from collections.abc import Iterator
from typing import Any
from unittest.mock import MagicMock

import dagster as dg
import pytest

from lakehouse.automation import maintenance
from lakehouse.bronze import assets as bronze
from lakehouse.bronze.steps import TRANSIENT, step
from lakehouse.definitions import build
from lakehouse.engine.resource import Engine
from lakehouse.gold import assets as gold
from lakehouse.settings import settings
from lakehouse.silver import assets as silver
from lakehouse.storage.tables import ConcurrentWriterError

STEPS = {
    "bronze": (bronze, "_take", [["bronze", "marketing_campaigns"]]),
    "silver": (silver, "refine", [["silver", "marketing_campaigns"], ["silver", "marketing_campaigns__quarantine"]]),
    "gold": (gold, "_build", [["gold", "dim_dates"]]),
    "release": (gold, "publish", None),
    "maintenance": (maintenance, "_kept_up", [["maintenance", "ops"]]),
}


@pytest.fixture(scope="module")
def definitions(lakehouse_home: Any) -> dg.Definitions:
    return build(settings())


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[MagicMock]:
    session = MagicMock()
    monkeypatch.setattr(Engine, "session", property(lambda _: session))
    yield session


def tries(definitions: dg.Definitions, keys: list[list[str]] | None) -> tuple[int, bool]:
    """(how often the step was started, whether it succeeded)."""
    graph = definitions.get_repository_def().asset_graph
    selected = [dg.AssetKey(key) for key in keys or []] or [
        node.key for node in graph.asset_nodes if node.group_name == "serving"
    ]
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            asset_selection=selected, instance=instance, raise_on_error=False
        )
        kinds = [event.event_type_value for event in result.all_events]
    return kinds.count("STEP_START") + kinds.count("STEP_RESTARTED"), result.success


@pytest.mark.parametrize("name", STEPS)
def test_a_lost_race_is_run_again_and_a_mistake_is_not(
    definitions: dg.Definitions, no_engine: MagicMock, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    module, inner, keys = STEPS[name]
    monkeypatch.setattr(dg.RetryPolicy, "calculate_delay", lambda *_: 0)
    for problem, expected in (
        (ConcurrentWriterError("another writer committed"), 1 + TRANSIENT.max_retries),
        (RuntimeError("[UNRESOLVED_COLUMN] a column of the contract"), 1),
    ):

        def fail(*_: Any, problem: Exception = problem) -> None:
            raise problem

        monkeypatch.setattr(module, inner, fail)
        assert tries(definitions, keys) == (expected, False), problem


def test_tries_are_further_and_further_apart_and_never_together() -> None:
    assert (TRANSIENT.backoff, TRANSIENT.jitter) == (dg.Backoff.EXPONENTIAL, dg.Jitter.PLUS_MINUS)


def test_a_step_that_takes_too_long_is_stopped_and_not_tried_again(no_engine: MagicMock) -> None:
    stopped = threading.Event()
    no_engine.interruptAll.side_effect = RuntimeError("the engine hangs too")
    with (
        pytest.raises(dg.Failure, match="longer than LAKEHOUSE_STEP_MINUTES=0.002 and was stopped") as raised,
        step(Engine(), settings().model_copy(update={"step_minutes": 0.002})) as now,
    ):
        now.ends_by(stopped.set)
        assert stopped.wait(20), "what it waits for is stopped from outside"
        raise ConcurrentWriterError("as a query that was interrupted may say")
    assert not raised.value.allow_retries
    assert no_engine.interruptAll.called


def test_a_step_in_time_is_left_alone(no_engine: MagicMock) -> None:
    with step(Engine(), settings()) as now:
        assert now.session is no_engine
    assert not no_engine.interruptAll.called
