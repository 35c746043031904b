"""The client side: one Spark Connect session a thread, for a session's settings hold for all that is done in it."""

import logging
import os
import socket
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from lakehouse.engine import lifecycle
from lakehouse.engine.config import FOREIGN_HEARTBEAT_SECONDS, HEARTBEAT_SECONDS, PATIENCE_SECONDS, session_conf
from lakehouse.engine.errors import EngineError
from lakehouse.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_RETRIES = {"max_retries": 5, "max_backoff": 2000}
"""Spark's client retries a lost server for more than ten minutes; ours is either back within seconds or not at all."""

_lock = threading.RLock()
_held: dict[tuple[int, str, int], "SparkSession"] = {}
"""(pid, url, thread) → session: a forked child must not use its parent's channel, nor a new engine the old one's
session, nor a thread another's, whose settings (the note of a commit) are not its own."""


def remote_url(settings: Settings) -> str:
    """The Spark Connect URL to hand to another program, such as dbt in SPARK_REMOTE; starts the engine if need be.

    It carries the engine's token: pass it on, never print it. Raises EngineError.
    """
    if settings.spark_remote is not None:
        return settings.spark_remote.get_secret_value()
    found = lifecycle.ensure(settings)
    return f"sc://127.0.0.1:{found.port}/;x-engine-token={found.token}"


def connect(settings: Settings) -> "SparkSession":
    """The Connect session of this thread, with a server behind it that answered just now.

    The first call starts the embedded engine where none runs (`settings.spark_remote` names another server instead);
    later calls return the same session, or a new one where engine or session have died. The process's time zone
    becomes UTC, because Spark's Python client turns timestamps into naive local times. Raises EngineError.
    """
    with _lock:
        problem: Exception | None = None
        for _ in range(2):  # the engine may end, being idle, between finding and calling it
            url = remote_url(settings)
            session = _held.get((os.getpid(), url, threading.get_ident()))
            try:
                if session is None or _has_given_up(session):
                    return _open(url, settings.spark_remote is None)
                _apply(session)
                return session
            except Exception as found:
                problem = found
                _forget()
        raise _unreachable(settings, problem) from problem


def reconnect(settings: Settings) -> "SparkSession":
    """A new session, whatever this thread held before: for a caller whose query failed because the engine died."""
    with _lock:
        _forget()
        return connect(settings)


def _open(url: str, is_ours: bool) -> "SparkSession":
    from pyspark.sql.connect.client import ChannelBuilder
    from pyspark.sql.connect.session import SparkSession

    os.environ["TZ"] = "UTC"
    time.tzset()
    # Said when a process or an engine ends with a farewell under way; the server forgets the query by itself.
    warnings.filterwarnings("ignore", message="ReleaseExecute failed")
    # It prints a traceback of whatever the server refuses, which its exception says as well. Dagster's configuration of logs
    # turns on again what Spark had turned off.
    if "SPARK_CONNECT_LOG_LEVEL" not in os.environ:
        logging.getLogger("pyspark.sql.connect.client.core").setLevel(logging.CRITICAL + 1)
    _check_port(url)
    _forget()
    # Without, a query waits for ever where the server hangs or its machine is gone: nothing says so on the connection.
    heartbeat = [
        ("grpc.keepalive_time_ms", 1000 * (HEARTBEAT_SECONDS if is_ours else FOREIGN_HEARTBEAT_SECONDS)),
        ("grpc.keepalive_timeout_ms", 1000 * PATIENCE_SECONDS),
        ("grpc.http2.max_pings_without_data", 0),  # as often as a long query takes
    ]
    os.environ["SPARK_CONNECT_MODE_ENABLED"] = "1"  # as Spark's own builder does: `pyspark.sql.functions` asks for it
    session: Any = SparkSession.Builder().channelBuilder(ChannelBuilder(url, heartbeat)).create()
    session.client._retry_policy.update(_RETRIES)
    _close_alone(session)
    _say_farewell_once()
    _give_up_for_good(session)
    _apply(session)
    session.sql("select 1").collect()
    _held[(os.getpid(), url, threading.get_ident())] = session
    return session


def _apply(session: "SparkSession") -> None:
    """Sets the session's configuration, each time: a server that evicted the session has silently begun a new one."""
    configure(session, session_conf())


