"""Profiles of arrival days by one query, and what is remembered of them between batches."""

import itertools
import json
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lakehouse.bronze import ingest as bronze
from lakehouse.bronze.landing import landed_files
from lakehouse.contracts.problems import ContractError, Problem
from lakehouse.quality import profiling
from lakehouse.quality.anomalies import Anomaly, Verdict
from lakehouse.quality.profiles import Profile
from lakehouse.settings import settings
from lakehouse.silver import refine
from lakehouse_tests.silver.small import column, contract, key, land, pii

_names = (f"watched{number}" for number in itertools.count())
TODAY = datetime.now(UTC).date()
LAST = TODAY - timedelta(days=2)
DAYS = [LAST - timedelta(days=n) for n in range(34, 0, -1)]


def visit(day: date, number: int, **more: Any) -> dict[str, Any]:
    device = "phone" if number % 3 else "desk"
    visitor = {"id": f"{day}-{number}", "device": device, "pages": 1 + number % 7, "visitor": f"v{number}"}
    return visitor | {"at": f"{day}T10:00:00Z"} | more


def test_names_of_fields_that_are_somebody_s_data_are_not_kept() -> None:
    said = {"rows": 2, "bits": 0, "sample": [], "nulls id": 0, "unknown": ["colour", "jane@example.com"]}
    assert profiling._profile(contract([key()]), said, profiling.Arrived(2), {}, []).unknown == {"colour", "•••"}


class Site:
    """A table of visits, of which files are landed, ingested and refined."""

    def __init__(self, spark: Any, root: Path, **own: Any) -> None:
        columns = [key(), column("device"), column("pages", "int"), column("at", "timestamp"), pii("visitor")]
        own = {"delivery": "append", "partition": "daily", "anomalies": {"severity": "warning"}} | own
        self.spark, self.root, self.of = spark, root, contract(columns, name=next(_names), **own)

    def take(self, files: dict[date, list[dict[str, Any]]], name: str = "a") -> refine.Refined:
        for day, records in files.items():
            land(self.root, self.of, day.isoformat(), f"{name}.json", records)
        storage = settings().storage_dir
        bronze.ensure_tables(self.spark, storage, self.of)
        found = bronze.pending_files(landed_files(str(self.root), self.of), bronze.taken_files(self.spark, self.of))
        bronze.ingest(self.spark, str(self.root), storage, self.of, found, "run")
        done = refine.refine(self.spark, storage, self.of, "run", frozenset())
        assert done is not None
        return done

    def batch(self) -> int:
        rows = self.spark.table(profiling.PROFILES).where(f"table_name = '{self.of.table}'")
        return int(rows.selectExpr("max(batch)").first()[0])

    def known(self, upto: int | None = None) -> tuple[dict[date, Profile], bool]:
        return profiling.read(self.spark, self.of.table, self.batch() if upto is None else upto, [TODAY])


def anomalies(done: refine.Refined) -> Any:
    return next(check for check in done.checks if check.name == "anomalies")


def named(check: Any) -> set[tuple[str, str]]:
    return {(sample["kind"], sample["column"]) for sample in check.samples}


