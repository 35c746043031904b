"""What a build of gold is told, and what of it may be released."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from lakehouse.contracts.loader import load_all
from lakehouse.definitions import build
from lakehouse.gold import project as dbt
from lakehouse.gold import release as releases
from lakehouse.gold.assets import COMMAND, GoldConfig, _reason, dbt_args, gold_assets
from lakehouse.gold.release import Release, ReleaseError
from lakehouse.settings import Settings, settings


def release(number: int, status: str = "released", **other: Any) -> Release:
    return Release(number, status, {"shopify_orders": 7}, {"shopify_orders": 70}, {"fct_orders": number}, **other)


def told(arguments: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(arguments[arguments.index("--vars") + 1])
    return found


def test_an_increment_starts_from_the_batches_of_the_last_release() -> None:
    arguments = dbt_args(GoldConfig(), release(1, code="a"), "a", same=["catalog_products"])
    assert "--full-refresh" not in arguments
    assert told(arguments)["since"] == {"shopify_orders": 70}
    assert told(arguments)["unchanged"] == ["catalog_products"]


@pytest.mark.parametrize(
    ("config", "last", "rebuilt"),
    [
        (GoldConfig(), None, []),
        (GoldConfig(full_refresh=True), release(1, code="a"), []),
        (GoldConfig(), release(1, code="before the model was changed"), []),
        (GoldConfig(), release(1, code="a"), ["shopify_orders"]),
    ],
    ids=["the first", "by demand", "by other code", "on a rebuilt table"],
)
def test_which_builds_start_from_nothing(config: GoldConfig, last: Release | None, rebuilt: list[str]) -> None:
    arguments = dbt_args(config, last, "a", rebuilt)
    assert "--full-refresh" in arguments
    assert "since" not in told(arguments)


def test_unit_tests_are_no_part_of_a_build() -> None:
    assert COMMAND[COMMAND.index("--exclude-resource-type") + 1] == "unit_test"
    units = {test["name"] for test in dbt.manifest(settings())["unit_tests"].values()}
    assert units
    (gold,) = (asset for asset in gold_assets(load_all(settings()), settings()) if asset.op.name == "gold")
    assert not units & {key.name for key in gold.check_keys}


def test_the_reason_is_what_dbt_said_and_not_its_command() -> None:
    problem = RuntimeError(
        f"The dbt CLI process with command\n\n`dbt build {'x' * 900}`\n\nfailed with exit code `1`.\n\n"
        "Errors parsed from dbt logs:\n\nFailure in test unique_fct_orders_order_id\n\n  Got 3 results"
    )
    assert _reason(problem) == "Failure in test unique_fct_orders_order_id Got 3 results"
    assert _reason(RuntimeError("the engine\ndied")) == "the engine died"
    stack = (
        "\n    at org.apache.spark.sql.X.run(X.scala:1)\n    at or...\n  Driver stacktrace:\n  Caused by: no such file"
    )
    assert _reason(RuntimeError(f"Database Error in model fct_orders{stack}")) == (
        "Database Error in model fct_orders Caused by: no such file"
    )


def test_only_prod_has_a_release(lakehouse_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = dbt.prepare(settings())
    monkeypatch.setattr(dbt, "prepare", lambda _: manifest)
    contracts = load_all(settings())
    for target, names in (("prod", ["gold", "release"]), ("dev", ["gold"])):
        found = gold_assets(contracts, Settings(home=lakehouse_home, dbt_target=target))
        assert [asset.op.name for asset in found] == names


def test_a_part_of_gold_is_known_as_a_part(lakehouse_home: Path) -> None:
    job = build(settings()).resolve_implicit_global_asset_job_def()

    def is_subset(keys: set[dg.AssetKey]) -> bool:
        assets = job.get_subset(asset_selection=keys).asset_layer.asset_graph.assets_defs
        return next(asset.is_subset for asset in assets if asset.is_executable and asset.op.name == "gold")

    (gold,) = (asset for asset in gold_assets(load_all(settings()), settings()) if asset.op.name == "gold")
    assert not is_subset(set(gold.keys))
    assert is_subset({dg.AssetKey(["gold", "fct_orders"])})


@pytest.mark.parametrize(
    ("events", "held"),
    [
        ([], False),
        ([(1, "released")], False),
        ([(1, "released"), (2, "released"), (1, "rolled_back")], True),
        ([(1, "released"), (2, "released"), (1, "rolled_back"), (3, "failed")], True),
        ([(1, "released"), (2, "released"), (1, "rolled_back"), (1, "resumed")], False),
        ([(1, "released"), (2, "released"), (1, "rolled_back"), (2, "rolled_back")], False),
        ([(1, "released"), (2, "released"), (1, "rolled_back"), (1, "resumed"), (3, "released")], False),
    ],
)
def test_a_rollback_holds_until_somebody_resumes(events: list[tuple[int, str]], held: bool) -> None:
    assert releases.is_held([release(number, status) for number, status in reversed(events)]) is held


def test_no_rollback_to_a_release_whose_versions_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded: list[Release] = []
    monkeypatch.setattr(releases, "events", lambda _: [release(2), release(1)])
    monkeypatch.setattr(releases, "record", lambda _, row: recorded.append(row))
    monkeypatch.setattr(releases, "repoint", lambda *_: None)
    monkeypatch.setattr(releases, "_is_readable", lambda _, table, version: (table, version) != ("gold.fct_orders", 1))
    with pytest.raises(ReleaseError, match="fct_orders have lost the versions"):
        releases.rollback(None, "", {}, {})  # type: ignore[arg-type]
    assert recorded == []
    monkeypatch.setattr(releases, "_is_readable", lambda *_: True)
    assert releases.rollback(None, "", {}, {}).release_id == 1  # type: ignore[arg-type]
    assert [row.status for row in recorded] == ["rolled_back"]
