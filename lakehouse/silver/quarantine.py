"""The way back from quarantine: what people decided about refused records, and how a step of silver heeds it.

Each decision is a row of `silver_state.<table>__resolutions`, which is only ever added to; so is each outcome of a replay.
What is in quarantine follows from bronze, the contract and these rows alone: a table folded anew is the table that the
replays gave. A record is known by its file, its place in it, and a hash of its text: a decision about a record is none
about another that a rewritten file has at that place.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from lakehouse.contracts.model import Contract
from lakehouse.quality.audit import BATCH_REJECTED, CONSERVATION, QUARANTINE_AGE, check_names
from lakehouse.quality.results import CheckResult
from lakehouse.silver import ledger
from lakehouse.silver.fold import REJECTED, TOO_LATE
from lakehouse.storage import tables
from lakehouse.storage.notes import commit_note, notes
from lakehouse.storage.tables import Field, literal, quote

FIXED, WAIVED, DISMISSED, REOPENED, REPLAYED = "fixed", "waived", "dismissed", "reopened", "replayed"
OPEN = "open"
IDS = 10
"""Characters of an id."""
FILES_NAMED = 200
"""Files of replayed records, up to which bronze is asked for these files alone."""

RESOLUTIONS = (
    Field("file", "string", "Path of the record's file below landing."),
    Field("position", "bigint", "Its place in the file, from 1."),
    Field("record_hash", "bigint", "Hash of the record as it arrived."),
    Field("step", "string", "fixed, waived, dismissed, reopened or replayed."),
    Field("record", "string", "The corrected record, of a fix."),
    Field("rules", "array<string>", "The rules waived; of a replay, what the record still breaks."),
    Field("outcome", "string", "Its disposition, of a replay."),
    Field("note", "string", "Why."),
    Field("made_by", "string", "Who."),
    Field("change", "bigint", "The commit of silver, of a replay: what `_batch` says of its rows."),
    Field("at", "timestamp", "When (UTC)."),
)
RECORD_ID = f"left(sha2(concat(file, ':', position), 256), {IDS})"
"""SQL of a record's id: the beginning of a hash of where it came from, the same for ever."""
STATUS = (
    Field("id", "string", "What `lakehouse quarantine` knows it by: a hash of its file and position."),
    Field("status", "string", "open, fixed or waived (and to be replayed), or dismissed (given up)."),
)


@dataclass(frozen=True)
class Selection:
    """Which records of a quarantine are meant: those that meet every condition given; without any, those with a decision
    that awaits its replay. A record meets one of several ids, reasons, files or batches; an id may be shortened."""

    ids: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    batches: tuple[int, ...] = ()
    everything: bool = False

    @property
    def where(self) -> str:
        parts = [
            " or ".join(f"startswith(id, {literal(start)})" for start in self.ids),
            " or ".join(f"array_contains(reasons, {literal(reason)})" for reason in self.reasons),
            " or ".join(f"file = {literal(file)} or endswith(file, {literal('/' + file)})" for file in self.files),
            " or ".join(f"batch = {batch}" for batch in self.batches),
        ]
        asked = " and ".join(f"({part})" for part in parts if part)
        return asked or ("true" if self.everything else _DECIDED)


_DECIDED = f"status in ('{FIXED}', '{WAIVED}')"
REPLAYABLE = f"status <> '{DISMISSED}' and (disposition <> '{TOO_LATE}' or {_DECIDED})"
"""What a replay sends. Nobody judges lateness a second time: a record that was too late comes in by somebody's decision."""


@dataclass(frozen=True)
class Replay:
    """A replay to do: of which records, who wants it, and why."""

    selection: Selection
    made_by: str = ""
    note: str = ""


@dataclass(frozen=True)
class Pins:
    """Versions of the two tables that a step reads: a decision made meanwhile is for the next one."""

    quarantine: int
    resolutions: int | None
    """None where nobody ever decided anything."""


def pins(spark: SparkSession, contract: Contract) -> Pins:
    decided = tables.exists(spark, contract.resolutions_table)
    return Pins(
        tables.version(spark, contract.quarantine_table),
        tables.version(spark, contract.resolutions_table) if decided else None,
    )


