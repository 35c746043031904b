"""What is asked of the database itself: whether it can be captured, and how its replication slot stands."""

import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lakehouse.capture.errors import CaptureError
from lakehouse.capture.sources import Source, Table
from lakehouse.capture.state import State
from lakehouse.settings import Login

SSLMODES = ("disable", "prefer", "require", "verify-full")
OLDEST_VERSION = 14
"""The first whose pgoutput carries messages, by which an idle database's slot moves on."""


class UnreachableError(CaptureError):
    """The database does not answer now; it may later."""


_LATER = ("57P01", "57P02", "57P03", "53300")
"""What a database says that is being stopped or started, or that has too many connections."""
NAMED_AT_MOST = 5
"""Columns that one sentence names."""
FREE_SECONDS = 45
"""How long a slot may be in use by a capture that was killed: until the database has noticed."""


@dataclass(frozen=True)
class Slot:
    """A replication slot: what it keeps of the log, and how far its consumer is behind, in bytes."""

    confirmed: int
    retained: int
    behind: int
    is_active: bool
    is_lost: bool


@contextmanager
def connected(source: Source, login: Login) -> Iterator[Any]:
    """A connection. Raises CaptureError where there is none to be had."""
    from pg8000.exceptions import DatabaseError, InterfaceError
    from pg8000.native import Connection

    variables = f"LAKEHOUSE_CDC_{source.name.upper()}_USER and _PASSWORD"
    if not login.user:
        raise CaptureError(f"There is no login for {source.name} at {source.address}.", f"Set {variables}.")
    try:
        connection = Connection(
            login.user,
            host=source.host,
            port=source.port,
            database=source.database,
            password=login.password,
            timeout=30,
            ssl_context=_ssl(source, login),
            application_name="lakehouse",
        )
    except DatabaseError as problem:
        found = _message(problem)
        if _code(problem) in _LATER:
            remedy = "Wait until it has started."
            raise UnreachableError(f"{source.name} at {source.address} says: {found}.", remedy) from problem
        raise CaptureError(
            f"{source.name} at {source.address} refuses the user `{login.user}`: {found}.",
            f"Set {variables}, and let pg_hba.conf and pg_database admit it.",
        ) from problem
    except (InterfaceError, OSError) as problem:
        raise UnreachableError(
            f"{source.name} at {source.address} cannot be reached: {str(problem).rstrip('.')}.",
            "Start the database, or correct host and port in the contracts' `servers:`.",
        ) from problem
    try:
        yield connection
    except DatabaseError as problem:
        raise CaptureError(
            f"{source.name} at {source.address}: {_message(problem)}.", f"Check the rights of the user `{login.user}`."
        ) from problem
    finally:
        connection.close()


def check(connection: Any, source: Source, login: Login, state: State | None) -> None:
    """Raises CaptureError for the first thing that keeps the source's tables from being captured."""
    version = int(_one(connection, "select current_setting('server_version_num')::int / 10000"))
    if version < OLDEST_VERSION:
        raise CaptureError(f"{source.name} is Postgres {version}.", f"Postgres {OLDEST_VERSION} or newer is needed.")
    level = _one(connection, "show wal_level")
    if level != "logical":
        raise CaptureError(
            f"wal_level of {source.name} is {level}.",
            "Run `alter system set wal_level = logical` and restart the database.",
        )
    if not _one(
        connection,
        """select rolreplication or rolsuper or exists (
            select from pg_roles as r where r.rolname = 'rds_replication' and pg_has_role(current_user, r.oid, 'member')
        ) from pg_roles where rolname = current_user""",
    ):
        user = _one(connection, "select current_user")
        raise CaptureError(
            f"The user `{user}` of {source.name} may not replicate.", f"Run `alter role {user} replication`."
        )
    for table in source.tables:
        _check_table(connection, source, table)
    if login.publication:
        _check_publication(connection, source, login.publication)
    else:
        _check_may_publish(connection, source, login)
    if state is None or slot(connection, state.slot) is None:
        used, most = connection.run(
            "select count(*), current_setting('max_replication_slots') from pg_replication_slots"
        )[0]
        if used >= int(most):
            raise CaptureError(
                f"All {most} replication slots of {source.name} are taken.",
                "Drop one that nobody uses (pg_replication_slots), or raise max_replication_slots.",
            )


