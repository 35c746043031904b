"""The columns of a contract: names, types, keys, privacy and relations."""

from typing import Any, cast

from lakehouse.contracts import spark_sql
from lakehouse.contracts.document import Document, Where
from lakehouse.contracts.model import Classification, Column, Mask
from lakehouse.contracts.problems import choose
from lakehouse.contracts.values import check_name, entries, flag, mapping, number, one_of, own, text

CLASSIFICATIONS = ("public", "internal", "confidential", "pii")
MASKS = ("hash", "partial", "redact")
OWN_KEYS = ("mask", "childTable")
LOGICAL_TYPES = {
    "string": "string",
    "integer": "bigint",
    "number": "double",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp",
}
"""The logical types of single values, each with the Spark type that it has unless the contract gives one."""
NOT_KEPT = {
    "partitioned": "tables are clustered, not partitioned, by Delta",
    "partitionKeyPosition": "tables are clustered, not partitioned, by Delta",
    "encryptedName": "personal data is masked instead; see `mask`",
}


def read_columns(document: Document, where: Where, table: dict[str, Any]) -> tuple[Column, ...]:
    """The columns of the table at that place; problems are recorded in the document."""
    columns = _fields(document, where, table)
    _keys(document, where, columns)
    _views(document, where, columns)
    return columns


def _fields(document: Document, where: Where, parent: dict[str, Any], nested: bool = False) -> tuple[Column, ...]:
    columns: list[Column] = []
    names: dict[str, str] = {}
    sources: dict[str, str] = {}
    if "properties" in parent and not entries(parent, "properties"):
        document.add((*where, "properties"), "there are no columns", "List at least one under `properties:`")
    for index, data in entries(parent, "properties"):
        place = (*where, "properties", index)
        column = _column(document, place, data, nested)
        if column is None:
            continue
        if column.name in names:
            document.add(
                (*place, "name"), f"the column `{column.name}` is declared twice", "Remove or rename one of them"
            )
        elif column.source_name.lower() in sources:
            other = sources[column.source_name.lower()]
            message = f"the columns `{other}` and `{column.name}` are both read from `{column.source_name}`"
            document.add(place, message, "Give each its own physicalName; Spark does not tell capitals apart")
        names[column.name] = sources[column.source_name.lower()] = column.name
        columns.append(column)
    return tuple(columns)


def _column(document: Document, where: Where, data: dict[str, Any], nested: bool) -> Column | None:
    name = text(data, "name")
    if name is None:
        return None
    check_name(document, (*where, "name"), name, "column")
    for key, instead in NOT_KEPT.items():
        if key in data:
            document.add((*where, key), f"`{key}` is not used here", f"Remove it: {instead}")
    children, spark_type = read_type(document, where, data)
    place, settings = own(document, where, data, OWN_KEYS)
    classification = data.get("classification", "internal")
    if classification is not None:
        one_of(document, (*where, "classification"), classification, CLASSIFICATIONS, "classification")
    mask = _mask(document, where, place, settings, classification, spark_type, nested)
    if any(child.classification == "pii" for child in children) and classification != "pii":
        message = f"`{name}` holds a field of personal data, which cannot be masked by itself"
        document.add(where, message, "Classify the whole column as pii, with mask: redact")
    return Column(
        name=name,
        source_name=_source_name(data) or name,
        type=spark_type,
        logical_type=text(data, "logicalType") or "string",
        description=text(data, "description") or "",
        required=flag(data, "required") or flag(data, "primaryKey"),
        unique=flag(data, "unique"),
        key_position=_key_position(document, where, data, spark_type, nested),
        classification=cast(Classification, classification if classification in CLASSIFICATIONS else "internal"),
        mask=mask,
        critical=flag(data, "criticalDataElement"),
        examples=tuple(data["examples"]) if isinstance(data.get("examples"), list) else (),
        format=_date_format(data),
        children=children,
        child_table=_child_table(document, place, settings, data, children),
        options=tuple(mapping(data, "logicalTypeOptions").items()),
        accepted=_accepted(data),
        relation=_relation(document, where, data),
        line=document.line(where),
    )


def _source_name(data: dict[str, Any]) -> str | None:
    """The name in the source as it is written, spaces at its ends included."""
    written = data.get("physicalName")
    return written if isinstance(written, str) else None


