"""`make bench-anomalies`: what the judge of anomalies finds of known ones in the sample's year, and what it says of none.

The year is landed, read by DuckDB and profiled day by day in pandas, by the metrics of `lakehouse.quality.profiles`; no
Spark. After eight weeks of warm-up every table-day is judged by the days before it: once as it is, and once with incidents
injected at known days (`--seed`; the same seed gives the same incidents). Thanksgiving and Christmas are special days, as
in the calendar that the sample writes (`--no-calendar`: they are days like others); incidents fall on them, too. Prints
precision, recall and delay.
"""

import argparse
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from lakehouse.contracts.loader import load_all
from lakehouse.contracts.model import Contract
from lakehouse.quality import profiles
from lakehouse.quality.anomalies import Kind, Sensitivity, Verdict, judge
from lakehouse.quality.profiles import Figures, Profile
from lakehouse.sample import land
from lakehouse.sample.holidays import TABLES, holidays
from lakehouse.sample.manifest import read_manifest, replay_of
from lakehouse.settings import settings

NOW = datetime(2025, 12, 24, 12)
"""Of the first landing: the year's last week is this one."""
LAST = date(2025, 12, 28)
"""The last day judged: what arrives after the year's last week belongs to orders placed before."""
WARM_UP = timedelta(weeks=8)
FILE_HOURS = {"shopify_orders": 1, "stripe_payments": 6, "web_events": 6}
"""Hours that share a file, and pass before it is complete; a day where nothing is said."""
NUMBERS = ("int", "bigint", "double")

Frame = pd.DataFrame
Arrived = Callable[[date], Frame]
Change = Callable[[date, Arrived, np.random.Generator], Frame]
"""(day, what arrived on a day, generator) → what arrives on the day instead."""


@dataclass
class Feed:
    """One table of the sample: its records by arrival day, and what the days look like."""

    contract: Contract
    connection: duckdb.DuckDBPyConnection
    days: list[date]
    profiles: dict[date, Profile] = field(default_factory=dict)
    special: Mapping[date, str] = field(default_factory=dict)

    @property
    def table(self) -> str:
        return self.contract.table

    @property
    def numbers(self) -> list[str]:
        return [c.name for c in self.contract.columns if c.type in NUMBERS or c.type.startswith("decimal")]

    def frame(self, day: date) -> Frame:
        """The readable records of one arrival day; numbers as numbers, all else as text; `_hours` is their arrival."""
        columns = ", ".join(
            f'try_cast("{c.source_name}" as double) as {c.name}'
            if c.name in self.numbers
            else f'"{c.source_name}" as {c.name}'
            for c in self.contract.columns
        )
        hours = FILE_HOURS.get(self.table, 24)
        arrived = f"coalesce(try_cast(regexp_extract(filename, '-(\\d\\d)[.]', 1) as int), 0) + {hours}"
        found = self.connection.execute(f"select {columns}, {arrived} as _hours from {self.table} where day = ?", [day])
        return found.df()

    def profile(self, frame: Frame) -> Profile:
        bits = profiles.sample_bits(len(frame))
        record = frame.drop(columns="_hours")
        hashes = pd.util.hash_pandas_object(record.astype(str), index=False).to_numpy()
        return Profile(
            rows=len(frame),
            columns={name: self._figures(name, record[name]) for name in record},
            first_arrival=float(frame["_hours"].min()) if len(frame) else None,
            last_arrival=float(frame["_hours"].max()) if len(frame) else None,
            sample=profiles.thinned((int(value) for value in hashes), bits),
            sample_bits=bits,
        )

    def _figures(self, name: str, values: "pd.Series[Any]") -> Figures:
        known = values.dropna()
        distinct = known.nunique()
        column = self.contract.column(name)
        if name in self.numbers and len(known):
            return Figures(
                nulls=len(values) - len(known),
                distinct=distinct,
                mean=float(known.mean()),
                spread=float(known.std(ddof=0)),
                quantiles=tuple(known.quantile(list(profiles.QUANTILES)).tolist()),
            )
        has_categories = column.type == "string" and column.classification != "pii" and distinct <= profiles.CATEGORIES
        counts = known.value_counts().to_dict() if has_categories else None
        return Figures(nulls=len(values) - len(known), distinct=distinct, categories=counts)


def land_year(landing: Path) -> None:
    """All of the year, as it arrives to somebody who waits for it: a year that is made to end by a day has its last
    weeks drawn closer."""
    land(landing, now=NOW)
    land(landing, now=NOW + timedelta(days=60))


