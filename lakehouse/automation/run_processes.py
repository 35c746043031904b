"""The processes in which Dagster's code server executes runs begin with what a run needs loaded."""

import multiprocessing
import sys
import tempfile
from multiprocessing.context import ForkServerContext

from dagster._grpc.server import DagsterApiServer

_BUILT_EACH_TIME = "lakehouse.definitions"
"""Read by each run for itself: contracts may have changed since the code server began."""
_LONGEST_TEMPDIR = 75
"""Characters: the process that runs are copies of is asked by a socket in a folder there, and a socket's path has up to 107."""


def begin_loaded() -> None:
    """Has the runs of a code server in this process start as copies of one that has loaded our modules, and Dagster's with
    them. To be called while the definitions are built; idempotent. Without it each run, and a batch on its way to readers is
    three of them or more, begins with two and a half seconds of CPU for imports.

    That process begins with the first run. Code that is changed later is theirs once the code location is reloaded, which
    brings another; contracts are read by each run. What has threads of Python's when it is loaded, as Spark's client and Soda
    have, is not among the modules: threads have no copy. A run's process ends without `atexit`.

    On Linux alone, for elsewhere libraries of the system do not bear that a process goes on as a copy of another, and not
    where the folder for temporary files has too long a name: there each run starts anew.
    """
    if sys.platform != "linux" or len(tempfile.gettempdir()) > _LONGEST_TEMPDIR:
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(modules())

    def ours(_: object) -> ForkServerContext:
        return context

    def keep(_: object, __: object) -> None:
        """A server that is made later brings its own, which starts each run anew."""

    DagsterApiServer._mp_ctx = property(ours, keep)  # type: ignore[assignment]


def modules() -> list[str]:
    """Ours that are loaded, in their order, but for the definitions."""
    return [name for name in list(sys.modules) if name.startswith("lakehouse.") and name != _BUILT_EACH_TIME]
