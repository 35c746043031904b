"""Releases: which audited versions of gold readers see. One row in ops.releases, then the serving views are repointed.

Every event of a release is one row, appended: `audited` (dbt built gold and every blocking check passed), `released`,
`failed` (gold was restored), `rolled_back`, `resumed`. The current release is that of the newest row that put one in
force. After a rollback nothing is released by itself until somebody resumes.
"""

import hashlib
import re
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lakehouse.contracts.model import Contract
from lakehouse.gold.project import PINNED
from lakehouse.gold.serving import masks_digest, serving_query
from lakehouse.silver import evolution, ledger, state
from lakehouse.silver.masks import KEYS_TABLE
from lakehouse.storage import tables
from lakehouse.storage.notes import last_commit
from lakehouse.storage.tables import Field, literal, quote

RELEASES = "ops.releases"
IN_FORCE = ("released", "rolled_back")
_COLUMNS = (
    Field("release_id", "bigint", "Number of the release; grows by one."),
    Field(
        "status",
        "string",
        "audited, released, failed, rolled_back (put in force again) or resumed (the hold of a rollback ended).",
    ),
    Field("silver_versions", "map<string,bigint>", "Version of each silver state table that gold was built on."),
    Field(
        "silver_batches", "map<string,bigint>", "The newest change in each of those: what `_batch` says of its rows."
    ),
    Field("gold_versions", "map<string,bigint>", "Version of each gold table that the serving views read."),
    Field("row_counts", "map<string,bigint>", "Rows of each gold table."),
    Field("checks_passed", "bigint", "Checks of gold that passed on these versions."),
    Field("checks_warned", "bigint", "Checks of gold that warned."),
    Field("code", "string", "Checksum of the dbt project that built it."),
    Field("reason", "string", "Why it failed or was rolled back."),
    Field("run_id", "string", "The Dagster run."),
    Field("at", "timestamp", "When (UTC)."),
)


@dataclass(frozen=True)
class Release:
    """One row of ops.releases."""

    release_id: int
    status: str
    silver_versions: dict[str, int]
    silver_batches: dict[str, int]
    gold_versions: dict[str, int]
    row_counts: dict[str, int] = field(default_factory=dict)
    checks_passed: int = 0
    checks_warned: int = 0
    code: str = ""
    reason: str = ""
    run_id: str = ""
    at: datetime | None = None


class ReleaseError(Exception):
    """A release cannot be shown or put in force."""


def ensure_tables(spark: SparkSession, storage: str) -> None:
    """Creates ops.releases and the table with the key of masked hashes (made once, at random). Idempotent."""
    tables.ensure(spark, storage, RELEASES, _COLUMNS, comment="Releases of gold. One row per event of a release.")
    if not tables.exists(spark, KEYS_TABLE):
        key = [Field("mask_key", "string", "Key of the keyed hashes by which personal data is masked.")]
        tables.ensure(spark, storage, KEYS_TABLE, key, comment="Never share this table.")
    if spark.table(KEYS_TABLE).limit(1).count() == 0:
        key = [Field("mask_key", "string")]
        tables.append(tables.local_rows(spark, [(secrets.token_hex(32),)], key), KEYS_TABLE)


def events(spark: SparkSession) -> list[Release]:
    """All rows of ops.releases, newest first."""
    if not tables.exists(spark, RELEASES):
        return []
    rows = spark.table(RELEASES).orderBy(F.desc("at")).collect()
    return [_release(row.asDict()) for row in rows]


def _release(row: dict[str, Any]) -> Release:
    return Release(**{f.name: row[f.name] for f in _COLUMNS})


def current(spark: SparkSession) -> Release | None:
    """The release in force; None before the first."""
    return in_force(events(spark))


def in_force(history: list[Release]) -> Release | None:
    """That one of its events, newest first, which says what is in force; None before the first."""
    return next((event for event in history if event.status in IN_FORCE), None)


def is_held(history: list[Release]) -> bool:
    """Whether an older release was put back in force, and nobody has resumed since. `history`: newest first."""
    decided = next((event for event in history if event.status in (*IN_FORCE, "resumed")), None)
    newest = max((event.release_id for event in history if event.status == "released"), default=0)
    return decided is not None and decided.status == "rolled_back" and decided.release_id < newest


def resume(spark: SparkSession) -> Release:
    """Ends the hold of a rollback: the next run builds on the release in force and publishes. Readers see no change yet.

    Raises ReleaseError where nothing is held.
    """
    history, now = events(spark), current(spark)
    if now is None or not is_held(history):
        raise ReleaseError("Nothing is held back: no older release was put in force by a rollback.")
    record(spark, Release(**{**now.__dict__, "status": "resumed", "reason": "publishing goes on", "run_id": ""}))
    return now


def record(spark: SparkSession, release: Release) -> None:
    row = tuple(datetime.now(UTC) if f.name == "at" else getattr(release, f.name) for f in _COLUMNS)
    tables.append(tables.local_rows(spark, [row], _COLUMNS), RELEASES)


def next_id(history: list[Release]) -> int:
    return max((event.release_id for event in history), default=0) + 1


