"""The score of a batch: its bounds, that it never rises by something that is broken, weights, and the three bands."""

from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.contracts.model import Contract, Dimension
from lakehouse.quality.audit import FRESHNESS, QUALITY_SCORE, QUARANTINE_RATE, check_names
from lakehouse.quality.results import CheckResult, Outcome
from lakehouse.quality.score import CREDIT, Score, score, scored
from lakehouse_tests.silver.small import column, contract, key

LANDED = 20
DIMENSIONS: tuple[str, ...] = get_args(Dimension)


def made(**own: Any) -> Contract:
    """Rules of completeness and validity, one of which only warns; checks of a share, of records, of any number."""
    quality: list[dict[str, Any]] = [
        {"name": "some_given", "type": "library", "metric": "nullValues", "mustBeLessThan": 50, "unit": "percent",
         "severity": "warning", "dimension": "accuracy"},
        {"name": "even", "type": "custom", "engine": "spark-row", "implementation": "a > 0", "severity": "warning",
         "dimension": "consistency"},
    ]  # fmt: skip
    table = [{"name": "rows", "type": "library", "metric": "rowCount", "mustBeGreaterThan": 3}]
    columns = [key(), column("a", "int", required=True, quality=quality), column("code", unique=True)]
    sla = [{"property": "latency", "value": 1, "unit": "d"}]
    return contract(columns, quality=table, sla=sla, **{"score": {}} | own)


OF = made()


def found(of: Contract, name: str, value: float | None, outcome: Outcome = "warn") -> CheckResult:
    _, dimension, can_block = check_names(of)[name]
    kind = "table" if name == FRESHNESS else "rule" if name in {r.name for r in of.rules} | {"a_type"} else "batch"
    severity: Any = "error" if can_block else "warning"
    return CheckResult(of.table, name, kind, dimension, outcome, value, "", "", severity=severity)


def judged(of: Contract, *results: CheckResult) -> CheckResult:
    """The score, where the checks that every batch has pass unless something else is said of them."""
    told = {result.name: result for result in results}
    all_well = [found(of, name, 0, "pass") for name in ("id_required", QUARANTINE_RATE) if name not in told]
    return scored(of, [*all_well, *results], LANDED, 7)[-1]


def test_each_kind_of_check_has_its_credit() -> None:
    credits: list[tuple[str, float | None, Outcome, float]] = [
        ("a_required", 5, "warn", 0.75),
        ("a_required", 5, "fail", 0.75),
        ("a_required", None, "fail", 0),
        ("even", 20, "warn", 0.5),
        ("even", 10, "warn", 0.75),
        ("even", None, "warn", 0.5),
        (QUARANTINE_RATE, 40, "fail", 0.6),
        ("some_given", 40, "pass", 1),
        ("some_given", 60, "warn", 0.7),
        ("code_unique", 4, "fail", 0),
        ("code_unique", 4, "warn", 0.9),
        ("code_unique", 400, "warn", 0.5),
        ("rows", 2, "fail", 0),
        ("rows", 2, "warn", 0.5),
        (FRESHNESS, 30, "warn", 0.5),
        (FRESHNESS, 3, "pass", 1),
    ]
    for name, value, outcome, expected in credits:
        results = scored(OF, [found(OF, "id_required", 0, "pass"), found(OF, name, value, outcome)], LANDED, 7)
        assert results[1].credit == pytest.approx(expected), (name, value, outcome)
    pipeline = replace(found(OF, "records_conserved", 1, "fail"), kind="pipeline")
    results = scored(OF, [found(OF, "id_required", 0, "pass"), pipeline], LANDED, 7)
    assert results[1].credit is None and results[2].value == 1


def test_a_dimension_has_its_least_credit_and_those_without_a_check_do_not_count() -> None:
    assert score([("validity", 1.0)] * 30 + [("validity", 0.4), ("uniqueness", 1.0)]) == Score(
        0.7, {"uniqueness": 1.0, "validity": 0.4}
    )
    assert score([]) is None
    assert score([("validity", 1.0)], [("validity", 0)]) is None
    remembered = [("validity", CREDIT["warn"]), ("accuracy", CREDIT["fail"])]
    assert score(remembered, [("validity", 3)]) == Score(0.375, {"validity": 0.5, "accuracy": 0.0})
    assert score([("all", 0.1), ("validity", 1.0)]) == Score(1.0, {"validity": 1.0}), (
        "the score itself is no part of it"
    )


