"""The documentation of contracts: everything that a contract says is there, escaped, and every link leads somewhere."""

import re
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser

import pytest

from lakehouse.automation.contract_docs import article, render
from lakehouse.contracts.loader import load_all
from lakehouse.contracts.model import Contract, Revision
from lakehouse.quality.audit import check_names
from lakehouse.settings import settings
from lakehouse_tests.contracts.export.rich import rich
from lakehouse_tests.silver.small import column, contract, key, pii


class Seen(HTMLParser):
    """The text, links and ids of a page; open tags that are left open are kept in `stack`."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.links, self.ids, self.stack = "", [], [], []  # type: ignore[var-annotated]
        self.feed(str(html))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.links += [given[name] for name in ("href", "src") if given.get(name)]
        self.ids += [given["id"]] if given.get("id") else []
        if tag not in ("meta", "link", "br", "rect", "path"):
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("rect", "path"):
            assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data if "style" not in self.stack else ""


@pytest.fixture(scope="module")
def sample() -> dict[str, Contract]:
    settings.cache_clear()
    return load_all(settings())


def said(html: str) -> str:
    return re.sub(r"\s+", " ", Seen(html).text)


def test_every_page_is_whole_and_links_to_pages_that_are_there(sample: dict[str, Contract]) -> None:
    pages = render(sample)
    assert set(pages) == {"index.html", *(f"{table}.html" for table in sample)}
    for name, html in pages.items():
        seen = Seen(html)
        assert seen.stack == [], name
        assert set(seen.links) - {"data:,"} <= set(pages), "nothing is fetched from elsewhere"
        assert len(seen.ids) == len(set(seen.ids)) and "<script" not in html
    assert set(Seen(pages["index.html"]).links) >= {f"{table}.html" for table in sample}


def test_a_page_tells_all_of_its_contract(sample: dict[str, Contract]) -> None:
    pages = render(sample)
    for table, of in sample.items():
        text = said(pages[f"{table}.html"])
        told = [of.title, table, of.owner, of.team, of.grain, of.version, of.silver_table, *of.keys]
        told += of.description.split("\n\n")
        for one in of.columns:
            told += [one.name, one.description, *(child.description for child in one.children)]
        for name, (description, _, _) in check_names(of).items():
            told += [name, description]
        missing = [part for part in told if re.sub(r"\s+", " ", part).strip() not in text]
        assert missing == []
    orders = said(pages["shopify_orders.html"])
    for part in (
        "refers to stripe_customers.customer_id",
        "stripe_payments (order_id) refers to shopify_orders",
        "and the elements of line_items as silver.shopify_order_lines",
        "warns after 12 hours, stale after 24 hours, by updated_at; expected hourly",
        "up to 30 days late are taken",
        "more than 5 % refused records is held back",
        "7 years",
    ):
        assert part in orders, part
    assert "email (hash)" in said(pages["stripe_customers.html"])
    assert "jane@example.com" not in pages["stripe_customers.html"], "no example of personal data"


def test_what_people_wrote_is_escaped() -> None:
    evil = "<b>&\"'</b>"
    of = contract([key(), column("x", description=evil, examples=[evil]), pii("y")], name="evil")
    of = replace(of, title=evil, description=evil, owner=evil, grain=evil, delete_when=evil, tags=(evil,))
    pages = render({of.table: of})
    for html in pages.values():
        assert "<b>" not in html and Seen(html).stack == []
    assert said(pages["shop_evil.html"]).count(evil) >= 6


def test_an_article_stands_alone_with_links_of_the_caller_s(sample: dict[str, Contract]) -> None:
    html = article(sample["shopify_orders"], sample, lambda table: f"../tables/{table}.html#contract")
    assert "<html" not in html and "../tables/stripe_customers.html#contract" in Seen(html).links
    alone = article(rich(), {})
    assert "refers to no table, and none refers to it" in said(alone)
    assert "list of objects" in said(alone) and "map<string,int>" in said(alone) and "from zip" in said(alone)


def test_the_changelog_shows_what_broke() -> None:
    entries = (
        Revision(version="2.0.0", changes=("breaking: x: removed", "By hand: it is better."), day=date(2026, 1, 2)),
        Revision(version="1.0.0", changes=("First version.",)),
    )
    of = replace(contract([key()], name="kept"), changelog=entries, version="2.0.0")
    html = article(of, {of.table: of})
    text = said(html)
    assert "2.0.0 2026-01-02" in text and "breaking x: removed" in text and "By hand: it is better." in text
    assert '<span class="state fail">breaking</span>' in html
    assert "None is kept." in said(article(contract([key()]), {}))


def test_without_contracts_the_index_says_how_to_begin() -> None:
    assert "No contract is loaded." in said(render({})["index.html"])
