"""Dagster's log of events, written at the speed of a run that has hundreds of checks."""

import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from dagster import DagsterInstance
from dagster._core.storage.event_log.sqlite import SqliteEventLogStorage
from sqlalchemy import Connection, Engine, create_engine, event

_BUSY_SECONDS = 5
_KEPT = 8
"""Files kept open: the index, and those of the runs under way."""


def keep_connections(instance: DagsterInstance) -> None:
    """Lets this process keep its connections to the SQLite files of the event log; on another database does nothing.

    Dagster opens and closes the file for every event, and closing forces its write-ahead log to the disk: some 15 ms
    an event, three events a check. A kept connection leaves that to SQLite (`synchronous = normal`): a crash of the
    process loses nothing, one of the machine at most the log's last moments; what tables hold is in Delta's own logs.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqliteEventLogStorage):
        return
    engines: OrderedDict[str, Engine] = OrderedDict()
    connect_once = storage._connect

    @contextmanager
    def connect(shard: str) -> Iterator[Connection]:
        if shard not in storage._initialized_dbs:
            with connect_once(shard):  # makes the file and its tables
                pass
        with storage._db_lock:
            if shard not in engines:
                engines[shard] = _opened(storage.conn_string_for_shard(shard))
            engines.move_to_end(shard)
            while len(engines) > _KEPT:
                engines.popitem(last=False)[1].dispose()
            with engines[shard].begin() as connection:
                yield connection
            # Who watches a run's file for its log, such as the UI, would not see it change: only its log beside it does.
            os.utime(storage.path_for_shard(shard))

    storage._connect = connect  # type: ignore[method-assign]


def _opened(url: str) -> Engine:
    """One connection, used by one thread at a time: the storage's lock sees to that."""
    engine = create_engine(
        url, pool_size=1, max_overflow=0, connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False}
    )
    event.listen(engine, "connect", lambda connection, _: connection.execute("pragma synchronous = normal"))
    return engine
