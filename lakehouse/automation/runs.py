"""Materialize what is pending, through Dagster, in this process."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import dagster as dg

from lakehouse.automation.errors import explain
from lakehouse.automation.instance import STARTED_BY
from lakehouse.automation.pending import Pending, Stretch, bronze_runs
from lakehouse.contracts.model import Contract

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


GOLD = "gold and release"
RUNS_AT_ONCE = 3
"""Runs that `lakehouse run` executes at a time. Most of a small batch is waiting: for plans, commits and Dagster's log;
more than three fill no more of a small machine, and hold more in the engine's memory at once."""


@dataclass(frozen=True)
class Planned:
    """One Dagster run to do: its name for people, its assets, the titles of the runs that it waits for, tags and
    configuration."""

    title: str
    assets: tuple[dg.AssetKey, ...]
    after: frozenset[str] = frozenset()
    tags: dict[str, str] = field(default_factory=dict)
    partition_key: str | None = None
    config: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FailedCheck:
    """A check that failed and blocks."""

    asset: str
    """`silver.shopify_orders`, `gold.fct_orders`."""
    name: str
    dimension: str
    expected: str
    found: float | None
    description: str
    """What was expected and what was found, in words."""
    batch: str
    seen_in: str
    """The file of a record that broke it, and its place there; empty where none is known."""


@dataclass
class TableOutcome:
    """What the runs did to one table, for the closing table."""

    table: str
    layer: str
    landed: int = 0
    landed_by_run: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    rows: int | None = None
    passed: int = 0
    warned: int = 0
    failed: int = 0
    seconds: float = 0.0
    problem: str | None = None


@dataclass
class Outcome:
    """The result of `lakehouse run`."""

    tables: dict[str, TableOutcome] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    failed_checks: list[FailedCheck] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    run_ids: list[str] = field(default_factory=list)
    release: int | None = None

    def of(self, layer: str, table: str) -> TableOutcome:
        return self.tables.setdefault(f"{layer}.{table}", TableOutcome(table, layer))


def plan_runs(
    pending: Pending, contracts: Mapping[str, Contract], repository: dg.RepositoryDefinition | Any
) -> list[Planned]:
    """The runs that do what is pending, each with those that it waits for: of every table bronze, then silver (also
    after the tables that it refers to), then gold and its release.

    A table is a run of its own, so that tables that know nothing of each other are worked on at once, and a batch that
    is held back keeps no other from readers.
    """
    runs: list[Planned] = []
    last: dict[str, str] = {}
    for stretch in bronze_runs(pending, contracts):
        runs.append(bronze_run(stretch, last.get(stretch.table)))
        last[stretch.table] = runs[-1].title
    graph = repository.asset_graph
    for table in pending.silver:
        node = graph.get(dg.AssetKey(["silver", table]))
        parents = {key.path[1] for key in node.parent_keys if key.path[0] == "silver"}
        after = {f"silver {parent}" for parent in parents if parent in pending.silver} | {last.get(table, "")}
        runs.append(silver_run(table, frozenset(after - {""}), repository))
    if pending.gold is not None and (gold := gold_run(repository, frozenset(run.title for run in runs))):
        runs.append(gold)
    return runs


def plan_rebuild(table: str, repository: dg.RepositoryDefinition | Any, accept_loss: bool = False) -> Planned:
    """The run that folds a table of silver anew from bronze; see `SilverConfig`."""
    config = {"full_refresh": True, "accept_loss": accept_loss}
    return _silver_run(f"rebuild silver {table}", table, config, repository)


def plan_replay(table: str, replay: dict[str, Any], repository: dg.RepositoryDefinition | Any) -> Planned:
    """The run that replays records in the quarantine of a table of silver; `replay`: see `ReplayConfig`."""
    return _silver_run(f"replay silver {table}", table, {"replay": replay}, repository)


