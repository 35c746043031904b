"""A first contract for a table that is declared elsewhere: in DDL, or in the manifest of a dbt project.

What the declaration says is taken over; what it does not say is guessed by names and marked `# review:`, as in proposals
from data (`profile`), which know values besides.
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from lakehouse.contracts.inference import Guess, snake
from lakehouse.contracts.known_types import declared, of_type
from lakehouse.contracts.personal import Personal, personal
from lakehouse.contracts.problems import choose
from lakehouse.contracts.profile import key_rank, render
from lakehouse.contracts.samples import ProfileError, Sample

_DIALECTS = {"databricks": "databricks", "sqlserver": "tsql", "synapse": "tsql", "fabric": "tsql", "athena": "trino"}
"""Adapters of dbt whose SQL bears another name."""
_NO_SOURCE = ("public", "dbo", "main", "default")
"""Schemas that say nothing of the system that a table belongs to."""


@dataclass(slots=True)
class Declared:
    """A table as it is declared: columns by the name in their source, and the key in its order."""

    origin: str
    name: str
    source: str = "files"
    """The system that it belongs to, as far as that is told."""
    columns: dict[str, Guess] = field(default_factory=dict)
    description: str = ""
    keys: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def propose_ddl(file: Path, table: str | None, source: str | None, dialect: str | None = "spark") -> str:
    """The YAML text of a contract for the table that a file of SQL creates; it passes `lakehouse contract check`.

    `table` chooses one where there are several. Raises ProfileError where the file cannot be read, or creates no such
    table.
    """
    found = {declared.name.lower(): declared for declared in _tables(file, dialect)}
    if not found:
        raise ProfileError(f"{file} creates no table with columns. Give a file with a `create table` statement.")
    if table is None and len(found) > 1:
        raise ProfileError(f"{file} creates {len(found)} tables. Name one with --table: {', '.join(found)}.")
    chosen = found.get((table or next(iter(found))).lower())
    if chosen is None:
        raise ProfileError(f"{file} creates no table {table}. {choose(table, found)}.")
    return propose_declared(chosen, source, table)


def propose_dbt(manifest: Path, model: str, source: str | None, table: str | None) -> str:
    """As `propose_ddl`, for a model, seed, snapshot or source of a dbt project, by its manifest. Types that it lacks are
    taken from the `catalog.json` beside it, where there is one."""
    return propose_declared(_node(manifest, model), source, table)


def propose_declared(of: Declared, source: str | None, table: str | None) -> str:
    """The YAML text of a contract for a declared table. Raises ProfileError where it has no column to be known by."""
    source_name = snake(source or of.source, fallback="files")
    table_name = snake(table or of.name, fallback="records")
    names: dict[str, str] = {}
    for original in of.columns:
        if original.lower() in (known.lower() for known in names):
            of.notes.append(f"{original!r} differs from another column only in capitals and is not declared")
            continue
        names[original] = snake(original, list(names.values()), fallback="column")
    guesses = {original: of.columns[original] for original in names}
    for original, found in guesses.items():
        found.personal = _personal(names[original], found, table_name)
        if found.declared_required is None:
            found.declared_required = False
    keys, key_notes = _keys(of, names, guesses, table_name)
    sample = Sample(
        file=Path(of.name),
        kind="declared",
        columns={original: [] for original in names},
        rows=0,
        notes=of.notes,
        description=of.description,
        origin=of.origin,
    )
    return render(sample, source_name, table_name, names, guesses, keys, key_notes)


def _personal(name: str, found: Guess, table: str) -> Personal | None:
    held = personal(name, [], table) if found.logical not in ("array", "object") else None
    return replace(held, mask="redact") if held and held.mask == "partial" and found.physical != "string" else held


def _keys(of: Declared, names: dict[str, str], guesses: dict[str, Guess], table: str) -> tuple[list[str], list[str]]:
    usable = [
        original
        for original, found in guesses.items()
        if found.logical not in ("array", "object", "boolean") and found.physical not in ("float", "double")
    ]
    if of.keys and all(key in usable for key in of.keys):
        return of.keys, []
    if not usable:
        raise ProfileError(f"{of.origin} has no column that could identify a row. Add one.")
    unique = [original for original in usable if guesses[original].unique]
    ranked = sorted(usable, key=lambda name: key_rank(names[name], guesses[name], table, usable.index(name)))
    chosen = (unique or ranked)[0]
    why = "the only column that is unique" if unique else "no key is declared, so this is a guess by name"
    return [chosen], [why]


# --- DDL -----------------------------------------------------------------------------------------------------------


def _tables(file: Path, dialect: str | None) -> list[Declared]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ProfileError(f"{file} cannot be read: {reason}. Check the path, and save it as UTF-8.") from error
    logger = logging.getLogger("sqlglot")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it warns of statements that it does not know, which are passed over here
    try:
        statements = [cast(exp.Expression, tree) for tree in sqlglot.parse(text, dialect=dialect) if tree is not None]
    except SqlglotError as error:
        faults = getattr(error, "errors", None) or [{}]
        where = f", line {faults[0]['line']}" if faults[0].get("line") else ""
        reason = faults[0].get("description") or str(error).splitlines()[0]
        remedy = "Name the dialect that it is written in with --dialect, such as postgres, or mend it"
        raise ProfileError(
            f"{file}{where}: this is not SQL of {dialect or 'any dialect'}: {reason}. {remedy}."
        ) from error
    finally:
        logger.setLevel(level)
    tables = {
        declared.name.lower(): declared
        for statement in statements
        if isinstance(statement, exp.Create) and statement.kind == "TABLE" and isinstance(statement.this, exp.Schema)
        for declared in [_created(file, statement)]
        if declared.columns
    }
    for statement in statements:
        _more(statement, tables)
    return list(tables.values())


def _created(file: Path, statement: exp.Create) -> Declared:
    schema = statement.this
    inside = schema.this.db if schema.this.db.lower() not in _NO_SOURCE else ""
    of = Declared(f"{file.name}, table {schema.this.name}", schema.this.name, inside or "files")
    for comment in statement.find_all(exp.SchemaCommentProperty):
        of.description = comment.this.name
    for part in schema.expressions:
        if isinstance(part, exp.ColumnDef):
            of.columns[part.name] = _defined(of, part)
        else:
            _constrain(of, part)
    return of


def _defined(of: Declared, column: exp.ColumnDef) -> Guess:
    kind = column.args.get("kind")
    found = of_type(kind) if isinstance(kind, exp.DataType) else declared("")
    found = replace(found, notes=list(found.notes), declared_required=False)
    for constraint in column.args.get("constraints") or ():
        told = constraint.kind
        if isinstance(told, exp.NotNullColumnConstraint):
            found.declared_required = not told.args.get("allow_null")
        elif isinstance(told, exp.PrimaryKeyColumnConstraint):
            found.declared_required = True
            of.keys.append(column.name)
        elif isinstance(told, exp.UniqueColumnConstraint):
            found.unique = True
        elif isinstance(told, exp.CommentColumnConstraint):
            found.description = told.this.name
        elif isinstance(told, exp.Reference):
            found.notes.append(_refers(told))
        elif isinstance(told, exp.CheckColumnConstraint):
            _checked({column.name: found}, told.this, of)
    return found


def _refers(reference: exp.Expression) -> str:
    target = reference.this
    table = target.this.name if isinstance(target, exp.Schema) else target.name
    columns = ", ".join(part.name for part in target.expressions) if isinstance(target, exp.Schema) else "its key"
    return _relation(f"{table} ({columns})")


def _relation(target: str) -> str:
    return f"refers to {target}: once that has a contract, add `relationships:` with `to: <source>_<table>.<column>`"


def _constrain(of: Declared, part: exp.Expression) -> None:
    """A constraint of the table."""
    for told in part.find_all(exp.PrimaryKey, exp.UniqueColumnConstraint, exp.ForeignKey, exp.CheckColumnConstraint):
        if isinstance(told, exp.PrimaryKey):
            of.keys = [_column_name(column) for column in told.expressions]
            for name in of.keys:
                if name in of.columns:
                    of.columns[name].declared_required = True
        elif isinstance(told, exp.UniqueColumnConstraint):
            names = [identifier.name for identifier in (told.this.expressions if told.this else ())]
            if len(names) == 1 and names[0] in of.columns:
                of.columns[names[0]].unique = True
            elif names:
                of.notes.append(f"{', '.join(names)} are unique together: add a check `duplicateValues` of them")
        elif isinstance(told, exp.ForeignKey):
            names = [identifier.name for identifier in told.expressions]
            for name in names:
                if name in of.columns and told.args.get("reference"):
                    of.columns[name].notes.append(_refers(told.args["reference"]))
        else:
            _checked(of.columns, told.this, of)


def _column_name(part: exp.Expression) -> str:
    """The name in `primary key (id desc)`, too."""
    found = part.find(exp.Column, exp.Identifier)
    return found.name if found else part.name


def _checked(columns: dict[str, Guess], condition: exp.Expression, of: Declared) -> None:
    """`check (state in ('a', 'b'))` becomes accepted values; any other condition is for a person to take over."""
    inner = condition.unnest()
    is_list = isinstance(inner, exp.In) and isinstance(inner.this, exp.Column) and inner.expressions
    values = inner.expressions if is_list else []
    if is_list and inner.this.name in columns and all(isinstance(v, exp.Literal) and v.is_string for v in values):
        columns[inner.this.name].accepted = [value.name for value in values]
        return
    note = f"the source checks `{inner.sql()}`: add it as a rule of engine spark-row"
    (next(iter(columns.values())).notes if len(columns) == 1 else of.notes).append(note)


def _more(statement: exp.Expression, tables: dict[str, Declared]) -> None:
    """What `alter table … add constraint` and `comment on …` say of a table that was created before."""
    if isinstance(statement, exp.Alter) and isinstance(statement.this, exp.Table):
        of = tables.get(statement.this.name.lower())
        for action in statement.args.get("actions") or ():
            if of and isinstance(action, exp.AddConstraint):
                _constrain(of, action)
    if isinstance(statement, exp.Comment) and isinstance(statement.expression, exp.Literal):
        place, said = statement.this, statement.expression.name
        if statement.args.get("kind") == "COLUMN" and (of := tables.get(place.table.lower())):
            if place.name in of.columns:
                of.columns[place.name].description = said
        elif statement.args.get("kind") == "TABLE" and (of := tables.get(place.name.lower())):
            of.description = said


# --- dbt -----------------------------------------------------------------------------------------------------------


def _node(manifest: Path, name: str) -> Declared:
    data = _json(manifest)
    if not isinstance(data.get("nodes"), dict):
        raise ProfileError(f"{manifest} is no manifest of dbt. Give target/manifest.json, which `dbt parse` writes.")
    nodes = {
        node["unique_id"]: node
        for node in [*data["nodes"].values(), *(data.get("sources") or {}).values()]
        if node.get("resource_type") in ("model", "seed", "snapshot", "source")
    }
    found = [node for node in nodes.values() if name in (node["unique_id"], node["name"])]
    if not found:
        known = sorted(node["name"] for node in nodes.values())
        raise ProfileError(f"{manifest} has no model {name}. {choose(name, known)}.")
    if len(found) > 1:
        ids = ", ".join(node["unique_id"] for node in found)
        raise ProfileError(f"{manifest} has several nodes {name}. Name one in full with --model: {ids}.")
    node = found[0]
    catalog = _catalog(manifest.with_name("catalog.json"), node["unique_id"])
    adapter = str((data.get("metadata") or {}).get("adapter_type") or "spark")
    dialect = _DIALECTS.get(adapter, adapter if adapter in sqlglot.Dialect.classes else None)
    inside = str(node.get("source_name") or node.get("package_name") or "files")
    of = Declared(f"the dbt {node['resource_type']} {node['name']}", node["name"], inside, description=_line(node))
    columns = {column["name"]: column for column in (node.get("columns") or {}).values()}
    for column_name in columns or catalog:
        column = columns.get(column_name, {})
        of.columns[column_name] = _told(column, catalog.get(column_name.lower()), dialect, of)
    if not of.columns:
        raise ProfileError(
            f"{manifest} declares no column of {node['name']}. Declare them under `columns:`, or run `dbt docs generate`,"
            " whose catalog.json is read beside the manifest."
        )
    of.keys = of.keys or [
        name
        for constraint in node.get("constraints") or ()
        if constraint.get("type") == "primary_key"
        for name in constraint.get("columns") or ()
    ]
    for test in data["nodes"].values():
        if test.get("resource_type") == "test" and test.get("attached_node", _source_of(test)) == node["unique_id"]:
            _tested(of, test)
    if not catalog and any(not column.get("data_type") for column in columns.values()):
        of.notes.append("the manifest lacks types: `dbt docs generate` writes a catalog.json that has them")
    return of


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ProfileError(f"{path} cannot be read: {error.strerror}. Give target/manifest.json of dbt.") from error
    except ValueError as error:
        raise ProfileError(f"{path} is not JSON: {error}. Give target/manifest.json of dbt.") from error
    if not isinstance(data, dict):
        raise ProfileError(f"{path} is no manifest of dbt. Give target/manifest.json, which `dbt parse` writes.")
    return data


def _catalog(path: Path, unique_id: str) -> dict[str, str]:
    """Column (lower case) → type, of a catalog that need not be there."""
    if not path.is_file():
        return {}
    data = _json(path)
    for kind in ("nodes", "sources"):
        if node := (data.get(kind) or {}).get(unique_id):
            return {name.lower(): str(column.get("type") or "") for name, column in node["columns"].items()}
    return {}


def _line(described: dict[str, Any]) -> str:
    return " ".join(str(described.get("description") or "").split())


def _told(column: dict[str, Any], kind: str | None, dialect: str | None, of: Declared) -> Guess:
    written = column.get("data_type") or kind
    found = declared(written, dialect) if written else Guess("string", "string", notes=["no type is declared"])
    found.description = _line(column)
    found.declared_required = False
    for constraint in column.get("constraints") or ():
        if constraint.get("type") in ("not_null", "primary_key"):
            found.declared_required = True
        if constraint.get("type") == "unique":
            found.unique = True
        if constraint.get("type") == "primary_key":
            of.keys.append(column["name"])
    return found


def _source_of(test: dict[str, Any]) -> str | None:
    """The source that a test is about: dbt attaches tests to models alone."""
    depends = (test.get("depends_on") or {}).get("nodes") or []
    return depends[-1] if len(depends) == 1 else None


def _tested(of: Declared, test: dict[str, Any]) -> None:
    metadata = test.get("test_metadata") or {}
    kind, arguments = metadata.get("name"), metadata.get("kwargs") or {}
    arguments = {**arguments, **(arguments.get("arguments") or {})}
    found = next((column for name, column in of.columns.items() if name == test.get("column_name")), None)
    if found is not None and kind == "not_null":
        found.declared_required = True
    elif found is not None and kind == "unique":
        found.unique = True
    elif found is not None and kind == "accepted_values":
        values = list(arguments.get("values") or ())
        if found.physical == "string" and all(isinstance(value, str) for value in values):
            found.accepted = values
    elif found is not None and kind == "relationships":
        found.notes.append(_relation(f"{arguments.get('field')} of {arguments.get('to')}"))
    elif kind in ("unique_combination_of_columns", "unique_combination"):
        named = arguments.get("combination_of_columns") or arguments.get("columns") or []
        of.keys = of.keys or [str(name) for name in named]


def dialects() -> Iterator[str]:
    """The names of the dialects of SQL that can be read."""
    yield from sorted(name for name in sqlglot.Dialect.classes if name)
