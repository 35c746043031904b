"""How a contract says that its days are to be watched for anomalies."""

from typing import Any, cast

from lakehouse.contracts.document import Document, Where
from lakehouse.contracts.model import Column, Sensitivity, Severity, Watch
from lakehouse.contracts.problems import choose
from lakehouse.contracts.values import one_of

KEYS = ("severity", "sensitivity", "ignore")
SEVERITIES = ("error", "warning")
SENSITIVITIES = ("low", "normal", "high")
_EXAMPLE = "Write `anomalies: off`, or `anomalies: {severity: warning, sensitivity: normal, ignore: [a_column]}`"


def read_watch(document: Document, place: Where, settings: dict[str, Any], columns: tuple[Column, ...]) -> Watch:
    """The option `anomalies` at that place; problems are recorded in the document."""
    where = (*place, "anomalies")
    value = settings.get("anomalies", {})
    if value == "off":
        return Watch(severity=None)
    if not isinstance(value, dict):
        document.add(where, f"anomalies cannot be `{value}`", _EXAMPLE)
        return Watch()
    for key in value:
        if key not in KEYS:
            document.add((*where, key), f"`{key}` is unknown to anomalies", choose(key, KEYS))
    severity = one_of(document, (*where, "severity"), value.get("severity", "warning"), SEVERITIES, "the severity")
    sensitivity = one_of(
        document, (*where, "sensitivity"), value.get("sensitivity", "normal"), SENSITIVITIES, "the sensitivity"
    )
    return Watch(
        severity=cast(Severity, severity or "warning"),
        sensitivity=cast(Sensitivity, sensitivity or "normal"),
        ignore=_ignored(document, (*where, "ignore"), value.get("ignore", []), columns),
    )


def _ignored(document: Document, where: Where, listed: object, columns: tuple[Column, ...]) -> tuple[str, ...]:
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        document.add(where, f"`ignore` is a list of columns, and `{listed}` is found", "Write it as `[a_column]`")
        return ()
    known = [column.name for column in columns]
    for index, name in enumerate(listed):
        if name not in known:
            document.add((*where, index), f"the ignored `{name}` is no column of this table", choose(name, known))
    return tuple(listed)
