"""Rows that break a dbt test: on the check's page and in a table, bounded and masked."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from lakehouse.contracts.loader import load_all
from lakehouse.contracts.model import Contract
from lakehouse.gold import failures
from lakehouse.gold import release as releases
from lakehouse.gold.assets import _with_failing_rows
from lakehouse.settings import settings

MODEL = {
    "columns": {"Email": {"meta": {"contract_column": "stripe_customers.email"}}, "tier": {}},
    "config": {},
}
NODE = {
    "name": "tiers_known",
    "unique_id": "test.lakehouse.tiers_known",
    "package_name": "lakehouse",
    "original_file_path": "models/marts/_m.yml",
    "path": "tiers_known.sql",
    "description": "Tiers are known.",
    "column_name": "email",
    "depends_on": {"nodes": ["model.lakehouse.m"]},
}
MANIFEST = {"nodes": {"model.lakehouse.m": MODEL, NODE["unique_id"]: NODE}}
QUERY = """
-- all of them
select 'jane@secret.example' as email, 'jane@secret.example' as unique_field, 'low' as tier, 'Jane Secret' as alias,
    cast(id as decimal(4, 0)) as n, date'1980-01-01' as born, id = 1 as is_first
from range(250)
"""


@pytest.fixture(scope="module")
def contracts(spark: Any) -> dict[str, Contract]:
    releases.ensure_tables(spark, settings().storage_dir)  # the key of masked hashes
    return load_all(settings())


def event(**metadata: Any) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=["gold", "m"],
        check_name="tiers_known",
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"unique_id": NODE["unique_id"], **metadata},
    )


def shown(spark: Any, contracts: dict[str, Contract], target: Path) -> tuple[dg.AssetCheckResult, list[str]]:
    """The event as Dagster gets it, and what was logged."""
    said: list[str] = []
    context: Any = SimpleNamespace(run_id="run1", log=SimpleNamespace(warning=said.append))
    return _with_failing_rows(event(other=1), context, spark, MANIFEST, contracts, target, settings()), said


def test_they_are_shown_and_kept_masked_and_few(spark: Any, contracts: dict[str, Contract], tmp_path: Path) -> None:
    file = tmp_path / "compiled" / "lakehouse" / "models" / "marts" / "_m.yml" / "tiers_known.sql"
    file.parent.mkdir(parents=True)
    file.write_text(QUERY)
    found, said = shown(spark, contracts, tmp_path)
    assert said == []
    assert (found.passed, found.severity, found.check_name) == (False, dg.AssetCheckSeverity.WARN, "tiers_known")
    assert found.description == "Tiers are known."
    assert found.metadata["other"].value == 1
    table = found.metadata["failing_rows"]
    assert isinstance(table, dg.TableMetadataValue)
    assert len(table.records) == failures.SHOWN
    first = table.records[0].data
    assert (first["tier"], first["n"], first["is_first"]) == ("low", "0", "False")
    assert (first["alias"], first["born"]) == ("•••", "•••"), "whose column cannot be told"
    assert first["email"] == first["unique_field"]
    assert len(str(first["email"])) == 64
    for _ in range(2):  # the rows of an earlier build make room
        found, _said = shown(spark, contracts, tmp_path)
    kept = spark.sql(f"select row, run_id from {failures.FAILURES} where test_name = 'tiers_known'").collect()
    assert len(kept) == failures.KEPT
    assert "secret" not in repr(kept).lower()
    assert kept[0]["run_id"] == "run1"


def test_a_verdict_stands_without_its_rows(spark: Any, contracts: dict[str, Contract], tmp_path: Path) -> None:
    found, said = shown(spark, contracts, tmp_path)
    assert not found.passed
    assert "failing_rows" not in found.metadata
    assert "cannot be shown" in said[0]
