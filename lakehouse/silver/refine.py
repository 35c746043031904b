"""The one step of a silver table: parse, audit, split off violations, fold, one commit."""

import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from itertools import takewhile
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakehouse.bronze.ingest import newest_batch
from lakehouse.contracts.changes import rows_digest
from lakehouse.contracts.model import Contract
from lakehouse.quality import profiling, soda
from lakehouse.quality import results as check_results
from lakehouse.quality.audit import (
    BATCH_REJECTED,
    QUALITY_SCORE,
    blocking,
)
from lakehouse.quality.profiling import Arrived
from lakehouse.quality.results import CheckResult
from lakehouse.quality.score import scored
from lakehouse.silver import (
    commits,
    decisions,
    evolution,
    findings,
    horizon,
    ledger,
    quarantine,
    reach,
    retention,
    rule_errors,
    staging,
    state,
)
from lakehouse.silver.announced import Announced, announced_by
from lakehouse.silver.decisions import Decision
from lakehouse.silver.fold import (
    QUARANTINED,
    REJECTED,
    TOO_LATE,
    fold_current,
    fold_events,
    moved_deletes,
    snapshot_events,
    truncate_deletes,
)
from lakehouse.silver.interpreted import INTERPRETED_UP_TO, interpreted
from lakehouse.silver.parse import parse, technical
from lakehouse.silver.quarantine import Pins, Replay
from lakehouse.storage import tables
from lakehouse.storage.notes import notes
from lakehouse.storage.tables import lost_race, quote

_BEYOND_THE_BATCH = ("reference", "unique", "sql", "soda")
"""Checks that may read whole tables."""


@dataclass(frozen=True)
class Refined:
    """What one batch did to a silver table."""

    table: str
    batch: int
    version: int
    landed: int
    counts: dict[str, int]
    """Records by disposition."""
    rows_deleted: int
    """Rows gone that no record of their own deleted: by a snapshot, a truncate, or a change of key."""
    checks: list[CheckResult]
    seconds: float
    is_rebuild: bool
    is_replay: bool = False
    """Of some records in quarantine, instead of a batch."""
    audit_seconds: float = 0.0
    """How much of `seconds` the checks took."""
    score: float | None = None
    """The quality score, 0 to 1; None of a replay."""


class BatchBlockedError(Exception):
    """The audit of a batch failed a blocking check. Nothing was committed; the batch stays pending in bronze."""

    def __init__(self, table: str, batch: int, landed: int, results: list[CheckResult]) -> None:
        self.table, self.batch, self.landed, self.results = table, batch, landed, results
        said = [result.sentence for result in blocking(results)]
        # After lines to paste what follows has a line of its own.
        ends = ["\n" if "\n" in one else "; " for one in said[:-1]] + ["\n" if "\n" in said[-1] else " "]
        reasons = "".join(one + end for one, end in zip(said, ends, strict=True))
        super().__init__(
            f"{table}: batch {batch} of {landed} records is held back, nothing was committed. {reasons}"
            "Correct the source or the contract's threshold and run again, or decide: `lakehouse batch show "
            f"{table}`. The batch is kept in bronze."
        )


def pending_batch(spark: SparkSession, contract: Contract) -> tuple[int | None, int | None]:
    """(the last batch of bronze that silver holds, the newest that bronze has); equal when there is nothing to do."""
    done = ledger.last_note(spark, contract) if tables.exists(spark, contract.state_table) else None
    return (done[1]["batch"] if done else None), newest_batch(spark, contract)


def refine(
    spark: SparkSession,
    storage: str,
    contract: Contract,
    run_id: str,
    silver_tables: frozenset[str],
    full_refresh: bool = False,
    replay: Replay | None = None,
    accepts_loss: bool = False,
) -> Refined | None:
    """Takes into silver whatever bronze committed since silver's own last commit; None when there is nothing.

    With `full_refresh`, folds the whole table anew from bronze, in one commit. With `replay`, takes records that are in
    quarantine instead of new ones: as they were corrected, with the place in the order that they always had. (What a
    snapshot means depends on those before it: such a table is folded anew.)

    `accepts_loss`: fold anew also where rows are lost by it, because bronze no longer holds their records.

    Idempotent, and safe to repeat after a crash at any point: the state's commit is what counts, what the quarantine has
    beyond it is taken back, and the ledger is healed from the state's notes.

    Raises BatchBlockedError (the audit failed), TableShapeError (the state has columns of another type),
    ContractChangedError (its rows were made by another key, delivery, sequence or history, it lost a column or a child view,
    or its format or where it is captured from changed), ExpiredError (all is to be folded anew, and bronze no longer holds
    all) and ConcurrentWriterError (another writer committed meanwhile, nothing was written by this one).
    """
    with staging.sole_refiner(storage, contract):
        return _refine(spark, storage, contract, run_id, silver_tables, full_refresh, replay, accepts_loss)


