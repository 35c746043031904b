"""Landing tells what a live database held: a real Postgres, a real Debezium, killed at random moments."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from lakehouse.capture import lifecycle
from lakehouse.capture.cli import cdc
from lakehouse.settings import settings
from lakehouse_tests.capture import replay
from lakehouse_tests.capture.bank import Bank, open_bank
from lakehouse_tests.capture.database import Database, postgres
from lakehouse_tests.capture.workload import TABLES, Workload


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with postgres() as found:
        yield found


@pytest.fixture
def bank(database: Database, tmp_path: Path) -> Iterator[Bank]:
    with open_bank(database, tmp_path) as found:
        yield found


def test_landing_holds_every_committed_event_once_and_no_other(bank: Bank) -> None:
    with Workload(bank.database, seed=3, keys=40) as load:
        bank.torment(load, transactions=400, remembered=6, kills=1, meanwhile=lambda: None)
        for table in TABLES:
            events = bank.landed(table)
            repeated = Counter((replay.sequence(event), event["op"], str(event["after"])) for event in events)
            assert [one for one, count in repeated.items() if count > 1] == []
            for lsn, held in load.moments:
                if lsn >= bank.begins:
                    assert replay.differences(replay.replay(events, table, lsn), held[table]) == [], f"as of {lsn}"
        kinds = {event["op"] for table in TABLES for event in bank.landed(table)}
        assert kinds == set("rcudt")
        assert replay.UNAVAILABLE in str(bank.landed("accounts"))
        assert replay.UNAVAILABLE not in str(bank.landed("entries")), "rows identified as a whole lack no value"

        # A second snapshot, of what has changed while nothing was captured, says what is gone.
        said = CliRunner().invoke(cdc, ["stop", bank.source.name, "--forget"]).output
        own = rf"(lakehouse_{bank.source.name}_\w+)"
        assert re.search(rf": removed the slot {own} and the publication \1; the next start takes a snapshot\.$", said)
        load.run(50, 1)
        load.remember()
        assert lifecycle.start(settings(), bank.source)
        assert not lifecycle.start(settings(), bank.source), "one capture a server"
        bank.wait_for(load.mark())
        status = lifecycle.status(settings(), bank.source)
        assert status.is_running and status.slot is not None and status.warnings == ()
        (note,) = status.notes
        assert "public.accounts" in note and "(added, name, note)" in note, "entries are identified by whole rows"
        lifecycle.stop(settings(), bank.source)
        for table in TABLES:
            _, held = load.moments[-1]
            events = bank.landed(table)
            assert replay.differences(replay.replay(events, table), held[table]) == []
            ops, places = "".join(event["op"] for event in events), [event["source"]["lsn"] for event in events]
            anew = ops.rindex("tr")
            assert max(places[:anew]) < places[anew] < min(places[anew + 1 :]), "also by `source.lsn` alone"


def test_an_interrupted_stream_goes_on_and_a_slot_that_is_gone_is_not_passed_over(bank: Bank) -> None:
    begun, again = (CliRunner().invoke(cdc, ["start", bank.source.name]).output for _ in range(2))
    assert "is captured now.\n  Note: Where a row of public.accounts" in begun and begun.count("Note:") == 1
    assert again == f"{bank.source.name} is being captured already.\n"
    with Workload(bank.database, seed=4, keys=10) as load:
        bank.wait_for(load.mark())
        load.run(30, 1)
        ended = load.connections[0].run("select pg_terminate_backend(pid) from pg_stat_replication")
        assert ended == [[True]]
        load.run(30, 1)
        load.remember()
        bank.wait_for(load.mark())
        for table in TABLES:
            assert replay.differences(replay.replay(bank.landed(table), table), load.moments[-1][1][table]) == []
        log = "\n".join(lifecycle.logs(settings(), bank.source.name))
        assert "Interrupted (" in log and log.count("Note: Where a row of public.accounts") == 1
        shown = CliRunner().invoke(cdc, ["status", bank.source.name])
        assert shown.exit_code == 0 and shown.output.count("Note:") == 1, "worth knowing, and no warning"
        lifecycle.stop(settings(), bank.source)

        slot = load.connections[0].run("select slot_name from pg_replication_slots")[0][0]
        load.connections[0].run("select pg_drop_replication_slot(:name)", name=slot)
    with pytest.raises(lifecycle.CaptureError, match=r"is gone from bank.*--snapshot"):
        lifecycle.start(settings(), bank.source)
    assert "is gone" in lifecycle.status(settings(), bank.source).warnings[0]
