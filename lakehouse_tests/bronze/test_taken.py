"""A file is taken once; one that was written again does what its contract says."""

import gzip
import itertools
import os
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from lakehouse.bronze import ingest as ingest_module
from lakehouse.bronze import taken as taken_module
from lakehouse.bronze.ingest import FILES, Ingested, ensure_tables, ingest
from lakehouse.bronze.landing import LandedFile, LandingError, landed_files, settled
from lakehouse.bronze.taken import Taken, files_taken, pending_files, taken_files
from lakehouse.contracts.model import Contract
from lakehouse.engine import client
from lakehouse.settings import settings
from lakehouse.silver.refine import refine
from lakehouse.storage import tables
from lakehouse.storage.tables import ConcurrentWriterError
from lakehouse_tests.silver.small import column, contract, key, land

_names = (f"taken{number}" for number in itertools.count())
DAY, NEXT = "2025-03-03", "2025-03-04"


def things(**own: Any) -> Contract:
    return contract([key(), column("name")], name=next(_names), **own)


def landed(root: Path, of: Contract) -> list[LandedFile]:
    return landed_files(str(root), of)


def take(spark: Any, root: Path, of: Contract) -> Ingested:
    ensure_tables(spark, settings().storage_dir, of)
    return ingest(spark, str(root), settings().storage_dir, of, landed(root, of), "run")


def bronze(spark: Any, of: Contract) -> list[str]:
    return sorted(row[0] for row in spark.table(of.bronze_table).select("record").collect())


def outcomes(spark: Any, of: Contract) -> list[tuple[str, str]]:
    rows = spark.table(FILES).where(f"table_name = '{of.table}'").orderBy("taken_at").collect()
    return [(Path(row["file"]).name, row["outcome"]) for row in rows]


def later(path: Path) -> None:
    """The file as if written a minute after it was."""
    written = path.stat().st_mtime + 60
    os.utime(path, (written, written))


def rewrite(path: Path, text: str) -> None:
    path.write_text(text)
    later(path)


# --- without Spark -------------------------------------------------------------------------------------------------


def test_a_file_is_known_by_path_size_and_time_as_far_as_they_were_noted() -> None:
    file = LandedFile("shop/a/2025-03-03/a", date(2025, 3, 3), 10, 1_000)
    for known, is_pending in (
        (Taken(10, 1_000, "x"), False),
        (Taken(11, 1_000, "x"), True),
        (Taken(10, 1_001, "x"), True),
        (Taken(None, 1_000, None), False),  # found in bronze after a crash
        (Taken(None, 999, None), True),
    ):
        assert bool(pending_files([file], {file.path: known})) is is_pending
    assert pending_files([file], {"another": Taken(10, 1_000, "x")}) == [file]


def test_a_look_at_landing_finds_what_a_walk_finds(tmp_path: Path) -> None:
    of = things()
    for name in ("a", "below/b", "below/deeper/c", "_SUCCESS", ".x/d", "e.tmp"):
        land(tmp_path, of, DAY, name, "x")
    land(tmp_path, of, NEXT, "f", "xyz")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "g").write_text("x")
    folder = tmp_path / of.source / of.name / DAY
    (folder / "linked_folder").symlink_to(outside)
    (folder / "linked_file").symlink_to(outside / "g")
    (folder / "broken_link").symlink_to(outside / "nothing")
    found = landed(tmp_path, of)
    below = f"{of.source}/{of.name}"
    assert [file.path for file in found] == [
        *(f"{below}/{DAY}/{name}" for name in ("a", "below/b", "below/deeper/c", "linked_file")),
        f"{below}/{NEXT}/f",
    ]
    assert found[-1].size == 3
    assert found[-1].modified_ms == (tmp_path / found[-1].path).stat().st_mtime_ns // 1_000_000


def aged(path: Path, seconds: float) -> Path:
    moment = time.time() - seconds
    os.utime(path, (moment, moment))
    return path


def test_files_that_are_being_written_wait_and_others_do_not(tmp_path: Path) -> None:
    of = things()
    old, young, growing = (land(tmp_path, of, DAY, name, "x") for name in ("a_old", "b_young", "c_growing"))
    aged(old, 60)
    started = time.monotonic()
    assert len(settled(str(tmp_path), [file for file in landed(tmp_path, of) if "old" in file.path], 30)) == 1
    assert time.monotonic() - started < 0.2, "nobody waits for what is old"
    aged(young, 0.5)
    files = landed(tmp_path, of)
    writer = threading.Timer(0.2, lambda: growing.write_text("xx"))
    writer.start()
    found = settled(str(tmp_path), files, 1)
    writer.join()
    assert [Path(file.path).name for file in found] == ["a_old", "b_young"]
    time.sleep(1)
    assert len(settled(str(tmp_path), landed(tmp_path, of), 1)) == 3, "whole by the next look"


