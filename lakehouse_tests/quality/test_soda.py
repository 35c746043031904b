"""Soda's traps, each on Soda itself; the engine is played, so that what it is asked can be counted."""

import math
import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import Row

from lakehouse.quality import soda
from lakehouse.quality.soda import Measured, judged, scan


class Frame:
    def __init__(self, engine: "Engine", rows: list[Row]) -> None:
        self.engine, self.rows = engine, rows

    def limit(self, n: int) -> "Frame":
        return Frame(self.engine, self.rows[:n])

    def collect(self) -> list[Row]:
        self.engine.runs += 1
        return self.rows


class Engine:
    """Answers each metric with its value, and fails a query that asks for one that is an exception."""

    def __init__(self, **values: Any) -> None:
        self.values, self.asked, self.runs, self.is_gone = values, list[str](), 0, False
        self.meeting: threading.Barrier | None = None
        """Where queries wait for each other before any is answered."""

    def query(self, _: Any, text: str) -> Frame:
        self.asked.append(text)
        if self.meeting:
            self.meeting.wait(timeout=30)
        found = {f"m_{name}": self.values.get(name, 0) for name in re.findall(r" as m_(\w+)", text)}
        for value in found.values():
            if isinstance(value, Exception):
                raise value
        if self.is_gone:
            raise ConnectionError("nobody answers")
        return Frame(self, [Row(**(found or {"one": 1}))])


def asked_of(monkeypatch: pytest.MonkeyPatch, engine: Engine, comparison: str = "= 1") -> dict[str, Measured]:
    """What Soda finds of every value of the engine."""
    monkeypatch.setattr(soda, "_query", engine.query)
    session: Any = engine
    return scan(session, "rows", {name: judged(name, name, comparison) for name in engine.values})


def test_a_query_runs_once_however_many_rows_soda_reads_and_however_often(monkeypatch: pytest.MonkeyPatch) -> None:
    soda._scan_class()
    from soda.common.memory_safe_cursor_fetcher import MemorySafeCursorFetcher
    from soda.data_sources.spark_df_connection import SparkDfConnection

    engine = Engine()
    monkeypatch.setattr(soda, "_query", lambda _, text: Frame(engine, [Row(n=n) for n in range(12_000)]))
    cursor = SparkDfConnection(soda._EagerSession(engine)).cursor()  # type: ignore[arg-type]
    cursor.execute("select n")
    assert MemorySafeCursorFetcher(cursor).get_row_count() == soda._ROW_CAP
    assert engine.runs == 1