def ensure_resolutions(spark: SparkSession, storage: str, contract: Contract) -> None:
    """Creates the table of decisions. Idempotent."""
    comment = f"Decisions about refused records of {contract.table}. One row per step of a record; holds personal data."
    tables.ensure(spark, storage, contract.resolutions_table, RESOLUTIONS, comment=comment)


def _in_force(contract: Contract, version: int | None = None) -> str:
    """SQL: of each record with a decision, where it stands, its latest correction and the rules waived for it. To dismiss
    or to reopen a record ends what was decided before."""
    at = "" if version is None else f" version as of {version}"
    ends = f"max(if(step in ('{REOPENED}', '{DISMISSED}'), at, null)) over (partition by file, position, record_hash)"
    return f"""select
    file,
    position,
    record_hash,
    if(max_by(step, at) in ('{REPLAYED}', '{REOPENED}'), '{OPEN}', max_by(step, at)) as status,
    max_by(step, at) = '{DISMISSED}' as is_dismissed,
    max_by(record, at) filter (where step = '{FIXED}' and is_standing) as corrected,
    array_distinct(flatten(collect_list(rules) filter (where step = '{WAIVED}' and is_standing))) as waived
from (select *, at > coalesce({ends}, timestamp'0001-01-01') as is_standing from {contract.resolutions_table}{at})
group by file, position, record_hash"""


def records(contract: Contract, is_resolved: bool, at: Pins | None = None) -> str:
    """SQL of the records in quarantine, unmasked, each with its id, status and what was decided about it.

    `is_resolved`: whether the table of decisions exists.
    """
    version = "" if at is None else f" version as of {at.quarantine}"
    held = f"select {RECORD_ID} as id, xxhash64(record) as record_hash, * from {contract.quarantine_table}{version}"
    if not is_resolved:
        nothing = "cast(null as string) as corrected, cast(array() as array<string>) as waived"
        return f"select *, '{OPEN}' as status, {nothing} from ({held})"
    return f"""select held.*, coalesce(decided.status, '{OPEN}') as status, decided.corrected, decided.waived
from ({held}) as held
left join ({_in_force(contract, at.resolutions if at else None)}) as decided using (file, position, record_hash)"""


def held(spark: SparkSession, contract: Contract, at: Pins | None = None) -> DataFrame:
    """The records in quarantine, as of now or of `at`."""
    is_resolved = tables.exists(spark, contract.resolutions_table) if at is None else at.resolutions is not None
    return spark.sql(records(contract, is_resolved, at))


def decide(
    spark: SparkSession,
    storage: str,
    contract: Contract,
    which: DataFrame,
    step: str,
    made_by: str,
    note: str,
    rules: str = "cast(null as array<string>)",
) -> None:
    """Notes a decision about some of the records that `held` gave. Nothing else changes before their replay; `rules` is
    SQL of the rules that are waived. A fix takes its records in the column `record`."""
    ensure_resolutions(spark, storage, contract)
    rows = which.selectExpr(
        "file",
        "position",
        "record_hash",
        f"'{step}' as step",
        f"{'record' if step == FIXED else 'cast(null as string)'} as record",
        f"{rules} as rules",
        "cast(null as string) as outcome",
        f"{literal(note)} as note",
        f"{literal(made_by)} as made_by",
        "cast(null as bigint) as change",
        f"timestamp'{datetime.now(UTC).isoformat()}' as at",
    )
    said = {"kind": step, "table": contract.table}
    tables.append(rows, contract.resolutions_table, said)


def fix(
    spark: SparkSession, storage: str, contract: Contract, corrected: Sequence[tuple[Row, str]], made_by: str, note: str
) -> None:
    """Notes corrected records, each beside the record that it corrects (of `held`)."""
    rows = [(row["file"], row["position"], row["record_hash"], text) for row, text in corrected]
    of = {field.name: field for field in RESOLUTIONS}
    fields = [of[name] for name in ("file", "position", "record_hash", "record")]
    decide(spark, storage, contract, tables.local_rows(spark, rows, fields), FIXED, made_by, note)


