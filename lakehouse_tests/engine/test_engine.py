"""The engine itself: who may call it, and that it comes back from whatever happens to it.

These tests kill engines, so they have one of their own in a home of their own.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from pyspark.errors.exceptions.connect import SparkConnectException
from pyspark.sql.connect.proto import ConfigRequest, UserContext
from pyspark.sql.connect.proto.base_pb2_grpc import SparkConnectServiceStub
from pyspark.sql.connect.session import SparkSession

from lakehouse.engine import client, config, lifecycle, record, server
from lakehouse.engine.gate import HEADER
from lakehouse.settings import Settings, settings
from lakehouse_tests import waiting

pytestmark = [pytest.mark.engine, pytest.mark.timeout(360)]
until = partial(waiting.until, seconds=40)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    own = settings().model_copy(update={"home": tmp_path_factory.mktemp("own"), "engine_memory": "1g"})
    yield own
    lifecycle.stop(own)


@pytest.fixture(autouse=True)
def own_client(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sets this process's session aside, so that the tests here cannot close the one that other tests share."""
    monkeypatch.setattr(client, "_held", {})
    monkeypatch.setattr(SparkSession, "_default_session", None)
    monkeypatch.setattr(SparkSession, "_active_session", threading.local())
    yield
    client._forget()


def starter(here: Settings) -> "subprocess.Popen[str]":
    """A process that starts the engine, and says its pid and port."""
    program = (
        "import sys; from lakehouse.settings import Settings; from lakehouse.engine import lifecycle;"
        "found = lifecycle.start(Settings.model_validate_json(sys.argv[1])); print(found.pid, found.port)"
    )
    # As in a process that has used Spark before: the variable leaks to its children.
    env = {**os.environ, "SPARK_CONNECT_MODE_ENABLED": "1", "SPARK_REMOTE": "sc://127.0.0.1:1"}
    argument = here.model_dump_json(exclude={"spark_remote"})
    return subprocess.Popen([sys.executable, "-c", program, argument], stdout=subprocess.PIPE, text=True, env=env)


@pytest.fixture(scope="module")
def started(here: Settings) -> list[str]:
    """What two processes that started the engine at the same moment say of it."""
    children = [starter(here) for _ in range(2)]
    return [child.communicate(timeout=200)[0].strip() for child in children]


def live(here: Settings) -> record.Record:
    found = record.alive(here)
    assert found is not None
    return found


def processes(here: Settings) -> list[psutil.Process]:
    """The engine's server, its JVM, and whatever else they started."""
    server = psutil.Process(live(here).pid)
    family = [server, *server.children(recursive=True)]
    return [process for process in family if process.status() != psutil.STATUS_ZOMBIE]


def servers(starter_pid: int) -> list[int]:
    """The engines' servers that a process has started."""
    found = []
    for child in psutil.Process(starter_pid).children():
        with suppress(psutil.NoSuchProcess):
            found += [child.pid] if "lakehouse.engine.server" in child.cmdline() else []
    return found


def make_table(spark: Any, here: Settings, schema: str = "keep") -> None:
    spark.sql(f"create schema if not exists {schema} location '{here.storage_dir}/{schema}'")
    spark.sql(f"create table if not exists {schema}.numbers using delta as select id from range(10)")


def count(spark: Any, schema: str = "keep") -> int:
    return int(spark.sql(f"select count(*) from {schema}.numbers").collect()[0][0])


def test_two_starters_get_one_engine(started: list[str], here: Settings) -> None:
    found = live(here)
    assert started == [f"{found.pid} {found.port}"] * 2


