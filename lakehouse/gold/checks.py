"""The tests of dbt as checks like any other: what each is called, what it expects, and the result that is remembered."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from lakehouse.quality.results import CheckResult, Outcome

KIND = "dbt"
"""Of results in ops.check_results."""
FAILED_ROWS, SECONDS = "dagster_dbt/failed_row_count", "Execution Duration"
"""What dagster-dbt says of a test in the metadata of its event."""
_DIMENSIONS = {
    "not_null": "completeness",
    "complete": "completeness",
    "at_least_one": "completeness",
    "row_count_in_range": "completeness",
    "sequential_values": "completeness",
    "unique": "uniqueness",
    "unique_combination": "uniqueness",
    "accepted_values": "validity",
    "matches_pattern": "validity",
    "expression_holds": "validity",
    "relationships": "consistency",
    "no_overlap": "consistency",
    "recency": "timeliness",
}
_SINGULAR, _OTHER = "accuracy", "validity"
_SAID = {
    "not_null": "{column} is never null.",
    "unique": "No value of {column} occurs twice.",
    "accepted_values": "{column} has none but the accepted values.",
    "relationships": "Every {column} is found in the table that it refers to.",
}
"""What dbt's own tests ask, where the project does not say it."""


@dataclass(frozen=True)
class DataTest:
    """A data test of dbt."""

    model: str
    """Unique id of the model that it is a check of."""
    name: str
    dimension: str
    description: str
    is_blocking: bool
    column: str | None = None


def data_tests(manifest: Mapping[str, Any]) -> dict[str, DataTest]:
    """Unique id → test, of every data test that is a check of a model.

    Its dimension is what `meta: {dimension: …}` says, else follows from the kind of test: a test written in SQL of its
    own compares tables with each other, which is accuracy.
    """
    models = {node["name"]: key for key, node in manifest.get("nodes", {}).items() if node["resource_type"] == "model"}
    found = {}
    for key, node in manifest.get("nodes", {}).items():
        if node["resource_type"] != "test":
            continue
        meta = node["config"].get("meta") or {}
        kind = (node.get("test_metadata") or {}).get("name")
        model = node.get("attached_node") or models.get(meta.get("dagster", {}).get("ref", {}).get("name"))
        if model is None or model not in models.values():
            continue
        column = node.get("column_name")
        by_kind = _SINGULAR if kind is None else _DIMENSIONS.get(kind, _OTHER)
        found[key] = DataTest(
            model,
            node["name"],
            meta.get("dimension", by_kind),
            " ".join((node.get("description") or _SAID.get(kind or "", "").format(column=column)).split()),
            node["config"]["severity"].lower() == "error",
            column,
        )
    return found


def result_of(event: dg.AssetCheckResult, known: Mapping[str, DataTest], release: int | None) -> CheckResult | None:
    """What a test found on the build of a release (None: of one that is not released), which counts as its batch. None of a
    test that is no check of a model."""
    assert event.asset_key is not None
    test = known.get(str(event.metadata["unique_id"].value))
    if test is None:
        return None
    failing = event.severity == dg.AssetCheckSeverity.ERROR
    outcome: Outcome = "pass" if event.passed else "fail" if failing else "warn"
    rows, seconds = (event.metadata.get(name) for name in (FAILED_ROWS, SECONDS))
    return CheckResult(
        table=".".join(event.asset_key.path),
        name=test.name,
        kind=KIND,
        dimension=test.dimension,
        outcome=outcome,
        value=None if rows is None else float(str(rows.value)),
        threshold="0 failing rows",
        description=test.description,
        column=test.column,
        batch=release,
        severity="error" if test.is_blocking else "warning",
        seconds=None if seconds is None else float(str(seconds.value)),
    )


def described(event: dg.AssetCheckResult, result: CheckResult) -> dg.AssetCheckResult:
    """The event with what checks of other tables say, too: what was expected, what was found, the dimension."""
    told: dict[str, Any] = {
        "expected": result.threshold,
        "dimension": result.dimension,
        "batch": str(result.batch or ""),
    }
    if result.value is not None:
        told["value"] = result.value
    return dg.AssetCheckResult(
        asset_key=event.asset_key,
        check_name=event.check_name,
        passed=event.passed,
        severity=event.severity,
        description=result.description if event.passed else result.sentence,
        metadata={**event.metadata, **told},
    )