def cannot_be_waived(contract: Contract) -> tuple[str, ...]:
    """Rules without which a record has no place in the table: its key, and what orders its versions."""
    of_keys = (f"{key}_{suffix}" for key in contract.keys for suffix in ("required", "type"))
    return ("sequence_known", *of_keys)


def waivable(contract: Contract, reasons: Sequence[str] = ()) -> tuple[str, str]:
    """SQL over `held`: (whether a record can be waived, the rules that then are: all that it breaks, or of `reasons`)."""
    asked = f"array_intersect(reasons, array({', '.join(map(literal, reasons))}))" if reasons else "reasons"
    never = f"array({', '.join(map(literal, cannot_be_waived(contract)))})"
    return f"disposition <> '{REJECTED}' and not arrays_overlap(reasons, {never})", asked


def chosen(spark: SparkSession, contract: Contract, replay: Replay, at: Pins) -> DataFrame:
    """The records that a replay sends: `file`, `position`, `record_hash`, what they were before (`was`), and how often each
    is in quarantine (`copies`)."""
    return (
        held(spark, contract, at)
        .where(f"({replay.selection.where}) and {REPLAYABLE}")
        .groupBy("file", "position", "record_hash")
        .agg(F.min("disposition").alias("was"), F.count("*").alias("copies"))
    )


def only_chosen(raw: DataFrame, sent: DataFrame) -> DataFrame:
    """The rows of bronze that a replay sends; of a few files, these files alone are read."""
    files = [row["file"] for row in sent.select("file").distinct().limit(FILES_NAMED + 1).collect()]
    if len(files) <= FILES_NAMED:
        raw = raw.where(F.col("file").isin(files))
    match = F.expr("r.file = s.file and r.position = s.position and xxhash64(r.record) = s.record_hash")
    return raw.alias("r").join(F.broadcast(sent.alias("s")), match, "left_semi")


def decided(spark: SparkSession, contract: Contract, raw: DataFrame, at: Pins) -> tuple[DataFrame, tuple[str, ...]]:
    """(rows of bronze with their corrections in the place of what arrived, the column that says so); as they are, where
    nobody ever decided anything."""
    if at.resolutions is None:
        return raw, ()
    stands = "corrected is not null or size(waived) > 0 or is_dismissed"
    decisions = spark.sql(_in_force(contract, at.resolutions)).where(stands).alias("d")
    match = F.expr("r.file = d.file and r.position = d.position and xxhash64(r.record) = d.record_hash")
    replaced = {
        "record": "coalesce(d.corrected, r.record)",
        "is_decoded": "d.corrected is not null or r.is_decoded",
    }
    columns = (f"{replaced.get(name, 'r.' + quote(name))} as {quote(name)}" for name in raw.columns)
    decision = "named_struct('arrived', r.record, 'waived', d.waived, 'is_dismissed', d.is_dismissed)"
    joined = raw.alias("r").join(F.broadcast(decisions), match, "left")
    return joined.selectExpr(*columns, f"if(d.file is null, null, {decision}) as _decision"), ("_decision",)


def heeded(parsed: DataFrame, contract: Contract) -> DataFrame:
    """Parsed records, `_violations` less those that were waived. A record without a key, or without a place in the order,
    keeps them all; one that was dismissed has at least that against it."""
    known = " and ".join(
        [f"{quote(key)} is not null" for key in contract.keys]
        + [f"not array_contains(_violations, {literal(rule)})" for rule in cannot_be_waived(contract)]
    )
    left = f"if({known}, array_except(_violations, coalesce(_decision.waived, cast(array() as array<string>))), _violations)"
    is_dismissed = "coalesce(_decision.is_dismissed, false) and _unreadable is null and size(_violations) = 0"
    waived = parsed.withColumn("_violations", F.expr(left))
    return waived.withColumn("_violations", F.expr(f"if({is_dismissed}, array('{DISMISSED}'), _violations)"))


