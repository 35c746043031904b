"""Landed files to bronze: everything, untouched, exactly once."""

import gzip
import itertools
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from lakehouse.bronze import ingest as ingest_module
from lakehouse.bronze import landing as landing_module
from lakehouse.bronze.ingest import (
    FILES,
    ConcurrentWriterError,
    Ingested,
    ensure_tables,
    ingest,
    pending_files,
    records,
    taken_files,
)
from lakehouse.bronze.landing import LandingError, is_whole, landed_files, refuse_oversized
from lakehouse.contracts.model import Contract
from lakehouse.settings import settings
from lakehouse.silver import refine
from lakehouse_tests.silver.small import column, contract, key, land

_names = (f"ingested{number}" for number in itertools.count())
DAY, NEXT = "2025-03-03", "2025-03-04"


def things(**own: Any) -> Contract:
    return contract([key(), column("name")], name=next(_names), **own)


def read(spark: Any, root: Path, of: Contract) -> dict[str, list[tuple[str, int, bool]]]:
    """File → (record, position, whether decoded), of everything in landing."""
    files = landed_files(str(root), of)
    found: dict[str, list[tuple[str, int, bool]]] = {Path(file.path).name: [] for file in files}
    for row in records(spark, str(root), of, files).orderBy("file", "position").collect():
        found[Path(row["file"]).name].append((row["record"], row["position"], row["is_decoded"]))
        assert row["file"] in {file.path for file in files}
        assert row["arrived_on"].isoformat() == row["file"].split("/")[2]
    return found


def texts(found: list[tuple[str, int, bool]]) -> list[str]:
    return [record for record, _, _ in found]


def test_json_files_of_every_kind(spark: Any, tmp_path: Path) -> None:
    # A date, and the landing's own path, also stand in other places of the path.
    root = tmp_path / "2001-01-01" / "landing"
    of = things()
    one, two = '{"id":"ü"}', '{"id":"2"}'
    long = '{"id":[1234567890123456.78,"x"]}'
    cases: dict[str, tuple[bytes, list[tuple[str, int, bool]]]] = {
        "lines": (f"{one}\n{two}\n".encode(), [(one, 1, True), (two, 2, True)]),
        "no_end": (f"{one}\n{two}".encode(), [(one, 1, True), (two, 2, True)]),
        "blank_lines": (f"\n{one}\n \n\t\n\n{two}\n".encode(), [(one, 2, True), (two, 6, True)]),
        "crlf": (f"{one}\r\n\r\n{two}\r\n".encode(), [(one + "\r", 1, True), (two + "\r", 3, True)]),
        "bom": (f"\ufeff{one}\n".encode(), [(one, 1, True)]),
        "bom_array": (f"\ufeff[{one}]".encode(), [(one, 1, True)]),
        "array": (f"\n[{one},\n {two}]\n".encode(), [(one, 1, True), (two, 2, True)]),
        "long_numbers": (f"[{long},{one}]".encode(), [(long, 1, True), (one, 2, True)]),
        "empty_array": (b"[]", []),
        "cut_array": (f"[{one},{two}".encode(), [(f"[{one},{two}", 1, True)]),
        "two_arrays": (f"[{one}]\n[{two}]\n".encode(), [(f"[{one}]", 1, True), (f"[{two}]", 2, True)]),
        "array_line_first": (f"[1]\n{one}\n".encode(), [("[1]", 1, True), (one, 2, True)]),
        "cut": (f'{one}\n{{"id":"2'.encode(), [(one, 1, True), ('{"id":"2', 2, True)]),
        "empty": (b"", []),
        "only_newlines": (b"\n\r\n\n", []),
        "latin": ('{"id":"a"}\n{"id":"é"}\n'.encode("latin-1"), [('{"id":"a"}', 1, True), ('{"id":"\ufffd"}', 2, False)]),
        # Damage of as many bytes as the sign for it has, and the sign itself where nothing is damaged.
        "cut_emoji": (b'{"id":"\xf0\x9f\x98"}', [('{"id":"\ufffd"}', 1, False)]),
        "surrogate": (b'{"id":"\xed\xa0\x80"}', [('{"id":"\ufffd"}', 1, False)]),
        "the_sign": ('{"id":"\ufffd"}'.encode(), [('{"id":"\ufffd"}', 1, True)]),
        "nul": (b'{"id":"\x00"}', [('{"id":"\x00"}', 1, True)]),
        "packed.gz": (gzip.compress(f"\ufeff{one}\n\n{two}".encode()), [(one, 1, True), (two, 3, True)]),
        "packed_latin.gz": (gzip.compress(b'{"id":"\xe9"}'), [('{"id":"\ufffd"}', 1, False)]),
    }  # fmt: skip
    for name, (content, _) in cases.items():
        land(root, of, DAY, name, content)
    found = read(spark, root, of)
    assert found == {name: expected for name, (_, expected) in cases.items()}