def _refine(
    spark: SparkSession,
    storage: str,
    contract: Contract,
    run_id: str,
    silver_tables: frozenset[str],
    full_refresh: bool,
    replay: Replay | None,
    accepts_loss: bool,
) -> Refined | None:
    """As `refine`, for whoever is the only one on this machine."""
    started, attempt = time.monotonic(), uuid.uuid4().hex
    place = f"{staging.folder(storage, contract)}/{attempt}"
    contract = evolution.with_added(spark, contract)
    ledger.ensure_table(spark, storage)
    check_results.ensure_table(spark, storage)
    profiling.ensure_table(spark, storage)
    quarantine.heal(spark, contract)
    state.ensure_tables(spark, storage, contract, is_rebuild=full_refresh)
    ledger.heal(spark, contract)
    last = ledger.last_note(spark, contract)
    # Where no note is in the log any more, the table's own version says what was read.
    after = last[0] if last else tables.version(spark, contract.state_table)
    done, newest = pending_batch(spark, contract)
    pins = quarantine.pins(spark, contract)
    sent = quarantine.chosen(spark, contract, replay, pins) if replay is not None else None
    asked = full_refresh
    full_refresh |= sent is not None and (contract.delivery == "snapshot" or _lost_quarantine(spark, contract, last))
    if sent is not None:
        quarantine.ensure_resolutions(spark, storage, contract)
        newest = None if done is None or sent.isEmpty() else done
    if last is not None and not asked:  # also where nothing has come: the views would follow
        evolution.refuse_changes(contract, last[1])
    # Bronze is behind where it lost its newest commit: what it takes again is a batch of its own.
    if newest is None or (done is not None and newest <= done and not full_refresh and sent is None):
        if last is not None:
            state.ensure_views(spark, storage, contract)
        return None
    decided = decisions.standing(spark, contract)
    if sent is None and not full_refresh:
        newest = decisions.last_to_take(decided, done, newest)
    since = None if full_refresh or last is None else last[1]["batch"]
    if since is not None and sent is None and _must_fold_anew(spark, contract, since, last):
        since = None
    previous: dict[str, Any] = last[1] if last and since is not None else {}
    change = _change_number(newest, last[1] if last else None)
    raw = _raw(spark, contract, since if sent is None else None, newest)
    if sent is not None and not full_refresh:
        raw = quarantine.only_chosen(raw, sent)
    landed, arrivals, headers = _overview(raw)
    days = list(arrivals)
    last_day = date.fromisoformat(previous["last_day"]) if previous.get("last_day") else None
    if contract.delivery == "snapshot" and last_day and days and days[0] <= last_day:
        # A snapshot from before what is applied changes what came after it: fold all of them anew.
        since, previous, last_day = None, {}, None
        raw = _raw(spark, contract, None, newest)
        landed, arrivals, headers = _overview(raw)
        days = list(arrivals)
    if since is None and last is not None and not accepts_loss:
        retention.refuse_losing(spark, contract)
    taken = landed + (previous.get("taken", INTERPRETED_UP_TO) if since is not None else 0)
    is_small = taken <= INTERPRETED_UP_TO
    with interpreted(spark, taken), ExitStack() as stack:
        small = nullcontext if is_small else partial(interpreted, spark, landed)
        held = spark.table(contract.state_table) if since is not None else None
        stack.callback(staging.remove, place)
        stage = partial(staging.stage, spark, place)
        raw, carried = _decided(spark, contract, raw, pins, decided)
        # Nobody judges lateness a second time; but what the state has forgotten, it cannot weigh against.
        against = previous if sent is None else {"floor": previous.get("floor")}
        with small(), rule_errors.named(spark, contract):
            parsed = stage("parsed", _parsed(raw, contract, headers, against, carried))
            unknown = evolution.unknown_fields(parsed) if contract.unknown_fields != "rescue" else {}
            if contract.unknown_fields == "add" and (more := evolution.to_add(contract, unknown)):
                contract = evolution.evolved(contract, evolution.added_columns(contract) | more)
                parsed = stage("parsed_with_more", _parsed(raw, contract, headers, against, carried))
                unknown = {field: file for field, file in unknown.items() if field not in more.values()}
            announced = announced_by(parsed, contract, previous)
        events, others, within = _classify(stage, parsed, contract, held, days, last_day, announced, small)
        classified = stage("classified", events)

        def counted() -> tuple[dict[str, int], int, str | None, float, findings.Samples]:
            """What is in the batch, when that was known, and some of what it refuses."""
            counts, rows_deleted, watermark = findings.summary(contract, parsed, classified, others, announced)
            is_known_at = time.monotonic()
            is_any = any(counts[name] for name in ledger.REFUSED)
            return counts, rows_deleted, watermark, is_known_at, findings.samples(parsed, contract) if is_any else {}

        def watch() -> profiling.Watched | None:
            if not contract.anomalies.severity or (sent is not None and since is not None):
                return None
            return profiling.watch(spark, storage, contract, parsed, since, newest, arrivals)

        show = partial(findings.views_of, contract, parsed, classified, silver_tables)
        # A larger batch keeps all cores busy with either.
        take = _at_once if landed <= INTERPRETED_UP_TO else _in_turn
        with small():
            (counts, rows_deleted, watermark, audit_began, samples), watched, views, _ = take(
                counted, watch, show, soda.load
            )
        with nullcontext() if any(check.kind in _BEYOND_THE_BATCH for check in contract.checks) else small():
            results = findings.audited(spark, contract, views, landed, newest, counts)
            results = [replace(one, samples=tuple(samples.get(one.name, ()))) for one in results]
            if contract.unknown_fields != "rescue":
                results.append(evolution.check_unknown(contract, unknown, newest))
        if contract.delivery == "snapshot":
            before = None if last is None or asked else spark.table(contract.state_table)
            results.append(findings.completeness(contract, before, classified, since is None, rows_deleted, newest))
        results = scored(contract, results, landed, newest)
        if watched is not None:
            results.append(watched.result)
        audit_seconds = round(time.monotonic() - audit_began, 3)
        if sent is not None and since is not None:
            results = quarantine.of_replay(results, contract)
        partition = check_results.arrival_days(days)
        results = [replace(one, partition=partition) for one in decisions.heeded(results, decided, since, newest)]
        if blocking(results):
            check_results.remember(spark, results, contract.version, run_id)
            raise BatchBlockedError(contract.table, newest, landed, results)
        quality = next((one.value for one in results if one.name == QUALITY_SCORE), None)
        moved = horizon.advance(contract, held, previous)
        note: dict[str, Any] = {
            "kind": ledger.REFINE,
            "table": contract.table,
            "batch": newest,
            "change": change,
            **evolution.remembered(contract),
            "rows_by": rows_digest(contract) if previous.get("rows_by") in (None, rows_digest(contract)) else "several",
            "since": since,
            "after": after,
            "attempt": attempt,
            "quarantine": last[1].get("quarantine") if last else None,
            "landed": landed,
            "taken": taken,
            "counts": counts,
            "rows_deleted": rows_deleted,
            "watermark": findings.latest(previous.get("watermark"), watermark),
            "last_day": max([day for day in (*days, last_day) if day]).isoformat() if days or last_day else None,
            **({"truncates": truncates} if (truncates := announced.remembered(contract, moved)) else {}),
            **moved,
            "contract_version": contract.version,
            "run_id": run_id,
            "seconds": round(time.monotonic() - started, 3),
            "audit_seconds": audit_seconds,
            "score": quality,
            "committed_at": datetime.now(UTC).isoformat(),
        }
        refused = sum(counts[name] for name in ledger.REFUSED)
        if not full_refresh and evolution.is_reshaped(spark, contract):  # now that the batch is not held back
            state.reshape(spark, storage, contract)
        if replay is not None and sent is not None:
            told = quarantine.outcomes(sent, parsed, classified)
            if since is not None:  # a table that is folded anew counts all of its records again
                # A replay of old records moves no horizon, lest others be too late by it.
                was, late = quarantine.counts_before(told), previous.get("watermark")
                note |= {"kind": ledger.REPLAY, "was": was, "watermark": late, "last_day": previous.get("last_day")}
            quarantine.commit_outcomes(spark, contract, told, replay, note, since is None)
            note["quarantine"] = attempt
        if (sent is None or since is None) and commits.of_quarantine(spark, contract, parsed, since, refused, note):
            note["quarantine"] = attempt
        with nullcontext() if is_small else interpreted(spark, refused):
            age = quarantine.age(spark, contract, newest, pins.resolutions is not None or sent is not None)
        results.append(replace(age, partition=partition))
        # Before the commit: a process that dies in between has checked what nobody sees, and checks it again.
        remember = partial(check_results.remember, spark, results, contract.version, run_id)
        if watched is None:
            remember()
        else:
            _at_once(remember, partial(profiling.remember, spark, storage, contract, watched, since, newest))
        commits.of_state(spark, contract, classified, since, change, note, within)
    version = ledger.version_of(spark, contract, after, note["attempt"])
    if version is None:
        raise lost_race(contract.state_table)
    if previous:
        horizon.forget(spark, contract, moved, ledger.change_of(previous))
    _at_once(  # two tables that know nothing of each other
        partial(state.ensure_views, spark, storage, contract),
        partial(ledger.heal, spark, contract),
    )
    return Refined(
        table=contract.table,
        batch=newest,
        version=version,
        landed=landed,
        counts=counts,
        rows_deleted=rows_deleted,
        checks=results,
        seconds=time.monotonic() - started,
        is_rebuild=since is None,
        is_replay=sent is not None and since is not None,
        audit_seconds=audit_seconds,
        score=quality,
    )


