"""Profiles of arrival days, measured by one query a batch and kept in `ops.profiles`; and the check `anomalies`.

A row of `ops.profiles` says what the day looked like when a batch was taken: all of the day up to that batch. The newest
batch's row of a day counts, whatever was written before; so a batch may be taken again after a crash.

Where storage is a local folder, the days that the next batch needs are kept beside its staging as well, as a file that is
read in a hundredth of a query's time. It is used by a batch that follows the one that wrote it, and by no other.
"""

import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakehouse.contracts.model import Column, Contract
from lakehouse.contracts.personal import safe
from lakehouse.contracts.problems import ContractError
from lakehouse.quality import calendar
from lakehouse.quality.anomalies import Verdict, judge
from lakehouse.quality.audit import ANOMALIES, check_names
from lakehouse.quality.baselines import LEAST_FIGURES, WINDOW
from lakehouse.quality.profiles import (
    CATEGORIES,
    QUANTILES,
    Figures,
    Profile,
    from_rows,
    rows_of,
    sample_bits,
    thinned,
    together,
)
from lakehouse.quality.results import CheckResult, Outcome
from lakehouse.settings import settings
from lakehouse.storage import tables
from lakehouse.storage.maintain import append_small
from lakehouse.storage.tables import Field, literal, quote

PROFILES = "ops.profiles"
JUDGED_AT_MOST = 7
"""Days of a batch that are judged, the newest ones; of a first load, whose past came with it, the newest alone."""
TOLD_AT_MOST = 6
"""Anomalies that the check's description lists."""
FAULTS_AT_MOST = 5
"""Problems of the calendar that it lists."""
GRACE = timedelta(hours=1)
"""After its end, until a day counts as over: its last file is on its way."""
_COPIED_AFTER = 48
"""Hours after the beginning of its arrival day from which a file's time is that of a copy, not of its arrival."""
_UNKNOWN_AT_MOST, _VALUE_LENGTH = 200, 100
_FORMER = timedelta(days=730)
_KEPT_DAYS = WINDOW + JUDGED_AT_MOST
"""Days, up to the newest, that judging asks for; of a table that arrives less often than daily, so many arrivals."""
_LEAST_KEPT = 2 * LEAST_FIGURES
"""Of a batch of many days, so many are measured however far apart they are."""
_SKETCH = 10
"""Distinct values are estimated with 2^10 registers: off by 3 % (one standard deviation), and a kilobyte a day and column."""
_ONE_TASK = 20_000
"""Records up to which one task reads them all: to exchange groups between tasks takes longer."""
_QUANTILES_OF = 4096
"""Records of a day up to which quantiles are of all of them; of more, about so many are drawn."""
_SETTLED = timedelta(days=7)
"""After which the rows of a batch were committed, or were written anew by a later one."""
_FIGURES = "array<struct<column_name:string,metric:string,value:double,detail:string>>"
_COLUMNS = (
    Field("table_name", "string", "The table."),
    Field("day", "date", "The arrival day."),
    Field("since", "bigint", "The batch before, exclusive; null where all of the table was profiled anew."),
    Field("batch", "bigint", "The batch up to which the day is profiled; the newest of a day counts."),
    Field("records", "bigint", "Records of the day; null where it was only judged anew."),
    Field(
        "figures",
        _FIGURES,
        "By column (empty: of the table) and metric: nulls, distinct, mean, spread, quantiles, categories, first_arrival, …; "
        "detail is JSON.",
    ),
    Field("anomalies", "string", "What was said of the day, as JSON; null where it was not judged."),
    Field("taken_at", "timestamp", "When (UTC)."),
)
_NUMBERS = ("tinyint", "smallint", "int", "bigint", "float", "double")


@dataclass(frozen=True)
class Arrived:
    """What a batch brought of one arrival day."""

    records: int
    first: float | None = None
    last: float | None = None
    """When its first and its last file was written, in hours after the day began."""


@dataclass(frozen=True)
class Watched:
    """The days that a batch changed, as they look now, and what is said of them."""

    days: Mapping[date, Profile]
    verdicts: tuple[Verdict, ...]
    result: CheckResult
    history: Mapping[date, Profile]
    """Those days, and those that they were judged by."""


