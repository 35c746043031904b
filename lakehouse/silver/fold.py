"""Which version of a row wins: pure functions from events (one row a record) to the rows of a state table.

An event has the key columns, `_sequence` (a struct that orders the versions of a key), `_is_deleted`, `_hash`, and the
contract's columns. Each function also says what became of every record (`disposition`), so that rows are conserved.
The rules follow the public semantics of AUTO CDC: highest sequence wins, deletes leave a tombstone, history is
half-open intervals, and the result does not depend on the order of arrival.
"""

from collections.abc import Callable, Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.storage.tables import Field, local_rows, quote

APPLIED, NOOP, DUPLICATE, SUPERSEDED, DELETED = "applied", "noop", "duplicate", "superseded", "deleted"
QUARANTINED, TOO_LATE, REJECTED = "quarantined", "too_late", "rejected"
DISPOSITIONS = (APPLIED, NOOP, DUPLICATE, SUPERSEDED, DELETED, QUARANTINED, TOO_LATE, REJECTED)
"""Every source record gets exactly one."""


def _keys(keys: Sequence[str]) -> str:
    return ", ".join(map(quote, keys))


def _same_key(left: str, right: str, keys: Sequence[str]) -> str:
    return " and ".join(f"{left}.{quote(key)} = {right}.{quote(key)}" for key in keys)


def fold_current(events: DataFrame, state: DataFrame | None, keys: Sequence[str]) -> DataFrame:
    """The latest version of each key (SCD1): `events` with a column `disposition`.

    Rows to be merged into the state are those whose disposition is applied, noop or deleted: at most one a key, and
    newer than what `state` (None: an empty table) holds. A no-op (same content, newer sequence) is merged too: its
    sequence is what later decides about an older event.
    """
    ranked = events.selectExpr(
        "*",
        f"row_number() over (partition by {_keys(keys)} order by _sequence desc, _file, _position) as _rank",
        f"lag(_sequence) over (partition by {_keys(keys)} order by _sequence desc, _file, _position) as _newer",
    )
    if state is None:
        against = "when _is_deleted then 'deleted' else 'applied'"
        joined = ranked.alias("e")
    else:
        joined = ranked.alias("e").join(
            state.selectExpr(
                *map(quote, keys),
                "_sequence as _state_sequence",
                "_hash as _state_hash",
                "_is_deleted as _state_is_deleted",
            ).alias("s"),
            F.expr(_same_key("e", "s", keys)),
            "left",
        )
        against = """when _sequence = _state_sequence then 'duplicate'
            when _sequence < _state_sequence then 'superseded'
            when _is_deleted and _state_is_deleted then 'noop'
            when _is_deleted then 'deleted'
            when _hash = _state_hash and not _state_is_deleted then 'noop'
            else 'applied'"""
    return joined.selectExpr(
        "e.*",
        f"case when _newer = _sequence then 'duplicate' when _rank > 1 then 'superseded' {against} end as disposition",
    ).drop("_rank", "_newer")


HISTORY_COLUMNS = ("valid_from", "valid_to", "_is_visible")


