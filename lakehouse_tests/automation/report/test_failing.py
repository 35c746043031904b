"""Failing records, from what Dagster remembers of checks."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import dagster as dg

from lakehouse.automation.report.data import Check, Evaluation, ReportData
from lakehouse.automation.report.failing import with_samples
from lakehouse.quality.results import CheckResult
from lakehouse.silver.assets import _check

_KEY = dg.AssetKey(["silver", "stripe_payments"])
_SEEN = {"file": "a.jsonl", "position": 7, "reasons": "x", "record": '{"email":"•••"}'}


def _data(full: ReportData, **last: Any) -> ReportData:
    """Payments alone, with one check: its last evaluation failed on batch 13."""
    payments = full.ranked()[0]
    facts = {"outcome": "fail", "batch": 13, "contract_version": payments.contract.version} | last
    check = Check("rule", "validity", "", True, history=(Evaluation(full.at, value=1.0, threshold="0", **facts),))
    return replace(full, tables=(replace(payments, checks=(check,)),), models=())


def test_a_failing_check_has_its_records_of_the_same_batch_and_contract_alone(full: ReportData) -> None:
    result = CheckResult(
        "stripe_payments", "rule", "rule", "validity", "fail", 1.0, "0", "", batch=13, samples=(_SEEN,)
    )

    @dg.multi_asset(specs=[dg.AssetSpec(_KEY)], check_specs=[dg.AssetCheckSpec("rule", asset=_KEY)])
    def step() -> Iterator[Any]:
        yield _check(_KEY, result)
        yield dg.MaterializeResult(_KEY)

    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize([step], instance=instance)

        def samples(**last: Any) -> list[dict[str, str]]:
            (table,) = with_samples(_data(full, **last), instance).tables
            return [dict(sample) for sample in table.checks[0].samples]

        assert samples() == [{name: str(value) for name, value in _SEEN.items()}]
        assert samples(batch=14) == []
        assert samples(contract_version="0.9.0") == []
        assert samples(outcome="pass") == []


def test_without_an_evaluation_in_dagster_nothing_is_shown(full: ReportData) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert with_samples(_data(full), instance).tables[0].checks[0].samples == ()


def test_of_an_evaluation_that_is_only_planned_nothing_is_shown(full: ReportData) -> None:
    """Its run is at work, or its step failed before it came to the check."""

    @dg.multi_asset(specs=[dg.AssetSpec(_KEY)], check_specs=[dg.AssetCheckSpec("rule", asset=_KEY)])
    def step() -> Iterator[Any]:
        raise ValueError("it fails")
        yield

    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize([step], instance=instance, raise_on_error=False)
        assert with_samples(_data(full), instance).tables[0].checks[0].samples == ()


def test_of_a_model_nothing_is_shown_that_readers_do_not_see_now(full: ReportData) -> None:
    revenue = next(model for model in full.models if model.title == "fct_revenue")
    check = replace(revenue.having("warn")[0], column="email")
    columns = (("email", "string", "", "hash"), ("total", "int", "", ""))
    data = replace(full, tables=(), models=(replace(revenue, checks=(check,), columns=columns),))
    key = dg.AssetKey(["gold", "fct_revenue"])
    rows = dg.MetadataValue.table([dg.TableRecord({"unique_field": "jane@example.org", "email": "j", "total": 3})])

    @dg.multi_asset(specs=[dg.AssetSpec(key)], check_specs=[dg.AssetCheckSpec(check.name, asset=key)])
    def step() -> Iterator[Any]:
        yield dg.AssetCheckResult(
            passed=False, asset_key=key, check_name=check.name, metadata={"failing_rows": rows, "batch": "14"}
        )
        yield dg.MaterializeResult(key)

    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize([step], instance=instance, raise_on_error=False)
        (model,) = with_samples(data, instance).models
    assert [dict(row) for row in model.checks[0].samples] == [{"unique_field": "•••", "email": "•••", "total": "3"}]
