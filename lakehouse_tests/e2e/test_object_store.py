"""Files dropped in a bucket end in bronze and silver: the whole product, on a landing in a real server's object store."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lakehouse.settings import PROJECT, executable
from lakehouse_tests.bronze.store import BUCKET, LOGIN, Store, running
from lakehouse_tests.silver import small

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture
def store() -> Iterator[Store]:
    with pytest.MonkeyPatch.context() as patch, running(patch) as found:
        yield found


@pytest.fixture
def lakehouse(store: Store, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """The command line in a home of its own, whose landing is the bucket."""
    contracts = tmp_path / "contracts"
    contracts.mkdir()
    small.contract(
        [small.key(), small.column("at", "timestamp", required=True)],
        folder=contracts,
        sequence=["at"],
        partition="daily",
    )
    environment = {
        **{
            name: text for name, text in os.environ.items() if not name.startswith(("LAKEHOUSE_", "SPARK_", "DAGSTER_"))
        },
        **LOGIN,
        "LAKEHOUSE_HOME": str(tmp_path / "home"),
        "LAKEHOUSE_JARS": os.environ.get("LAKEHOUSE_JARS", str(PROJECT / ".lakehouse" / "jars")),
        "LAKEHOUSE_ENGINE_MEMORY": "1g",
        "LAKEHOUSE_SAMPLE": "false",
        "LAKEHOUSE_CONTRACTS": str(contracts),
        "LAKEHOUSE_LANDING": f"s3://{BUCKET}/in",
        "LAKEHOUSE_S3_ENDPOINT": store.endpoint,
    }

    def call(*arguments: str) -> str:
        done = subprocess.run(
            [executable("lakehouse"), *arguments],
            env=environment, cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    yield call
    call("engine", "stop")


def test_files_dropped_in_a_bucket_end_in_silver_once(store: Store, lakehouse: Callable[..., str]) -> None:
    def land(name: str, *ids: str) -> None:
        records: list[dict[str, Any]] = [{"id": one, "at": "2026-01-01T10:00:00Z"} for one in ids]
        store.put(f"in/shop/things/2026-01-01/{name}", "".join(f"{json.dumps(record)}\n" for record in records))

    land("a b+c.json", "1", "2")
    land("half.part", "9")
    assert "silver.shop_things" in lakehouse("run")
    land("later.json", "3")
    lakehouse("run")
    assert "Nothing to do" in lakehouse("run")
    rows = lakehouse("sql", "select id, _arrived_on from silver.shop_things order by id", "--format", "json")
    assert [json.loads(line)["id"] for line in rows.splitlines()] == ["1", "2", "3"]
    files = lakehouse("sql", "select distinct file from bronze.shop_things order by file", "--format", "json")
    assert [json.loads(line)["file"] for line in files.splitlines()] == [
        "shop/things/2026-01-01/a b+c.json",
        "shop/things/2026-01-01/later.json",
    ]