def test_nobody_waits_for_long_nor_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of = things()
    slept: list[float] = []
    monkeypatch.setattr("lakehouse.bronze.landing.time.sleep", slept.append)
    ahead = land(tmp_path, of, DAY, "ahead", "x")
    aged(ahead, -3600)
    assert len(settled(str(tmp_path), landed(tmp_path, of), 3600 * 3)) == 1, "a clock that is ahead is no reason"
    land(tmp_path, of, DAY, "young", "x")
    assert [Path(f.path).name for f in settled(str(tmp_path), landed(tmp_path, of), 3600 * 3)] == ["ahead"]
    assert max(slept) <= 5
    gone = landed(tmp_path, of)
    ahead.unlink()
    assert settled(str(tmp_path), gone, 3600 * 3) == []
    assert len(settled("s3a://bucket", gone, 3600 * 3)) == 2, "an object store shows whole files"


# --- taken once ----------------------------------------------------------------------------------------------------


def test_a_file_is_noted_with_its_hash_and_one_that_was_only_touched_is_not_taken_again(
    spark: Any, tmp_path: Path
) -> None:
    of = things(rewritten_files="fail")
    plain = land(tmp_path, of, DAY, "a.json", ['{"id":"1"}'])
    packed = land(tmp_path, of, DAY, "b.json.gz", gzip.compress(b'{"id":"2"}'))
    empty = land(tmp_path, of, DAY, "c.json", "")
    assert take(spark, tmp_path, of).records == 2
    known = {Path(path).name: one for path, one in taken_files(spark, of).items()}
    assert known["a.json"] == Taken(
        plain.stat().st_size, plain.stat().st_mtime_ns // 1_000_000, sha256(plain.read_bytes()).hexdigest()
    )
    assert known["b.json.gz"].sha256 == sha256(b'{"id":"2"}').hexdigest(), "of what is in it"
    assert known["c.json"].sha256 == sha256(b"").hexdigest()
    later(plain)
    later(empty)
    packed.write_bytes(gzip.compress(b'{"id":"2"}', compresslevel=1, mtime=7))
    later(packed)
    assert len(pending_files(landed(tmp_path, of), taken_files(spark, of))) == 3
    assert take(spark, tmp_path, of).batch is None
    assert sorted(outcomes(spark, of)[3:]) == [(n, "touched") for n in ("a.json", "b.json.gz", "c.json")]
    assert pending_files(landed(tmp_path, of), taken_files(spark, of)) == [], "nobody reads them a third time"

    # Written anew, nothing is taken at all, and it is said what was and what is.
    for path in (plain, packed, empty):
        rewrite(path, "other")
    again = [land(tmp_path, of, DAY, f"{n}.json", "x") for n in range(2)]
    packed.write_bytes(gzip.compress(b"other"))
    with pytest.raises(LandingError, match=r"3 file\(s\).*a\.json: taken with 11 bytes.*now it has 5 bytes") as said:
        take(spark, tmp_path, of)
    assert sha256(b"other").hexdigest() in str(said.value)
    assert "rewritten_files: re-ingest" in str(said.value)
    assert bronze(spark, of) == ['{"id":"1"}', '{"id":"2"}']
    assert len(pending_files(landed(tmp_path, of), taken_files(spark, of))) == 3 + len(again)


def test_ignored_a_rewritten_file_is_told_once_and_new_files_go_on(spark: Any, tmp_path: Path) -> None:
    of = things()
    path = land(tmp_path, of, DAY, "a.json", ["1"])
    take(spark, tmp_path, of)
    rewrite(path, "2")
    land(tmp_path, of, DAY, "b.json", ["3"])
    done = take(spark, tmp_path, of)
    assert (done.records, done.taken_again) == (1, 0)
    (said,) = done.ignored
    assert sha256(b"1\n").hexdigest() in said
    assert sha256(b"2").hexdigest() in said
    assert bronze(spark, of) == ["1", "3"]
    assert pending_files(landed(tmp_path, of), taken_files(spark, of)) == []
    rewrite(path, "22")
    assert len(take(spark, tmp_path, of).ignored) == 1, "rewritten once more, it is told once more"
    records = spark.sql(f"select sum(records) from {FILES} where table_name = '{of.table}'").first()[0]
    assert records == 2


def test_taken_again_its_records_are_replaced_in_bronze_and_silver(spark: Any, tmp_path: Path) -> None:
    of = things(rewritten_files="re-ingest", quarantine={"max_percent": 50})
    storage = settings().storage_dir

    def refined() -> Any:
        done = refine(spark, storage, of, "run", frozenset({of.table}))
        assert done is not None
        assert sum(done.counts.values()) == done.landed
        return done

    def seen() -> list[tuple[str, str]]:
        return sorted((row["id"], row["name"]) for row in spark.table(of.silver_table).collect())

    path = land(tmp_path, of, DAY, "it's.json", [{"id": "1", "name": "wrong"}, {"id": "2", "name": "gone"}, "cut"])
    land(tmp_path, of, NEXT, "b.json", [{"id": "3", "name": "stays"}])
    take(spark, tmp_path, of)
    assert refined().counts["rejected"] == 1
    rewrite(path, '{"id":"1","name":"right"}')
    land(tmp_path, of, NEXT, "c.json", [{"id": "4", "name": "new"}])
    done = take(spark, tmp_path, of)
    assert (done.files, done.records, done.taken_again) == (2, 2, 1)
    assert len(bronze(spark, of)) == 3
    assert pending_files(landed(tmp_path, of), taken_files(spark, of)) == []
    again = refined()
    assert again.is_rebuild
    assert again.landed == 3
    assert seen() == [("1", "right"), ("3", "stays"), ("4", "new")]
    assert spark.table(of.quarantine_table).count() == 0