def silver_now(spark: SparkSession, contracts: dict[str, Contract]) -> tuple[dict[str, int], dict[str, int]]:
    """(version of each state table, newest batch in it), of the tables that have been refined at least once."""
    versions, batches = {}, {}
    for contract in contracts.values():
        if tables.exists(spark, contract.state_table) and (last := ledger.last_note(spark, contract)):
            versions[contract.table] = tables.version(spark, contract.state_table)
            batches[contract.table] = ledger.change_of(last[1])
    return versions, batches


def rebuilt_since(spark: SparkSession, contracts: dict[str, Contract], release: Release) -> list[str]:
    """Tables of silver that were folded anew since a release: what they no longer have, an increment would leave."""
    return [
        table
        for table, change in release.silver_batches.items()
        if table in contracts and ledger.is_rebuilt_since(spark, contracts[table], change)
    ]


def _pins(contract: Contract, version: int | None) -> dict[str, str]:
    """View → SQL of what dbt reads of a table at a version."""
    return {
        f"{PINNED}.{contract.table}": state.visible_rows(contract, version),
        f"{PINNED}.{contract.table}__deleted": state.deleted_rows(contract, version),
        **{
            f"{PINNED}.{contract.child_view(column).split('.')[1]}": state.child_rows(contract, column, version)
            for column in contract.child_tables
        },
    }


_PIN = "lakehouse.pin"


def _digest(query: str) -> str:
    return hashlib.sha256(query.encode()).hexdigest()[:16]


def unpinned(spark: SparkSession, contracts: dict[str, Contract], versions: dict[str, int]) -> dict[str, Contract]:
    """The tables whose views, which dbt reads, do not show these versions, or as the contract no longer says."""
    have: dict[str, str] = {}
    if spark.catalog.databaseExists(PINNED):
        for row in spark.sql(f"show table extended in {PINNED} like '*'").collect():
            if found := re.search(rf"\b{re.escape(_PIN)}=([0-9a-f]+)", row["information"]):
                have[f"{PINNED}.{row['tableName']}"] = found[1]
    return {
        table: contract
        for table, contract in contracts.items()
        if any(have.get(view) != _digest(sql) for view, sql in _pins(contract, versions.get(contract.table)).items())
    }


def pin_silver(spark: SparkSession, storage: str, contracts: dict[str, Contract], versions: dict[str, int]) -> None:
    """Makes the views that dbt reads: silver as it is at these versions, and the keys deleted there.

    A table that has not been refined yet is pinned as an empty view, so that every model can be built.
    """
    tables.ensure_schema(spark, storage, PINNED)
    queries: dict[str, str] = {}
    for contract in contracts.values():
        version = versions.get(contract.table)
        if version is None:
            state.ensure_tables(spark, storage, contract)
        queries |= _pins(contract, version)

    def pin(view: str) -> None:
        query = queries[view]
        spark.sql(f"create or replace view {view}\ntblproperties ('{_PIN}' = '{_digest(query)}')\nas\n{query}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(pin, queries))


def gold_now(spark: SparkSession, schema: str, names: list[str]) -> dict[str, int]:
    """Version of each gold table that exists."""
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(
            lambda name: (
                tables.version(spark, f"{schema}.{name}") if tables.exists(spark, f"{schema}.{name}") else None
            ),
            names,
        )
        return {name: version for name, version in zip(names, found, strict=True) if version is not None}


def _is_at(spark: SparkSession, table: str, version: int) -> bool:
    """Whether the table's newest commit is that version, or a restore to it."""
    newest, operation, parameters = last_commit(spark, table)
    return newest == version or (operation == "RESTORE" and str(parameters.get("version")) == str(version))


def restore_gold(spark: SparkSession, schema: str, release: Release | None) -> list[str]:
    """Puts gold back to the release in force, as a failed or killed build may have left it; returns what it restored.

    So every build starts from what was audited. Idempotent.
    """
    if release is None:
        return []
    restored = []
    for name, version in release.gold_versions.items():
        table = f"{schema}.{name}"
        if tables.exists(spark, table) and not is_lost(spark, table, version) and not _is_at(spark, table, version):
            spark.sql(f"restore table {table} to version as of {version}").collect()
            restored.append(name)
    return restored


def is_lost(spark: SparkSession, table: str, version: int) -> bool:
    """Whether a version that was released is gone with the newest commits of the table: by a power cut, or by a folder that
    was taken away. Only a build from nothing makes it again."""
    return not tables.exists(spark, table) or tables.version(spark, table) < version


def repoint(
    spark: SparkSession,
    storage: str,
    contracts: dict[str, Contract],
    release: Release,
    marts: dict[str, dict[str, object]],
    schema: str = "gold",
) -> None:
    """Points every serving view at the versions of a release, personal data masked, and drops the views of tables that
    the release does not have. Idempotent; not atomic over all views, which is why it is done from the row of the
    release, last, and again at every start."""
    tables.ensure_schema(spark, storage, "serving")
    served = _served_as(release, contracts, marts)

    def point(name: str) -> None:
        query = serving_query(spark, f"{schema}.{name}", release.gold_versions[name], marts.get(name), contracts)
        spark.sql(
            f"create or replace view serving.{quote(name)}\n"
            f"tblproperties ('lakehouse.release' = {literal(served)})\nas\n{query}"
        )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(point, release.gold_versions))
    for view in _views(spark, "serving"):
        name = view["viewName"]
        if name not in release.gold_versions and _view_reads(spark, name) is not None:
            spark.sql(f"drop view if exists serving.{quote(name)}")


