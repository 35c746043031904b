"""Files dropped in a bucket end in bronze and silver: the whole product, on a landing in a real server's object store."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lakehouse.gold import project
from lakehouse_tests.bronze.store import BUCKET, LOGIN, Store, running
from lakehouse_tests.e2e.shop import Shop
from lakehouse_tests.silver import small

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture
def store() -> Iterator[Store]:
    with pytest.MonkeyPatch.context() as patch, running(patch) as found:
        yield found


@pytest.fixture
def shop(store: Store, tmp_path: Path) -> Iterator[Shop]:
    """A home of its own, whose landing is the bucket."""
    shop = Shop(
        tmp_path / "home",
        **LOGIN,
        LAKEHOUSE_ENGINE_JAVA_OPTIONS="-XX:TieredStopAtLevel=1",  # for so few queries the quick compiler is enough
        LAKEHOUSE_SAMPLE="false",
        LAKEHOUSE_LANDING=f"s3://{BUCKET}/in",
        LAKEHOUSE_S3_ENDPOINT=store.endpoint,
    )
    project.prepare(shop.settings)
    columns = [small.key(), small.column("at", "timestamp", required=True)]
    small.contract(columns, folder=shop.home / "contracts", sequence=["at"], partition="daily")
    yield shop
    shop.close()


def test_files_dropped_in_a_bucket_end_in_silver_once(store: Store, shop: Shop) -> None:
    def land(name: str, *ids: str) -> None:
        records: list[dict[str, Any]] = [{"id": one, "at": "2026-01-01T10:00:00Z"} for one in ids]
        store.put(f"in/shop/things/2026-01-01/{name}", "".join(f"{json.dumps(record)}\n" for record in records))

    land("a b+c.json", "1", "2")
    land("half.part", "9")
    assert "silver.shop_things" in shop.lakehouse("run").stdout
    land("later.json", "3")
    shop.lakehouse("run")
    assert "Nothing to do" in shop.lakehouse("run").stdout
    rows = shop.rows("select id, _arrived_on from silver.shop_things order by id")
    assert [row["id"] for row in rows] == ["1", "2", "3"]
    files = shop.rows("select distinct file from bronze.shop_things order by file")
    assert [row["file"] for row in files] == [
        "shop/things/2026-01-01/a b+c.json",
        "shop/things/2026-01-01/later.json",
    ]
