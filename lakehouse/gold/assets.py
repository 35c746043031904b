"""The dbt models as assets, every dbt test as a check; then the release and the serving views."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import dagster as dg
from packaging.version import Version
from pydantic import Field as ConfigField
from pyspark.errors import PySparkException

from lakehouse.bronze.assets import table_schema
from lakehouse.bronze.steps import TRANSIENT, Step, step
from lakehouse.contracts.model import Contract
from lakehouse.engine.resource import Engine
from lakehouse.engine.spark_errors import without_stack
from lakehouse.gold import checks, failures
from lakehouse.gold import project as dbt
from lakehouse.gold import release as releases
from lakehouse.gold.dbt_process import ORDER, PARENT, PARSED, give_order
from lakehouse.gold.lineage import CACHE, column_lineage
from lakehouse.gold.release import Release
from lakehouse.gold.serving import mask_of
from lakehouse.gold.unchanged import unchanged
from lakehouse.gold.without_dbt import (
    DagsterDbtTranslator,
    DagsterDbtTranslatorSettings,
    DbtCliInvocation,
    DbtCliResource,
    DbtProject,
    dbt_assets,
)
from lakehouse.quality import results
from lakehouse.quality.results import CheckResult
from lakehouse.settings import Settings, executable, settings
from lakehouse.silver import state
from lakehouse.silver.state import child_columns, public_columns
from lakehouse.storage import maintain, tables
from lakehouse.storage.transient import says_so

GOLD_POOL = "gold"


class GoldConfig(dg.Config):
    """Run configuration of gold: all empty is the increment since the last release."""

    from_date: str = ConfigField(default="", description="Rebuild event days from this one on (YYYY-MM-DD).")
    to_date: str = ConfigField(default="", description="Rebuild event days up to and with this one (YYYY-MM-DD).")
    full_refresh: bool = ConfigField(default=False, description="Rebuild every model from nothing.")


class Translator(DagsterDbtTranslator):
    """dbt nodes as assets: groups by layer, kinds, owners, freshness."""

    def __init__(self, freshness: dg.FreshnessPolicy | None) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_asset_checks=True, enable_code_references=True))
        self._freshness = freshness

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None) -> dg.AssetSpec:
        spec = super().get_asset_spec(manifest, unique_id, project)
        node = self.get_resource_props(manifest, unique_id)
        if node["resource_type"] != "model":
            return spec
        is_mart = node["fqn"][1] == "marts"
        group = "gold" if is_mart else "staging"
        kinds = {"dbt", "spark", "view" if node["config"]["materialized"] == "view" else "delta"}
        spec = spec.replace_attributes(group_name=group, kinds=kinds)
        if is_mart and self._freshness is not None:
            spec = spec.replace_attributes(freshness_policy=self._freshness)
        return spec


def is_full(config: GoldConfig, last: Release | None, code: str, rebuilt: Sequence[str] = ()) -> bool:
    """Whether a build starts from nothing: by demand; the first one (whatever a killed one left); one by other code than
    the last release's, for an increment would leave the rows that nothing touched as the old code made them; and one
    on tables of silver that were `rebuilt` since, for an increment would leave the rows that they no longer have."""
    return config.full_refresh or last is None or last.code != code or bool(rebuilt)


def dbt_vars(config: GoldConfig, last: Release | None, same: Sequence[str] = ()) -> dict[str, Any]:
    """What a build tells dbt: the pinned silver, the batches that gold already holds (`last`, None for a full build), which
    tables are the `same` since, the days to rebuild.

    Raises ValueError for days that are none.
    """
    found: dict[str, Any] = {"silver_schema": dbt.PINNED}
    if last is not None:
        found |= {"since": last.silver_batches, "unchanged": sorted(same)}
    for name, text in (("from", config.from_date), ("to", config.to_date)):
        if text:
            found[name] = date.fromisoformat(text).isoformat()
    return found


COMMAND = ("build", "--exclude-resource-type", "unit_test")
"""dbt's command of every build; what each is told beside comes after it."""


