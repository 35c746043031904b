"""What a table's source says before its files are taken: assets of other code locations, and a page of its health.

Why an unhealthy source holds its files back: what it was just landing may be half of an export, and of a `snapshot` the
missing half would look like deletes.
"""

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from lakehouse.automation.alerts.channels import Alert
from lakehouse.automation.alerts.sensor import Memory, deliver
from lakehouse.automation.handover import materialized_at
from lakehouse.bronze.landing import LandedFile
from lakehouse.contracts.model import Contract
from lakehouse.settings import Settings, settings

INTERVAL_SECONDS = 60
TIMEOUT_SECONDS = 5
FAILURES = 2
"""Looks in a row that fail before a source counts as down: one may be a restart."""
_STALE_SECONDS = 10 * INTERVAL_SECONDS
"""What was noted longer ago says nothing: the sensor was turned off."""


def after_assets(contracts: Iterable[Contract]) -> list[dg.AssetSpec]:
    """The assets of other code locations that tables come after, for the graph."""
    keys = sorted({key for contract in contracts for key in contract.after})
    return [
        dg.AssetSpec(
            key.split("/"),
            group_name="upstream",
            description="Made by another code location; tables of bronze wait for it.",
        )
        for key in keys
    ]


def problem_of(url: str) -> str | None:
    """What is wrong with a page of health; None where it answers with success in time."""
    # Contracts allow http and https alone.
    request = urllib.request.Request(url, headers={"User-Agent": "lakehouse"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
            answer.read(1)
    except urllib.error.HTTPError as problem:
        return f"it answered {problem.code} {problem.reason}"
    except TimeoutError:
        return f"it did not answer within {TIMEOUT_SECONDS} s"
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "reason", problem)
        timed_out = isinstance(reason, TimeoutError)
        return f"it did not answer within {TIMEOUT_SECONDS} s" if timed_out else f"it cannot be reached: {reason}"
    return None


def poll(urls: Sequence[str]) -> dict[str, str | None]:
    """URL → what is wrong with it. All at once: one that hangs keeps no other waiting."""
    if not urls:
        return {}
    with ThreadPoolExecutor(min(16, len(urls))) as pool:
        return dict(zip(urls, pool.map(problem_of, urls), strict=True))


def _notes(home: Path) -> Path:
    return home / "source_health.json"


def sources_down(home: Path, now: float) -> dict[str, str]:
    """URL → since when, and why, of the sources that were down at the last look."""
    path = _notes(home)
    if not path.exists() or now - path.stat().st_mtime > _STALE_SECONDS:
        return {}
    found: dict[str, str] = json.loads(path.read_text())
    return found


def _note(home: Path, down: Mapping[str, str]) -> None:
    unfinished = _notes(home).with_suffix(f".{os.getpid()}.tmp")
    unfinished.write_text(json.dumps(down, indent=1))
    unfinished.replace(_notes(home))


def said(instance: dg.DagsterInstance, here: Settings, contracts: Iterable[Contract], now: float) -> list[Any]:
    """All that `why_not` depends on beside the files, to tell whether it has changed."""
    down = sources_down(here.home, now)
    return [
        (
            contract.table,
            down.get(contract.health or ""),
            [materialized_at(instance, _key(key)) for key in contract.after],
        )
        for contract in contracts
        if contract.health or contract.after
    ]


def why_not(
    instance: dg.DagsterInstance, here: Settings, now: float
) -> Callable[[Contract, Sequence[LandedFile]], str | None]:
    """For `find_pending`: why files of a table are to wait.

    They are taken when each asset that the table comes after was materialized after one of them had landed, and not while
    the source is down.
    """
    down = sources_down(here.home, now)

    def _why_not(contract: Contract, files: Sequence[LandedFile]) -> str | None:
        if problem := down.get(contract.health or ""):
            return f"its source is down: {problem}"
        first = min(file.modified_ms for file in files) / 1000
        awaited = [key for key in contract.after if (materialized_at(instance, _key(key)) or 0) < first]
        return f"it comes after {', '.join(awaited)}" if awaited else None

    return _why_not


def _key(text: str) -> dg.AssetKey:
    return dg.AssetKey(text.split("/"))


def look(contracts: Iterable[Contract], memory: Memory, home: Path, failures: dict[str, int]) -> list[Alert]:
    """Polls the sources, notes in the home which are down, and returns the alerts that this is worth. `memory` and
    `failures` (URL → failed looks in a row) are brought up to date."""
    tables: dict[str, list[Contract]] = {}
    for contract in contracts:
        if contract.health:
            tables.setdefault(contract.health, []).append(contract)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    found: list[Alert] = []
    for url, problem in poll(sorted(tables)).items():
        failures[url] = failures.get(url, 0) + 1 if problem else 0
        names = ", ".join(contract.table for contract in tables[url])
        owners = tuple(sorted({contract.owner for contract in tables[url]}))
        key = f"source of {names}"
        if problem and failures[url] >= FAILURES and url not in memory.broken:
            memory.broken[url] = f"since {now}, {problem}"
            text = f"{url}: {problem}. Files of {names} wait until it answers."
            found.append(Alert("broken", key, text, owners, at=now))
        elif not problem and url in memory.broken:
            del memory.broken[url]
            found.append(Alert("recovered", key, f"{url} answers; its files are taken.", owners, at=now))
    for url in memory.broken.keys() - tables.keys():  # no contract names it any more
        del memory.broken[url]
    for url in failures.keys() - tables.keys():
        del failures[url]
    _note(home, memory.broken)
    return found


def source_health(contracts: Mapping[str, Contract]) -> list[dg.SensorDefinition]:
    """The sensor that polls the sources; none where no contract names one."""
    polled = [contract for contract in contracts.values() if contract.health]

    @dg.sensor(
        name="source_health",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Asks the pages of health that contracts name. While one does not answer, files of its tables wait, and "
        "it is said once.",
    )
    def _source_health(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        here = settings()
        known = json.loads(context.cursor) if context.cursor else {"memory": {"since": time.time()}, "failures": {}}
        memory, failures = Memory(**known["memory"]), known["failures"]
        deliver(memory, here.alert_channels, look(polled, memory, here.home, failures), context.log.warning)
        down = [f"{url} {problem}" for url, problem in memory.broken.items()]
        told = f"Down: {'; '.join(down)}." if down else f"All {len({c.health for c in polled})} source(s) answer."
        doubtful = [url for url, count in failures.items() if count and url not in memory.broken]
        told += f" Not once, so far: {', '.join(doubtful)}." if doubtful else ""
        return dg.SensorResult(skip_reason=told, cursor=json.dumps({"memory": asdict(memory), "failures": failures}))

    return [_source_health] if polled else []
