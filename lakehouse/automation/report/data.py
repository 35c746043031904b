"""What the report shows, as plain objects: made by `collect`, read by `page` and `summary`. Nothing here knows Spark."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, get_args

from lakehouse.automation.report.lineage import Graph
from lakehouse.contracts.model import Contract, Dimension
from lakehouse.gold.release import IN_FORCE, Release
from lakehouse.quality.score import CREDIT, score

Verdict = Literal["fail", "warn", "pass", "none"]
"""Of a check or a table; `none`: not evaluated yet."""

DIMENSIONS: tuple[str, ...] = get_args(Dimension)
_GRAVITY = {"fail": 0, "warn": 1, "none": 2, "pass": 3}


@dataclass(frozen=True)
class Evaluation:
    """What a check measured once."""

    at: datetime
    outcome: Verdict
    value: float | None
    threshold: str
    batch: int | None = None
    """Of a model of gold: the release that was built."""
    message: str = ""
    contract_version: str = ""


@dataclass(frozen=True)
class Check:
    """A check that the contract (or the dbt project) asks for, with its newest evaluations, oldest first."""

    name: str
    dimension: str
    description: str
    is_blocking: bool
    kind: str = ""
    column: str | None = None
    history: tuple[Evaluation, ...] = ()
    samples: tuple[Mapping[str, str], ...] = ()
    """A few records that broke it at its last evaluation, personal data masked."""

    @property
    def last(self) -> Evaluation | None:
        return self.history[-1] if self.history else None

    @property
    def verdict(self) -> Verdict:
        return self.last.outcome if self.last else "none"

    @property
    def since(self) -> Evaluation | None:
        """The first evaluation of those that, without a break, found what the last one did."""
        first = None
        for evaluation in reversed(self.history):
            if evaluation.outcome != self.verdict:
                break
            first = evaluation
        return first

    @property
    def was_sound(self) -> bool:
        """Whether it passed at every evaluation that is remembered."""
        return all(evaluation.outcome == "pass" for evaluation in self.history)


@dataclass(frozen=True)
class Batch:
    """What became of the records of one batch, or of several together."""

    landed: int
    counts: dict[str, int]
    """Records by disposition, in the ledger's order."""
    at: datetime | None = None
    seconds: float | None = None
    number: int | None = None
    kind: str = ""
    """batch, rebuild or replay."""
    contract_version: str = ""

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
    recent: tuple[Batch, ...] = ()
    """Newest first; rebuilds and replays, too."""


@dataclass(frozen=True)
class Decided:
    """What somebody decided about a batch that was held back."""

    batch: int
    decision: str
    note: str
    made_by: str
    at: datetime


@dataclass(frozen=True)
class Reason:
    disposition: str
    text: str
    records: int
    since: datetime | None = None
    """How long the oldest of them has waited."""


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
    new: int = 0
    """Of those that wait: for less than a day."""
    overdue: int = 0
    """Of those that wait: for longer than the contract allows without a warning."""

    @property
    def since(self) -> datetime | None:
        """How long the oldest of them has waited."""
        return min((reason.since for reason in self.reasons if reason.since), default=None)


@dataclass(frozen=True)
class Arrival:
    """What was landed on one day."""

    day: date
    files: int
    records: int


@dataclass(frozen=True)
class Checked(ABC):
    """Something that has checks: a table of a contract, or a model of dbt."""

    checks: tuple[Check, ...]

    @property
    @abstractmethod
    def name(self) -> str: ...

    @property
    @abstractmethod
    def title(self) -> str: ...

    @property
    @abstractmethod
    def owner(self) -> str: ...

    @property
    @abstractmethod
    def page(self) -> str:
        """Where its page is, below the report's folder."""

    @property
    @abstractmethod
    def node(self) -> str:
        """Its node in the lineage."""

    @property
    def verdict(self) -> Verdict:
        return worst(check.verdict for check in self.checks if check.history)

    @property
    def score(self) -> float | None:
        """0 to 100; None where nothing was evaluated. By the outcomes of the checks alone."""
        return _points((check.dimension, check.verdict) for check in self.checks if check.last)

    @property
    def scores(self) -> list[tuple[datetime, float]]:
        """The score (0 to 100) at every evaluation that is remembered, oldest first."""
        runs: dict[datetime, list[tuple[str, str]]] = {}
        for check in self.checks:
            for evaluation in check.history:
                runs.setdefault(evaluation.at, []).append((check.dimension, evaluation.outcome))
        found = ((at, _points(runs[at])) for at in sorted(runs))
        return [(at, value) for at, value in found if value is not None]

    def having(self, *verdicts: Verdict) -> list[Check]:
        """The checks with one of these verdicts, gravest first."""
        found = [check for check in self.checks if check.verdict in verdicts]
        return sorted(found, key=lambda check: (_GRAVITY[check.verdict], check.name))

    def of(self, dimension: str) -> list[Check]:
        return [check for check in self.checks if check.dimension == dimension]

    @property
    def unchecked(self) -> list[str]:
        """The dimensions without a check."""
        return [dimension for dimension in DIMENSIONS if not self.of(dimension)]


