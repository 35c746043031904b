"""What a source system sends: records with their arrival, gathered into files; and the account of what has landed."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lakehouse.sample.clock import Times

CLEAN = "clean"
EXTRA = ("duplicate", "late", "out_of_order")
"""Faults that leave a record usable."""
UNUSABLE = ("malformed", "wrong_type", "missing_key", "outside_set", "negative")
"""Faults that make a record unusable: the first cannot be read, the others break a rule of the contract."""
FAULTS = (CLEAN, *EXTRA, *UNUSABLE)
_FIRST_UNUSABLE = FAULTS.index(UNUSABLE[0])
_CHUNK = 20_000

Account = dict[str, Any]
Corrupt = Callable[[str, str, int], str]
"""(fault, line, number of the record) → the line with that fault."""


@dataclass(frozen=True, slots=True)
class PlannedFile:
    path: str
    """Below the landing area: `<source>/<table>/<arrival day>/<file>`."""
    closes: datetime
    """From then on nothing more belongs into it, so it may be landed."""


class Feed(Protocol):
    """One table of one source system. Planning is cheap; text is made only for the files asked for."""

    @property
    def name(self) -> str:
        """`<source>.<table>`."""

    def files(self) -> list[PlannedFile]:
        """All files of the replay, by path; two calls give the same."""

    def texts(self, wanted: Sequence[int]) -> Iterator[str]:
        """The content of the files at those places in `files()`, in that order."""

    def account(self, cutoff: datetime) -> Account:
        """What the files closed by `cutoff` hold, and what must come of them."""


def records(base: Any, key: NDArray[np.int64], sequence: Any, arrival: Times) -> pd.DataFrame:
    """A frame of fault-free records: `base` is what `lines` renders, `key` the entity, `sequence` orders its versions."""
    return pd.DataFrame(
        {"base": base, "key": key, "sequence": sequence, "arrival": arrival.astype("M8[s]"), "fault": np.int8(0)}
    )


@dataclass(frozen=True, kw_only=True)
class RecordFeed:
    """A feed of single records, one a line, in files by arrival period."""

    name: str
    records: pd.DataFrame
    """See `records`; `fault` holds places in FAULTS."""
    hours: int
    """Hours of arrival that share a file; 24 or a divisor of it."""
    file: str
    """The file's name; `{HH}` becomes the hour in which it begins."""
    lines: Callable[[NDArray[np.int64]], list[str]]
    """The lines of the records with those base numbers."""
    key_name: Callable[[int], str]
    totals: Callable[[NDArray[np.int64]], dict[str, Any]]
    """What the newest usable version of each key adds up to, from their base numbers."""
    corrupt: Corrupt = lambda fault, line, number: line
    header: str = ""
    notes: Callable[[NDArray[np.int64]], dict[str, Any]] = lambda base: {}
    """More for the manifest, from the base numbers of all usable records."""
    _order: pd.DataFrame = field(init=False, repr=False)
    _bounds: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        ordered = self.records.assign(period=period(self.records["arrival"], self.hours))
        ordered = ordered.sort_values(["arrival", "base", "fault"], kind="stable", ignore_index=True)
        starts = ordered["period"].to_numpy()
        changes = np.flatnonzero(starts[1:] != starts[:-1]) + 1
        bounds = np.concatenate([[0], changes, [len(starts)]]) if len(starts) else np.zeros(1, dtype=np.int64)
        object.__setattr__(self, "_order", ordered)
        object.__setattr__(self, "_bounds", bounds.astype(np.int64))

    def files(self) -> list[PlannedFile]:
        begins = self._order["period"].to_numpy()[self._bounds[:-1]]
        closes = (begins + np.timedelta64(self.hours, "h")).astype("M8[s]").tolist()
        folder = self.name.replace(".", "/")
        return [
            PlannedFile(f"{folder}/{text[:10]}/{self.file.replace('{HH}', text[11:13])}", close)
            for text, close in zip(np.datetime_as_string(begins.astype("M8[s]")).tolist(), closes, strict=True)
        ]

    def texts(self, wanted: Sequence[int]) -> Iterator[str]:
        for chunk in self._chunks(wanted):
            rows = np.concatenate([np.arange(self._bounds[i], self._bounds[i + 1]) for i in chunk])
            lines = self.lines(self._order["base"].to_numpy()[rows])
            faults = self._order["fault"].to_numpy()[rows]
            for place in np.flatnonzero(faults >= _FIRST_UNUSABLE):
                lines[place] = self.corrupt(FAULTS[faults[place]], lines[place], int(rows[place]))
            first = 0
            for i in chunk:
                last = first + int(self._bounds[i + 1] - self._bounds[i])
                yield self.header + "\n".join(lines[first:last]) + "\n"
                first = last

    def _chunks(self, wanted: Sequence[int]) -> Iterator[list[int]]:
        chunk: list[int] = []
        size = 0
        for i in wanted:
            chunk.append(i)
            size += int(self._bounds[i + 1] - self._bounds[i])
            if size >= _CHUNK:
                yield chunk
                chunk, size = [], 0
        if chunk:
            yield chunk

    def account(self, cutoff: datetime) -> Account:
        closes = self._order["period"] + np.timedelta64(self.hours, "h")
        landed = self._order[closes <= np.datetime64(cutoff)]
        usable = landed[landed["fault"] < _FIRST_UNUSABLE]
        versions = usable.drop_duplicates(["key", "sequence"])
        newest = versions.sort_values(["key", "sequence"]).drop_duplicates("key", keep="last")
        lost = np.setdiff1d(landed["key"].to_numpy(), usable["key"].to_numpy())
        faults = {name: int((landed["fault"] == code).sum()) for code, name in enumerate(FAULTS) if code}
        return {
            "files": int(landed["period"].nunique()),
            "records": len(landed),
            "faults": faults,
            "expected": {
                "unreadable": faults["malformed"],
                "quarantined": sum(faults[name] for name in UNUSABLE if name != "malformed"),
                "usable": len(usable),
                "versions": len(versions),
                "duplicates": len(usable) - len(versions),
                "keys": len(newest),
                "quarantined_keys": sorted(self.key_name(int(key)) for key in lost),
            },
            "totals": self.totals(newest["base"].to_numpy()),
            **self.notes(usable["base"].to_numpy()),
        }


def period(arrival: "pd.Series[Any]", hours: int) -> "pd.Series[Any]":
    """The beginning of the arrival period that each time lies in."""
    return arrival.dt.floor(f"{hours}h")