def read_feeds(landing: Path, connection: duckdb.DuckDBPyConnection, tables: Sequence[str] | None = None) -> list[Feed]:
    feeds = []
    for contract in load_all(settings()).values():
        if tables is not None and contract.table not in tables:
            continue
        names = [column.source_name for column in contract.columns]
        texts = ", ".join(f"\"{name}\": 'VARCHAR'" for name in names)
        files = f"{landing}/{contract.source}/{contract.name}/*/*"
        day = "cast(regexp_extract(filename, '/(\\d{4}-\\d{2}-\\d{2})/', 1) as date) as day"
        if contract.format == "csv":
            source = f"select *, {day} from read_csv('{files}', all_varchar=true, filename=true, ignore_errors=true)"
        else:
            form = "format='newline_delimited', ignore_errors=true, filename=true"
            if contract.delivery == "changes":
                image = ", ".join(f'"{name}" varchar' for name in names)
                source = f"""select unnest(coalesce("after", "before")), filename, {day} from read_json('{files}',
                    columns={{"before": 'struct({image})', "after": 'struct({image})'}}, {form})"""
            else:
                source = f"select *, {day} from read_json('{files}', columns={{{texts}}}, {form})"
        connection.execute(f"create table {contract.table} as {source}")
        days = [
            row[0] for row in connection.execute(f"select distinct day from {contract.table} order by 1").fetchall()
        ]
        feed = Feed(contract, connection, days)
        feed.profiles = {day: feed.profile(feed.frame(day)) for day in days}
        feeds.append(feed)
    return feeds


def special_days(table: str, shift_weeks: int) -> dict[date, str]:
    """What the sample's calendar says of the table: day → name of the holiday."""
    return {day: one.name for one in holidays(shift_weeks) for day in one.days} if table in TABLES else {}


def shift_of(landing: Path) -> int:
    """The weeks by which the landed year is shifted."""
    manifest = read_manifest(landing)
    if manifest is None:
        raise SystemExit(f"{landing} holds no year of the sample. Land one there, or leave out --landing.")
    return replay_of(manifest).shift_weeks


# --- incidents -----------------------------------------------------------------------------------------------------


def _half(day: date, arrived: Arrived, rng: np.random.Generator) -> Frame:
    frame = arrived(day)
    return frame[rng.random(len(frame)) < 0.5]


def _double(day: date, arrived: Arrived, rng: np.random.Generator) -> Frame:
    frame = arrived(day)
    return pd.concat([frame, frame], ignore_index=True)


def _late(day: date, arrived: Arrived, rng: np.random.Generator) -> Frame:
    frame = arrived(day)
    return frame.assign(_hours=frame["_hours"] + 3)


@dataclass(frozen=True)
class Incident:
    """What goes wrong with a table, on which days."""

    kind: str
    table: str
    days: tuple[date, ...]
    column: str | None
    change: Change

    @property
    def named(self) -> Kind:
        """The kind of anomaly that names it."""
        return NAMED[self.kind]


NAMED: dict[str, Kind] = {
    "volume x0.5": "volume", "volume x2": "volume", "nulls +5 points": "nulls", "mean +20 %": "mean",
    "category lost": "category", "batch repeated": "repeated", "3 hours late": "arrival",
}  # fmt: skip


def _incident(kind: str, feed: Feed, days: tuple[date, ...], rng: np.random.Generator) -> Incident | None:
    """The incident with its column drawn; None where the table has no column, or no past, for that kind."""
    names = [column.name for column in feed.contract.columns]
    column: str | None = None
    change: Change | None = {"volume x0.5": _half, "volume x2": _double, "3 hours late": _late}.get(kind)
    if kind == "nulls +5 points":
        full = [n for n in names if all(feed.profiles[d].columns[n].nulls <= 0.9 * feed.profiles[d].rows for d in days)]
        column = str(rng.choice(full))

        def change(day: date, arrived: Arrived, rng: np.random.Generator) -> Frame:
            frame = arrived(day)
            share = 0.05 / max(frame[column].notna().mean(), 0.05)
            return frame.assign(**{column: frame[column].mask(rng.random(len(frame)) < share)})
    elif kind == "mean +20 %":
        shifted = [
            n for n in feed.numbers if all((feed.profiles[d].columns[n].quantiles or (0,) * 5)[2] > 0 for d in days)
        ]
        if not shifted:
            return None
        column = str(rng.choice(shifted))

        def change(day: date, arrived: Arrived, rng: np.random.Generator) -> Frame:
            frame = arrived(day)
            return frame.assign(**{column: frame[column] * 1.2})
    elif kind == "category lost":
        pairs = sorted(
            (n, value)
            for n in names
            for value, count in (feed.profiles[days[0]].columns[n].categories or {}).items()
            if 0.02 <= count / feed.profiles[days[0]].rows <= 0.9
        )
        if not pairs:
            return None
        column, value = pairs[int(rng.integers(len(pairs)))]

        def change(day: date, arrived: Arrived, rng: np.random.Generator) -> Frame:
            frame = arrived(day)
            return frame[frame[column] != value]
    elif kind == "batch repeated":
        if feed.contract.delivery == "snapshot":
            return None  # it repeats its records by design
        back, is_instead = int(rng.integers(1, 8)), bool(rng.random() < 0.5)

        def change(day: date, arrived: Arrived, rng: np.random.Generator) -> Frame:
            again = arrived(feed.days[feed.days.index(day) - back])
            return again if is_instead else pd.concat([arrived(day), again], ignore_index=True)

    assert change is not None
    return Incident(kind, feed.table, days, column, change)


