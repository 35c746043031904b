"""From a stream to files: whole transactions, each once, whatever is killed when."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lakehouse.capture import files as files_module
from lakehouse.capture.files import Files
from lakehouse.capture.recorder import Recorder
from lakehouse.capture.state import State
from lakehouse_tests.capture.streams import SHOP, event, row, transaction


class Killed(BaseException):
    """A process that ends where it stands."""


class Capture:
    """A recorder whose state outlives it, as the file does."""

    def __init__(self, landing: Path, state: State | None = None) -> None:
        self.landing, self.state = landing, state or State(slot="s", offset={"lsn": 100}, lsn=100)
        self.is_killed_at = ""
        self.restart()

    def restart(self) -> None:
        """What a start does with what a killed process has left."""
        files = Files(self.landing, "shop")
        files.publish(self.state.files)
        files.clear(table.folder for table in SHOP.tables)
        self.files, self.is_killed_at = files, ""
        self.recorder = Recorder(SHOP, replace(self.state, files=()), files, self._store, self.landing)

    def _store(self, state: State) -> None:
        if self.is_killed_at == "before the commit":
            raise Killed
        self.state = state
        if self.is_killed_at == "after the commit":
            raise Killed

    def landed(self, folder: str = "shop/orders") -> list[dict[str, Any]]:
        paths = sorted((self.landing / folder).glob("????-??-??/*"))
        return [json.loads(line) for path in paths for line in path.read_text("utf-8").splitlines()]

    def seen(self, folder: str = "shop/orders") -> list[tuple[int, int]]:
        return [(line["source"]["commit_lsn"], line["source"]["lsn"]) for line in self.landed(folder)]


def test_a_transaction_lands_as_a_whole_with_the_position_of_its_commit(tmp_path: Path) -> None:
    capture = Capture(tmp_path)
    begin, *rest = transaction(130, row(110), row(120, table="lines"), row(125, table="unknown"))
    assert capture.recorder.take([begin, *rest[:2]]) is None
    assert list(tmp_path.glob("shop/*/2*")) == [], "an open transaction has not happened"
    last = capture.recorder.take(rest[2:])
    assert last is rest[-1]
    assert capture.seen() == [(130, 110)]
    assert capture.seen("shop/lines") == [(130, 120)]
    assert capture.landed()[0]["after"] == {"id": 110, "name": "é"}
    assert capture.state.lsn == 130
    assert capture.state.offset == {"lsn": 130, "lsn_proc": 130, "lsn_commit": 130}
    assert capture.state.events == {"shop/orders": 1, "shop/lines": 1}
    assert capture.state.committed_at == "2023-11-14T22:13:20.000+00:00"


def test_commits_are_ordered_as_they_were_though_their_writes_were_not(tmp_path: Path) -> None:
    capture = Capture(tmp_path)
    capture.recorder.take([*transaction(140, row(120)), *transaction(150, row(110))])
    assert capture.seen() == [(140, 120), (150, 110)]


def test_what_comes_again_lands_once(tmp_path: Path) -> None:
    capture = Capture(tmp_path)
    capture.recorder.take(transaction(130, row(110)))
    # After an interruption: an open transaction that is never ended, and all of it again.
    begin, first, end = transaction(150, row(140))
    capture.recorder.take([begin, first])
    capture.recorder.take([*transaction(130, row(110)), begin, first, end])
    assert capture.seen() == [(130, 110), (150, 140)]


@pytest.mark.parametrize("moment", ["before the commit", "after the commit", "while publishing"])
def test_killed_at_any_moment_everything_lands_once(
    tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture = Capture(tmp_path)
    stream = [*transaction(130, row(110), row(111, table="lines")), *transaction(150, row(140))]
    capture.recorder.take(transaction(105, row(104)))
    capture.is_killed_at = moment
    renamed: list[Any] = []
    rename = files_module.os.rename  # type: ignore[attr-defined]

    def rename_one(source: Path, target: Path) -> None:
        if renamed and moment == "while publishing":
            raise Killed
        renamed.append(target)
        rename(source, target)

    monkeypatch.setattr(files_module.os, "rename", rename_one)  # type: ignore[attr-defined]
    with pytest.raises(Killed):
        capture.recorder.take(stream)
    monkeypatch.undo()
    before = sorted(path.name for path in tmp_path.glob("shop/*/2*/*"))
    capture.restart()
    capture.recorder.take(stream)
    assert capture.seen() == [(105, 104), (130, 110), (150, 140)]
    assert capture.seen("shop/lines") == [(130, 111)]
    assert set(before) <= {path.name for path in tmp_path.glob("shop/*/2*/*")}, "what was seen is not renamed"
    assert not list(tmp_path.glob("shop/*/.cdc-shop/*"))
    assert capture.state.events == {"shop/orders": 3, "shop/lines": 1}


def test_a_snapshot_lands_when_it_is_complete_and_before_what_follows(tmp_path: Path) -> None:
    capture = Capture(tmp_path, State(slot="s"))
    first = [row(100, op="r", snapshot="INITIAL"), row(100, op="r", table="lines", snapshot="INITIAL")]
    assert capture.recorder.take([*first, event("heartbeat", 100, snapshot="INITIAL")]) is None
    assert capture.state.offset is None
    assert not list(tmp_path.glob("shop/*/2*"))
    capture.restart()
    assert not list(tmp_path.glob("shop/*/.cdc-shop/*")), "half a snapshot is taken again from its beginning"
    capture.recorder.take([*first, event("heartbeat", 100), *transaction(130, row(110, op="u"))])
    assert [line["op"] for line in capture.landed()] == ["r", "u"]
    assert capture.seen() == [(100, 100), (130, 110)]


def test_a_later_snapshot_first_removes_what_was_there(tmp_path: Path) -> None:
    capture = Capture(tmp_path)
    capture.recorder.take(transaction(130, row(110)))
    capture.state = replace(capture.state, offset=None, files=())
    capture.restart()
    capture.recorder.take([row(200, op="r"), event("heartbeat", 200)])
    assert [line["op"] for line in capture.landed()] == ["c", "t", "r"]
    assert capture.seen() == [(130, 110), (199, 199), (200, 200)]
    assert [line["op"] for line in capture.landed("shop/lines")] == ["t"], "it is empty now"

    capture.state = replace(capture.state, offset=None, files=())
    capture.restart()
    capture.recorder.take([event("heartbeat", 300), *transaction(340, row(330)), *transaction(350, row(320))])
    assert capture.seen()[3:] == [(201, 201), (340, 330), (350, 320)], "no row tells where: after all that was captured"
    # Whatever orders its events, a table holds what came after the last truncate.
    for place in ("lsn", "commit_lsn"):
        ordered = sorted(capture.landed(), key=lambda line: line["source"][place])
        assert [line["op"] for line in ordered] == ["c", "t", "r", "t", "c", "c"]


def test_what_removes_the_rows_is_from_before_the_snapshot_by_the_clock_too(tmp_path: Path) -> None:
    capture = Capture(tmp_path, State(slot="s", lsn=100, events={"shop/orders": 1}))
    first, second = row(200, op="r"), row(200, op="r")
    read = replace(first, value=json.dumps(json.loads(first.value) | {"ts_ms": 1_700_000_000_000}))
    capture.recorder.take([read, second, event("heartbeat", 200)])
    assert [line.get("ts_ms") for line in capture.landed()][:2] == [1_699_999_999_999, 1_700_000_000_000]


def test_nothing_new_moves_the_position_and_makes_no_file(tmp_path: Path) -> None:
    capture = Capture(tmp_path)
    capture.recorder.take([event("heartbeat", 170), *transaction(180)])
    assert capture.state.lsn == 180
    assert not list(tmp_path.glob("shop/*/2*"))
    capture.recorder.take([event("begin", 185), event("heartbeat", 190)])
    assert capture.state.lsn == 180, "a position inside a transaction is none to go on from"


def test_large_transactions_and_files_are_cut_into_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakehouse.capture.recorder.IN_MEMORY", 1000)
    monkeypatch.setattr(files_module, "LARGEST_FILE", 5000)
    capture = Capture(tmp_path)
    capture.recorder.take(transaction(5000, *(row(1000 + number, "x" * 100 + "\n") for number in range(200))))
    assert capture.seen() == [(5000, 1000 + number) for number in range(200)]
    paths = sorted(tmp_path.glob("shop/orders/2*/*"))
    assert len(paths) > 5
    assert max(path.stat().st_size for path in paths) < 6000
