"""The processes in which Dagster's code server executes runs begin with what a run needs loaded."""

import multiprocessing
import sys
from multiprocessing.context import ForkServerContext
from types import ModuleType

_BUILT_EACH_TIME = "lakehouse.definitions"
"""Read by each run for itself: contracts may have changed since the code server began."""


def begin_loaded() -> None:
    """Has the runs of a code server in this process start from one that has loaded our modules, and Dagster's with them. To
    be called while the definitions are built; idempotent. Without it each run, and a batch on its way to readers is three of
    them or more, begins with two and a half seconds of CPU for imports.

    On Linux alone: elsewhere libraries of the system do not bear that a process goes on as a copy of another. What starts
    threads when it is loaded, as Spark's client and Soda do, is not among the modules: threads have no copy.
    """
    server: ModuleType | None = sys.modules.get("dagster._grpc.server")
    if sys.platform != "linux" or server is None:
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(modules())

    def ours(_: object) -> ForkServerContext:
        return context

    def keep(_: object, __: object) -> None:
        """A server that is made later brings its own, which starts each run anew."""

    server.DagsterApiServer._mp_ctx = property(ours, keep)


def modules() -> list[str]:
    """Ours that are loaded, in their order, but for the definitions."""
    return [name for name in sys.modules if name.startswith("lakehouse.") and name != _BUILT_EACH_TIME]
