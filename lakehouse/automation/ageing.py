"""The sensor that looks whether records wait in quarantine for too long, also where no batch comes that would look."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from lakehouse.automation.alerts.channels import Alert
from lakehouse.automation.alerts.sensor import Memory, deliver
from lakehouse.contracts.loader import load_all
from lakehouse.contracts.model import Contract
from lakehouse.engine.client import connect
from lakehouse.quality.audit import QUARANTINE_AGE
from lakehouse.settings import Settings, settings
from lakehouse.silver import quarantine
from lakehouse.storage import tables
from lakehouse.storage.notes import newest_commit

INTERVAL_SECONDS = 600
REMOTE_SECONDS = 3600
"""How often the engine is asked where the storage is no local folder, and nothing else tells whether anything has changed."""


def is_due(here: Settings, contract: Contract, known: dict[str, Any], now: float) -> bool:
    """Whether the engine is to be asked about a table: its quarantine or the decisions about it have changed since the last
    answer, or what waited then has come of age since."""
    last = known.get(contract.table)
    if "://" in here.storage_dir:
        return last is None or now - last["asked"] >= REMOTE_SECONDS
    commits = _commits(contract)
    if commits == [None, None]:
        return False
    return last is None or last["commits"] != commits or (not last["is_old"] and now >= (last["due"] or float("inf")))


def _commits(contract: Contract) -> list[str | None]:
    return [newest_commit(table) for table in (contract.quarantine_table, contract.resolutions_table)]


def look(
    spark: Any, contract: Contract, known: dict[str, Any], memory: Memory, now: float
) -> tuple[dg.AssetCheckEvaluation | None, list[Alert]]:
    """(the check of how long records of a table have waited, the alerts that it is worth). `known` and `memory` are brought
    up to date."""
    commits = _commits(contract)
    known[contract.table] = {"commits": commits, "is_old": False, "due": None, "asked": now}
    if not tables.exists(spark, contract.quarantine_table):
        return None, []
    is_resolved = tables.exists(spark, contract.resolutions_table)
    result = quarantine.age(spark, contract, None, is_resolved)
    oldest = quarantine.oldest(spark, contract, is_resolved)
    is_old = result.outcome != "pass"
    at = oldest + contract.quarantine_warn.total_seconds() if oldest else None
    known[contract.table] |= {"is_old": is_old, "due": at}
    key, found = f"silver/{contract.table}.{QUARANTINE_AGE}", list[Alert]()
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    if is_old and key not in memory.broken:
        memory.broken[key] = moment
        found.append(
            Alert("warning", key, f"Expected {result.threshold}. {result.description}", (contract.owner,), at=moment)
        )
    elif not is_old and key in memory.broken:
        del memory.broken[key]
        found.append(Alert("recovered", key, "No record waits for too long any more.", (contract.owner,), at=moment))
    check = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(["silver", contract.table]),
        check_name=QUARANTINE_AGE,
        passed=not is_old,
        severity=dg.AssetCheckSeverity.WARN,
        description=result.description,
        metadata={"value": result.value or 0.0, "expected": result.threshold, "dimension": result.dimension},
    )
    return check, found


@dg.sensor(
    name="quarantine_ageing",
    asset_selection=dg.AssetSelection.groups("silver"),
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks whether records have waited in quarantine for longer than their contract says, also where no "
    "batch comes: evaluates the check `quarantine_age`, and says it once.",
)
def quarantine_ageing(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Starts no run; asks the engine only where something has changed or come of age."""
    here, now = settings(), time.time()
    told = json.loads(context.cursor) if context.cursor else {"memory": {"since": now}, "known": {}}
    memory, known = Memory(**told["memory"]), told["known"]
    contracts: Mapping[str, Contract] = load_all(here)
    asked = [contract for contract in contracts.values() if is_due(here, contract, known, now)]
    checks, found = [], list[Alert]()
    spark = connect(here) if asked else None
    for contract in asked:
        check, alerts = look(spark, contract, known, memory, now)
        checks += [check] if check else []
        found += alerts
    deliver(memory, here.alert_channels, found, context.log.warning)
    old = (
        f"Records wait too long: {', '.join(sorted(memory.broken))}." if memory.broken else "No record waits too long."
    )
    said = f"Looked at {', '.join(contract.table for contract in asked)}. " if asked else "No quarantine has changed. "
    cursor = json.dumps({"memory": asdict(memory), "known": known})
    return dg.SensorResult(skip_reason=said + old, cursor=cursor, asset_events=checks)
