"""Errors are sentences with a remedy."""

import errno

import pytest
from pydantic import ValidationError

from lakehouse.automation.errors import sentence
from lakehouse.settings import Settings


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "The disk is full. Free some space and run again"),
        (RuntimeError("Job aborted: java.io.IOException: No space left on device\n\tat x"), "The disk is full."),
        (
            RuntimeError("[TABLE_OR_VIEW_NOT_FOUND] The table or view `serving`.`nothing` cannot be found. Verify…"),
            "There is no table or view serving.nothing.",
        ),
        (
            RuntimeError("[PARSE_SYNTAX_ERROR] Syntax error at or near 'selec'.\n== SQL =="),
            "The SQL cannot be read: Syntax",
        ),
        (
            RuntimeError(
                "<_MultiThreadedRendezvous of RPC that terminated with:\n\tstatus = StatusCode.UNAVAILABLE\n…"
            ),
            "The engine ended while it was asked something. What was committed stays: run it again",
        ),
        (
            RuntimeError(
                "(org.apache.spark.SparkException) Job aborted due to stage failure: Task 0 in stage 1.0 failed 1 times, most "
                "recent failure: Lost task 0.0 in stage 1.0 (TID 1) (localhost executor driver): java.lang.RuntimeException: "
                "no such day\n\tat org.apache.spark.sql.catalyst.GeneratedClass.processNext(Unknown Source)\n"
            ),
            "A task of the query failed: no such day",
        ),
        (RuntimeError("one\n\tat java.lang.Thread.run(Thread.java:840)\n\t... 3 more\ntwo"), "one\ntwo"),
        (RuntimeError(""), "RuntimeError"),
        (RuntimeError("one\ntwo"), "one\ntwo"),
    ],
)
def test_an_error_is_told_in_words(problem: Exception, words: str) -> None:
    assert words in sentence(problem)


def test_a_setting_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEHOUSE_ENGINE_CORES", "many")
    with pytest.raises(ValidationError) as raised:
        Settings()
    said = sentence(raised.value)
    assert "LAKEHOUSE_ENGINE_CORES" in said
    assert "'many'" in said