def ensure_table(spark: SparkSession, storage: str) -> None:
    tables.ensure(
        spark, storage, PROFILES, _COLUMNS, comment="What arrival days look like. One row per table, day and batch."
    )


def watch(
    spark: SparkSession,
    storage: str,
    contract: Contract,
    parsed: DataFrame,
    since: int | None,
    batch: int,
    days: Mapping[date, Arrived],
    now: datetime | None = None,
) -> Watched:
    """Profiles a batch (`parsed`) of some `days`, in order, together with what was known of those days, and judges them by
    the days before it. `since`: the batch up to which the table was profiled before; None: the batch is all of the table.
    Reads the calendar of special days that the settings name; where it cannot be read, no day is judged, and the check warns
    of it. Writes nothing: see `remember`."""
    now = now or datetime.now(UTC)
    try:
        special, unread = calendar.days_of(calendar.load(settings()), contract.table), None
    except ContractError as error:
        special, unread = {}, error
    known, is_whole = known_days(spark, storage, contract.table, since, list(days)) if since is not None else ({}, True)
    fresh = measure(parsed, contract, days, _small_columns(known))
    changed = {day: together(known[day], one) if day in known else one for day, one in fresh.items()}
    if changed and not is_whole:
        changed |= {min(changed): replace(changed[min(changed)], is_partial=True)}
    if known and is_whole:
        changed |= {day: Profile(0) for day in _missing({**known, **changed}, max(known), special)}
    history = {**known, **changed}
    if unread is not None:
        return Watched(changed, (), unjudged(contract, unread, batch), history)
    over = [day for day in sorted(history) if _end(day) + GRACE <= now.replace(tzinfo=None)]
    newest = (
        set(over[-1:]) if since is None else {*over[-1:], *[day for day in over if day in changed][-JUDGED_AT_MOST:]}
    )
    asked = sorted(newest | {day for day in changed if day not in over})
    watched = contract.anomalies
    verdicts = tuple(
        judge(
            history,
            day,
            is_complete=day in newest,
            ignore=watched.ignore,
            sensitivity=watched.sensitivity,
            special=special,
        )
        for day in asked
    )
    return Watched(changed, verdicts, check(contract, verdicts, fresh, batch), history)


def _missing(history: Mapping[date, Profile], known: date, special: Collection[date]) -> list[date]:
    """Days after the newest that was known and before the newest of all on which nothing arrived, while something did on that
    weekday of each of the four weeks before. Special days are not missed, and others are not measured by them."""
    between = [known + timedelta(days=n) for n in range(1, (max(history) - known).days)]
    return [
        day
        for day in between[-JUDGED_AT_MOST:]
        if day not in history
        and day not in special
        and (usual := {day - timedelta(weeks=n) for n in range(1, 5)}.difference(special))
        and usual <= history.keys()
    ]


def _end(day: date) -> datetime:
    return datetime(day.year, day.month, day.day) + timedelta(days=1)


def check(contract: Contract, verdicts: Sequence[Verdict], brought: Collection[date], batch: int) -> CheckResult:
    """The anomalies of all judged days as one check. It can only fail for days that the batch `brought`."""
    description, dimension, can_block = check_names(contract)[ANOMALIES]
    found = [(verdict.day, one) for verdict in reversed(verdicts) for one in verdict.anomalies]
    outcome: Outcome = "warn" if found else "pass"
    if can_block and any(day in brought for day, _ in found):
        outcome = "fail"
    silent = next((verdict.reservation for verdict in reversed(verdicts) if verdict.silent), None)
    said = [f"{day}: {one.sentence}" for day, one in found[:TOLD_AT_MOST]]
    if len(found) > TOLD_AT_MOST:
        said.append(f"… and {len(found) - TOLD_AT_MOST} more")
    if silent is not None and not found:
        said.append(silent)
    said += [verdict.reservation for verdict in reversed(verdicts) if verdict.special]
    return CheckResult(
        table=contract.table,
        name=ANOMALIES,
        kind="anomaly",
        dimension=dimension,
        outcome=outcome,
        value=float(len(found)),
        threshold="0 anomalies",
        description="\n".join([description, *said]),
        batch=batch,
        severity="error" if can_block else "warning",
        samples=tuple(
            {
                "day": str(day),
                "kind": one.kind,
                "column": one.column or "",
                "what": one.what,
                "expected": one.expected,
                "found": one.found,
                "probability": round(one.probability, 4),
            }
            for day, one in found
        ),
    )


