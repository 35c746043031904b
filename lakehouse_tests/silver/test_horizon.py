"""What is too late, and what the state may forget: told from the note of the batch before."""

from datetime import datetime
from typing import Any

import pytest

from lakehouse.contracts.model import Contract
from lakehouse.silver import horizon
from lakehouse_tests.silver.small import column, contract, key


def things(**own: Any) -> Contract:
    columns = [key(), column("name"), column("at", "timestamp", required=True), column("no", "int", required=True)]
    return contract(columns, **{"lateness": "10d"} | own)


CHANGES = {"delivery": "changes", "sequence": ["source.lsn"]}
NOTE = {"watermark": "2025-03-20 10:00:00.5", "last_day": "2025-03-25"}


@pytest.mark.parametrize(
    ("own", "edge"),
    [
        ({"sequence": ["at"]}, "2025-03-10 10:00:00.5"),
        ({"sequence": ["at", "no"]}, "2025-03-10 10:00:00.5"),
        ({}, "2025-03-14"),
        (CHANGES, "2025-03-14"),
        ({"delivery": "snapshot"}, "2025-03-14"),
        ({"sequence": ["no"]}, None),  # a counter of each key: no place in it is older than another key's
        ({"sequence": ["at"], "delivery": "append"}, None),
        ({"sequence": ["at"], "history": "full"}, None),
        ({"history": "full"} | CHANGES, None),
    ],
)
def test_up_to_when_the_past_is_settled(own: dict[str, Any], edge: str | None) -> None:
    found = horizon._edge(things(**own), NOTE)
    assert found == (edge and datetime.fromisoformat(edge))
    assert horizon._edge(things(**own), {}) is None


def test_what_is_refused_as_too_late() -> None:
    timed, logged = things(sequence=["at"]), things(**CHANGES)
    assert horizon.is_late(timed, {}) == horizon.is_late(logged, NOTE) == "false"
    assert horizon.is_late(timed, NOTE).startswith("coalesce(_sequence.s0 < timestamp'2025-03-20 10:00:00.500000' - ")
    decided = horizon.is_late(timed, NOTE | {"floor": "2025-03-01"}, "is_decided")
    assert "864000) and not (is_decided)) or _sequence.s0 <= " in decided, "the floor holds for what was decided too"
    assert horizon.is_late(logged, NOTE | {"floor": "21"}) == "coalesce(_sequence.s0 <= cast('21' as bigint), false)"


@pytest.mark.parametrize(
    ("note", "newest"),
    [
        ({}, None),
        ({"watermark": None, "last_day": "2025-03-25"}, None),
        (NOTE, "2025-03-20 10:00:00.5"),
        ({"watermark": "2099-12-31 00:00:00", "last_day": "2025-03-25"}, "2025-03-26"),
        ({"watermark": "2099-12-31 00:00:00", "committed_at": "2025-03-25T10:00:00+00:00"}, "2025-03-26 10:00:00"),
        ({"watermark": "2099-12-31 00:00:00", "last_day": "2025-03-25", "committed_at": "2026-01-01T00:00:00+00:00"},
         "2025-03-26"),
    ],
)  # fmt: skip
def test_a_record_from_the_future_makes_no_other_too_late(note: dict[str, Any], newest: str | None) -> None:
    assert horizon.watermark(note) == (newest and datetime.fromisoformat(newest))
    of = things(sequence=["at"])
    late = horizon.is_late(of, note)
    assert f"timestamp'{datetime.fromisoformat(newest)}'" in late if newest else late == "false"
    assert horizon._edge(of, note) == (newest and datetime.fromisoformat(newest) - of.lateness)


def test_the_floor_is_a_place_in_the_sequence() -> None:
    logged, timed = things(**CHANGES), things(sequence=["at"])
    settled = [horizon.is_settled(logged, point, "21") for point in ("9", "21", "100")]
    assert settled == [True, True, False]
    assert not horizon.is_settled(logged, "9", None)
    assert horizon.is_settled(timed, "2025-03-01 10:00:00", "2025-03-01 10:00:00.1")


def test_nothing_is_looked_for_before_the_horizon_has_moved_on() -> None:
    of = things(**CHANGES)
    nothing: Any = object()  # a table that fails where it is asked
    first = horizon.advance(of, nothing, NOTE)
    assert first == {"settled": "2025-03-14T00:00:00"}
    assert horizon.advance(of, nothing, NOTE | first | {"last_day": "2025-03-27", "floor": "7"}) == first | {
        "floor": "7"
    }
    with pytest.raises(AttributeError):
        horizon.advance(of, nothing, NOTE | first | {"last_day": "2025-03-28"})
    assert horizon.advance(of, None, NOTE) == {}
    assert horizon.advance(things(sequence=["at"]), nothing, NOTE) == {}, "nothing is deleted there"
