"""What runs leave beside tables goes when it is old, and nothing else does."""

import os
import time
from pathlib import Path

import dagster as dg
import pytest

from lakehouse.automation.tidy import tidy
from lakehouse.gold import project as dbt
from lakehouse.settings import Settings

DAYS = dg.StaticPartitionsDefinition(["2026-01-01"])
LATER = time.time() + 91 * 86400


@dg.asset
def whole() -> None:
    """An asset without partitions."""


@dg.asset(partitions_def=DAYS)
def daily() -> None:
    """An asset with them."""


def aged(path: Path, days: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 1000)
    os.utime(path, (time.time() - days * 86400,) * 2)
    return path


def test_old_leftovers_go_and_young_ones_stay(tmp_path: Path) -> None:
    here = Settings(home=tmp_path)
    builds = [dbt.build_dir(here, f"{n:08}") for n in range(7)]
    for n, folder in enumerate(builds):
        aged(folder / "dbt.log", 0)
        os.utime(folder, (time.time() - 10 + n,) * 2)
    old, young = [
        [
            aged(tmp_path / "backfills" / f"{days}.json", days),
            aged(tmp_path / "engine" / f"jvm_crash.{days}.log", days),
            aged(tmp_path / "warehouse" / "_staging" / f"gone_{days}" / "parsed" / "part-0.parquet", days),
        ]
        for days in (91, 1)
    ]
    outputs = [
        aged(here.dagster_home / "storage" / name / "compute_logs" / "step.out", 91)
        for name in ("0b6c4b32-0a0c-4a5b-9c5e-0a4ad2b4f7aa", "somebody's own")
    ]
    table = aged(tmp_path / "warehouse" / "silver" / "orders" / "part-0.parquet", 5000)
    with dg.DagsterInstance.ephemeral() as instance:
        told = {of.part: of for of in tidy(here, instance, time.time())}
        assert [folder.exists() for folder in builds] == [False, False, *[True] * 5], "also those that were killed"
        assert [path.exists() for path in (*old, *young)] == [False] * 3 + [True] * 3
        assert [path.exists() for path in (*outputs, table)] == [False, True, True]
        assert (told["dbt builds"].files_removed, told["dbt builds"].bytes_removed) == (2, 2000)
        assert (told["backfills"].files, told["backfills"].bytes) == (1, 1000)
        assert not any(of.files_removed for of in tidy(here, instance, time.time())), "there is nothing left to do"


def test_old_runs_are_forgotten_but_not_that_a_partition_was_materialized(tmp_path: Path) -> None:
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance:
        first, newest = (dg.materialize([whole], instance=instance).run_id for _ in range(2))
        of_day = dg.materialize([daily], instance=instance, partition_key="2026-01-01").run_id
        shards = [Path(instance.event_log_storage.path_for_shard(run)) for run in (first, newest, of_day)]  # type: ignore[attr-defined]
        here = Settings(home=tmp_path)
        tidy(here, instance, time.time())
        assert all(shard.exists() for shard in shards), "younger than 90 days"
        (told,) = [of for of in tidy(here, instance, LATER) if of.part == "run logs"]
        assert told.files_removed >= 3 and not any(shard.exists() for shard in shards)
        assert [instance.has_run(run) for run in (first, newest, of_day)] == [False, True, True]
        event = instance.get_latest_materialization_event(whole.key)
        assert event is not None and event.run_id == newest
        assert instance.get_materialized_partitions(daily.key) == {"2026-01-01"}
        dg.materialize([whole], instance=instance)


@pytest.mark.parametrize("storage", ["s3://bucket/tables"])
def test_storage_that_is_no_folder_is_left_alone(tmp_path: Path, storage: str) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        parts = {of.part for of in tidy(Settings(home=tmp_path, storage=storage), instance, time.time())}
    assert "staging" not in parts and "run logs" not in parts
