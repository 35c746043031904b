"""The structure of ODCS v3.1.0: which keys may stand where, which must, and what kind of value each takes.

The kinds come from the standard's own pydantic models (`open-data-contract-standard`, read strictly). Those models
ignore a key that they do not know below the top level, and newer releases of them know keys of ODCS v3.2; so the keys
of v3.1.0 are listed here.
"""

from collections.abc import Iterable
from typing import Any

from open_data_contract_standard.model import OpenDataContractStandard
from pydantic import ValidationError

from lakehouse.contracts.document import Document, Where
from lakehouse.contracts.problems import choose

VERSION = "v3.1.0"

_DOCUMENTED = ("id", "description", "tags", "customProperties", "authoritativeDefinitions")
_ELEMENT = (
    *_DOCUMENTED,
    "name",
    "physicalType",
    "physicalName",
    "businessName",
    "logicalType",
    "relationships",
    "quality",
)
OPERATORS = {
    "mustBe": "=",
    "mustNotBe": "!=",
    "mustBeGreaterThan": ">",
    "mustBeGreaterOrEqualTo": ">=",
    "mustBeLessThan": "<",
    "mustBeLessOrEqualTo": "<=",
    "mustBeBetween": "between",
    "mustNotBeBetween": "not between",
}
TOP = (
    *(
        "apiVersion",
        "kind",
        "id",
        "name",
        "version",
        "status",
        "tenant",
        "tags",
        "servers",
        "dataProduct",
        "description",
    ),
    *("domain", "schema", "support", "price", "team", "roles", "slaDefaultElement", "slaProperties"),
    *("authoritativeDefinitions", "customProperties", "contractCreatedTs"),
)
OBJECT = (*_ELEMENT, "dataGranularityDescription", "properties")
PROPERTY = (
    *_ELEMENT,
    *(
        "primaryKey",
        "primaryKeyPosition",
        "logicalTypeOptions",
        "required",
        "unique",
        "partitioned",
        "partitionKeyPosition",
    ),
    *("classification", "encryptedName", "transformSourceObjects", "transformLogic", "transformDescription"),
    *("criticalDataElement", "examples", "properties", "items"),
)
QUALITY = (
    *_DOCUMENTED,
    *(
        "name",
        "type",
        "metric",
        "rule",
        "arguments",
        "unit",
        "query",
        "engine",
        "implementation",
        "dimension",
        "severity",
    ),
    *("businessImpact", "method", "schedule", "scheduler"),
    *OPERATORS,
)
RELATIONSHIP = ("type", "from", "to", "customProperties")
DESCRIPTION = ("purpose", "usage", "limitations", "authoritativeDefinitions", "customProperties")
TEAM = ("id", "name", "description", "members", "tags", "customProperties", "authoritativeDefinitions")
MEMBER = (
    *("id", "username", "name", "description", "role", "dateIn", "dateOut", "replacedByUsername", "tags"),
    *("customProperties", "authoritativeDefinitions"),
)
SLA = ("id", "property", "value", "valueExt", "unit", "element", "driver", "description", "scheduler", "schedule")
CUSTOM = ("id", "property", "value", "description")
SERVER = ("id", "server", "type", "description", "environment", "roles", "customProperties")
POSTGRES = ("host", "port", "database", "schema")

_KINDS = {
    "string_type": ("text", "Put the value in quotes"),
    "bool_type": ("true or false", "Write true or false, without quotes"),
    "int_type": ("a whole number", "Write digits, without quotes"),
    "int_from_float": ("a whole number", "Write digits, without quotes"),
    "float_type": ("a number", "Write digits, without quotes"),
    "list_type": ("a list", "Begin each item with `- `"),
    "dict_type": ("a mapping", "Write `key: value` lines below it"),
    "model_type": ("a mapping", "Write `key: value` lines below it"),
    "too_short": ("a list of two numbers", "Write it as `[low, high]`"),
    "too_long": ("a list of two numbers", "Write it as `[low, high]`"),
}


