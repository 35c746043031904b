from dataclasses import replace

from lakehouse.automation.report.data import Batch, Reason, ReportData
from lakehouse.automation.report.summary import summarize


def test_the_summary_has_the_state_of_every_table(full: ReportData) -> None:
    text = summarize(full)
    assert text.startswith("# Lakehouse quality: 1 table failed its checks\n")
    assert "| `stripe_payments` | ❌ failed | 83 | 37/38 | 346,829 | 346,349 | 420 |" in text
    assert "| `marketing_campaigns` | ⚪ not evaluated | – | 0/22 | – | – | 0 |" in text
    assert "**Release 14** in force since 23 Nov 2025, 08:10 UTC: 3 gold tables, 131 checks passed, 2 warned." in text


def test_failures_say_what_was_expected_and_found(full: ReportData) -> None:
    text = summarize(full)
    failed, warned = text.split("## Failed")[1].split("## Warned")
    assert "`stripe_payments.quarantine_rate`** (validity): expected 0 (blocks above 5 %), found 7.25." in failed
    assert "`web_events.data_freshness`" in warned and "stripe_payments" not in warned.split("## Quarantine")[0]


def test_every_table_row_has_as_many_cells_as_its_head(full: ReportData) -> None:
    odd = replace(
        full.tables[1], quarantine=replace(full.tables[2].quarantine, reasons=(Reason("rejected", "a|b\nc", 1),))
    )
    lines = summarize(replace(full, tables=(odd, *full.tables[2:]))).splitlines()
    blocks = [[line for line in lines if line.startswith("|") and line.count(" | ") + 1 == cells] for cells in (7, 3)]
    assert sum(map(len, blocks)) == sum(line.startswith("|") for line in lines)
    assert any(r"a\|b c" in line for line in lines)


def test_a_long_list_is_cut_and_says_so(full: ReportData) -> None:
    orders = next(table for table in full.tables if table.name == "shopify_orders")
    warned = next(check for check in orders.checks if check.verdict == "warn")
    many = replace(orders, checks=tuple(replace(warned, name=f"check_{n}") for n in range(40)))
    text = summarize(replace(full, tables=(many,)))
    assert text.count("- **`shopify_orders.check_") == 25 and "and 15 more" in text


def test_samples_stay_out_of_the_summary(full: ReportData) -> None:
    assert '"total":"-4.10"' not in summarize(full)


def test_lost_records_are_told(full: ReportData) -> None:
    table = full.tables[0]
    assert table.ledger
    short = replace(table, ledger=replace(table.ledger, total=Batch(10, {"applied": 7})))
    assert "10 landed, 7 have a disposition" in summarize(replace(full, tables=(short,)))
    assert "not accounted for" not in summarize(full)


def test_an_empty_lakehouse_is_a_friendly_summary(empty: ReportData) -> None:
    text = summarize(empty)
    assert "Nothing has run yet" in text and "lakehouse run" in text and "no release yet" in text
    assert "## Failed" not in text
    assert "No contract is loaded." in summarize(replace(empty, tables=()))
