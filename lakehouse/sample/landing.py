"""Landing: writes the files that have arrived and are not there yet, and the manifest."""

import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np

from lakehouse.sample.clock import YEAR_WEEKS, Clock, cutoff, make_clock
from lakehouse.sample.customers import customers_feed
from lakehouse.sample.events import events_feed
from lakehouse.sample.feed import Feed
from lakehouse.sample.manifest import NAME, Replay, make_manifest, read_manifest, replay_of, text_of
from lakehouse.sample.marketing import Campaigns, redemptions_feed
from lakehouse.sample.orders import orders_feed
from lakehouse.sample.outcomes import decide
from lakehouse.sample.payments import payments_feed
from lakehouse.sample.products import Catalogue
from lakehouse.sample.source import read_baskets


class SampleError(Exception):
    """The sample cannot be landed; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LandSummary:
    """What one landing did."""

    landing: Path
    first_day: date
    """The first arrival day of the replay."""
    last_day: date
    """The last day of the replay; what arrives after it belongs to orders placed before."""
    landed_until: datetime
    """Files complete by then (UTC) are there."""
    written: dict[str, int]
    """Files written now, by table."""
    bytes: int
    """Their size."""
    complete: bool
    """Everything has arrived: landing again will add nothing."""
    manifest: dict[str, Any]
    """As in the file: see `lakehouse.sample.manifest`."""

    @property
    def files(self) -> int:
        return sum(self.written.values())


def land(
    landing: Path,
    *,
    seed: int = 0,
    weeks: int | None = None,
    faults: bool = True,
    end_date: date | None = None,
    until: date | None = None,
    now: datetime | None = None,
) -> LandSummary:
    """Lands what has arrived by `now`, or before the day `until` where that is earlier.

    The same arguments give the same bytes. A file appears whole, and is never changed afterwards: landing again adds
    what has arrived since, with dates shifted as they were at first. Without `end_date` the year's last week is the
    week of the first landing; with one, the year ends by that day, and all of it has arrived by then. `weeks` replays
    the last weeks of the year only. Raises SampleError where the folder was made with other arguments or holds
    anything else, and OSError where it cannot be written.
    """
    landing.mkdir(parents=True, exist_ok=True)
    try:
        clock, replay = _replay(landing, seed, weeks, faults, end_date, until, now)
    except ValueError as error:
        raise SampleError(str(error)) from error
    feeds = make_feeds(clock, seed=seed, faults=faults)
    manifest = make_manifest(replay, clock, feeds)
    written: dict[str, int] = {}
    size = 0
    for feed in feeds:
        plan = [(i, file) for i, file in enumerate(feed.files()) if file.closes <= clock.cutoff]
        missing = [(i, file) for i, file in plan if not (landing / file.path).exists()]
        written[feed.name] = len(missing)
        for (_, file), text in zip(missing, feed.texts([i for i, _ in missing]), strict=True):
            size += write_whole(landing / file.path, text)
    write_whole(landing / NAME, text_of(manifest))
    return LandSummary(
        landing=landing,
        first_day=min(date.fromisoformat(file.path.split("/")[2]) for feed in feeds for file in feed.files()),
        last_day=clock.end.date(),
        landed_until=clock.cutoff,
        written=written,
        bytes=size,
        complete=all(file.closes <= clock.cutoff for feed in feeds for file in feed.files()),
        manifest=manifest,
    )


def make_feeds(clock: Clock, *, seed: int, faults: bool) -> Sequence[Feed]:
    """The feeds of all seven tables. Faults draw from generators of their own: without them all else is the same."""

    def base(table: str) -> np.random.Generator:
        return np.random.default_rng([seed, zlib.crc32(table.encode()), 0])

    def fault(table: str) -> np.random.Generator | None:
        return np.random.default_rng([seed, zlib.crc32(table.encode()), 1]) if faults else None

    baskets, first_purchase = read_baskets(clock)
    outcomes = decide(baskets, clock, base("outcomes"))
    return (
        customers_feed(first_purchase, clock, base("customers"), fault("customers")),
        Catalogue(clock, base("products"), fault("products")),
        Campaigns(clock),
        orders_feed(baskets, outcomes, clock, fault("orders")),
        payments_feed(baskets, outcomes, clock, base("payments"), fault("payments")),
        events_feed(baskets, clock, base("events"), fault("events")),
        redemptions_feed(clock),
    )


def _replay(
    landing: Path,
    seed: int,
    weeks: int | None,
    faults: bool,
    end_date: date | None,
    until: date | None,
    now: datetime | None,
) -> tuple[Clock, Replay]:
    clock = make_clock(weeks=weeks, end_date=end_date, until=until, now=now)
    replay = Replay(
        seed=seed,
        weeks=clock.weeks,
        faults=faults,
        end_date=end_date,
        shift_weeks=clock.shift_weeks,
        limit=clock.limit,
    )
    manifest = read_manifest(landing)
    if manifest is None:
        strangers = sorted(path.name for path in landing.iterdir() if path.name in _SOURCES)
        if strangers:
            raise SampleError(
                f"{landing} holds files of {', '.join(strangers)} but no {NAME}; land into an empty folder"
            )
        # Written first: a landing that is interrupted goes on with the same dates.
        write_whole(landing / NAME, text_of(make_manifest(replay, replace(clock, cutoff=datetime.min), ())))
        return clock, replay
    made = replay_of(manifest)
    wanted = replace(replay, shift_weeks=made.shift_weeks, limit=made.limit)
    if wanted != made:
        raise SampleError(
            f"{landing} was landed with {_options(made)}, not with {_options(replay)}; "
            "use the same options, or land into an empty folder"
        )
    earlier = datetime.fromisoformat(manifest["landed_until"])
    arrived = max(cutoff(made.limit, until, now), earlier)
    return replace(clock, shift_weeks=made.shift_weeks, limit=made.limit, cutoff=arrived), made


_SOURCES = ("shopify", "stripe", "catalog", "web", "marketing")


def _options(replay: Replay) -> str:
    weeks = "" if replay.weeks == YEAR_WEEKS else f" --weeks {replay.weeks}"
    end = f" --end-date {replay.end_date.isoformat()}" if replay.end_date else ""
    return f"--seed {replay.seed}{weeks}{'' if replay.faults else ' --no-faults'}{end}"


def write_whole(path: Path, text: str) -> int:
    """Writes beside the place and renames: a reader sees the whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}.tmp")
    data = text.encode()
    try:
        hidden.write_bytes(data)
        os.replace(hidden, path)
    except BaseException:
        hidden.unlink(missing_ok=True)
        raise
    return len(data)
