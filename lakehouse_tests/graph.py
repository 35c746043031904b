"""The whole graph as text: `make graph` writes it anew to graph.txt beside this file, and a test compares the two."""

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

SNAPSHOT = Path(__file__).parent / "graph.txt"
_TITLE = "# The graph of the sample shop. After a change that you want: `make graph`, and read the difference."


def described(definitions: dg.Definitions) -> str:
    """Keys, dependencies, partitions, pools, conditions and checks of all assets; conditions, jobs, schedules, sensors.

    Nothing that depends on the day or the machine is in it.
    """
    repository = definitions.get_repository_def()
    parts = [_assets(repository.asset_graph), _conditions(repository.asset_graph), _jobs(repository)]
    parts += [_schedules(repository), _sensors(repository)]
    return "\n".join([_TITLE, *(line for part in parts for line in ("", *part))]) + "\n"


def _assets(graph: Any) -> Iterator[str]:
    yield "assets (a check that blocks has a !)"
    for node in sorted(graph.asset_nodes, key=lambda node: node.key):
        facts = [node.group_name, *sorted(node.pools or ())]
        facts += [_grain(node.partitions_def)] if node.partitions_def else []
        facts += ["fresh"] if node.freshness_policy_or_from_metadata else []
        facts += [] if node.is_materializable else ["made elsewhere"]
        yield f"  {node.key.to_user_string()} ({', '.join(facts)})"
        for parent in sorted(node.parent_keys):
            yield f"    < {parent.to_user_string()}"
        if node.automation_condition:
            yield f"    when {node.automation_condition.get_label()}"
        for check in sorted(node.check_keys):
            yield f"    ? {check.name}{'!' if graph.get(check).blocking else ''}"


def _grain(partitions: Any) -> str:
    return type(partitions).__name__.removesuffix("PartitionsDefinition").lower()


def _conditions(graph: Any) -> Iterator[str]:
    yield "conditions"
    found = {
        node.automation_condition.get_label(): node.automation_condition
        for node in graph.asset_nodes
        if node.automation_condition
    }
    known: set[str] = set()
    for label in sorted(found):
        yield from _tree(found[label], 1, known)


def _tree(condition: Any, depth: int, known: set[str]) -> Iterator[str]:
    """A line a condition; what has a label is written out where it comes first."""
    label = condition.get_label()
    if label in known:
        yield "  " * depth + f"{label}: as above"
        return
    known |= {label} if label else set()
    operand = getattr(condition, "operand", None)
    children = list(condition.children) or ([operand] if operand is not None else [])
    yield "  " * depth + (f"{label}: " if label else "") + condition.name.lower()
    for child in children:
        yield from _tree(child, depth + 1, known)


def _jobs(repository: Any) -> Iterator[str]:
    yield "jobs"
    for job in sorted(repository.get_all_jobs(), key=lambda job: job.name):
        if job.name.startswith("__"):
            continue
        keys = sorted(key.to_user_string() for key in job.asset_layer.executable_asset_keys)
        yield f"  {job.name}"
        yield from (f"    {key}" for key in keys)


def _schedules(repository: Any) -> Iterator[str]:
    yield "schedules"
    for one in sorted(repository.schedule_defs, key=lambda one: one.name):
        state = one.default_status.value.lower()
        yield f"  {one.name}: `{one.cron_schedule}` {one.execution_timezone}, starts {one.job_name}, {state} at first"


def _sensors(repository: Any) -> Iterator[str]:
    yield "sensors"
    for one in sorted(repository.sensor_defs, key=lambda one: one.name):
        kind = one.sensor_type.value.lower()
        yield f"  {one.name}: {kind}, every {one.minimum_interval_seconds} s, {one.default_status.value.lower()} at first"


def main() -> None:
    """Writes the snapshot, of the sample shop in an empty home."""
    kept: Mapping[str, str] = {name: text for name, text in os.environ.items() if not name.startswith("LAKEHOUSE_")}
    with tempfile.TemporaryDirectory() as home:
        os.environ.clear()
        os.environ.update(kept, LAKEHOUSE_HOME=home)
        from lakehouse.definitions import build
        from lakehouse.settings import settings

        text = described(build(settings()))
    changed = not SNAPSHOT.exists() or SNAPSHOT.read_text() != text
    SNAPSHOT.write_text(text)
    sys.stdout.write(f"{SNAPSHOT} {'has changed' if changed else 'is as it was'}.\n")


if __name__ == "__main__":
    main()
