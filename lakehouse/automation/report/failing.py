"""A few records that broke a check at its last evaluation, from what Dagster remembers of it: of a batch that was held back
nothing is in a table. They were masked when they were written."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import dagster as dg

from lakehouse.automation.report.data import Check, Checked, ReportData

RECORDS = "failing_records"
"""The metadata of a check's evaluation that holds them."""


def with_samples(data: ReportData, instance: dg.DagsterInstance) -> ReportData:
    """The data with samples of every check that failed or warned.

    None are shown of an evaluation that is not the one that ops.check_results holds last, nor of one by another version of
    the contract: it may have masked less.
    """
    keys = [_key(item, check) for item, check in (*data.found("fail"), *data.found("warn"))]
    if not keys:
        return data
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)

    def filled(item: Any, version: str | None) -> Any:
        checks = tuple(
            replace(check, samples=_records(check, version, found.get(_key(item, check)))) for check in item.checks
        )
        return replace(item, checks=checks)

    return replace(
        data,
        tables=tuple(filled(table, table.contract.version) for table in data.tables),
        models=tuple(filled(model, None) for model in data.models),
    )


def _key(item: Checked, check: Check) -> dg.AssetCheckKey:
    path = item.name.split(".") if "." in item.name else ["silver", item.name]
    return dg.AssetCheckKey(dg.AssetKey(path), check.name)


def _records(check: Check, version: str | None, execution: Any) -> tuple[Mapping[str, str], ...]:
    event = execution.event.dagster_event if execution is not None and execution.event else None
    if event is None or check.last is None or check.verdict not in ("fail", "warn"):
        return ()
    metadata = event.event_specific_data.metadata
    if version is not None and check.last.contract_version != version:
        return ()
    if "batch" in metadata and str(metadata["batch"].value) != str(check.last.batch or ""):
        return ()
    listed = metadata[RECORDS].value.records if RECORDS in metadata else ()
    return tuple({name: str(value) for name, value in record.data.items()} for record in listed)