def test_all_checks_are_one_query_also_beyond_fifty(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(**{f"n{n}": n for n in range(120)})
    found = asked_of(monkeypatch, engine, ">= 0")
    assert [found[name].value for name in engine.values] == list(range(120))
    assert len(engine.asked) == engine.runs == 1


def test_what_cannot_be_evaluated_is_an_error_and_takes_no_other_check_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = {"x": ValueError("x is no column"), "y": ValueError("y is no column")}
    engine = Engine(**{f"a{n}": 1 for n in range(9)}, x=broken["x"], **{f"b{n}": 1 for n in range(9)}, y=broken["y"])
    found = asked_of(monkeypatch, engine)
    assert {name for name, measured in found.items() if measured.outcome == "error"} == {"x", "y"}
    assert "x is no column" in str(found["x"].problem) and "y is no column" in str(found["y"].problem)
    assert {measured.value for name, measured in found.items() if name not in broken} == {1}
    assert set(found) == set(engine.values)


def test_where_the_engine_is_gone_no_check_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(a=1, b=1, c=1)
    engine.is_gone = True
    found = asked_of(monkeypatch, engine)
    assert {measured.outcome for measured in found.values()} == {"error"}
    assert len(engine.asked) == 2 and engine.asked[1] == "select 1"


def test_what_is_no_number_never_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(
        nothing=None, text="1", day=date(2025, 1, 1), nan=math.nan, number=1, decimal=Decimal("1.00"), true=True
    )
    found = asked_of(monkeypatch, engine, "!= 2")
    passed = {name for name, measured in found.items() if measured.outcome == "pass"}
    assert passed == {"number", "decimal", "true"}
    assert {measured.outcome for name, measured in found.items() if name not in passed} == {"error"}
    assert all(measured.problem for name, measured in found.items() if name not in passed)


def test_a_result_that_is_text_is_told_without_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    found = asked_of(monkeypatch, Engine(text="jane@example.com", lost=ValueError("lost is no column"), number=1))
    assert found["text"].problem == "the result is not a number but of type str"
    assert found["number"].outcome == "pass"
    assert "lost is no column" in str(found["lost"].problem)
    assert not [one for one in found.values() if "jane" in str(one.problem)]


PASSES = {
    "= 1": [1],
    "!= 1": [0.999, 1.001],
    "> 1": [1.001],
    ">= 1": [1, 2],
    "< 1": [0.999],
    "<= 1": [1, 0],
    "between 1 and 3": [1, 2, 3],
    "not between 1 and 3": [0.999, 3.001],
    "> -1.5": [-1.25, 0],
}
FAILS = {
    "= 1": [0, 1.001],
    "!= 1": [1],
    "> 1": [1, 0],
    ">= 1": [0.999],
    "< 1": [1, 2],
    "<= 1": [1.001],
    "between 1 and 3": [0.999, 3.001],
    "not between 1 and 3": [1, 2, 3],
    "> -1.5": [-1.5, -2],
}


@pytest.mark.parametrize("comparison", PASSES)
def test_each_comparison_at_its_ends(monkeypatch: pytest.MonkeyPatch, comparison: str) -> None:
    for outcome, values in (("pass", PASSES[comparison]), ("fail", FAILS[comparison])):
        engine = Engine(**{f"n{n}": value for n, value in enumerate(values)})
        found = asked_of(monkeypatch, engine, comparison)
        assert [(m.outcome, m.value) for m in found.values()] == [(outcome, value) for value in values]


def test_conditions_warn_and_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(low=0, middle=1, high=6)
    monkeypatch.setattr(soda, "_query", engine.query)
    checks = {name: judged(name, name, warn="when > 0", fail="when > 5") for name in engine.values}
    session: Any = engine
    assert [measured.outcome for measured in scan(session, "rows", checks).values()] == ["pass", "warn", "fail"]


def test_scans_of_several_threads_go_on_at_once_and_do_not_mix_what_they_found(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(**{f"bad{n}": ValueError(f"fault {n}") for n in range(6)}, **{f"good{n}": n for n in range(6)})
    monkeypatch.setattr(soda, "_query", engine.query)
    engine.meeting = threading.Barrier(6)
    session: Any = engine
    with ThreadPoolExecutor(6) as pool:
        asked = [
            pool.submit(scan, session, "rows", {name: judged(name, "x", f"= {value}")})
            for n in range(6)
            for name, value in ((f"bad{n}", 1), (f"good{n}", n))
        ]
    bad, good = asked[::2], asked[1::2]
    for n in range(6):
        assert (good[n].result()[f"good{n}"].outcome, good[n].result()[f"good{n}"].value) == ("pass", n)
        problem = str(bad[n].result()[f"bad{n}"].problem)
        assert set(re.findall(r"fault (\d)", problem)) == {str(n)}


def test_soda_calls_nobody_writes_nothing_and_reads_no_env_file(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    (elsewhere / ".env").write_text("TZ=America/New_York\nSPARK_REMOTE=sc://stranger\n", encoding="utf-8")
    code = f"""
import os, threading
import dotenv.main
dotenv.main.find_dotenv = lambda *_, **__: {str(elsewhere / ".env")!r}
from lakehouse.quality import soda
runner = soda._scan_class()()
runner.execute()
names = [thread.name for thread in threading.enumerate()]
assert not any("Otel" in name for name in names), names
assert os.environ["TZ"] == "UTC" and "SPARK_REMOTE" not in os.environ
"""
    env = {key: value for key, value in os.environ.items() if key != "SPARK_REMOTE"} | {"HOME": str(home), "TZ": "UTC"}
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert list(home.iterdir()) == []