def build_command(config: Settings, contracts: Mapping[str, Contract]) -> tuple[str, ...]:
    """`COMMAND`, without what is made of sources that no contract describes."""
    unknown = " ".join(f"{source}+" for source in dbt.unknown_sources(config, contracts))
    return (*COMMAND, "--exclude", unknown) if unknown else COMMAND  # dagster-dbt knows no option of several


def dbt_args(
    config: GoldConfig,
    last: Release | None,
    code: str,
    rebuilt: Sequence[str] = (),
    kept: Sequence[str] = (),
    same: Sequence[str] = (),
) -> list[str]:
    """What dbt is told of a build on the last release, by the code of this checksum, without the nodes that are `kept`
    (their names in dbt's selectors). `same`: sources that are what they were then."""
    import json

    full = is_full(config, last, code, rebuilt)
    args = ["--vars", json.dumps(dbt_vars(config, None if full else last, same))]
    if kept:
        # Else dbt would leave out the tests, too, that compare a model which is kept with one that is not.
        args += ["--indirect-selection", "empty", "--exclude", *kept]
    return [*args, "--full-refresh"] if full else args


def _source_columns(manifest: Mapping[str, Any], contracts: Mapping[str, Contract]) -> dict[str, list[str]]:
    by_table = {contract.table: public_columns(contract) for contract in contracts.values()}
    for contract in contracts.values():
        for column in contract.child_tables:
            names = [child.name for child in child_columns(contract, column)]
            by_table[contract.child_view(column).split(".")[1]] = [*names, "_arrived_on", "_batch"]
    return {key: by_table[source["name"]] for key, source in manifest["sources"].items() if source["name"] in by_table}


def gold_schema(node: Mapping[str, Any]) -> str:
    return str(node["schema"])


def gold_assets(contracts: Mapping[str, Contract], config: Settings) -> list[dg.AssetsDefinition]:
    """The asset of the dbt build (all models in one step), and that of the release. None where no contract describes what
    the models read, and without those models of which that is true."""
    if not dbt.buildable_marts(config, contracts):
        return []
    manifest = dbt.manifest(config)
    deadlines = [c.freshness_fail for c in contracts.values() if c.freshness_fail and c.cadence == "hourly"]
    freshness = dg.FreshnessPolicy.time_window(fail_window=min(deadlines)) if deadlines else None
    translator = Translator(freshness)
    dbt_project = dbt.project(config)
    command = build_command(config, contracts)

    @dbt_assets(
        manifest=dbt.built(manifest, contracts),
        project=dbt_project,
        dagster_dbt_translator=translator,
        name="gold",
        pool=GOLD_POOL,
        retry_policy=TRANSIENT,
    )
    def _gold(
        context: dg.AssetExecutionContext, config: GoldConfig, engine: Engine, dbt_cli: DbtCliResource
    ) -> Iterator[Any]:
        with step(engine, settings()) as now, _dbt(context, engine, dbt_cli, command) as invocation:
            now.ends_by(invocation.process.kill)
            yield from _build(context, config, engine, invocation, contracts, manifest, translator, now)

    # Only prod is released.
    return [_gold, _release_asset(contracts, config)] if config.dbt_target == "prod" else [_gold]


@contextmanager
def _dbt(
    context: dg.AssetExecutionContext, engine: Engine, dbt_cli: DbtCliResource, command: Sequence[str]
) -> Iterator[DbtCliInvocation]:
    """dbt, which loads itself and waits for its order, while silver is pinned; ended with the block, if not before."""
    here = settings()
    target = dbt.build_dir(here, context.run_id)
    target.mkdir(parents=True, exist_ok=True)
    _order(target).unlink(missing_ok=True)  # of another try of this run
    told = {ORDER: str(_order(target)), PARSED: str(dbt.parsed(here))}
    os.environ.update(dbt.dbt_environment(engine.remote_url) | {PARENT: str(os.getpid())} | told)
    try:
        invocation = dbt_cli.cli(command, context=context, target_path=target)
    finally:
        for name in told:  # of this build alone
            del os.environ[name]
    try:
        yield invocation
    finally:
        if invocation.process.poll() is None:
            invocation.process.kill()
            invocation.process.wait()


def _order(target: Path) -> Path:
    return target / "order.json"


