"""What broke is said once, and that it works again; whoever does not listen is told later."""

import json
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from lakehouse.automation.alerts import sensor
from lakehouse.automation.alerts.channels import Alert, ChannelError, pagerduty_event
from lakehouse.automation.alerts.incidents import Told, healed, owners_by_step, steps_of
from lakehouse.automation.alerts.sensor import Memory, deliver, look
from lakehouse.settings import Settings

OWNERS = {"silver__orders": ("team:shop",)}


@pytest.fixture
def instance() -> Any:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, ui_url="http://lakehouse.example/")


def run(instance: dg.DagsterInstance, broken: str = "", released: bool = False) -> str:
    """Materializes silver/orders and silver/payments, of which one may fail; returns the run's id."""

    def asset(key: list[str]) -> dg.AssetsDefinition:
        @dg.asset(key=key)
        def _asset() -> None:
            if key[-1] == broken:
                raise dg.Failure(f"silver.{broken}: price_positive: expected at most 5 %, found 40 %.")

        return _asset

    keys = [["silver", "orders"], ["silver", "payments"], *([["release"]] if released else [])]
    return dg.materialize([asset(key) for key in keys], instance=instance, raise_on_error=False).run_id


def warn(
    instance: dg.DagsterInstance, *warning: str, score: str = "silver.orders.quality_score", failed: bool = False
) -> None:
    """Materializes silver/orders with a score, an anomaly and a rule, of which some warn, or fail with the step."""
    names = ("quality_score", "anomalies", "price_positive")

    @dg.multi_asset(
        specs=[dg.AssetSpec(["silver", "orders"])],
        check_specs=[dg.AssetCheckSpec(name, asset=dg.AssetKey(["silver", "orders"])) for name in names],
        name="silver__orders",
    )
    def _orders() -> Any:
        for name in names:
            yield dg.AssetCheckResult(
                asset_key=["silver", "orders"],
                check_name=name,
                passed=name not in warning,
                severity=dg.AssetCheckSeverity.ERROR if failed else dg.AssetCheckSeverity.WARN,
                description=f"{score}: expected >= 0.9, found 0.8.",
            )
        if failed:
            raise dg.Failure("held back")
        yield dg.MaterializeResult(asset_key=["silver", "orders"])

    dg.materialize([_orders], instance=instance, raise_on_error=False)


def steps(run: dg.DagsterRun) -> frozenset[str]:
    return frozenset("__".join(key.path) for key in run.asset_selection or ())


def told(found: list[Alert]) -> list[tuple[str, str]]:
    return [(alert.status, alert.key) for alert in found]


def test_what_broke_is_said_once_until_it_works_again(instance: dg.DagsterInstance, here: Settings) -> None:
    memory = Memory(since=0)
    first = run(instance, "orders")
    (alert,) = look(instance, memory, here, OWNERS, steps)
    assert (alert.status, alert.key, alert.owners) == ("broken", "silver/orders", ("team:shop",))
    assert "expected at most 5 %, found 40 %" in alert.text
    assert alert.url == f"http://lakehouse.example/runs/{first}"
    assert look(instance, memory, here, OWNERS, steps) == [], "the same run"
    run(instance, "orders")
    assert look(instance, memory, here, OWNERS, steps) == [], "broken still"
    run(instance, "payments")
    assert told(look(instance, memory, here, OWNERS, steps)) == [
        ("broken", "silver/payments"),
        ("recovered", "silver/orders"),
    ]
    run(instance)
    assert told(look(instance, memory, here, OWNERS, steps)) == [("recovered", "silver/payments")]
    run(instance)
    assert look(instance, memory, here, OWNERS, steps) == []


def test_a_score_or_an_anomaly_that_warns_is_said_once_until_it_passes(
    instance: dg.DagsterInstance, here: Settings
) -> None:
    memory = Memory(since=0)
    warn(instance, "quality_score", "price_positive")
    (alert,) = look(instance, memory, here, OWNERS, steps)
    assert (alert.status, alert.key, alert.title) == (
        "warning", "silver/orders.quality_score", "Warning: silver/orders.quality_score",
    )  # fmt: skip
    assert alert.owners == ("team:shop",) and "/runs/" in alert.url
    assert alert.text == "silver.orders.quality_score: expected >= 0.9, found 0.8."
    assert (pagerduty_event(alert, "k")["event_action"], severity(alert)) == ("trigger", "warning")
    warn(instance, "quality_score", "anomalies")
    assert told(look(instance, memory, here, OWNERS, steps)) == [("warning", "silver/orders.anomalies")], (
        "the score warns still"
    )
    warn(instance, "quality_score", failed=True)
    assert told(look(instance, memory, here, OWNERS, steps)) == [
        ("broken", "silver/orders"), ("recovered", "silver/orders.anomalies"),
    ]  # fmt: skip
    warn(instance)
    recovered = look(instance, memory, here, OWNERS, steps)
    assert told(recovered) == [("recovered", "silver/orders"), ("recovered", "silver/orders.quality_score")]
    assert (pagerduty_event(recovered[1], "k")["event_action"], recovered[1].owners) == ("resolve", ("team:shop",))
    warn(instance, "price_positive")
    assert look(instance, memory, here, OWNERS, steps) == [], "a single rule is in the report"


def severity(alert: Alert) -> Any:
    payload: Any = pagerduty_event(alert, "k")["payload"]
    return payload["severity"]


