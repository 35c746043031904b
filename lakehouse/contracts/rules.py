"""Constraints and quality entries of a contract, compiled to row rules and batch checks.

A constraint on one value becomes a `RowRule`; what needs the whole batch becomes a `BatchCheck`. What can be compiled
to neither is a problem: nothing that a contract says is passed over.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

from lakehouse.contracts import sodacl, spark_sql
from lakehouse.contracts.columns import read_type, reference
from lakehouse.contracts.document import Document, Where
from lakehouse.contracts.formats import EPOCHS, FORMATS, FRACTIONS, INTEGER_FORMATS, integer_range, type_range
from lakehouse.contracts.model import BatchCheck, Column, Dimension, Operator, RowRule, Severity, Unit
from lakehouse.contracts.odcs import OPERATORS, QUALITY
from lakehouse.contracts.predicates import check_aggregate, check_query, predicate_columns
from lakehouse.contracts.problems import choose
from lakehouse.contracts.values import NAME, entries, flag, mapping, number, one_of, own, text

DIMENSIONS: dict[str, Dimension] = {
    "accuracy": "accuracy",
    "completeness": "completeness",
    "conformity": "validity",
    "consistency": "consistency",
    "coverage": "completeness",
    "timeliness": "timeliness",
    "uniqueness": "uniqueness",
}
"""The dimensions of ODCS, and ours: what ODCS calls conformity is validity in the reports."""

RESERVED = {
    *("sequence_known", "quarantine_rate", "data_freshness", "records_conserved", "quarantine_age", "unknown_fields"),
    *("quality_score", "anomalies", "snapshot_complete"),
}
"""Names that checks of every table have; so has `<column>_type`."""
METRICS = ("nullValues", "missingValues", "invalidValues", "duplicateValues", "rowCount")
ENGINES = ("spark-row", "soda")
OPTIONS: dict[str, tuple[str, ...]] = {
    "string": ("minLength", "maxLength", "pattern", "format"),
    "integer": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "format"),
    "date": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "format"),
    "timestamp": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "format", "defaultTimezone"),
    "array": ("minItems", "maxItems", "uniqueItems"),
    "object": ("minProperties", "maxProperties", "required"),
}
"""What of `logicalTypeOptions` is checked, by logical type."""
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "nullValues": ("where",),
    "missingValues": ("missingValues", "where"),
    "invalidValues": ("validValues", "invalidValues", "pattern", "where"),
    "duplicateValues": ("properties", "where"),
    "rowCount": ("where",),
}
"""The arguments of each metric of the library."""
_FOR_PEOPLE = ("id", "name", "description", "tags", "authoritativeDefinitions", "businessImpact", "dimension")
_JUDGED = (*_FOR_PEOPLE, "type", "severity", "customProperties")
ENTRY_KEYS: dict[str, tuple[str, ...]] = {
    "library": (*_JUDGED, "metric", "rule", "arguments", "unit", *OPERATORS),
    "sql": (*_JUDGED, "query", "unit", *OPERATORS),
    "custom": (*_JUDGED, "engine", "implementation", *OPERATORS),
    "text": (*_FOR_PEOPLE, "type", "customProperties"),
}
"""What may be said in an entry of `quality`, by its type."""
_ROW_KEYS = ("max_percent",)
_REFERENCE_KEYS = ("max_percent", "severity", "where")

Place = Literal["table", "column", "field"]


@dataclass(frozen=True, slots=True)
class _Target:
    """What a constraint is about: an expression, and how a predicate over it becomes one over the row."""

    expression: str
    label: str
    """Begins the names of its rules: `line_items_quantity`."""
    path: str
    """For people and for reference checks: `line_items.quantity`."""
    top: Column
    type: str
    place: Place
    wrap: Callable[[str], str]
    depth: int = 0
    parent: str | None = None
    """The object that holds it, where the object itself may be null."""


@dataclass(slots=True)
class _Compiled:
    document: Document
    columns: tuple[Column, ...]
    table: str
    rules: list[RowRule] = field(default_factory=list)
    checks: list[BatchCheck] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)

    def rule(self, where: Where, rule: RowRule) -> None:
        self._named(where, rule.name)
        self.rules.append(replace(rule, line=self.document.line(where)))

    def check(self, where: Where, check: BatchCheck) -> None:
        self._named(where, check.name)
        self.checks.append(replace(check, line=self.document.line(where)))

    def _named(self, where: Where, name: str) -> None:
        derived = {f"{column.name}_type" for column in self.columns} | RESERVED
        if name in derived:
            self.document.add(
                where, f"the rule name `{name}` is kept for a rule of every table", "Choose another `name:`"
            )
        if name in self.names:
            message = f"the rule `{name}` is declared twice, first on line {self.names[name]}"
            self.document.add(where, message, "Give one of them another `name:`")
        self.names.setdefault(name, self.document.line(where))


def compile_rules(
    document: Document, where: Where, table: dict[str, Any], columns: tuple[Column, ...], table_name: str
) -> tuple[tuple[RowRule, ...], tuple[BatchCheck, ...]]:
    """The row rules and batch checks of the table at that place; problems are recorded in the document."""
    compiled = _Compiled(document, columns, table_name)
    by_name = {column.name: column for column in columns}
    for index, data in entries(table, "properties"):
        column = by_name.get(text(data, "name") or "")
        if column:
            name = column.name
            target = _Target(spark_sql.identifier(name), name, name, column, column.type, "column", lambda p: p)
            _compile_column(compiled, (*where, "properties", index), data, target)
    _key_check(compiled, where)
    for index, data in entries(table, "relationships"):
        _table_reference(compiled, (*where, "relationships", index), data)
    for index, data in entries(table, "quality"):
        _quality(compiled, (*where, "quality", index), data, None)
    return tuple(compiled.rules), tuple(compiled.checks)


def _compile_column(compiled: _Compiled, where: Where, data: dict[str, Any], target: _Target) -> None:
    if flag(data, "required") or flag(data, "primaryKey"):
        _required(compiled, where, target)
    _unique(compiled, where, data, target)
    _options(compiled, (*where, "logicalTypeOptions"), data, target)
    for index, quality in entries(data, "quality"):
        _quality(compiled, (*where, "quality", index), quality, target)
    for index, relationship in entries(data, "relationships")[:1]:
        _column_reference(compiled, (*where, "relationships", index), relationship, target)
    if data.get("logicalType") == "object":
        _fields(compiled, where, data, target)
    items = mapping(data, "items")
    if items:
        _elements(compiled, (*where, "items"), items, target)


def _fields(
    compiled: _Compiled, where: Where, data: dict[str, Any], target: _Target, holder_may_be_null: bool = True
) -> None:
    for index, child in entries(data, "properties"):
        name = text(child, "name")
        if not name:
            continue
        place = (*where, "properties", index)
        field_target = replace(
            target,
            expression=f"{target.expression}.{spark_sql.identifier(name)}",
            label=f"{target.label}_{name}",
            path=f"{target.path}.{name}",
            type=_quiet_type(compiled, place, child),
            place="field",
            parent=target.expression if holder_may_be_null else None,
        )
        _compile_column(compiled, place, child, field_target)


def _elements(compiled: _Compiled, where: Where, items: dict[str, Any], target: _Target) -> None:
    variable = "ijklmnopq"[target.depth % 9]
    array = target.expression

    def wrap(predicate: str) -> str:
        return target.wrap(f"forall({array}, {variable} -> {predicate})")

    is_object = items.get("logicalType") == "object"
    element = replace(
        target,
        expression=variable,
        label=target.label if is_object else f"{target.label}_items",
        type=_quiet_type(compiled, where, items),
        place="field",
        wrap=wrap,
        depth=target.depth + 1,
        parent=None,
    )
    if not is_object:
        _compile_column(compiled, where, items, element)
        return
    for key in ("quality", "logicalTypeOptions", "relationships"):
        if key in items:
            remedy = "Move it to the fields below, or to the column"
            compiled.document.add((*where, key), f"`{key}` of whole elements cannot be checked", remedy)
    _fields(compiled, where, items, element, holder_may_be_null=False)


def _quiet_type(compiled: _Compiled, where: Where, data: dict[str, Any]) -> str:
    """The type of a field; its problems were recorded when the columns were read."""
    return read_type(Document(compiled.document.file, {}), where, data)[1]


def _required(compiled: _Compiled, where: Where, target: _Target) -> None:
    predicate = f"{target.expression} is not null"
    if target.parent:
        predicate = f"({target.parent} is null or {predicate})"
    _value_rule(compiled, where, target, "required", predicate, f"{target.path} is present", "completeness")


def _value_rule(
    compiled: _Compiled,
    where: Where,
    target: _Target,
    suffix: str,
    predicate: str,
    description: str,
    dimension: Dimension = "validity",
) -> None:
    compiled.rule(
        where,
        RowRule(
            name=f"{target.label}_{suffix}",
            predicate=target.wrap(predicate),
            column=target.top.name,
            columns=(target.top.name,),
            dimension=dimension,
            description=description,
        ),
    )


def _unique(compiled: _Compiled, where: Where, data: dict[str, Any], target: _Target) -> None:
    if not flag(data, "unique"):
        return
    if target.place == "field":
        compiled.document.add((*where, "unique"), "uniqueness of a field is not checked", "Remove it, or use a column")
        return
    if not spark_sql.is_scalar(target.type):
        compiled.document.add((*where, "unique"), f"a column of type {target.type} cannot be unique", "Remove it")
        return
    if _keys(compiled) == (target.top.name,):
        return
    compiled.check(
        (*where, "unique"),
        BatchCheck(
            name=f"{target.label}_unique",
            kind="unique",
            columns=(target.top.name,),
            operator="=",
            threshold=(0,),
            dimension="uniqueness",
            description=f"No two rows have the same {target.path}",
        ),
    )


def _keys(compiled: _Compiled) -> tuple[str, ...]:
    keyed = [column for column in compiled.columns if column.key_position is not None]
    return tuple(column.name for column in sorted(keyed, key=lambda column: column.key_position or 0))


def _key_check(compiled: _Compiled, where: Where) -> None:
    keys = _keys(compiled)
    if keys:
        compiled.check(
            (*where, "properties"),
            BatchCheck(
                name="primary_key_unique",
                kind="unique",
                columns=keys,
                operator="=",
                threshold=(0,),
                dimension="uniqueness",
                description=f"No two rows have the same {', '.join(keys)}",
            ),
        )


def _options(compiled: _Compiled, where: Where, data: dict[str, Any], target: _Target) -> None:
    options = mapping(data, "logicalTypeOptions")
    if not options:
        return
    document, logical = compiled.document, data.get("logicalType")
    known = OPTIONS.get(str(logical), ())
    for key in options:
        if key not in known:
            remedy = choose(key, known) if known else "Remove it; use a rule of engine spark-row instead"
            if key == "timezone":
                remedy = "Remove it: a timestamp is read with its offset, and as UTC where it has none"
            document.add((*where, key), f"`{key}` cannot be checked for logicalType {logical}", remedy)
    _range(compiled, where, options, target)
    _size(compiled, where, options, target)
    if "pattern" in known and "pattern" in options:
        _pattern(compiled, (*where, "pattern"), options["pattern"], target, "pattern")
    if "multipleOf" in known and "multipleOf" in options:
        _multiple(compiled, (*where, "multipleOf"), options["multipleOf"], target)
    if "format" in known and "format" in options:
        _format(compiled, (*where, "format"), options["format"], str(logical), target)
    if logical == "object":
        _properties(compiled, where, options, data, target)
    distinct = options.get("uniqueItems", False) if "uniqueItems" in known else False
    if not isinstance(distinct, bool):
        document.add((*where, "uniqueItems"), f"`uniqueItems` cannot be `{distinct}`", "Write true or false")
    elif distinct and "map<" in target.type:
        document.add((*where, "uniqueItems"), f"elements of {target.type} cannot be compared", "Remove it")
    elif distinct:
        predicate = f"array_size(array_distinct({target.expression})) = array_size({target.expression})"
        _value_rule(
            compiled, (*where, "uniqueItems"), target, "distinct", predicate, f"{target.path} repeats no element"
        )
    zone = options.get("defaultTimezone", "UTC")
    if "defaultTimezone" in known and zone not in ("UTC", "Etc/UTC", "Z"):
        document.add(
            (*where, "defaultTimezone"),
            f"the time zone `{zone}` is not used",
            "Deliver timestamps in UTC, or with offset",
        )


def _range(compiled: _Compiled, where: Where, options: dict[str, Any], target: _Target) -> None:
    parts, words = [], []
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    for key, sign in signs.items():
        if key not in options:
            continue
        try:
            value = spark_sql.literal(options[key], target.type)
        except ValueError as error:
            compiled.document.add((*where, key), f"`{key}`: {error}", f"Write a value of type {target.type}")
            continue
        parts.append(f"{target.expression} {sign} {value}")
        words.append(f"{sign} {options[key]}")
    if parts:
        if target.type in spark_sql.FRACTIONS:
            parts.append(f"not isnan({target.expression})")
        _check_order(compiled, where, options, ("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum"))
        _value_rule(compiled, where, target, "range", " and ".join(parts), f"{target.path} is {' and '.join(words)}")


def _properties(
    compiled: _Compiled, where: Where, options: dict[str, Any], data: dict[str, Any], target: _Target
) -> None:
    """How many fields of an object have a value, and which must."""
    fields = {
        name: flag(child, "required") for _, child in entries(data, "properties") if (name := text(child, "name"))
    }
    is_map = target.type.startswith("map<")
    values = {name: f"{target.expression}.{spark_sql.identifier(name)}" for name in fields}
    held = ", ".join(f"{value} is not null" for value in values.values())
    measure = f"cardinality({target.expression})" if is_map else f"cardinality(filter(array({held}), x -> x))"
    bounds = _bounds(compiled, where, options, "minProperties", "maxProperties", measure)
    if bounds and (fields or is_map):
        predicate = f"({target.expression} is null or ({bounds[0]}))"
        _value_rule(compiled, where, target, "properties", predicate, f"{target.path} has {bounds[1]} properties")
    needed = options.get("required", [])
    if not isinstance(needed, list) or not all(isinstance(name, str) for name in needed):
        compiled.document.add((*where, "required"), f"`required` cannot be `{needed}`", "Write it as `[name, name]`")
        return
    for index, name in enumerate(needed):
        if is_map:
            predicate = f"({target.expression} is null or map_contains_key({target.expression}, {spark_sql.text_literal(name)}))"
        elif name not in fields:
            remedy = choose(name, sorted(fields))
            compiled.document.add((*where, "required", index), f"`{name}` is no field of {target.path}", remedy)
            continue
        elif fields[name]:
            continue  # its own `required: true` is a rule already
        else:
            predicate = f"({target.expression} is null or {values[name]} is not null)"
        suffix = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
        _value_rule(
            compiled,
            (*where, "required", index),
            target,
            f"{suffix}_required",
            predicate,
            f"{target.path}.{name} is present",
            "completeness",
        )


def _bounds(
    compiled: _Compiled, where: Where, options: dict[str, Any], low: str, high: str, measure: str
) -> tuple[str, str] | None:
    """A predicate over a size and its words; None where no bound is given."""
    parts, words = [], []
    for key, sign in ((low, ">="), (high, "<=")):
        if key not in options:
            continue
        value = options[key]
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            compiled.document.add((*where, key), f"`{key}` cannot be `{value}`", "Write a whole number, 0 or more")
            continue
        parts.append(f"{measure} {sign} {value}")
        words.append(f"{'at least' if sign == '>=' else 'at most'} {value}")
    _check_order(compiled, where, options, (low,), (high,))
    return (" and ".join(parts), " and ".join(words)) if parts else None


def _check_order(
    compiled: _Compiled, where: Where, options: dict[str, Any], lows: tuple[str, ...], highs: tuple[str, ...]
) -> None:
    for low in lows:
        for high in highs:
            if low in options and high in options and type(options[low]) is type(options[high]):
                if options[low] > options[high]:
                    message = f"`{low}` {options[low]} is above `{high}` {options[high]}"
                    compiled.document.add((*where, high), message, "Exchange or correct them")


def _size(compiled: _Compiled, where: Where, options: dict[str, Any], target: _Target) -> None:
    is_array = target.type.startswith("array<")
    low, high = ("minItems", "maxItems") if is_array else ("minLength", "maxLength")
    if not (is_array or target.type == "string"):
        return
    measure = f"array_size({target.expression})" if is_array else f"length({target.expression})"
    if bounds := _bounds(compiled, where, options, low, high, measure):
        predicate, words = bounds
        suffix, noun = ("size", "elements") if is_array else ("length", "characters")
        _value_rule(compiled, where, target, suffix, predicate, f"{target.path} has {words} {noun}")


def _pattern(compiled: _Compiled, where: Where, pattern: object, target: _Target, suffix: str) -> None:
    if check_pattern(compiled.document, where, pattern):
        predicate = f"{target.expression} rlike {spark_sql.text_literal(str(pattern))}"
        _value_rule(compiled, where, target, suffix, predicate, f"{target.path} matches {pattern}")


def check_pattern(document: Document, where: Where, pattern: object) -> bool:
    """Record a problem where a pattern is no regular expression."""
    fault = spark_sql.pattern_fault(pattern)
    if fault:
        is_text = isinstance(pattern, str) and pattern
        document.add(
            where, fault, "Mend it; `\\` escapes a sign" if is_text else "Write a regular expression in quotes"
        )
    return fault is None


def _multiple(compiled: _Compiled, where: Where, value: object, target: _Target) -> None:
    divisor = number(value)
    if divisor is None or divisor <= 0:
        compiled.document.add(where, f"`multipleOf` cannot be `{value}`", "Write a number above 0")
        return
    shown = spark_sql.literal(divisor, "decimal(38,18)")
    value_ = target.expression
    if target.type in spark_sql.FRACTIONS:  # 0.3 % 0.1 is not 0 in binary fractions
        value_ = f"cast({value_} as decimal(38,18))"
    predicate = f"{value_} % {shown} = 0"
    if target.type in spark_sql.FRACTIONS:
        predicate = f"not isnan({target.expression}) and {predicate}"
    _value_rule(compiled, where, target, "multiple", predicate, f"{target.path} is a multiple of {shown}")


def _format(compiled: _Compiled, where: Where, value: object, logical: str, target: _Target) -> None:
    if logical in ("date", "timestamp"):
        if value in EPOCHS and logical == "timestamp":
            return
        letters = re.sub(r"'[^']*'", "", value) if isinstance(value, str) else ""
        if (
            not re.search("[yuMdDHhms]", letters)
            or re.search("[^yuMLdDHhkKmsSaEeGVzOXxZqQnNAp\\W\\d]", letters)
            or "'" in letters
        ):
            remedy = "Write one of Java's, such as `dd.MM.yyyy`, or epoch_millis"
            compiled.document.add(where, f"`{value}` is no pattern of dates", remedy)
        return
    if logical == "integer":
        _integer_format(compiled, where, value, target)
        return
    if logical == "number":
        if not isinstance(value, str) or FRACTIONS.get(value) != target.type:
            message = f"format `{value}` does not fit physicalType {target.type}"
            compiled.document.add(where, message, "Remove the format; physicalType decides")
        return
    if not isinstance(value, str) or value not in FORMATS:
        compiled.document.add(where, f"the format `{value}` cannot be checked", choose(value, FORMATS))
        return
    predicate = f"{target.expression} rlike {spark_sql.text_literal(FORMATS[value])}"
    _value_rule(compiled, where, target, "format", predicate, f"{target.path} is a well-formed {value}")


def _integer_format(compiled: _Compiled, where: Where, value: object, target: _Target) -> None:
    """A format that is narrower than the type is a range of its own."""
    bounds = integer_range(str(value))
    if bounds is None:
        compiled.document.add(where, f"the format `{value}` cannot be checked", choose(value, INTEGER_FORMATS))
        return
    low, high = type_range(target.type)
    if bounds[1] > high:
        message = f"format `{value}` does not fit physicalType {target.type}"
        compiled.document.add(where, message, "Use a wider physicalType, or remove the format: physicalType decides")
    elif bounds != (low, high):
        predicate = f"{target.expression} between {bounds[0]} and {bounds[1]}"
        _value_rule(compiled, where, target, "format", predicate, f"{target.path} is a number of format {value}")


# --- quality entries -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Entry:
    """What all quality entries have."""

    name: str | None
    dimension: Dimension | None
    severity: Severity
    description: str
    unit: Unit
    operator: Operator | None
    threshold: tuple[float, ...]
    max_percent: float | None
    where: str | None = None
    """Which rows it is about; None: all."""
    filtered_by: tuple[str, ...] = ()
    """The columns that `where` reads."""
    reaches: bool = True
    """Whether a share of max_percent itself is tolerated."""


def _quality(compiled: _Compiled, where: Where, data: dict[str, Any], target: _Target | None) -> None:
    document = compiled.document
    kind = data.get("type", "library")
    if one_of(document, (*where, "type"), kind, tuple(ENTRY_KEYS), "type") is None:
        return
    _misplaced(document, where, data, str(kind))
    if kind == "text":
        if not text(data, "description"):
            document.add(where, "a quality entry of type text says nothing", "Add `description:`")
        return
    entry = _entry(compiled, where, data, needs_operator=kind in ("library", "sql"))
    if kind == "library":
        _library(compiled, where, data, entry, target)
    elif target and target.place == "field":
        remedy = "Move it to the table's quality; `forall(column, x -> …)` reaches the fields"
        document.add(where, f"a quality entry of type {kind} cannot stand at a field", remedy)
    elif kind == "sql":
        _sql(compiled, where, data, entry, target)
    elif kind == "custom":
        _custom(compiled, where, data, entry, target)


def _misplaced(document: Document, where: Where, data: dict[str, Any], kind: str) -> None:
    """Record what an entry of that type says without effect."""
    for key in data:
        if key in ENTRY_KEYS[kind] or key not in QUALITY:  # others are no keys of the standard, which is said already
            continue
        if key in ("schedule", "scheduler"):
            document.add((*where, key), f"`{key}` is not used: checks run with every batch", "Remove it")
            continue
        others = [other for other, keys in ENTRY_KEYS.items() if key in keys]
        remedy = (
            f"Remove it, or write `type: {others[0]}`" if others else "Remove it: type and metric say how it is checked"
        )
        document.add((*where, key), f"`{key}` has no meaning in an entry of type {kind}", remedy)
    if kind == "text" and "dimension" in data:
        _dimension(document, where, data)


def _dimension(document: Document, where: Where, data: dict[str, Any]) -> Dimension | None:
    dimension = data.get("dimension")
    if dimension == "validity":
        document.add((*where, "dimension"), "ODCS has no dimension `validity`", "Write `conformity`, its word for it")
    elif dimension is not None:
        one_of(document, (*where, "dimension"), dimension, DIMENSIONS, "dimension")
    return DIMENSIONS.get(str(dimension))


def _entry(compiled: _Compiled, where: Where, data: dict[str, Any], needs_operator: bool) -> _Entry:
    document = compiled.document
    name = text(data, "name")
    if name is not None and (not NAME.fullmatch(name) or len(name) > 100):
        document.add((*where, "name"), f"`{name}` is no usable name of a rule", "Use lower-case letters, digits and _")
    severity = data.get("severity", "error")
    one_of(document, (*where, "severity"), severity, ("error", "warning"), "severity")
    unit = data.get("unit", "rows")
    one_of(document, (*where, "unit"), unit, ("rows", "percent"), "unit")
    place, settings = own(document, where, data, _ROW_KEYS)
    operator, threshold = _operator(compiled, where, data, unit, needs_operator)
    return _Entry(
        name=name,
        dimension=_dimension(document, where, data),
        severity="warning" if severity == "warning" else "error",
        description=text(data, "description") or "",
        unit="percent" if unit == "percent" else "rows",
        operator=operator,
        threshold=threshold,
        max_percent=percent(document, (*place, "max_percent"), settings.get("max_percent")),
    )


def percent(document: Document, where: Where, value: object) -> float | None:
    """A share between 0 and 100, or None where none is given."""
    if value is None:
        return None
    share = number(value)
    if share is None or not 0 <= share <= 100:
        document.add(where, f"`{value}` is no percentage", "Write a number from 0 to 100")
        return None
    return float(share)


def _operator(
    compiled: _Compiled, where: Where, data: dict[str, Any], unit: object, needed: bool
) -> tuple[Operator | None, tuple[float, ...]]:
    document = compiled.document
    found = [key for key in OPERATORS if key in data]
    if not needed:
        for key in found:
            document.add(
                (*where, key), f"`{key}` has no meaning here", "Remove it: the implementation holds the threshold"
            )
        return None, ()
    if len(found) != 1:
        message = (
            f"{len(found) or 'no'} thresholds are given ({', '.join(found)})" if found else "the threshold is missing"
        )
        document.add(where, message, "Give one, such as `mustBe: 0`")
        return None, ()
    key = found[0]
    values = data[key] if isinstance(data[key], list) else [data[key]]
    numbers = [number(value) for value in values]
    expected = 2 if key.endswith("Between") else 1
    if len(numbers) != expected or any(value is None for value in numbers):
        shape = "two numbers, `[low, high]`" if expected == 2 else "a number"
        document.add((*where, key), f"`{key}` cannot be `{data[key]}`", f"Write {shape}")
        return None, ()
    threshold = tuple(float(value) for value in numbers if value is not None)
    if threshold != tuple(sorted(threshold)):
        document.add((*where, key), f"`{key}` begins with the larger number", "Write the smaller one first")
    if unit == "percent" and not all(0 <= value <= 100 for value in threshold):
        document.add((*where, key), f"`{data[key]}` is no percentage", "Write numbers from 0 to 100")
    return cast(Operator, OPERATORS[key]), threshold


def _library(compiled: _Compiled, where: Where, data: dict[str, Any], entry: _Entry, target: _Target | None) -> None:
    document = compiled.document
    if "rule" in data:
        document.add((*where, "rule"), "`rule` is the old word", "Write `metric:`")
    metric = data.get("metric", data.get("rule"))
    if one_of(document, (*where, "metric"), metric, METRICS, "metric") is None:
        return
    if (metric == "rowCount") == (target is not None) and metric != "duplicateValues":
        level = "the table" if metric == "rowCount" else "a column"
        document.add((*where, "metric"), f"`{metric}` is about {level}", f"Move the entry to the quality of {level}")
        return
    arguments = mapping(data, "arguments")
    known = tuple(key for key in ARGUMENTS[str(metric)] if not (target and key == "properties"))
    for key in arguments:
        if key not in known:
            document.add((*where, "arguments", key), f"`{metric}` has no argument `{key}`", choose(key, known))
    if "where" in arguments:
        filter_, read = _filter(compiled, (*where, "arguments", "where"), arguments["where"])
        entry = replace(entry, where=filter_, filtered_by=read)
    if metric == "rowCount":
        check = BatchCheck(name=entry.name or "row_count", kind="row_count", dimension="completeness")
        _batch(compiled, where, check, entry, "Number of rows in a batch")
    elif metric == "duplicateValues":
        _duplicates(compiled, where, arguments, entry, target)
    elif target and metric == "invalidValues":
        _invalid(compiled, where, arguments, entry, target)
    elif target:
        _missing(compiled, where, str(metric), arguments, entry, target)


def _filter(compiled: _Compiled, where: Where, written: object) -> tuple[str | None, tuple[str, ...]]:
    """A condition that says which rows count, and the columns that it reads."""
    if not isinstance(written, str) or not written.strip():
        compiled.document.add(where, f"`where` cannot be `{written}`", "Write what is true of the rows that count")
        return None, ()
    return written.strip(), predicate_columns(compiled.document, where, written, compiled.columns, "a filter")


def _batch(compiled: _Compiled, where: Where, check: BatchCheck, entry: _Entry, description: str) -> None:
    if entry.max_percent is not None:
        remedy = "Use a threshold such as `mustBeLessThan: 5` with `unit: percent`"
        compiled.document.add(where, "max_percent belongs to rules of single rows", remedy)
    if check.kind == "row_count" and entry.unit == "percent":
        compiled.document.add((*where, "unit"), "a number of rows has no percentage", "Remove `unit:`")
    compiled.check(
        where,
        replace(
            check,
            operator=entry.operator,
            threshold=entry.threshold,
            unit=entry.unit,
            where=entry.where,
            severity=entry.severity,
            dimension=entry.dimension or check.dimension,
            description=entry.description or description,
        ),
    )


def _duplicates(
    compiled: _Compiled, where: Where, arguments: dict[str, Any], entry: _Entry, target: _Target | None
) -> None:
    if target and target.place == "field":
        compiled.document.add(where, "uniqueness of a field is not checked", "Remove the entry, or use a column")
        return
    names = (target.top.name,) if target else arguments.get("properties")
    if not isinstance(names, list | tuple) or not names:
        remedy = "Add `arguments: {properties: [column, …]}`"
        compiled.document.add(where, "duplicateValues of a table needs the columns", remedy)
        return
    types = {column.name: column.type for column in compiled.columns}
    for name in names:
        if _known_column(compiled, (*where, "arguments", "properties"), name) and not spark_sql.is_scalar(types[name]):
            compiled.document.add(where, f"a column of type {types[name]} cannot be compared", "Choose another column")
    columns = tuple(str(name) for name in names)
    check = BatchCheck(
        name=entry.name or f"{'_'.join(columns)}_duplicates", kind="unique", columns=columns, dimension="uniqueness"
    )
    _batch(compiled, where, check, entry, f"Rows that repeat the {', '.join(columns)} of another row")


def _known_column(compiled: _Compiled, where: Where, name: object) -> bool:
    names = [column.name for column in compiled.columns]
    if name in names:
        return True
    compiled.document.add(where, f"`{name}` is no column of this table", choose(name, names))
    return False


def _missing(
    compiled: _Compiled, where: Where, metric: str, arguments: dict[str, Any], entry: _Entry, target: _Target
) -> None:
    values = arguments.get("missingValues", []) if metric == "missingValues" else []
    if metric == "missingValues" and not (isinstance(values, list) and values):
        compiled.document.add(
            where, "missingValues needs the values that count as missing", 'Add `arguments: {missingValues: [""]}`'
        )
        return
    given = [value for value in values if value is not None]
    literals = _literals(compiled, (*where, "arguments", "missingValues"), given, target)
    if entry.operator == "=" and entry.threshold == (0,):
        predicate = f"{target.expression} is not null"
        if literals:
            predicate += f" and {target.expression} not in ({', '.join(literals)})"
        suffix = "not_missing" if literals else "required"
        _entry_rule(compiled, where, entry, target, suffix, predicate, f"{target.path} is present", "completeness")
    elif target.place == "field":
        _only_zero(compiled, where)
    else:
        check = BatchCheck(
            name=entry.name or f"{target.label}_missing",
            kind="missing",
            columns=(target.top.name,),
            values=tuple(given),
            dimension="completeness",
        )
        _batch(compiled, where, check, entry, f"Rows without {target.path}")


def _only_zero(compiled: _Compiled, where: Where) -> None:
    remedy = "Write `mustBe: 0`, or a rule of engine spark-row at the table"
    compiled.document.add(where, "a field's threshold can only be none at all", remedy)


def _literals(compiled: _Compiled, where: Where, values: list[Any], target: _Target) -> list[str]:
    literals = []
    for index, value in enumerate(values):
        try:
            literals.append(spark_sql.literal(value, target.type))
        except ValueError as error:
            compiled.document.add((*where, index), f"{error}", f"Write values of type {target.type}")
    return literals


def _invalid(compiled: _Compiled, where: Where, arguments: dict[str, Any], entry: _Entry, target: _Target) -> None:
    document, parts, words, suffix = compiled.document, [], [], "accepted_values"
    for key, sign in (("validValues", "in"), ("invalidValues", "not in")):
        if key not in arguments:
            continue
        values = arguments[key]
        if not isinstance(values, list) or not values:
            document.add((*where, "arguments", key), f"`{key}` is no list of values", "Write it as `[one, two]`")
            continue
        given = [value for value in values if value is not None]
        literals = _literals(compiled, (*where, "arguments", key), given, target)
        if literals:
            parts.append(f"{target.expression} {sign} ({', '.join(literals)})")
            words.append(f"{'one' if sign == 'in' else 'none'} of {', '.join(str(value) for value in given)}")
    if "pattern" in arguments and check_pattern(document, (*where, "arguments", "pattern"), arguments["pattern"]):
        if target.type != "string":
            document.add((*where, "arguments", "pattern"), f"a pattern needs text, not {target.type}", "Remove it")
        parts.append(f"{target.expression} rlike {spark_sql.text_literal(arguments['pattern'])}")
        words.append(f"like {arguments['pattern']}")
        suffix = "accepted_values" if len(parts) > 1 else "pattern"
    if not parts:
        if not arguments:
            document.add(
                where, "invalidValues needs to know what is valid", "Add `arguments: {validValues: [one, two]}`"
            )
        return
    predicate, description = " and ".join(parts), f"{target.path} is {' and '.join(words)}"
    if _judges_rows(entry):
        if entry.operator != "=":
            entry = _with_share(compiled, where, entry)
        _entry_rule(compiled, where, entry, target, suffix, predicate, description, "validity")
    elif target.place == "field":
        _only_zero(compiled, where)
    else:
        name = entry.name or f"{target.label}_{suffix}"
        check = BatchCheck(name=name, kind="invalid", columns=(target.top.name,), predicate=predicate)
        _batch(compiled, where, check, entry, description)


def _judges_rows(entry: _Entry) -> bool:
    """Whether each row that breaks it is refused: where none may, or up to a share of the batch."""
    if entry.operator == "=" and entry.threshold == (0,):
        return True
    return entry.unit == "percent" and entry.operator in ("<", "<=") and bool(entry.threshold)


def _with_share(compiled: _Compiled, where: Where, entry: _Entry) -> _Entry:
    """The entry with its share of the batch as what its rule tolerates."""
    (share,) = entry.threshold
    if entry.max_percent is not None:
        compiled.document.add(where, "two shares are given", "Remove max_percent, or write `mustBe: 0`")
    if entry.where:
        remedy = "Write `mustBe: 0` and max_percent, or count in rows"
        compiled.document.add(where, "a share with `where` would be one of the whole batch", remedy)
    if entry.operator == "<" and share == 0:
        compiled.document.add(where, "no share is less than 0", "Write `mustBe: 0`")
    return replace(entry, max_percent=share, reaches=entry.operator == "<=")


def _entry_rule(
    compiled: _Compiled,
    where: Where,
    entry: _Entry,
    target: _Target,
    suffix: str,
    predicate: str,
    description: str,
    dimension: Dimension,
) -> None:
    wrapped = target.wrap(predicate)
    read = {target.top.name, *entry.filtered_by}
    compiled.rule(
        where,
        RowRule(
            name=entry.name or f"{target.label}_{suffix}",
            predicate=f"not ({entry.where}) or ({wrapped})" if entry.where else wrapped,
            column=target.top.name,
            columns=tuple(column.name for column in compiled.columns if column.name in read),
            dimension=entry.dimension or dimension,
            severity=entry.severity,
            max_percent=entry.max_percent,
            reaches_max=entry.reaches,
            description=entry.description or description,
        ),
    )


def _sql(compiled: _Compiled, where: Where, data: dict[str, Any], entry: _Entry, target: _Target | None) -> None:
    query = text(data, "query")
    if not query:
        compiled.document.add(where, "a quality entry of type sql needs a query", "Add `query:` with a SELECT")
        return
    if not entry.name:
        compiled.document.add(where, "a quality entry of type sql needs a name", "Add `name:`")
        return
    if entry.unit == "percent":
        compiled.document.add((*where, "unit"), "the unit of a query is its own affair", "Remove `unit:`")
    query = re.sub(r"\$\{(object|schema|model)\}", "${table}", query)
    if target:
        query = re.sub(r"\$\{(column|property|field)\}", target.expression, query)
    check_query(compiled.document, (*where, "query"), query, compiled.columns)
    columns = (target.top.name,) if target else ()
    check = BatchCheck(name=entry.name, kind="sql", columns=columns, text=query, dimension="accuracy")
    _batch(compiled, where, check, entry, "The result of a query")


def _custom(compiled: _Compiled, where: Where, data: dict[str, Any], entry: _Entry, target: _Target | None) -> None:
    document = compiled.document
    engine = data.get("engine")
    if one_of(document, (*where, "engine"), engine, ENGINES, "engine") is None:
        return
    implementation = sodacl.text_of(data.get("implementation")) if engine == "soda" else text(data, "implementation")
    if not implementation:
        document.add((*where, "implementation"), "the implementation is missing or no text", "Write it in quotes")
        return
    if not entry.name:
        document.add(where, "a quality entry of type custom needs a name", "Add `name:`")
        return
    place = (*where, "implementation")
    if target:
        implementation = re.sub(r"\$\{(column|property|field)\}", target.expression, implementation)
    if engine == "soda":
        _soda(compiled, where, data, implementation, entry)
        return
    compiled.rule(
        where,
        RowRule(
            name=entry.name,
            predicate=implementation,
            column=target.top.name if target else None,
            columns=predicate_columns(document, place, implementation, compiled.columns),
            dimension=entry.dimension or "validity",
            severity=entry.severity,
            max_percent=entry.max_percent,
            description=entry.description or implementation,
        ),
    )


def _soda(compiled: _Compiled, where: Where, data: dict[str, Any], written: str, entry: _Entry) -> None:
    document, place = compiled.document, (*where, "implementation")
    try:
        check = sodacl.compile_check(written, compiled.columns)
    except sodacl.SodaClError as error:
        document.add(place, str(error), error.remedy)
        return
    for sql in check.own_sql:
        if check.metric in sodacl.METRICS:
            predicate_columns(document, place, sql, compiled.columns, "a filter")
        else:
            check_aggregate(document, place, sql, compiled.columns)
    if check.metric == "freshness" and entry.severity == "error":
        remedy = "Write `severity: warning`, or `slaProperties` with `latency`"
        document.add(where, "old data never keeps a batch from being published", remedy)
    if not check.comparison and check.fail is None:
        if "severity" in data and entry.severity == "error":
            document.add(where, "a check that only warns is no error", "Write `severity: warning`, or `fail:`")
        entry = replace(entry, severity="warning")
    found = BatchCheck(
        name=entry.name or "", kind="soda", columns=check.columns, text=written, dimension=check.dimension
    )
    _batch(compiled, where, found, entry, written)


# --- references ----------------------------------------------------------------------------------------------------


def _column_reference(compiled: _Compiled, where: Where, data: dict[str, Any], target: _Target) -> None:
    to = data.get("to")
    parts = to.split(".") if isinstance(to, str) else []
    if len(parts) == 2:
        if target.depth > 1 or not spark_sql.is_scalar(target.type):
            compiled.document.add(where, f"a reference of {target.path} cannot be checked", "Remove it")
            return
        _reference(compiled, where, data, (target.path,), parts[0], (parts[1],), target.label)


def _table_reference(compiled: _Compiled, where: Where, data: dict[str, Any]) -> None:
    document = compiled.document
    ends = {}
    for key in ("from", "to"):
        written = data.get(key)
        if written is None:
            if key == "from":
                document.add(where, "a table's relationship needs its columns", "Add `from: <table>.<column>`")
            return
        listed = written if isinstance(written, list) else [written]
        ends[key] = [reference(document, (*where, key), item) for item in listed]
    if None in ends["from"] or None in ends["to"]:
        return
    sources, targets = ([end for end in ends[key] if end] for key in ("from", "to"))
    if len(sources) != len(targets) or not sources:
        document.add(where, f"{len(sources)} columns cannot refer to {len(targets)}", "Name as many in from as in to")
        return
    short = compiled.table.partition("_")[2]
    for table, column in sources:
        if table not in (compiled.table, short) and not compiled.table.endswith(f"_{table}"):
            document.add((*where, "from"), f"`{table}` is not this table", f"Write `{compiled.table}.{column}`")
        _known_column(compiled, (*where, "from"), column)
    if len({table for table, _ in targets}) > 1:
        document.add((*where, "to"), "a relationship leads to one table", "Write one relationship for each table")
    columns = tuple(column for _, column in sources)
    _reference(compiled, where, data, columns, targets[0][0], tuple(column for _, column in targets), "_".join(columns))


def _reference(
    compiled: _Compiled,
    where: Where,
    data: dict[str, Any],
    columns: tuple[str, ...],
    table: str,
    to: tuple[str, ...],
    label: str,
) -> None:
    document = compiled.document
    place, settings = own(document, where, data, _REFERENCE_KEYS)
    severity = settings.get("severity", "warning")
    one_of(document, (*place, "severity"), severity, ("error", "warning"), "severity")
    share = percent(document, (*place, "max_percent"), settings.get("max_percent"))
    filter_ = _filter(compiled, (*place, "where"), settings["where"])[0] if "where" in settings else None
    compiled.check(
        where,
        BatchCheck(
            name=f"{label}_reference",
            kind="reference",
            columns=columns,
            reference_table=table,
            reference_columns=to,
            operator="<=",
            threshold=(share or 0.0,),
            unit="percent",
            where=filter_,
            dimension="consistency",
            severity="error" if severity == "error" else "warning",
            description=f"{', '.join(columns)} is found in {table}",
        ),
    )