def read_type(document: Document, where: Where, data: dict[str, Any]) -> tuple[tuple[Column, ...], str]:
    """The fields below a column and its Spark type; another stands in where the type is wrong and reported."""
    logical = data.get("logicalType")
    written = text(data, "physicalType")
    if logical is None:
        return (), "string"
    if logical == "array":
        return _array(document, where, data, written)
    if logical == "object":
        return _object(document, where, data, written)
    for key in ("items", "properties"):
        if key in data:
            document.add(
                (*where, key), f"`{key}` does not fit logicalType {logical}", "Remove it, or use array or object"
            )
    if not isinstance(logical, str) or logical not in LOGICAL_TYPES:
        remedy = choose(logical, (*LOGICAL_TYPES, "array", "object"))
        document.add((*where, "logicalType"), f"logicalType cannot be `{logical}`", remedy)
        return (), "string"
    spark_type = _parsed(document, where, written) if written else LOGICAL_TYPES[logical]
    if spark_type is None:
        return (), LOGICAL_TYPES[logical]
    if not _fits(logical, spark_type):
        message = f"physicalType `{spark_type}` does not fit logicalType {logical}"
        document.add((*where, "physicalType"), message, f"Change one; {logical} is usually `{LOGICAL_TYPES[logical]}`")
    return (), spark_type


def _fits(logical: str, spark_type: str) -> bool:
    if logical == "number":
        return spark_sql.is_number(spark_type)
    if logical == "integer":
        return spark_type in spark_sql.INTEGERS or (spark_type.startswith("decimal") and spark_type.endswith(",0)"))
    return spark_type == LOGICAL_TYPES[logical]


def _array(
    document: Document, where: Where, data: dict[str, Any], written: str | None
) -> tuple[tuple[Column, ...], str]:
    items = mapping(data, "items")
    if not items:
        if written and written.lower() != "array":
            return (), _shaped(document, where, written, "array<")
        document.add(where, "an array needs the type of its elements", "Describe them under `items:`")
        return (), "array<string>"
    children, element = read_type(document, (*where, "items"), items)
    return children, _derived(document, where, written, f"array<{element}>", "array")


def _object(
    document: Document, where: Where, data: dict[str, Any], written: str | None
) -> tuple[tuple[Column, ...], str]:
    children = _fields(document, where, data, nested=True)
    if not children:
        if written and written.lower() not in ("struct", "object"):
            return (), _shaped(document, where, written, ("map<", "struct<"))
        document.add(where, "an object needs its fields", "List them under `properties:`")
        return (), "struct<value:string>"
    fields = ",".join(f"{spark_sql.identifier(child.name)}:{child.type}" for child in children)
    return children, _derived(document, where, written, f"struct<{fields}>", "struct")


def _derived(document: Document, where: Where, written: str | None, derived: str, bare: str) -> str:
    """The type that the fields make up; one that is written out as well must be the same."""
    if written and written.lower() not in (bare, "object"):
        given = _parsed(document, where, written)
        if given and given.replace("`", "") != derived.replace("`", ""):
            message = f"physicalType is `{given}`, and the fields below make `{derived}`"
            document.add((*where, "physicalType"), message, f"Write `{bare}`; the rest is derived")
    return derived


def _shaped(document: Document, where: Where, written: str, start: str | tuple[str, ...]) -> str:
    spark_type = _parsed(document, where, written)
    if spark_type is None:
        return "array<string>" if start == "array<" else "map<string,string>"
    if not spark_type.startswith(start):
        document.add(
            (*where, "physicalType"), f"physicalType `{spark_type}` does not fit the logicalType", "Change one"
        )
    return spark_type


def _parsed(document: Document, where: Where, written: str) -> str | None:
    try:
        return spark_sql.parse_type(written)
    except ValueError as error:
        remedy = f"Write a Spark SQL type: {spark_sql.GRAMMAR}"
        document.add((*where, "physicalType"), f"physicalType `{written}`: {error}", remedy)
        return None


def _mask(
    document: Document,
    where: Where,
    place: Where,
    settings: dict[str, Any],
    classification: object,
    spark_type: str,
    nested: bool,
) -> Mask | None:
    if nested:
        if "mask" in settings:
            document.add((*place, "mask"), "a field cannot be masked by itself", "Mask the whole column that holds it")
        return None
    if "mask" not in settings:
        if classification == "pii":
            remedy = "Add a customProperty `lakehouse` with `value: {mask: hash}` (or partial, redact)"
            document.add(where, "a column of personal data has no mask", remedy)
            return "redact"
        return None
    mask = one_of(document, (*place, "mask"), settings["mask"], MASKS, "mask")
    if mask == "partial" and spark_type != "string":
        document.add((*place, "mask"), f"mask partial needs text, and the column is {spark_type}", "Use hash or redact")
    if mask == "hash" and not spark_sql.is_scalar(spark_type):
        document.add((*place, "mask"), f"mask hash needs one value, and the column is {spark_type}", "Use redact")
    return cast(Mask | None, mask)


