"""The dbt project: where it is, and its manifest, without which no asset of gold can be told."""

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from lakehouse.contracts.model import Contract
from lakehouse.settings import Settings, executable

if TYPE_CHECKING:
    from lakehouse.gold.without_dbt import DbtProject

_QUIET = "ignore::UserWarning:pyspark.sql.connect.session"
"""dbt-spark sets static confs with every statement; Spark Connect warns each time. This silences exactly that."""

_BUILD = "run-"
"""What the folders of builds begin with."""
_BUILDS_KEPT = 5
_PARSE_SECONDS = 600
"""A parse takes seconds."""
_PARTIAL, _PARSED = "partial_parse.msgpack", "parsed.msgpack"
"""What dbt keeps of a parse, and where builds find it, which use it instead of parsing."""
PINNED = "silver_pinned"
"""The schema of the views that a build reads: silver at fixed versions."""


class DbtError(Exception):
    """dbt could not read its project."""


def project(settings: Settings) -> "DbtProject":
    """The project, with everything that dbt writes under the lakehouse's home."""
    from lakehouse.gold.without_dbt import DbtProject  # a second, which `lakehouse sql` need not wait for

    return DbtProject(
        project_dir=settings.dbt_project_dir,
        profiles_dir=settings.dbt_project_dir,
        profile="lakehouse",
        target=settings.dbt_target,
        target_path=target_dir(settings),
    )


def target_dir(settings: Settings) -> Path:
    """Where dbt writes. A folder a target: the manifest names its schemas, and those of dev must never pass for prod's."""
    return settings.home / "dbt" / ("target" if settings.dbt_target == "prod" else f"target-{settings.dbt_target}")