def configure(session: "SparkSession", conf: Mapping[str, str]) -> None:
    """Sets all of `conf` on a session, by one question to the server."""
    from pyspark.sql.connect.proto import ConfigRequest, KeyValue

    pairs = [KeyValue(key=key, value=value) for key, value in conf.items()]
    connected: Any = session
    connected.client.config(ConfigRequest.Operation(set=ConfigRequest.Set(pairs=pairs)))


@contextmanager
def configured(session: "SparkSession", conf: Mapping[str, str]) -> Iterator[None]:
    """Inside the block, all of `conf` is set on a session; after it none of it is, whatever was before."""
    from pyspark.sql.connect.proto import ConfigRequest

    try:
        configure(session, conf)
        yield
    finally:
        connected: Any = session
        connected.client.config(ConfigRequest.Operation(unset=ConfigRequest.Unset(keys=list(conf))))


def _forget() -> None:
    """Lets go of every session of this thread, also one that other code has made its own, and of threads that ended."""
    from pyspark.sql.connect.session import SparkSession

    living = {thread.ident for thread in threading.enumerate()} - {threading.get_ident()}
    gone: list[Any] = [_held.pop(key) for key in list(_held) if key[2] not in living]
    gone.append(SparkSession.getActiveSession())
    SparkSession._active_session.session = None
    held: list[Any] = list(_held.values())
    if SparkSession._default_session not in held:
        gone.append(SparkSession._default_session)
        SparkSession._default_session = None
    for session in gone:
        if session is not None and not session.is_stopped:
            _close_alone(session)
            session.client.close()


def _close_alone(session: Any) -> None:
    """Has a session close its channel, and nothing else, when it is closed or collected. Spark's client then also ends the pool
    of threads by which all sessions of the process say farewell to their queries: one of another thread fails of it
    ("Pool not running") in the middle of its work, or waits for farewells that a dead server never answers."""
    client = session.client

    def close() -> None:
        client._channel.close()
        client._closed = True

    client.close = close


def _say_farewell_once() -> None:
    """Has the client let go of an operation's answers together, at its end. It does so after each of them as well: three more
    calls of the server for each operation, which keeps no more than 10 MB of what was read already."""
    from pyspark.sql.connect.client.reattach import ExecutePlanResponseReattachableIterator

    iterator: Any = ExecutePlanResponseReattachableIterator
    iterator._release_until = lambda self, until_response_id: None


def _give_up_for_good(session: Any) -> None:
    """Has a session that tried a call in vain try no other one again: what callers undo on their way out (a setting, a view)
    would wait for the dead server each time. `connect` gives out another session then, for this one may be left with what
    was not undone."""
    from grpc import RpcError, StatusCode  # type: ignore[import-untyped]

    client = session.client
    handle = client._handle_error

    def handle_error(error: Exception) -> None:
        if isinstance(error, RpcError) and error.code() == StatusCode.UNAVAILABLE:
            client._retry_policy["max_retries"] = 0
        handle(error)

    client._handle_error = handle_error


def _has_given_up(session: Any) -> bool:
    return not session.client._retry_policy["max_retries"]


def _check_port(url: str) -> None:
    """Fails at once where nobody listens: Spark's client would try again for minutes."""
    place = urlparse(url.split("/;")[0])
    with socket.create_connection((place.hostname or "localhost", place.port or 15002), timeout=10):
        return


def _unreachable(settings: Settings, problem: Exception | None) -> EngineError:
    if settings.spark_remote is None:
        return EngineError(
            f"The engine runs but does not answer ({_first_line(problem)}).",
            "Run `lakehouse engine stop` and try again; `lakehouse engine logs` shows what it said.",
        )
    place = urlparse(settings.spark_remote.get_secret_value().split("/;")[0])
    return EngineError(
        f"The Spark Connect server {place.hostname}:{place.port or 15002} of LAKEHOUSE_SPARK_REMOTE does not answer "
        f"({_first_line(problem)}).",
        "Check that it runs, that its port is reachable and that the URL carries its token.",
    )


def _first_line(problem: Exception | None) -> str:
    return f"{type(problem).__name__}: {str(problem).splitlines()[0][:200]}" if str(problem) else repr(problem)