def test_binary_files_give_records_that_are_not_text(spark: Any, tmp_path: Path) -> None:
    of = things()
    land(tmp_path, of, DAY, "picture", bytes(range(256)) * 50)
    found = read(spark, tmp_path, of)["picture"]
    assert found
    assert not all(is_decoded for _, _, is_decoded in found)
    assert sum(len(record) for record, _, _ in found) > 12_000, "nothing of it is lost"


def test_csv_files_of_every_kind(spark: Any, tmp_path: Path) -> None:
    of = things(format="csv")
    cases: dict[str, tuple[str, list[str]]] = {
        "plain.csv": ("id,name\n1,a\n2,b\n", ["1,a", "2,b"]),
        "crlf.csv": ("\ufeffid,name\r\n1,a\r\n\r\n2,b", ["1,a", "2,b"]),
        "quoted.csv": ('id,name\n1,"a\nb, ""c"""\n2,"d\r\n"\n', ['1,"a\nb, ""c"""', '2,"d\r\n"']),
        "stray.csv": ('id,name\n1,5" pipe\n2,b\n', ['1,5" pipe', "2,b"]),
        "open.csv": ('id,name\n1,a\n2,"b\n3,c', ["1,a", '2,"b', "3,c"]),
        "header_only.csv": ("id,name\n", []),
        "empty.csv": ("", []),
        "blank.csv": ("\n\n", []),
        "long.csv": ("id,name\n1," + '"x""' * 20_000 + '"\n2,b', ["1," + '"x""' * 20_000 + '"', "2,b"]),
    }
    for name, (content, _) in cases.items():
        land(tmp_path, of, DAY, name, content)
    found = read(spark, tmp_path, of)
    assert {name: texts(rows) for name, rows in found.items()} == {name: rows for name, (_, rows) in cases.items()}
    assert [position for _, position, _ in found["plain.csv"]] == [2, 3]
    headers = {
        (Path(row["file"]).name, row["header"])
        for row in records(spark, str(tmp_path), of, landed_files(str(tmp_path), of)).select("file", "header").collect()
    }
    assert headers == {(name, "id,name") for name, (_, rows) in cases.items() if rows}


@pytest.mark.parametrize(
    ("encoding", "python"), [("iso-8859-1", "latin-1"), ("cp1252", "cp1252"), ("utf-16", "utf-16")]
)
def test_other_encodings(spark: Any, tmp_path: Path, encoding: str, python: str) -> None:
    of = things(encoding=encoding)
    land(tmp_path, of, DAY, "plain", '{"id":"é"}\n{"id":"ß"}\n'.encode(python))
    land(tmp_path, of, DAY, "packed.gz", gzip.compress('{"id":"é"}'.encode(python)))
    assert read(spark, tmp_path, of) == {
        "plain": [('{"id":"é"}', 1, True), ('{"id":"ß"}', 2, True)],
        "packed.gz": [('{"id":"é"}', 1, True)],
    }


def test_what_another_encoding_cannot_read_is_not_decoded(spark: Any, tmp_path: Path) -> None:
    of = things(encoding="ascii")
    land(tmp_path, of, DAY, "a", '{"id":"a"}\n{"id":"é"}\n'.encode())
    assert [is_decoded for _, _, is_decoded in read(spark, tmp_path, of)["a"]] == [True, False]


