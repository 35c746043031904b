"""Sources: what they say of themselves, and the files that wait for it."""

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from lakehouse.automation import sources
from lakehouse.automation.alerts.sensor import Memory
from lakehouse.automation.sources import look, poll, said, source_health, sources_down, why_not
from lakehouse.bronze.landing import LandedFile
from lakehouse.contracts.loader import SAMPLE, load
from lakehouse.contracts.model import Contract
from lakehouse.settings import Settings, settings


class Api(BaseHTTPRequestHandler):
    """A source whose answer is in its path; `/now` answers as the test says."""

    status = 200
    is_over = threading.Event()

    def do_GET(self) -> None:
        if self.path == "/hangs":
            self.is_over.wait(30)
            return
        self.send_response(self.status if self.path == "/now" else int(self.path[1:]))
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing on the console."""


@pytest.fixture
def api() -> Iterator[str]:
    Api.is_over.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    Api.is_over.set()
    server.shutdown()


@pytest.fixture
def orders() -> Contract:
    return load(SAMPLE / "shopify_orders.yaml")


def a_file(landed_at: float) -> LandedFile:
    return LandedFile("shopify/orders/2026-01-01/a.json", date(2026, 1, 1), 1, int(landed_at * 1000))


def test_what_is_wrong_with_a_source_is_told_and_one_that_hangs_keeps_no_other_waiting(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "TIMEOUT_SECONDS", 0.5)
    found = poll([f"{api}/200", f"{api}/503", f"{api}/hangs", "http://127.0.0.1:1/"])
    assert found[f"{api}/200"] is None
    assert "answered 503" in str(found[f"{api}/503"])
    assert "did not answer within" in str(found[f"{api}/hangs"])
    assert "cannot be reached" in str(found["http://127.0.0.1:1/"])


def test_a_source_that_is_down_is_said_once_and_that_it_answers_again(
    api: str, orders: Contract, tmp_path: Path
) -> None:
    contract, memory, failures = replace(orders, health=f"{api}/now"), Memory(since=0), dict[str, int]()

    def looked(status: int) -> list[tuple[str, str]]:
        Api.status = status
        return [(alert.status, alert.key) for alert in look([contract], memory, tmp_path, failures)]

    assert looked(200) == []
    assert looked(503) == [], "once may be a restart"
    assert sources_down(tmp_path, time.time()) == {}
    assert looked(503) == [("broken", "source of shopify_orders")]
    assert looked(503) == []
    assert "answered 503" in sources_down(tmp_path, time.time())[f"{api}/now"]
    assert looked(200) == [("recovered", "source of shopify_orders")]
    assert sources_down(tmp_path, time.time()) == {}
    looked(503)
    looked(503)
    assert look([orders], memory, tmp_path, failures) == [], "no contract names it any more"
    assert sources_down(tmp_path, time.time()) == {}


def test_files_of_a_source_that_is_down_wait(orders: Contract, tmp_path: Path) -> None:
    contract, here = replace(orders, health="http://x/health"), Settings(home=tmp_path)
    with dg.DagsterInstance.ephemeral() as instance:
        assert why_not(instance, here, time.time())(contract, [a_file(1)]) is None
        before = said(instance, here, [contract], time.time())
        (tmp_path / "source_health.json").write_text('{"http://x/health": "since 06:30, it answered 503"}')
        assert "down: since 06:30, it answered 503" in str(why_not(instance, here, time.time())(contract, [a_file(1)]))
        assert said(instance, here, [contract], time.time()) != before, "else nobody would look again"
        assert why_not(instance, here, time.time())(orders, [a_file(1)]) is None
        later = time.time() + 3600
        assert why_not(instance, here, later)(contract, [a_file(1)]) is None, "the sensor was turned off"


def test_files_wait_until_each_asset_that_they_come_after_is_there(orders: Contract, tmp_path: Path) -> None:
    contract, here = replace(orders, after=("partner/exports", "partner/prices")), Settings(home=tmp_path)
    landed_at = time.time() - 10
    with dg.DagsterInstance.ephemeral() as instance:

        def waits() -> str | None:
            return why_not(instance, here, time.time())(contract, [a_file(landed_at), a_file(time.time() + 60)])

        assert waits() == "it comes after partner/exports, partner/prices"
        before = said(instance, here, [contract], time.time())
        instance.report_runless_asset_event(dg.AssetMaterialization(["partner", "exports"]))
        assert waits() == "it comes after partner/prices"
        instance.report_runless_asset_event(dg.AssetMaterialization(["partner", "prices"]))
        assert waits() is None
        assert said(instance, here, [contract], time.time()) != before
        assert why_not(instance, here, time.time())(contract, [a_file(time.time() + 60)]) is not None, "new since"


def test_the_sensor_explains_itself(
    api: str, orders: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    settings.cache_clear()
    assert source_health({"shopify_orders": orders}) == []
    (sensor,) = source_health({"shopify_orders": replace(orders, health=f"{api}/now")})
    told, cursor = [], None
    for status in (200, 500, 500):
        Api.status = status
        result = sensor(dg.build_sensor_context(cursor=cursor))
        assert isinstance(result, dg.SensorResult)
        cursor = result.cursor
        told.append(str(result.skip_reason.skip_message if result.skip_reason else ""))
    settings.cache_clear()
    assert told[0] == "All 1 source(s) answer."
    assert "Not once, so far" in told[1]
    assert told[2].startswith(f"Down: {api}/now since ")
    assert os.environ["LAKEHOUSE_HOME"] == str(tmp_path)