def test_a_rewritten_file_is_replaced_once_also_after_a_crash(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = things(rewritten_files="re-ingest")
    path = land(tmp_path, of, DAY, "a.json", ["1"])
    take(spark, tmp_path, of)
    rewrite(path, "2")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ingest_module, "_note_files", killed)
        take(spark, tmp_path, of)
    assert take(spark, tmp_path, of).batch is None, "its hash was found in bronze"
    assert bronze(spark, of) == ["2"]
    rewrite(path, "")
    assert take(spark, tmp_path, of).taken_again == 1
    assert bronze(spark, of) == []


def test_a_home_from_before_hashes_were_noted_goes_on(spark: Any, tmp_path: Path) -> None:
    of = things()
    path = land(tmp_path, of, DAY, "a.json", ["1"])
    take(spark, tmp_path, of)
    own = f"{of.source}_before.files"
    spark.sql(f"create schema {of.source}_before location '{settings().storage_dir}/{of.source}_before'")
    try:
        lacking = "table_name, file, arrived_on, size_bytes, modified_at, records, batch, taken_at"
        spark.sql(f"create table {own} using delta as select {lacking} from {FILES} where table_name = '{of.table}'")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(taken_module, "FILES", own)
            (before,) = files_taken(spark, of.table)[of.table].values()
            assert before.is_as(landed(tmp_path, of)[0])
            assert before.sha256 is None
            taken_module.ensure_table(spark, settings().storage_dir)
            assert spark.table(own).columns[-2:] == ["sha256", "outcome"]
            rewrite(path, "2")
            assert len(pending_files(landed(tmp_path, of), files_taken(spark, of.table)[of.table])) == 1
    finally:
        spark.sql(f"drop schema {of.source}_before cascade")
        shutil.rmtree(Path(settings().storage_dir) / f"{of.source}_before", ignore_errors=True)


# --- two writers at once -------------------------------------------------------------------------------------------


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(3) as pool:
        yield pool


def test_two_that_take_the_same_files_at_once_take_them_once(
    spark: Any, tmp_path: Path, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = things()
    land(tmp_path, of, DAY, "a.json", ["1", "2"])
    land(tmp_path, of, DAY, "empty.json", "")
    ensure_tables(spark, settings().storage_dir, of)
    together = threading.Barrier(3)
    read = ingest_module.taken_files

    def read_together(*given: Any) -> Any:
        found = read(*given)
        together.wait(60)  # all have seen that nothing is taken
        return found

    def attempt(_: int) -> object:
        try:
            return take(client.connect(settings()), tmp_path, of).records
        except ConcurrentWriterError as problem:
            return problem

    with monkeypatch.context() as patch:
        patch.setattr(ingest_module, "taken_files", read_together)
        ended = list(threads.map(attempt, range(3)))
    assert [one for one in ended if isinstance(one, int)] == [2], "one takes them, whoever it is"
    assert all("Run it again" in str(one) for one in ended if not isinstance(one, int))
    assert bronze(spark, of) == ["1", "2"]
    assert sorted(outcomes(spark, of)) == [("a.json", "taken"), ("empty.json", "taken")]
    assert take(spark, tmp_path, of).batch is None, "whoever lost and runs again has nothing to do"


def test_a_write_whose_turn_is_over_is_passed_over(spark: Any, schema: str) -> None:
    name = f"{schema}.turns"
    tables.ensure(spark, settings().storage_dir, name, [tables.Field("id", "bigint")])
    for turn in (3, 3, 2, 4):
        tables.append(spark.range(1), name, {"n": turn}, ("one", turn))
    assert spark.table(name).count() == 2
    for turn in (3, 5, 5):
        tables.overwrite(spark.range(turn), name, {"n": turn}, turn=("one", turn))
        assert spark.table(name).count() == (2 if turn == 3 else 5)
    for turn, count in ((5, 5), (6, 1), (6, 1)):
        tables.replace_where(spark.range(1), name, "true", {"n": turn}, ("one", turn))
        assert spark.table(name).count() == count
    for turn, count in ((6, 1), (7, 2), (7, 2)):
        source = spark.sql(f"select {turn * 10} as id")
        tables.merge(source.selectExpr("cast(id as bigint) as id"), name, "target.id = source.id",
                     "when not matched then insert *", {"n": turn}, ("one", turn))  # fmt: skip
        assert spark.table(name).count() == count
    tables.append(spark.range(1), name)
    assert spark.table(name).count() == 3, "a turn ends with its commit"
