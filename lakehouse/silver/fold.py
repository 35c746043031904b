"""Which version of a row wins: pure functions from events (one row a record) to the rows of a state table.

An event has the key columns, `_sequence` (a struct that orders the versions of a key), `_is_deleted`, `_hash`,
`_is_record` (false for a delete that nobody sent: it follows from a snapshot, a truncate or a change of key), and the
contract's columns, whose names never begin with `_`. Each function also says what became of every record
(`disposition`), so that rows are conserved, and which rows the state takes over (`_is_written`).
The rules follow the public semantics of AUTO CDC: highest sequence wins, deletes leave a tombstone, history is
half-open intervals, and the result does not depend on the order of arrival.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.storage.tables import Field, literal, local_rows, quote

APPLIED, NOOP, DUPLICATE, SUPERSEDED, DELETED = "applied", "noop", "duplicate", "superseded", "deleted"
QUARANTINED, TOO_LATE, REJECTED = "quarantined", "too_late", "rejected"
DISPOSITIONS = (APPLIED, NOOP, DUPLICATE, SUPERSEDED, DELETED, QUARANTINED, TOO_LATE, REJECTED)
"""Every source record gets exactly one."""


def _keys(keys: Sequence[str]) -> str:
    return ", ".join(map(quote, keys))


def _same_key(left: str, right: str, keys: Sequence[str]) -> str:
    return " and ".join(f"{left}.{quote(key)} = {right}.{quote(key)}" for key in keys)


def fold_current(events: DataFrame, state: DataFrame | None, keys: Sequence[str]) -> DataFrame:
    """The latest version of each key (SCD1): `events` with `disposition` and `_is_written`.

    Written are at most one row a key, newer than what `state` (None: an empty table) holds: what is applied, noop or
    deleted. A no-op (same content, newer sequence) is written too: its sequence is what later decides about an older
    event.
    """
    # All windows in one step, so that there is no column to take away again: that would analyze the plan once more.
    by_key = f"partition by {', '.join(f'e.{quote(key)}' for key in keys)} order by _sequence desc, _file, _position"
    ends_nothing = f"(lead(_sequence) over ({by_key}) is null and not _is_record)"
    joined = events.alias("e")
    if state is None:
        against = f"when {ends_nothing} then 'noop' when _is_deleted then 'deleted' else 'applied'"
    else:
        joined = joined.join(
            state.selectExpr(
                *map(quote, keys),
                "_sequence as _state_sequence",
                "_hash as _state_hash",
                "_is_deleted as _state_is_deleted",
            ).alias("s"),
            F.expr(_same_key("e", "s", keys)),
            "left",
        )
        against = f"""when _sequence = _state_sequence then 'duplicate'
            when _sequence < _state_sequence then 'superseded'
            when _is_deleted and _state_is_deleted then 'noop'
            when _state_sequence is null and {ends_nothing} then 'noop'
            when _is_deleted then 'deleted'
            when _hash = _state_hash and not _state_is_deleted then 'noop'
            else 'applied'"""
    return joined.selectExpr(
        "e.*",
        f"case when lag(_sequence) over ({by_key}) = _sequence then 'duplicate' "
        f"when row_number() over ({by_key}) > 1 then 'superseded' {against} end as disposition",
    ).selectExpr("*", "disposition in ('applied', 'noop', 'deleted') as _is_written")


HISTORY_COLUMNS = ("valid_from", "valid_to", "_is_visible")


def fold_events(
    events: DataFrame,
    state: DataFrame | None,
    keys: Sequence[str],
    *,
    is_history: bool = True,
    tracked: Sequence[str] = (),
    filled: Sequence[str] = (),
    null_keeps: Sequence[str] = (),
) -> DataFrame:
    """Every event of each touched key: as versions with their time of validity (SCD2), or to tell the current row from
    them all (`is_history` false).

    In: `events`, and `state`: all retained events of the table. Out: all events of the touched keys, the old ones and
    the new, with `valid_from`, `valid_to` (half-open; of the type of the sequence's first part), `_is_visible`,
    `disposition` (of new events; NULL for those that the state held) and `_is_written` (the new ones, and those that
    have other intervals or values than the state says).

    Consecutive events of equal content are one run: it is seen with its head's start and its tail's values; the others
    stay hidden, because a late event may fall between them. A delete ends a run and starts none. With `tracked`, these
    columns alone decide what is equal.

    With `filled`, the events' `_kept` names those of these columns that an event leaves as they were: they get the
    value of the event before it, back to a delete. The first event of a key that is retained has nothing before it
    and keeps the value that it was given when there was. Of `null_keeps`, a null is always one that leaves the value.

    The state may lack columns of the events, and have narrower types.
    """
    # Asked for once: each answer has Spark analyze the whole plan.
    types = {name: type_ for name, type_ in events.dtypes if name not in HISTORY_COLUMNS}
    columns = list(types)
    everything = _with_held(events, state, keys, types, filled, null_keeps)
    by_key = f"partition by {_keys(keys)} order by _sequence, _copy, _file, _position"
    # A copy of an event (same key and sequence) takes no part in the runs: it is told apart first, as a duplicate.
    copies = everything.selectExpr(
        "*",
        f"row_number() over (partition by {_keys(keys)}, _sequence order by _copy, _file, _position) > 1 as _is_copy",
    )
    once = _fill(copies.where("not _is_copy"), by_key, types, filled)
    content = [name for name in columns if not name.startswith("_") and name not in keys]
    whole = _hash_of(types, content) if filled else "_hash"
    heads = once.selectExpr(
        "*", f"{whole} as _whole", f"{_hash_of(types, tracked) if tracked else whole} as _run"
    ).selectExpr(
        "*",
        f"not _is_deleted and (lag(_run) over ({by_key}) is null or lag(_is_deleted) over ({by_key}) "
        f"or lag(_run) over ({by_key}) <> _run) as _is_head",
        f"coalesce(not lag(_is_deleted) over ({by_key}), false) as _follows_a_row",
        f"coalesce(lag(_whole) over ({by_key}) = _whole, false) as _repeats",
    )
    tails = heads.selectExpr(
        "*",
        f"max(if(_is_head, _sequence.s0, null)) over ({by_key}) as _from",
        f"coalesce(lead(_is_head or _is_deleted) over ({by_key}), true) as _is_tail",
        f"lead(_sequence.s0) over ({by_key}) as _next",
    )
    if is_history:
        until = "case when _is_deleted then _sequence.s0 when _is_tail then _next end"
        is_visible = "not _is_deleted and _is_tail and (_next is null or _next > _from)"
        became = """case when _is_deleted then if(_is_record or _follows_a_row, 'deleted', 'noop')
            when _is_head or (_is_tail and not _repeats) then 'applied' else 'noop' end"""
    else:
        until = "if(_is_deleted, _sequence.s0, _next)"
        is_visible = "not _is_deleted and _next is null"
        became = """case when _next is not null then 'superseded'
            when _is_deleted then if(_follows_a_row, 'deleted', if(_is_record and _is_first, 'deleted', 'noop'))
            when _follows_a_row and _repeats then 'noop' else 'applied' end"""
    folded = tails.selectExpr(
        *map(quote, columns),
        "if(_is_deleted, _sequence.s0, _from) as valid_from",
        f"{until} as valid_to",
        f"{is_visible} as _is_visible",
        f"if(_is_new, {became}, null) as disposition",
        "_is_new",
        "_old_from",
        "_old_to",
        "_old_visible",
        "_is_refilled",
    ).selectExpr(
        *map(quote, columns),
        *HISTORY_COLUMNS,
        "disposition",
        "_is_new or _is_refilled or not (_old_from <=> valid_from and _old_to <=> valid_to "
        "and _old_visible <=> _is_visible) as _is_written",
    )
    duplicates = copies.where("_is_copy and _is_new").selectExpr(
        *map(quote, columns),
        "_sequence.s0 as valid_from",
        "_sequence.s0 as valid_to",
        "false as _is_visible",
        "'duplicate' as disposition",
        "false as _is_written",
    )
    return folded.unionByName(duplicates)


def _with_held(
    events: DataFrame,
    state: DataFrame | None,
    keys: Sequence[str],
    types: Mapping[str, str],
    filled: Sequence[str],
    null_keeps: Sequence[str],
) -> DataFrame:
    """The events, and what the state holds of their keys, with what it says of them (`_old_…`)."""
    new = events.selectExpr(
        *map(quote, types),
        f"row_number() over (partition by {_keys(keys)}, _sequence order by _file, _position) as _copy",
    ).selectExpr(
        "*",
        "true as _is_new",
        "cast(null as boolean) as _old_visible",
        "_sequence.s0 as _old_from",
        "_sequence.s0 as _old_to",
        "cast(null as bigint) as _old_values",
    )
    if state is None:
        return new
    touched = events.selectExpr(*map(quote, keys)).distinct()
    shaped = state.join(touched, list(keys), "left_semi").selectExpr(*_shaped(types, state), *HISTORY_COLUMNS)
    held = shaped.selectExpr(
        *(_left_open(null_keeps) if name == "_kept" and null_keeps else quote(name) for name in types),
        "0 as _copy",
        "false as _is_new",
        "_is_visible as _old_visible",
        "valid_from as _old_from",
        "valid_to as _old_to",
        f"{_hash_of(types, filled) if filled else 'cast(null as bigint)'} as _old_values",
    )
    return new.unionByName(held)


def _shaped(types: Mapping[str, str], state: DataFrame) -> list[str]:
    """SQL of the columns of the events from the state, which gets the columns and the wider types of a batch only when it
    commits. Of the same type, lest a value that is the same has another hash."""
    actual = dict(state.dtypes)
    return [
        quote(name)
        if actual.get(name) == wanted
        else f"cast({quote(name) if name in actual else 'null'} as {wanted}) as {quote(name)}"
        for name, wanted in types.items()
    ]


def _left_open(null_keeps: Sequence[str]) -> str:
    """SQL of `_kept` with the columns that an event of the state left before the table had them."""
    nulls = ", ".join(f"if({quote(name)} is null, {literal(name)}, null)" for name in null_keeps)
    return f"array_union(_kept, filter(array({nulls}), x -> x is not null)) as _kept"


def _fill(once: DataFrame, by_key: str, types: Mapping[str, str], filled: Sequence[str]) -> DataFrame:
    """With the values that events leave to those before them; `_is_first` of its key, `_is_refilled`: other values than
    the state had."""
    first = once.selectExpr("*", f"row_number() over ({by_key}) = 1 as _is_first")
    if not filled:
        return first.selectExpr("*", "false as _is_refilled")
    lives = first.selectExpr("*", f"sum(if(_is_deleted, 1, 0)) over ({by_key}) as _life")
    in_life = by_key.replace(" order by", ", _life order by", 1)

    def value(name: str) -> str:
        own = (
            f"if(_is_deleted or (array_contains(_kept, '{name}') and not _is_first), null, struct({quote(name)} as v))"
        )
        return f"if(_is_deleted, {quote(name)}, last_value({own}, true) over ({in_life}).v)"

    said = ("_copy", "_is_new", "_old_visible", "_old_from", "_old_to", "_old_values", "_is_first")
    given = lives.selectExpr(
        *(f"{value(name)} as {quote(name)}" if name in filled else quote(name) for name in types), *said
    )
    return given.selectExpr("*", f"not _is_new and _old_values <> {_hash_of(types, filled)} as _is_refilled")


def _hash_of(types: Mapping[str, str], names: Sequence[str]) -> str:
    """SQL for a hash of columns, of which `types` says the types. NULLs are hashed by place, since xxhash64 alone passes them over."""
    options = "map('ignoreNullFields', 'false', 'timestampFormat', 'yyyy-MM-dd HH:mm:ss.SSSSSS')"
    values = [f"to_json(struct({quote(name)}), {options})" if "<" in types[name] else quote(name) for name in names]
    nulls = ", ".join(f"if({quote(name)} is null, '1', '0')" for name in names)
    return f"xxhash64({', '.join(values)}, concat({nulls}))"


def moved_deletes(events: DataFrame) -> DataFrame:
    """The deletes of rows that moved to another key: of events with `_old_key` (a struct of the key columns), each at
    its event's place in the sequence, in the columns of `events`."""
    keys = events.select("_old_key.*").columns
    moved = events.where("_old_key is not null").selectExpr(
        *(f"_old_key.{quote(key)} as {quote(key)}" for key in keys), "_sequence", *_PLACE
    )
    return _deletes(moved, [*keys, "_sequence", *_PLACE], dict(events.dtypes))


def truncate_deletes(
    events: DataFrame, state: DataFrame | None, truncates: DataFrame, keys: Sequence[str]
) -> DataFrame:
    """What truncates delete, in the columns of `events`: each row, known or new, at the first truncate after it.

    `truncates` are all that are known, with `_sequence`, `_arrived_on` and `_is_new`: rows that the state holds know the
    others already. A truncate that has columns of the key is of the rows that share them.
    """
    rows = events.where("not _is_deleted").selectExpr(*map(quote, keys), "_sequence as _at", "true as _is_late")
    if state is not None:
        held = state.where("not _is_deleted").selectExpr(*map(quote, keys), "_sequence as _at", "false as _is_late")
        rows = rows.unionByName(held)
    told = truncates.columns
    shared = [key for key in keys if key in told]
    after = " and ".join(["r._at < t._sequence", *(f"r.{quote(key)} = t.{quote(key)}" for key in shared)])
    first = (
        rows.alias("r")
        .join(F.broadcast(truncates.alias("t")), F.expr(after))
        .selectExpr(
            *(f"r.{quote(key)}" for key in keys),
            "_at",
            "_is_late",
            "struct(_sequence, _is_new, _arrived_on) as _truncate",
        )
        .groupBy(*map(quote, keys), "_at")
        .agg(F.expr("min(_truncate) as _first"), F.expr("max(_is_late) as _is_late"))
        .where("_is_late or _first._is_new")
        .selectExpr(*map(quote, keys), "_first._sequence", "_first._arrived_on")
        .distinct()
    )
    return _deletes(first, [*keys, "_sequence", "_arrived_on"], dict(events.dtypes))


_PLACE = ("_file", "_position", "_arrived_on")


def _deletes(told: DataFrame, known: Sequence[str], types: Mapping[str, str]) -> DataFrame:
    """Deletes that nobody sent, in the columns of `types`: of them `told` has those that are `known`, the key and the place in
    the sequence."""
    fixed = {"_is_deleted": "true", "_is_record": "false", "_hash": "cast(0 as bigint)"}
    fixed |= {name: quote(name) for name in known}
    return told.selectExpr(
        *(f"{fixed.get(name, f'cast(null as {type_})')} as {quote(name)}" for name, type_ in types.items())
    )


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
    types = dict(rows.dtypes)
    judged = keep(_judged_sightings(rows, present, state, keys, days, incomplete, last, types["_sequence"]))
    changed = judged.where("_is_change").select("_file", "_position")
    upserts = rows.join(changed, ["_file", "_position"], "left_semi")
    lapsing = judged.where("_is_lapsing").selectExpr(
        *map(quote, keys),
        "_deletes_on as _arrived_on",
        "named_struct('s0', cast(_deletes_on as timestamp), 'tie', 0L) as _sequence",
    )
    others = judged.where("_kind = 'row' and not _is_change").selectExpr(
        *map(quote, keys), "_arrived_on", "if(_is_copy, 'duplicate', 'noop') as disposition"
    )
    deletes = _deletes(lapsing, [*keys, "_sequence", "_arrived_on"], types)
    return upserts.selectExpr(*map(quote, types)).unionByName(deletes), others


def _judged_sightings(
    rows: DataFrame,
    present: DataFrame,
    state: DataFrame | None,
    keys: Sequence[str],
    days: Sequence[date],
    incomplete: Sequence[date],
    last: date | None,
    sequence: str,
) -> DataFrame:
    """Every sighting of a key in a snapshot, without its payload (a year of snapshots is sorted here): whether it is a
    copy of another, changes the key (`_is_change`), and whether the key is gone by the day `_deletes_on` (`_is_lapsing`).
    `sequence`: the type of `_sequence`.
    """
    known = [*([last] if last else []), *days]
    following = {day: next((later for later in days if later > day and later not in incomplete), None) for day in known}
    calendar = local_rows(
        rows.sparkSession, list(following.items()), [Field("_arrived_on", "date"), Field("_deletes_on", "date")]
    )
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
