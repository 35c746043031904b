"""The lateness horizon: which records come too late, and what the state may forget because nothing older is let in.

A tombstone guards against older records of its key, and so do the events that a folded row is told from. They may go
once no such record can be applied any more. So what is forgotten and what is refused are one line, the floor: a place in
the sequence that only rises. Whatever is at it or before it is refused, and only what is at it or before it is
forgotten. The floor is in the note of the commit before anything is forgotten, and every later note repeats it; a table
that is folded anew from bronze begins without one.
"""

from datetime import datetime, timedelta
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from lakehouse.contracts.model import Contract
from lakehouse.silver.parse import has_event_time, point_type
from lakehouse.storage.notes import commit_note
from lakehouse.storage.tables import literal

Horizon = dict[str, Any]
"""Part of a commit's note: `floor` (the first part of the sequence, as text), `settled` (the moment up to which was last
looked for what can go), and where rows go after this commit, `forgotten`: the newest change number among the
tombstones."""


def is_late(contract: Contract, previous: dict[str, Any], is_decided: str | None = None) -> str:
    """SQL: whether a parsed record is older than the table goes back, as the note of the batch before says.

    A record that somebody decided about (`is_decided`, SQL) is not too late for that. Only the floor holds for it as
    well: what guarded against it is gone.
    """
    late = []
    newest, floor = watermark(previous), previous.get("floor")
    if newest and has_event_time(contract):
        seconds = int(contract.lateness.total_seconds())
        older = f"_sequence.s0 < timestamp'{newest}' - make_dt_interval(0, 0, 0, {seconds})"
        late.append(older if is_decided is None else f"({older} and not ({is_decided}))")
    if floor is not None:
        late.append(f"_sequence.s0 <= {_as_sequence(contract, floor)}")
    return f"coalesce({' or '.join(late)}, false)" if late else "false"


def watermark(previous: dict[str, Any]) -> datetime | None:
    """The newest event time of the batches up to a note, and no later than they arrived; None where there is none.

    A clock that is wrong, or a date that stands for never, says the year 2099: every other key's records would be too
    late from then on. They arrived by the end of their newest day, or where landing has no days before the commit.
    """
    newest = previous.get("watermark")
    arrived = previous.get("last_day") or previous.get("committed_at")
    if not newest or not arrived:
        return newest and datetime.fromisoformat(newest)
    end = datetime.fromisoformat(arrived).replace(tzinfo=None) + timedelta(days=1)
    return min(datetime.fromisoformat(newest), end)


def advance(contract: Contract, held: DataFrame | None, previous: dict[str, Any]) -> Horizon:
    """What the note of the next commit is to say of the horizon. In: the state as it is, and its newest note.

    Whether something can go is asked only when the horizon has moved by a quarter of the lateness: each time costs a
    look at the table, and a commit where something is found.
    """
    carried = {name: previous[name] for name in ("floor", "settled") if previous.get(name) is not None}
    edge = _edge(contract, previous)
    if held is None or edge is None or not _has_guards(contract):
        return carried
    settled = datetime.fromisoformat(carried["settled"]) if "settled" in carried else None
    if settled is None:  # the first time there is nothing so old, but in a table from before there was a horizon
        return carried | {"settled": edge.isoformat()}
    if edge < settled:  # what was noted when a record from the future counted
        return carried | {"settled": edge.isoformat()}
    if edge - settled < max(timedelta(days=1), contract.lateness / 4):
        return carried
    moment = f"timestamp'{edge}'"
    is_old = f"_sequence.s0 < {moment}" if has_event_time(contract) else f"cast(_arrived_on as timestamp) < {moment}"
    of = is_old if contract.filled else f"{is_old} and _is_deleted"
    found = held.where(of).selectExpr("cast(max(_sequence.s0) as string) as floor").first()
    if found is None or (floor := found["floor"]) is None:
        return carried | {"settled": edge.isoformat()}
    floor = max(floor, carried.get("floor", floor), key=lambda text: _point(contract, text))
    gone = held.where(_is_forgettable(contract, floor)).selectExpr(
        "count(*) as rows", "coalesce(max(if(_is_deleted, _batch, null)), 0) as newest"
    )
    found = gone.first()
    there_is = found is not None and found["rows"]
    return {"floor": floor, "settled": edge.isoformat()} | ({"forgotten": int(found["newest"])} if there_is else {})


def forget(spark: SparkSession, contract: Contract, horizon: Horizon, change: int) -> None:
    """Deletes what can go, by a commit of its own after that of the batch, whose note has the floor already.

    Idempotent; what a process leaves that dies before is found again the next time. Tombstones beyond a change number
    stay: those that the batch itself brought, which nobody who reads by change number has seen yet.
    """
    if "forgotten" not in horizon:
        return
    with commit_note(spark, {"kind": "horizon", "table": contract.table, **horizon}):
        spark.sql(
            f"delete from {contract.state_table} "
            f"where ({_is_forgettable(contract, horizon['floor'])}) and (not _is_deleted or _batch <= {change})"
        ).collect()


def is_settled(contract: Contract, point: str, floor: str | None) -> bool:
    """Whether nothing that comes can be older than a point of the sequence (its first part, as text)."""
    return floor is not None and _point(contract, point) <= _point(contract, floor)


def _point(contract: Contract, text: str) -> Any:
    """Where a table has a floor, its sequence begins with a moment, or with a place in a log."""
    return datetime.fromisoformat(text) if point_type(contract) == "timestamp" else int(text)


def _is_forgettable(contract: Contract, floor: str) -> str:
    """SQL over the state: tombstones up to the floor. Of the events that a row is folded from, also those that another
    one follows up to there: the newest of them stays, with the values that the others gave it. No event outlives the
    tombstone that follows it, or it would be the newest of its key."""
    bound = _as_sequence(contract, floor)
    tombstone = f"_is_deleted and _sequence.s0 <= {bound}"
    return f"({tombstone}) or valid_to <= {bound}" if contract.filled else tombstone


def _edge(contract: Contract, previous: dict[str, Any]) -> datetime | None:
    """Event time, or else the arrival day, before which nothing is expected any more; None where there is no telling.

    A sequence that is no time may count for each key by itself: then no place in it says how old another key's is, and
    everything is kept. A path into a change envelope is a place in the log of the whole source.
    """
    if contract.history == "full" or contract.delivery == "append":
        return None
    if has_event_time(contract):
        newest = watermark(previous)
        return newest - contract.lateness if newest else None
    if contract.delivery == "versions" and contract.sequence:
        return None
    day = previous.get("last_day")
    # A day of arrival ends a day after it begins.
    return datetime.fromisoformat(day) - contract.lateness - timedelta(days=1) if day else None


def _has_guards(contract: Contract) -> bool:
    deletes = contract.delivery in ("changes", "snapshot") or contract.delete_when or contract.truncate_when
    return bool(deletes or contract.filled)


def _as_sequence(contract: Contract, text: str) -> str:
    return f"cast({literal(text)} as {point_type(contract)})"