def _check_table(connection: Any, source: Source, table: Table) -> None:
    rows = connection.run(
        """select c.relkind::text, c.relpersistence::text, c.relreplident::text,
            has_table_privilege(c.oid, 'select'),
            array(
                select a.attname::text from pg_index as i
                join pg_attribute as a on a.attrelid = c.oid and a.attnum = any(i.indkey)
                where i.indrelid = c.oid and case c.relreplident
                    when 'd' then i.indisprimary when 'i' then i.indisreplident else false end
            )
        from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
        where n.nspname = :schema and c.relname = :name""",
        schema=table.schema,
        name=table.name,
    )
    where = f"{table.full_name} of {source.name}"
    if not rows or rows[0][0] not in ("r", "p"):
        found = "is no table" if rows else "does not exist"
        raise CaptureError(
            f"{where} {found}.", "Correct `schema` of `servers:`, or name it there: `lakehouse: {table: …}`."
        )
    _, persistence, identity, is_readable, identified = rows[0]
    if not is_readable:
        raise CaptureError(f"{where} may not be read.", f"Run `grant select on {table.full_name}`.")
    if persistence != "p":
        raise CaptureError(
            f"{where} is unlogged or temporary: its changes are in no log.", "Run `alter table … set logged`."
        )
    if identity == "f":
        return
    if not identified:
        raise CaptureError(
            f"{where} has no primary key and no replica identity: once published, the database would refuse its updates.",
            f"Add a primary key, or run `alter table {table.full_name} replica identity full`.",
        )
    lacking = [key for key in table.keys if key not in identified]
    if lacking:
        raise CaptureError(
            f"The key of the contract, {', '.join(table.keys)}, is not in the replica identity of {where}, "
            f"{', '.join(identified)}: deletes would not tell which row.",
            f"Correct the contract's key, or run `alter table {table.full_name} replica identity full`.",
        )


def _check_publication(connection: Any, source: Source, name: str) -> None:
    published = connection.run(
        "select schemaname || '.' || tablename from pg_publication_tables where pubname = :name", name=name
    )
    lacking = [table.full_name for table in source.tables if [table.full_name] not in published]
    if lacking:
        raise CaptureError(
            f"The publication `{name}` of {source.name} does not hold {', '.join(lacking)}.",
            f'Let its owner run `alter publication "{name}" add table {", ".join(lacking)}`.',
        )
    whole = connection.run(
        "select pubinsert and pubupdate and pubdelete and pubtruncate from pg_publication where pubname = :name",
        name=name,
    )
    if not whole[0][0]:
        raise CaptureError(
            f"The publication `{name}` of {source.name} leaves changes out.",
            f"Let its owner run `alter publication \"{name}\" set (publish = 'insert, update, delete, truncate')`.",
        )


def _check_may_publish(connection: Any, source: Source, login: Login) -> None:
    for table in source.tables:
        owner, is_owner, may_create = connection.run(
            """select pg_get_userbyid(c.relowner)::text, pg_has_role(c.relowner, 'usage'),
                has_database_privilege(current_database(), 'create')
            from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
            where n.nspname = :schema and c.relname = :name""",
            schema=table.schema,
            name=table.name,
        )[0]
        if not (is_owner and may_create):
            raise CaptureError(
                f"The user `{login.user}` of {source.name} may not publish {table.full_name}, which `{owner}` owns.",
                f"Let a superuser run `create publication lakehouse for table …` and set "
                f"LAKEHOUSE_CDC_{source.name.upper()}_PUBLICATION=lakehouse; or `grant {owner} to {login.user}` and "
                f"`grant create on database {source.database} to {login.user}`.",
            )


def losses(connection: Any, source: Source) -> list[str]:
    """What a capture may lose though it goes well: a sentence with a remedy for each table of which that is so.

    A large value (TOAST) that a change leaves as it was is in the log only with the whole row. Silver has it from before,
    but not under a key that is new.
    """
    return [_loss(source, table, *found) for table in source.tables if (found := _large(connection, table))]


