"""Collecting from real tables: what is counted, what is left out, and that no personal data comes along."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lakehouse.automation.report import write, write_report
from lakehouse.automation.report.collect import EVALUATIONS, SAMPLES, collect
from lakehouse.automation.report.data import ReportData
from lakehouse.bronze import taken
from lakehouse.contracts.loader import load
from lakehouse.contracts.model import Contract
from lakehouse.gold import project as dbt
from lakehouse.gold import release
from lakehouse.gold.release import Release
from lakehouse.quality import results
from lakehouse.quality.audit import ANOMALIES, QUALITY_SCORE
from lakehouse.settings import settings
from lakehouse.silver import decisions, ledger, quarantine, state
from lakehouse.silver.decisions import Decision
from lakehouse.storage import tables
from lakehouse_tests.automation.report.project import manifest

_CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: SOURCE.people
name: People
version: 1.0.0
status: active
description: {purpose: To test.}
team: {name: Tests, members: [{username: tests@example.com, role: owner}]}
customProperties:
  - property: lakehouse
    value: {source: SOURCE, format: json, delivery: versions, sequence: [updated_at]}
schema:
  - name: people
    logicalType: object
    dataGranularityDescription: One row per person.
    properties:
      - {name: person_id, logicalType: string, primaryKey: true, primaryKeyPosition: 1}
      - {name: updated_at, logicalType: timestamp, required: true}
      - name: email
        logicalType: string
        classification: pii
        customProperties: [{property: lakehouse, value: {mask: hash}}]
"""
_AT = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)
_SECRET = "jane.roe@example.org"


@pytest.fixture
def contract(spark: Any, tmp_path: Path) -> Iterator[Contract]:
    """A contract whose tables nobody else uses; the release it makes is removed afterwards, as others would read it."""
    source = f"report{uuid.uuid4().hex[:8]}"
    file = tmp_path / "people.yaml"
    file.write_text(_CONTRACT.replace("SOURCE", source), encoding="utf-8")
    made = load(file)
    yield made
    if tables.exists(spark, release.RELEASES):
        spark.sql(f"delete from {release.RELEASES} where run_id = '{made.table}'").collect()


def _append(spark: Any, table: str, rows: list[dict[str, Any]], fields: Any) -> None:
    filled = [tuple(row.get(field.name) for field in fields) for row in rows]
    tables.append(tables.local_rows(spark, filled, fields), table)


def _fill(spark: Any, contract: Contract) -> None:
    storage = settings().storage_dir
    results.ensure_table(spark, storage)
    ledger.ensure_table(spark, storage)
    taken.ensure_table(spark, storage)
    tables.ensure(spark, storage, release.RELEASES, release._COLUMNS)
    state.ensure_tables(spark, storage, contract)
    state.ensure_views(spark, storage, contract)
    mine: dict[str, Any] = {"table_name": contract.table, "kind": "rule", "dimension": "completeness", "threshold": "0"}
    evaluations = [
        mine
        | {
            "check_name": "sequence_known",
            "outcome": "pass",
            "value": float(n),
            "evaluated_at": _AT + timedelta(days=n),
        }
        for n in range(EVALUATIONS + 5)
    ]
    broken = {"check_name": "records_conserved", "outcome": "fail", "value": 2.0, "evaluated_at": _AT}
    retired = {"check_name": "a_check_of_an_older_contract", "outcome": "fail", "value": 1.0, "evaluated_at": _AT}
    scores = [mine | {"check_name": QUALITY_SCORE, "outcome": "pass", "value": n / 10, "evaluated_at": _AT + timedelta(days=n)}
              for n in (8, 9)]  # fmt: skip
    odd = {"check_name": ANOMALIES, "outcome": "warn", "value": 1.0, "evaluated_at": _AT}
    model = {"check_name": "unique_dim_customers", "table_name": "gold.dim_customers", "outcome": "pass", "value": 0.0}
    rows = [*evaluations, *scores, mine | broken, mine | retired, mine | odd, mine | model | {"evaluated_at": _AT}]
    _append(spark, results.CHECK_RESULTS, rows, results._COLUMNS)
    batches: list[dict[str, Any]] = [
        {"since": None, "batch": 1, "landed": 100, "applied": 100, "committed_at": _AT},
        {
            "since": None,
            "batch": 2,
            "landed": 120,
            "applied": 120,
            "committed_at": _AT + timedelta(days=1),
        },  # a rebuild
        {"since": 2, "batch": 3, "landed": 10, "applied": 7, "quarantined": 3, "committed_at": _AT + timedelta(days=2)},
    ]
    replay = {"kind": "replay", "since": 3, "batch": 3, "landed": 2, "applied": 2, "was_quarantined": 2}
    batches.insert(2, replay | {"committed_at": _AT + timedelta(days=1, hours=1)})
    named = [{"table_name": contract.table, "silver_version": row["batch"]} | row for row in batches]
    _append(spark, ledger.BATCHES, [*named, named[-1]], ledger._COLUMNS)  # the last one healed twice
    file = {"table_name": contract.table, "file": "a", "arrived_on": date(2025, 3, 1), "records": 4, "batch": 1}
    files = [
        file,
        file | {"batch": 2, "records": 5},
        file | {"file": "b"},
        file | {"file": "c", "arrived_on": date(2025, 3, 3)},
    ]
    _append(spark, taken.FILES, files, taken.COLUMNS)
    refused: list[dict[str, Any]] = [
        {
            "record": f'{{"person_id": null, "email": "{_SECRET}", "n": {n}}}',
            "reasons": ["person_id_required", "other"] if n == 0 else ["person_id_required"],
            "disposition": "quarantined",
        }
        for n in range(8)
    ]
    refused.append({"record": f"{{{_SECRET}", "reasons": ["not a JSON document"], "disposition": "rejected"})
    for position, row in enumerate(refused):
        row |= {"file": "a", "position": position, "arrived_on": date(2025, 3, 1), "batch": 3}
        row["quarantined_at"] = _AT + timedelta(minutes=position)
    refused[0]["quarantined_at"] = datetime.now(UTC)
    refused.append(refused[0] | {"position": 99, "reasons": ["given_up"]})
    _append(spark, contract.quarantine_table, refused, state.QUARANTINE)
    given_up = quarantine.held(spark, contract).where("position = 99")
    quarantine.decide(spark, storage, contract, given_up, quarantine.DISMISSED, "ann", "a test")
    state.ensure_views(spark, storage, contract)
    release.record(spark, Release(900_001, "released", {}, {}, {"fct": 3}, {"fct": 12}, 5, 1, run_id=contract.table))


