"""What loads the definitions does not load dbt, and is none the wiser where something else has."""

import subprocess
import sys

import pytest

from lakehouse.contracts.loader import load_all
from lakehouse.gold import project as dbt
from lakehouse.gold.assets import COMMAND, build_command
from lakehouse.settings import PROJECT, settings

# isort: split
from dagster_dbt.asset_utils import extract_runtime_selection_from_args

_TELL = """
import dagster as dg
from dagster_shared.libraries import DagsterLibraryRegistry
from lakehouse.definitions import defs
known = DagsterLibraryRegistry.get()
gold = next(one for one in defs.assets if isinstance(one, dg.AssetsDefinition) and one.op.name == "gold")
print({"dbt", "networkx"} & set(sys.modules), known.get("dbt-fusion"), "dbt-core" in known)
print(len(list(gold.keys)), len(list(gold.check_keys)))
"""


def told(first: str) -> list[str]:
    script = f"import sys\n{first}\n{_TELL}"
    said = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    return said.stdout.splitlines()[-2:]


def test_definitions_are_the_same_with_dbt_loaded_and_without() -> None:
    without, of = told("")
    assert without == "set() None True"
    assert told("import dbt.version")[1] == of
    assert of.split()[0] == str(len(dbt.models(settings())))


def test_what_is_left_out_is_one_argument_of_the_command() -> None:
    """Orders have a child view: without their contract, two sources are left out."""
    contracts = load_all(settings())
    assert build_command(settings(), contracts) == COMMAND
    without = {table: contract for table, contract in contracts.items() if table != "shopify_orders"}
    cleaned, _, excluded = extract_runtime_selection_from_args(build_command(settings(), without))
    assert tuple(cleaned) == COMMAND
    assert excluded == ["source:silver.shopify_order_lines+", "source:silver.shopify_orders+"]


@pytest.mark.parametrize("missing", ["catalog_products", "marketing_campaigns"])
def test_a_build_has_no_part_in_what_no_contract_describes(missing: str) -> None:
    contracts = {table: contract for table, contract in load_all(settings()).items() if table != missing}
    whole = dbt.manifest(settings())
    left = whole["nodes"].keys() - dbt.built(whole, contracts)["nodes"].keys()
    assert left == dbt.not_built(whole, contracts) & whole["nodes"].keys()
    assert any("stg_catalog__products" in key for key in left) == (missing == "catalog_products")