def dbt_environment(remote_url: str | None = None) -> dict[str, str]:
    """What dbt needs in its environment beside this process's own."""
    found = {"PYTHONWARNINGS": _QUIET, "DO_NOT_TRACK": "1", "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "TZ": "UTC"}
    return found | ({"SPARK_REMOTE": remote_url} if remote_url else {})


def _sources(settings: Settings) -> list[Path]:
    """Files of the project, and its folders: a removed or renamed file changes nothing but its folder's time."""
    root = settings.dbt_project_dir
    patterns = (
        "dbt_project.yml",
        "profiles.yml",
        "models",
        "models/**/*",
        "macros",
        "macros/**/*",
        "tests",
        "tests/**/*",
    )
    return [path for pattern in patterns for path in root.glob(pattern)]


def changed_at(settings: Settings) -> float:
    """When a file of the project was changed last, in seconds since 1970."""
    return max((path.stat().st_mtime for path in _sources(settings)), default=0.0)


def is_stale(settings: Settings) -> bool:
    """Whether the manifest is missing or older than a file of the project."""
    manifest = target_dir(settings) / "manifest.json"
    if not (manifest.exists() and manifest.with_name(_PARSED).exists()):
        return True
    made = manifest.stat().st_mtime
    return any(path.stat().st_mtime > made for path in _sources(settings))


def prepare(settings: Settings) -> Path:
    """The manifest's path; runs `dbt parse` (which needs no engine) where it is missing or stale.

    Raises DbtError with what dbt said. Safe in several processes at once, and when killed: the manifest is put in its
    place whole.
    """
    manifest = target_dir(settings) / "manifest.json"
    if not is_stale(settings):
        return manifest
    target_dir(settings).mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(target_dir(settings) / "parse.lock", timeout=2 * _PARSE_SECONDS):
            if is_stale(settings):
                _parse(settings)
    except (Timeout, subprocess.TimeoutExpired):
        raise DbtError(
            f"dbt has been reading its project for more than {_PARSE_SECONDS} s. Is the disk that slow?"
        ) from None
    return manifest


def _parse(settings: Settings) -> None:
    scratch = target_dir(settings) / "parse"
    began = time.time()
    said = subprocess.run(
        [
            executable("dbt"),
            "--quiet",
            "parse",
            "--project-dir",
            str(settings.dbt_project_dir),
            "--profiles-dir",
            str(settings.dbt_project_dir),
            "--target",
            settings.dbt_target,
            "--vars",
            json.dumps({"silver_schema": PINNED}),
            "--target-path",
            str(scratch),
            "--log-path",
            str(settings.home / "dbt" / "logs"),
        ],
        env={**os.environ, **dbt_environment()},
        capture_output=True,
        text=True,
        timeout=_PARSE_SECONDS,
        check=False,
    )
    if said.returncode:
        raise DbtError(f"dbt cannot read its project:\n{(said.stdout + said.stderr).strip()}")
    # As old as the beginning of the parse: a file saved meanwhile may not have been read.
    os.utime(scratch / "manifest.json", (began, began))
    for made, name in ((_PARTIAL, _PARSED), ("manifest.json", "manifest.json")):
        shutil.copy2(scratch / made, scratch / f"{name}.whole")
        (scratch / f"{name}.whole").replace(target_dir(settings) / name)


def parsed(settings: Settings) -> Path:
    """What dbt kept of the newest parse (see `dbt_process.PARSED`)."""
    return prepare(settings).with_name(_PARSED)


@cache
def _read(path: Path, made: float) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def manifest(settings: Settings) -> dict[str, Any]:
    path = prepare(settings)
    return _read(path, path.stat().st_mtime)


def models(settings: Settings) -> dict[str, dict[str, Any]]:
    """unique id → node of every model."""
    return {key: node for key, node in manifest(settings)["nodes"].items() if node["resource_type"] == "model"}


def marts(settings: Settings) -> dict[str, dict[str, Any]]:
    """Name → node of every model that readers read: the tables in the schema that the target calls gold."""
    return {
        node["name"]: node
        for node in models(settings).values()
        if node["config"]["materialized"] in ("table", "incremental") and node["fqn"][1] == "marts"
    }


def owners(node: Mapping[str, Any]) -> tuple[str, ...]:
    """Who answers for a model, as Dagster writes it: an e-mail address or `team:…`, from the node's `meta`."""
    return tuple(node["config"].get("meta", {}).get("dagster", {}).get("owners", ()))


def contract_of(contracts: Mapping[str, Contract]) -> dict[str, str]:
    """Name of a source → the contract's table that it is, or is a child view of."""
    children = {
        contract.child_view(column).split(".")[1]: contract.table
        for contract in contracts.values()
        for column in contract.child_tables
    }
    return {**{table: table for table in contracts}, **children}


def tables_read(settings: Settings, contracts: Mapping[str, Contract]) -> set[str]:
    """Tables of contracts that models or tests of gold read; gold has no part in what becomes of others."""
    known, parts = contract_of(contracts), manifest(settings)
    read = [source["name"] for key, source in parts["sources"].items() if parts["child_map"].get(key)]
    return {known[name] for name in read if name in known}


def unknown_sources(settings: Settings, contracts: Mapping[str, Contract]) -> list[str]:
    """dbt's selectors of the sources that no contract describes, as without the sample: what reads them is not built."""
    known = contract_of(contracts)
    found = manifest(settings)["sources"].values()
    return sorted(f"source:{source['source_name']}.{source['name']}" for source in found if source["name"] not in known)


def buildable_marts(settings: Settings, contracts: Mapping[str, Contract]) -> dict[str, dict[str, Any]]:
    """The marts, less those that are made of a source that no contract describes."""
    out = not_built(manifest(settings), contracts)
    return {name: node for name, node in marts(settings).items() if node["unique_id"] not in out}


def not_built(parts: Mapping[str, Any], contracts: Mapping[str, Contract]) -> set[str]:
    """Unique ids of the sources of a manifest that no contract describes, and of all that is made of them."""
    known = contract_of(contracts)
    lost = [key for key, source in parts["sources"].items() if source["name"] not in known]
    out: set[str] = set()
    while lost:
        key = lost.pop()
        if key not in out:
            out.add(key)
            lost += parts["child_map"].get(key, [])
    return out


def built(parts: Mapping[str, Any], contracts: Mapping[str, Contract]) -> dict[str, Any]:
    """A manifest without the nodes that a build has no part in: see `not_built`, and unit tests."""
    out = not_built(parts, contracts) | parts["unit_tests"].keys()
    kept = {name: {key: of for key, of in parts[name].items() if key not in out} for name in ("nodes", "sources")}
    for name in ("parent_map", "child_map"):
        kept[name] = {key: [of for of in keys if of not in out] for key, keys in parts[name].items() if key not in out}
    return {**parts, **kept, "unit_tests": {}}


def selectors(manifest: Mapping[str, Any], keys: Iterable[str]) -> list[str]:
    """dbt's selectors of nodes, each of which finds that node alone."""
    return sorted(f"fqn:{'.'.join(manifest['nodes'][key]['fqn'])}" for key in keys)


def checksum(settings: Settings) -> str:
    """Changes when any model, macro or test does."""
    parts = manifest(settings)
    sums = [str(node.get("checksum")) + node["unique_id"] for node in parts["nodes"].values()]
    sums += [macro["macro_sql"] for key, macro in parts["macros"].items() if key.startswith("macro.lakehouse.")]
    return hashlib.sha256("\n".join(sorted(sums)).encode()).hexdigest()[:16]


def old_builds(settings: Settings) -> list[Path]:
    """The folders of all builds but the newest, also of those that were killed. For whoever keeps others from building: a
    build under way writes to the newest."""
    folders = sorted(target_dir(settings).glob(f"{_BUILD}*"), key=lambda path: path.stat().st_mtime)
    return folders[:-_BUILDS_KEPT]


def build_dir(settings: Settings, run_id: str) -> Path:
    """Where dbt writes what it does in a build: its log, the compiled models, the results."""
    return target_dir(settings) / f"{_BUILD}{run_id[:8]}"
