"""Which tables of which databases the contracts ask to capture."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lakehouse.capture.errors import CaptureError
from lakehouse.contracts.model import Contract, Origin
from lakehouse.settings import Settings


@dataclass(frozen=True)
class Table:
    """A table to capture: its place in the database, the columns that tell its rows apart, its folder in landing."""

    schema: str
    name: str
    keys: tuple[str, ...]
    folder: str
    columns: tuple[str, ...] | None = None
    """Those that silver keeps, by their names in the database; None: whichever there are."""

    @property
    def full_name(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class Source:
    """A Postgres database and the tables that are captured from it."""

    name: str
    host: str
    port: int
    database: str
    tables: tuple[Table, ...]

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}/{self.database}"


def sources(contracts: Iterable[Contract]) -> dict[str, Source]:
    """Server → what is captured from it, in order of name; retired contracts are left out."""
    origins: dict[str, list[tuple[Contract, Origin]]] = {}
    for contract in contracts:
        if contract.origin and contract.status != "retired":
            origins.setdefault(contract.origin.server, []).append((contract, contract.origin))
    found = {}
    for name, tables in sorted(origins.items()):
        first = tables[0][1]
        found[name] = Source(name, first.host, first.port, first.database, tuple(sorted(map(_table, tables), key=str)))
    return found


def _table(pair: tuple[Contract, Origin]) -> Table:
    contract, origin = pair
    keys = tuple(contract.column(key).source_name for key in contract.keys)
    columns = None if contract.unknown_fields == "add" else tuple(column.source_name for column in contract.columns)
    return Table(origin.schema, origin.table, keys, f"{contract.source}/{contract.name}", columns)


def chosen(known: dict[str, Source], names: Iterable[str]) -> list[Source]:
    """The sources of these names, all where none is named. Raises CaptureError for one that no contract declares."""
    wanted = tuple(names) or tuple(known)
    if not wanted:
        raise CaptureError(
            "No contract names a Postgres server to capture from.",
            "Add `servers:` with an entry of type postgresql to a contract of delivery `changes` (docs/cdc.md).",
        )
    for name in wanted:
        if name not in known:
            raise CaptureError(
                f"No contract names the server `{name}`.", f"Name one of: {', '.join(known) or 'none is declared'}."
            )
    return [known[name] for name in wanted]


def landing(settings: Settings) -> Path:
    """The landing folder to write into. Raises CaptureError where it is a URL: files are renamed, which objects are not."""
    if "://" in settings.landing_dir:
        raise CaptureError(
            f"Landing is {settings.landing_dir}, and a capture writes into a local folder.",
            "Set LAKEHOUSE_LANDING to a folder, mounted or synchronised, where you capture.",
        )
    return Path(settings.landing_dir)