def _at_once(*steps: Callable[[], Any]) -> list[Any]:
    with ThreadPoolExecutor(len(steps)) as pool:
        return [ended.result() for ended in [pool.submit(step) for step in steps]]


def _in_turn(*steps: Callable[[], Any]) -> list[Any]:
    return [step() for step in steps]


def preview(spark: SparkSession, contract: Contract, replay: Replay) -> list[dict[str, Any]]:
    """What a replay would refuse, and what not: `id`, `was`, and `outcome` and `reasons` (None and none where the record
    breaks nothing now) of each record that it would send. Commits nothing."""
    pins = quarantine.pins(spark, contract)
    sent = quarantine.chosen(spark, contract, replay, pins)
    raw = quarantine.only_chosen(spark.table(contract.bronze_table), sent)
    landed, _, headers = _overview(raw)
    raw, carried = _decided(spark, contract, raw, pins, decisions.standing(spark, contract))
    with interpreted(spark, landed):
        parsed = _parsed(raw, contract, headers, {}, carried).selectExpr(
            "_file", "_position", "_refused as outcome", f"{commits.REASONS} as reasons"
        )
        told = sent.join(parsed, F.expr("file = _file and position = _position")).orderBy("file", "position")
        return [
            row.asDict()
            for row in told.selectExpr(f"{quarantine.RECORD_ID} as id", "was", "outcome", "reasons").collect()
        ]


