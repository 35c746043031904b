"""Which columns a column of a dbt model is made from, told from the SQL that dbt compiled."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.lineage import lineage

from lakehouse.gold.project import PINNED

CACHE = Path("dbt", "column_lineage.json")
"""Below the lakehouse's home: what was traced."""
Lineage = dict[str, list[tuple[str, str]]]
"""column → (unique id of the parent node, its column)."""


def column_lineage(
    node: Mapping[str, Any], manifest: Mapping[str, Any], source_columns: Mapping[str, list[str]], sql: str, cache: Path
) -> Lineage:
    """The lineage of a model's documented columns; `sql` is its compiled query. Cached by that text in `cache`.

    `source_columns`: column names of each source table by the source's unique id. A column that sqlglot cannot trace
    has no parents in the result.
    """
    read = [source_columns.get(parent, []) for parent in node["depends_on"]["nodes"]]
    digest = hashlib.sha256(json.dumps([node["unique_id"], PINNED, read, sql]).encode()).hexdigest()
    known = json.loads(cache.read_text()) if cache.exists() else {}
    if known.get(node["unique_id"], {}).get("digest") == digest:
        return _pairs(known[node["unique_id"]]["columns"])
    found = _trace(node, manifest, source_columns, sql)
    known[node["unique_id"]] = {"digest": digest, "columns": found}
    cache.parent.mkdir(parents=True, exist_ok=True)
    unfinished = cache.with_suffix(f".{os.getpid()}.tmp")
    unfinished.write_text(json.dumps(known))
    unfinished.replace(cache)
    return found


def traced_before(cache: Path) -> dict[str, Lineage]:
    """Unique id of a model → the lineage of its columns, of every model in `cache`; nothing where there is none."""
    found = json.loads(cache.read_text()) if cache.exists() else {}
    return {key: _pairs(entry["columns"]) for key, entry in found.items()}


def _pairs(columns: Mapping[str, Any]) -> Lineage:
    """JSON has no tuples."""
    return {column: [(parent, name) for parent, name in deps] for column, deps in columns.items()}


def _trace(
    node: Mapping[str, Any], manifest: Mapping[str, Any], source_columns: Mapping[str, list[str]], sql: str
) -> Lineage:
    parents: dict[str, str] = {}
    schema: dict[str, dict[str, dict[str, str]]] = {}
    for parent in node["depends_on"]["nodes"]:
        props = (manifest["sources"] if parent.startswith("source.") else manifest["nodes"]).get(parent)
        if props is None:
            continue
        name = props.get("identifier") or props.get("alias") or props["name"]
        columns = source_columns.get(parent) or list(props.get("columns", {}))
        # A production build reads the sources in another schema than the manifest says: at pinned versions.
        for place in {props["schema"].lower(), PINNED} if parent.startswith("source.") else {props["schema"].lower()}:
            parents[f"{place}.{name}".lower()] = parent
            schema.setdefault(place, {})[name.lower()] = dict.fromkeys(columns, "string")
    found: Lineage = {}
    for column in node.get("columns", {}):
        deps: set[tuple[str, str]] = set()
        try:
            traced = lineage(column, sql, schema=schema, dialect="spark")
        except (SqlglotError, ValueError, KeyError):
            found[column] = []
            continue
        for leaf in traced.walk():
            table = leaf.expression.find(exp.Table)
            if leaf.downstream or table is None:
                continue
            parent = parents.get(f"{table.db}.{table.name}".lower())
            if parent is not None:
                deps.add((parent, exp.to_column(leaf.name).name.lower()))
        found[column] = sorted(deps)
    return found
