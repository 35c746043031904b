"""One step a silver table: the table, its child views and its quarantine, with the contract's checks."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from lakehouse.bronze.assets import asset_tags, contract_reference, owners, table_schema
from lakehouse.bronze.steps import TRANSIENT, step
from lakehouse.contracts.model import Column, Contract
from lakehouse.engine.resource import Engine
from lakehouse.quality import results as check_results
from lakehouse.quality.audit import QUALITY_SCORE, check_names
from lakehouse.quality.results import CHECK_RESULTS, CheckResult
from lakehouse.settings import settings
from lakehouse.silver import ledger, quarantine
from lakehouse.silver.evolution import ContractChangedError
from lakehouse.silver.quarantine import STATUS, Replay, Selection
from lakehouse.silver.refine import BatchBlockedError, Refined, refine
from lakehouse.silver.retention import ExpiredError
from lakehouse.silver.state import QUARANTINE, child_columns, is_historic
from lakehouse.storage import tables
from lakehouse.storage.tables import TableShapeError, literal


class ReplayConfig(dg.Config):
    """Which records in quarantine to replay: see `quarantine.Selection`; without a condition, those with a decision."""

    ids: list[str] = Field(default_factory=list)
    reasons: list[str] = Field(default_factory=list)
    files: list[str] = Field(default_factory=list)
    batches: list[int] = Field(default_factory=list)
    everything: bool = False
    made_by: str = ""
    note: str = ""

    @property
    def replay(self) -> Replay:
        named = (tuple(self.ids), tuple(self.reasons), tuple(self.files), tuple(self.batches))
        return Replay(Selection(*named, self.everything), self.made_by, self.note)


class SilverConfig(dg.Config):
    """Run configuration of a silver asset."""

    full_refresh: bool = False
    """Fold the whole table anew from bronze."""
    accept_loss: bool = False
    """Also where bronze no longer holds the records of some rows, which are lost by it."""
    replay: ReplayConfig | None = None
    """Take records that are in quarantine, instead of new ones."""


_TECHNICAL = (
    ("_rescued", "string", "JSON of the fields that the contract does not know; null if none."),
    ("_arrived_on", "date", "The arrival day of this version."),
    ("_batch", "bigint", "The batch that last changed the row."),
)
_HISTORY = (
    ("valid_from", "timestamp", "From when this version held."),
    ("valid_to", "timestamp", "Until when it held, exclusive; null while it holds."),
    ("is_current", "boolean", "Whether this version holds now."),
)


def _described(columns: Sequence[Column]) -> list[tuple[str, str, str]]:
    return [(column.name, column.type, column.description) for column in columns]


def _tags(columns: Sequence[Column]) -> dict[str, dict[str, str]]:
    return {
        column.name: {"classification": column.classification} | ({"mask": column.mask} if column.mask else {})
        for column in columns
        if column.classification
    }


def _specs(contract: Contract, references: Sequence[str]) -> list[dg.AssetSpec]:
    key = dg.AssetKey(["silver", contract.table])
    common: dict[str, Any] = {
        "group_name": "silver",
        "owners": owners(contract),
        "tags": asset_tags(contract),
        "code_version": contract.version,
    }
    history = _HISTORY if is_historic(contract) else ()
    schema = [*_described(contract.columns), *history, *_TECHNICAL]
    lineage = dg.TableColumnLineage(
        {
            column.name: [dg.TableColumnDep(asset_key=dg.AssetKey(["bronze", contract.table]), column_name="record")]
            for column in contract.columns
        }
    )
    freshness = None
    if contract.freshness_fail:
        freshness = dg.FreshnessPolicy.time_window(
            fail_window=contract.freshness_fail, warn_window=contract.freshness_warn
        )
    specs = [
        dg.AssetSpec(
            key,
            deps=[dg.AssetKey(["bronze", contract.table]), *(dg.AssetKey(["silver", name]) for name in references)],
            kinds={"spark", "delta", "soda"},
            description=f"{contract.description}\n\n{contract.grain}",
            freshness_policy=freshness,
            metadata={
                "dagster/column_schema": table_schema(schema, _tags(contract.columns)),
                "dagster/column_lineage": lineage,
                "dagster/table_name": contract.silver_table,
                "dagster/storage_kind": "delta",
                "contract": f"{contract.id} {contract.version}",
                "delivery": contract.delivery,
                "history": contract.history,
                **contract_reference(contract),
            },
            **common,
        ),
        dg.AssetSpec(
            ["silver", f"{contract.table}__quarantine"],
            deps=[dg.AssetKey(["bronze", contract.table])],
            kinds={"spark", "delta"},
            description=f"Records of {contract.title} that were not applied, with every reason; personal data masked. "
            "One row per record.",
            metadata={
                "dagster/column_schema": table_schema(
                    [(f.name, f.type, f.comment) for f in (*QUARANTINE, *STATUS) if f.name != "header"]
                ),
                "dagster/table_name": f"{contract.silver_table}__quarantine",
            },
            **common,
        ),
    ]
    for column in contract.child_tables:
        view = contract.child_view(column)
        child_schema = [*_described(child_columns(contract, column)), *_TECHNICAL[1:]]
        lineage = dg.TableColumnLineage(
            {child.name: [dg.TableColumnDep(asset_key=key, column_name=column.name)] for child in column.children}
            | {name: [dg.TableColumnDep(asset_key=key, column_name=name)] for name in contract.keys}
        )
        specs.append(
            dg.AssetSpec(
                ["silver", view.split(".")[1]],
                deps=[key],
                kinds={"spark", "view"},
                description=f"{column.description or column.name} as rows of their own. One row per element of "
                f"{column.name} of {contract.silver_table}.",
                metadata={
                    "dagster/column_schema": table_schema(child_schema),
                    "dagster/column_lineage": lineage,
                    "dagster/table_name": view,
                },
                **common,
            )
        )
    return specs


def references_of(contract: Contract, contracts: Sequence[Contract]) -> list[str]:
    """Tables that the contract's rows refer to: they are refined first, so that references can be audited."""
    known = {other.table for other in contracts}
    found = {check.reference_table for check in contract.checks if check.kind == "reference"}
    return sorted(table for table in found if table and table in known and table != contract.table)