@pytest.mark.engine
def test_everything_is_collected_and_nothing_personal(
    spark: Any, contract: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(spark, contract)
    decision = Decision(None, 2, "released", ("sequence_known",), "The source was right.", "ann")
    decisions.decide(spark, settings().storage_dir, contract, decision)
    collected: list[ReportData] = []
    monkeypatch.setattr(dbt, "manifest", lambda _: _manifest(contract))

    def collecting(*given: Any) -> ReportData:
        collected.append(collect(*given))
        return collected[-1]

    monkeypatch.setattr(write, "collect", collecting)
    report = write_report(spark, settings(), {contract.table: contract}, tmp_path / "deep" / "report")
    (data,) = collected
    (table,) = data.tables

    checks = {check.name: check for check in table.checks}
    assert "a_check_of_an_older_contract" not in checks
    kept = checks["sequence_known"].history
    assert [evaluation.value for evaluation in kept] == [float(n) for n in range(5, EVALUATIONS + 5)]
    assert kept[0].at == _AT + timedelta(days=5)
    assert checks["records_conserved"].verdict == "fail" and checks["person_id_required"].verdict == "none"

    assert table.ledger and table.ledger.batches == 2
    assert (table.ledger.total.landed, table.ledger.total.counts["applied"]) == (130, 129)
    assert (table.ledger.last.landed, table.ledger.last.counts["quarantined"]) == (10, 3)
    assert table.ledger.last.at == _AT + timedelta(days=2) and table.ledger.total.unaccounted == 0
    recent = [(batch.number, batch.kind, batch.landed) for batch in table.ledger.recent]
    assert recent == [(3, "batch", 10), (3, "replay", 2), (2, "rebuild", 120), (1, "batch", 100)]
    assert [(made.batch, made.decision, made.made_by) for made in table.decisions] == [(2, "released", "ann")]

    assert [round(value) for _, value in table.scores] == [80, 90] and round(table.score or 0) == 90
    assert [one.outcome for one in table.anomalies] == ["warn"]
    assert [one.value for one in checks[QUALITY_SCORE].history] == [0.8, 0.9]
    (model,) = data.models
    assert [(check.name, check.verdict) for check in model.checks] == [("unique_dim_customers", "pass")]

    landed = [(arrival.day.day, arrival.files, arrival.records) for arrival in table.arrivals]
    assert landed == [(1, 2, 9), (3, 1, 4)]

    reasons = {(reason.text, reason.disposition): reason.records for reason in table.quarantine.reasons}
    assert reasons == {
        ("person_id_required", "quarantined"): 8,
        ("other", "quarantined"): 1,
        ("not a JSON document", "rejected"): 1,
    }
    assert table.quarantine.records == 9
    assert table.quarantine.dismissed == 1
    assert (table.quarantine.new, table.quarantine.overdue) == (1, 8)
    assert table.quarantine.since == _AT + timedelta(minutes=1)
    assert 3 <= len(table.quarantine.samples) <= SAMPLES
    assert {sample.disposition for sample in table.quarantine.samples} == {"quarantined", "rejected"}
    assert 900_001 in {event.release_id for event in data.releases}

    assert f"{contract.table}.records_conserved" in report.failed
    pages = {path.name: path.read_text(encoding="utf-8") for path in report.html.parent.rglob("*") if path.is_file()}
    assert pages.keys() == {"index.html", "summary.md", f"{contract.table}.html", "dim_customers.html"}
    for text in pages.values():
        assert contract.table in text and _SECRET not in text and "jane" not in text
    assert "personal data masked" in pages[f"{contract.table}.html"]


def _manifest(contract: Contract) -> dict[str, Any]:
    """The one of the other tests, in which the staging model reads this contract's table."""
    text = json.dumps(manifest()).replace("stripe_payments", contract.table)
    found: dict[str, Any] = json.loads(text)
    found["nodes"] = {
        key: node for key, node in found["nodes"].items() if key.startswith(("model.x.dim", "test.x.uni"))
    }
    return found


@pytest.mark.engine
def test_tables_that_do_not_exist_count_as_empty(
    spark: Any, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = replace(contract, source=f"{contract.source}x")  # in the ops tables, if there are any, no row is its own
    (table,) = collect(spark, {stranger.table: stranger}, "prod").tables
    assert (table.verdict, table.ledger, table.arrivals, table.quarantine.records) == ("none", None, (), 0)
    monkeypatch.setattr(tables, "exists", lambda *_: False)
    monkeypatch.setattr(type(spark.catalog), "databaseExists", lambda *_: False)
    assert collect(spark, {stranger.table: stranger}, "prod").is_empty
