"""The reference in docs/contracts.md, with docs/checks.md for rules and checks, names every field and option that contracts are read for."""

import re

import pytest

from lakehouse.contracts import columns, loader, odcs, rules
from lakehouse.settings import PROJECT

KNOWN = {
    "options": (*loader.OWN_KEYS, *columns.OWN_KEYS, "max_percent", "warn_after", "severity", "delimiter"),
    "top": odcs.TOP,
    "table": odcs.OBJECT,
    "column": odcs.PROPERTY,
    "quality": (*odcs.OPERATORS, *rules.METRICS, *rules.ENGINES, *rules.DIMENSIONS),
    "formats": (*rules.FORMATS, *rules.EPOCHS),
}


@pytest.mark.parametrize("kind", KNOWN)
def test_everything_is_named(kind: str) -> None:
    text = "".join((PROJECT / "docs" / name).read_text(encoding="utf-8") for name in ("contracts.md", "checks.md"))
    named = {word for code in re.findall(r"`([^`\n]+)`", text) for word in re.findall(r"[\w-]+", code)}
    assert set(KNOWN[kind]) - named == set()
