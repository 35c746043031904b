"""The pages: complete, closed, linked, self-contained, and escaped."""

import posixpath
import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

from lakehouse.automation.report.data import DIMENSIONS, Check, Decided, Evaluation, ReportData
from lakehouse.automation.report.page import ANOMALIES_SHOWN, gold_rows, headline, render
from lakehouse.automation.report.write import write

_VOID = {"meta", "link", "line", "rect", "circle", "polyline", "path", "wbr"}


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
    return " ".join(re.sub(r"<[^>]+>", " ", text.replace("<wbr>", "")).split())


def _index(data: ReportData) -> str:
    return render(data)["index.html"]


def _page(data: ReportData, table: str) -> str:
    return render(data)[f"tables/{table}.html"]


def _section(page: str, name: str) -> str:
    return _words(page.split(f'<section id="{name}">')[1].split("</section>")[0])


def test_the_pages_are_well_formed_and_need_nothing_else(full: ReportData, empty: ReportData) -> None:
    for data in (full, empty, replace(empty, tables=())):
        made = render(data)
        read = {path: _Page(text) for path, text in made.items()}
        for path, page in read.items():
            assert page.wrong == [] and page.open == [], path
            assert len(page.ids) == len(set(page.ids)), path
            assert "http" not in made[path] and "@import" not in made[path] and "url(" not in made[path], path
            assert "prefers-color-scheme: dark" in made[path], path
            assert made[path].count("<h1>") == 1, path
            for link in page.links:
                file, _, anchor = link.partition("#")
                target = posixpath.normpath(posixpath.join(posixpath.dirname(path), file)) if file else path
                assert target in read and (not anchor or anchor in read[target].ids), f"{path} links to {link}"


def test_every_table_and_model_has_its_row_and_page(full: ReportData) -> None:
    made = render(full)
    links = _Page(made["index.html"]).links
    for item in full.everything:
        assert item.page in made and item.page in links
    assert len(made) == 1 + 7 + 3
    assert not any("of_a_stranger" in text for text in made.values())  # no contract describes what it reads


def test_the_headline_says_the_state(full: ReportData, empty: ReportData) -> None:
    assert headline(full) == "1 table failed its checks"
    assert headline(empty) == "Nothing has run yet"
    good = replace(full, tables=tuple(t for t in full.tables if t.verdict == "pass"))
    assert headline(good) == "Every check passed"
    bad_gold = replace(good, releases=(replace(full.releases[0], release_id=15, status="failed"), *full.releases))
    assert headline(bad_gold) == "Gold failed to build"
    warned = replace(full, tables=tuple(t for t in full.tables if t.verdict in ("pass", "warn")))
    assert headline(warned) == "No check failed, 2 tables warned"
    both = replace(full, releases=(replace(full.releases[0], release_id=15, status="failed"), *full.releases))
    assert headline(both) == "1 table failed its checks and gold failed to build"


def test_the_matrix_tells_failed_warned_and_missing_in_words(full: ReportData) -> None:
    silver, gold = (part.split("</table>")[0] for part in _index(full).split('class="matrix"')[1:])
    rows = {words.split()[0]: words for part in (silver, gold) for words in map(_words, part.split("<tr>")) if words}
    assert "1 of 13 failed" in rows["stripe_payments"]
    assert "2 of 24 warned" in rows["shopify_orders"]
    assert "no check" in rows["catalog_products"]
    assert rows["marketing_campaigns"].count("not run") == len(DIMENSIONS)
    assert "1 of 1 warned" in rows["gold.fct_revenue"] and rows["gold.fct_revenue"].count("no check") == 4
    assert "1 not run" in rows["gold.dim_customers"]


def test_what_failed_is_told_with_what_was_expected_and_whom_to_ask(full: ReportData) -> None:
    words = _section(_index(full), "failed")
    for expected in (
        "Batch 13 of stripe_payments is held back",
        "lakehouse batch show stripe_payments",
        "stripe_payments.quarantine_rate validity",
        "0 (blocks above 5 %) 7.25 24 Nov 2025, 08:10 UTC finance-data@example.com",
    ):
        assert expected in words, expected
    good = replace(full, tables=tuple(table for table in full.tables if table.verdict != "fail"))
    assert 'id="failed"' not in _index(good)


