"""How a contract says what its batches' quality score must be, and what it is made of."""

from typing import Any, get_args

from lakehouse.contracts.document import Document, Where
from lakehouse.contracts.model import Dimension, Scoring
from lakehouse.contracts.problems import choose
from lakehouse.contracts.values import number

OWN_KEYS = ("score",)
_KEYS = ("publish", "warn", "weights")
_EVERYWHERE = ("completeness", "validity")
"""The dimensions of which every table has a check."""


def read_scoring(document: Document, place: Where, settings: dict[str, Any]) -> Scoring:
    """The thresholds and weights at that place; problems are recorded in the document."""
    where, default = (*place, "score"), Scoring()
    value = settings.get("score", {})
    if not isinstance(value, dict):
        document.add(where, f"score cannot be `{value}`", "Write `score: {publish: 0.9, warn: 0.7}`")
        return default
    for key in value:
        if key not in _KEYS:
            document.add((*where, key), f"`{key}` is unknown to score", choose(key, _KEYS))
    publish = _between(document, (*where, "publish"), value.get("publish", default.publish), default.publish)
    warn = _between(document, (*where, "warn"), value.get("warn", min(default.warn, publish)), default.warn)
    if warn > publish:
        message = f"a batch would be held back below {warn:g}, and published from {publish:g} on"
        document.add((*where, "warn"), message, "Write a `warn` that is at most `publish`")
    return Scoring(
        publish=publish, warn=warn, weights=_weights(document, (*where, "weights"), value.get("weights", {}))
    )


def _between(document: Document, where: Where, written: object, default: float) -> float:
    found = number(written)
    if found is None or not 0 <= found <= 1:
        document.add(where, f"`{where[-1]}` cannot be `{written}`", "Write a number from 0 to 1")
        return default
    return float(found)


def _weights(document: Document, where: Where, value: object) -> tuple[tuple[Dimension, float], ...]:
    if not isinstance(value, dict):
        document.add(where, f"weights cannot be `{value}`", "Write `weights: {completeness: 2}`; the others have 1")
        return ()
    found: list[tuple[Dimension, float]] = []
    known: tuple[Dimension, ...] = get_args(Dimension)
    for name in value:
        if name not in known:
            document.add((*where, name), f"`{name}` is no dimension", choose(name, known))
    for name in known:
        weight = number(value.get(name, 1))
        if weight is None or weight < 0:
            document.add((*where, name), f"the weight of {name} cannot be `{value[name]}`", "Write a number from 0 on")
        elif name in value:
            found.append((name, float(weight)))
    if all(dict(found).get(name) == 0 for name in _EVERYWHERE):  # type: ignore[call-overload]
        message = "neither completeness nor validity has a weight, the dimensions of which every table has checks"
        document.add(where, message, "Give one of them a weight above 0")
    return tuple(found)
