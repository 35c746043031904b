"""The drawing of relations: every box and line is there, and no line runs behind a box."""

import re
from itertools import pairwise
from xml.etree import ElementTree

from lakehouse.automation.contract_docs.diagram import Relation, draw


def drawn(tables: list[str], *relations: tuple[str, str]) -> ElementTree.Element:
    listed = [Relation(table, to, ("id",)) for table, to in relations]
    return ElementTree.fromstring(draw(tables, listed, lambda name: f"{name}.html", tables[0]))


def boxes(svg: ElementTree.Element) -> dict[str, tuple[int, int]]:
    found = {}
    for group in svg.iter("g"):
        box, title = group.find("rect"), group.find("title")
        assert box is not None and title is not None and title.text
        found[title.text] = int(box.attrib["x"]), int(box.attrib["y"])
    return found


def test_what_is_referred_to_stands_right_of_what_refers_to_it() -> None:
    svg = drawn(["lines", "orders", "people", "alone"], ("lines", "orders"), ("orders", "people"), ("lines", "people"))
    found = boxes(svg)
    assert found["lines"][0] < found["orders"][0] < found["people"][0] == found["alone"][0]
    assert len(set(found.values())) == 4 and len(list(svg.iter("path"))) == 3
    assert {link.attrib["href"] for link in svg.iter("a")} == {"orders.html", "people.html", "alone.html"}
    assert svg.attrib["aria-label"] == "lines refers to orders; lines refers to people; orders refers to people"


def test_a_long_line_runs_behind_no_box() -> None:
    tables = ["a", *(f"b{n}" for n in range(4)), "c"]
    svg = drawn(tables, *(("a", f"b{n}") for n in range(4)), *((f"b{n}", "c") for n in range(4)), ("a", "c"))
    line = next(path for path in svg.iter("path") if "a in c" in (path.findtext("title") or ""))
    level = re.search(r" (\d+) H(\d+)", line.attrib["d"])
    assert level, "it is led straight through the column between"
    middle = {y for name, (_, y) in boxes(svg).items() if name.startswith("b")}
    assert all(not y <= int(level[1]) <= y + 30 for y in middle)


def test_a_circle_and_a_table_that_refers_to_itself_are_drawn() -> None:
    svg = drawn(["a", "b", "c"], ("a", "b"), ("b", "a"), ("c", "c"))
    assert len(list(svg.iter("path"))) == 3 and len(boxes(svg)) == 3


def test_names_are_escaped_and_what_is_not_listed_left_out() -> None:
    svg = drawn(["a<b>&", "a_table_with_a_name_that_is_longer_than_any_box_is_wide"], ("a<b>&", "elsewhere"))
    assert list(boxes(svg)) == ["a<b>&", "a_table_with_a_name_that_is_longer_than_any_box_is_wide"]
    texts = [text.text or "" for text in svg.iter("text")]
    assert any(text.endswith("…") for text in texts) and not list(svg.iter("path"))
    assert all(one != other for one, other in pairwise(sorted(boxes(svg).values())))