def test_a_table_shows_its_checks_with_their_history(full: ReportData) -> None:
    words = _section(_page(full, "stripe_payments"), "checks")
    for expected in (
        "7.25 0 (blocks above 5 %) failed since 24 Nov 2025",
        "14 evaluations: 1 failed, 13 warned, from 0.1 to 7.25, last 7.25",
        "The last 12 evaluations of quarantine_rate",
        "24 Nov 2025, 08:10 UTC 13 failed 7.25 0 (blocks above 5 %)",
        "1 failing record",
        "{&#34;email&#34;:&#34;•••&#34;}",
        f"{len(full.ranked()[0].checks) - 1} checks passed",
    ):
        assert expected in words, expected
    assert "No check of uniqueness" not in words
    assert "No check of consistency" in _section(_page(full, "catalog_products"), "checks")


def test_a_table_shows_its_contract_its_ledger_and_its_quarantine(full: ReportData) -> None:
    page = _page(full, "stripe_payments")
    contract, batches, quarantine = (_section(page, name) for name in ("contract", "batches", "quarantine"))
    for expected in (
        "finance-data@example.com",
        "One row per payment",
        "warns after 12 hours, stale after 24 hours; expected hourly",
        "Refers to shopify_orders",
        "amount required bigint internal Amount asked for, in cents",
    ):
        assert expected in contract, expected
    for expected in (
        "Records are conserved : each of 346,829 that landed has exactly one disposition",
        "all 52 346,829 346,349 40 20 420",
        "12 24 Nov 2025, 08:10 UTC 1,241 1,236 0 5 0 4.22 1.0.0",
        "The newest 13 of 52.",
    ):
        assert expected in batches, expected
    for expected in (
        "420 records in silver.stripe_payments__quarantine",
        "The oldest waits for 9 days; 20 of 420 came within a day. 5 wait for more than 7 days",
        "payment_id_required quarantined 300 9 days",
        "record 1,201",
    ):
        assert expected in quarantine, expected
    assert "personal data (partial)" in _section(_page(full, "stripe_customers"), "contract")


def test_decisions_and_anomalies_are_told_where_there_are_any(full: ReportData) -> None:
    table = next(table for table in full.tables if table.name == "shopify_orders")
    assert 'id="anomalies"' not in _page(full, table.name) + _index(full)
    looks = [Evaluation(full.at - timedelta(days=n), "pass", 0.0, "nothing unusual", n) for n in (3, 2)]
    told = "shop.anomalies: expected none, found 1.\n2025-11-23: expected about 1,200 rows, found 600."
    odd = Evaluation(full.at, "warn", 1.0, "nothing unusual", 9, told)
    decided = Decided(8, "released", "The source was right.", "ann", full.at)
    shown = replace(table, anomalies=(*looks, odd), decisions=(decided,))
    data = replace(full, tables=(shown,))
    assert "batch 9 2025-11-23: expected about 1,200 rows, found 600." in _section(_page(data, table.name), "anomalies")
    assert "expected about 1,200" in _section(_index(data), "anomalies")
    assert "batch 8 was released by ann. The source was right." in _section(_page(data, table.name), "batches")
    quiet = replace(data, tables=(replace(shown, anomalies=tuple(looks)),))
    assert "Nothing unusual at 2 evaluations" in _section(_page(quiet, table.name), "anomalies")
    assert 'id="anomalies"' not in _index(quiet)
    reserved = Evaluation(
        full.at, "pass", 0.0, "0 anomalies", 9, "shop.anomalies: found 0.\n2025-11-27 is Thanksgiving."
    )
    partly = replace(data, tables=(replace(shown, anomalies=(*looks, reserved)),))
    assert "at 3 evaluations. 2025-11-27 is Thanksgiving." in _section(_page(partly, table.name), "anomalies")
    many = replace(data, tables=(replace(shown, anomalies=(odd,) * (ANOMALIES_SHOWN + 7)),))
    assert "7 earlier ones" in _section(_page(many, table.name), "anomalies")