def acyclic_references(contracts: Sequence[Contract]) -> dict[str, list[str]]:
    """references_of for every contract, less those that would close a circle (of two tables that refer to each
    other, the later one by name waits for the earlier)."""
    chosen: dict[str, list[str]] = {contract.table: [] for contract in contracts}

    def reaches(start: str, goal: str) -> bool:
        return start == goal or any(reaches(after, goal) for after in chosen[start])

    for contract in sorted(contracts, key=lambda item: item.table):
        for table in references_of(contract, contracts):
            if not reaches(table, contract.table):
                chosen[contract.table].append(table)
    return chosen


def silver_asset(contract: Contract, references: Sequence[str], all_tables: frozenset[str]) -> dg.AssetsDefinition:
    """The step of one silver table; its checks are evaluated before anything is committed."""
    key = dg.AssetKey(["silver", contract.table])
    named = check_names(contract)

    @dg.multi_asset(
        name=f"silver__{contract.table}",
        specs=_specs(contract, references),
        check_specs=[
            dg.AssetCheckSpec(
                name,
                asset=key,
                description=description,
                blocking=can_block,
                metadata={"dimension": dimension},
            )
            for name, (description, dimension, can_block) in named.items()
        ],
        pool=f"silver_{contract.table}",
        retry_policy=TRANSIENT,
    )
    def _silver(
        context: dg.AssetExecutionContext, config: SilverConfig, engine: Engine
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        here = settings()
        with step(engine, here) as now:
            spark = now.session
            existing = frozenset(table for table in all_tables if tables.exists(spark, f"silver.{table}"))
            try:
                replay = config.replay.replay if config.replay else None
                refined = refine(
                    spark,
                    here.storage_dir,
                    contract,
                    context.run_id,
                    existing,
                    config.full_refresh,
                    replay,
                    config.accept_loss,
                )
            except BatchBlockedError as blocked:
                for result in blocked.results:
                    yield _check(key, result)
                raise dg.Failure(str(blocked), metadata={"batch": str(blocked.batch)}, allow_retries=False) from blocked
            except (TableShapeError, ContractChangedError, ExpiredError) as problem:
                raise dg.Failure(str(problem), allow_retries=False) from problem
            yield from _results(context, contract, spark, key, refined)

    return _silver


def _results(
    context: dg.AssetExecutionContext, contract: Contract, spark: Any, key: dg.AssetKey, refined: Refined | None
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    refused, *children = (f"{contract.table}__quarantine", *(contract.child_view(c) for c in contract.child_tables))
    rows = _row_counts(spark, [contract.silver_table, contract.quarantine_table, *children])
    metadata: dict[str, Any] = {"dagster/row_count": rows[contract.silver_table]}
    if refined is None:
        context.log.info(f"{contract.silver_table}: nothing new")
        metadata["landed"] = 0
        age = _age(spark, contract)
        check_results.remember(spark, age, contract.version, context.run_id)
        checks = _remembered(spark, contract, age)
    else:
        counts = refined.counts
        metadata |= {
            "landed": refined.landed,
            **counts,
            "rows_deleted": refined.rows_deleted,
            "batch": str(refined.batch),
            "silver_version": refined.version,
            "seconds": round(refined.seconds, 1),
            "audit_seconds": round(refined.audit_seconds, 2),
            **({} if refined.score is None else {QUALITY_SCORE: refined.score}),
            "checks_passed": sum(1 for check in refined.checks if check.outcome == "pass"),
            "checks_warned": sum(1 for check in refined.checks if check.outcome == "warn"),
        }
        # A replay asks a few of them; of the others, the last answer stands.
        checks = _remembered(spark, contract, refined.checks) if refined.is_replay else refined.checks
        told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        context.log.info(f"{contract.silver_table}: {refined.landed} landed: {told or 'nothing'}")
    last = ledger.last_note(spark, contract) if tables.exists(spark, contract.state_table) else None
    # As before where nothing was taken: gold tells by it whether there is something new.
    version = dg.DataVersion(str(ledger.change_of(last[1]) if last else None))
    yield dg.MaterializeResult(asset_key=key, metadata=metadata, data_version=version)
    for check in checks:
        yield _check(key, check)
    yield dg.MaterializeResult(
        asset_key=["silver", refused], metadata={"dagster/row_count": rows[contract.quarantine_table]}
    )
    for view in children:
        yield dg.MaterializeResult(asset_key=["silver", view.split(".")[1]], metadata={"dagster/row_count": rows[view]})


def _age(spark: Any, contract: Contract) -> list[CheckResult]:
    """How long records have waited until now, where there is a quarantine."""
    if not tables.exists(spark, contract.quarantine_table):
        return []
    return [quarantine.age(spark, contract, None, tables.exists(spark, contract.resolutions_table))]


def _row_counts(spark: Any, names: Sequence[str]) -> dict[str, int]:
    """Rows by table or view, in one query; 0 for what does not exist yet."""
    there = [name for name in names if tables.exists(spark, name)]
    counts = dict.fromkeys(names, 0)
    if there:
        listed = ", ".join(f"(select count(*) from {name})" for name in there)
        counts |= {name: int(count) for name, count in zip(there, spark.sql(f"select {listed}").first(), strict=True)}
    return counts


def _check(key: dg.AssetKey, result: CheckResult) -> dg.AssetCheckResult:
    metadata: dict[str, Any] = {
        "expected": result.threshold,
        "dimension": result.dimension,
        "batch": str(result.batch or ""),
    }
    if result.value is not None:
        metadata["value"] = float(result.value)
    metadata |= dict(result.parts)
    if result.samples:
        metadata["anomalies" if result.kind == "anomaly" else "failing_records"] = dg.MetadataValue.table(
            [dg.TableRecord({name: str(value) for name, value in sample.items()}) for sample in result.samples]
        )
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=result.name,
        passed=result.outcome == "pass",
        severity=dg.AssetCheckSeverity.ERROR if result.outcome == "fail" else dg.AssetCheckSeverity.WARN,
        description=result.description if result.outcome == "pass" else result.sentence,
        metadata=metadata,
    )


def _remembered(spark: Any, contract: Contract, fresh: Sequence[CheckResult]) -> list[CheckResult]:
    """The results of the newest batch, for a run that took none: the table is still what they were found on. Those that
    are `fresh` stand for themselves."""
    if not tables.exists(spark, CHECK_RESULTS):
        return list(fresh)
    rows = spark.sql(
        f"""select check_name, max_by(struct(*), evaluated_at) as last
        from {CHECK_RESULTS}
        where table_name = {literal(contract.table)}
        group by check_name"""
    ).collect()
    known = {name: facts for name, facts in check_names(contract).items() if name not in {r.name for r in fresh}}
    remembered = [
        CheckResult(
            table=contract.table,
            name=row["check_name"],
            kind=row["last"]["kind"],
            dimension=row["last"]["dimension"],
            outcome=row["last"]["outcome"],
            value=row["last"]["value"],
            threshold=row["last"]["threshold"],
            description=known[row["check_name"]][0],
            column=row["last"]["column_name"],
            batch=row["last"]["batch"],
            severity=row["last"]["severity"] or "error",
            credit=row["last"]["credit"],
            partition=row["last"]["partition"],
            seconds=row["last"]["seconds"],
        )
        for row in rows
        if row["check_name"] in known
    ]
    return [*fresh, *remembered]


def silver_assets(contracts: Sequence[Contract]) -> list[dg.AssetsDefinition]:
    """One step a contract."""
    references = acyclic_references(contracts)
    names = frozenset(contract.table for contract in contracts)
    return [silver_asset(contract, references[contract.table], names) for contract in contracts]