def unjudged(contract: Contract, unread: ContractError, batch: int) -> CheckResult:
    """The check of a batch whose days were not judged, since the calendar of special days cannot be read. It warns, whatever
    the contract makes of anomalies: a batch is not held back for a fault in another file."""
    description, dimension, can_block = check_names(contract)[ANOMALIES]
    lost = "It could not be evaluated: the calendar of special days cannot be read (`lakehouse contract check`)."
    faults = [str(problem) for problem in unread.problems[:FAULTS_AT_MOST]]
    if len(unread.problems) > FAULTS_AT_MOST:
        faults.append(f"… and {len(unread.problems) - FAULTS_AT_MOST:,} more")
    return CheckResult(
        table=contract.table,
        name=ANOMALIES,
        kind="anomaly",
        dimension=dimension,
        outcome="warn",
        value=None,
        threshold="0 anomalies",
        description="\n".join([description, lost, *faults]),
        batch=batch,
        severity="error" if can_block else "warning",
    )


# --- the query -----------------------------------------------------------------------------------------------------


def arrived(raw: DataFrame) -> tuple[dict[date, Arrived], list[str]]:
    """(what a batch, as bronze has it, brought of each arrival day, by day; its header lines), in one pass."""
    hours = "(unix_micros({}(file_modified_at)) - unix_micros(cast(arrived_on as timestamp))) / 3600000000"
    ends = (F.expr(hours.format(which)).alias(which) for which in ("min", "max"))
    # Grouped by the header too, instead of gathering them: sets of many groups are gathered from sorted rows.
    found: dict[date, list[Any]] = {}
    headers = set()
    for row in raw.groupBy("arrived_on", "header").agg(F.count("*").alias("records"), *ends).collect():
        found.setdefault(row["arrived_on"], []).append(row)
        headers.add(row["header"])
    days = {
        day: Arrived(
            sum(row["records"] for row in rows),
            min((row["min"] for row in rows if row["min"] is not None), default=None),
            max((row["max"] for row in rows if row["max"] is not None), default=None),
        )
        for day, rows in sorted(found.items())
    }
    return days, sorted(headers - {None})


