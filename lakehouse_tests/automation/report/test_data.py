from dataclasses import replace

import pytest

from lakehouse.automation.report.data import Batch, ReportData, score, worst


def test_each_dimension_weighs_the_same_and_a_failure_empties_its_own() -> None:
    assert score([("validity", "pass")] * 30 + [("timeliness", "warn")]) == pytest.approx(75)
    assert score([("validity", "pass")] * 30 + [("validity", "fail"), ("timeliness", "pass")]) == pytest.approx(50)
    assert score([]) is None


def test_the_worst_verdict_wins_and_nothing_is_none() -> None:
    assert worst(["pass", "fail", "warn"]) == "fail"
    assert worst(["pass", "none"]) == "pass"
    assert worst([]) == "none"


def test_failures_are_named(full: ReportData) -> None:
    assert full.failed == ["stripe_payments.quarantine_rate"]
    assert full.verdict == "fail"
    assert (full.count("fail"), full.count("warn"), full.count("pass"), full.count("none")) == (1, 2, 3, 1)
    assert full.ranked()[0].name == "stripe_payments"


def test_records_without_a_disposition_fail_their_table(full: ReportData) -> None:
    tables = [table for table in full.tables if table.name == "catalog_products"]
    ledger = tables[0].ledger
    assert ledger and not ledger.total.unaccounted and tables[0].verdict == "pass"
    short = replace(ledger, total=Batch(ledger.total.landed + 3, ledger.total.counts))
    broken = replace(tables[0], ledger=short)
    assert broken.verdict == "fail"
    assert replace(full, tables=(broken,)).failed == ["catalog_products.ledger"]


def test_a_failed_build_of_gold_is_a_failure_until_the_next_release(full: ReportData) -> None:
    failed = replace(full.releases[0], release_id=15, status="failed", reason="a test failed")
    data = replace(full, tables=(), releases=(failed, *full.releases))
    assert data.failed == ["gold.release"] and data.verdict == "fail"
    assert data.release and data.release.release_id == 14
    mended = replace(failed, release_id=16, status="released")
    assert replace(data, releases=(mended, *data.releases)).failed == []


def test_an_audited_release_is_listed_only_while_nothing_else_is_known_of_it(full: ReportData) -> None:
    audited = [replace(full.releases[0], release_id=number, status="audited") for number in (14, 15)]
    listed = replace(full, releases=(audited[1], full.releases[0], audited[0])).events
    assert [(event.release_id, event.status) for event in listed] == [(15, "audited"), (14, "released")]


def test_the_score_over_time_has_one_value_an_evaluation(full: ReportData) -> None:
    payments = full.ranked()[0]
    assert len(payments.score_history) == 14
    assert payments.score_history[-1] == payments.score
    assert payments.score_history[0] > payments.score_history[-1]
