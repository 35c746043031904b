"""A landing in an object store: what lies there is told without the engine, by a real server's answers."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from pyarrow import fs

from lakehouse.automation.sensors import unsettled
from lakehouse.bronze.landing import LandingError, can_list, first_day, landed_files, settled
from lakehouse.contracts.loader import SAMPLE, load
from lakehouse.settings import Settings, settings
from lakehouse.silver import staging
from lakehouse.storage import s3
from lakehouse_tests.bronze.store import BUCKET, Store, running

ORDERS = load(SAMPLE / "shopify_orders.yaml")
BELOW = "in/shopify/orders"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Store]:
    with running(monkeypatch) as found:
        monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
        monkeypatch.setenv("LAKEHOUSE_LANDING", f"s3://{BUCKET}/in/")
        monkeypatch.setenv("LAKEHOUSE_S3_ENDPOINT", found.endpoint)
        settings.cache_clear()
        yield found
    settings.cache_clear()


def test_files_in_a_bucket_are_listed_as_those_in_a_folder(store: Store) -> None:
    here = settings()
    assert (here.landing_dir, here.reads_s3) == (f"s3a://{BUCKET}/in", True)
    assert landed_files(here.landing_dir, ORDERS) == []
    assert first_day(here.landing_dir, ORDERS) is None
    store.put(f"{BELOW}/2026-01-02/b.json", "{}\n")
    store.put(f"{BELOW}/2026-01-01/deep/a b+c.json", "{}\n{}\n")
    for ignored in ("2026-01-02/.hidden", "2026-01-02/half.part", "2026-01-02/_tmp/x.json", "no day/c.json", "d.json"):
        store.put(f"{BELOW}/{ignored}", "{}")
    store.put("in/shopify/orders_old/2026-01-02/e.json", "{}")
    files = landed_files(here.landing_dir, ORDERS)
    assert [(file.path, file.arrived_on, file.size) for file in files] == [
        ("shopify/orders/2026-01-01/deep/a b+c.json", date(2026, 1, 1), 6),
        ("shopify/orders/2026-01-02/b.json", date(2026, 1, 2), 3),
    ]
    assert settled(here.landing_dir, files, 60) == files, "a store shows a file when it is whole"
    only = landed_files(here.landing_dir, ORDERS, period=(date(2026, 1, 2), date(2026, 1, 3)))
    assert [file.path for file in only] == ["shopify/orders/2026-01-02/b.json"]
    assert first_day(here.landing_dir, ORDERS) == date(2026, 1, 1)


def test_more_than_a_page_of_objects_is_listed_whole(store: Store) -> None:
    for number in range(1001):
        store.put(f"{BELOW}/2026-01-01/{number:04}.json", "{}")
    assert len(landed_files(settings().landing_dir, ORDERS)) == 1001


def test_the_sensor_tells_a_new_object_without_the_engine(store: Store) -> None:
    contracts = {ORDERS.table: ORDERS}
    before = unsettled(settings(), contracts, "2026-01-01", has_gold=False)
    assert before is not None
    assert unsettled(settings(), contracts, "2026-01-01", has_gold=False) == before
    store.put(f"{BELOW}/2026-01-01/a.json", "{}")
    assert unsettled(settings(), contracts, "2026-01-01", has_gold=False) != before


def test_a_folder_of_a_bucket_is_removed_with_what_is_in_it(store: Store) -> None:
    for name in ("mine/parsed/part-0", "mine/part-0", "other/part-0"):
        store.put(f"warehouse/_staging/shop_things/{name}", "x")
    place = f"s3a://{BUCKET}/warehouse/_staging/shop_things"
    staging.remove(f"{place}/mine")
    staging.remove(f"{place}/mine")
    staging.remove("s3a://nowhere/at/all")
    left = s3.store().get_file_info(fs.FileSelector(place.split("://")[1], recursive=True))
    assert [info.path.rsplit("/", 2)[1:] for info in left if info.is_file] == [["other", "part-0"]]
    now = datetime.now(UTC)
    for moment, stay in ((now - timedelta(hours=1), 1), (now + timedelta(hours=1), 0)):
        s3.remove_old(place, moment)
        s3.remove_old(f"{place}/nothing", moment)
        left = s3.store().get_file_info(fs.FileSelector(place.split("://")[1], allow_not_found=True, recursive=True))
        assert sum(info.is_file for info in left) == stay


def test_a_store_that_does_not_say_is_told_with_a_remedy(store: Store) -> None:
    with pytest.raises(LandingError, match=r"s3a://nowhere/in.* cannot be listed: .*LAKEHOUSE_S3_ENDPOINT"):
        landed_files("s3a://nowhere/in", ORDERS)
    assert first_day("s3a://nowhere/in", ORDERS) is None, "definitions load all the same"


def test_what_can_be_listed(tmp_path: Path) -> None:
    assert can_list(str(tmp_path))
    assert can_list("s3a://bucket")
    assert not can_list("hdfs://host/landing")
    assert Settings(home=tmp_path, landing="/files").reads_s3 is False