ODD = ["a b.json", "a%20b.json", "a+b.json", "ü.json", "it's.json", "h#sh.json", "x[1].json", "x1.json", "{y}.json",
       "z?.json", "s*.json", "c,d.json", "b\\s.json", "a b.json.gz", "a%20ü+.json.gz", "x[1].json.gz"]  # fmt: skip


def test_odd_names_are_taken_once_each_and_unfinished_files_are_left_alone(spark: Any, tmp_path: Path) -> None:
    of = things()
    for name in [*ODD, "below/deep.json"]:
        content = f'{{"id":"{name}"}}'.replace("\\", "\\\\").encode()
        land(tmp_path, of, DAY, name, gzip.compress(content) if name.endswith(".gz") else content)
    for name in [".hidden", "_SUCCESS", "a.json.tmp", "a.json.PART", ".folder/x.json", "_temporary/x.json"]:
        land(tmp_path, of, DAY, name, '{"id":"unfinished"}')
    land(tmp_path, of, "not-a-day", "x.json", '{"id":"elsewhere"}')
    (tmp_path / of.source / of.name / "2025-03-09").write_text("a file, not a folder")
    batch = take(spark, tmp_path, of)
    assert (batch.files, batch.records, batch.records_by_day) == (len(ODD) + 1, len(ODD) + 1, {date(2025, 3, 3): 17})
    noted = spark.table(FILES).where(f"table_name = '{of.table}'").collect()
    assert {(row["file"].split("/", 3)[3], row["records"]) for row in noted} == {
        (name, 1) for name in [*ODD, "below/deep.json"]
    }
    assert spark.table(of.bronze_table).count() == len(ODD) + 1
    assert take(spark, tmp_path, of).batch is None


def test_a_name_that_cannot_be_opened_is_refused_by_name(tmp_path: Path) -> None:
    of = things()
    land(tmp_path, of, DAY, "2025-03-03T10:00:00.json", ['{"id":"1"}'])
    without_session: Callable[..., Any] = ingest
    with pytest.raises(LandingError, match=r"T10:00:00\.json\. Rename"):
        without_session(None, str(tmp_path), "", of, landed_files(str(tmp_path), of), "run")


@pytest.mark.parametrize(
    ("name", "whole"),
    [("a.json", True), ("a", True), (".a", False), ("_a", False), ("a.tmp", False), ("a.CRDOWNLOAD", False),
     ("tmp", True), ("a.tmp.json", True)],
)  # fmt: skip
def test_which_files_are_whole(name: str, whole: bool) -> None:
    assert is_whole(name) is whole


def take(spark: Any, root: Path, of: Contract, refresh: tuple[date, date] | None = None) -> Ingested:
    """What a run does."""
    storage = settings().storage_dir
    ensure_tables(spark, storage, of)
    landed = landed_files(str(root), of, period=refresh)
    files = landed if refresh else pending_files(landed, taken_files(spark, of))
    return ingest(spark, str(root), storage, of, files, "run", refresh)


def bronze(spark: Any, of: Contract) -> list[str]:
    return sorted(row[0] for row in spark.table(of.bronze_table).select("record").collect())