def fold_history(events: DataFrame, state: DataFrame | None, keys: Sequence[str]) -> DataFrame:
    """Every version of each touched key with its time of validity (SCD2).

    In: `events`, and `state`: all retained events of the table. Out: all events of the touched keys, the old ones and
    the new, with `valid_from`, `valid_to` (half-open; of the type of the sequence's first part), `_is_visible`,
    `disposition` (of new events; NULL for those that the state held) and `_is_stale` (true where the state's row has
    other intervals than it should have now).

    Consecutive events of equal content are one run: it is seen with its head's start and its tail's values; the others
    stay hidden, because a late event may fall between them. A delete ends a run and starts none.
    """
    columns = [name for name in events.columns if name not in HISTORY_COLUMNS]
    once = events.selectExpr(
        *map(quote, columns),
        f"row_number() over (partition by {_keys(keys)}, _sequence order by _file, _position) as _copy",
    )
    new = once.selectExpr(
        "*",
        "true as _is_new",
        "cast(null as boolean) as _old_visible",
        "_sequence.s0 as _old_from",
        "_sequence.s0 as _old_to",
    )
    everything = new
    if state is not None:
        touched = events.selectExpr(*map(quote, keys)).distinct()
        held = state.join(touched, list(keys), "left_semi").selectExpr(
            *(quote(name) if name in state.columns else f"null as {quote(name)}" for name in columns),
            "0 as _copy",
            "false as _is_new",
            "_is_visible as _old_visible",
            "valid_from as _old_from",
            "valid_to as _old_to",
        )
        everything = new.unionByName(held)
    by_key = f"partition by {_keys(keys)} order by _sequence, _copy, _file, _position"
    # A copy of an event (same key and sequence) takes no part in the runs: it is told apart first, as a duplicate.
    copies = everything.selectExpr(
        "*",
        f"row_number() over (partition by {_keys(keys)}, _sequence order by _copy, _file, _position) > 1 as _is_copy",
    )
    heads = copies.where("not _is_copy").selectExpr(
        "*",
        f"not _is_deleted and (lag(_hash) over ({by_key}) is null or lag(_is_deleted) over ({by_key}) "
        f"or lag(_hash) over ({by_key}) <> _hash) as _is_head",
    )
    tails = heads.selectExpr(
        "*",
        f"max(if(_is_head, _sequence.s0, null)) over ({by_key}) as _from",
        f"coalesce(lead(_is_head or _is_deleted) over ({by_key}), true) as _is_tail",
        f"lead(_sequence.s0) over ({by_key}) as _next",
    )
    folded = tails.selectExpr(
        *map(quote, columns),
        "if(_is_deleted, _sequence.s0, _from) as valid_from",
        "case when _is_deleted then _sequence.s0 when _is_tail then _next end as valid_to",
        "not _is_deleted and _is_tail and (_next is null or _next > _from) as _is_visible",
        "case when not _is_new then null when _is_deleted then 'deleted' when _is_head then 'applied' else 'noop' end "
        "as disposition",
        "_is_new",
        "_old_from",
        "_old_to",
        "_old_visible",
    ).selectExpr(
        *map(quote, columns),
        *HISTORY_COLUMNS,
        "disposition",
        "not _is_new and not (_old_from <=> valid_from and _old_to <=> valid_to and _old_visible <=> _is_visible) "
        "as _is_stale",
    )
    duplicates = copies.where("_is_copy and _is_new").selectExpr(
        *map(quote, columns),
        "_sequence.s0 as valid_from",
        "_sequence.s0 as valid_to",
        "false as _is_visible",
        "'duplicate' as disposition",
        "false as _is_stale",
    )
    return folded.unionByName(duplicates)


def snapshot_events(
    rows: DataFrame,
    present: DataFrame,
    state: DataFrame | None,
    keys: Sequence[str],
    days: Sequence[date],
    incomplete: Sequence[date],
    last: date | None,
    keep: Callable[[DataFrame], DataFrame] = lambda frame: frame,
) -> tuple[DataFrame, DataFrame]:
    """Full snapshots as change events.

    In: `rows`, the usable records of the snapshots of `days` (each with `_arrived_on`); `present`, keys and
    `_arrived_on` of records that are in quarantine but whose key can be read; `state`, the visible rows after the
    snapshot of day `last` (both None on the first run); `incomplete`, days with records whose key cannot be read.
    Every day is later than `last`. `keep` may persist the frame that it is given, which is read three times.

    Out: (changed rows, with `_is_deleted` true for a key that a snapshot no longer has; keys and `_arrived_on` of the
    records that change nothing, with `disposition` noop or duplicate). A key is taken for deleted on the first complete
    snapshot that lacks it: one that is in quarantine is there, and a snapshot with unreadable records may hold any
    key, so it deletes none.
    """
    judged = keep(_judged_sightings(rows, present, state, keys, days, incomplete, last))
    changed = judged.where("_is_change").select("_file", "_position")
    upserts = rows.join(changed, ["_file", "_position"], "left_semi")
    types = {field.name: field.dataType.simpleString() for field in rows.schema}
    told = {
        "_is_deleted": "true",
        "_arrived_on": "_deletes_on",
        "_sequence": "named_struct('s0', cast(_deletes_on as timestamp), 'tie', 0L)",
        "_hash": "cast(0 as bigint)",
        **{key: quote(key) for key in keys},
    }
    deletes = judged.where("_is_lapsing").selectExpr(
        *(f"{told.get(name, f'cast(null as {types[name]})')} as {quote(name)}" for name in rows.columns)
    )
    others = judged.where("_kind = 'row' and not _is_change").selectExpr(
        *map(quote, keys), "_arrived_on", "if(_is_copy, 'duplicate', 'noop') as disposition"
    )
    return upserts.select(*rows.columns).unionByName(deletes), others