def _silver_run(title: str, table: str, config: dict[str, Any], repository: dg.RepositoryDefinition | Any) -> Planned:
    return replace(
        silver_run(table, frozenset(), repository),
        title=title,
        config={"ops": {f"silver__{table}": {"config": config}}},
    )


def bronze_run(stretch: Stretch, before: str | None, config: dict[str, Any] | None = None) -> Planned:
    """`before`: the title of the table's run for its stretch before this one; `config`: see `BronzeConfig`."""
    title, assets = f"bronze {stretch.table}", (dg.AssetKey(["bronze", stretch.table]),)
    after = frozenset({before} if before else ())
    ops = {"ops": {f"bronze__{stretch.table}": {"config": config}}} if config else {}
    if stretch.first is None or stretch.last is None:
        return Planned(title, assets, after, config=ops)
    first, last = stretch.first.isoformat(), stretch.last.isoformat()
    if first == last:
        return Planned(f"{title} {first}", assets, after, partition_key=first, config=ops)
    return Planned(f"{title} {first} to {last}", assets, after, {RANGE_START: first, RANGE_END: last}, config=ops)


def silver_run(table: str, after: frozenset[str], repository: dg.RepositoryDefinition | Any) -> Planned:
    """Of a table and its quarantine."""
    keys = repository.asset_graph.get(dg.AssetKey(["silver", table])).execution_set_asset_keys
    return Planned(f"silver {table}", tuple(sorted(keys)), after)


def gold_run(
    repository: dg.RepositoryDefinition | Any, after: frozenset[str] = frozenset(), config: dict[str, Any] | None = None
) -> Planned | None:
    """Of all models and the release; `config`: see `GoldConfig`. None where there is no gold."""
    groups = {"staging", "gold", "serving"}
    nodes = repository.asset_graph.asset_nodes
    keys = tuple(sorted(node.key for node in nodes if node.group_name in groups and node.is_materializable))
    return Planned(GOLD, keys, after, config={"ops": {"gold": {"config": config}}} if config else {}) if keys else None


def pools_of(planned: Planned, definitions: dg.Definitions) -> set[str]:
    """The pools that a run's steps need."""
    graph: Any = definitions.get_repository_def().asset_graph
    return {pool for key in planned.assets for pool in (graph.get(key).pools or set())}


def execute(planned: Planned, definitions: dg.Definitions, instance: dg.DagsterInstance, run_id: str) -> bool:
    """Runs it here; True where every step succeeded. What happened is in the instance's event log."""
    job = definitions.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=instance,
        asset_selection=list(planned.assets),
        partition_key=planned.partition_key,
        tags={**planned.tags, **STARTED_BY},
        run_config={**_QUIET, **planned.config},
        raise_on_error=False,
        run_id=run_id,
    )
    return bool(result.success)


def events(instance: dg.DagsterInstance, run_id: str, after: str | None) -> tuple[list[Any], str | None]:
    """(entries of a run's log after a cursor, the cursor to go on from)."""
    found: list[Any] = []
    while True:
        page = instance.get_records_for_run(run_id, cursor=after, limit=1000)
        found += [record.event_log_entry for record in page.records]
        after = page.cursor
        if not page.has_more:
            return found, after


def tell(outcome: Outcome, started: dict[str, float], entry: Any, title: str = "") -> str | None:
    """Adds one log entry to the outcome; returns a line for people where it is worth one. `title`: of the run, which of some
    says more than the step's name: its days."""
    event = entry.dagster_event
    if event is None:
        return None
    kind = event.event_type_value
    if kind == "STEP_START":
        started[event.step_key] = entry.timestamp
        return f"{_named(event.step_key, title)} …"
    if kind in ("STEP_SUCCESS", "STEP_FAILURE"):
        seconds = entry.timestamp - started.get(event.step_key, entry.timestamp)
        layer, table = _layer_and_table(event.step_key)
        outcome.of(layer, table).seconds += seconds
        if kind == "STEP_FAILURE":
            problem = failure_of(event)
            outcome.of(layer, table).problem = problem
            outcome.failures.append(problem)
            return f"{_named(event.step_key, title)} FAILED after {seconds:.1f} s"
        return f"{_named(event.step_key, title)} done in {seconds:.1f} s{_rows(outcome.of(layer, table), entry.run_id)}"
    if kind == "ASSET_MATERIALIZATION":
        _materialized(outcome, event, entry.run_id)
        path = event.asset_key.path
        rows = event.materialization.metadata.get("dagster/row_count")
        if path[0] == "gold" and rows is not None:
            return f"gold {path[1]}: {rows.value:,} rows"
    if kind == "ASSET_CHECK_EVALUATION":
        _checked(outcome, event)
    return None


