"""What Spark says of a query that failed, without Java's stack around it."""

import itertools
import re

_OF_JAVA = re.compile(
    r"\s+at ([\w$/@.-]+\.[\w$<>]+(\([^()]*\)|.*\.\.\.)|\S*\.\.\.)\s*$|\s+\.\.\. \d+ more\s*$|\s*Driver stacktrace:\s*$"
)
"""Where in Java something happened. Spark Connect cuts long texts off in the middle of a line, with three dots."""
_TASK = re.compile(r"stage failure: .*?\(\S+ executor driver\): ")
_ABORTED = re.compile(r"([\w.$]+: )?(\([\w.$]+\) )?Job aborted due to $")
_CAUSE = re.compile(r"\nCaused by: ")  # what is indented was passed over on the way
_CLASS = re.compile(r"([\w$]+\.)+([\w$]+)(?=:|\s|$)")
_CUT = re.compile(r"[\w.$]*\.\.\.$")
_SAYS_NOTHING = re.compile(r"\[TASK_WRITE_FAILED\]|[\w$]+$")


def without_stack(text: str) -> list[str]:
    """The lines of a text that are not of Java's stack, without empty ones."""
    return [line.rstrip() for line in text.splitlines() if line.strip() and not _OF_JAVA.match(line)]


def of_task(text: str) -> str | None:
    """What a task of a query failed of: what Spark says of it, and the innermost cause, as far as it was told; after what stands
    before. None where the text is not of a task."""
    found = _TASK.search(text)
    if found is None:
        return None
    outer, *causes = map(_before_stack, _CAUSE.split(text[found.end() :]))
    inner = next((cause for cause in reversed(causes) if cause and not _CUT.match(cause)), "")
    if inner and (not outer or _SAYS_NOTHING.match(outer)):
        outer, inner = inner, ""
    if not outer:
        return None
    outer = outer.removesuffix(" Details:")
    if inner and inner not in outer:
        outer = f"{outer.rstrip('.:')}: {inner}"
    before = _ABORTED.sub("", text[: found.start()]).strip()
    return f"{before} A task of the query failed: {outer}".lstrip()


def _before_stack(text: str) -> str:
    """What an exception says, with the name of its class where that is no class of Spark's with a message of its own."""
    lines = itertools.takewhile(lambda line: not _OF_JAVA.match(line), text.splitlines())
    said = "\n".join(without_stack("\n".join(lines))[:12])
    name = _CLASS.match(said)
    if name is None:
        return said
    rest = said[name.end() :].lstrip(": ")
    return rest if rest.startswith("[") or (rest and name.group(2) == "SparkException") else said[name.start(2) :]
