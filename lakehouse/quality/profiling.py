"""Profiles of arrival days, measured by one query a batch and kept in `ops.profiles`; and the check `anomalies`.

A row of `ops.profiles` says what the day looked like when a batch was taken: all of the day up to that batch. The newest
batch's rows of a day count, whatever was written before; so a batch may be taken again after a crash.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakehouse.contracts.model import Column, Contract
from lakehouse.quality.anomalies import Verdict, judge
from lakehouse.quality.audit import ANOMALIES, check_names
from lakehouse.quality.baselines import WINDOW
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
from lakehouse.storage import tables
from lakehouse.storage.maintain import append_small
from lakehouse.storage.tables import Field, literal, quote

PROFILES = "ops.profiles"
JUDGED_AT_MOST = 7
"""Days of a batch that are judged, the newest ones; of a first load, whose past came with it, the newest alone."""
TOLD_AT_MOST = 6
"""Anomalies that the check's description lists."""
GRACE = timedelta(hours=1)
"""After its end, until a day counts as over: its last file is on its way."""
_COPIED_AFTER = 48
"""Hours after the beginning of its arrival day from which a file's time is that of a copy, not of its arrival."""
_UNKNOWN_AT_MOST, _VALUE_LENGTH = 200, 100
_FORMER = timedelta(days=730)
_COLUMNS = (
    Field("table_name", "string", "The table."),
    Field("day", "date", "The arrival day."),
    Field("since", "bigint", "The batch before, exclusive; null where all of the table was profiled anew."),
    Field("batch", "bigint", "The batch up to which the day is profiled; the newest of a day counts."),
    Field("column_name", "string", "The column; empty for the table."),
    Field(
        "metric", "string", "rows, nulls, distinct, mean, spread, quantiles, categories, first_arrival, anomalies, …"
    ),
    Field("value", "double", "The figure."),
    Field("detail", "string", "JSON: quantiles, records by category, fields, a sample of hashes, the anomalies."),
    Field("taken_at", "timestamp", "When (UTC)."),
)
_NUMBERS = ("tinyint", "smallint", "int", "bigint", "float", "double")


@dataclass(frozen=True)
class Watched:
    """The days that a batch changed, as they look now, and what is said of them."""

    days: Mapping[date, Profile]
    verdicts: tuple[Verdict, ...]
    result: CheckResult


def ensure_table(spark: SparkSession, storage: str) -> None:
    tables.ensure(
        spark, storage, PROFILES, _COLUMNS, comment="What arrival days look like. One row per day and metric."
    )


def watch(
    spark: SparkSession,
    contract: Contract,
    parsed: DataFrame,
    raw: DataFrame,
    since: int | None,
    batch: int,
    landed: int,
    days: Sequence[date],
    now: datetime | None = None,
) -> Watched:
    """Profiles a batch (`parsed`, and `raw` as bronze has it) of `landed` records on `days`, together with what was known of
    those days, and judges them by the days before. `since`: the batch up to which the table was profiled before; None:
    the batch is all of the table. Writes nothing: see `remember`."""
    now = now or datetime.now(UTC)
    known, is_whole = read(spark, contract.table, since, days[-1]) if since is not None and days else ({}, True)
    fresh = measure(parsed, raw, contract, landed, days, _small_columns(known))
    changed = {day: together(known[day], one) if day in known else one for day, one in fresh.items()}
    if changed and not is_whole:
        changed |= {min(changed): replace(changed[min(changed)], is_partial=True)}
    if known and is_whole:
        changed |= {day: Profile(0) for day in _missing({**known, **changed}, max(known))}
    history = {**known, **changed}
    over = [day for day in sorted(history) if _end(day) + GRACE <= now.replace(tzinfo=None)]
    newest = (
        set(over[-1:]) if since is None else {*over[-1:], *[day for day in over if day in changed][-JUDGED_AT_MOST:]}
    )
    asked = sorted(newest | {day for day in changed if day not in over})
    watched = contract.anomalies
    verdicts = tuple(
        judge(history, day, is_complete=day in newest, ignore=watched.ignore, sensitivity=watched.sensitivity)
        for day in asked
    )
    return Watched(changed, verdicts, check(contract, verdicts, fresh, batch))


