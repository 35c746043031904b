"""The manifest: what the landing area was made from, what it holds, and what must come of it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from lakehouse.sample.clock import Clock
from lakehouse.sample.faults import RATES, TRUNCATED_PER_SNAPSHOT, USABLE_PER_UNUSABLE
from lakehouse.sample.feed import Feed

NAME = "_manifest.json"
"""Names that begin with an underscore or a dot are not data."""
FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a landing area was made from; later landings into it must agree."""

    seed: int
    weeks: int
    faults: bool
    end_date: date | None
    shift_weeks: int
    limit: datetime | None


def read_manifest(landing: Path) -> dict[str, Any] | None:
    """The manifest of a landing area; None where there is none. Raises ValueError where it cannot be read."""
    path = landing / NAME
    if not path.exists():
        return None
    try:
        manifest: dict[str, Any] = json.loads(path.read_text())
        replay_of(manifest)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a manifest of the sample ({error}); land into an empty folder") from error
    return manifest


def replay_of(manifest: dict[str, Any]) -> Replay:
    """The replay that a manifest describes."""
    made = manifest["replay"]
    return Replay(
        seed=made["seed"],
        weeks=made["weeks"],
        faults=made["faults"],
        end_date=date.fromisoformat(made["end_date"]) if made["end_date"] else None,
        shift_weeks=made["shift_weeks"],
        limit=datetime.fromisoformat(made["limit"]) if made["limit"] else None,
    )


def make_manifest(replay: Replay, clock: Clock, feeds: Sequence[Feed]) -> dict[str, Any]:
    """The manifest of everything that has arrived by the clock's cutoff; the same for the same arguments."""
    return {
        "format": FORMAT,
        "replay": {
            **asdict(replay),
            "end_date": replay.end_date.isoformat() if replay.end_date else None,
            "limit": replay.limit.isoformat() if replay.limit else None,
            "start": clock.start.date().isoformat(),
            "end": clock.end.date().isoformat(),
        },
        "landed_until": clock.cutoff.isoformat(),
        "rates": {
            **RATES,
            "truncated_lines_per_snapshot": TRUNCATED_PER_SNAPSHOT,
            "least_usable_per_unusable": USABLE_PER_UNUSABLE,
        }
        if replay.faults
        else {},
        "tables": {feed.name: feed.account(clock.cutoff) for feed in feeds},
    }


def text_of(manifest: dict[str, Any]) -> str:
    return json.dumps(manifest, indent=1) + "\n"