def test_it_listens_on_the_loopback_only(started: list[str], here: Settings) -> None:
    listening = [
        connection.laddr
        for process in processes(here)
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]
    assert live(here).port in [address.port for address in listening]
    assert {address.ip.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


def test_a_call_without_the_right_token_is_refused(started: list[str], here: Settings) -> None:
    found = live(here)
    request = ConfigRequest(
        session_id="00000000-0000-0000-0000-000000000001",
        user_context=UserContext(user_id="me"),
        operation=ConfigRequest.Operation(get=ConfigRequest.Get(keys=["spark.sql.session.timeZone"])),
    )
    with grpc.insecure_channel(f"127.0.0.1:{found.port}") as channel:
        stub = SparkConnectServiceStub(channel)
        for metadata in ([], [(HEADER, "")], [(HEADER, "wrong")], [(HEADER, found.token[:-1])]):
            with pytest.raises(grpc.RpcError) as caught:
                stub.Config(request, metadata=metadata)
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        answer = stub.Config(request, metadata=[(HEADER, found.token)])
        assert answer.pairs[0].value == "UTC"


def test_the_token_is_in_its_file_alone(started: list[str], here: Settings) -> None:
    token = live(here).token
    client.connect(here)
    for process in processes(here):
        assert token not in " ".join(process.cmdline())
        assert token not in str(process.environ())
    holders = [
        path.name for path in here.engine_dir.iterdir() if path.is_file() and token.encode() in path.read_bytes()
    ]
    assert holders == ["engine.json"]


def test_it_leaves_nothing_outside_its_home(started: list[str], here: Settings) -> None:
    jvm = psutil.Process(live(here).jvm_pid)
    assert Path(jvm.cwd()) == here.engine_dir
    regular = [Path(file.path) for file in jvm.open_files() if "w" in file.mode or "a" in file.mode or "+" in file.mode]
    assert regular
    assert [path for path in regular if here.home not in path.parents] == []


def test_connect_returns_the_same_session_and_sets_it_up(started: list[str], here: Settings) -> None:
    spark = client.connect(here)
    assert client.connect(here) is spark
    spark.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")  # as after a silent eviction: not what we set
    assert client.connect(here).conf.get("spark.sql.session.timeZone") == "UTC"
    assert client.reconnect(here) is not spark
    assert time.tzname[0] == "UTC"


def test_status_tells_what_runs(started: list[str], here: Settings) -> None:
    found = lifecycle.status(here)
    assert found.running
    assert found.versions is not None
    assert found.versions["spark"] == "3.5.7"
    assert (found.memory_bytes or 0) > 100 * 1024**2


def attempts(spark: Any, ask: Callable[[], None]) -> int:
    """How often a setting that a dead engine is asked for is asked for."""
    stub, calls = spark.client._stub, []
    config_call = stub.Config

    def counted(*given: Any, **named: Any) -> Any:
        calls.append(given)
        return config_call(*given, **named)

    stub.Config = counted
    with pytest.raises(SparkConnectException):
        ask()
    stub.Config = config_call
    return len(calls)


def names(spark: Any) -> dict[str, Any]:
    """What the catalog has in the schema: name → its comment, kind and columns."""
    return {
        row["tableName"]: [
            (told["col_name"], told["data_type"], told["comment"])
            for told in spark.sql(f"describe extended keep.{row['tableName']}").collect()
            if told["col_name"] not in ("Last Access", "Statistics")
        ]
        for row in spark.sql("show tables in keep").collect()
    }


def test_killed_it_is_replaced_also_where_its_starter_is_killed_and_the_next_one_knows_every_name_as_it_was(
    started: list[str], here: Settings
) -> None:
    spark = client.connect(here)
    make_table(spark, here)
    spark.sql(
        "create or replace view keep.looked (number comment 'a number') comment 'first' as select id from keep.numbers"
    )
    spark.sql("create or replace view keep.seen tblproperties ('a' = 'b') as select id + 1 as next from keep.numbers")
    spark.sql(
        "create or replace view keep.looked (number comment 'a number') comment 'second' as select 2 * id as twice from keep.numbers"
    )
    spark.sql("alter view keep.seen rename to keep.shown")
    spark.sql("create view keep.gone as select 1 as one")
    spark.sql("drop view keep.gone")
    spark.sql("create table keep.lines (a int) using parquet comment 'others may lie there'")
    spark.sql("alter table keep.lines add columns (b string)")
    spark.sql("insert into keep.lines values (1, 'x')")
    spark.sql(
        "create table keep.days using parquet partitioned by (day) as select 1 as id, 'a' as day union all select 2, 'b'"
    )
    spark.sql("select 3 as id").write.format("parquet").saveAsTable("keep.written")
    (Path(here.storage_dir) / "keep" / "taken").write_text("a file where a table is to be")
    with pytest.raises(SparkConnectException):
        spark.sql("create table keep.taken (id int) using parquet")
    (Path(here.storage_dir) / "keep" / "taken").unlink()
    spark.sql("create table keep.short_lived (id int)")
    spark.sql("drop table keep.short_lived")
    spark.sql("create schema passing")
    spark.sql("drop schema passing")
    (Path(here.storage_dir) / "keep" / "unfinished" / "_delta_log").mkdir(parents=True)  # its writer was killed as well
    before, ran = names(spark), lifecycle.status(here)
    tables = {"numbers", "looked", "shown", "lines", "days", "written"}
    assert before.keys() == tables
    os.kill(live(here).jvm_pid, signal.SIGKILL)
    until(lambda: record.alive(here) is None)
    assert attempts(spark, lambda: spark.conf.set("spark.sql.shuffle.partitions", 3)) > 1
    assert attempts(spark, lambda: spark.conf.unset("spark.sql.shuffle.partitions")) == 1
    killed = starter(here)
    until(lambda: servers(killed.pid))
    (orphan,) = servers(killed.pid)
    killed.kill()
    killed.communicate()
    spark = client.connect(here)
    assert count(spark) == 10
    assert names(spark) == before
    spark.sql("create table keep.unfinished (id int) using delta")
    runs = lifecycle.status(here)
    assert runs.pid != ran.pid
    until(lambda: runs.pid == orphan or not psutil.pid_exists(orphan))  # one of the two serves; the other one ends
    assert not spark.catalog.databaseExists("passing")
    assert spark.sql("select sum(number) from keep.looked").first()[0] == 90
    assert spark.sql("select * from keep.lines").collect() == [(1, "x")]
    assert {row["id"] for row in spark.table("keep.days").collect()} == {1, 2}
    assert spark.table("keep.written").first()["id"] == 3
    for table in ("lines", "days", "written"):
        spark.sql(f"drop table keep.{table}")
    assert [path.name for path in (Path(here.storage_dir) / "keep").iterdir() if path.name in tables] == ["numbers"]
    spark.conf.set("spark.sql.legacy.useV1Command", "true")
    spark.sql("drop schema if exists `..`")
    spark.conf.unset("spark.sql.legacy.useV1Command")
    assert (config.catalog_dir(here) / "keep" / "numbers").exists()


def test_killed_with_a_broken_catalog_that_is_told_and_made_anew_and_idle_the_engine_ends(
    started: list[str], here: Settings
) -> None:
    spark = client.connect(here)
    make_table(spark, here)
    make_table(spark, here, "lost")
    for name in ("whole", "torn", "odd"):
        spark.sql(f"create or replace view keep.{name} as select 1 as one")
    os.kill(live(here).pid, signal.SIGKILL)  # without its server the JVM ends as well
    until(lambda: record.alive(here) is None)
    shutil.rmtree(config.catalog_dir(here) / "lost")
    kept = config.catalog_dir(here) / "keep"
    (kept / "numbers").write_bytes(b"rubbish")
    (kept / "torn").write_bytes((kept / "torn").read_bytes()[:100])
    (kept / "odd").write_bytes(b"")
    (kept / ".whole.part").write_bytes(b"half")  # its writer was killed
    elsewhere = config.catalog_dir(here) / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ".schema").write_bytes(b"")
    (elsewhere / "whole").write_bytes((kept / "whole").read_bytes())
    old = here.engine_dir / "metastore"  # what an earlier version left
    old.mkdir()
    (old / "service.properties").write_text("")
    old.with_suffix(".id").write_text("")
    hasty = here.model_copy(update={"engine_idle_minutes": 0.05})
    spark = client.connect(hasty)
    assert count(spark) == count(spark, "lost") == 10
    assert {"numbers", "whole"} <= names(spark).keys()
    assert not {"torn", "odd"} & names(spark).keys()
    said = "\n".join(lifecycle.logs(hasty))
    for file in (kept / "numbers", kept / "torn", kept / "odd", elsewhere / ".schema"):
        assert f"Cannot be taken up: {file} (" in said
        assert file.with_name(f".{file.name}.unread").exists()
    assert "An earlier version's metastore is removed" in said
    assert not old.exists() and not old.with_suffix(".id").exists()
    jvm = live(hasty).jvm_pid
    until(lambda: not lifecycle.status(hasty).running)
    until(lambda: not psutil.pid_exists(jvm), seconds=server.ARCHIVE_SECONDS + 10)
    assert record.read(hasty) is None