def _judged_sightings(
    rows: DataFrame,
    present: DataFrame,
    state: DataFrame | None,
    keys: Sequence[str],
    days: Sequence[date],
    incomplete: Sequence[date],
    last: date | None,
) -> DataFrame:
    """Every sighting of a key in a snapshot, without its payload (a year of snapshots is sorted here): whether it is a
    copy of another, changes the key (`_is_change`), and whether the key is gone by the day `_deletes_on` (`_is_lapsing`).
    """
    known = [*([last] if last else []), *days]
    following = {day: next((later for later in days if later > day and later not in incomplete), None) for day in known}
    calendar = local_rows(
        rows.sparkSession, list(following.items()), [Field("_arrived_on", "date"), Field("_deletes_on", "date")]
    )
    sequence = rows.schema["_sequence"].dataType.simpleString()
    unplaced = (
        f"cast(null as {sequence}) as _sequence",
        "cast(null as string) as _file",
        "cast(null as bigint) as _position",
    )
    sightings = rows.selectExpr(
        *map(quote, keys), "_arrived_on", "_hash", "_sequence", "_file", "_position", "'row' as _kind"
    ).unionByName(
        present.selectExpr(*map(quote, keys), "_arrived_on")
        .distinct()
        .selectExpr("*", "cast(null as bigint) as _hash", *unplaced, "'present' as _kind")
    )
    if state is not None and last is not None:
        sightings = sightings.unionByName(
            state.selectExpr(*map(quote, keys), f"date'{last}' as _arrived_on", "_hash", *unplaced, "'held' as _kind")
        )
    # One order for all windows, so that they share one sort.
    by_key = f"partition by {_keys(keys)} order by _arrived_on, _kind desc, _sequence desc, _file, _position"
    told_apart = sightings.join(F.broadcast(calendar), "_arrived_on", "left").selectExpr(
        "*",
        f"coalesce(lag(_arrived_on) over ({by_key}) = _arrived_on and lag(_kind) over ({by_key}) = _kind, false) as _is_copy",
    )
    # Of several sightings on a day, the last one is followed by the next day's: that one tells whether the key is missed.
    return (
        told_apart.selectExpr("*", f"lead(_arrived_on) over ({by_key}) as _seen_again_on")
        .selectExpr(
            "*",
            "_deletes_on is not null and (_seen_again_on is null or _seen_again_on > _deletes_on) as _is_missed",
        )
        # What the key is once this sighting and the snapshots up to the next have been applied: gone, or this content;
        # NULL where the sighting tells neither, so that what was before goes on.
        .selectExpr(
            "*",
            "case when _is_missed then named_struct('hash', cast(null as bigint)) "
            "when _kind <> 'present' and not _is_copy then named_struct('hash', _hash) end as _becomes",
        )
        .selectExpr(
            "*",
            f"last_value(_becomes, true) over ({by_key} rows between unbounded preceding and 1 preceding).hash as _was",
        )
        .selectExpr(
            "*",
            "_kind = 'row' and not _is_copy and (_was is null or _was <> _hash) as _is_change",
            "_is_missed and (_kind <> 'present' or _was is not null) as _is_lapsing",
        )
    )
