from dataclasses import replace

from lakehouse.automation.report.data import Batch, ReportData
from lakehouse.automation.report.summary import summarize


def test_the_summary_has_the_state_of_every_table(full: ReportData) -> None:
    text = summarize(full)
    assert text.startswith("# ❌ Lakehouse quality: 1 table failed its checks\n")
    checks = {table.name: len(table.checks) for table in full.tables}
    payments, campaigns = checks["stripe_payments"], checks["marketing_campaigns"]
    assert f"| `stripe_payments` | ❌ failed | 83 | {payments - 1}/{payments} | 346,829 | 346,349 | 420 |" in text
    assert f"| `marketing_campaigns` | ⚪ not evaluated | – | 0/{campaigns} | – | – | 0 |" in text
    assert "**Release 14** in force since 23 Nov 2025, 08:10 UTC: 3 gold tables, 131 checks passed, 2 warned." in text
    assert "| `gold.fct_revenue` | ⚠️ warned | 50 | 0/2 | 9,336 |" in text and "stg_payments" not in text
    assert len(text) < 4000


def test_failures_say_what_was_expected_and_found(full: ReportData) -> None:
    text = summarize(full)
    failed, warned = text.split("## Failed")[1].split("## Warned")
    assert "`stripe_payments.quarantine_rate`** (validity): expected 0 (blocks above 5 %), found 7.25." in failed
    assert "Owner: finance-data@example.com." in failed and "Since 24 Nov 2025, 08:10 UTC." in failed
    assert "batch 13 is held back" in failed and "`lakehouse batch show stripe_payments`" in failed
    assert (
        "`web_events`: `data_freshness` (expected 0 (blocks above 5 %), found 1.5)" in warned
        and "`stripe_payments`:" not in warned
    )


def test_every_table_row_has_as_many_cells_as_its_head(full: ReportData) -> None:
    lines = summarize(full).splitlines()
    blocks = [[line for line in lines if line.startswith("|") and line.count(" | ") + 1 == cells] for cells in (7, 5)]
    assert list(map(len, blocks)) == [2 + 7, 2 + 2]
    assert sum(map(len, blocks)) == sum(line.startswith("|") for line in lines)


def test_text_from_data_is_no_markdown(full: ReportData) -> None:
    payments = full.ranked()[0]
    check = replace(payments.having("fail")[0], description="a|b\nc `d` <b>")
    text = summarize(replace(full, tables=(replace(payments, checks=(check,)),)))
    assert r"a\|b c \`d\` \<b\>" in text


def test_a_long_list_is_cut_and_says_so(full: ReportData) -> None:
    orders = next(table for table in full.tables if table.name == "shopify_orders")
    payments = full.ranked()[0]
    many = replace(payments, checks=tuple(replace(payments.having("fail")[0], name=f"c_{n}") for n in range(40)))
    warned = replace(orders, checks=tuple(replace(orders.having("warn")[0], name=f"w_{n}") for n in range(10)))
    text = summarize(replace(full, tables=(many, warned)))
    assert text.count("- **`stripe_payments.c_") == 25 and "and 15 more" in text
    assert text.count("`w_") == 4 and "and 6 more" in text


def test_samples_stay_out_of_the_summary(full: ReportData) -> None:
    assert '"total":"-4.10"' not in summarize(full)


def test_lost_records_are_told(full: ReportData) -> None:
    table = full.tables[0]
    assert table.ledger
    short = replace(table, ledger=replace(table.ledger, total=Batch(10, {"applied": 7})))
    assert "10 landed, 7 have a disposition" in summarize(replace(full, tables=(short,)))
    assert "have a disposition" not in summarize(full)


def test_an_empty_lakehouse_is_a_friendly_summary(empty: ReportData) -> None:
    text = summarize(empty)
    assert "Nothing has run yet" in text and "lakehouse run" in text and "no release yet" in text
    assert "## Failed" not in text
    assert "No contract is loaded." in summarize(replace(empty, tables=()))