def check_structure(document: Document) -> None:
    """Record everything in which the document departs from ODCS v3.1.0."""
    data = document.data
    _keys(document, (), data, TOP, required=("apiVersion", "kind", "id", "version", "status", "name", "schema"))
    if "apiVersion" in data and data["apiVersion"] != VERSION:
        document.add(("apiVersion",), f"apiVersion is `{data['apiVersion']}`", f"Write `apiVersion: {VERSION}`")
    if "kind" in data and data["kind"] != "DataContract":
        document.add(("kind",), f"kind is `{data['kind']}`", "Write `kind: DataContract`")
    if isinstance(data.get("description"), dict):
        _keys(document, ("description",), data["description"], DESCRIPTION)
    for where, sla in _items(data, ("slaProperties",)):
        _keys(document, where, sla, SLA, required=("property", "value"))
    _team(document, data)
    _custom(document, (), data)
    for where, table in _items(data, ("schema",)):
        _keys(document, where, table, OBJECT, required=("name", "properties"))
        _element(document, where, table)
    _kinds(document)


def check_server(document: Document, where: Where, server: dict[str, Any]) -> None:
    """Record everything in which an entry of `servers` departs from what the standard asks of a Postgres server."""
    _keys(document, where, server, (*SERVER, *POSTGRES), required=("server", *POSTGRES))
    _custom(document, where, server)


def _team(document: Document, data: dict[str, Any]) -> None:
    team = data.get("team")
    if isinstance(team, dict):
        _keys(document, ("team",), team, TEAM)
        for where, member in _items(team, ("members",), ("team",)):
            _keys(document, where, member, MEMBER, required=("username",))


def _element(document: Document, where: Where, element: dict[str, Any]) -> None:
    """Check what tables, columns and fields have in common, and all below."""
    _custom(document, where, element)
    for place, quality in _items(element, ("quality",), where):
        _keys(document, place, quality, QUALITY)
        _custom(document, place, quality)
    for place, relationship in _items(element, ("relationships",), where):
        _keys(document, place, relationship, RELATIONSHIP, required=("to",))
        _custom(document, place, relationship)
    for place, column in _items(element, ("properties",), where):
        _keys(document, place, column, PROPERTY, required=("name", "logicalType"))
        _element(document, place, column)
    items = element.get("items")
    if isinstance(items, dict):
        _keys(document, (*where, "items"), items, PROPERTY, required=("logicalType",))
        _element(document, (*where, "items"), items)


def _custom(document: Document, where: Where, element: dict[str, Any]) -> None:
    for place, entry in _items(element, ("customProperties",), where):
        _keys(document, place, entry, CUSTOM, required=("property", "value"))


def _items(data: dict[str, Any], key: tuple[str], where: Where = ()) -> Iterable[tuple[Where, dict[str, Any]]]:
    found = data.get(key[0])
    if isinstance(found, list):
        for index, item in enumerate(found):
            if isinstance(item, dict):
                yield (*where, key[0], index), item


def _keys(
    document: Document, where: Where, data: dict[str, Any], known: Iterable[str], required: Iterable[str] = ()
) -> None:
    for key in data:
        if key not in known:
            document.add((*where, key), f"`{key}` is no key of ODCS {VERSION} here", choose(key, known))
    for key in required:
        if data.get(key) is None:
            document.add(where, f"`{key}` is missing", f"Add `{key}:`")


def _kinds(document: Document) -> None:
    try:
        OpenDataContractStandard.model_validate(document.data, strict=True)
    except ValidationError as error:
        seen: set[Where] = set()
        for fault in error.errors():
            where, found = _locate(document.data, fault["loc"])
            if fault["type"] == "extra_forbidden" or where in seen:
                continue
            if where[:1] == ("team",) and _other_kind_of_team(document.data, fault["loc"]):
                continue
            seen.add(where)
            expected, remedy = _KINDS.get(fault["type"], (fault["msg"], "See the Open Data Contract Standard"))
            name = where[-1] if where and isinstance(where[-1], str) else "the entry"
            document.add(where, f"`{name}` must be {expected}, and {found!r} is found", remedy)


def _locate(data: Any, loc: tuple[int | str, ...]) -> tuple[Where, Any]:
    """The place and the value that pydantic speaks of; it mixes names of types into its path."""
    where: Where = ()
    for part in loc:
        is_key = isinstance(data, dict) and part in data
        is_index = isinstance(data, list) and isinstance(part, int) and part < len(data)
        if is_key or is_index:
            data, where = data[part], (*where, part)
    return where, data


def _other_kind_of_team(data: dict[str, Any], loc: tuple[int | str, ...]) -> bool:
    is_list = len(loc) > 1 and str(loc[1]).startswith("list[")
    return isinstance(data.get("team"), dict) == is_list