def _large(connection: Any, table: Table) -> tuple[list[str], bool] | None:
    """The columns of a table that silver keeps and that may be missing from its log, and whether its partitions, which
    hold its rows, are why; None where there are no such columns."""
    rows = connection.run(
        """select distinct a.attname::text, c.relkind = 'p'
        from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
        cross join lateral (select c.oid union select relid from pg_partition_tree(c.oid)) as part (oid)
        join pg_class as p on p.oid = part.oid and p.relreplident <> 'f' and p.reltoastrelid <> 0
        join pg_attribute as a on a.attrelid = p.oid and a.attnum > 0 and not a.attisdropped and a.attstorage in ('x', 'e')
        where n.nspname = :schema and c.relname = :name order by 1""",
        schema=table.schema,
        name=table.name,
    )
    kept = [name for name, _ in rows if name not in table.keys and (table.columns is None or name in table.columns)]
    return (kept, rows[0][1]) if kept else None


def _loss(source: Source, table: Table, columns: Sequence[str], is_partitioned: bool) -> str:
    more = f" and {len(columns) - NAMED_AT_MOST} more" if len(columns) > NAMED_AT_MOST else ""
    partitions = ", and the same for its partitions" if is_partitioned else ""
    return (
        f"Where a row of {table.full_name} of {source.name} gets another key, its large values that stay as they were "
        f"({', '.join(columns[:NAMED_AT_MOST])}{more}) are lost, for the log has them only with replica identity full: unless "
        f"keys never change, run `alter table {table.full_name} replica identity full`{partitions}."
    )


def slot(connection: Any, name: str) -> Slot | None:
    """How a replication slot stands; None where there is none of this name."""
    rows = connection.run(
        """select coalesce(confirmed_flush_lsn, restart_lsn) - '0/0'::pg_lsn,
            pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn),
            pg_wal_lsn_diff(pg_current_wal_lsn(), coalesce(confirmed_flush_lsn, restart_lsn)),
            active, coalesce(wal_status = 'lost', false)
        from pg_replication_slots where slot_name = :name""",
        name=name,
    )
    if not rows:
        return None
    confirmed, retained, behind, is_active, is_lost = rows[0]
    return Slot(int(confirmed or 0), int(retained or 0), max(0, int(behind or 0)), is_active, is_lost)


def free(connection: Any, name: str) -> Slot | None:
    """The slot as `slot` has it, when nobody uses it any more. Raises CaptureError where somebody goes on to."""
    deadline = time.monotonic() + FREE_SECONDS
    while (found := slot(connection, name)) and found.is_active:
        if time.monotonic() > deadline:
            raise CaptureError(f"The replication slot {name} is in use.", "End what uses it (pg_stat_replication).")
        time.sleep(0.2)
    return found


def end_of_log(connection: Any) -> int:
    """The position that the database's log has reached."""
    return int(_one(connection, "select pg_current_wal_lsn() - '0/0'::pg_lsn"))


def drop(connection: Any, name: str) -> tuple[str, ...]:
    """Removes a slot and the publication of its name, where there are any; returns what there was, as words for it.

    Raises CaptureError where the slot is in use.
    """
    removed = []
    if free(connection, name):
        connection.run("select pg_drop_replication_slot(:name)", name=name)
        removed.append(f"the slot {name}")
    if has_publication(connection, name):
        connection.run(f'drop publication if exists "{name}"')
        removed.append(f"the publication {name}")
    return tuple(removed)


def has_publication(connection: Any, name: str) -> bool:
    """Whether the database has a publication of this name, whoever made it."""
    return bool(_one(connection, "select exists (select from pg_publication where pubname = :name)", name=name))


def _one(connection: Any, query: str, **values: Any) -> Any:
    return connection.run(query, **values)[0][0]


def _message(problem: Exception) -> str:
    told = problem.args[0] if problem.args else problem
    return str(told.get("M", told) if isinstance(told, dict) else told)


def _code(problem: Exception) -> str | None:
    told = problem.args[0] if problem.args else None
    return told.get("C") if isinstance(told, dict) else None


def _ssl(source: Source, login: Login) -> ssl.SSLContext | bool | None:
    """As libpq has it: `prefer` encrypts where the server does, `require` insists, `verify-full` knows the server too."""
    if login.sslmode not in SSLMODES:
        raise CaptureError(
            f"LAKEHOUSE_CDC_{source.name.upper()}_SSLMODE is `{login.sslmode}`.", f"Set one of {', '.join(SSLMODES)}."
        )
    if login.sslmode == "verify-full":
        return ssl.create_default_context(cafile=login.sslrootcert)
    return {"disable": False, "prefer": None, "require": True}[login.sslmode]
