"""What the report shows, as plain objects: made by `collect`, read by `page` and `summary`. Nothing here knows Spark."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, get_args

from lakehouse.contracts.model import Contract, Dimension
from lakehouse.gold.release import IN_FORCE, Release

Verdict = Literal["fail", "warn", "pass", "none"]
"""Of a check or a table; `none`: not evaluated yet."""

DIMENSIONS: tuple[str, ...] = get_args(Dimension)
_GRAVITY = {"fail": 0, "warn": 1, "none": 2, "pass": 3}
_CREDIT = {"pass": 1.0, "warn": 0.5, "fail": 0.0}


@dataclass(frozen=True)
class Evaluation:
    """What a check measured once."""

    at: datetime
    outcome: Verdict
    value: float | None
    threshold: str
    batch: int | None = None


@dataclass(frozen=True)
class Check:
    """A check that the contract asks for, with its newest evaluations, oldest first."""

    name: str
    dimension: str
    description: str
    is_blocking: bool
    kind: str = ""
    column: str | None = None
    history: tuple[Evaluation, ...] = ()

    @property
    def last(self) -> Evaluation | None:
        return self.history[-1] if self.history else None

    @property
    def verdict(self) -> Verdict:
        return self.last.outcome if self.last else "none"


@dataclass(frozen=True)
class Batch:
    """What became of the records of one batch, or of several together."""

    landed: int
    counts: dict[str, int]
    """Records by disposition, in the ledger's order."""
    at: datetime | None = None
    seconds: float | None = None

    @property
    def unaccounted(self) -> int:
        """Records without a disposition, or (below zero) with more than one; 0 when records are conserved."""
        return self.landed - sum(self.counts.values())


@dataclass(frozen=True)
class Ledger:
    batches: int
    last: Batch
    total: Batch
    """Of all batches since the table was last rebuilt: a rebuild takes every record again."""


@dataclass(frozen=True)
class Reason:
    disposition: str
    text: str
    records: int


@dataclass(frozen=True)
class Sample:
    """A record that was not applied, as people may see it."""

    disposition: str
    reasons: tuple[str, ...]
    record: str
    file: str
    position: int
    arrived_on: date | None


@dataclass(frozen=True)
class Quarantine:
    records: int = 0
    """Those that wait; less those that somebody gave up."""
    reasons: tuple[Reason, ...] = ()
    """Most frequent first. A record counts once for every reason that it has."""
    samples: tuple[Sample, ...] = ()
    dismissed: int = 0
    """Those that somebody gave up."""


@dataclass(frozen=True)
class Arrival:
    """What was landed on one day."""

    day: date
    files: int
    records: int


@dataclass(frozen=True)
class Table:
    contract: Contract
    checks: tuple[Check, ...]
    ledger: Ledger | None = None
    quarantine: Quarantine = field(default_factory=Quarantine)
    arrivals: tuple[Arrival, ...] = ()
    """By day, oldest first; a day without files is left out."""

    @property
    def name(self) -> str:
        return self.contract.table

    @property
    def verdict(self) -> Verdict:
        if self.ledger and self.ledger.total.unaccounted:
            return "fail"
        return worst(check.verdict for check in self.checks if check.history)

    @property
    def score(self) -> float | None:
        return score([(check.dimension, check.last.outcome) for check in self.checks if check.last])

    @property
    def score_history(self) -> list[float]:
        """The score of every evaluation of the table that is remembered, oldest first."""
        runs: dict[datetime, list[tuple[str, str]]] = {}
        for check in self.checks:
            for evaluation in check.history:
                runs.setdefault(evaluation.at, []).append((check.dimension, evaluation.outcome))
        found = (score(runs[at]) for at in sorted(runs))
        return [value for value in found if value is not None]

    def having(self, *verdicts: Verdict) -> list[Check]:
        """The checks with one of these verdicts, gravest first."""
        found = [check for check in self.checks if check.verdict in verdicts]
        return sorted(found, key=lambda check: (_GRAVITY[check.verdict], check.name))

    def of(self, dimension: str) -> list[Check]:
        return [check for check in self.checks if check.dimension == dimension]


@dataclass(frozen=True)
class ReportData:
    at: datetime
    target: str
    """The dbt target that gold is built for: prod or dev."""
    tables: tuple[Table, ...]
    releases: tuple[Release, ...] = ()
    """The events of ops.releases, newest first."""

    @property
    def release(self) -> Release | None:
        """The release in force."""
        return next((event for event in self.releases if event.status in IN_FORCE), None)

    @property
    def events(self) -> list[Release]:
        """The releases without the note `audited` of those that became more than that."""
        settled = {event.release_id for event in self.releases if event.status != "audited"}
        return [event for event in self.releases if event.status != "audited" or event.release_id not in settled]

    @property
    def failed_release(self) -> Release | None:
        """The newest event of gold, where it is a failure: what readers see is older than silver then."""
        newest = self.releases[0] if self.releases else None
        return newest if newest and newest.status == "failed" else None

    @property
    def is_empty(self) -> bool:
        return not self.releases and not any(t.ledger or t.arrivals or t.verdict != "none" for t in self.tables)

    @property
    def verdict(self) -> Verdict:
        return worst([*(table.verdict for table in self.tables), *(["fail"] if self.failed_release else [])])

    def count(self, verdict: Verdict) -> int:
        return sum(table.verdict == verdict for table in self.tables)

    def ranked(self) -> list[Table]:
        """All tables, those with problems first."""
        return sorted(self.tables, key=lambda table: (_GRAVITY[table.verdict], table.name))

    @property
    def failed(self) -> list[str]:
        """What failed, as `table.check`; `gold.release` for a failed build of gold."""
        names = []
        for table in self.tables:
            names += [f"{table.name}.{check.name}" for check in table.having("fail")]
            if table.verdict == "fail" and not table.having("fail"):
                names.append(f"{table.name}.ledger")
        return names + (["gold.release"] if self.failed_release else [])


def worst(verdicts: Iterable[str]) -> Verdict:
    """The gravest of several verdicts; `none` where there are none."""
    known = set(verdicts)
    gravest_first: tuple[Verdict, ...] = ("fail", "warn", "pass")
    return next((verdict for verdict in gravest_first if verdict in known), "none")


def score(outcomes: Sequence[tuple[str, str]]) -> float | None:
    """0 to 100 from (dimension, outcome) of evaluated checks; None where there are none.

    A pass counts 1, a warning a half; a dimension in which a check failed counts 0: its data was held back. Each
    dimension counts the same, however many checks it has: otherwise thirty rules on formats would drown one on
    freshness.
    """
    by_dimension: dict[str, list[float]] = {}
    for dimension, outcome in outcomes:
        if dimension not in DIMENSIONS:  # the quality score itself
            continue
        by_dimension.setdefault(dimension, []).append(_CREDIT[outcome])
    if not by_dimension:
        return None
    means = [0.0 if 0.0 in credits else sum(credits) / len(credits) for credits in by_dimension.values()]
    return 100 * sum(means) / len(means)