def test_a_model_shows_its_tests_and_what_readers_see(full: ReportData) -> None:
    page = render(full)["gold/fct_revenue.html"]
    checks = _section(page, "checks")
    assert "adds_up accuracy, never blocks Sums add up. 3 0 failing rows warned since 24 Nov 2025" in checks
    assert "revenue_refers (consistency) Every customer_key is found in the table that it refers to." in checks
    assert "9,336 rows in release 14" in _words(page)
    assert "Readers see it as serving.fct_revenue" in _section(page, "columns")


def test_the_lineage_leads_from_landing_to_gold_and_links_to_each_page(full: ReportData) -> None:
    drawing = _page(full, "stripe_payments").split('<section id="lineage">')[1].split("</section>")[0]
    for name in ("landing stripe/payments", "bronze stripe_payments", "silver stripe_payments: failed",
                 "staging stg_payments: not evaluated", "gold fct_revenue: warned"):  # fmt: skip
        assert f"<title>{name}</title>" in drawing, name
    links = _Page(drawing).links
    assert links == [f"../gold/{name}.html" for name in ("stg_payments", "dim_customers", "fct_revenue")]
    assert drawing.count('class="edge"') == 6
    assert "<title>silver stripe_payments" in render(full)["gold/fct_revenue.html"]


def test_pages_of_tables_that_are_gone_are_removed_and_nothing_else(full: ReportData, tmp_path: Path) -> None:
    write(full, tmp_path)
    own = tmp_path / "tables" / "notes.html"
    own.write_text("mine")
    write(replace(full, tables=full.tables[1:]), tmp_path)
    assert not (tmp_path / full.tables[0].page).exists() and (tmp_path / full.tables[1].page).exists()
    assert own.read_text() == "mine"


def test_a_year_of_daily_runs_makes_pages_that_open_at_once(full: ReportData) -> None:
    """What `collect` hands over of a year is cut; no page may grow beyond what opens without a wait."""

    def year(check: Check) -> Check:
        return replace(check, history=(check.history * 5)[:60])

    scores = tuple((full.at - timedelta(days=n), 100 - n % 7) for n in range(400, 0, -1))
    tables = tuple(
        replace(table, checks=tuple(map(year, table.checks)), measured_scores=scores) for table in full.tables
    )
    largest = max(map(len, render(replace(full, tables=tables)).values()))
    assert largest < 400_000, f"{largest:,} characters"


def test_text_from_data_is_escaped(full: ReportData) -> None:
    text = "".join(render(full).values())
    assert "<b>" not in text and "&lt;b&gt;" in text


def test_no_page_shows_an_example_of_personal_data(full: ReportData) -> None:
    """A contract may give examples of values; those of personal data may be of a person."""
    secret = "jane.roe@example.org"
    tables = []
    for table in full.tables:
        columns = tuple(replace(column, examples=(secret,)) for column in table.contract.columns)
        tables.append(replace(table, contract=replace(table.contract, columns=columns)))
    assert all(secret not in text for text in render(replace(full, tables=tuple(tables))).values())


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
    words = _words(_index(data))
    assert "release 10 , in force since 24 Nov 2025, 08:10 UTC (rolled back to)" in words
    assert "in force; from release 14 back to 10" in words


def test_a_failed_release_is_told_with_its_reason(full: ReportData) -> None:
    failed = replace(full.releases[0], release_id=15, status="failed", reason="orders_match_customers failed")
    words = _words(_index(replace(full, releases=(failed, *full.releases))))
    assert "Release 15 failed" in words and "orders_match_customers failed" in words


def _luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb`, as WCAG 2 defines it."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_every_text_can_be_read_in_the_light_and_in_the_dark(full: ReportData) -> None:
    """4.5 to 1 is what WCAG 2 asks for at level AA."""
    style = _index(full).split("<style>")[1].split("</style>")[0]
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root \{(.*?)\}", style, re.S)
    )
    for theme in (light, dark):
        pairs = [(name, "paper") for name in ("ink", "soft", "fail", "warn", "pass", "none")]
        for text, ground in [
            *pairs,
            ("fail", "fail-wash"),
            ("warn", "warn-wash"),
            ("ink", "fail-wash"),
            ("ink", "raised"),
        ]:
            low, high = sorted((_luminance(theme[text]), _luminance(theme[ground])))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground)
