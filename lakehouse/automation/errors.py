"""Errors as sentences for people: what happened, and what to do."""

import errno
import re

from pydantic import ValidationError

from lakehouse.engine.spark_errors import of_task, without_stack

_KNOWN = (
    (
        re.compile(r"No space left on device|Disk quota exceeded|File too large|database or disk is full"),
        "The disk is full. Free some space and run again; nothing that was committed is lost.",
    ),
    (
        re.compile(r"\[TABLE_OR_VIEW_NOT_FOUND\][^`]*`([^`]+)`(?:\.`([^`]+)`)?"),
        'There is no table or view {0}. `lakehouse sql "show tables in serving"` lists what readers read.',
    ),
    (
        re.compile(r"StatusCode\.UNAVAILABLE|failed to connect to all addresses|Socket closed"),
        "The engine ended while it was asked something. What was committed stays: run it again, which starts another engine. "
        "`lakehouse engine logs` shows what the last one said.",
    ),
    (re.compile(r"\[PARSE_SYNTAX_ERROR\]\s*(.*?)(?:\n|$)"), "The SQL cannot be read: {0}"),
    (re.compile(r"\[UNRESOLVED_COLUMN[^\]]*\]\s*(.*?)(?:\n|$)"), "{0}"),
)


def sentence(problem: BaseException) -> str:
    """What to tell a person about an error: known causes in our words, else the first lines of its own."""
    if isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return _KNOWN[0][1]
    if isinstance(problem, ValidationError):
        lines = [
            f"LAKEHOUSE_{'_'.join(str(part) for part in error['loc']).upper()}: {error['msg']}, found {error['input']!r}."
            for error in problem.errors()
        ]
        return "The settings cannot be read. " + " ".join(lines)
    return explain(str(problem).strip() or type(problem).__name__)


def explain(text: str) -> str:
    """The text of an error as a sentence, where it is a known one; else its first lines, without those of Java's stack."""
    for pattern, words in _KNOWN:
        found = pattern.search(text)
        if found:
            groups = [".".join(part for part in found.groups() if part)] if found.groups() else []
            return words.format(*groups)
    return of_task(text) or "\n".join(without_stack(text)[:12])