def _build(
    context: dg.AssetExecutionContext,
    config: GoldConfig,
    engine: Engine,
    invocation: DbtCliInvocation,
    contracts: Mapping[str, Contract],
    manifest: Mapping[str, Any],
    translator: Translator,
    now: Step,
) -> Iterator[Any]:
    here = settings()
    spark = now.session
    marts = dbt.buildable_marts(here, contracts)
    names = sorted(marts)
    schema = gold_schema(next(iter(marts.values())))
    # Part of gold cannot be released: the rest would never see the batches that the release says it holds.
    is_whole = not context.is_subset
    is_prod = here.dbt_target == "prod"
    url = engine.remote_url
    releases.ensure_tables(spark, here.storage_dir)
    results.ensure_table(spark, here.storage_dir)
    history = releases.events(spark)
    if is_prod:
        _refuse_held(history)
    last = releases.in_force(history) if is_prod else None
    restored = releases.restore_gold(spark, schema, last)
    if restored:
        context.log.warning(f"Restored to the last release before the build: {', '.join(restored)}")
    versions, batches = _pin(context, spark, here, dict(contracts))
    for place in (_staging(manifest), schema):
        tables.ensure_schema(spark, here.storage_dir, place)
    number = releases.next_id(history)
    rebuilt = releases.rebuilt_since(spark, dict(contracts), last) if last else []
    if rebuilt:
        context.log.info(f"Gold is built from nothing, because silver was folded anew: {', '.join(rebuilt)}")
    lost = [
        name
        for name, at in (last.gold_versions if last else {}).items()
        if name in marts and releases.is_lost(spark, f"{schema}.{name}", at)
    ]
    # A table of before: its rows are older than the batches that the release holds.
    lost += [n for n in names if last and n not in last.gold_versions and tables.exists(spark, f"{schema}.{n}")]
    if lost:
        context.log.warning(f"Gold is built from nothing, because what was released is not there: {', '.join(lost)}")
        rebuilt = [*rebuilt, *lost]
    sources = _source_columns(manifest, contracts)
    code = dbt.checksum(here)
    known, found = checks.data_tests(manifest), list[CheckResult]()
    kept = set[str]()
    # After a failed build all is asked again, so that no check is left with what it found there.
    goes_on = last is not None and is_whole and history[0].status != "failed"
    by_name = dbt.contract_of(contracts)
    same = [name for name, of in by_name.items() if last and _is_at(last, versions, batches, of)]
    if last and goes_on and not is_full(config, last, code, rebuilt) and not (config.from_date or config.to_date):
        kept = unchanged(manifest, same, {marts[name]["unique_id"] for name in names if name in last.gold_versions})
    passed, warned = sum(key in known for key in kept), 0
    counts: dict[str, int] = {}
    left = kept & {node["unique_id"] for node in marts.values()}

    def as_released(key: str, with_itself: bool = True) -> Iterator[dg.MaterializeResult[Any]]:
        """The events of a model that is left as it is, and before it of those that it is made of."""
        if with_itself and key not in left:
            return
        left.discard(key)
        for parent in manifest["nodes"][key]["depends_on"]["nodes"]:
            yield from as_released(parent)
        if with_itself and last is not None:
            name = manifest["nodes"][key]["name"]
            counts[name] = last.row_counts[name]
            yield _as_released(context, translator.get_asset_key(marts[name]), last)

    for folder in dbt.old_builds(here):
        shutil.rmtree(folder, ignore_errors=True)
    try:
        order = dbt_args(config, last, code, rebuilt, dbt.selectors(manifest, kept), same)
        give_order(_order(invocation.target_path), order)
        for event in invocation.stream():
            if isinstance(event, dg.AssetCheckResult):
                passed += event.passed
                warned += not event.passed and event.severity == dg.AssetCheckSeverity.WARN
                if result := checks.result_of(event, known, number if is_prod else None):
                    found.append(result)
                    event = checks.described(event, result)
            if isinstance(event, dg.Output):
                # Dagster wants what a model is made of before the model.
                yield from as_released(str(event.metadata["unique_id"].value), with_itself=False)
                event = _described(event, context, spark, manifest, translator, sources, invocation.target_path, here)
                if rows := event.metadata.get(_ROWS):
                    counts[manifest["nodes"][event.metadata["unique_id"].value]["name"]] = int(str(rows.value))
            if isinstance(event, dg.AssetCheckResult) and not event.passed:
                event = _with_failing_rows(event, context, spark, manifest, contracts, invocation.target_path, here)
            yield event
        for key in sorted(left):
            yield from as_released(key)
    except Exception as problem:
        now.end()
        passes = engine.remote_url != url or says_so(str(problem))  # the engine is another one, or dbt tells of it
        spark = engine.session
        if is_prod:
            releases.restore_gold(spark, schema, last)
            releases.record(
                spark,
                Release(
                    release_id=number,
                    status="failed",
                    silver_versions=versions,
                    silver_batches=batches,
                    gold_versions=last.gold_versions if last else {},
                    checks_passed=passed,
                    checks_warned=warned,
                    code=code,
                    reason=_reason(problem),
                    run_id=context.run_id,
                ),
            )
        results.remember(spark, found, code, context.run_id)
        raise dg.Failure(
            f"Gold was not released{f' and is back at release {last.release_id}' if last else ''}: {_reason(problem)}",
            allow_retries=passes,
        ) from problem
    results.remember(spark, found, code, context.run_id)
    if is_prod and not is_whole:
        context.log.warning("Part of gold was built: that is not released, and the next whole build begins without it.")
    elif is_prod:
        for name in names:  # before the release says which versions it is of: nothing but a build changes gold
            if marts[name]["config"]["materialized"] == "incremental":  # any other is written anew, in few files
                maintain.compact(spark, f"{schema}.{name}")
        gold = releases.gold_now(spark, schema, names)
        releases.record(
            spark,
            Release(
                release_id=number,
                status="audited",
                silver_versions=versions,
                silver_batches=batches,
                gold_versions=gold,
                row_counts={name: counts[name] for name in gold},
                checks_passed=passed,
                checks_warned=warned,
                code=code,
                run_id=context.run_id,
            ),
        )