def _change_number(newest: int, last: dict[str, Any] | None) -> int:
    """What `_batch` says of the rows of this commit: the batch of bronze, or a number of its own where the same batch is
    folded anew. It grows with every commit, so that whoever holds a number can ask for what changed since."""
    if last is None or newest > (before := ledger.change_of(last)):
        return newest
    return max(before + 1, int(time.time() * 1_000_000))


def is_outdated(spark: SparkSession, contract: Contract) -> bool:
    """Whether silver holds rows that were made before the contract read or refused records as it does now."""
    last = ledger.last_note(spark, contract) if tables.exists(spark, contract.state_table) else None
    return last is not None and last[1].get("rows_by", rows_digest(contract)) != rows_digest(contract)


def _is_replaced(spark: SparkSession, contract: Contract, since: int) -> bool:
    """Whether bronze has, since then, replaced records that silver may hold: they are gone, so all is folded anew."""
    newer = takewhile(lambda found: found[1]["batch"] > since, notes(spark, contract.bronze_table))
    return any(note.get("replaced") for _, note in newer)


def _must_fold_anew(
    spark: SparkSession, contract: Contract, since: int, last: tuple[int, dict[str, Any]] | None
) -> bool:
    return _is_replaced(spark, contract, since) or _lost_quarantine(spark, contract, last)


def _lost_quarantine(spark: SparkSession, contract: Contract, last: tuple[int, dict[str, Any]] | None) -> bool:
    """Whether the quarantine is not what the newest batch left there, so that all is folded anew: a batch that lost its race
    for the state has written it over, or a step on another machine has put it back while that one was under way."""
    written = (note for _, note in notes(spark, contract.quarantine_table) if note.get("kind") == "quarantine")
    held = next(written, None)
    if held is None or last is None or held.get("attempt") == last[1].get("quarantine"):
        return False
    # Of two that have taken the same batch on the same state, each leaves what the other does; of replays each its own.
    return last[1]["kind"] == ledger.REPLAY or (held.get("after"), held["batch"]) != (
        last[1].get("after"),
        last[1]["batch"],
    )


def _raw(spark: SparkSession, contract: Contract, since: int | None, newest: int) -> DataFrame:
    after = f" and batch > {since}" if since is not None else ""
    return spark.table(contract.bronze_table).where(f"batch <= {newest}{after}")


