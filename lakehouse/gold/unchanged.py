"""What a build need not do: models whose inputs are those of the last release, and tests that have passed on the same."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

_VARIES = re.compile(
    r"\b(current_(timestamp|date|time)\b|(now|localtimestamp|randn?|uuid|shuffle)\s*\()", re.IGNORECASE
)
"""What gives another result the next time, whatever it reads."""
_OF_DEV = "limit_data_in_dev"
"""The macro that asks for the time in the target dev alone, of which nothing is released."""


def unchanged(manifest: Mapping[str, Any], tables: Collection[str], marts: Collection[str]) -> set[str]:
    """Unique ids of the models and tests that a build on a release may leave as they are.

    `tables`: the sources, by name, that are at the version which the release is of; the code has to be the release's too.
    `marts`: unique ids of the models that stay at their released version; views are made anew all the same, since none
    knows what a failed build has left in their place. A test is left out where a failure of it would have kept the release
    from coming to be: what only warns is asked again, since it may not have passed.
    """
    nodes, sources = manifest["nodes"], manifest["sources"]
    known: dict[str, bool] = {key: source["name"] in tables for key, source in sources.items()}

    def is_same(key: str) -> bool:
        if key not in known:
            node = nodes.get(key)
            known[key] = node is not None and _is_settled(node, is_same) and not _varies(node, manifest)
        return known[key]

    models = {key for key, node in nodes.items() if node["resource_type"] == "model" and key in marts and is_same(key)}
    tests = {key for key, node in nodes.items() if node["resource_type"] == "test" and _blocks(node) and is_same(key)}
    return models | tests


def _is_settled(node: Mapping[str, Any], is_same: Callable[[str], bool]) -> bool:
    read = node["depends_on"]["nodes"]
    return bool(read) and all(map(is_same, read))


def _blocks(test: Mapping[str, Any]) -> bool:
    config = test["config"]
    return str(config["severity"]).lower() == "error" and config["error_if"] == "!= 0"


def _varies(node: Mapping[str, Any], manifest: Mapping[str, Any]) -> bool:
    """Whether the SQL of a node, or of a macro of this project that it calls, depends on more than what it reads."""
    texts = [str(node.get("raw_code")), str((node.get("test_metadata") or {}).get("kwargs"))]
    ahead, seen = list(node["depends_on"]["macros"]), set[str]()
    while ahead:
        key = ahead.pop()
        macro = manifest["macros"].get(key)
        if key in seen or macro is None or macro["package_name"] != node["package_name"] or macro["name"] == _OF_DEV:
            continue
        seen.add(key)
        texts.append(macro["macro_sql"])
        ahead += macro["depends_on"]["macros"]
    return any(_VARIES.search(text) for text in texts)
