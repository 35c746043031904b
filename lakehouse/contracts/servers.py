"""Where a table comes from: the Postgres entry of ODCS `servers`, for tables that are captured."""

import re
from typing import Any

from lakehouse.contracts.document import Document, Where
from lakehouse.contracts.model import Contract, Origin
from lakehouse.contracts.odcs import check_server
from lakehouse.contracts.problems import Problem
from lakehouse.contracts.values import check_name, entries, own, text

TYPES = ("postgres", "postgresql")
_LONGEST_NAME = 40
"""The replication slot is named after the server; Postgres allows it 63 characters."""
_SECRET = re.compile(r"pass(word|wd)?|secret|token", re.IGNORECASE)


def is_captured(document: Document) -> bool:
    """Whether the contract names a Postgres server."""
    return any(data.get("type") in TYPES for _, data in entries(document.data, "servers"))


def read_origin(document: Document, table: str) -> Origin | None:
    """The table's place in a Postgres server; None where the contract names none. Records every problem."""
    found = [(index, data) for index, data in entries(document.data, "servers") if data.get("type") in TYPES]
    for index, _ in found[1:]:
        where: Where = ("servers", index)
        document.add(where, "a table is captured from one server, and two of Postgres are named", "Keep one")
    return _origin(document, ("servers", found[0][0]), found[0][1], table) if found else None


def _origin(document: Document, where: Where, data: dict[str, Any], table: str) -> Origin | None:
    check_server(document, where, data)
    place, settings = own(document, where, data, ("table",))
    for index, entry in entries(data, "customProperties"):
        if isinstance(entry.get("property"), str) and _SECRET.search(entry["property"]):
            remedy = "Remove it, and set LAKEHOUSE_CDC_<SERVER>_PASSWORD in the environment of whoever captures"
            document.add((*where, "customProperties", index), "a contract holds no credentials", remedy)
    name, host, database, schema = (text(data, key) for key in ("server", "host", "database", "schema"))
    port = data.get("port")
    if name and len(name) > _LONGEST_NAME:
        document.add((*where, "server"), f"`{name}` has more than {_LONGEST_NAME} characters", "Shorten it")
    if name and not check_name(document, (*where, "server"), name, "server"):
        return None
    if port is not None and not (isinstance(port, int) and 0 < port < 65536):
        document.add((*where, "port"), f"the port cannot be `{port}`", "Write a number such as 5432")
        return None
    if not isinstance(settings.get("table", table), str):
        document.add((*place, "table"), "`table` is the table's name in the database", "Write it in quotes")
        return None
    if not (name and host and database and schema and port):
        return None
    return Origin(
        server=name,
        host=host,
        port=port,
        database=database,
        schema=schema,
        table=settings.get("table", table),
        line=document.line(where),
    )


def across(contracts: list[Contract]) -> list[Problem]:
    """Servers that two contracts describe differently, and tables that two contracts capture."""
    problems: list[Problem] = []
    servers: dict[str, tuple[Contract, Origin]] = {}
    tables: dict[tuple[str, str, str], Contract] = {}
    for contract in contracts:
        origin = contract.origin
        if origin is None:
            continue
        other, first = servers.setdefault(origin.server, (contract, origin))
        if first.address != origin.address:
            message = f"the server `{origin.server}` is {origin.address} here and {first.address} in {other.file}"
            problems.append(Problem(contract.file, origin.line, "", message, "Write the same, or name it otherwise"))
        same = tables.setdefault((origin.server, origin.schema, origin.table), contract)
        if same is not contract:
            message = f"{origin.schema}.{origin.table} of `{origin.server}` is captured by {same.file} too"
            problems.append(Problem(contract.file, origin.line, "", message, "Keep one"))
    return problems
