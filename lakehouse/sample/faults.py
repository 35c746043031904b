"""What goes wrong on the way, at stated rates.

Every fault that makes a record unusable is put on an extra copy, beside the intact record; except for lost keys, all
of whose records are unusable. So what silver and gold hold without faults they hold with them, lost keys aside. No
file carries more than one unusable record in 30, so that no batch, however small, has more than a few percent.
"""

import re
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lakehouse.sample.clock import Clock
from lakehouse.sample.feed import EXTRA, FAULTS, UNUSABLE, Corrupt, period

RATES: dict[str, float] = {
    "duplicate": 0.01,
    "late": 0.005,
    "out_of_order": 0.005,
    "malformed": 0.001,
    "wrong_type": 0.001,
    "missing_key": 0.001,
    "outside_set": 0.001,
    "negative": 0.001,
    "lost": 0.001,
}
"""Shares of a table's records; of its keys for `lost`. Unusable ones can be fewer: see the cap per file."""
USABLE_PER_UNUSABLE = 30
TRUNCATED_PER_SNAPSHOT = 3
"""Cut-off lines added to each snapshot of the catalogue."""
HOUR = 3600


def inject(
    clean: pd.DataFrame,
    *,
    rng: np.random.Generator,
    clock: Clock,
    hours: int,
    kinds: tuple[str, ...] = UNUSABLE,
    moves: tuple[str, ...] = EXTRA,
    lost: bool = False,
    spoilable: NDArray[np.bool_] | None = None,
    movable: NDArray[np.bool_] | None = None,
) -> pd.DataFrame:
    """The records with faults of these `kinds` and `moves`; the masks say which records may get the ones and the others.

    The result depends on the arguments only. No record is removed; a record gets one fault at most.
    """
    frame = clean.reset_index(drop=True)
    frame = _moved(frame, rng, clock, moves, np.ones(len(frame), dtype=bool) if movable is None else movable)
    copies = _duplicates(clean, frame, rng, clock, hours) if "duplicate" in moves else frame.iloc[:0]
    spoiled = _lost(frame, rng, hours, kinds) if lost else np.zeros(len(frame), dtype=np.int8)
    allowed = (frame["fault"] == 0).to_numpy() & (spoiled == 0) & (True if spoilable is None else spoilable)
    bad = _corrupted(frame[allowed], rng, kinds)
    frame["fault"] = np.where(spoiled > 0, spoiled, frame["fault"]).astype(np.int8)
    # A duplicate of a lost record would bring it back.
    copies = copies[~copies["key"].isin(frame.loc[spoiled > 0, "key"])]
    usable = pd.concat([frame, copies], ignore_index=True)
    return pd.concat([usable, _within_cap(usable, bad, hours)], ignore_index=True)


def _moved(
    frame: pd.DataFrame,
    rng: np.random.Generator,
    clock: Clock,
    moves: tuple[str, ...],
    movable: NDArray[np.bool_],
) -> pd.DataFrame:
    """Some records arrive one to three days late; some versions arrive after their successor."""
    draw = rng.random(len(frame))
    delay = rng.integers(24 * HOUR, 72 * HOUR - HOUR, len(frame))
    after = rng.integers(HOUR, 20 * HOUR, len(frame))
    arrival = frame["arrival"].to_numpy().astype("M8[s]")
    fault = frame["fault"].to_numpy().copy()
    if "late" in moves:
        late = movable & (draw < RATES["late"])
        arrival = np.where(late, arrival + delay.astype("m8[s]"), arrival)
        fault[late] = FAULTS.index("late")
    if "out_of_order" in moves:
        ordered = frame.sort_values(["key", "sequence"])
        successor = ordered.groupby("key")["arrival"].shift(-1).reindex(frame.index)
        # About half of the records have a successor soon enough, so twice the share of them is picked.
        soon = ((successor - frame["arrival"]) < pd.Timedelta(days=3)).to_numpy()
        swapped = movable & soon & (draw > 1 - 2 * RATES["out_of_order"]) & (fault == 0)
        behind = successor.to_numpy().astype("M8[s]") + after.astype("m8[s]")
        arrival = np.where(swapped, behind, arrival)
        fault[swapped] = FAULTS.index("out_of_order")
    return frame.assign(arrival=clock.clamped(arrival).astype("M8[s]"), fault=fault)


