"""What every step of Dagster has, whatever it does: another try for what passes by itself and for nothing else, and an end
however long its work would go on."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import dagster as dg

from lakehouse.engine.resource import Engine
from lakehouse.settings import Settings
from lakehouse.storage.transient import passes_by_itself

TRANSIENT = dg.RetryPolicy(max_retries=3, delay=2, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
"""For what passes by itself: an engine that died, a commit that lost a race, storage that did not answer. Whatever else a
`step` raises becomes a Failure that is not tried again."""
_AGAIN_SECONDS = 1


class Step:
    """A step under way: its Spark session, and what ends it when its time is over."""

    def __init__(self, engine: Engine, seconds: float) -> None:
        self.has_expired = False
        self.session: Any = engine.session
        self._stops: list[Callable[[], Any]] = [self.session.interruptAll]
        self._ended = threading.Event()
        threading.Thread(target=self._watch, args=(seconds,), daemon=True).start()

    def ends_by(self, stop: Callable[[], Any]) -> None:
        """`stop` is called too, from another thread, when the time is over: for what runs outside of the session."""
        self._stops.append(stop)

    def end(self) -> None:
        """From here on nothing is stopped any more: the work is over, and what is left is to clean up."""
        self._ended.set()

    def _watch(self, seconds: float) -> None:
        if self._ended.wait(seconds):
            return
        self.has_expired = True
        while not self._ended.is_set():  # a step asks query after query, and each has to be stopped
            for stop in self._stops:
                with suppress(Exception):  # an engine that is gone stops nothing, and its step has ended by that
                    stop()
            self._ended.wait(_AGAIN_SECONDS)


@contextmanager
def step(engine: Engine, here: Settings) -> Iterator[Step]:
    """Inside the block works one step, for at most `here.step_minutes`.

    Raises what the block raises where that passes by itself, so that Dagster tries again; a Failure without another try
    for anything else, and where the time was over.
    """
    current: Step | None = None
    try:
        current = Step(engine, here.step_minutes * 60)
        yield current
    except Exception as problem:
        if current is not None and current.has_expired:
            raise dg.Failure(
                f"It took longer than LAKEHOUSE_STEP_MINUTES={here.step_minutes:g} and was stopped; nothing is committed by "
                "halves. Look at what it waited for (`lakehouse engine status`), then run again, or allow more.",
                allow_retries=False,
            ) from problem
        if isinstance(problem, dg.Failure | dg.RetryRequested) or passes_by_itself(problem):
            raise
        raise dg.Failure(allow_retries=False) from problem  # without words of its own: those of its cause are shown
    finally:
        if current is not None:
            current.end()
