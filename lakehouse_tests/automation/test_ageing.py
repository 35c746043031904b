"""Records that wait in quarantine for too long are told, also where no batch comes."""

import json
import time
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from lakehouse.automation import ageing
from lakehouse.automation.ageing import is_due, look, quarantine_ageing
from lakehouse.automation.alerts.sensor import Memory
from lakehouse.contracts.loader import SAMPLE, load
from lakehouse.quality.audit import QUARANTINE_AGE
from lakehouse.settings import Settings, settings
from lakehouse_tests.silver.test_quarantine import Ward
from lakehouse_tests.silver.test_refine import DAY, order, orders

CONTRACT = load(SAMPLE / "shopify_orders.yaml")


def test_the_engine_is_asked_where_something_has_changed_or_come_of_age(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, known, commits = Settings(home=tmp_path), dict[str, Any](), {CONTRACT.quarantine_table: "1.json"}
    monkeypatch.setattr(ageing, "newest_commit", lambda table: commits.get(table))
    monkeypatch.setattr(ageing, "_commits", lambda _: [commits.get(CONTRACT.quarantine_table), None])
    assert is_due(here, CONTRACT, known, 0), "never looked at"
    known[CONTRACT.table] = {"commits": ["1.json", None], "is_old": False, "due": 100.0, "asked": 0}
    assert not is_due(here, CONTRACT, known, 99)
    assert is_due(here, CONTRACT, known, 100), "it has come of age"
    commits[CONTRACT.quarantine_table] = "2.json"
    assert is_due(here, CONTRACT, known, 1)
    known[CONTRACT.table] = {"commits": ["2.json", None], "is_old": True, "due": 100.0, "asked": 0}
    assert not is_due(here, CONTRACT, known, 1000), "said already"
    commits.clear()
    assert not is_due(here, CONTRACT, {}, 0), "there is no quarantine"
    remote = here.model_copy(update={"storage": "s3a://bucket/tables"})
    assert is_due(remote, CONTRACT, {}, 0)
    assert not is_due(remote, CONTRACT, known, ageing.REMOTE_SECONDS - 1)


def test_old_records_are_told_by_check_and_alert_once_and_that_nobody_waits_any_more(
    spark: Any, tmp_path: Path
) -> None:
    shop = Ward(spark, tmp_path, orders(quarantine={"max_percent": 100, "warn_after": "1h"}))
    shop.take(DAY, "a", [order(1, 5), order(2, 5, "odd")])
    known, memory = dict[str, Any](), Memory(since=0)
    check, alerts = look(spark, shop.of, known, memory, time.time())
    assert check is not None
    assert (check.check_name, check.passed, alerts) == (QUARANTINE_AGE, True, [])
    assert 3500 < known[shop.of.table]["due"] - time.time() <= 3600
    spark.sql(f"update {shop.of.quarantine_table} set quarantined_at = quarantined_at - interval 2 hours").collect()
    check, alerts = look(spark, shop.of, known, memory, time.time())
    assert check is not None
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert [(alert.status, alert.key) for alert in alerts] == [("warning", f"silver/{shop.of.table}.quarantine_age")]
    assert "expected" in alerts[0].text.lower()
    assert "lakehouse quarantine list" in alerts[0].text
    _, alerts = look(spark, shop.of, known, memory, time.time())
    assert alerts == [], "said already"
    shop.decide("dismissed", *shop.held())
    check, alerts = look(spark, shop.of, known, memory, time.time())
    assert check is not None
    assert check.passed
    assert [alert.status for alert in alerts] == ["recovered"]


def test_the_sensor_explains_itself_without_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    settings.cache_clear()
    result = quarantine_ageing(dg.build_sensor_context())
    settings.cache_clear()
    assert isinstance(result, dg.SensorResult)
    assert result.skip_reason is not None
    assert result.skip_reason.skip_message == "No quarantine has changed. No record waits too long."
    assert json.loads(result.cursor or "")["known"] == {}