def _pin(
    context: dg.AssetExecutionContext, spark: Any, here: Settings, contracts: dict[str, Contract]
) -> tuple[dict[str, int], dict[str, int]]:
    """Pins silver as it is now; returns what `releases.silver_now` does, of what was pinned."""
    stale = releases.unpinned(spark, contracts, releases.silver_now(spark, contracts)[0])
    for contract in stale.values():
        # A column that its contract got since the table's last batch is there before a view of it is pinned.
        try:
            state.ensure_tables(spark, here.storage_dir, contract)
        except tables.TableShapeError as problem:
            context.log.warning(str(problem))
    versions, batches = releases.silver_now(spark, contracts)
    releases.pin_silver(spark, here.storage_dir, stale, versions)
    return versions, batches


def _is_at(release: Release, versions: Mapping[str, int], batches: Mapping[str, int], table: str) -> bool:
    """Whether a table of silver is what a release is of: at that version, and by that batch, for a machine that lost its
    power may have lost a commit, whose number another one has now."""
    return (
        table in versions
        and versions[table] == release.silver_versions.get(table)
        and batches.get(table) == release.silver_batches.get(table)
    )


_ROWS = "dagster/row_count"


def _as_released(context: dg.AssetExecutionContext, key: dg.AssetKey, last: Release) -> dg.MaterializeResult[Any]:
    """The event of a model that was left as it is, with what was said of it when it was built."""
    event = context.instance.get_latest_materialization_event(key)
    told = event.asset_materialization.metadata if event and event.asset_materialization else {}
    about = {name: value for name, value in told.items() if name.startswith("dagster/")}
    return dg.MaterializeResult(asset_key=key, metadata={**about, "unchanged since release": last.release_id})


def _refuse_held(history: list[Release]) -> None:
    """Raises Failure where an older release was put back in force: whoever did so did it for a reason."""
    if releases.is_held(history):
        raise dg.Failure(
            "An older release was put back in force by a rollback: gold is not built and nothing is released until "
            "`lakehouse release resume`.",
            allow_retries=False,
        )