def _served_as(release: Release, contracts: dict[str, Contract], marts: dict[str, dict[str, object]]) -> str:
    """What a serving view bears: the release, and the masks that it was made with."""
    return f"{release.release_id} {masks_digest(marts, contracts)}"


def _view_reads(spark: SparkSession, name: str) -> str | None:
    """The release and masks of a serving view; None where it is nobody's or not one of ours."""
    rows = spark.sql(f"show tblproperties serving.{quote(name)}").collect()
    return next((str(row["value"]) for row in rows if row["key"] == "lakehouse.release"), None)


def is_served(
    spark: SparkSession, release: Release, contracts: dict[str, Contract], marts: dict[str, dict[str, object]]
) -> bool:
    """Whether every serving view reads this release, masked as contracts and models say now."""
    served = _served_as(release, contracts, marts)
    have = {view["viewName"] for view in _views(spark, "serving")}
    if not have >= set(release.gold_versions):
        return False
    with ThreadPoolExecutor(4) as pool:
        return all(found == served for found in pool.map(lambda name: _view_reads(spark, name), release.gold_versions))


def heal(
    spark: SparkSession, storage: str, contracts: dict[str, Contract], marts: dict[str, dict[str, object]]
) -> list[str]:
    """Makes again whatever views a lost catalog or a killed process left missing; returns what was done."""
    done = []
    have = {row["viewName"] for row in _views(spark, "silver")}
    for contract in contracts.values():
        wanted = {contract.table, f"{contract.table}__quarantine"}
        wanted |= {contract.child_view(column).split(".")[1] for column in contract.child_tables}
        is_bare = (
            not wanted <= have and tables.exists(spark, contract.state_table) and ledger.last_note(spark, contract)
        )
        if is_bare and evolution.ensure_views(spark, storage, contract):
            done.append(contract.silver_table)
    for _ in range(3):  # another process may release while the views are made here
        release = current(spark)
        if release is None or is_served(spark, release, contracts, marts):
            break
        repoint(spark, storage, contracts, release, marts)
        done.append(f"serving views of release {release.release_id}")
    return done


def _views(spark: SparkSession, schema: str) -> list[dict[str, str]]:
    if not spark.catalog.databaseExists(schema):
        return []
    # Temporary views of this session are listed with those of every schema.
    return [row.asDict() for row in spark.sql(f"show views in {schema}").collect() if not row["isTemporary"]]


def _is_readable(spark: SparkSession, table: str, version: int) -> bool:
    """Whether a table still has a version, and every file of it: one column is read, for maintenance removes old files."""
    try:
        at = spark.sql(f"select * from {table} version as of {version}")
        at.select(F.max(F.hash(F.col(quote(at.columns[0]))))).collect()
    except AnalysisException:
        return False
    except PySparkException as problem:
        if re.search("FileNotFound|FILE_NOT_EXIST|does not exist", str(problem)):
            return False
        raise
    return True


def rollback(
    spark: SparkSession,
    storage: str,
    contracts: dict[str, Contract],
    marts: dict[str, dict[str, object]],
    release_id: int | None = None,
) -> Release:
    """Puts an older release in force again: readers see it at once. Nothing is released by itself until `resume`; then
    the next build starts from it. Going back to the newest one ends the hold too.

    Without a number: the one before the current. Raises ReleaseError where there is none.
    """
    history = events(spark)
    released = {event.release_id: event for event in reversed(history) if event.status == "released"}
    now = next((event for event in history if event.status in IN_FORCE), None)
    if now is None:
        raise ReleaseError("There is no release yet. `lakehouse run` makes the first.")
    older = [number for number in released if number < now.release_id]
    wanted = release_id if release_id is not None else max(older, default=None)
    if wanted is None:
        raise ReleaseError(f"Release {now.release_id} is the first; there is none before it to go back to.")
    if wanted not in released:
        known = ", ".join(map(str, sorted(released)))
        raise ReleaseError(f"There is no release {wanted}. Releases: {known}.")
    if wanted == now.release_id:
        raise ReleaseError(f"Release {wanted} is in force already.")
    target = released[wanted]
    lost = [name for name, version in target.gold_versions.items() if not _is_readable(spark, f"gold.{name}", version)]
    if lost:
        raise ReleaseError(
            f"Release {wanted} can no longer be read: {', '.join(sorted(lost))} have lost the versions that it needs. "
            f"Release {now.release_id} stays in force; `lakehouse release list` shows the others."
        )
    back = Release(
        **{
            **target.__dict__,
            "status": "rolled_back",
            "reason": f"from release {now.release_id} back to {wanted}",
            "run_id": "",
        }
    )
    record(spark, back)
    repoint(spark, storage, contracts, back, marts)
    return back