def outcomes(sent: DataFrame, parsed: DataFrame, classified: DataFrame) -> DataFrame:
    """What became of the records that a replay sent: `sent` with `outcome` and `reasons`.

    A record of a snapshot that is no event of the fold changed nothing: a no-op.
    """
    folded = (
        classified.where("disposition is not null and _is_record")
        .groupBy("_file", "_position")
        .agg(F.min("disposition").alias("disposition"))
    )
    told = (
        parsed.join(folded, ["_file", "_position"], "left")
        .groupBy("_file", "_position")
        .agg(
            F.expr("coalesce(max(_refused), min(disposition), 'noop')").alias("outcome"),
            F.expr("max_by(if(_unreadable is null, _violations, array(_unreadable)), _refused)").alias("reasons"),
        )
    )
    return sent.join(told, F.expr("file = _file and position = _position")).drop("_file", "_position")


def counts_before(told: DataFrame) -> dict[str, int]:
    """Records that a replay sent, by the disposition that they had."""
    return {row["was"]: int(row["n"]) for row in told.groupBy("was").agg(F.sum("copies").alias("n")).collect()}


def note_of(step: dict[str, Any]) -> dict[str, Any]:
    """The note of what a step of silver writes into the quarantine, of the note that its commit of the state will carry."""
    return {"kind": "quarantine"} | {name: step[name] for name in ("table", "batch", "change", "after", "attempt")}


def commit_outcomes(
    spark: SparkSession, contract: Contract, told: DataFrame, replay: Replay, of: dict[str, Any], is_whole: bool
) -> None:
    """Notes what became of the records that a replay sent, and takes those that are in the table now out of the quarantine;
    one that is still refused stays, with what it breaks now. (Of a table that is folded anew, the quarantine is too.)

    Two commits before that of the state, which counts and will carry the note `of`: without it, `heal` takes both back.
    """
    change = of["change"]
    rows = told.selectExpr(
        "file",
        "position",
        "record_hash",
        f"'{REPLAYED}' as step",
        "cast(null as string) as record",
        "reasons as rules",
        "outcome",
        f"{literal(replay.note)} as note",
        f"{literal(replay.made_by)} as made_by",
        f"cast({change} as bigint) as change",
        f"timestamp'{datetime.now(UTC).isoformat()}' as at",
    )
    said = {"kind": REPLAYED, "table": contract.table, "change": change}
    tables.append(rows, contract.resolutions_table, said)
    if is_whole:
        return
    noted = spark.sql(f"select * from {contract.resolutions_table} where change = {change}")
    listed = ", ".join(map(literal, ledger.REFUSED))
    tables.merge(
        noted,
        contract.quarantine_table,
        "target.file = source.file and target.position = source.position "
        "and xxhash64(target.record) = source.record_hash",
        f"when matched and source.outcome in ({listed}) then update set "
        "disposition = source.outcome, reasons = source.rules\nwhen matched then delete",
        note_of(of),
    )


def heal(spark: SparkSession, contract: Contract) -> bool:
    """Takes back what a step that died before its commit of the state left in the quarantine and among the decisions; True
    where there was something. Told by notes alone. For whoever has the table to itself on this machine: of a step on another
    one that is between both commits it takes back the first, which the batch after that finds out."""
    if not tables.exists(spark, contract.quarantine_table) or not tables.exists(spark, contract.state_table):
        return False
    last = ledger.last_note(spark, contract)
    committed = ledger.change_of(last[1]) if last else -1
    is_healed = False
    left = notes(spark, contract.quarantine_table)
    version, newest = next(left, (0, {}))
    if newest.get("change", -1) > committed:
        nothing = {"kind": "quarantine", "table": contract.table, "batch": -1, "records": 0}
        with commit_note(spark, next((note for _, note in left if note.get("change", -1) <= committed), nothing)):
            tables.restore(spark, contract.quarantine_table, version - 1)
        is_healed = True
    if tables.exists(spark, contract.resolutions_table):
        told = (note["change"] for _, note in notes(spark, contract.resolutions_table) if "change" in note)
        if next(told, -1) > committed:
            with commit_note(spark, {"kind": REPLAYED, "table": contract.table, "change": committed}):
                spark.sql(f"delete from {contract.resolutions_table} where change > {committed}").collect()
            is_healed = True
    return is_healed


