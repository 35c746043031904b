"""What the pages tell people to type exists: commands, options, targets of make, pages."""

import re
import shlex
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

import click
import pytest

from lakehouse.settings import PROJECT

PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
RUNBOOKS = PROJECT / "docs" / "runbooks"


@cache
def program(name: str) -> click.Group:
    if name == "lakehouse":
        from lakehouse.cli import lakehouse

        return lakehouse
    from dagster._cli import create_dagster_cli

    found: Any = create_dagster_cli()
    return found


def commands(page: Path, *names: str) -> list[str]:
    """What stands in backquotes or in a block and begins with one of the names."""
    text = page.read_text().replace("\\|", "|")
    blocks = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    lines = [line.strip() for block in blocks for part in block.splitlines() for line in part.split("&&")]
    lines += [
        " ".join(found.split()) for found in re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    ]
    return [line for line in lines if line.startswith(tuple(f"{name} " for name in names))]


def problem_of(command: str) -> str | None:
    """Why a command cannot be typed so; None where it can."""
    words = shlex.split(re.sub(r"<[^>]*>|\[|\]|…", " x ", command), comments=True)
    of: Any = program(words[0])
    rest = list(takewhile(lambda word: word not in ("|", ">"), words[1:]))
    while rest and isinstance(of, click.Group):
        word = rest.pop(0)
        if word.startswith("-"):
            if not _has(of, word):
                return f"{of.name} has no option {word}"
            continue
        if word == "x":  # any of them
            return None
        found = [of.get_command(click.Context(of), name) for name in word.split("|")]
        if None in found:
            return f"{of.name} has no command {word}"
        of = found[0]
        if len(found) > 1:
            return None
    return next(
        (f"{of.name} has no option {word}" for word in rest if word.startswith("-") and not _has(of, word)), None
    )


def _has(of: click.Command, word: str) -> bool:
    known = {option for parameter in of.params for option in (*parameter.opts, *parameter.secondary_opts)}
    return word == "-" or word.split("=")[0] in known | {"--help"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_commands_and_their_options_exist(page: Path) -> None:
    found = {command: problem_of(command) for command in commands(page, "lakehouse", "dagster")}
    assert {command: problem for command, problem in found.items() if problem} == {}


def test_a_command_that_does_not_exist_is_found() -> None:
    assert problem_of("lakehouse rebuid x") == "lakehouse has no command rebuid"
    assert problem_of("lakehouse rebuild <table> --accept-los") == "rebuild has no option --accept-los"
    assert problem_of("lakehouse release list|shw") == "release has no command list|shw"
    assert problem_of('lakehouse sql "select 1" --format csv | less -S') is None


def test_targets_of_make_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    named = {command.split()[1] for page in PAGES for command in commands(page, "make")}
    assert named and named <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_runbook_is_listed_and_says_when_it_is_over() -> None:
    listed = (RUNBOOKS / "README.md").read_text()
    for page in sorted(RUNBOOKS.glob("*.md")):
        text = page.read_text()
        if page.name == "README.md":
            continue
        assert f"({page.name})" in listed, page.name
        assert "**You see**" in text and "**It is over**" in text, page.name