def incidents(feed: Feed, rng: np.random.Generator, each: int = 3) -> list[Incident]:
    """`each` incidents of every kind, of one to three arrivals, with four quiet arrivals between them at least."""
    judged = [day for day in feed.days if feed.days[0] + WARM_UP <= day <= LAST]
    is_daily = len(judged) > 100
    kinds = [kind for kind in NAMED for _ in range(each if is_daily else 1)]
    rng.shuffle(kinds)
    lengths = [int(rng.integers(1, 4)) if is_daily else 1 for _ in kinds]
    gap = 4
    spare = len(judged) - sum(lengths) - gap * len(kinds)
    starts = np.sort(rng.integers(0, spare + 1, len(kinds)))
    found, used = [], 0
    for kind, length, start in zip(kinds, lengths, starts, strict=True):
        first = int(start) + used
        used += length + gap
        incident = _incident(kind, feed, tuple(judged[first : first + length]), rng)
        if incident is not None:
            found.append(incident)
    return found


# --- judging -------------------------------------------------------------------------------------------------------


def verdicts(feed: Feed, history: Mapping[date, Profile], sensitivity: Sensitivity = "normal") -> dict[date, Verdict]:
    """Every day after the warm-up, judged by the days before it."""
    judged = [day for day in feed.days if feed.days[0] + WARM_UP <= day <= LAST]
    return {day: judge(history, day, sensitivity=sensitivity, special=feed.special) for day in judged}


def alerts(told: Mapping[date, Verdict]) -> list[date]:
    """The days on which somebody would be told: the check was quiet on the judged day before."""
    loud = [bool(verdict.anomalies) for verdict in told.values()]
    return [day for day, now, before in zip(told, loud, [False, *loud], strict=False) if now and not before]


@dataclass
class Outcome:
    """Of one table: incidents with the verdicts of their days, and the days of no incident that were told of."""

    found: list[tuple[Incident, list[Verdict]]]
    false: list[Verdict]


def trial(feed: Feed, seed: int, sensitivity: Sensitivity = "normal") -> Outcome:
    rng = np.random.default_rng([seed, *feed.table.encode()])
    planned = incidents(feed, rng)
    history = dict(feed.profiles)
    arrived: dict[date, Frame] = {}
    for incident in planned:
        for day in incident.days:
            frame = incident.change(day, lambda of: arrived[of] if of in arrived else feed.frame(of), rng)
            arrived[day], history[day] = frame, feed.profile(frame)
    told = verdicts(feed, history, sensitivity)
    wrong = {day for incident in planned for day in incident.days}
    return Outcome(
        [(incident, [told[day] for day in incident.days]) for incident in planned],
        [verdict for day, verdict in told.items() if verdict.anomalies and day not in wrong],
    )


def summary(outcomes: Sequence[Outcome]) -> tuple[float, float]:
    """(recall, precision) over table-days."""
    days = [bool(v.anomalies) for o in outcomes for _, told in o.found for v in told]
    false = sum(len(o.false) for o in outcomes)
    return sum(days) / len(days), sum(days) / max(sum(days) + false, 1)


