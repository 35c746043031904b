from dataclasses import replace

from lakehouse.automation.report.data import Batch, ReportData, worst


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
    values = [value for _, value in payments.scores]
    assert len(values) == 14
    assert values[-1] == payments.score
    assert values[0] > values[-1]
    measured = replace(payments, measured_scores=((full.at, 71.5),))
    assert (measured.score, measured.scores) == (71.5, [(full.at, 71.5)])


def test_a_batch_is_held_while_its_failure_is_newer_than_what_was_committed(full: ReportData) -> None:
    payments = full.ranked()[0]
    assert payments.name == "stripe_payments" and payments.held == 13
    assert payments.ledger
    taken = replace(payments.ledger.recent[0], number=13)
    assert replace(payments, ledger=replace(payments.ledger, recent=(taken, *payments.ledger.recent))).held is None
    assert replace(payments, ledger=None).held == 13
    assert {table.held for table in full.tables if table != payments} == {None}


def test_a_failure_is_as_old_as_the_first_of_its_row(full: ReportData) -> None:
    orders = next(table for table in full.tables if table.name == "shopify_orders")
    rate = next(check for check in orders.checks if check.name == "quarantine_rate")
    assert rate.since == rate.history[0]
    mended = replace(rate.history[9], outcome="pass")
    assert replace(rate, history=(*rate.history[:9], mended, *rate.history[10:])).since == rate.history[10]
    assert not rate.was_sound


def test_a_test_of_gold_that_failed_is_named_with_its_model(full: ReportData) -> None:
    revenue = next(model for model in full.models if model.title == "fct_revenue")
    failed = replace(
        revenue.having("warn")[0], history=(replace(revenue.having("warn")[0].history[-1], outcome="fail"),)
    )
    data = replace(full, models=(replace(revenue, checks=(failed,)),))
    assert data.failed == ["stripe_payments.quarantine_rate", "gold.fct_revenue.adds_up"]
