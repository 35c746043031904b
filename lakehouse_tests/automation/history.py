"""A history of runs and materializations in an ephemeral instance, made with assets that do nothing."""

from collections.abc import Mapping
from typing import Any

import dagster as dg


class History:
    """What happened to the assets of a graph."""

    def __init__(self, definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
        self.definitions, self.instance = definitions, instance
        self.graph: Any = definitions.resolve_asset_graph()
        self._cursor: Any = None

    def made(self, *keys: str, batch: int, tags: Mapping[str, str] | None = None, days: int = 1) -> None:
        """A run that materialized these assets; of one with partitions the newest `days`, at once."""
        assets, day_tags = [], {}
        for key in keys:
            partitions = self.graph.get(dg.AssetKey(key.split("/"))).partitions_def
            if partitions:
                names = partitions.get_partition_keys()[-days:]
                day_tags = {
                    "dagster/asset_partition_range_start": names[0],
                    "dagster/asset_partition_range_end": names[-1],
                }
            assets.append(_asset(key, batch, partitions))
        job = dg.Definitions(assets=assets).resolve_implicit_global_asset_job_def()
        job.execute_in_process(
            instance=self.instance,
            asset_selection=[asset.key for asset in assets],
            tags={**day_tags, **(tags or {})},
        )

    def held_back(self, key: str, tags: Mapping[str, str] | None = None) -> None:
        """A run of a table of silver, in which a blocking check failed before anything was committed."""

        @dg.multi_asset(
            name="held",
            specs=[dg.AssetSpec(key.split("/"))],
            check_specs=[dg.AssetCheckSpec("quarantine_rate", asset=key.split("/"), blocking=True)],
        )
        def _held() -> Any:
            yield dg.AssetCheckResult(
                asset_key=key.split("/"),
                check_name="quarantine_rate",
                passed=False,
                severity=dg.AssetCheckSeverity.ERROR,
            )
            raise dg.Failure("held back", allow_retries=False)

        done = dg.materialize([_held], instance=self.instance, tags=tags, raise_on_error=False)
        assert not done.success

    def begun(self, *keys: str, tags: Mapping[str, str] | None = None) -> str:
        """A run of these assets (of one with partitions: of its newest) that has begun and not ended; its id."""
        job = self.definitions.resolve_implicit_global_asset_job_def()
        selection = frozenset(dg.AssetKey(key.split("/")) for key in keys)
        grains = {self.graph.get(key).partitions_def for key in selection} - {None}
        day = next((grain.get_last_partition_key() for grain in grains), None)
        run = self.instance.create_run_for_job(
            job.get_subset(asset_selection=selection),
            asset_selection=selection,
            status=dg.DagsterRunStatus.STARTED,
            tags={**({"dagster/partition": day} if day else {}), **(tags or {})},
        )
        return run.run_id

    def ended(self, run_id: str) -> None:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        self.instance.report_run_failed(run)

    def requested(self) -> set[str]:
        """The assets that the conditions ask for, at the next look."""
        result = dg.evaluate_automation_conditions(
            self.definitions, self.instance, asset_selection=dg.AssetSelection.all(), cursor=self._cursor
        )
        self._cursor = result.cursor
        keys = self.graph.materializable_asset_keys
        return {key.to_user_string() for key in keys if result.get_num_requested(key)}


def _asset(key: str, batch: int, partitions: Any) -> dg.AssetsDefinition:
    @dg.asset(key=key.split("/"), partitions_def=partitions, backfill_policy=dg.BackfillPolicy.single_run())
    def _made() -> dg.MaterializeResult[Any]:
        return dg.MaterializeResult(data_version=dg.DataVersion(str(batch)))

    return _made