def test_nothing_is_forgotten_over_a_cursor_and_nothing_old_is_news(
    instance: dg.DagsterInstance, here: Settings
) -> None:
    run(instance, "orders")
    memory = Memory.of(None)
    memory.since += 5
    assert look(instance, memory, here, OWNERS, steps) == [], "before the first start"
    memory = Memory(since=0)
    look(instance, memory, here, OWNERS, steps)
    again = Memory.of(json.dumps(asdict(memory)))
    assert again == memory
    run(instance)
    assert told(look(instance, again, here, OWNERS, steps)) == [("recovered", "silver/orders")]


def test_a_release_is_news_for_who_asked_for_it(instance: dg.DagsterInstance, here: Settings) -> None:
    run(instance, released=True)
    assert look(instance, Memory(since=0), here, OWNERS, steps) == []
    asking = here.model_copy(update={"alert_on_success": True})
    assert told(look(instance, Memory(since=0), asking, OWNERS, steps)) == [("notice", "release")]


def test_a_run_that_died_outside_of_its_steps_is_said_too(instance: dg.DagsterInstance, here: Settings) -> None:
    @dg.job
    def nightly() -> None: ...

    died = instance.create_run_for_job(nightly)
    instance.report_run_failed(died, "Its process ended before it did.")
    (alert,) = look(instance, Memory(since=0), here, OWNERS, steps)
    assert (alert.key, alert.status) == ("run of nightly", "broken")


def test_a_run_that_died_concerns_the_owners_of_its_tables_and_is_mended_by_whichever_makes_them(
    instance: dg.DagsterInstance, here: Settings
) -> None:
    @dg.asset(key=["silver", "orders"])
    def _orders() -> None: ...

    job = dg.Definitions(assets=[_orders]).resolve_implicit_global_asset_job_def()
    died = instance.create_run_for_job(job, asset_selection=frozenset({dg.AssetKey(["silver", "orders"])}))
    instance.report_run_failed(died, "Its process ended before it did.")
    memory = Memory(since=0)
    (alert,) = look(instance, memory, here, OWNERS, steps)
    assert (alert.key, alert.owners) == ("run of silver/orders", ("team:shop",))
    run(instance, "payments")
    assert ("recovered", "run of silver/orders") in told(look(instance, memory, here, OWNERS, steps))


def test_a_run_of_several_steps_that_died_is_mended_one_by_one() -> None:
    left: dict[str, list[str]] = {}
    died = Told({"run of a, b, c": "its process died"}, frozenset({"a"}))
    assert healed(left, died, {"a", "b", "c"}) == died
    assert left == {"run of a, b, c": ["b", "c"]}
    assert healed(left, Told({}, frozenset({"b"})), {"b"}).sound == {"b"}
    assert healed(left, died, {"a", "b", "c"}).broken and left["run of a, b, c"] == ["b", "c"], "it died again"
    assert healed(left, Told({}, frozenset({"b", "c"})), {"b", "c"}).sound == {"b", "c", "run of a, b, c"}
    assert left == {}


def test_who_does_not_take_an_alert_gets_it_later_and_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = {"http://deaf"}
    sent: list[tuple[str, str]] = []
    lines: list[str] = []

    def to(channel: str, alert: Alert) -> None:
        if channel in deaf:
            raise ChannelError("http://deaf did not take it: timed out")
        sent.append((channel, alert.key))

    monkeypatch.setattr(sensor, "send", to)
    both, memory = ("http://deaf", "http://good"), Memory(since=0)
    deliver(memory, both, [Alert("broken", "a", "why"), Alert("broken", "b", "why")], lines.append)
    assert sent == [("http://good", "a"), ("http://good", "b")]
    assert len([line for line in lines if "Not delivered" in line]) == 1, "one timeout a tick"
    assert [one["alert"]["key"] for one in memory.waiting] == ["a", "b"]
    deaf.clear()
    deliver(memory, both, [], lines.append)
    assert sent[2:] == [("http://deaf", "a"), ("http://deaf", "b")]
    assert memory.waiting == []
    deaf.add("http://deaf")
    monkeypatch.setattr(sensor, "TRIES", 2)
    deliver(memory, both[:1], [Alert("broken", "c", "why")], lines.append)
    deliver(memory, both[:1], [], lines.append)
    assert memory.waiting == [] and lines[-1] == "Given up: c to http://deaf"


def test_every_step_has_its_owners(lakehouse_home: Path) -> None:
    from lakehouse.definitions import build
    from lakehouse.settings import settings

    owners = owners_by_step(build(settings()).get_repository_def())
    assert owners["silver__shopify_orders"] and owners["bronze__shopify_orders"]
    assert owners["gold"] == ("team:analytics",)
    # Upkeep that fails is told to those whose tables it is.
    assert owners["maintenance__shopify_orders"] == owners["silver__shopify_orders"]
    assert owners["maintenance__gold"] == ("team:analytics",)


def test_the_steps_of_a_run_are_those_of_its_assets_or_its_job(lakehouse_home: Path) -> None:
    from lakehouse.definitions import build
    from lakehouse.settings import settings

    repository = build(settings()).get_repository_def()
    keys = [
        dg.AssetKey(path)
        for path in (
            ["silver", "shopify_order_lines"],
            ["gold", "fct_orders"],
            ["serving", "fct_orders"],
            ["ops", "releases"],
        )
    ]
    some = SimpleNamespace(asset_selection=frozenset(keys), job_name="__ASSET_JOB")
    assert steps_of(repository, some) == {"silver__shopify_orders", "gold", "release"}
    nightly = SimpleNamespace(asset_selection=None, job_name="ingest_shopify_orders")
    assert steps_of(repository, nightly) == {"bronze__shopify_orders"}
    assert steps_of(repository, SimpleNamespace(asset_selection=None, job_name="gone")) == frozenset()
