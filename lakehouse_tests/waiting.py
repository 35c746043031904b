"""Waiting for what other processes and threads do."""

import time
from collections.abc import Callable


def until(holds: Callable[[], object], seconds: float) -> None:
    """Returns once `holds()` is true; fails where it is not within the seconds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"it did not happen within {seconds} s"
        time.sleep(0.05)