def _staging(manifest: Mapping[str, Any]) -> str:
    return next(
        str(node["schema"])
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["fqn"][1] == "staging"
    )


def _reason(problem: Exception) -> str:
    """The first lines of why a build failed: of what dbt said, where it said something (its command comes before), without
    those of Java's stack."""
    text = str(problem)
    said = text.partition("Errors parsed from dbt logs:")[2].strip() or text
    return " ".join(line.strip() for line in without_stack(said)[:6])[:600]


def _described(
    event: dg.Output[Any],
    context: dg.AssetExecutionContext,
    spark: Any,
    manifest: Mapping[str, Any],
    translator: Translator,
    sources: Mapping[str, list[str]],
    target: Path,
    here: Settings,
) -> dg.Output[Any]:
    """The event of a model, with its columns, their lineage, and its row count."""
    unique_id = event.metadata["unique_id"].value
    node = manifest["nodes"].get(str(unique_id))
    if node is None:
        return event
    relation = f"{node['schema']}.{node['alias']}"
    described = {name: column.get("description", "") for name, column in node["columns"].items()}
    fields = spark.table(relation).schema
    metadata: dict[str, Any] = {
        "dagster/column_schema": table_schema(
            [(f.name, f.dataType.simpleString(), described.get(f.name, "")) for f in fields]
        ),
        "dagster/table_name": relation,
    }
    compiled = target / "compiled" / node["package_name"] / node["original_file_path"]
    if compiled.exists():
        traced = column_lineage(node, manifest, sources, compiled.read_text(), here.home / CACHE)
        metadata["dagster/column_lineage"] = dg.TableColumnLineage(
            {
                column: [
                    dg.TableColumnDep(
                        asset_key=translator.get_asset_key(translator.get_resource_props(manifest, parent)),
                        column_name=parent_column,
                    )
                    for parent, parent_column in parents
                ]
                for column, parents in traced.items()
            }
        )
    if node["config"]["materialized"] != "view":
        metadata[_ROWS] = int(spark.table(relation).count())
    return event.with_metadata({**event.metadata, **metadata})


def _with_failing_rows(
    event: dg.AssetCheckResult,
    context: dg.AssetExecutionContext,
    spark: Any,
    manifest: Mapping[str, Any],
    contracts: Mapping[str, Contract],
    target: Path,
    here: Settings,
) -> dg.AssetCheckResult:
    """The event of a failed test, with the first of its rows; more of them are kept in `failures.FAILURES`."""
    node = manifest["nodes"].get(str(event.metadata["unique_id"].value), {})
    try:
        query = failures.compiled_query(node, target)
        rows = failures.failing_rows(spark, query, node, manifest, contracts)
        failures.remember(spark, here.storage_dir, node["name"], rows, context.run_id)
    except (PySparkException, OSError, KeyError) as problem:  # the verdict stands, whether its rows can be had or not
        context.log.warning(f"The rows that break {event.check_name} cannot be shown: {problem}")
        return event
    records = [dg.TableRecord({name: str(value) for name, value in row.items()}) for row in rows[: failures.SHOWN]]
    metadata = {**event.metadata, "failing_rows": dg.MetadataValue.table(records)} if records else event.metadata
    return dg.AssetCheckResult(
        asset_key=event.asset_key,
        check_name=event.check_name,
        passed=event.passed,
        severity=event.severity,
        description=event.description or node.get("description"),
        metadata=metadata,
    )