def report(outcomes: Sequence[Outcome]) -> None:
    by_kind: dict[str, list[tuple[Incident, list[Verdict]]]] = defaultdict(list)
    for outcome in outcomes:
        for incident, told in outcome.found:
            by_kind[incident.kind].append((incident, told))
    print(
        f"{'kind':18} {'incidents':>9} {'table-days':>10} {'recall':>7} {'named':>7} {'never':>6}  delay in days: mean, most"
    )
    for kind in NAMED:
        rows = by_kind[kind]
        days = [(bool(v.anomalies), any(a.kind == NAMED[kind] for a in v.anomalies)) for _, told in rows for v in told]
        if not days:
            continue
        delays = [next((i for i, v in enumerate(told) if v.anomalies), None) for _, told in rows]
        seen = [delay for delay in delays if delay is not None]
        print(
            f"{kind:18} {len(rows):9} {len(days):10} {sum(a for a, _ in days) / len(days):7.2f} "
            f"{sum(b for _, b in days) / len(days):7.2f} {len(delays) - len(seen):6}  "
            + (f"{np.mean(seen):.2f}, {max(seen)}" if seen else "-")
        )
    recall, precision = summary(outcomes)
    print(
        f"all: recall {recall:.3f}, precision {precision:.3f}, {sum(len(o.false) for o in outcomes)} false table-days"
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seed", type=int, default=1, help="of the incidents")
    options.add_argument("--seeds", type=int, default=1, help="so many, from --seed on")
    options.add_argument("--tables", help="some, by name, with commas between")
    options.add_argument("--landing", type=Path, help="a landing area that is there, instead of landing the year")
    options.add_argument("--sensitivity", default="normal", choices=["low", "normal", "high"])
    options.add_argument(
        "--no-calendar", dest="calendar", action="store_false", help="no day is special: Thanksgiving is judged as any"
    )
    options.add_argument("--verbose", action="store_true", help="every false alert, and every incident not found")
    chosen = options.parse_args()
    root = Path(tempfile.mkdtemp(prefix="lakehouse-bench-"))
    try:
        landing = chosen.landing or root / "landing"
        if chosen.landing is None:
            land_year(landing)
        connection = duckdb.connect(str(root / "year.duckdb"))
        feeds = read_feeds(landing, connection, chosen.tables.split(",") if chosen.tables else None)
        if chosen.calendar:
            shift_weeks = shift_of(landing)
            for feed in feeds:
                feed.special = special_days(feed.table, shift_weeks)
        run(feeds, chosen)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def run(feeds: list[Feed], chosen: argparse.Namespace) -> None:
    print(f"The year as it is, judged from {WARM_UP.days // 7} weeks after the first arrival to {LAST}:")
    started, judged, special = time.monotonic(), 0, 0
    for feed in feeds:
        told = verdicts(feed, feed.profiles, chosen.sensitivity)
        judged += len(told)
        special += sum(bool(verdict.special) for verdict in told.values())
        loud = [verdict for verdict in told.values() if verdict.anomalies]
        months = max((LAST - feed.days[0] - WARM_UP).days / 30.44, 1)
        records = np.median([profile.rows for profile in feed.profiles.values()])
        by_month = pd.Series([day.month for day in alerts(told)], dtype=int).value_counts()
        print(
            f"{feed.table:29}{records:8,.0f} records a day, {len(told):3} days judged, {len(loud):2} told of "
            f"({len(loud) / months:.2f} a month); {by_month.sum():2} alerts, in a month at most {by_month.max() if loud else 0}"
        )
        if chosen.verbose:
            _tell(loud)
    print(f"{special} of {judged} table-days were special: only fields, new values and times of arrival were judged.")
    print(f"({(time.monotonic() - started) / max(judged, 1) * 1000:.1f} ms a table-day)\n")
    able = [feed for feed in feeds if np.median([p.rows for p in feed.profiles.values()]) >= 50 and len(feed.days) > 12]
    every = []
    for seed in range(chosen.seed, chosen.seed + chosen.seeds):
        outcomes = [trial(feed, seed, chosen.sensitivity) for feed in able]
        every += outcomes
        recall, precision = summary(outcomes)
        false = sum(len(outcome.false) for outcome in outcomes)
        hidden = [v for o in outcomes for _, told in o.found for v in told if v.special]
        print(
            f"seed {seed}: recall {recall:.3f}, precision {precision:.3f}, {false} false table-days; "
            f"{len(hidden)} table-days of incidents were special, {sum(bool(v.anomalies) for v in hidden)} of them told of"
        )
        if chosen.verbose:
            for outcome in outcomes:
                for incident, verdicts_ in outcome.found:
                    if not all(verdict.anomalies for verdict in verdicts_):
                        missed = [str(v.day) for v in verdicts_ if not v.anomalies]
                        print(f"  missed: {incident.kind} {incident.table} {incident.column} {', '.join(missed)}")
                _tell(outcome.false)
    print()
    report(every)


def _tell(loud: Sequence[Verdict]) -> None:
    for verdict in loud:
        print(f"  {verdict.day}: " + "\n              ".join(a.kind + ": " + a.sentence for a in verdict.anomalies[:4]))


if __name__ == "__main__":
    main()
