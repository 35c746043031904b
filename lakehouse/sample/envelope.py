"""Change events in the shape of Debezium's, as text."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from lakehouse.sample.clock import Times

FIRST_LSN = 24_000_000


def positions(size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Log positions for events in the order of their commit: strictly growing, with gaps."""
    return FIRST_LSN + np.cumsum(rng.integers(56, 900, size))


def milliseconds(times: Times) -> NDArray[np.int64]:
    return times.astype("M8[s]").astype(np.int64) * 1000


def envelopes(
    table: str,
    op: Iterable[str],
    before: Iterable[str],
    after: Iterable[str],
    lsn: Iterable[int],
    ts_ms: Iterable[int],
) -> list[str]:
    """One line an event; images are JSON text or `null`. The event leaves the log 0.3 s after its commit."""
    return [
        f'{{"before":{old},"after":{new},"source":{{"connector":"postgresql","name":"stripe","db":"stripe",'
        f'"schema":"public","table":"{table}","txId":{position // 64},"lsn":{position},"ts_ms":{time},'
        f'"snapshot":"{"true" if kind == "r" else "false"}"}},"op":"{kind}","ts_ms":{time + 300}}}'
        for kind, old, new, position, time in zip(op, before, after, lsn, ts_ms, strict=True)
    ]