def _rows(of: TableOutcome, run_id: str) -> str:
    """What a finished step did, in a few words."""
    if of.layer == "bronze":
        return f": {of.landed_by_run.get(run_id, 0):,} records taken"
    if of.layer != "silver" or not of.counts:
        return ""
    refused = sum(of.counts.get(name, 0) for name in ("quarantined", "rejected", "too_late"))
    return f": {of.landed:,} landed, {of.counts.get('applied', 0):,} applied, {refused:,} refused"


def _materialized(outcome: Outcome, event: Any, run_id: str) -> None:
    path = event.asset_key.path
    metadata = {name: value.value for name, value in event.materialization.metadata.items()}
    of = outcome.of(path[0], path[1])
    if "dagster/row_count" in metadata:
        of.rows = metadata["dagster/row_count"]
    if path[0] == "bronze":
        # A run over many periods materializes each; what it took is said once. Of several runs it adds up.
        taken = of.landed_by_run
        taken[run_id] = max(taken.get(run_id, 0), metadata.get("records_taken", 0))
        of.landed = sum(taken.values())
    elif path[0] == "silver" and "landed" in metadata:
        of.landed = metadata["landed"]
        of.counts = {name: value for name, value in metadata.items() if isinstance(value, int)}
    elif path == ["ops", "releases"]:
        outcome.release = metadata["release"]


def _checked(outcome: Outcome, event: Any) -> None:
    evaluation = event.event_specific_data
    path = evaluation.asset_key.path
    of = outcome.of(path[0], path[1])
    if evaluation.passed:
        of.passed += 1
    elif evaluation.severity == dg.AssetCheckSeverity.ERROR:
        of.failed += 1
        outcome.failed_checks.append(_failed_check(evaluation))
    else:
        of.warned += 1
        if evaluation.description:
            outcome.warnings.append(evaluation.description)


def _failed_check(evaluation: Any) -> FailedCheck:
    told = {name: value.value for name, value in evaluation.metadata.items() if hasattr(value, "value")}
    records = getattr(told.get("failing_records"), "records", [])
    seen = records[0].data if records else {}
    return FailedCheck(
        asset=".".join(evaluation.asset_key.path),
        name=evaluation.check_name,
        dimension=str(told.get("dimension", "")),
        expected=str(told.get("expected", "")),
        found=told.get("value"),
        description=evaluation.description or "",
        batch=str(told.get("batch", "")),
        seen_in=f"{seen['file']}, record {seen['position']}" if {"file", "position"} <= seen.keys() else "",
    )


def failure_of(event: Any) -> str:
    """Why a step failed, in a sentence or two."""
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return str(data.user_failure_data.description)
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    message = explain(error.message.strip()) if error is not None else "it failed without saying why"
    return f"{_step_name(event.step_key)}: {message}"


def _layer_and_table(step: str) -> tuple[str, str]:
    if "__" in step and step.split("__")[0] in ("bronze", "silver"):
        layer, table = step.split("__", 1)
        return layer, table
    return step, ""


def _named(step: str, title: str) -> str:
    name = _step_name(step)
    return title if step.startswith("bronze__") and title.startswith(name) else name


def _step_name(step: str) -> str:
    return step.replace("__", " ", 1)