def test_days_are_profiled_added_up_and_judged(spark: Any, tmp_path: Path) -> None:
    site = Site(spark, tmp_path)
    first = anomalies(site.take({day: [visit(day, n) for n in range(60 + day.day % 3)] for day in DAYS}))
    assert (first.outcome, first.value) == ("pass", 0), first.description
    known, is_whole = site.known()
    assert list(known) == DAYS and is_whole
    kept = partial(profiling.known_days, spark, settings().storage_dir, site.of.table)
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(profiling, "_read")  # no query
        assert kept(site.batch(), [LAST]) == (known, True), "kept for the next batch"
    assert kept(site.batch() + 1, [LAST])[1] is False, "for no other batch"
    assert kept(site.batch(), [DAYS[0] - timedelta(days=1)]) == (known, True), (
        "an older day may be known to the table alone"
    )
    one = known[DAYS[2]]
    assert one.rows == 60 + DAYS[2].day % 3
    assert one.columns["device"].categories == {"desk": 20 + (one.rows > 60), "phone": 40 + (one.rows > 61)}
    assert one.columns["pages"].mean == pytest.approx(sum(1 + n % 7 for n in range(one.rows)) / one.rows)
    assert one.columns["visitor"].categories is None and one.columns["visitor"].nulls == 0
    rows = spark.table(profiling.PROFILES).where(f"table_name = '{site.of.table}'").collect()
    assert "v1" not in json.dumps([row.asDict() for row in rows], default=str), "personal data is in no profile"

    # A day in two halves, with a field more and a device less.
    records = [visit(LAST, n, device="phone", colour="red") for n in range(60)]
    half = anomalies(site.take({LAST: records[:25]}))
    assert half.outcome == "warn"
    assert named(half) == {("volume", ""), ("schema", "colour")}, half.description
    done = anomalies(site.take({LAST: records[25:]}, "b"))
    assert named(done) == {("category", "device"), ("schema", "colour")}, done.description
    assert site.known()[0][LAST].rows == 60
    assert site.known()[0][LAST].columns["device"].categories == {"phone": 60}

    # Nothing arrived on the day after it; the day that runs is judged for what can be said.
    now = datetime(TODAY.year, TODAY.month, TODAY.day, 12, tzinfo=UTC)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(profiling, "watch", partial(profiling.watch, now=now))
        running = anomalies(site.take({TODAY: [visit(TODAY, n, shape="round") for n in range(9)]}))
    assert named(running) == {("volume", ""), ("schema", "shape")}, running.description
    assert f"{TODAY - timedelta(days=1)}: records: expected 6" in running.description
    stored = spark.table("ops.check_results").where(f"table_name = '{site.of.table}' and check_name = 'anomalies'")
    assert [row["value"] for row in stored.orderBy("evaluated_at").collect()] == [0.0, 2.0, 2.0, 2.0]

    # What an attempt wrote that was not committed is not known; a batch that was never profiled is noticed.
    batch = site.batch()
    lost = profiling.Watched({LAST: Profile(rows=999)}, (), running, {LAST: Profile(rows=999)})
    profiling.remember(spark, settings().storage_dir, site.of, lost, batch, batch + 1)
    assert site.known(batch)[0][LAST].rows == 60
    assert kept(batch, [LAST])[0][LAST].rows == 60
    later, is_whole = site.known(batch + 2)
    assert not is_whole and later[max(later)].is_partial


def test_an_error_holds_back_the_batch_that_brought_it_and_no_later_one() -> None:
    of = contract([key()], name=next(_names), anomalies={"severity": "error"})
    day = date(2025, 3, 3)
    found = Anomaly("volume", None, "1,000", "500", 0.999, "records")
    verdict = Verdict(day, (found,) * 9)
    brought = profiling.check(of, [verdict], [day], 1)
    assert (brought.outcome, brought.value, brought.severity) == ("fail", 9, "error")
    assert brought.description.splitlines()[1] == f"{day}: records: expected 1,000, found 500 (99.9 % sure)."
    assert brought.description.endswith("… and 3 more")
    assert profiling.check(of, [verdict], [], 2).outcome == "warn"
    silent = profiling.check(of, [Verdict(day, (), "no day to learn from")], [day], 3)
    assert silent.outcome == "pass" and "Nothing is said of 2025-03-03: no day to learn from." in silent.description


def test_a_special_day_says_what_was_left_out() -> None:
    of = contract([key()], name=next(_names), anomalies={"severity": "error"})
    days = [date(2025, 11, 26), date(2025, 11, 27), date(2025, 12, 1)]
    late = Anomaly("arrival", None, "1:00 h", "5:00 h", 0.999, "arrival of the first file")
    verdicts = [Verdict(days[0], (), special="Thanksgiving"), Verdict(days[1], (late,), special="Thanksgiving")]
    told = profiling.check(of, [*verdicts, Verdict(days[2], ())], days, 1)
    assert (told.outcome, told.value) == ("fail", 1)
    only = "is Thanksgiving: only unknown fields, new values and times of arrival are judged."
    said = [f"{days[1]}: {late.sentence}", f"{days[1]} {only}", f"{days[0]} {only}"]
    assert told.description.splitlines()[1:] == said
    assert profiling.check(of, verdicts[:1], days, 2).outcome == "pass"