def _missing(history: Mapping[date, Profile], known: date) -> list[date]:
    """Days after the newest that was known and before the newest of all on which nothing arrived, while something did on that
    weekday of each of the four weeks before."""
    between = [known + timedelta(days=n) for n in range(1, (max(history) - known).days)]
    return [
        day
        for day in between[-JUDGED_AT_MOST:]
        if day not in history and all((day - timedelta(weeks=n)) in history for n in range(1, 5))
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
    silent = next((verdict for verdict in reversed(verdicts) if verdict.silent), None)
    said = [f"{day}: {one.sentence}" for day, one in found[:TOLD_AT_MOST]]
    if len(found) > TOLD_AT_MOST:
        said.append(f"… and {len(found) - TOLD_AT_MOST} more")
    if silent is not None and not found:
        said.append(f"Nothing is said of {silent.day}: {silent.silent}.")
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


# --- the query -----------------------------------------------------------------------------------------------------


def measure(
    parsed: DataFrame,
    raw: DataFrame,
    contract: Contract,
    landed: int,
    days: Sequence[date],
    small: Sequence[str] | None,
) -> dict[date, Profile]:
    """Profiles by arrival day. `small`: the columns that are known to have few values, whose shares are counted; None: not
    known yet, which costs a second query."""
    bits = sample_bits(landed / max(len(days), 1) / 4)
    rows = parsed.where("_unreadable is null and _without_row is null")
    parts = [_figures_query(rows, contract, bits), _arrival_query(raw)]
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
    return {
        day: _profile(
            contract, said, told.get("arrival", {}).get(day, {}), told.get("categories", {}).get(day, {}), small
        )
        for day, said in figures.items()
    }


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


def _figures_query(rows: DataFrame, contract: Contract, bits: int) -> DataFrame:
    of = {"rows": "count(*)"}
    for column in contract.columns:
        name, value = column.name, quote(column.name)
        of[f"nulls {name}"] = f"count_if({value} is null and not _is_deleted)"
        if _is_scalar(column):
            of[f"distinct {name}"] = f"approx_count_distinct({value})"
        if _is_number(column) and _may_be_told(column):
            # What is no number, or beyond all measure, would take the mean with it.
            number = f"if(abs(cast({value} as double)) < 1e100, cast({value} as double), null)"
            listed = ", ".join(map(str, QUANTILES))
            of[f"mean {name}"] = f"avg({number})"
            of[f"spread {name}"] = f"stddev_pop({number})"
            of[f"quantiles {name}"] = f"percentile_approx({number}, array({listed}), 1000)"
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


def _arrival_query(raw: DataFrame) -> DataFrame:
    hours = "(unix_micros(file_modified_at) - unix_micros(cast(arrived_on as timestamp))) / 3600000000"
    arrived = raw.selectExpr("arrived_on as day", f"{hours} as hours").groupBy("day")
    ends = arrived.agg(F.expr("min(hours) as first"), F.expr("max(hours) as last"))
    return ends.selectExpr("day", *_told("arrival", {"first": "first", "last": "last"}))


def _profile(
    contract: Contract,
    said: Mapping[str, Any],
    arrival: Mapping[str, float],
    categories: Mapping[str, Mapping[str, int]],
    small: Sequence[str],
) -> Profile:
    rows = int(said["rows"])
    bits = max(sample_bits(rows), int(said["bits"]))
    first, last = arrival.get("first"), arrival.get("last")
    is_copy = first is None or last is None or first < 0 or last > _COPIED_AFTER
    return Profile(
        rows=rows,
        columns={
            column.name: _figures(column.name, said, categories.get(column.name, {}) if column.name in small else None)
            for column in contract.columns
        },
        first_arrival=None if is_copy else first,
        last_arrival=None if is_copy else last,
        unknown=frozenset(said.get("unknown") or ()),
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


def read(spark: SparkSession, table: str, upto: int, day: date) -> tuple[dict[date, Profile], bool]:
    """(the days of a table that one needs to judge `day` and those after it, as they were known after the batch `upto`;
    whether that batch was profiled). Where it was not, the newest day is partial: some of its records may be unknown."""
    if not tables.exists(spark, PROFILES):
        return {}, False
    found = _read(spark, table, upto, day - timedelta(days=WINDOW + JUDGED_AT_MOST))
    if len(found) < WINDOW / 2:  # a table that arrives less often than daily
        found = _read(spark, table, upto, day - _FORMER)
    rebuilt = max((row["rebuilt"] for row in found if row["rebuilt"] is not None), default=0)
    known = {
        row["day"]: from_rows(
            [(one["c"], one["m"], one.get("v"), one.get("d")) for one in json.loads(row["last"]["told"])]
        )
        for row in found
        if row["last"]["batch"] >= rebuilt
    }
    is_whole = any(row["last"]["batch"] == upto for row in found)
    if known and not is_whole:
        known |= {max(known): replace(known[max(known)], is_partial=True)}
    return known, is_whole


def _read(spark: SparkSession, table: str, upto: int, after: date) -> list[Any]:
    """One row a day; the rows of its newest batch as one text, since each row that is fetched costs more than to make it."""
    return spark.sql(
        f"""select day, max(struct(batch, taken_at, told)) as last, max(if(since is null, batch, null)) as rebuilt from (
            select day, batch, taken_at, max(since) as since,
                to_json(collect_list(struct(column_name as c, metric as m, value as v, detail as d))) as told
            from {PROFILES}
            where table_name = {literal(table)} and batch <= {upto} and day > date'{after}' and metric <> 'anomalies'
            group by day, batch, taken_at
        ) group by day order by day"""
    ).collect()


def remember(spark: SparkSession, contract: Contract, watched: Watched, since: int | None, batch: int) -> None:
    """Appends the days of a batch, and the anomalies of those that were judged, to ops.profiles."""
    taken_at = datetime.now(UTC)
    found = [(day, *row) for day, profile in watched.days.items() for row in rows_of(profile)]
    for verdict in watched.verdicts:
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
        detail = json.dumps({"silent": verdict.silent} if verdict.silent else told, ensure_ascii=False)
        found.append((verdict.day, "", "anomalies", None if verdict.silent else float(len(told)), detail))
    if not found:
        return
    rows = [
        (contract.table, day, since, batch, column, metric, value, detail, taken_at)
        for day, column, metric, value, detail in found
    ]
    append_small(tables.local_rows(spark, rows, _COLUMNS), PROFILES)
