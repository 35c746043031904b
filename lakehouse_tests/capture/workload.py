"""Random transactions against two tables, and what the tables held at moments in between."""

import random
import string
import time
from typing import Any

from lakehouse_tests.capture.database import Database

Row = tuple[Any, ...]

TABLES = {
    "accounts": "id bigint primary key, name text, amount numeric(12,2), born date, seen timestamp, at timestamptz, note text",
    "entries": "account int, number int, label text, weight double precision, is_open boolean, note text, "
    "primary key (account, number)",
}
KEYS = {"accounts": 1, "entries": 2}
"""How many of the first columns are the key."""
COLUMNS = {
    "accounts": ("id", "name", "amount", "born", "seen", "at", "note", "added"),
    "entries": ("account", "number", "label", "weight", "is_open", "note", "added"),
}


WHOLE_ROWS = ("entries",)
"""Tables that identify their rows by whole rows rather than by the key: large values that did not change arrive as
themselves from the one, and as a placeholder from the other."""


def create(connection: Any) -> None:
    """Makes the tables, without rows."""
    for name, columns in TABLES.items():
        connection.run(f"create table {name} ({columns})")
        # Kept out of the row, and not compressed, however small: each one is a large value.
        connection.run(f"alter table {name} alter column note set storage external")
        connection.run(f"alter table {name} set (toast_tuple_target = 128)")
    for name in WHOLE_ROWS:
        connection.run(f"alter table {name} replica identity full")


