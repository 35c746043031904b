"""The manifest: when it is made anew, and which marts can be built."""

import os
from pathlib import Path

import pytest

from lakehouse.contracts.loader import load_all
from lakehouse.gold import project as dbt
from lakehouse.settings import Settings, settings


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A project of one model, an hour old, and a manifest made since."""
    project, home = tmp_path / "project", tmp_path / "home"
    monkeypatch.setattr(Settings, "dbt_project_dir", property(lambda _: project))
    found = Settings(home=home)
    (project / "models").mkdir(parents=True)
    (project / "models" / "one.sql").write_text("select 1")
    dbt.target_dir(found).mkdir(parents=True)
    for name in ("manifest.json", "parsed.msgpack"):
        (dbt.target_dir(found) / name).write_text("{}")
    for path in (project / "models" / "one.sql", project / "models"):
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 3600))
    return found


def test_a_manifest_is_stale_when_a_model_changes_or_goes(here: Settings) -> None:
    assert not dbt.is_stale(here)
    model = here.dbt_project_dir / "models" / "one.sql"
    model.touch()
    os.utime(model, (model.stat().st_atime, model.stat().st_mtime + 60))
    assert dbt.is_stale(here)


def test_a_manifest_is_stale_when_a_model_is_renamed(here: Settings) -> None:
    model = here.dbt_project_dir / "models" / "one.sql"
    model.rename(model.with_name("two.sql"))  # keeps the time of the file
    now = (dbt.target_dir(here) / "manifest.json").stat().st_mtime
    os.utime(model.parent, (now + 60, now + 60))
    assert dbt.is_stale(here)


def test_a_manifest_without_the_parse_that_it_came_of_is_stale(here: Settings) -> None:
    (dbt.target_dir(here) / "parsed.msgpack").unlink()
    assert dbt.is_stale(here)


def test_dev_and_prod_have_a_manifest_each(tmp_path: Path) -> None:
    places = {dbt.target_dir(Settings(home=tmp_path, dbt_target=target)) for target in ("prod", "dev")}
    assert len(places) == 2


def test_marts_are_built_only_of_what_a_contract_describes(lakehouse_home: Path) -> None:
    contracts = load_all(settings())
    everything = dbt.buildable_marts(settings(), contracts)
    assert everything == dbt.marts(settings())
    assert dbt.unknown_sources(settings(), contracts) == []
    assert "shopify_orders" in dbt.tables_read(settings(), contracts)

    without = {table: contract for table, contract in contracts.items() if table != "catalog_products"}
    assert dbt.unknown_sources(settings(), without) == ["source:silver.catalog_products"]
    assert set(dbt.buildable_marts(settings(), without)) == {"dim_customers", "dim_dates", "fct_orders"}
    assert dbt.buildable_marts(settings(), {}) == {}
    assert dbt.tables_read(settings(), {}) == set()
