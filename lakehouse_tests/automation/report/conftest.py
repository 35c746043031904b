"""A plausible year of seven tables and three models, as plain objects: what `collect` would have found."""

import math
from datetime import UTC, date, datetime, timedelta

import pytest
from pyspark.sql import Row

from lakehouse.automation.report.collect import _models
from lakehouse.automation.report.data import (
    Arrival,
    Batch,
    Check,
    Evaluation,
    Ledger,
    Model,
    Quarantine,
    Reason,
    ReportData,
    Sample,
    Table,
    Verdict,
)
from lakehouse.automation.report.lineage import graph
from lakehouse.contracts.loader import load_all
from lakehouse.contracts.model import Contract
from lakehouse.gold.release import Release
from lakehouse.quality.audit import check_names
from lakehouse.settings import Settings
from lakehouse.silver.fold import DISPOSITIONS
from lakehouse_tests.automation.report.project import manifest

NOW = datetime(2025, 11, 24, 8, 10, tzinfo=UTC)
WARNED = {"shopify_orders": ("quarantine_rate", "total_price_type"), "web_events": ("data_freshness",)}
FAILED = {"stripe_payments": ("quarantine_rate",)}
RUNS = 14


@pytest.fixture(scope="session")
def contracts() -> dict[str, Contract]:
    return load_all(Settings())


def counts(**found: int) -> dict[str, int]:
    return dict.fromkeys(DISPOSITIONS, 0) | found


def _checks(contract: Contract, name: str, facts: tuple[str, str, bool]) -> Check:
    description, dimension, is_blocking = facts
    last: Verdict = "pass"
    if name in WARNED.get(contract.table, ()):
        last = "warn"
    if name in FAILED.get(contract.table, ()):
        last = "fail"
    history = []
    for run in range(RUNS):
        value = 0.0
        outcome: Verdict = "pass"
        if name == "data_freshness":
            value = 4 + 3 * math.sin(run)
        elif last != "pass":
            value, outcome = 0.4 + 0.3 * math.sin(run), "warn"
        if run == RUNS - 1 and last != "pass":
            value, outcome = (7.25 if last == "fail" else 1.5), last
        history.append(Evaluation(NOW - timedelta(days=RUNS - 1 - run), outcome, value, "0 (blocks above 5 %)", run))
    samples = ({"file": "a/b.jsonl", "position": "3", "record": '{"email":"•••"}'},) if last == "fail" else ()
    return Check(name, dimension, description, is_blocking, "rule", None, tuple(history), samples)


def _table(contract: Contract, nth: int) -> Table:
    step = {"daily": 1, "weekly": 7}.get(contract.partition or "", 0)
    days = [date(2024, 11, 25) + timedelta(days=n) for n in range(0, 364, step)] if step else [date(2024, 11, 25)]
    arrivals = [
        Arrival(day, 24, 900 + int(300 * math.sin(i / 7 + nth)) + (250 if day.weekday() > 4 else 0))
        for i, day in enumerate(days)
        if not 150 < i < 155  # an outage
    ]
    landed = sum(arrival.records for arrival in arrivals)
    quarantined = 420 if nth % 2 else 0
    total = counts(applied=landed - quarantined - 60, duplicate=40, superseded=20, quarantined=quarantined)
    last = counts(applied=arrivals[-1].records - 5, superseded=5)
    quarantine = Quarantine()
    if quarantined:
        quarantine = Quarantine(
            records=quarantined,
            reasons=(
                Reason("quarantined", f"{contract.columns[0].name}_required", 300, NOW - timedelta(days=9)),
                Reason("quarantined", "total_not_negative", 140, NOW - timedelta(days=2)),
                Reason("rejected", "not a JSON document", 20, NOW - timedelta(hours=3)),
            ),
            new=20,
            overdue=5,
            samples=(
                Sample(
                    "quarantined",
                    (f"{contract.columns[0].name}_required", "total_not_negative"),
                    '{"id":null,"email":"•••","total":"-4.10"}',
                    f"{contract.source}/{contract.name}/2025-11-23/08.jsonl",
                    1201,
                    date(2025, 11, 23),
                ),
                Sample("rejected", ("not a JSON document",), '{"id": "<b>', "a/b/2025-11-23/09.jsonl", 7, None),
            ),
        )
    checks = tuple(_checks(contract, name, facts) for name, facts in check_names(contract).items())
    recent = tuple(
        Batch(arrivals[-1].records, last, NOW - timedelta(days=n), 4.217, RUNS - 2 - n, "batch", contract.version)
        for n in range(RUNS - 1)
    )
    ledger = Ledger(52, recent[0], Batch(landed, total), recent)
    return Table(checks, contract, ledger, quarantine, tuple(arrivals))


RESULTS = tuple(
    Row(kind="dbt", column_name=None, outcome=outcome, value=value, threshold="0 failing rows", batch=number,
        message="", contract_version="code", evaluated_at=NOW - timedelta(days=14 - number))
    for number, outcome, value in ((13, "pass", 0.0), (14, "warn", 3.0))
)  # fmt: skip


def models(contracts: dict[str, Contract]) -> tuple[Model, ...]:
    """As the manifest has them; a test of fct_revenue warned at the last build."""
    return _models(contracts, manifest(), {("gold.fct_revenue", "adds_up"): RESULTS})


def release(number: int, status: str = "released", reason: str = "") -> Release:
    rows = {"fct_orders": 150_000 + 430 * number, "dim_customers": 2_469, "fct_revenue": 9_000 + 24 * number}
    return Release(
        number,
        status,
        {},
        {},
        dict.fromkeys(rows, number),
        rows,
        checks_passed=131,
        checks_warned=2,
        reason=reason,
        at=NOW - timedelta(days=15 - number),
    )


@pytest.fixture
def full(contracts: dict[str, Contract]) -> ReportData:
    """Payments failed, orders and events warned, campaigns were never evaluated, all else passed; 14 releases."""
    tables = [_table(contract, nth) for nth, contract in enumerate(contracts.values()) if nth != 1]
    campaigns = contracts["marketing_campaigns"]
    tables.append(Table(tuple(Check(n, d, t, b) for n, (t, d, b) in check_names(campaigns).items()), campaigns))
    releases = tuple(release(number) for number in range(14, 0, -1))
    whole = graph(contracts.values(), manifest())
    return ReportData(NOW, "prod", tuple(tables), releases, models(contracts), whole)


@pytest.fixture
def empty(contracts: dict[str, Contract]) -> ReportData:
    """Contracts are loaded, nothing has run."""
    tables = tuple(
        Table(tuple(Check(n, d, t, b) for n, (t, d, b) in check_names(contract).items()), contract)
        for contract in contracts.values()
    )
    return ReportData(NOW, "prod", tables)
