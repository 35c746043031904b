"""The quality score of a batch: one number from 0 to 1 over what its checks measured, and whether the batch passes by it.

It is taken from the parsed batch, before row violations are split off, in three steps, each a form that Pipino, Lee and
Wang name in "Data Quality Assessment" (Communications of the ACM 45(4), 2002):

1. A check earns a credit (simple ratio). A rule of single records, and the quarantine's rate: the share of records that
   are right. Any other check: 1 where it passes, 0 where it fails, and where it warns a half, or as much more of it as the
   share of records says that are right. What can only warn earns a half at least, so that no warning alone is a disaster;
   what could not be evaluated earns as if every record were wrong.
2. A dimension has the least credit of its checks (minimum): thirty rules that hold do not drown the one that does not.
3. The score is the mean over the dimensions that have a check, by the contract's weights (weighted average); equal
   ones where it says nothing.

What is no finding about the batch does not count: that records are conserved, how long others wait in quarantine, fields
that the contract does not know, anomalies (they are told by themselves).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from lakehouse.contracts.model import Contract, Dimension
from lakehouse.quality.audit import ALL_DIMENSIONS, FRESHNESS, QUALITY_SCORE, QUARANTINE_RATE, check_names
from lakehouse.quality.results import CheckResult, Outcome

WARNED = 0.5
CREDIT: Mapping[str, float] = {"pass": 1.0, "warn": WARNED, "fail": 0.0}
"""The credit of a check of which the outcome alone is known."""
TIMELINESS = "timeliness"
_COUNT_RECORDS = ("missing", "invalid", "unique", "reference")
"""Kinds of checks whose number is that of records that are wrong, or their share in percent."""
_DIGITS = 6


@dataclass(frozen=True)
class Score:
    """A score from 0 to 1, and what it is made of."""

    value: float
    dimensions: dict[str, float]
    """Those that have a check, in their usual order."""


def score(credits: Iterable[tuple[str, float]], weights: Iterable[tuple[str, float]] = ()) -> Score | None:
    """The score of (dimension, credit) of evaluated checks; None where no dimension with a weight has one. A dimension
    without a weight has 1. Of remembered results: `credit` of ops.check_results, else `CREDIT` of the outcome."""
    least: dict[str, float] = {}
    for dimension, credit in credits:
        least[dimension] = min(credit, least.get(dimension, 1.0))
    dimensions = {name: round(least[name], _DIGITS) for name in get_args(Dimension) if name in least}
    given = dict(weights)
    weight = {name: given.get(name, 1.0) for name in dimensions}
    total = sum(weight.values())
    if not total:
        return None
    return Score(round(sum(weight[name] * dimensions[name] for name in dimensions) / total, _DIGITS), dimensions)


def credit(contract: Contract, result: CheckResult, landed: int) -> float | None:
    """What a result on a batch of `landed` records counts, 0 to 1; None where it does not."""
    right = _share(contract, result, landed)
    if result.kind == "rule" or result.name == QUARANTINE_RATE:
        return right if result.severity == "error" else WARNED + (1 - WARNED) * right
    if result.kind == "batch" or result.name == FRESHNESS:
        return WARNED + (1 - WARNED) * right if result.outcome == "warn" else CREDIT[result.outcome]
    return None


def _share(contract: Contract, result: CheckResult, landed: int) -> float:
    """The share of records that are right; 0 where that is not what the check measures."""
    if result.value is None:
        return 0.0
    check = next((check for check in contract.checks if check.name == result.name), None)
    if result.name == QUARANTINE_RATE or (check and check.kind in _COUNT_RECORDS and check.unit == "percent"):
        wrong = result.value / 100
    elif result.kind == "rule" or (check and check.kind in _COUNT_RECORDS):
        wrong = result.value / max(landed, 1)
    else:
        return 0.0
    return min(max(1 - wrong, 0.0), 1.0)


def scored(contract: Contract, results: Sequence[CheckResult], landed: int, batch: int) -> list[CheckResult]:
    """The results of a batch of `landed` records, each with its credit, and one more: QUALITY_SCORE.

    It passes from the contract's `publish` on, warns from its `warn` on, and fails below: then the batch is held back for
    somebody to look at. What falls below for lack of timeliness alone warns: old data is published.
    """
    found = [replace(result, credit=credit(contract, result, landed)) for result in results]
    counted = [(result.dimension, result.credit, result.name) for result in found if result.credit is not None]
    limits = contract.score
    total = score(((dimension, earned) for dimension, earned, _ in counted), limits.weights)
    assert total is not None, (
        "every contract has a rule of completeness and a rate of validity, one of them with a weight"
    )
    fresh = score(
        ((name, 1.0 if name == TIMELINESS else earned) for name, earned in total.dimensions.items()), limits.weights
    )
    assert fresh is not None
    outcome: Outcome = "pass" if total.value >= limits.publish else "warn" if fresh.value >= limits.warn else "fail"
    worst = {
        name: min((earned, check) for dimension, earned, check in counted if dimension == name)[1]
        for name in total.dimensions
    }
    told = ", ".join(
        f"{name} {_plain(earned)}" + (f" by {worst[name]}" if earned < 1 else "")
        for name, earned in total.dimensions.items()
    )
    found.append(
        CheckResult(
            table=contract.table,
            name=QUALITY_SCORE,
            kind="batch",
            dimension=ALL_DIMENSIONS,
            outcome=outcome,
            value=total.value,
            threshold=f">= {limits.publish:g} (holds the batch back below {limits.warn:g})",
            description=f"{told[:1].upper()}{told[1:]}.",
            batch=batch,
            severity="error" if check_names(contract)[QUALITY_SCORE][2] else "warning",
            parts=tuple(total.dimensions.items()),
        )
    )
    return found


def _plain(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")