def _decided(
    spark: SparkSession, contract: Contract, raw: DataFrame, pins: Pins, made: Sequence[Decision]
) -> tuple[DataFrame, tuple[str, ...]]:
    """(rows of bronze with what was decided about records and about batches, the columns that say so)."""
    raw, of_batches = decisions.marked(raw, made)
    raw, of_records = quarantine.decided(spark, contract, raw, pins)
    return raw, (*of_records, *of_batches)


def _overview(raw: DataFrame) -> tuple[int, dict[date, Arrived], list[str]]:
    """(records, what arrived on each of their arrival days, their header lines), in one pass."""
    days, headers = profiling.arrived(raw)
    return sum(day.records for day in days.values()), days, headers


def _parsed(
    raw: DataFrame, contract: Contract, headers: Sequence[str], previous: dict[str, Any], carried: Sequence[str] = ()
) -> DataFrame:
    """Parsed records with, for those that are not applied, `_refused`: their disposition. `carried`: see
    `_decided`."""
    is_decided = "_decision" in carried
    is_late = horizon.is_late(contract, previous, "_decision is not null" if is_decided else None)
    refused = f"""case
        when _unreadable is not null then '{REJECTED}'
        when size(_violations) > 0 then '{QUARANTINED}'
        when {is_late} then '{TOO_LATE}' end"""
    parsed = parse(raw, contract, headers, carried)
    if is_decided:
        parsed = quarantine.heeded(parsed, contract)
    if decisions.IS_REJECTED in carried:
        is_rejected = F.expr(f"if({decisions.IS_REJECTED}, '{BATCH_REJECTED}', _unreadable)")
        parsed = parsed.withColumn("_unreadable", is_rejected)
    parsed = parsed.selectExpr("*", f"{refused} as _refused")
    arrived = "coalesce(_decision.arrived, _record)" if is_decided else "_record"
    # The raw text is needed of refused records alone; without it the rest takes a fraction of the room.
    told = ["_without_row", *(["_old_key"] if contract.delivery == "changes" else [])]
    kept = [
        *contract.column_names,
        *technical(contract),
        *told,
        "_unreadable",
        "_type_errors",
        "_violations",
        "_refused",
    ]
    return parsed.selectExpr(
        *map(quote, kept),
        f"if(_refused is not null, {arrived}, null) as _record",
        "if(_refused is not null, _header, null) as _header",
    )


def _classify(
    stage: Callable[[str, DataFrame], DataFrame],
    parsed: DataFrame,
    contract: Contract,
    held: DataFrame | None,
    days: list[date],
    last_day: date | None,
    announced: Announced,
    small: Callable[[], AbstractContextManager[None]],
) -> tuple[DataFrame, DataFrame | None, str | None]:
    """(usable records as events with their disposition; for snapshots, also the records that change nothing; SQL over the
    state as `target`: the part that the events can touch, where it is not all of it)."""
    columns = [*contract.column_names, *technical(contract)]
    about_rows = parsed.where("_refused is null and _without_row is null")
    events = about_rows.selectExpr(*map(quote, columns), "true as _is_record")
    keys = contract.keys
    others: DataFrame | None = None
    if contract.delivery == "snapshot":
        refused = parsed.where("_refused is not null")
        # A snapshot that was rejected tells of no row, not even of those that it lacks.
        known = " and ".join(
            [f"{quote(key)} is not null" for key in keys] + [f"not (_unreadable <=> '{BATCH_REJECTED}')"]
        )
        incomplete = [row[0] for row in refused.where(f"not ({known})").select("_arrived_on").distinct().collect()]
        present = refused.where(known).selectExpr(*map(quote, keys), "_arrived_on")
        visible = held.where(state.in_force(contract)) if held is not None else None
        events, others = snapshot_events(
            events, present, visible, keys, days, incomplete, last_day, partial(stage, "sightings")
        )
    if announced.has_moves:
        moving = about_rows.selectExpr(*map(quote, columns), "true as _is_record", "_old_key")
        events = events.unionByName(moved_deletes(moving).drop("_old_key"))
    within: str | None = None
    if held is not None and contract.delivery != "snapshot" and not announced.new:
        with small():
            within = reach.of_events(events, contract)
        held = held.alias("target").where(within) if within else held
    if announced.truncates:
        truncates = announced.frame(parsed.sparkSession, contract)
        events = events.unionByName(truncate_deletes(events, held if announced.new else None, truncates, keys))
    if contract.keeps_events:
        folded = fold_events(
            events,
            held,
            keys,
            is_history=state.is_historic(contract),
            tracked=contract.tracked,
            filled=contract.filled,
            null_keeps=contract.null_keeps,
        )
    else:
        folded = fold_current(events, held, keys)
    return folded, others, within
