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
        (RuntimeError(""), "RuntimeError"),
        (RuntimeError("one\ntwo"), "one\ntwo"),
    ],
)
def test_an_error_is_told_in_words(problem: Exception, words: str) -> None:
    assert words in sentence(problem)


OF_TASK = (
    "(org.apache.spark.SparkException) Job aborted due to stage failure: Task 0 in stage 1.0 failed 1 times, most recent failure: "
    "Lost task 0.0 in stage 1.0 (TID 1) (localhost executor driver): "
)
STACK = (
    "\n\tat org.apache.spark.sql.catalyst.expressions.GeneratedClass$Iterator.<init>(Unknown Source)"
    "\n\tat java.base/java.lang.Thread.run(Thread.java:840)\n\t... 3 more\n"
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            f"{OF_TASK}java.lang.RuntimeException: no such day{STACK}\nDriver stacktrace:",
            "A task of the query failed: RuntimeException: no such day",
        ),
        (
            f"{OF_TASK}org.apache.spark.SparkException: [TASK_WRITE_FAILED] Task failed while writing rows to file:/x.{STACK}"
            "Caused by: org.apache.spark.sql.delta.schema.DeltaInvariantViolationException: [DELTA_VIOLATE] CHECK id < 9 violated "
            "by row with values:\n - id : 9\n\tat org.apache.spark.sql.delta.schema.DeltaI...",
            "A task of the query failed: [DELTA_VIOLATE] CHECK id < 9 violated by row with values:\n - id : 9",
        ),
        (
            f"{OF_TASK}java.nio.file.NoSuchFileException: /x/y{STACK}",
            "A task of the query failed: NoSuchFileException: /x/y",
        ),
        (f"{OF_TASK}java.lang.NullPointerException{STACK}", "A task of the query failed: NullPointerException"),
        (f"{OF_TASK}{STACK}", f"{OF_TASK}"),
        (
            f"{OF_TASK}org.apache.spark.SparkException: Encountered error while reading file file:///l/a.json.gz. Details:{STACK}"
            f"Caused by: java.lang.RuntimeException{STACK}\tSuppressed: x.Y: late{STACK}\tCaused by: x.Z: later{STACK}"
            f"Caused by: java.io.EOFException: Unexpected end of input stream{STACK}Caused by: org.apache.par...",
            "A task of the query failed: Encountered error while reading file file:///l/a.json.gz: EOFException: Unexpected end of "
            "input stream",
        ),
        (
            f"pyspark.errors.Failed: {OF_TASK}org.apache.spark.SparkException: Encountered error while reading file a.gz. Details:{STACK}",
            "A task of the query failed: Encountered error while reading file a.gz.",
        ),
        (
            f"Database Error in model payments\n  {OF_TASK}java.lang.RuntimeException: no such day{STACK}\tat or...",
            "Database Error in model payments A task of the query failed: RuntimeException: no such day",
        ),
        (f"one\n  at position(3) of it\n\n{STACK}two", "one\n  at position(3) of it\ntwo"),
    ],
)
def test_where_in_java_it_happened_is_not_told(text: str, told: str) -> None:
    assert sentence(RuntimeError(text)).rstrip() == told.rstrip()


def test_a_setting_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEHOUSE_ENGINE_CORES", "many")
    with pytest.raises(ValidationError) as raised:
        Settings()
    said = sentence(raised.value)
    assert "LAKEHOUSE_ENGINE_CORES" in said
    assert "'many'" in said