def test_a_special_day_without_records_is_not_missed_and_hides_no_other_one() -> None:
    monday = date(2025, 12, 1)
    history = {monday - timedelta(days=n): Profile(9) for n in range(1, 35) if n != 14}
    history[monday + timedelta(days=2)] = Profile(9)
    known, off, eve = monday - timedelta(days=1), monday - timedelta(days=14), monday + timedelta(days=1)
    assert profiling._missing(history, known, ()) == [eve], "not on each of the four Mondays before came a record"
    assert profiling._missing(history, known, {off: "Stocktaking"}) == [monday, eve]
    assert profiling._missing(history, known, {off: "Stocktaking", monday: "Closed"}) == [eve]
    every = {monday - timedelta(weeks=n): "Closed" for n in range(1, 5)}
    assert profiling._missing(history, known, every) == [eve], "nothing is known of Mondays"


def test_the_calendar_is_read_with_every_batch_and_a_broken_one_is_told_and_loses_nothing(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calendar, eve = tmp_path / "days.yaml", DAYS[-1]
    monkeypatch.setenv("LAKEHOUSE_CALENDAR", str(calendar))
    settings.cache_clear()
    site = Site(spark, tmp_path / "landing")
    calendar.write_text("[]")
    site.take({day: [visit(day, n) for n in range(60 + day.day % 3)] for day in DAYS[:-1]})

    calendar.write_text(f"- name: Closed\n  from: {eve}\n  tables: [{site.of.table}]\n")
    told = anomalies(site.take({eve: [visit(eve, n, colour="red") for n in range(6)]}))
    assert (told.outcome, named(told)) == ("warn", {("schema", "colour")}), told.description
    assert f"{eve} is Closed: only unknown fields, " in told.description
    rows = spark.table(profiling.PROFILES).where(f"table_name = '{site.of.table}' and day = date'{eve}'")
    said = json.loads(rows.first()["anomalies"])
    assert said["special"] == "Closed" and [one["column"] for one in said["anomalies"]] == ["colour"]

    calendar.write_text(f"- name: Closed\n  from: {eve}\n  till: {eve}\n")
    broken = site.take({LAST: [visit(LAST, n) for n in range(6)]})
    told = anomalies(broken)
    assert (told.outcome, told.value, broken.landed) == ("warn", None, 6)
    assert told.description.splitlines()[1:] == [
        "It could not be evaluated: the calendar of special days cannot be read (`lakehouse contract check`).",
        f"{calendar}:3: `till` is unknown to special days. Choose one of name, from, to, tables.",
    ]
    assert site.known()[0][LAST].rows == 6, "it was profiled"

    calendar.unlink()
    told = anomalies(site.take({LAST: [visit(LAST, 9)]}, "b"))
    assert f"{calendar}:1: this calendar of special days cannot be found." in told.description
    calendar.write_text(f"- {{name: Closed, from: {eve}}}\n")
    told = anomalies(site.take({LAST: [visit(LAST, 10)]}, "c"))
    assert named(told) >= {("volume", "")} and "found 8 (" in told.description, told.description


def test_a_broken_calendar_holds_no_batch_back() -> None:
    of = contract([key()], name=next(_names), anomalies={"severity": "error"})
    problem = Problem(Path("days.yaml"), 3, "", "`till` is unknown to special days", "Remove it")
    told = profiling.unjudged(of, ContractError([problem]), 7)
    assert (told.outcome, told.severity, told.batch) == ("warn", "error", 7)
    assert "nothing was measured" in told.sentence and str(problem) in told.sentence


@pytest.mark.parametrize(("number", "more"), [(5, ""), (6, "… and 1 more"), (20_000, "… and 19,995 more")])
def test_of_a_calendar_with_many_mistakes_the_first_are_told(number: int, more: str) -> None:
    of = contract([key()], name=next(_names), anomalies={"severity": "warning"})
    problems = [Problem(Path("days.yaml"), line, "", "`till` is unknown", "Remove it") for line in range(1, number + 1)]
    told = profiling.unjudged(of, ContractError(problems), 7).description.splitlines()
    assert [line for line in told if "days.yaml" in line] == [str(problem) for problem in problems[:5]]
    assert told[-1] == (more or str(problems[-1]))


def test_of_many_days_the_newest_are_profiled_and_the_others_are_known_to_be_there(spark: Any, tmp_path: Path) -> None:
    site = Site(spark, tmp_path)
    days = [LAST - timedelta(days=n) for n in range(120, -1, -1)]
    site.take({day: [visit(day, n) for n in range(2)] for day in days})
    known, _ = profiling.read(spark, site.of.table, site.batch(), days)
    assert {day: one.rows for day, one in known.items()} == dict.fromkeys(days, 2)
    full = [day for day, one in known.items() if not one.is_partial]
    assert full == days[-98:] and all(known[day].columns["device"].nulls == 0 for day in full)
    # A record more of such a day is added to it, and nothing is made of the sum.
    done = anomalies(site.take({days[0]: [visit(days[0], 9)], TODAY: [visit(TODAY, 1)]}, "b"))
    again, _ = profiling.read(spark, site.of.table, site.batch(), days)
    assert (again[days[0]].rows, again[days[0]].is_partial) == (3, True)
    assert done.value == 0, done.description


def test_what_a_later_batch_said_anew_is_removed_after_a_week(spark: Any, tmp_path: Path) -> None:
    site = Site(spark, tmp_path)
    records = [visit(LAST, n) for n in range(6)]
    for part in range(3):
        site.take({LAST: records[2 * part : 2 * part + 2]}, f"part{part}")
    before = site.known()
    rows = spark.table(profiling.PROFILES).where(f"table_name = '{site.of.table}'")
    assert profiling.expire(spark) == 0 and rows.count() == 3, "what is new may be of a batch that is not committed yet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(profiling, "_SETTLED", timedelta(0))
        assert profiling.expire(spark) >= 2
        assert profiling.expire(spark) == 0
    assert rows.count() == 1 and site.known() == before


def test_a_table_of_the_former_shape_is_written_on_and_emptied_of_what_was_there(spark: Any) -> None:
    storage, of = settings().storage_dir, contract([key()], name=next(_names), anomalies={"severity": "warning"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(profiling, "PROFILES", "ops.former_profiles")
        spark.sql(f"create schema if not exists ops location '{storage}/ops'")
        spark.sql(
            f"create table ops.former_profiles using delta location '{storage}/ops/former_profiles' as select "
            f"'{of.table}' as table_name, date'2025-03-03' as day, cast(null as bigint) as since, 7L as batch, "
            "'' as column_name, 'rows' as metric, 12D as value, cast(null as string) as detail, "
            "timestamp'2025-03-04 00:00:00' as taken_at"
        )
        profiling.ensure_table(spark, storage)
        day = date(2025, 3, 5)
        assert profiling.known_days(spark, storage, of.table, 7, [day]) == ({}, False)
        days = {day: Profile(rows=3)}
        result = profiling.check(of, [], [day], 8)
        profiling.remember(spark, storage, of, profiling.Watched(days, (), result, days), 7, 8)
        assert profiling.read(spark, of.table, 8, [day]) == (days, True)
        expired = profiling.expire(spark)
        assert expired == 1
        assert type(expired) is int, "it goes to Dagster as metadata"
        assert spark.table("ops.former_profiles").count() == 1
    spark.sql("drop table ops.former_profiles")