def _waiting(spark: SparkSession, contract: Contract, is_resolved: bool) -> DataFrame:
    """The records in quarantine that nobody has given up."""
    if not is_resolved:
        return spark.table(contract.quarantine_table)
    return spark.sql(records(contract, is_resolved)).where(f"status <> '{DISMISSED}'")


def oldest(spark: SparkSession, contract: Contract, is_resolved: bool) -> int | None:
    """Since when the oldest record waits in quarantine, in seconds since 1970; None where none does."""
    row = _waiting(spark, contract, is_resolved).selectExpr("unix_seconds(min(quarantined_at)) as oldest").first()
    return row["oldest"] if row else None


def age(spark: SparkSession, contract: Contract, batch: int | None, is_resolved: bool) -> CheckResult:
    """The check of how long records have waited in quarantine; without a query, where none ever was there.
    `is_resolved`: whether the table of decisions exists."""
    started = time.monotonic()
    days = contract.quarantine_warn.total_seconds() / 86400
    old, text = 0, "No record waits in quarantine."
    if next(notes(spark, contract.quarantine_table), None) is not None:
        seconds = int(contract.quarantine_warn.total_seconds())
        row = (
            _waiting(spark, contract, is_resolved)
            .selectExpr(
                "count(*) as records",
                f"count_if(quarantined_at < current_timestamp() - make_dt_interval(0, 0, 0, {seconds})) as old",
                "cast(min(quarantined_at) as date) as oldest",
            )
            .first()
        )
        assert row is not None
        if row["records"]:
            old = int(row["old"])
            text = (
                f"{row['records']} record(s) wait in quarantine, the oldest since {row['oldest']}. "
                f"`lakehouse quarantine list {contract.table}` shows them."
            )
    return CheckResult(
        table=contract.table,
        name=QUARANTINE_AGE,
        kind="table",
        dimension="timeliness",
        outcome="warn" if old else "pass",
        value=float(old),
        threshold=f"0 records for more than {days:g} days",
        description=text,
        batch=batch,
        severity="warning",
        seconds=time.monotonic() - started,
    )


def of_replay(results: Sequence[CheckResult], contract: Contract) -> list[CheckResult]:
    """The results that count for a replay: of what the table's rows must fulfil together. What is asked of a batch (rates,
    volumes, shares of it) says nothing of a few records; a check in percent can warn but not block."""
    from dataclasses import replace

    kinds = {check.name: check for check in contract.checks if check.kind in ("unique", "reference")}
    kept = [result for result in results if result.name in kinds or result.name == CONSERVATION]
    return [
        replace(result, outcome="warn")
        if result.outcome == "fail" and result.name in kinds and kinds[result.name].unit == "percent"
        else result
        for result in kept
    ]


def steps(spark: SparkSession, contract: Contract, start: str) -> list[dict[str, Any]]:
    """What happened to the records whose id begins so, oldest first; no record's text."""
    if not tables.exists(spark, contract.resolutions_table):
        return []
    rows = spark.table(contract.resolutions_table).selectExpr(
        f"{RECORD_ID} as id", "file", "position", "step", "rules", "outcome", "note", "made_by", "at"
    )
    return [row.asDict() for row in rows.where(f"startswith(id, {literal(start)})").orderBy("at").collect()]


def last_outcomes(spark: SparkSession, contract: Contract) -> dict[str, int]:
    """What became of the records of the newest replay: how many have which disposition."""
    newest = f"(select max(change) from {contract.resolutions_table})"
    rows = spark.sql(
        f"select outcome, count(*) as n from {contract.resolutions_table} where change = {newest} group by outcome order by n"
    ).collect()
    return {row["outcome"]: int(row["n"]) for row in reversed(rows)}


def described(contract: Contract, reason: str) -> str:
    """A reason in words: what the rule asks for."""
    if reason == TOO_LATE:
        days = contract.lateness.total_seconds() / 86400
        return f"Its event time was more than {days:g} days behind the newest when it arrived."
    if reason == DISMISSED:
        return "It was given up."
    if reason == BATCH_REJECTED:
        return "Somebody rejected its batch; `lakehouse batch release` takes that back, and a replay then brings it in."
    known = check_names(contract).get(reason)
    return known[0] if known else ""