@dataclass(frozen=True)
class Table(Checked):
    contract: Contract
    ledger: Ledger | None = None
    quarantine: Quarantine = field(default_factory=Quarantine)
    arrivals: tuple[Arrival, ...] = ()
    """By day, oldest first; a day without files is left out."""
    measured_scores: tuple[tuple[datetime, float], ...] = ()
    """The score (0 to 100) of each batch, oldest first, as its audit gave it."""
    anomalies: tuple[Evaluation, ...] = ()
    """What was found unusual, oldest first, with the evaluations that found nothing; empty where nobody looks."""
    decisions: tuple[Decided, ...] = ()
    """About batches that were held back, newest first."""
    readers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Column → the columns of gold that are made from it."""

    @property
    def name(self) -> str:
        return self.contract.table

    @property
    def title(self) -> str:
        return self.contract.title

    @property
    def owner(self) -> str:
        return self.contract.owner

    @property
    def page(self) -> str:
        return f"tables/{self.name}.html"

    @property
    def node(self) -> str:
        return self.contract.silver_table

    @property
    def verdict(self) -> Verdict:
        if self.ledger and self.ledger.total.unaccounted:
            return "fail"
        return super().verdict

    @property
    def score(self) -> float | None:
        return self.measured_scores[-1][1] if self.measured_scores else super().score

    @property
    def scores(self) -> list[tuple[datetime, float]]:
        return list(self.measured_scores) or super().scores

    @property
    def held(self) -> int | None:
        """The number of the batch that waits because a check failed on it; None where none does. Nothing of such a batch
        is committed: it is newer than any in the ledger."""
        batches = [check.last.batch for check in self.checks if check.last and check.last.outcome == "fail"]
        newest = max((batch for batch in batches if batch is not None), default=None)
        done = max((batch.number or 0 for batch in self.ledger.recent), default=-1) if self.ledger else -1
        return newest if newest is not None and newest > done else None


@dataclass(frozen=True)
class Model(Checked):
    """A model of dbt."""

    unique_id: str
    relation: str
    layer: str
    """staging, intermediate, or gold (of what readers read)."""
    description: str
    owners: tuple[str, ...]
    kind: str
    """How dbt makes it: table, incremental or view."""
    columns: tuple[tuple[str, str, str, str], ...]
    """(name, type, description, mask by which readers see it) of each."""

    @property
    def name(self) -> str:
        return self.relation

    @property
    def title(self) -> str:
        return self.relation.split(".")[1]

    @property
    def owner(self) -> str:
        return ", ".join(self.owners)

    @property
    def page(self) -> str:
        return f"gold/{self.title}.html"

    @property
    def node(self) -> str:
        return self.unique_id


@dataclass(frozen=True)
class ReportData:
    at: datetime
    target: str
    """The dbt target that gold is built for: prod or dev."""
    tables: tuple[Table, ...]
    releases: tuple[Release, ...] = ()
    """The events of ops.releases, newest first."""
    models: tuple[Model, ...] = ()
    """What readers read, then what it is made from."""
    lineage: Graph = field(default_factory=lambda: Graph({}, frozenset()))

    @property
    def everything(self) -> list[Checked]:
        return [*self.tables, *self.models]

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
        return worst([*(item.verdict for item in self.everything), *(["fail"] if self.failed_release else [])])

    def count(self, verdict: Verdict) -> int:
        """Tables of contracts with the verdict."""
        return sum(table.verdict == verdict for table in self.tables)

    def ranked(self) -> list[Table]:
        """All tables of contracts, those with problems first."""
        return sorted(self.tables, key=lambda table: (_GRAVITY[table.verdict], table.name))

    def found(self, verdict: Verdict) -> list[tuple[Checked, Check]]:
        """Every check with the verdict, and what it is of: tables of contracts, then models."""
        return [(item, check) for item in [*self.ranked(), *self.models] for check in item.having(verdict)]

    @property
    def unaccounted(self) -> list[Table]:
        """Tables with records that have no disposition, or several."""
        return [table for table in self.ranked() if table.ledger and table.ledger.total.unaccounted]

    @property
    def failed(self) -> list[str]:
        """What failed, as `table.check`; `table.ledger` where records are lost, `gold.release` for a failed build of gold."""
        names = [f"{item.name}.{check.name}" for item, check in self.found("fail")]
        names += [f"{table.name}.ledger" for table in self.unaccounted]
        return names + (["gold.release"] if self.failed_release else [])


def _points(outcomes: Iterable[tuple[str, str]]) -> float | None:
    """The score, 0 to 100, of (dimension, outcome) of evaluated checks."""
    found = score((dimension, CREDIT[outcome]) for dimension, outcome in outcomes)
    return None if found is None else 100 * found.value


def worst(verdicts: Iterable[str]) -> Verdict:
    """The gravest of several verdicts; `none` where there are none."""
    known = set(verdicts)
    gravest_first: tuple[Verdict, ...] = ("fail", "warn", "pass")
    return next((verdict for verdict in gravest_first if verdict in known), "none")
