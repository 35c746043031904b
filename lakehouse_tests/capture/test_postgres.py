"""What is asked of a database before it is captured: each answer that a real one can give."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lakehouse.capture import lifecycle, process, state
from lakehouse.capture import postgres as asked
from lakehouse.capture.cli import outcome
from lakehouse.capture.errors import CaptureError
from lakehouse.capture.files import Files
from lakehouse.capture.lifecycle import slot_warnings
from lakehouse.capture.sources import Source, Table
from lakehouse.capture.state import State
from lakehouse.settings import Login, Settings
from lakehouse_tests.capture.database import Database, postgres

LOGIN = Login("postgres", "")


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with postgres() as found:
        connection = found.connect()
        connection.run("create table good (id int primary key, part int, name text)")
        connection.run("create table keyless (id int, name text)")
        connection.run("create unlogged table unlogged (id int primary key)")
        connection.run("create view seen as select * from good")
        connection.run("create role reader login")
        connection.run("create role replicator login replication")
        connection.close()
        yield found


def source(database: Database, table: str = "good", keys: tuple[str, ...] = ("id",), schema: str = "public") -> Source:
    return Source("shop", database.host, database.port, database.name, (Table(schema, table, keys, f"shop/{table}"),))


def refusal(of: Source, login: Login = LOGIN) -> str:
    with pytest.raises(CaptureError) as caught, asked.connected(of, login) as connection:
        asked.check(connection, of, login, None)
    return str(caught.value)


def test_a_table_that_can_be_captured(database: Database) -> None:
    of = source(database)
    with asked.connected(of, LOGIN) as connection:
        asked.check(connection, of, LOGIN, None)


@pytest.mark.parametrize(
    ("table", "keys", "problem", "remedy"),
    [
        ("missing", ("id",), "public.missing of shop does not exist", "Correct `schema`"),
        ("seen", ("id",), "public.seen of shop is no table", "Correct `schema`"),
        ("keyless", ("id",), "no primary key and no replica identity", "replica identity full"),
        ("unlogged", ("id",), "unlogged", "set logged"),
        ("good", ("id", "part"), "id, part, is not in the replica identity", "replica identity full"),
    ],
)
def test_a_table_that_cannot(database: Database, table: str, keys: tuple[str, ...], problem: str, remedy: str) -> None:
    told = refusal(source(database, table, keys))
    assert problem in told
    assert remedy in told


def test_whole_rows_identify_as_a_key_does(database: Database) -> None:
    connection = database.connect()
    connection.run("alter table keyless replica identity full")
    asked.check(connection, source(database, "keyless"), LOGIN, None)
    connection.run("alter table keyless replica identity default")
    connection.close()


def test_what_a_key_that_changes_may_lose_is_told_once_a_table_and_only_where_something_can_be_lost(
    database: Database,
) -> None:
    connection = database.connect()

    def told(table: str, columns: tuple[str, ...] | None = None) -> list[str]:
        of = source(database, table)
        kept = replace(of.tables[0], columns=columns)
        return asked.losses(connection, replace(of, tables=(kept,)))

    columns = ", ".join(f"c{number} text" for number in range(7))
    connection.run(f"create table wide (id text primary key, short varchar(3), digits numeric, {columns})")
    connection.run("create table narrow (id int primary key, short varchar(3), digits numeric(9, 2))")
    connection.run("create table parts (id int primary key, name text) partition by range (id)")
    connection.run("create table part1 partition of parts for values from (0) to (9)")
    try:
        (said,) = told("wide")
        assert said.startswith("Where a row of public.wide of shop gets another key, its large values")
        assert "(c0, c1, c2, c3, c4 and 3 more)" in said, "neither the key, which is in the log, nor digits"
        assert said.endswith("run `alter table public.wide replica identity full`.")
        assert "(c3)" in told("wide", ("id", "digits", "c3"))[0]
        assert told("wide", ("id", "digits")) == [], "no large value is kept"
        assert told("narrow") == [], "its rows never have values elsewhere"
        assert told("keyless") != [] and told("missing") == []
        connection.run("alter table wide replica identity full")
        assert told("wide") == []

        assert "(name)" in told("parts")[0] and "and the same for its partitions" in told("parts")[0]
        connection.run("alter table parts replica identity full")
        assert len(told("parts")) == 1, "the partitions have one of their own"
        connection.run("alter table part1 replica identity full")
        assert told("parts") == []
    finally:
        connection.run("drop table wide, narrow, parts")
        connection.close()


def test_who_may_not_log_in_replicate_or_read(database: Database) -> None:
    assert "There is no login for shop" in refusal(source(database), Login("", ""))
    told = refusal(source(database), Login("nobody", "s3cret"))
    assert "refuses the user `nobody`" in told and "LAKEHOUSE_CDC_SHOP_USER" in told
    assert "s3cret" not in told
    assert "alter role reader replication" in refusal(source(database), Login("reader", ""))
    assert "grant select on public.good" in refusal(source(database), Login("replicator", ""))
    connection = database.connect()
    connection.run("grant select on good to replicator")
    told = refusal(source(database), Login("replicator", ""))
    assert "may not publish public.good, which `postgres` owns" in told
    assert "LAKEHOUSE_CDC_SHOP_PUBLICATION=lakehouse" in told
    given = Login("replicator", "", publication="given")
    connection.run("create publication given for table keyless with (publish = 'insert')")
    assert "`given` of shop does not hold public.good" in refusal(source(database), given)
    connection.run("alter publication given add table good")
    assert "leaves changes out" in refusal(source(database), given)
    connection.run("alter publication given set (publish = 'insert, update, delete, truncate')")
    asked.check(connection, source(database), given, None)
    connection.run("drop publication given")
    connection.close()
    assert "SSLMODE is `odd`" in refusal(source(database), Login("postgres", "", "odd"))
    assert "refuses SSL" in refusal(source(database), Login("postgres", "", "require"))
    assert "cannot be reached" in refusal(replace(source(database), port=1))
    assert "postgres" in repr(LOGIN) and "s3cret" not in repr(Login("a", "s3cret"))


def test_slots(database: Database, tmp_path: Path) -> None:
    """A slot that is gone, lost, read by another or retaining too much is said; so is that none is left."""
    of, here = (
        source(database),
        Settings(home=tmp_path, landing=str(tmp_path / "landing"), cdc_max_retained_mb=0.000001),
    )
    files = Files(tmp_path / "landing", "shop")
    connection = database.connect()
    held = State(slot="lakehouse_shop_1", tables=("public.good",), offset={"lsn": 1}, lsn=1)

    def position(of: Source = of, is_anew: bool = False) -> str:
        with pytest.raises(CaptureError) as caught:
            process._check_position(connection, of, held)
        return str(caught.value)

    assert "is gone from shop" in position()
    assert "--snapshot` begins anew" in slot_warnings(here, of, held, None)[0]
    connection.run("select pg_create_logical_replication_slot(:name, 'pgoutput')", name=held.slot)
    assert "something else read it" in position()
    held = replace(held, lsn=asked.end_of_log(connection) + 1000)
    process._check_position(connection, of, held)
    state.write(here, "shop", replace(held, tables=("public.good", "public.dropped")))
    assert _position(here, of, files).tables == ("public.good",)
    left = state.read(here, "shop")
    assert left is not None and left.tables == ("public.good",), "named again, it needs a snapshot"
    two = replace(of, tables=(*of.tables, Table("public", "more", ("id",), "shop/more")))
    assert "Contracts have added public.more" in position(two)
    connection.run("insert into good select g, 0, '' from generate_series(1, 1000) as g")
    found = asked.slot(connection, held.slot)
    assert found is not None
    assert found.retained >= found.behind > 1000
    assert "MAX_RETAINED_MB" in slot_warnings(here, of, held, found)[0]
    assert "--forget" in slot_warnings(here, of, held, found)[0]
    assert slot_warnings(Settings(home=tmp_path), of, held, found) == []
    assert "thrown away" in slot_warnings(here, of, held, replace(found, is_lost=True))[0]

    for number in range(2, 5):
        name = f"other{number}"
        connection.run("select pg_create_logical_replication_slot(:name, 'pgoutput')", name=name)
    assert "All 4 replication slots of shop are taken" in refusal(of)
    asked.check(connection, of, LOGIN, held)
    for (name,) in connection.run("select slot_name from pg_replication_slots"):
        asked.drop(connection, name)

    connection.run("select pg_create_logical_replication_slot(:name, 'pgoutput')", name=held.slot)
    connection.run("create publication given for table good")
    only = f"removed the slot {held.slot}"
    assert _forgotten(here, of, "given") == f"{only}; left the publication given, which the capture did not make"
    assert connection.run("select pubname from pg_publication") == [["given"]]
    connection.run(f"create publication {held.slot} for table good")
    assert _forgotten(here, of) == f"removed the publication {held.slot}"
    connection.run("drop publication given")
    assert _forgotten(here, of, "given") == "there was nothing of its own to remove"

    state.write(here, "shop", replace(held, offset=None, lsn=2**60))
    with pytest.raises(CaptureError, match="this is another database"):
        _position(here, of, files)
    state.write(here, "shop", replace(held, offset=None))
    begun = _position(here, of, files)
    assert (begun.offset, begun.lsn, begun.slot) == (None, held.lsn, held.slot)
    connection.close()


def _forgotten(here: Settings, of: Source, publication: str = "") -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAKEHOUSE_CDC_SHOP_USER", "postgres")
        patch.setenv("LAKEHOUSE_CDC_SHOP_PUBLICATION", publication)
        return outcome(lifecycle.forget(here, of))


def _position(here: Settings, of: Source, files: Files) -> State:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAKEHOUSE_CDC_SHOP_USER", "postgres")
        return process._position(here, of, False, files)


def test_a_log_without_logical_changes(tmp_path: Path) -> None:
    with postgres(wal_level="replica") as database:
        assert "wal_level of shop is replica" in refusal(source(database))
        assert "alter system set wal_level = logical" in refusal(source(database))


def test_the_slots_name_is_this_homes_own() -> None:
    names: set[Any] = {state.new("shop").slot for _ in range(5)}
    assert len(names) == 5
    assert all(name.startswith("lakehouse_shop_") for name in names)
