"""dagster-dbt, loaded as it is where dbt is not installed.

dbt runs in a process of its own. dagster-dbt imports it nevertheless, for three enumerations and to select nodes of the
manifest: half of what each process that loads the definitions did until it could begin. It has its own enumerations for
where there is no dbt-core, and takes a manifest whole without asking it.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from dagster_shared.libraries import DagsterLibraryRegistry


@contextmanager
def _hidden(package: str) -> Iterator[None]:
    """Inside the block the package is not there, unless it has been imported before."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]


with _hidden("dbt"):
    from dagster_dbt import DagsterDbtTranslator as DagsterDbtTranslator
    from dagster_dbt import DagsterDbtTranslatorSettings as DagsterDbtTranslatorSettings
    from dagster_dbt import DbtCliInvocation as DbtCliInvocation
    from dagster_dbt import DbtCliResource as DbtCliResource
    from dagster_dbt import DbtProject as DbtProject
    from dagster_dbt import dbt_assets as dbt_assets

# It takes what it does not find for dbt Fusion, and says so of this code location.
DagsterLibraryRegistry._libraries.pop("dbt-fusion", None)
DagsterLibraryRegistry.register("dbt-core", version("dbt-core"), is_dagster_package=False)