def _release_asset(contracts: Mapping[str, Contract], config: Settings) -> dg.AssetsDefinition:
    marts = dbt.buildable_marts(config, contracts)
    names = sorted(marts)
    schema = gold_schema(next(iter(marts.values())))
    specs = [
        dg.AssetSpec(
            ["serving", name],
            deps=[dg.AssetKey([schema, name])],
            group_name="serving",
            kinds={"spark", "view"},
            owners=dbt.owners(marts[name]),
            description=f"{marts[name]['description']}\n\nWhat readers read: the released version, personal data masked.",
            metadata={
                "dagster/table_name": f"serving.{name}",
                "dagster/column_schema": table_schema(
                    [
                        (column, _masked_type(column, marts[name], contracts), props.get("description", ""))
                        for column, props in marts[name]["columns"].items()
                    ]
                ),
                "dagster/column_lineage": dg.TableColumnLineage(
                    {
                        column: [dg.TableColumnDep(asset_key=dg.AssetKey([schema, name]), column_name=column)]
                        for column in marts[name]["columns"]
                    }
                ),
            },
        )
        for name in names
    ]
    specs.append(
        dg.AssetSpec(
            ["ops", "releases"],
            deps=[dg.AssetKey([schema, name]) for name in names],
            group_name="serving",
            kinds={"spark", "delta"},
            description="Releases of gold: which audited versions the serving views read. One row per event of a release.",
            metadata={
                "dagster/table_name": releases.RELEASES,
                "dagster/column_schema": table_schema([(f.name, f.type, f.comment) for f in releases._COLUMNS]),
            },
        )
    )

    @dg.multi_asset(name="release", specs=specs, pool=GOLD_POOL, retry_policy=TRANSIENT)
    def _release(context: dg.AssetExecutionContext, engine: Engine) -> Iterator[dg.MaterializeResult[Any]]:
        here = settings()
        with step(engine, here) as now:
            if here.dbt_target != "prod":
                raise dg.Failure(
                    f"The dbt target is {here.dbt_target}; only prod is released. Unset LAKEHOUSE_DBT_TARGET.",
                    allow_retries=False,
                )
            released = publish(now.session, here, dict(contracts), context.run_id)
            for name in names:
                yield dg.MaterializeResult(
                    asset_key=["serving", name],
                    metadata={
                        "dagster/row_count": released.row_counts.get(name, 0),
                        "release": released.release_id,
                        "gold_version": released.gold_versions[name],
                    },
                )
            yield dg.MaterializeResult(
                asset_key=["ops", "releases"],
                metadata={
                    "release": released.release_id,
                    "checks_passed": released.checks_passed,
                    "checks_warned": released.checks_warned,
                    "silver_versions": dg.MetadataValue.json(released.silver_versions),
                    "gold_versions": dg.MetadataValue.json(released.gold_versions),
                },
            )

    return _release


def _masked_type(column: str, node: Mapping[str, Any], contracts: Mapping[str, Contract]) -> str:
    how = mask_of(column, node, contracts)
    return f"masked ({how})" if how else "as in gold"


def publish(spark: Any, here: Settings, contracts: dict[str, Contract], run_id: str) -> Release:
    """Puts the newest audited build in force. Where nothing was audited since the last release, that one is only
    pointed at again. Idempotent.

    Raises Failure where there is nothing that passed its audit.
    """
    history = releases.events(spark)
    _refuse_held(history)
    now = next((event for event in history if event.status in releases.IN_FORCE), None)
    newest = next((event for event in history if event.status in ("audited", *releases.IN_FORCE)), None)
    if newest is None:
        raise dg.Failure(
            "There is no audited build of gold to release. Materialize gold first; see why it failed in the checks.",
            allow_retries=False,
        )
    marts = dbt.marts(here)
    if newest.status == "audited":
        fields: Sequence[str] = list(Release.__dataclass_fields__)
        now = Release(**{**{name: getattr(newest, name) for name in fields}, "status": "released", "run_id": run_id})
        releases.record(spark, now)
    assert now is not None
    releases.repoint(spark, here.storage_dir, contracts, now, marts)
    return now


class Dbt(DbtCliResource):
    """dbt's command line without what Dagster does around it: a dbt in this process, to ask the warehouse for columns and
    row counts, which the assets here ask the engine for; and `dbt --version`, which asks the package index for a newer
    one. That spares each build some seconds and 200 MB."""

    @property
    def _cli_version(self) -> Version:
        return Version(installed_version("dbt-core"))

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> Any:
        return None


def dbt_resource(config: Settings) -> DbtCliResource:
    """dbt from this Python's own folder: PATH may have another, or none."""
    project: Any = dbt.project(config)
    return Dbt(project_dir=project, dbt_executable=executable("lakehouse-dbt"), target=config.dbt_target)
