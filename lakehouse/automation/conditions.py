"""What follows what, as Dagster's automation conditions: silver follows bronze; gold and its release follow silver.

These react to materializations, whoever made them: the sensor of landing, a schedule, a backfill, a hand in the UI. What no
materialization tells is for `pending_work`: files in landing, a contract or a model that changed, a decision about a batch
that is held back, a run that died. It also takes up what these missed, for they react to what is new between two looks: where
nobody looked yet (the first start, a condition that is new), there is nothing to compare with.

Why not Dagster's own conditions:

- `eager()` asks for what is missing, looks at the newest partition alone, and is reset by every materialization: a file
  that bronze takes while silver is under way would wait for the next one. See `_until_asked`.
- `all_deps_blocking_checks_passed()` takes a check that warns for one that failed, and a check without a result for one that
  did not pass; rules that are broken below their threshold warn, so it would hold gold for ever. It guards bronze here, whose
  checks do not warn when they block. Silver needs no guard: every blocking check of it is asked by the step that makes the
  table, before the commit. A batch that fails one is not in the table and changes nothing here, in this run or in another.
- A step that finds nothing new materializes its assets all the same. Bronze and silver say their newest batch as data
  version: what has the same is no change.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import or_
from typing import Any

import dagster as dg
from dagster import AutomationCondition as When

from lakehouse.automation.instance import STARTED_BY
from lakehouse.contracts.model import Contract
from lakehouse.gold import project as dbt
from lakehouse.settings import Settings

SENSOR = "follow_up"
INTERVAL_SECONDS = 10
BY_CONDITIONS = {"lakehouse/started_by": "conditions"}
"""Tag of the runs that the conditions ask for."""
BUILD = ("staging", "gold", "serving")
"""Groups of the assets that are built and released together, in one run."""
_BRONZE = dg.AssetSelection.groups("bronze")

CHANGED = (
    When.data_version_changed()
    & ~When.all_new_updates_have_run_tags(tag_values=STARTED_BY)
    & ~When.executed_with_root_target()
).with_label("changed, and nobody is at what follows")
"""A table has a new batch. `lakehouse run` does what follows by itself, and so does a run of both: what they leave undone is
taken up by `pending_work`."""


def _until_asked(news: Any) -> Any:
    """From `news` on until a run is asked for. Where both come in one look, the news is younger than the request, whose run
    may have begun without it: it stands. (Dagster's `since` would let the request win.)"""
    return news.since(When.newly_requested() & ~news)


SILVER_FOLLOWS_BRONZE = (
    _until_asked(When.any_deps_match(CHANGED).allow(_BRONZE)).with_label("bronze has a new batch")
    # Several runs of a backfill are one batch; and references are audited against the newest rows.
    & ~When.any_deps_in_progress()
    # In one run, a table that is held back would take with it those that refer to it.
    & ~When.any_deps_match(When.will_be_requested()).with_label("a table that it refers to goes first")
    & ~When.in_progress()
    & When.all_deps_blocking_checks_passed().allow(_BRONZE)
).with_label("silver follows bronze")
"""Of bronze alone: a new batch of a table that it refers to changes no row of this one."""

WITH_THE_BUILD = When.any_deps_match(When.will_be_requested()).with_label("with the models that it is made of")
"""A part of gold is not released: what is downstream of a model is built in the same run."""


def gold_follows_silver(tables: Iterable[str], last: dg.AssetKey) -> dg.AutomationCondition[dg.AssetKey]:
    """For every model that reads silver: one of all the tables that gold reads has a new batch. The same for each of them, so
    that a whole gold is asked for; once for the tables that are under way together.

    `last`: the asset that a build of gold ends with; it has not ended before.
    """
    keys = [dg.AssetKey(["silver", table]) for table in sorted(tables)]
    has_news = _any(When.asset_matches(key, CHANGED) for key in keys)
    is_coming = _any(When.asset_matches(key, When.in_progress() | When.will_be_requested()) for key in keys)
    return (
        _until_asked(has_news).with_label("silver has a new batch")
        & ~is_coming.with_label("more of silver is under way")
        & ~When.asset_matches(last, When.in_progress())
    ).with_label("gold follows silver")


def _any(conditions: Iterable[Any]) -> Any:
    return reduce(or_, conditions)


def with_conditions(assets: Sequence[Any], contracts: Mapping[str, Contract], config: Settings) -> list[Any]:
    """The assets, those of silver and of gold with what starts them."""
    read = dbt.tables_read(config, contracts) if dbt.buildable_marts(config, contracts) else set()
    specs = [spec for definition in assets for spec in definition.specs]
    built = sorted(spec.key for spec in specs if spec.group_name in BUILD)
    last = next((key for key in built if key.path[-1] == "releases"), built[-1] if built else None)
    gold = gold_follows_silver(read, last) if read and last else None

    def conditioned(spec: dg.AssetSpec) -> dg.AssetSpec:
        if spec.key.path[0] == "silver" and spec.key.path[-1] in contracts:
            return spec.replace_attributes(automation_condition=SILVER_FOLLOWS_BRONZE)
        if spec.group_name in BUILD:
            has_models = any(dep.asset_key in built for dep in spec.deps)
            return spec.replace_attributes(automation_condition=WITH_THE_BUILD if has_models else gold)
        return spec

    return list(dg.map_asset_specs(conditioned, assets))


def follow_up() -> dg.AutomationConditionSensorDefinition:
    """Looks at the conditions; runs from the first start of the daemon on."""
    return dg.AutomationConditionSensorDefinition(
        SENSOR,
        target=dg.AssetSelection.all(),
        run_tags=BY_CONDITIONS,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Silver follows bronze, gold and its release follow silver: each asset's page says by which condition.",
    )
