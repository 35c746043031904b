"""A changelog: what it must hold, the entry that is written for a version, and where it is put."""

import subprocess
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lakehouse.contracts.changelog import entry, insert
from lakehouse.contracts.changes import Change
from lakehouse.contracts.cli import contract
from lakehouse.contracts.document import read
from lakehouse.contracts.loader import check, load

Write = Callable[..., Path]
SOURCE = "      source: shop\n"
VERSION = ("version: 1.0.0", "version: 1.1.0")
AMOUNT = ("decimal(12,2)", "decimal(14,2)")


def kept(*entries: str) -> tuple[str, str]:
    return SOURCE, f"      changelog:\n{''.join(f'        - {line}{chr(10)}' for line in entries)}{SOURCE}"


FIRST = '{version: 1.0.0, date: 2025-11-24, changes: ["First version."]}'


def run(*arguments: object) -> Result:
    return CliRunner().invoke(contract, [str(argument) for argument in arguments])


def test_it_is_read(write: Write, odcs: Any) -> None:
    path = write(kept(FIRST, "{version: 0.9.0, changes: [Tried.]}"))
    found = load(path).changelog
    assert [(one.version, one.day, one.changes) for one in found] == [
        ("1.0.0", date(2025, 11, 24), ("First version.",)),
        ("0.9.0", None, ("Tried.",)),
    ]
    assert check([path]) == [] and odcs.is_valid(read(path).data)
    assert load(write()).changelog == ()


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ((), "`changelog` is no list of entries"),
        (("text",), "`changelog` is no list of entries"),
        (("{version: 1.1.0, changes: [x]}",), "the changelog has no entry for the version 1.0.0"),
        ((FIRST, FIRST), "the version 1.0.0 has two entries"),
        (("{version: 1.0.0}",), "it is not said what the version changed"),
        (("{version: 1.0.0, changes: x}",), "it is not said what the version changed"),
        (("{version: 1.0, changes: [x]}",), "needs its version, as text"),
        (("{version: 1.0.0, changes: [x], dat: 2025-11-24}",), "`dat` is unknown to an entry"),
        (("{version: 1.0.0, changes: [x], date: today}",), "the date cannot be `today`"),
    ],
)
def test_what_is_wrong_with_it_is_told_with_its_line(write: Write, entries: tuple[str, ...], message: str) -> None:
    problems = check([write(kept(*entries) if entries else (SOURCE, f"      changelog: []\n{SOURCE}"))])
    assert any(message in problem.message for problem in problems), problems
    assert all(14 <= problem.line <= 18 for problem in problems)


def test_an_entry_is_yaml_whatever_a_change_says(write: Write) -> None:
    odd = Change("compatible", "a.b", 'was "x\\y": {z}, # is\nnothing')
    path = write(VERSION, kept(FIRST))
    path.write_text(insert(read(path), entry("1.1.0", [odd], date(2026, 1, 2))))
    newest = load(path).changelog[0]
    assert (newest.version, newest.day) == ("1.1.0", date(2026, 1, 2))
    assert newest.changes == ('compatible: a.b: was "x\\y": {z}, # is nothing',)


@pytest.mark.parametrize("is_kept", [True, False])
def test_the_entry_of_a_version_is_written_from_what_changed(write: Write, is_kept: bool) -> None:
    more = (kept(FIRST),) if is_kept else ()
    old = write(*more, name="old.yaml")
    new = write(VERSION, AMOUNT, ("status: active", "status: active # why"), *more)
    before = new.read_text()
    shown = run("changelog", old, new)
    assert shown.exit_code == 0 and "- version: 1.1.0" in shown.output
    assert '"forward-only: amount: was decimal(12,2), is decimal(14,2)' in shown.output
    assert new.read_text() == before
    written = run("changelog", old, new, "--write")
    assert written.exit_code == 0 and "Wrote the entry of 1.1.0" in written.output, written.output
    changelog = load(new).changelog
    assert [one.version for one in changelog] == ["1.1.0", "1.0.0"][: 1 + is_kept]
    lines = new.read_text().splitlines()
    assert [line for line in lines if line in before.splitlines()] == before.splitlines(), (
        "all else stays, comments too"
    )
    assert check([new]) == []
    assert "has an entry for 1.1.0" in run("changelog", old, new, "--write").output


def test_what_cannot_be_written_is_said(write: Write) -> None:
    old, same, raised = write(name="old.yaml"), write(AMOUNT, name="same.yaml"), write(VERSION, AMOUNT)
    assert run("changelog", old, old).output == "No change.\n"
    unraised = run("changelog", old, same)
    assert unraised.exit_code == 1 and "raise it in" in unraised.output
    one_line = "    value: {source: shop, format: json, delivery: versions, sequence: [updated_at]}\n"
    text = raised.read_text()
    a, b = text.index("    value:\n"), text.index("schema:\n")
    raised.write_text(text[:a] + one_line + text[b:])
    refused = run("changelog", old, raised, "--write")
    assert refused.exit_code == 1 and "was left as it is" in refused.output
    assert raised.read_text() == text[:a] + one_line + text[b:]
    missing = run("changelog", "gone.yaml", raised)
    assert missing.exit_code == 1 and "gone.yaml:1: the file cannot be read" in missing.output


def test_an_earlier_version_is_found_in_git(write: Write) -> None:
    path = write()
    git = ["git", "-C", str(path.parent), "-c", "user.name=T", "-c", "user.email=t@example.com"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *command], check=True)
    write(VERSION, AMOUNT)
    result = run("diff", "HEAD", path)
    assert "forward-only  amount: was decimal(12,2)" in result.output and result.exit_code == 0, result.output
    assert run("changelog", "HEAD", path, "--write").exit_code == 0
    unknown = run("diff", "nowhere", path)
    assert unknown.exit_code == 1 and "nowhere is neither a file nor a revision of git" in unknown.output
