"""Which errors pass by themselves, so that the same work is worth another try, and which do not."""

import errno
import re
from collections.abc import Iterator

from grpc import RpcError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException

from lakehouse.engine.errors import EngineError
from lakehouse.storage.tables import CONFLICT, ConcurrentWriterError

_FULL = re.compile(r"No space left on device|Disk quota exceeded|File too large|disk is full|Read-only file system")
_GONE = re.compile(
    r"UNAVAILABLE|DEADLINE_EXCEEDED|GOAWAY|Socket closed|Connection (refused|reset|timed out)|Broken pipe|closed channel|"
    r"INVALID_HANDLE|(SESSION|OPERATION)_(NOT_FOUND|CLOSED)|(stopped|shut down).*SparkContext|SparkContext was shut down"
)
"""The engine died, was restarted, or has forgotten the session."""
_STORAGE = re.compile(
    r"(Socket|Connect|Read|Request)Time(d)?out|timed out|SlowDown|ServiceUnavailable|Service Unavailable|"
    r"Status Code: 5\d\d|Input/output error|Stale file handle|(No|Path)SuchFile|FileNotFoundException|PATH_NOT_FOUND"
)
"""Storage that did not answer, or a file that went between being listed and being read."""
_STAYS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


def passes_by_itself(problem: BaseException) -> bool:
    """Whether the same work may succeed when it is tried again in a few seconds: an engine that died, a commit that lost a
    race, storage that did not answer. A full disk, a contract, data and mistakes in code stay what they are.

    The error that was raised decides, or any that it came from.
    """
    chain = list(_chain(problem))
    if any(_FULL.search(str(one)) for one in chain):
        return False
    return any(_passes(one) for one in chain)


def _chain(problem: BaseException | None) -> Iterator[BaseException]:
    while problem is not None:
        yield problem
        problem = problem.__cause__


def _passes(problem: BaseException) -> bool:
    if isinstance(problem, EngineError):
        return problem.passes
    if isinstance(problem, ConcurrentWriterError | RpcError):
        return True
    if isinstance(problem, OSError):
        return problem.errno not in _STAYS
    if isinstance(problem, ValueError):
        return "Cannot invoke RPC on closed channel" in str(problem)
    return isinstance(problem, PySparkException) and says_so(str(problem))


def says_so(text: str) -> bool:
    """Whether the text of an error, of Spark or of a program that uses it, tells of what passes by itself."""
    return not _FULL.search(text) and any(pattern.search(text) for pattern in (CONFLICT, _GONE, _STORAGE))
