"""The engine's configuration, a pure function of settings and machine."""

import re
from pathlib import Path

import pytest

from lakehouse.engine.config import GIB, Machine, heap, java_options, log4j_properties, spark_conf, this_machine
from lakehouse.settings import Settings

SMALL = Machine(memory_bytes=8 * GIB, cores=2)


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", jars=tmp_path / "jars", engine_memory=None)


@pytest.mark.parametrize(("gib", "expected"), [(2, "1024m"), (8, "2048m"), (24, "3072m"), (256, "3072m")])
def test_the_heap_is_a_quarter_of_the_machine_within_bounds(here: Settings, gib: int, expected: str) -> None:
    assert heap(here, Machine(gib * GIB, 4)) == expected


def test_a_heap_that_is_set_is_taken_as_it_is(here: Settings) -> None:
    assert heap(here.model_copy(update={"engine_memory": "12g"}), SMALL) == "12g"


def test_flags_that_are_set_come_last_for_the_jvm_takes_the_last_of_two(here: Settings) -> None:
    flags = " -XX:TieredStopAtLevel=1  -XX:ReservedCodeCacheSize=64m "
    more = java_options(here.model_copy(update={"engine_java_options": flags}))
    assert more == [*java_options(here), "-XX:TieredStopAtLevel=1", "-XX:ReservedCodeCacheSize=64m"]


def test_partitions_follow_the_cores(here: Settings) -> None:
    conf = spark_conf(here, Machine(8 * GIB, 6), [])
    assert conf["spark.master"] == "local[7]"  # a task more, for whoever asks for little
    assert conf["spark.sql.shuffle.partitions"] == "6"
    assert spark_conf(here.model_copy(update={"engine_cores": 3}), SMALL, [])["spark.master"] == "local[4]"


def test_every_path_lies_under_the_home_or_the_jars(here: Settings, tmp_path: Path) -> None:
    conf = spark_conf(here, SMALL, [tmp_path / "jars" / "a.jar"])
    text = " ".join([*conf.values(), *java_options(here), log4j_properties(here.engine_dir)])
    paths = re.findall(r"(?<![\w.])/[\w./-]+", text)
    assert len(paths) > 8
    assert [path for path in paths if not path.startswith(str(tmp_path))] == []


def test_remote_storage_stays_a_uri(here: Settings) -> None:
    conf = spark_conf(here.model_copy(update={"storage": "s3a://lake/tables"}), SMALL, [])
    assert conf["spark.sql.warehouse.dir"] == "s3a://lake/tables"


def test_an_object_store_of_ones_own_is_reached_by_path_and_without_a_login_in_the_configuration(
    here: Settings,
) -> None:
    conf = spark_conf(here.model_copy(update={"s3_endpoint": "http://127.0.0.1:9000"}), SMALL, [])
    assert conf["spark.hadoop.fs.s3a.endpoint"] == "http://127.0.0.1:9000"
    assert conf["spark.hadoop.fs.s3a.connection.ssl.enabled"] == "false"
    assert not [name for name in conf if "secret" in name or "access.key" in name]
    assert not [name for name in spark_conf(here, SMALL, []) if "s3a" in name]


def test_the_log_is_bounded(here: Settings) -> None:
    properties = log4j_properties(here.engine_dir)
    assert "RollingFile" in properties
    assert "policies.size.size = 5MB" in properties


def test_this_machine_has_memory_and_cores() -> None:
    machine = this_machine()
    assert machine.cores >= 1
    assert machine.memory_bytes > GIB // 4
