"""The sensor that starts what is pending."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from filelock import FileLock

from lakehouse.automation import sensors
from lakehouse.automation.instance import runs_to_be_retried
from lakehouse.automation.runs import GOLD
from lakehouse.automation.sensors import BY_SENSOR, STARTS, key_to_ask_with, next_wave, pending_work, unsettled
from lakehouse.contracts.loader import load_all
from lakehouse.definitions import build
from lakehouse.settings import Settings, settings
from lakehouse_tests.automation.planned import RUNS


@pytest.mark.parametrize(
    ("known", "is_gold_due", "titles"),
    [
        (set(), True, ["bronze a", "bronze b"]),
        ({"bronze a"}, True, ["bronze b"]),
        ({"bronze a", "bronze b"}, True, ["silver b"]),
        ({"bronze a", "bronze b", "silver b"}, True, ["silver a"]),
        ({"bronze a", "bronze b", "silver a", "silver b"}, True, [GOLD]),
        ({"bronze a", "bronze b", "silver a", "silver b"}, False, []),
        ({run.title for run in RUNS}, True, []),
    ],
)
def test_one_wave_after_the_other_and_what_failed_holds_nobody_up(
    known: set[str], is_gold_due: bool, titles: list[str]
) -> None:
    wave = next_wave(RUNS, lambda run: run.title in known, lambda: is_gold_due)
    assert [run.title for run in wave] == titles


def test_a_run_that_died_is_asked_for_again_a_few_times_and_one_whose_step_failed_is_not() -> None:
    @dg.asset
    def _made() -> None: ...

    @dg.asset
    def _held() -> None:
        raise dg.Failure("held back", allow_retries=False)

    job = dg.Definitions(assets=[_made]).resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        for start in range(STARTS):
            asked = key_to_ask_with(instance, "bronze a:1")
            assert asked == ("bronze a:1" if start == 0 else f"bronze a:1:{start + 1}")
            run = instance.create_run_for_job(job, tags={"dagster/run_key": asked})
            assert key_to_ask_with(instance, "bronze a:1") is None, "it is under way"
            instance.report_run_failed(run, "the code server was gone")
        assert key_to_ask_with(instance, "bronze a:1") is None, "enough"
        dg.materialize([_held], instance=instance, tags={"dagster/run_key": "bronze a:2"}, raise_on_error=False)
        assert key_to_ask_with(instance, "bronze a:2") is None
        assert key_to_ask_with(instance, "bronze a:3") == "bronze a:3"


def test_what_dagster_starts_again_by_itself_is_left_to_it_for_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    @dg.asset
    def _made() -> None: ...

    job = dg.Definitions(assets=[_made]).resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        tags = {**BY_SENSOR, "dagster/will_retry": "true"}
        retried = instance.create_run_for_job(job, tags={**tags, "dagster/auto_retry_run_id": "another"})
        for run in (
            instance.create_run_for_job(job, tags=tags),
            retried,
            instance.create_run_for_job(job, tags=BY_SENSOR),
        ):
            instance.report_run_failed(run, "its process was killed")
        assert [run.tags["dagster/will_retry"] for run in runs_to_be_retried(instance, BY_SENSOR)] == ["true"]
        monkeypatch.setattr("lakehouse.automation.instance._RETRIED_WITHIN_SECONDS", -1)
        assert runs_to_be_retried(instance, BY_SENSOR) == []


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """A home of its own, without an engine: asking for one fails the test."""

    def no_engine(*_: Any) -> None:
        raise AssertionError("the engine was asked for")

    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    monkeypatch.setattr(sensors, "connect", no_engine)
    monkeypatch.setattr(sensors.handover, "is_off", lambda _: False)  # an ephemeral instance has no sensors' states
    settings.cache_clear()
    yield settings()
    settings.cache_clear()


def look(cursor: str | None = None) -> dg.SensorResult:
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(
            instance=instance, cursor=cursor, repository_def=build(settings()).get_repository_def()
        )
        result = pending_work(context)
        assert isinstance(result, dg.SensorResult)
        return result


def test_nothing_new_is_told_without_the_engine(home: Settings) -> None:
    seen = unsettled(home, load_all(home), sensors.datetime.now(sensors.UTC).date().isoformat(), said=[False])
    said = look(seen).skip_reason
    assert said is not None
    assert said.skip_message == "Nothing has changed since the last look."
    with pytest.raises(AssertionError, match="engine was asked for"):
        look("something else")


def test_a_run_by_hand_is_left_alone(home: Settings) -> None:
    with FileLock(home.home / "run.lock"):
        said = look().skip_reason
    assert said is not None
    assert "`lakehouse run` is at work" in str(said.skip_message)


def test_whatever_decides_what_is_pending_changes_the_digest(home: Settings) -> None:
    contracts = load_all(home)
    seen = {unsettled(home, contracts, "2026-01-01"), unsettled(home, contracts, "2026-01-02")}
    folder = Path(home.landing_dir) / "shopify" / "orders" / "2026-01-01"
    folder.mkdir(parents=True)
    (folder / "a.json").write_text("{}")
    seen.add(unsettled(home, contracts, "2026-01-01"))
    for schema, table in (("bronze", "shopify_orders"), ("ops", "batch_decisions")):
        log = Path(home.storage_dir) / schema / table / "_delta_log"
        log.mkdir(parents=True)
        (log / "00000000000000000000.json").write_text("{}")
        seen.add(unsettled(home, contracts, "2026-01-01"))
    assert len(seen) == 5
    assert unsettled(home, contracts, "2026-01-01") in seen
    assert unsettled(home.model_copy(update={"landing": "hdfs://host/landing"}), contracts, "2026-01-01") is None
