"""The page: complete, closed, self-contained, and escaped."""

import re
from dataclasses import replace
from html.parser import HTMLParser

from lakehouse.automation.report.data import DIMENSIONS, ReportData
from lakehouse.automation.report.page import gold_rows, headline, render

_VOID = {"meta", "link", "line", "rect", "circle", "polyline"}


class _Page(HTMLParser):
    """Collects ids, links and every element that is closed wrongly or loads something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.wrong: list[str] = []
        self.cells: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if found.get("id"):
            self.ids.append(str(found["id"]))
        if tag == "a":
            self.links.append(str(found.get("href")))
        if tag in ("script", "iframe", "img") or "src" in found or any(name.startswith("on") for name in found):
            self.wrong.append(f"<{tag}> loads or runs something")
        if tag == "link" and found.get("href") != "data:,":
            self.wrong.append("<link> loads something")
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> closes nothing")


def _words(text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def test_the_page_is_well_formed_and_needs_nothing_else(full: ReportData, empty: ReportData) -> None:
    for data in (full, empty, replace(empty, tables=())):
        text = render(data)
        page = _Page(text)
        assert page.wrong == [] and page.open == []
        assert len(page.ids) == len(set(page.ids))
        assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
        assert "http" not in text and "@import" not in text and "url(" not in text
        assert "prefers-color-scheme: dark" in text


def test_every_table_has_its_row_and_section(full: ReportData) -> None:
    page = _Page(render(full))
    for table in full.tables:
        assert table.name in page.ids and f"#{table.name}" in page.links


def test_the_headline_says_the_state(full: ReportData, empty: ReportData) -> None:
    assert headline(full) == "1 table failed its checks"
    assert headline(empty) == "Nothing has run yet"
    good = replace(full, tables=tuple(t for t in full.tables if t.verdict == "pass"))
    assert headline(good) == "Every check passed"
    bad_gold = replace(good, releases=(replace(full.releases[0], release_id=15, status="failed"), *full.releases))
    assert headline(bad_gold) == "Gold failed to build"
    warned = replace(full, tables=tuple(t for t in full.tables if t.verdict in ("pass", "warn")))
    assert headline(warned) == "No check failed, 2 tables warned"


def test_the_matrix_tells_failed_warned_and_missing_in_words(full: ReportData) -> None:
    matrix = render(full).split('class="matrix"')[1].split("</table>")[0]
    rows = {words.split()[0]: words for words in map(_words, matrix.split("<tr>")) if words}
    assert "1 of 13 failed" in rows["stripe_payments"]
    assert "2 of 24 warned" in rows["shopify_orders"]
    assert "no check" in rows["catalog_products"]
    assert rows["marketing_campaigns"].count("not run") == len(DIMENSIONS)


def test_a_table_shows_its_contract_its_ledger_and_its_quarantine(full: ReportData) -> None:
    words = _words(render(full).split('<section id="stripe_payments">')[1].split("</section>")[0])
    for expected in (
        "finance-data@example.com",
        "One row per payment",
        "warns after 12 hours, stale after 24 hours; expected hourly",
        "quarantined 0 420",
        "conserved : every record has exactly one disposition",
        "52 batches, the last at 24 Nov 2025, 08:10 UTC in 4.22 s",
        "7.25 0 (blocks above 5 %) failed",
        "37 checks passed",
        "420 records in silver.stripe_payments__quarantine",
        "payment_id_required quarantined 300",
        "record 1,201",
    ):
        assert expected in words, expected


def test_text_from_data_is_escaped(full: ReportData) -> None:
    text = render(full)
    assert "<b>" not in text and "&lt;b&gt;" in text


def test_gold_compares_with_the_release_before(full: ReportData) -> None:
    rows = {name: (count, change, len(history)) for name, count, change, history in gold_rows(full)}
    assert rows["fct_orders"] == (156_020, 430, 14)
    assert rows["dim_customers"] == (2_469, 0, 14)
    first = replace(full, releases=full.releases[-1:])
    assert {change for _, _, change, _ in gold_rows(first)} == {None}


def test_a_rollback_compares_with_what_came_before_its_target(full: ReportData) -> None:
    back = replace(full.releases[4], status="rolled_back", at=full.at, reason="from release 14 back to 10")
    data = replace(full, releases=(back, *full.releases))
    assert {row[0]: row[2] for row in gold_rows(data)}["fct_orders"] == 430
    words = _words(render(data))
    assert "release 10 , in force since 24 Nov 2025, 08:10 UTC (rolled back to)" in words
    assert "in force; from release 14 back to 10" in words


def test_a_failed_release_is_told_with_its_reason(full: ReportData) -> None:
    failed = replace(full.releases[0], release_id=15, status="failed", reason="orders_match_customers failed")
    words = _words(render(replace(full, releases=(failed, *full.releases))))
    assert "Release 15 failed" in words and "orders_match_customers failed" in words
