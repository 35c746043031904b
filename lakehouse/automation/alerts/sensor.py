"""The sensor that says what broke: one alert until it works again, and one when it does."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import dagster as dg

from lakehouse.automation.alerts.channels import Alert, ChannelError, name_of, send
from lakehouse.automation.alerts.incidents import addressed, alerts_of, healed, owners_by_step, steps_of, told_by
from lakehouse.settings import Settings, settings

INTERVAL_SECONDS = 15
RUNS_A_TICK = 50
TICK_SECONDS = 40
"""What a tick may take: Dagster ends one after a minute, and with it what it would have remembered."""
TRIES = 200
"""So often an alert is tried on a channel that does not take it: most of an hour."""
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]


@dataclass
class Memory:
    """What the sensor knows between two ticks; its cursor."""

    since: float
    """When the newest run that was looked at changed, in seconds since 1970."""
    seen: list[str] = field(default_factory=list)
    """Runs looked at, newest last."""
    broken: dict[str, str] = field(default_factory=dict)
    """What is broken or warned of → the run that said so first."""
    left: dict[str, list[str]] = field(default_factory=dict)
    """A run that broke as a whole → the steps that it did not come to, and that have not succeeded since."""
    waiting: list[dict[str, Any]] = field(default_factory=list)
    """Alerts that a channel has not taken: its place among the channels, the alert, how often it was tried."""

    @classmethod
    def of(cls, cursor: str | None) -> "Memory":
        """Of no cursor: what happened before the first start is nobody's alert."""
        return cls(**json.loads(cursor)) if cursor else cls(since=time.time())


def look(
    instance: dg.DagsterInstance,
    memory: Memory,
    here: Settings,
    owners: dict[str, tuple[str, ...]],
    steps: Callable[[dg.DagsterRun], frozenset[str]],
) -> list[Alert]:
    """The alerts of the runs that have ended since the last look; `memory` is brought up to date. `steps`: of a run, those that
    it was to take."""
    # A second of overlap: two runs may change in one moment, of which one was seen.
    after = datetime.fromtimestamp(memory.since - 1, UTC)
    records = instance.get_run_records(
        dg.RunsFilter(statuses=_ENDED, updated_after=after),
        limit=RUNS_A_TICK,
        order_by="update_timestamp",
        ascending=True,
    )
    found: list[Alert] = []
    for record in records:
        run = record.dagster_run
        memory.since = max(memory.since, record.update_timestamp.replace(tzinfo=UTC).timestamp())
        if run.run_id in memory.seen:
            continue
        memory.seen = [*memory.seen, run.run_id][-4 * RUNS_A_TICK :]
        told = healed(memory.left, told_by(instance, run), steps(run))
        at = record.update_timestamp.isoformat(timespec="seconds")
        for alert in alerts_of(told, memory.broken, here.alert_on_success):
            died = memory.broken.get(alert.key)  # of what works again, the run that broke it
            broke = (instance.get_run_by_id(died) if died else None) or run
            found.append(addressed(alert, run, steps(broke), owners, here.ui_url, at))
            if alert.status in ("broken", "warning"):
                memory.broken[alert.key] = run.run_id
            else:
                memory.broken.pop(alert.key, None)
    return found


def deliver(memory: Memory, channels: Sequence[str], found: Sequence[Alert], say: Callable[[str], None]) -> None:
    """Sends new alerts, and those that wait, to every channel; who does not take one gets it at the next tick again, and
    keeps nobody else waiting. `say` gets a line for each alert, and for each that was not taken."""
    for alert in found:
        say(f"{alert.title}. {alert.body}")
    waiting = memory.waiting + [
        {"channel": place, "alert": asdict(alert), "tries": 0} for alert in found for place in range(len(channels))
    ]
    memory.waiting, deaf = [], set[int]()
    until = time.monotonic() + TICK_SECONDS
    for one in waiting:
        if one["channel"] >= len(channels):  # it was taken out of the settings
            continue
        if one["channel"] in deaf or time.monotonic() > until:
            memory.waiting.append(one)
            continue
        channel = channels[one["channel"]]
        try:
            send(channel, Alert(**{**one["alert"], "owners": tuple(one["alert"]["owners"])}))
        except ChannelError as problem:
            deaf.add(one["channel"])  # one timeout a tick and channel is enough
            tries = one["tries"] + 1
            say(f"Not delivered ({tries} of {TRIES}): {problem}")
            if tries < TRIES:
                memory.waiting.append(one | {"tries": tries})
            else:
                say(f"Given up: {one['alert']['key']} to {name_of(channel)}")


@dg.sensor(
    name="alerts",
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Says what broke to the channels in LAKEHOUSE_ALERTS: once, until it works again; and that it does.",
)
def alerts(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Starts no run. Everything is in the daemon's log, also without a channel."""
    here, memory = settings(), Memory.of(context.cursor)
    assert context.repository_def is not None
    owners = owners_by_step(context.repository_def)
    found = look(context.instance, memory, here, owners, partial(steps_of, context.repository_def))
    deliver(memory, here.alert_channels, found, context.log.warning)
    told = f"{len(found)} alert(s)." if found else "Nothing broke, and nothing recovered."
    left = f" {len(memory.waiting)} wait for a channel that does not take them." if memory.waiting else ""
    return dg.SensorResult(skip_reason=told + left, cursor=json.dumps(asdict(memory)))
