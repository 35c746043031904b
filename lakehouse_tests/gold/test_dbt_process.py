"""A build of gold waits for its order, and ends with whoever started it."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from lakehouse.gold import project as dbt
from lakehouse.gold.dbt_process import await_order, give_order, parsed
from lakehouse.settings import settings

CHILD = "from lakehouse.gold.dbt_process import end_with_parent as e; e(); import time; print(1, flush=True); time.sleep(60)"
PARENT = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""


def test_a_process_whose_parent_was_killed_ends() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert child.is_running()
        time.sleep(1.2)
        assert child.is_running(), "it lives as long as its parent"
    finally:
        parent.kill()
        parent.wait()
    gone, alive = psutil.wait_procs([child], timeout=20)
    assert gone and not alive


def test_the_process_waits_for_its_order_and_never_reads_half_of_it(tmp_path: Path) -> None:
    order, found = tmp_path / "order.json", list[list[str]]()
    waiting = threading.Thread(target=lambda: found.append(await_order(order)))
    waiting.start()
    order.with_suffix(".draft").write_text('["--va')
    time.sleep(0.2)
    assert waiting.is_alive()
    give_order(order, ["--vars", "{}"])
    waiting.join(timeout=10)
    assert found == [["--vars", "{}"]]


def test_a_parse_is_used_for_the_schema_of_silver_that_it_was_made_for(tmp_path: Path) -> None:
    def told(schema: str) -> list[str]:
        return ["build", "--vars", json.dumps({"silver_schema": schema, "since": {"shopify_orders": 7}})]

    kept = dbt.parsed(settings())
    found = parsed(kept, told(dbt.PINNED))
    assert found is not None
    assert len(found.nodes) == len(dbt.manifest(settings())["nodes"])
    assert parsed(kept, told("silver")) is None
    assert parsed(kept, ["build"]) is None
    assert parsed(tmp_path / "none.msgpack", told(dbt.PINNED)) is None


@pytest.mark.parametrize(
    ("sql", "reads"),
    [
        ("select 1", True),
        ('/* {"app": "dbt"} */\nSELECT 1', True),
        ("-- a comment: drop\n  with a as (select 1) select * from a", True),
        ("show databases", False),
        ("create or replace view a as select 1", False),
        ("/* select */ insert into a select 1", False),
        ("-- select\n\n merge into a using b", False),
    ],
)
def test_what_only_reads_is_told_from_what_changes_something(sql: str, reads: bool) -> None:
    from lakehouse.gold.dbt_session import is_query  # dbt takes seconds to load, in each process that collects tests

    assert is_query(sql) is reads