def test_files_are_taken_exactly_once_also_after_a_crash_between_the_commits(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = things()

    def crashed() -> None:
        """A run whose process dies after the commit to bronze: nothing says that the files were taken."""
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(ingest_module, "_note_files", interrupted)
            take(spark, tmp_path, of)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    land(tmp_path, of, DAY, "a.json", ["1", "2"])
    land(tmp_path, of, DAY, "empty.json", "")
    crashed()
    land(tmp_path, of, NEXT, "b.json", ["3"])
    second = take(spark, tmp_path, of)
    assert bronze(spark, of) == ["1", "2", "3"], "a crash must not take files twice"
    assert second.records == 1
    land(tmp_path, of, NEXT, "c.json", ["4"])
    crashed()
    # The same again, with nothing new in landing.
    assert take(spark, tmp_path, of).records == 0
    assert bronze(spark, of) == ["1", "2", "3", "4"]
    records_noted = spark.sql(f"select sum(records) from {FILES} where table_name = '{of.table}'").first()[0]
    assert records_noted == 4


def test_small_files_are_put_together_once_in_many_batches_and_no_row_changes(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_module, "COMPACTED_AFTER", 3)
    of = things()

    def files() -> int:
        return int(spark.sql(f"describe detail {of.bronze_table}").first()["numFiles"])

    def take_batches(*numbers: int) -> list[int]:
        found = []
        for number in numbers:
            land(tmp_path, of, DAY, f"{number}.json", [str(number)])
            take(spark, tmp_path, of)
            found.append(files())
        return found

    assert take_batches(1, 2, 3, 4) == [1, 2, 1, 2], "the third batch puts together what the first two left"
    assert bronze(spark, of) == ["1", "2", "3", "4"]
    assert take(spark, tmp_path, of).batch is None, "nothing is taken again"


def test_a_refresh_replaces_its_period_and_nothing_else(spark: Any, tmp_path: Path) -> None:
    of = things()
    path = land(tmp_path, of, DAY, "a.json", ["1", "2"])
    other = land(tmp_path, of, NEXT, "b.json", ["3"])
    take(spark, tmp_path, of)
    path.write_text("1 corrected\n")
    other.write_text("3 changed too\n")
    assert take(spark, tmp_path, of).batch is None, "a file rewritten in place is not taken by itself"
    refreshed = take(spark, tmp_path, of, (date(2025, 3, 3), date(2025, 3, 4)))
    assert refreshed.records == 1
    assert bronze(spark, of) == ["1 corrected", "3"]
    path.unlink()
    assert take(spark, tmp_path, of, (date(2025, 3, 3), date(2025, 3, 4))).records == 0
    assert bronze(spark, of) == ["3"]


def test_a_batch_of_a_writer_that_another_overtook_is_never_committed(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = things()
    land(tmp_path, of, DAY, "a.json", ["1"])
    take(spark, tmp_path, of)
    land(tmp_path, of, DAY, "b.json", ["2"])
    monkeypatch.setattr("lakehouse.bronze.ingest._newest_batch", lambda *_: 0)  # as before the first was committed
    with pytest.raises(ConcurrentWriterError, match="Run it again"):
        take(spark, tmp_path, of)
    assert bronze(spark, of) == ["1"]


def test_files_too_large_are_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of = things()
    land(tmp_path, of, DAY, "small.json", "1")
    land(tmp_path, of, DAY, "large.json", "12345678")
    files = landed_files(str(tmp_path), of)
    refuse_oversized(files)
    monkeypatch.setattr(landing_module, "LARGEST_FILE", 7)
    with pytest.raises(LandingError, match=r"large\.json.*Split") as problem:
        refuse_oversized(files)
    assert "small" not in str(problem.value)
    nothing: Callable[..., Any] = ingest
    with pytest.raises(LandingError):  # before anything is read or written: there is no session here
        nothing(None, str(tmp_path), "", of, files, "run")


def test_files_come_by_arrival_day_and_within_their_period(tmp_path: Path) -> None:
    of = things()
    assert landed_files(str(tmp_path), of) == []
    for day, name in ((NEXT, "a"), (DAY, "b"), (DAY, "a"), ("2025-03-05", "c")):
        land(tmp_path, of, day, name, "x")
    assert [file.path.split("/", 2)[2] for file in landed_files(str(tmp_path), of)] == [
        f"{DAY}/a", f"{DAY}/b", f"{NEXT}/a", "2025-03-05/c",
    ]  # fmt: skip
    period = (date(2025, 3, 3), date(2025, 3, 5))
    assert len(landed_files(str(tmp_path), of, period=period)) == 3
    with pytest.raises(LandingError, match="needs the engine"):
        landed_files("hdfs://host/landing", of)


def test_batches_are_in_order_also_where_the_clock_goes_back_or_stands_still() -> None:
    now = ingest_module.new_batch(0)
    in_a_year = now + 365 * 86_400_000_000
    assert ingest_module.new_batch(in_a_year) == in_a_year + 1
    rebuilt = refine._change_number(in_a_year, {"batch": in_a_year})
    assert rebuilt == in_a_year + 1
    assert refine._change_number(in_a_year, {"batch": in_a_year, "change": rebuilt}) == rebuilt + 1
