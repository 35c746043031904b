"""A few records that broke a check at its last evaluation, from what Dagster remembers of it: of a batch that was held back
nothing is in a table. They were masked when they were written."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import dagster as dg

from lakehouse.automation.report.data import Check, Checked, Model, ReportData, Table
from lakehouse.silver.masks import REDACTED

RECORDS = ("failing_records", "failing_rows")
"""The metadata of a check's evaluation that holds them: of a table, of a model."""


def with_samples(data: ReportData, instance: dg.DagsterInstance) -> ReportData:
    """The data with samples of every check that failed or warned.

    None are shown of an evaluation that is not the one that ops.check_results holds last, nor of one by another version of
    the contract: it may have masked less. Of a model, whose masks may be of several contracts, what readers do not see now
    is not shown.
    """
    keys = [_key(item, check) for item, check in (*data.found("fail"), *data.found("warn"))]
    if not keys:
        return data
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)

    def filled(item: Checked) -> tuple[Check, ...]:
        return tuple(replace(one, samples=_records(item, one, found.get(_key(item, one)))) for one in item.checks)

    return replace(
        data,
        tables=tuple(replace(table, checks=filled(table)) for table in data.tables),
        models=tuple(replace(model, checks=filled(model)) for model in data.models),
    )


def _key(item: Checked, check: Check) -> dg.AssetCheckKey:
    path = item.name.split(".") if "." in item.name else ["silver", item.name]
    return dg.AssetCheckKey(dg.AssetKey(path), check.name)


def _records(item: Checked, check: Check, execution: Any) -> tuple[Mapping[str, str], ...]:
    event = execution.event.dagster_event if execution is not None and execution.event else None
    evaluation = event.event_specific_data if event is not None else None
    # Of a run that is at work, or whose step failed before it came to the check, it is only planned.
    if (
        not isinstance(evaluation, dg.AssetCheckEvaluation)
        or check.last is None
        or check.verdict not in ("fail", "warn")
    ):
        return ()
    metadata: Mapping[str, Any] = evaluation.metadata
    if isinstance(item, Table) and check.last.contract_version != item.contract.version:
        return ()
    if "batch" not in metadata or str(metadata["batch"].value) != str(check.last.batch or ""):
        return ()
    listed = next((metadata[name].value.records for name in RECORDS if name in metadata), ())
    return tuple(_seen(item, check, record.data) for record in listed)


def _seen(item: Checked, check: Check, record: Mapping[str, Any]) -> Mapping[str, str]:
    """A record as people may see it. A test names its column as it likes: then the mask is that of what it is about."""
    masks = {name: mask for name, _, _, mask in item.columns} if isinstance(item, Model) else {}
    about = masks.get(check.column or "", "")
    return {name: REDACTED if masks.get(name, about) else str(value) for name, value in record.items()}
