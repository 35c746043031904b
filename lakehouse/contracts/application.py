"""How a contract says that changes are to be applied: what deletes, what truncates, what a null means, what is history."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lakehouse.contracts.document import Document, Where
from lakehouse.contracts.model import Column
from lakehouse.contracts.predicates import predicate_columns
from lakehouse.contracts.problems import choose

OWN_KEYS = ("delete_when", "truncate_when", "tracked_columns", "untracked_columns", "ignore_nulls", "partial_rows")
_BY_DELIVERY = {
    "delete_when": ("versions", "changes"),
    "truncate_when": ("versions", "changes"),
    "ignore_nulls": ("versions", "changes"),
    "partial_rows": ("changes",),
}


@dataclass(frozen=True, slots=True)
class Application:
    """The options as written; see the fields of `Contract` that bear their names."""

    delete_when: str | None = None
    truncate_when: str | None = None
    tracked_columns: tuple[str, ...] = ()
    untracked_columns: tuple[str, ...] = ()
    ignore_nulls: tuple[str, ...] | Literal["all"] = ()
    partial_rows: bool = False


def read_application(
    document: Document,
    place: Where,
    settings: dict[str, Any],
    columns: tuple[Column, ...],
    delivery: str | None,
    history: str | None,
) -> Application:
    """The options at that place; problems are recorded in the document."""
    for key, deliveries in _BY_DELIVERY.items():
        if key in settings and delivery is not None and delivery not in deliveries:
            message = f"`{key}` has no meaning for delivery {delivery}"
            document.add((*place, key), message, f"Remove it; it is for {' and '.join(deliveries)}")
    tracked = _columns(document, (*place, "tracked_columns"), settings.get("tracked_columns"), columns)
    untracked = _columns(document, (*place, "untracked_columns"), settings.get("untracked_columns"), columns)
    for key in ("tracked_columns", "untracked_columns"):
        if key in settings and history != "full":
            message = f"`{key}` says which changes make a version, and there are none"
            document.add((*place, key), message, "Write `history: full`, or remove it")
    if tracked and untracked:
        document.add((*place, "untracked_columns"), "tracked and untracked columns are both listed", "Keep one list")
    keys = {column.name for column in columns if column.key_position is not None}
    if untracked and {column.name for column in columns} <= {*untracked, *keys}:
        document.add(
            (*place, "untracked_columns"), "no column is left to be tracked", "Leave one out, or the key alone"
        )
    return Application(
        delete_when=_condition(document, (*place, "delete_when"), settings.get("delete_when"), columns),
        truncate_when=_condition(document, (*place, "truncate_when"), settings.get("truncate_when"), columns),
        tracked_columns=tracked,
        untracked_columns=untracked,
        ignore_nulls=_ignore_nulls(document, (*place, "ignore_nulls"), settings.get("ignore_nulls", False), columns),
        partial_rows=_flag(document, (*place, "partial_rows"), settings.get("partial_rows", False)),
    )


def _condition(document: Document, where: Where, written: Any, columns: tuple[Column, ...]) -> str | None:
    if written is None:
        return None
    if not isinstance(written, str) or not written.strip():
        document.add(where, f"`{where[-1]}` cannot be `{written}`", "Write a condition over the columns, as SQL")
        return None
    predicate_columns(document, where, written.strip(), columns, f"`{where[-1]}`")
    return written.strip()


def _ignore_nulls(
    document: Document, where: Where, written: Any, columns: tuple[Column, ...]
) -> tuple[str, ...] | Literal["all"]:
    if isinstance(written, bool):
        return "all" if written else ()
    return _columns(document, where, written, columns)


def _columns(document: Document, where: Where, written: Any, columns: Sequence[Column]) -> tuple[str, ...]:
    """The columns listed, none of which may be of the key: a key's value is the same in all of its row's versions."""
    if written is None:
        return ()
    if not isinstance(written, list) or not written or not all(isinstance(name, str) for name in written):
        document.add(where, f"`{where[-1]}` cannot be `{written}`", "Write a list of columns, as `[name, size]`")
        return ()
    known = {column.name: column for column in columns}
    for index, name in enumerate(written):
        if name not in known:
            document.add((*where, index), f"`{name}` is no column of this table", choose(name, known))
        elif known[name].key_position is not None:
            document.add((*where, index), f"`{name}` is of the key, which never changes within a row", "Remove it")
        elif name in written[:index]:
            document.add((*where, index), f"`{name}` is listed twice", "Remove one")
    return tuple(written)


def _flag(document: Document, where: Where, written: Any) -> bool:
    if not isinstance(written, bool):
        document.add(where, f"`{where[-1]}` cannot be `{written}`", "Write true or false, without quotes")
    return written is True
