"""The calendar of special days: what it says of a table, and every mistake with its line."""

import os
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from lakehouse.contracts.problems import ContractError
from lakehouse.quality.calendar import SpecialDays, check, days_of, load
from lakehouse.settings import Settings

TABLES = ("shopify_orders", "stripe_payments", "web_events")
Write = Callable[[str], Settings]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write the calendar of a home of its own."""

    def write_calendar(text: str) -> Settings:
        (tmp_path / "calendar.yaml").write_text(text, encoding="utf-8")
        return Settings(home=tmp_path)

    return write_calendar


def test_days_are_special_to_the_tables_that_are_named_or_to_all(write: Write) -> None:
    here = write(
        "# ours\n"
        "- name: Thanksgiving\n  from: 2025-11-26\n  to: 2025-11-28\n  tables: [shopify_orders, web_events]\n"
        "- {name: Stocktaking, from: '2025-11-28'}\n"
    )
    calendar = load(here)
    assert calendar[0] == SpecialDays("Thanksgiving", date(2025, 11, 26), date(2025, 11, 28), TABLES[::2])
    assert days_of(calendar, "web_events") == {
        date(2025, 11, 26): "Thanksgiving",
        date(2025, 11, 27): "Thanksgiving",
        date(2025, 11, 28): "Thanksgiving and Stocktaking",
    }
    assert days_of(calendar, "stripe_payments") == {date(2025, 11, 28): "Stocktaking"}
    assert check(here, TABLES) == (calendar, [])


def test_a_name_may_be_a_hundred_characters_and_any_text_in_quotes(write: Write) -> None:
    here = write(
        f"- {{name: '2026', from: 2026-04-05}}\n- {{name: {'a' * 100}, from: 2026-04-06}}\n- name: |\n    B\n  from: 2026-04-07\n"
    )
    assert [one.name for one in load(here)] == ["2026", "a" * 100, "B"]


def test_the_same_days_twice_have_one_name(write: Write) -> None:
    here = write("- {name: Easter, from: 2026-04-05}\n- {name: Easter, from: 2026-04-05, to: 2026-04-06}\n")
    assert days_of(load(here), "any") == {date(2026, 4, 5): "Easter", date(2026, 4, 6): "Easter"}


@pytest.mark.parametrize("text", ["", "# none yet\n", "[]\n", "null\n"])
def test_a_file_without_entries_has_no_special_days(write: Write, text: str) -> None:
    assert list(load(write(text))) == []


def test_the_default_file_need_not_be_there_and_a_named_one_must(tmp_path: Path) -> None:
    assert list(load(Settings(home=tmp_path))) == []
    named = Settings(home=tmp_path, calendar=tmp_path / "days.yaml")
    with pytest.raises(ContractError) as raised:
        load(named)
    assert str(raised.value) == (
        f"{tmp_path / 'days.yaml'}:1: this calendar of special days cannot be found. "
        "Create it, or correct LAKEHOUSE_CALENDAR."
    )
    (tmp_path / "days.yaml").write_text("- {name: Easter, from: 2026-04-05}\n")
    assert len(load(named)) == 1


def test_the_variable_names_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAKEHOUSE_CALENDAR", "days.yaml")
    assert Settings().calendar_file == tmp_path / "days.yaml"
    for nothing in ("", " "):
        monkeypatch.setenv("LAKEHOUSE_CALENDAR", nothing)
        assert Settings(home=tmp_path).calendar is None, "as if it were not set"
    monkeypatch.delenv("LAKEHOUSE_CALENDAR")
    assert Settings(home=tmp_path).calendar_file == tmp_path / "calendar.yaml"


@pytest.mark.parametrize(
    ("entry", "line", "message", "remedy"),
    [
        (
            "name: A\n  from: 2025-11-26\n  til: 2025-11-27",
            4,
            "`til` is unknown to special days",
            "Choose one of name, ",
        ),
        ("name: A\n  from: 2025-11-26\n  table: [web_events]", 4, "`table` is unknown", "Perhaps `tables` is meant"),
        ("from: 2025-11-26", 2, "these special days have no name", "Add `name:`"),
        ("name:\n  from: 2025-11-26", 2, "these special days have no name", "Add `name:`"),
        ("name: ' '\n  from: 2025-11-26", 2, "these special days have no name", "Add `name:`"),
        ("name: 2026\n  from: 2025-11-26", 2, "a name is text, and `2026` is none", "Write it in quotes"),
        ("name: true\n  from: 2025-11-26", 2, "a name is text, and `True` is none", "Write it in quotes"),
        ("name: [A]\n  from: 2025-11-26", 2, "a name is text, and `['A']` is none", "Write it in quotes"),
        (
            f"name: {'a' * 101}\n  from: 2025-11-26",
            2,
            "has 101 characters, and 100 are the most",
            "Write a shorter one",
        ),
        ('name: "A\\nB"\n  from: 2025-11-26', 2, "has a line break", "Write it in one line"),
        ('name: "A\\LB"\n  from: 2025-11-26', 2, "has a line break", "Write it in one line"),
        ("name: A", 2, "these special days have no `from:`", "Add `from:`, a day such as 2025-11-26"),
        ("name: A\n  from: 26.11.2025", 3, "`from` cannot be `26.11.2025`", "Write a day such as 2025-11-26"),
        ("name: A\n  from: 20251126", 3, "`from` cannot be `20251126`", "Write a day"),
        ("name: A\n  from: 2025-11-26T00:00:00", 3, "`from` cannot be `2025-11-26T00:00:00`", "Write a day"),
        ("name: A\n  from: 2025-02-30", 3, "`from` cannot be `2025-02-30`", "Write a day"),
        ("name: A\n  from: 2025-11-26\n  to:", 4, "`to` cannot be `None`", "Write a day"),
        ("name: A\n  from: 2025-11-26\n  to: 2025-11-25", 4, "`to` (2025-11-25) is before `from`", "Exchange them"),
        ("name: A\n  from: 2025-11-26\n  to: 2026-11-28", 4, "are 368 days, and what lasts longer", "Correct a year"),
        ("name: A\n  from: 2025-11-26\n  tables: web_events", 4, "`tables` is a list of tables", "Write it as `["),
        ("name: A\n  from: 2025-11-26\n  tables: []", 4, "`tables` is a list of tables", "or leave it out"),
        (
            "name: A\n  from: 2025-11-26\n  tables:\n    - web_events\n    - silver.web_events",
            6,
            "no contract declares the table `silver.web_events`",
            "Perhaps `web_events` is meant",
        ),
    ],
)
def test_a_mistake_is_told_with_its_line_and_remedy(
    write: Write, entry: str, line: int, message: str, remedy: str
) -> None:
    here = write(f"# days\n- {entry}\n- {{name: Easter, from: 2026-04-05}}\n")
    calendar, problems = check(here, TABLES)
    (problem,) = problems
    assert (problem.file, problem.line) == (here.calendar_file, line)
    assert message in problem.message and remedy in problem.remedy
    assert [one.name for one in calendar][-1] == "Easter", "the others are read nevertheless"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: Easter\nfrom: 2026-04-05\n", "a list is expected, and a mapping of keys is found"),
        ("Easter\n", "a list is expected, and a single value is found"),
        ("- Easter\n", "special days are a mapping of keys, and `Easter` is found"),
        ("- {name: Easter, from: 2026-04-05\n", "this is not YAML"),
        ("- name: Easter\n  name: Whitsun\n  from: 2026-04-05\n", "`name` is given twice"),
    ],
)
def test_what_is_no_list_of_days_is_told(write: Write, text: str, message: str) -> None:
    _, problems = check(write(text), TABLES)
    assert len(problems) == 1 and message in problems[0].message and problems[0].remedy


def test_all_mistakes_are_told_at_once(write: Write) -> None:
    here = write("- from: x\n- {name: B, from: 2025-01-02, to: 2025-01-01, tables: [web_event], on: 1}\n")
    with pytest.raises(ContractError) as raised:
        load(here)
    assert len(raised.value.problems) == 4, "tables are known to nobody here"
    assert len(check(here, TABLES)[1]) == 5


def test_without_contracts_no_table_can_be_named(write: Write) -> None:
    (problem,) = check(write("- {name: A, from: 2025-01-02, tables: [web_events]}\n"), [])[1]
    assert problem.remedy == "Leave `tables:` out: there are no contracts"


@pytest.mark.parametrize("depth", [150, 20_000])
def test_a_calendar_that_is_nested_too_deeply_is_a_problem_as_any(write: Write, depth: int) -> None:
    (problem,) = check(write("# deep\n" + "- " * depth))[1]
    assert problem.message == "the YAML is nested too deeply to read" and problem.line == 2


def test_aliases_of_a_calendar_that_grow_beyond_all_measure_are_a_problem(write: Write) -> None:
    levels = [f"- &a{n} [{', '.join([f'*a{n - 1}' if n else '1'] * 9)}]" for n in range(12)]
    (problem,) = check(write("\n".join(levels) + "\n"))[1]
    assert "repeat more than 100,000 values" in problem.message and problem.remedy


def test_thousands_of_mistakes_are_told_in_a_moment(write: Write) -> None:
    here = write("".join(f"- {{name: D{n}, from: x, till: y, tables: [web_event]}}\n" for n in range(5_000)))
    began = time.process_time()
    _, problems = check(here, TABLES)
    assert len(problems) == 15_000 and problems == sorted(set(problems))
    assert time.process_time() - began < 8, "the time grows with the mistakes, not with their square"


@pytest.mark.parametrize("is_named", [False, True], ids=["default", "named"])
@pytest.mark.parametrize(
    ("kind", "message", "remedy"),
    [
        ("pipe", "is no regular file", "Put a YAML file there"),
        ("folder", "is no regular file", "Put a YAML file there"),
        ("device", "is no regular file", "Put a YAML file there"),
        ("loop", "is a link that leads to no file", "Correct the link"),
        ("dangling", "is a link that leads to no file", "Correct the link"),
    ],
)
def test_a_calendar_that_is_no_file_is_a_problem(
    tmp_path: Path, kind: str, message: str, remedy: str, is_named: bool
) -> None:
    place = tmp_path / "calendar.yaml"
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    else:
        place.symlink_to({"device": "/dev/zero", "loop": place, "dangling": tmp_path / "nowhere"}[kind])
    here = Settings(home=tmp_path, calendar=place if is_named else None)
    (problem,) = check(here, TABLES)[1]
    assert message in problem.message
    assert problem.remedy == f"{remedy}, or correct LAKEHOUSE_CALENDAR"


def test_a_link_to_a_calendar_is_followed(tmp_path: Path) -> None:
    (tmp_path / "days.yaml").write_text("- {name: Easter, from: 2026-04-05}\n")
    (tmp_path / "calendar.yaml").symlink_to(tmp_path / "days.yaml")
    assert len(load(Settings(home=tmp_path))) == 1