def measure(
    parsed: DataFrame, contract: Contract, days: Mapping[date, Arrived], small: Sequence[str] | None
) -> dict[date, Profile]:
    """Profiles by arrival day: of the newest days in full, of those that nothing will be judged by the records alone.
    `small`: the columns that are known to have few values, whose shares are counted; None: not known yet, which costs a
    second query."""
    asked = _measured(list(days))
    if not asked:
        return {}
    landed = sum(days[day].records for day in asked)
    rows = parsed.where("_unreadable is null and _without_row is null")
    if len(asked) < len(days):
        rows = rows.where(f"_arrived_on >= date'{asked[0]}'")
    if landed <= _ONE_TASK:
        rows = rows.coalesce(1)
    parts = [_figures_query(rows, contract, landed // len(asked))]
    if small:
        parts.append(_categories_query(rows, contract, small))
    told = _collected(parts)
    figures = told.get("figures", {})
    if small is None:
        small = [
            column.name
            for column in _may_be_small(contract)
            if all(said.get(f"distinct {column.name}", 0) <= 1.25 * CATEGORIES for said in figures.values())
        ]
        if small:
            told |= _collected([_categories_query(rows, contract, small)])
    older = {day: Profile(days[day].records, is_partial=True) for day in days if day < asked[0]}
    categories = told.get("categories", {})
    return older | {
        day: _profile(contract, figures[day], days.get(day, Arrived(0)), categories.get(day, {}), small)
        for day in sorted(figures)
    }


def _measured(days: Sequence[date]) -> Sequence[date]:
    """Those of a batch's days (in order) that later ones will be judged by."""
    return [day for day in days if day > days[-1] - timedelta(days=_KEPT_DAYS) or day in days[-_LEAST_KEPT:]]


def _collected(parts: Sequence[DataFrame]) -> dict[str, dict[date, dict[str, Any]]]:
    """part → day → what it says of the day."""
    told: dict[str, dict[date, dict[str, Any]]] = {}
    for row in reduce(lambda one, other: one.unionByName(other), parts).collect():
        told.setdefault(row["part"], {}).setdefault(row["day"], {}).update(json.loads(row["told"]))
    return told


def _told(part: str, of: Mapping[str, str]) -> tuple[str, str]:
    """Two columns: the part, and JSON of what it says."""
    listed = ", ".join(f"{literal(name)}, {expression}" for name, expression in of.items())
    return f"'{part}' as part", f"to_json(named_struct({listed})) as told"


def _is_number(column: Column) -> bool:
    return column.type in _NUMBERS or column.type.startswith("decimal")


def _is_scalar(column: Column) -> bool:
    return not column.type.startswith(("array<", "map<", "struct<"))


def _may_be_small(contract: Contract) -> list[Column]:
    """Columns whose values may be counted: text and truth values."""
    return [column for column in contract.columns if column.type in ("string", "boolean") and _may_be_told(column)]


def _may_be_told(column: Column) -> bool:
    """Whether values of the column may be in a profile: it has no mask."""
    return column.mask is None and column.classification != "pii"


def _figures_query(rows: DataFrame, contract: Contract, records: int) -> DataFrame:
    """`records`: of a day, on average."""
    bits = sample_bits(records / 4)
    of = {"rows": "count(*)"}
    drawn = "" if records <= _QUANTILES_OF else f" and pmod(xxhash64(_file, _position), {records // _QUANTILES_OF}) = 0"
    for column in contract.columns:
        name, value = column.name, quote(column.name)
        of[f"nulls {name}"] = f"count_if({value} is null and not _is_deleted)"
        if _is_scalar(column):
            hashed = f"if({value} is null, null, xxhash64({value}))"
            of[f"distinct {name}"] = f"hll_sketch_estimate(hll_sketch_agg({hashed}, {_SKETCH}))"
        if _is_number(column) and _may_be_told(column):
            # What is no number, or beyond all measure, would take the mean with it.
            number, usable = f"cast({value} as double)", f"abs(cast({value} as double)) < 1e100"
            listed = ", ".join(map(str, QUANTILES))
            of[f"mean {name}"] = f"avg({number}) filter (where {usable})"
            of[f"spread {name}"] = f"stddev_pop({number}) filter (where {usable})"
            of[f"quantiles {name}"] = (
                f"percentile_approx({number}, array({listed}), 1000) filter (where {usable}{drawn})"
            )
    of["sample"] = f"collect_set(if(pmod(_hash, {2**bits}) = 0, _hash, null))"
    of["unknown"] = f"slice(array_distinct(flatten(collect_set(json_object_keys(_rescued)))), 1, {_UNKNOWN_AT_MOST})"
    of["bits"] = str(bits)
    names = {name: f"m{i}" for i, name in enumerate(of)}
    measured = rows.groupBy("_arrived_on").agg(*(F.expr(text).alias(names[name]) for name, text in of.items()))
    return measured.selectExpr("_arrived_on as day", *_told("figures", {name: names[name] for name in of}))


def _categories_query(rows: DataFrame, contract: Contract, small: Sequence[str]) -> DataFrame:
    """Records by value of each of the columns; of a column with too many values, how many there are."""
    listed = ", ".join(f"{literal(name)}, left(cast({quote(name)} as string), {_VALUE_LENGTH})" for name in small)
    values = rows.selectExpr("_arrived_on", f"stack({len(small)}, {listed}) as (name, value)").where(
        "value is not null"
    )
    counted = values.groupBy("_arrived_on", "name", "value").agg(F.expr("count(*) as records"))
    gathered = counted.groupBy("_arrived_on", "name").agg(
        F.expr(f"slice(collect_list(struct(value, records)), 1, {2 * CATEGORIES + 1}) as pairs")
    )
    return gathered.selectExpr(
        "_arrived_on as day", "'categories' as part", "to_json(map(name, map_from_entries(pairs))) as told"
    )


def _profile(
    contract: Contract,
    said: Mapping[str, Any],
    of: Arrived,
    categories: Mapping[str, Mapping[str, int]],
    small: Sequence[str],
) -> Profile:
    rows = int(said["rows"])
    bits = max(sample_bits(rows), int(said["bits"]))
    is_copy = of.first is None or of.last is None or of.first < 0 or of.last > _COPIED_AFTER
    return Profile(
        rows=rows,
        columns={
            column.name: _figures(column.name, said, categories.get(column.name, {}) if column.name in small else None)
            for column in contract.columns
        },
        first_arrival=None if is_copy else of.first,
        last_arrival=None if is_copy else of.last,
        unknown=frozenset(map(safe, said.get("unknown") or ())),
        sample=thinned(said["sample"], bits),
        sample_bits=bits,
    )


def _figures(name: str, said: Mapping[str, Any], categories: Mapping[str, int] | None) -> Figures:
    quantiles = said.get(f"quantiles {name}")
    distinct = said.get(f"distinct {name}")
    if categories is not None and len(categories) > 2 * CATEGORIES:
        categories = None
    return Figures(
        nulls=int(said[f"nulls {name}"]),
        distinct=None if distinct is None else float(distinct if categories is None else len(categories)),
        mean=said.get(f"mean {name}"),
        spread=said.get(f"spread {name}"),
        quantiles=tuple(quantiles) if quantiles else None,
        categories=categories,
    )


def _small_columns(known: Mapping[date, Profile]) -> list[str] | None:
    """The columns whose values were counted on the newest day; None where no day is known."""
    if not known:
        return None
    newest = known[max(known)]
    return [name for name, figures in newest.columns.items() if figures.categories is not None]


# --- the table -----------------------------------------------------------------------------------------------------


def known_days(
    spark: SparkSession, storage: str, table: str, upto: int, days: Sequence[date]
) -> tuple[dict[date, Profile], bool]:
    """(the days of a table that one needs to judge `days` (in order) and those after them, as they were known after the batch
    `upto`; whether that batch was profiled). Where it was not, the newest day is partial: some of its records may be
    unknown."""
    if not days:
        return {}, True
    kept = _kept(storage, table, upto)
    if kept and min(kept) <= days[0] and days[-1] + timedelta(days=JUDGED_AT_MOST) >= max(kept):
        return kept, True
    return read(spark, table, upto, days)


def read(spark: SparkSession, table: str, upto: int, days: Sequence[date]) -> tuple[dict[date, Profile], bool]:
    """As `known_days`, from ops.profiles."""
    if not tables.exists(spark, PROFILES):
        return {}, False
    found = _read(spark, table, upto, days[-1] - timedelta(days=_KEPT_DAYS), days)
    if len(found) < WINDOW / 2:  # a table that arrives less often than daily
        found = _read(spark, table, upto, days[-1] - _FORMER, days)
    rebuilt = max((row["rebuilt"] for row in found if row["rebuilt"] is not None), default=0)
    known = {row["day"]: _loaded(json.loads(row["last"]["told"])) for row in found if row["last"]["batch"] >= rebuilt}
    is_whole = any(row["last"]["batch"] == upto for row in found)
    if known and not is_whole:
        known |= {max(known): replace(known[max(known)], is_partial=True)}
    return known, is_whole


def _read(spark: SparkSession, table: str, upto: int, after: date, days: Sequence[date]) -> list[Any]:
    """One row a day after `after`, and for each of `days`: its newest, with the figures as one text, since each row that is
    fetched costs more than to make it."""
    older = ", ".join(f"date'{day}'" for day in days if day <= after)
    asked = f"(day > date'{after}'" + (f" or day in ({older}))" if older else ")")
    return spark.sql(
        f"""select day, max(struct(batch, taken_at, to_json(figures) as told)) as last,
                max(if(since is null, batch, null)) as rebuilt
            from {PROFILES}
            where table_name = {literal(table)} and batch <= {upto} and {asked} and figures is not null
            group by day order by day"""
    ).collect()


def _loaded(figures: Sequence[Mapping[str, Any]]) -> Profile:
    return from_rows([(one["column_name"], one["metric"], one.get("value"), one.get("detail")) for one in figures])


def _told_of(profile: Profile) -> list[dict[str, Any]]:
    return [dict(zip(("column_name", "metric", "value", "detail"), row, strict=True)) for row in rows_of(profile)]


def remember(
    spark: SparkSession, storage: str, contract: Contract, watched: Watched, since: int | None, batch: int
) -> None:
    """Appends the days of a batch, and the anomalies of those that were judged, to ops.profiles; and keeps what the next
    batch will ask for."""
    taken_at = datetime.now(UTC)
    said = {verdict.day: verdict for verdict in watched.verdicts}
    rows = [
        (
            contract.table,
            day,
            since,
            batch,
            watched.days[day].rows if day in watched.days else None,
            json.dumps(_told_of(watched.days[day])) if day in watched.days else None,
            _anomalies(said[day]) if day in said else None,
            taken_at,
        )
        for day in sorted({*watched.days, *said})
    ]
    if not rows:
        return
    plain = [replace(field, type="string") if field.name == "figures" else field for field in _COLUMNS]
    typed = [
        f"from_json(figures, '{_FIGURES}') as figures" if field.name == "figures" else field.name for field in _COLUMNS
    ]
    append_small(tables.local_rows(spark, rows, plain).selectExpr(*typed), PROFILES)
    _keep(storage, contract.table, batch, watched.history)


def _anomalies(verdict: Verdict) -> str:
    told = [
        {
            "kind": one.kind,
            "column": one.column,
            "what": one.what,
            "expected": one.expected,
            "found": one.found,
            "probability": round(one.probability, 4),
        }
        for one in verdict.anomalies
    ]
    said: Any = told
    if verdict.silent:
        said = {"silent": verdict.silent}
    elif verdict.special:
        said = {"special": verdict.special, "anomalies": told}
    return json.dumps(said, ensure_ascii=False)


def expire(spark: SparkSession) -> int:
    """Removes from ops.profiles what a later batch has said anew. Returns how many rows. Idempotent."""
    if not tables.exists(spark, PROFILES):
        return 0
    settled = f"taken_at < timestamp'{(datetime.now(UTC) - _SETTLED).isoformat()}'"
    newest = spark.sql(
        f"""select table_name, day,
            max(struct(batch, taken_at)) filter (where figures is not null) as profiled,
            max(struct(batch, taken_at)) filter (where anomalies is not null) as judged
        from {PROFILES}
        where {settled}
        group by table_name, day"""
    )
    old = " and ".join(
        f"(target.{name} is null or struct(target.batch, target.taken_at) < source.{by})"
        for name, by in (("figures", "profiled"), ("anomalies", "judged"))
    )
    same = "target.table_name = source.table_name and target.day = source.day"
    return tables.merge(newest, PROFILES, f"{same} and target.{settled} and {old}", "when matched then delete")


# --- what the next batch will ask for ------------------------------------------------------------------------------


def _place(storage: str, table: str) -> Path:
    return Path(storage) / "_staging" / f"{table}.profiles.json"


def _keep(storage: str, table: str, batch: int, history: Mapping[date, Profile]) -> None:
    if "://" in storage:
        return
    newest = sorted(history)[-_KEPT_DAYS:]
    kept = {str(day): _told_of(history[day]) for day in newest if day > newest[-1] - _FORMER}
    place = _place(storage, table)
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.with_suffix(".draft")
    draft.write_text(json.dumps({"batch": batch, "days": kept}), encoding="utf-8")
    os.replace(draft, place)


def _kept(storage: str, table: str, batch: int) -> dict[date, Profile]:
    """What was kept after the batch; nothing where another one was the last to keep anything, or tidying removed it."""
    if "://" in storage:
        return {}
    try:
        kept = json.loads(_place(storage, table).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}  # a machine that lost power leaves half a file; the table has it all
    if kept["batch"] != batch:
        return {}
    return {date.fromisoformat(day): _loaded(figures) for day, figures in kept["days"].items()}