def _duplicates(
    clean: pd.DataFrame, moved: pd.DataFrame, rng: np.random.Generator, clock: Clock, hours: int
) -> pd.DataFrame:
    """Some records are sent once more, in a later file where there is one."""
    picked = (rng.random(len(clean)) < RATES["duplicate"]) & (moved["fault"] == 0).to_numpy()
    delay = rng.integers(hours * HOUR, (hours + 48) * HOUR, len(clean))[picked].astype("m8[s]")
    copies = moved[picked]
    arrival = clock.clamped(copies["arrival"].to_numpy().astype("M8[s]") + delay)
    return copies.assign(arrival=arrival, fault=np.int8(FAULTS.index("duplicate")))


def _lost(frame: pd.DataFrame, rng: np.random.Generator, hours: int, kinds: tuple[str, ...]) -> NDArray[np.int8]:
    """For each record 0, or the fault that spoils it. Keys are lost whole, one record a file at most."""
    keys = frame["key"].unique()
    chosen = keys[rng.random(len(keys)) < RATES["lost"]]
    files = period(frame["arrival"], hours)
    big = files.map(files.value_counts()) > USABLE_PER_UNUSABLE
    spoiled = np.zeros(len(frame), dtype=np.int8)
    taken: set[object] = set()
    rows = frame.index[frame["key"].isin(chosen)]
    for _, places in pd.Series(rows, index=rows).groupby(frame.loc[rows, "key"], sort=True):
        wanted = [files[place] for place in places]
        if all(big[place] for place in places) and len({*wanted}) == len(wanted) and taken.isdisjoint(wanted):
            taken.update(wanted)
            for place in places:
                spoiled[place] = FAULTS.index(kinds[int(rng.integers(len(kinds)))])
    return spoiled


def _corrupted(frame: pd.DataFrame, rng: np.random.Generator, kinds: tuple[str, ...]) -> pd.DataFrame:
    """Extra copies that arrive with their original and carry one of the unusable faults."""
    draw = rng.random(len(frame))
    steps = np.cumsum([RATES[kind] for kind in kinds])
    which = np.searchsorted(steps, draw, side="right")
    picked = which < len(kinds)
    codes = np.array([FAULTS.index(kind) for kind in kinds], dtype=np.int8)
    return frame[picked].assign(fault=codes[which[picked]])


def _within_cap(frame: pd.DataFrame, bad: pd.DataFrame, hours: int) -> pd.DataFrame:
    """Those of `bad` that keep every file at 30 usable records, or more, to an unusable one."""
    files = period(frame["arrival"], hours)
    unusable = frame["fault"] >= FAULTS.index(UNUSABLE[0])
    room = files[~unusable].value_counts() // USABLE_PER_UNUSABLE
    room = room.sub(files[unusable].value_counts(), fill_value=0)
    target = period(bad["arrival"], hours)
    rank = bad.groupby(target).cumcount()
    return bad[rank.to_numpy() < target.map(room).fillna(0).to_numpy()]


def corrupter(*, key: str, number: str, options: str, negative: str | None = None, inside: str = "") -> Corrupt:
    """How a JSON line of one table is spoiled: which fields hold the key, a typed value, an enumeration, an amount.

    `inside` is the text from which on fields are looked for (the `after` image of a change event).
    """
    edits: dict[str, Callable[[str, int], str]] = {
        "wrong_type": lambda line, _: _edit(line, number, r'("%s":)("[^"]*"|-?[\d.]+)', r'\1"abc"'),
        "missing_key": lambda line, place: _edit(line, key, *_GONE[place % 2]),
        "outside_set": lambda line, _: _edit(line, options, r'("%s":)(null|"[^"]*")', r'\1"unknown"'),
    }
    if negative:
        edits["negative"] = lambda line, _: _edit(line, negative, r'("%s":)(\d)', r"\1-1\2")

    def corrupt(fault: str, line: str, place: int) -> str:
        if fault == "malformed":
            return line[: len(line) * 3 // 5]
        start = line.index(inside)
        return line[:start] + edits[fault](line[start:], place)

    return corrupt


_GONE = (
    (r'("%s":)"[^"]*"', r"\1null"),
    (r'("%s":"[^"]*",)', ""),
)


def _edit(line: str, name: str, pattern: str, replacement: str) -> str:
    edited, count = re.subn(pattern % re.escape(name), replacement, line, count=1)
    if not count:
        raise ValueError(f"no field {name} to spoil in {line[:120]}")
    return edited
