"""What broke and what works again, told by Dagster's runs."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import dagster as dg

from lakehouse.automation.alerts.channels import Alert
from lakehouse.automation.runs import events, failure_of

RELEASE_STEP = "release"
ALERTING_CHECKS = ("quality_score", "anomalies")
"""Checks of which a warning is said as well. Each sums up what others found of a batch or a day; what a single rule warns
of is in the report. (Any check that fails holds its step back, and that is said anyway.)"""


_WHOLE = "run of "


@dataclass(frozen=True)
class Told:
    """What one run says: of each step that failed, and of each check of ALERTING_CHECKS that warned, why; and which steps
    and checks are sound. A check is named `<step>.<check>`."""

    broken: Mapping[str, str]
    sound: frozenset[str]
    warned: Mapping[str, str] = field(default_factory=dict)


def told_by(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Told:
    """Of a run that has ended. One that failed outside of its steps broke as a whole, under the name of its assets."""
    broken: dict[str, str] = {}
    warned: dict[str, str] = {}
    sound: set[str] = set()
    for entry in events(instance, run.run_id, None)[0]:
        event = entry.dagster_event
        if event is None:
            continue
        if event.event_type_value == "STEP_FAILURE":
            broken[event.step_key] = failure_of(event)
        elif event.event_type_value == "STEP_SUCCESS":
            sound.add(event.step_key)
        elif event.event_type_value == "ASSET_CHECK_EVALUATION":
            check = event.event_specific_data
            key = f"{event.step_key}.{check.check_name}"
            if check.check_name not in ALERTING_CHECKS:
                continue
            if check.passed:
                sound.add(key)
            elif check.severity == dg.AssetCheckSeverity.WARN:
                warned[key] = check.description or "The check warned."
    whole = _name_of(run)
    if run.status == dg.DagsterRunStatus.FAILURE and not broken:
        broken[whole] = "The run failed outside of its steps: its process died, or could not be started."
    elif run.status == dg.DagsterRunStatus.SUCCESS:
        sound.add(whole)
    return Told(broken, frozenset(sound - broken.keys()), warned)


def healed(left: dict[str, list[str]], told: Told, steps: Collection[str]) -> Told:
    """The same, sound also of a run that broke as a whole, once each step that it did not come to has succeeded: whoever mends
    it need not ask for the same assets at once. `left`: the name of such a run → those steps; brought up to date. `steps`:
    those that this run was to take."""
    for key in left:
        left[key] = [step for step in left[key] if step not in told.sound]
    left |= {key: sorted(set(steps) - told.sound) for key in told.broken if key.startswith(_WHOLE) and steps}
    again = {key for key, steps_left in left.items() if not steps_left or key in told.sound} - told.broken.keys()
    for key in again:
        del left[key]
    return replace(told, sound=told.sound | again)


def _name_of(run: dg.DagsterRun) -> str:
    keys = sorted(key.to_user_string() for key in run.asset_selection or ())
    return _WHOLE + (", ".join(keys[:3]) + (" …" if len(keys) > 3 else "") if keys else run.job_name)


def alerts_of(told: Told, broken_before: Iterable[str], says_success: bool) -> list[Alert]:
    """The alerts that a run is worth, given what was broken before it: what broke is said once, until it works again."""
    before = set(broken_before)
    found = [Alert("broken", key, text) for key, text in told.broken.items() if key not in before]
    found += [Alert("warning", key, text) for key, text in told.warned.items() if key not in before]
    found += [Alert("recovered", key, "The last run of it succeeded.") for key in sorted(before & told.sound)]
    if says_success and RELEASE_STEP in told.sound:
        found.append(Alert("notice", RELEASE_STEP, "A new release is in force."))
    return found


def addressed(
    alert: Alert, run: dg.DagsterRun, steps: Collection[str], owners: Mapping[str, Sequence[str]], ui_url: str, at: str
) -> Alert:
    """The alert with whom it concerns and where to look. `steps`: of the run that broke, whose owners are asked where it did so
    as a whole."""
    of_all = {owner for step in steps for owner in owners.get(step, ())} if alert.key.startswith(_WHOLE) else ()
    return replace(
        alert,
        key=alert.key.replace("__", "/", 1),
        owners=tuple(owners.get(alert.key) or owners.get(alert.key.rpartition(".")[0]) or sorted(of_all)),
        run_id=run.run_id,
        url=f"{ui_url.rstrip('/')}/runs/{run.run_id}",
        at=at,
    )


def owners_by_step(repository: Any) -> dict[str, tuple[str, ...]]:
    """Step → the owners of its assets. Every model of gold is made by the step `gold`."""
    found: dict[str, set[str]] = {}
    for node in repository.asset_graph.asset_nodes:
        if step := _step_of(repository, node.key):
            found.setdefault(step, set()).update(node.owners)
    return {step: tuple(sorted(owners)) for step, owners in found.items()}


def steps_of(repository: Any, run: dg.DagsterRun) -> frozenset[str]:
    """The steps that a run was to take: of its assets, or else of its job; none of what is not there any more."""
    keys = run.asset_selection
    if not keys and repository.has_job(run.job_name):
        keys = repository.get_job(run.job_name).asset_layer.executable_asset_keys
    return frozenset(filter(None, (_step_of(repository, key) for key in keys or ())))


def _step_of(repository: Any, key: dg.AssetKey) -> str | None:
    """The step that makes an asset; several may be made by one. None of an asset that is another code location's, or gone."""
    made_by = repository.assets_defs_by_key.get(key)
    return made_by.node_def.name if made_by is not None and made_by.is_executable else None