def _key_position(document: Document, where: Where, data: dict[str, Any], spark_type: str, nested: bool) -> int | None:
    position = number(data.get("primaryKeyPosition"))
    if not flag(data, "primaryKey"):
        if position is not None and position != -1:
            message = "primaryKeyPosition is given for a column outside the key"
            document.add((*where, "primaryKeyPosition"), message, "Add `primaryKey: true`, or remove the position")
        return None
    if nested:
        document.add((*where, "primaryKey"), "a field of an array or object cannot be part of the key", "Use a column")
        return None
    if not spark_sql.is_scalar(spark_type):
        document.add((*where, "primaryKey"), f"a column of type {spark_type} cannot be part of the key", "Use another")
    if data.get("required") is False:
        document.add((*where, "required"), "a key column cannot be optional", "Write `required: true`")
    if position is None and isinstance(data.get("primaryKeyPosition"), float):
        message = f"`primaryKeyPosition` cannot be `{data['primaryKeyPosition']}`"
        document.add((*where, "primaryKeyPosition"), message, "Write a whole number from 1")
    return int(position) if position is not None and position != -1 else 0


def _keys(document: Document, where: Where, columns: tuple[Column, ...]) -> None:
    keyed = [column for column in columns if column.key_position is not None]
    if columns and not keyed:
        remedy = "Mark the columns that identify a row with `primaryKey: true` and `primaryKeyPosition: 1`, 2, …"
        document.add((*where, "properties"), "the table has no primary key", remedy)
    positions = sorted(column.key_position or 0 for column in keyed)
    if positions not in ([0], list(range(1, len(positions) + 1))):
        found = ", ".join(f"{column.name}: {column.key_position or 'none'}" for column in keyed)
        message = f"the key's positions are not 1 to {len(keyed)} ({found})"
        document.add((*where, "properties"), message, "Number the key's columns with primaryKeyPosition, from 1")


def _child_table(
    document: Document, place: Where, settings: dict[str, Any], data: dict[str, Any], children: tuple[Column, ...]
) -> str | None:
    if "childTable" not in settings:
        return None
    name = settings["childTable"]
    if not isinstance(name, str):
        document.add((*place, "childTable"), f"childTable cannot be `{name}`", "Write the name of the view")
        return None
    if data.get("logicalType") != "array" or not children:
        document.add((*place, "childTable"), "only an array of objects can have a childTable", "Remove it")
    if data.get("classification") == "pii":
        document.add((*place, "childTable"), "a childTable would show personal data unmasked", "Remove it")
    check_name(document, (*place, "childTable"), name, "table")
    return name


def _views(document: Document, where: Where, columns: tuple[Column, ...]) -> None:
    keys = {column.name for column in columns if column.key_position is not None}
    seen: set[str] = set()
    for column in columns:
        if not column.child_table:
            continue
        if column.child_table in seen:
            document.add(where, f"the childTable `{column.child_table}` is used twice", "Rename one")
        seen.add(column.child_table)
        for child in column.children:
            if child.name in keys:
                message = f"the field `{child.name}` of {column.name} has the name of a key column"
                document.add(where, message, "Rename it (physicalName keeps the source's): the view has both")


def _relation(document: Document, where: Where, data: dict[str, Any]) -> tuple[str, str] | None:
    found = entries(data, "relationships")
    for index, relationship in found:
        place = (*where, "relationships", index)
        if relationship.get("type", "foreignKey") != "foreignKey":
            document.add(
                place, f"a relationship of type `{relationship['type']}` is unknown", "Write `type: foreignKey`"
            )
        if "from" in relationship:
            document.add((*place, "from"), "`from` is known here: it is the column", "Remove it")
    if len(found) > 1:
        document.add(
            (*where, "relationships"), "a column can refer to one table", "Keep one, or use rules for the rest"
        )
    if not found:
        return None
    return reference(document, (*where, "relationships", 0, "to"), found[0][1].get("to"))


def reference(document: Document, where: Where, written: object) -> tuple[str, str] | None:
    """`"stripe_customers.customer_id"` in its two parts."""
    parts = written.split(".") if isinstance(written, str) else []
    if len(parts) == 2 and all(part.isidentifier() for part in parts):
        return parts[0], parts[1]
    if written is not None:
        document.add(where, f"`{written}` names no column of a table", "Write `<source>_<table>.<column>`")
    return None


def _accepted(data: dict[str, Any]) -> tuple[object, ...]:
    """The values of the first quality entry that refuses every record with another one."""
    for _, quality in entries(data, "quality"):
        arguments = mapping(quality, "arguments")
        values, strict = arguments.get("validValues"), quality.get("severity", "error") == "error"
        is_asked_of_all = quality.get("mustBe") == 0 and strict and "where" not in arguments
        if quality.get("metric") == "invalidValues" and is_asked_of_all and isinstance(values, list):
            return tuple(value for value in values if value is not None)
    return ()


def _date_format(data: dict[str, Any]) -> str | None:
    return (
        text(mapping(data, "logicalTypeOptions"), "format")
        if data.get("logicalType") in ("date", "timestamp")
        else None
    )