class Workload:
    """Transactions from a seed. Two connections overlap, each on keys of its own parity, so that none waits for the other."""

    def __init__(self, database: Database, seed: int, keys: int, truncate_every: int = 100) -> None:
        self.random = random.Random(seed)
        self.truncate_every = truncate_every
        self.keys = keys
        self.connections = [database.connect(), database.connect()]
        self.rows: dict[str, set[tuple[int, ...]]] = {name: set() for name in TABLES}
        self.columns = {name: columns[:-1] for name, columns in COLUMNS.items()}
        self.committed = self.rolled_back = 0
        self.moments: list[tuple[int, dict[str, set[Row]]]] = []

    def __enter__(self) -> "Workload":
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self.connections:
            connection.close()

    def mark(self) -> int:
        """A position behind everything that was committed, which a capture comes to know."""
        query = "select pg_logical_emit_message(true, 'test', '') - '0/0'::pg_lsn"
        return int(self.connections[0].run(query)[0][0])

    def run(self, transactions: int, moments: int, pause: float = 0) -> None:
        """Commits so many transactions, with a pause after each, and remembers so many moments among them."""
        first = self.committed
        every = max(1, transactions // moments)
        while self.committed - first < transactions:
            before = self.committed // every
            if self.committed % self.truncate_every == self.truncate_every - 1:
                self._alone(f"truncate {self.random.choice(['accounts', 'entries', 'accounts, entries'])}")
            elif self.random.random() < 0.5:
                self._together()
            else:
                self._one(self.random.randrange(2))
            if self.committed // every > before:
                self.remember()
            time.sleep(pause)

    def add_column(self) -> None:
        """From now on rows have one column more; those that are there have no value in it."""
        for name in TABLES:
            self.connections[0].run(f"alter table {name} add column added text")
            self.columns[name] = COLUMNS[name]

    def remember(self) -> None:
        """What the database holds now, when no transaction is open, and the position of its log."""
        lsn = int(self.connections[0].run("select pg_current_wal_lsn() - '0/0'::pg_lsn")[0][0])
        self.moments.append((lsn, {name: self.content(name) for name in TABLES}))

    def content(self, table: str) -> set[Row]:
        columns = self.columns[table]
        lacking = (None,) * (len(COLUMNS[table]) - len(columns))
        rows = self.connections[0].run(f"select {', '.join(columns)} from {table}")
        return {(*row, *lacking) for row in rows}

    def _alone(self, statement: str) -> None:
        self.connections[0].run(statement)
        self.committed += 1
        for name in TABLES:
            if name in statement:
                self.rows[name].clear()

    def _one(self, parity: int) -> None:
        connection = self.connections[parity]
        connection.run("begin")
        undo = self._changes(parity, self.random.choice([1, 1, 1, 2, 3, 6]))
        self._end(parity, undo)

    def _together(self) -> None:
        """Two transactions that overlap and end in either order."""
        for connection in self.connections:
            connection.run("begin")
        undo: list[list[tuple[str, tuple[int, ...], bool]]] = [[], []]
        for _ in range(self.random.randrange(2, 6)):
            parity = self.random.randrange(2)
            undo[parity] += self._changes(parity, 1)
        for parity in self.random.sample([0, 1], 2):
            self._end(parity, undo[parity])

    def _end(self, parity: int, undo: list[tuple[str, tuple[int, ...], bool]]) -> None:
        if self.random.random() < 0.1:
            self.connections[parity].run("rollback")
            self.rolled_back += 1
            for table, key, was_there in reversed(undo):
                (self.rows[table].add if was_there else self.rows[table].discard)(key)
            return
        self.connections[parity].run("commit")
        self.committed += 1

    def _changes(self, parity: int, count: int) -> list[tuple[str, tuple[int, ...], bool]]:
        """Makes changes; returns what undoes them in `rows`: (table, key, whether it was there)."""
        undo: list[tuple[str, tuple[int, ...], bool]] = []
        for _ in range(count):
            table = self.random.choice(list(TABLES))
            key = self._key(table, parity)
            if key not in self.rows[table]:
                undo += self._insert(parity, table, key)
                continue
            kind = self.random.choices(["update", "note", "key", "delete", "reinsert"], [50, 15, 10, 20, 5])[0]
            if kind in ("update", "note"):
                self._update(parity, table, key, {"note"} if kind == "note" else set(self._some_columns(table)))
            elif kind == "key":
                undo += self._change_key(parity, table, key)
            else:
                self.connections[parity].run(f"delete from {table} where {self._where(table, key)}")
                self.rows[table].discard(key)
                undo.append((table, key, True))
                if kind == "reinsert":
                    undo += self._insert(parity, table, key)
        return undo

    def _insert(self, parity: int, table: str, key: tuple[int, ...]) -> list[tuple[str, tuple[int, ...], bool]]:
        width, columns = KEYS[table], self.columns[table]
        values = dict(zip(columns[:width], key, strict=True)) | {name: self._value(name) for name in columns[width:]}
        names = ", ".join(values)
        given = ", ".join(f":{name}" for name in values)
        self.connections[parity].run(f"insert into {table} ({names}) values ({given})", **values)
        self.rows[table].add(key)
        return [(table, key, False)]

    def _update(self, parity: int, table: str, key: tuple[int, ...], names: set[str]) -> None:
        values = {name: self._value(name) for name in sorted(names)}
        given = ", ".join(f"{name} = :{name}" for name in values)
        self.connections[parity].run(f"update {table} set {given} where {self._where(table, key)}", **values)

    def _change_key(self, parity: int, table: str, key: tuple[int, ...]) -> list[tuple[str, tuple[int, ...], bool]]:
        other = self._key(table, parity)
        if other in self.rows[table]:
            return []
        keyed = self.columns[table][: KEYS[table]]
        given = ", ".join(f"{name} = {value}" for name, value in zip(keyed, other, strict=True))
        # Where rows are identified by their key, the log has no large value that did not change; a new key needs it.
        values = {"note": self._value("note")} if table == "accounts" else {}
        more = "".join(f", {name} = :{name}" for name in values)
        self.connections[parity].run(f"update {table} set {given}{more} where {self._where(table, key)}", **values)
        self.rows[table].discard(key)
        self.rows[table].add(other)
        return [(table, key, True), (table, other, False)]

    def _key(self, table: str, parity: int) -> tuple[int, ...]:
        number = self.random.randrange(self.keys // 2) * 2 + parity
        return (number,) if table == "accounts" else (number, self.random.randrange(2))

    def _where(self, table: str, key: tuple[int, ...]) -> str:
        return " and ".join(f"{name} = {value}" for name, value in zip(self.columns[table], key, strict=False))

    def _some_columns(self, table: str) -> list[str]:
        others = [name for name in self.columns[table][KEYS[table] :] if name != "note"]
        return self.random.sample(others, self.random.randrange(1, len(others)))

    def _value(self, name: str) -> Any:
        if self.random.random() < 0.1:
            return None
        if name == "amount":
            return f"{self.random.randrange(-10_000_000, 10_000_000) / 100:.2f}"
        if name == "born":
            return f"{self.random.randrange(1900, 2030)}-{self.random.randrange(1, 13):02}-{self.random.randrange(1, 29):02}"
        if name in ("seen", "at"):
            instant = f"2026-{self.random.randrange(1, 13):02}-01 10:20:{self.random.randrange(60):02}"
            return f"{instant}.{self.random.randrange(1_000_000):06}" + ("+02" if name == "at" else "")
        if name == "weight":
            return self.random.choice([0.1, 1e10, -2.5e-7, self.random.random()])
        if name == "is_open":
            return self.random.random() < 0.5
        if name == "note":  # large, and nothing that compresses
            return "".join(self.random.choices(string.ascii_letters + '\n"\\é😀', k=self.random.choice([300, 3000])))
        return "".join(self.random.choices('abc \n"\\é😀{}', k=self.random.randrange(12)))