_CREDITS = st.lists(st.tuples(st.sampled_from(DIMENSIONS), st.floats(0, 1)), min_size=1, max_size=12)
_WEIGHTS = st.dictionaries(st.sampled_from(DIMENSIONS), st.floats(0.1, 10))


@given(_CREDITS, _WEIGHTS, st.data())
def test_it_lies_between_its_worst_and_best_dimension_and_never_rises_by_a_worse_check(
    credits: list[tuple[str, float]], weights: dict[str, float], data: st.DataObject
) -> None:
    made = score(credits, weights.items())
    assert made is not None
    assert min(made.dimensions.values()) - 1e-6 <= made.value <= max(made.dimensions.values()) + 1e-6
    assert 0 <= made.value <= 1
    nth = data.draw(st.integers(0, len(credits) - 1))
    dimension, credit = credits[nth]
    worse = [*credits]
    worse[nth] = (dimension, data.draw(st.floats(0, credit)))
    after = score(worse, weights.items())
    assert after is not None and after.value <= made.value
    heavier = score(credits, (weights | {dimension: weights.get(dimension, 1.0) * 2}).items())
    assert heavier is not None
    towards = made.dimensions[dimension] - made.value
    assert (heavier.value - made.value) * towards >= -1e-6, "a heavier dimension draws the score to itself"


@given(
    st.lists(st.booleans(), min_size=LANDED, max_size=LANDED),
    st.integers(0, LANDED - 1),
    st.sampled_from(["a_required", "even"]),
)
def test_breaking_one_more_record_never_raises_it(broken: list[bool], nth: int, rule: str) -> None:
    def of(records: list[bool]) -> float:
        count = sum(records)
        outcome: Outcome = "pass" if not count else "fail" if count > 1 and rule == "a_required" else "warn"
        rate = count * 100 / LANDED if rule == "a_required" else 0.0
        value = judged(OF, found(OF, rule, count, outcome), found(OF, QUARANTINE_RATE, rate, outcome)).value
        assert value is not None
        return value

    before = of(broken)
    worse = [*broken[:nth], True, *broken[nth + 1 :]]
    after = of(worse)
    assert after <= before
    if not broken[nth]:
        assert after < before


def test_three_bands() -> None:
    def outcome(refused: int, of: Contract = OF) -> tuple[str, float | None]:
        result = judged(of, found(of, QUARANTINE_RATE, refused * 100 / LANDED), found(of, "code_unique", 0, "pass"))
        return result.outcome, result.value

    assert outcome(6) == ("pass", 0.9)
    assert outcome(7) == ("warn", pytest.approx(0.8833, abs=1e-4))
    assert outcome(18) == ("warn", 0.7)
    assert outcome(19) == ("fail", pytest.approx(0.6833, abs=1e-4))
    assert outcome(19, made(score={"warn": 0.5})) == ("warn", pytest.approx(0.6833, abs=1e-4))
    assert outcome(3, made(score={"weights": {"validity": 6}})) == ("warn", 0.8875)
    said = judged(OF, found(OF, QUARANTINE_RATE, 95), found(OF, "code_unique", 0, "pass"))
    assert said.sentence == (
        "shop_things.quality_score: expected >= 0.9 (holds the batch back below 0.7), found 0.683333. "
        "Completeness 1, uniqueness 1, validity 0.05 by quarantine_rate."
    )
    assert said.parts == (("completeness", 1.0), ("uniqueness", 1.0), ("validity", 0.05))
    assert (said.batch, said.kind, said.severity) == (7, "batch", "error")


def test_old_data_warns_and_is_never_held_back_for_that() -> None:
    heavy = made(score={"publish": 1, "warn": 0.99, "weights": {"timeliness": 50}})
    old = found(heavy, FRESHNESS, 900)
    result = judged(heavy, old)
    assert result.outcome == "warn" and result.value is not None and result.value < 0.6
    assert judged(heavy, old, found(heavy, "a_required", 19)).outcome == "fail", "but for what else is wrong"


def test_a_contract_without_a_threshold_is_never_held_back() -> None:
    of = made(score={"warn": 0})
    assert check_names(of)[QUALITY_SCORE][2] is False
    assert judged(of, found(of, QUARANTINE_RATE, 100), found(of, "id_required", 20)).outcome == "warn"
