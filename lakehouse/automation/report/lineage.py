"""What a table is made from and what is made from it: from landing through bronze and silver to the models of dbt.

Told by the contracts and dbt's manifest alone; nothing is queried.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lakehouse.contracts.model import Contract
from lakehouse.gold.lineage import Lineage
from lakehouse.gold.project import contract_of, not_built


@dataclass(frozen=True)
class Node:
    """A step on the way of data: its layer (landing, bronze, silver, staging, intermediate, gold) and its name there."""

    layer: str
    name: str


@dataclass(frozen=True)
class Graph:
    """Edges lead from what is read to what is made from it."""

    nodes: Mapping[str, Node]
    edges: frozenset[tuple[str, str]]

    def around(self, key: str) -> "Graph":
        """A node with all before it and all after it."""
        kept = {key} | self._reached(key, 0) | self._reached(key, 1)
        edges = frozenset(edge for edge in self.edges if set(edge) <= kept)
        return Graph({name: node for name, node in self.nodes.items() if name in kept}, edges)

    def _reached(self, key: str, start: int) -> set[str]:
        found: set[str] = set()
        waiting = [key]
        while waiting:
            here = waiting.pop()
            new = {edge[1 - start] for edge in self.edges if edge[start] == here} - found
            found |= new
            waiting += new
        return found

    def depths(self) -> dict[str, int]:
        """Node → the number of edges on the longest way to it."""
        parents: dict[str, list[str]] = {key: [] for key in self.nodes}
        for parent, child in self.edges:
            parents[child].append(parent)
        found: dict[str, int] = {}

        def depth(key: str) -> int:
            if key not in found:
                found[key] = max((depth(parent) + 1 for parent in parents[key]), default=0)
            return found[key]

        for key in self.nodes:
            depth(key)
        return found


def graph(contracts: Iterable[Contract], manifest: Mapping[str, Any]) -> Graph:
    """Everything: a table of silver is the node `silver.<table>`, a model of dbt the one of its unique id."""
    listed = list(contracts)
    nodes: dict[str, Node] = {}
    edges: set[tuple[str, str]] = set()
    for contract in listed:
        folder = f"{contract.source}/{contract.name}"
        nodes[f"landing.{contract.table}"] = Node("landing", folder)
        nodes[contract.bronze_table] = Node("bronze", contract.table)
        nodes[contract.silver_table] = Node("silver", contract.table)
        edges |= {
            (f"landing.{contract.table}", contract.bronze_table),
            (contract.bronze_table, contract.silver_table),
        }
        for column in contract.child_tables:
            view = contract.child_view(column)
            nodes[view] = Node("silver", view.split(".")[1])
            edges.add((contract.silver_table, view))
    for key, node in models(manifest, {contract.table: contract for contract in listed}).items():
        nodes[key] = Node(layer(node), node["name"])
        for parent in node["depends_on"]["nodes"]:
            source = manifest["sources"].get(parent)
            edges.add((f"silver.{source['name']}" if source else parent, key))
    return Graph(nodes, frozenset(edge for edge in edges if edge[0] in nodes and edge[1] in nodes))


def models(manifest: Mapping[str, Any], contracts: Mapping[str, Contract]) -> dict[str, Mapping[str, Any]]:
    """Unique id → node of the models that are built: see `not_built`."""
    if not manifest:
        return {}
    out = not_built(manifest, contracts)
    return {key: node for key, node in manifest["nodes"].items() if node["resource_type"] == "model" and key not in out}


def layer(node: Mapping[str, Any]) -> str:
    """staging, intermediate, or gold (of what readers read)."""
    folder = str(node["fqn"][1])
    return "gold" if folder == "marts" else folder


def readers(
    contracts: Mapping[str, Contract], manifest: Mapping[str, Any], traced: Mapping[str, Lineage]
) -> dict[tuple[str, str], tuple[str, ...]]:
    """(table, column) of silver → the columns of gold made from it, as `fct_orders.order_id`; through staging and child
    views (of which every column that is no key comes from the array). `traced`: unique id of a model → its columns'
    lineage, as far as it is known."""
    known = contract_of(contracts)
    found: dict[tuple[str, str], set[str]] = {}

    def origins(node: str, column: str) -> set[tuple[str, str]]:
        source = manifest["sources"].get(node)
        if source is None:
            return {origin for parent in traced.get(node, {}).get(column, ()) for origin in origins(*parent)}
        table = known.get(source["name"])
        if table is None:
            return set()
        contract = contracts[table]
        if column in contract.column_names or source["name"] == table:
            return {(table, column)}
        arrays = [c.name for c in contract.child_tables if contract.child_view(c) == f"silver.{source['name']}"]
        return {(table, name) for name in arrays}

    for key, node in models(manifest, contracts).items():
        if layer(node) == "gold":
            for column in traced.get(key, {}):
                for origin in origins(key, column):
                    found.setdefault(origin, set()).add(f"{node['name']}.{column}")
    return {origin: tuple(sorted(made)) for origin, made in found.items()}
