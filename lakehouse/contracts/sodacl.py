"""A check in SodaCL, as people write it in a contract, compiled to one number over the rows and its thresholds.

Of the metrics that the language names, Soda's open core evaluates few on Spark (no deviation, no percentile); it rounds
percentages to two digits, leaves a filter off an expression and a quote unescaped, and passes what it does not know with
a line in its log. So the number is compiled here, to Spark SQL, and Soda judges it by the thresholds as they are written.
"""

import functools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from lakehouse.contracts import spark_sql
from lakehouse.contracts.model import Column, Dimension
from lakehouse.contracts.problems import choose
from lakehouse.contracts.values import number

COUNTS: dict[str, Dimension] = {
    "missing": "completeness",
    "invalid": "validity",
    "duplicate": "uniqueness",
}
"""Metrics with the ending `_count` or `_percent`."""
AGGREGATES = {
    "avg": "avg({})",
    "min": "min({})",
    "max": "max({})",
    "sum": "sum({})",
    "stddev": "stddev({})",
    "stddev_samp": "stddev_samp({})",
    "stddev_pop": "stddev_pop({})",
    "variance": "variance({})",
    "var_samp": "var_samp({})",
    "var_pop": "var_pop({})",
}
LENGTHS = {"avg_length": "avg(length({}))", "min_length": "min(length({}))", "max_length": "max(length({}))"}
METRICS = (
    "row_count",
    *(f"{name}_{unit}" for name in COUNTS for unit in ("count", "percent")),
    *AGGREGATES,
    "percentile",
    *LENGTHS,
    "freshness",
)
_MISSING = ("missing values", "missing regex")
_VALID = (
    *("valid values", "valid regex", "valid min", "valid max", "valid length", "valid min length", "valid max length"),
    *("invalid values", "invalid regex"),
)
_CONDITIONS = ("warn", "fail")
REFUSED = {
    "schema": "Remove it: the contract's columns are checked, see `unknown_fields`",
    "failed rows": "Write a rule of engine spark-row for single rows, or an entry of type sql",
    "group by": "Write an entry of type sql that returns one number",
    "group evolution": "Write an entry of type sql that returns one number",
    "values in": "Write `relationships:`",
    "row_count same as": "Write an entry of type sql",
    "anomaly": "Remove it: what a table's history makes unlikely is found without being asked for",
    "change": "Remove it: what a table's history makes unlikely is found without being asked for",
    "distribution_difference": "Remove it: what a table's history makes unlikely is found without being asked for",
    "for each": "Write the check for each column",
}
"""Beginnings of checks that SodaCL knows and that are not evaluated here, each with what to write instead."""
_REFUSED_KEYS = {
    "name": "The entry has a `name:` of its own",
    "samples limit": "Remove it: records that break a rule are shown from the quarantine",
    "samples columns": "Remove it: records that break a rule are shown from the quarantine",
    "attributes": "Write them as `customProperties:` or `tags:` of the entry",
    "valid format": "Write a `valid regex`, or `logicalTypeOptions: {format: …}` at the column",
    "invalid format": "Write an `invalid regex`",
    "missing format": "Write a `missing regex`",
}
_NUMBER = r"[+-]?\d+(?:\.\d+)?"
_DURATION = r"(?:\d+[dhm])+"
_VALUE = rf"(?:{_DURATION}|{_NUMBER})"
_THRESHOLD = (
    rf"(?P<operator><=|>=|!=|<>|=|<|>)\s*(?P<value>{_VALUE})\s*(?P<percent>%?)"
    rf"|(?P<between>(?:not\s+)?between)\s+(?P<low>{_VALUE})\s*%?\s+and\s+(?P<high>{_VALUE})\s*%?"
)
_HEAD = re.compile(r"(?P<metric>[A-Za-z_][A-Za-z0-9_]*)\s*(?:\((?P<arguments>[^()]*)\))?\s*(?P<rest>.*)", re.DOTALL)


class SodaClError(ValueError):
    """What is wrong with a check, and what to do about it."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class SodaCheck:
    metric: str
    columns: tuple[str, ...]
    expression: str
    """The number: Spark SQL to be selected from the rows; `${table}` stands for them where it reads them once more."""
    dimension: Dimension
    comparison: str = ""
    """What must hold: `> 3`, `between 1 and 3`. Empty where `warn` and `fail` say when it does not."""
    warn: str | None = None
    fail: str | None = None
    """As `when > 3`."""
    own_sql: tuple[str, ...] = ()
    """What of the expression people wrote as SQL: the filter, or the metric itself."""

    @property
    def threshold(self) -> str:
        if self.comparison:
            return self.comparison
        return ", ".join(
            f"{outcome}s {condition}"
            for outcome, condition in (("warn", self.warn), ("fail", self.fail))
            if condition is not None
        )


def text_of(implementation: object) -> str | None:
    """The check as one text, where a contract holds it as text or as a mapping."""
    if isinstance(implementation, str):
        return implementation.strip() or None
    return (
        json.dumps(implementation, ensure_ascii=False) if isinstance(implementation, dict) and implementation else None
    )


def compile_check(text: str, columns: tuple[Column, ...]) -> SodaCheck:
    """The check that a text in SodaCL asks for. Raises SodaClError for what cannot be evaluated."""
    head, body = _parts(text)
    for beginning, remedy in REFUSED.items():
        if re.match(rf"{beginning}\b", head):
            raise SodaClError(f"a check of `{beginning}` is not evaluated", remedy)
    match = _HEAD.fullmatch(head)
    if not match:
        raise SodaClError(f"`{head}` is no check", "Write a metric and a threshold, such as `avg(price) < 9`")
    metric = match["metric"]
    arguments = [part.strip() for part in (match["arguments"] or "").split(",") if part.strip()]
    is_own = f"{metric} expression" in body
    if f"{metric} query" in body:
        raise SodaClError("a metric with a query of its own is not evaluated", "Write an entry of type sql")
    if metric not in METRICS and not is_own:
        raise SodaClError(f"`{metric}` is no metric that can be evaluated", choose(metric, METRICS))
    if is_own and metric in METRICS:
        raise SodaClError(f"`{metric}` is a metric of SodaCL's own", "Give the expression another name")
    _check_keys(metric, body, is_own)
    named = [_column(name, columns) for name in arguments if not re.fullmatch(_NUMBER, name)]
    numbers = [float(name) for name in arguments if re.fullmatch(_NUMBER, name)]
    filter_ = _filter(body)
    expression, own_sql = (
        (_own_expression(metric, arguments, body, filter_), (str(body[f"{metric} expression"]).strip(),))
        if is_own
        else (_expression(metric, named, numbers, body, filter_), ((filter_,) if filter_ else ()))
    )
    comparison, warn, fail = _thresholds(metric, match["rest"].strip(), body)
    return SodaCheck(
        metric=metric,
        columns=tuple(column.name for column in named),
        expression=expression,
        dimension=_dimension(metric),
        comparison=comparison,
        warn=warn,
        fail=fail,
        own_sql=own_sql,
    )


@functools.cache
def _parts(text: str) -> tuple[str, dict[str, Any]]:
    """The line of a check and what stands below it."""
    if found := re.search(r"\$\{\w*\}?", text):
        raise SodaClError(f"`{found.group()}` is unknown", "Write the value itself; ${column} is known at a column")
    try:
        written = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        reason = str(getattr(error, "problem", None) or error).splitlines()[0]
        raise SodaClError(f"this is not YAML: {reason}", "Write one check; what follows it stands indented") from error
    except RecursionError as error:
        raise SodaClError("the YAML is nested too deeply to read", "Write one check, as SodaCL has it") from error
    if isinstance(written, list) or (
        isinstance(written, dict) and any(str(k).startswith("checks for") for k in written)
    ):
        raise SodaClError("the implementation is one SodaCL check, not a list", "Write only what follows the `- `")
    if isinstance(written, str):
        return " ".join(written.split()), {}
    if not isinstance(written, dict) or len(written) != 1:
        raise SodaClError("the implementation is not one check", "Write one entry for each check")
    ((head, body),) = written.items()
    if not isinstance(head, str) or not isinstance(body, dict):
        raise SodaClError(f"what follows `{head}` is no mapping", "Write `key: value` lines below the check")
    return " ".join(head.split()), {str(key): value for key, value in body.items()}


def _check_keys(metric: str, body: Mapping[str, Any], is_own: bool) -> None:
    known = (f"{metric} expression", *_CONDITIONS) if is_own else (*_CONDITIONS, "filter", *_value_keys(metric))
    for key in body:
        if key in known:
            continue
        if is_own and key == "filter":
            raise SodaClError("a filter has no effect on an expression", "Write `case when … end` into the expression")
        remedy = _REFUSED_KEYS.get(key) or choose(key, known)
        raise SodaClError(f"`{key}` has no meaning for `{metric}`", remedy)


def _value_keys(metric: str) -> tuple[str, ...]:
    if metric.startswith("missing_"):
        return _MISSING
    return (*_VALID, *_MISSING) if metric.startswith("invalid_") else ()


def _column(name: str, columns: tuple[Column, ...]) -> Column:
    name = name.strip("`\"'")
    found = next((column for column in columns if column.name == name.lower()), None)
    if found is None:
        raise SodaClError(f"`{name}` is no column of this table", choose(name, [column.name for column in columns]))
    return found


def _filter(body: Mapping[str, Any]) -> str | None:
    if "filter" not in body:
        return None
    if not isinstance(body["filter"], str) or not body["filter"].strip():
        raise SodaClError(f"the filter `{body['filter']}` is no condition", "Write what must be true of a row to count")
    return str(body["filter"]).strip()


def _own_expression(metric: str, arguments: list[str], body: Mapping[str, Any], filter_: str | None) -> str:
    written = body[f"{metric} expression"]
    if not isinstance(written, str) or not written.strip():
        raise SodaClError(f"the expression of `{metric}` is missing", "Write an aggregate, such as `sum(a) / sum(b)`")
    if arguments:
        raise SodaClError(f"`{metric}` takes no columns", "Name them in its expression")
    return written.strip()


def _expression(
    metric: str, named: list[Column], numbers: list[float], body: Mapping[str, Any], filter_: str | None
) -> str:
    if metric == "row_count":
        _expect(metric, named, numbers, 0)
        return _count(None, filter_)
    kind, _, unit = metric.rpartition("_")
    if kind in COUNTS:
        if kind == "duplicate":
            return _duplicates(named, numbers, unit, filter_)
        column = _expect(metric, named, numbers, 1)
        condition = _is_missing(column, body) if kind == "missing" else _is_invalid(column, body)
        counted = _count(condition, filter_)
        return counted if unit == "count" else f"{counted} * 100.0 / greatest({_count(None, filter_)}, 1)"
    column = _expect(metric, named, numbers, 1, 1 if metric == "percentile" else 0)
    value = spark_sql.identifier(column.name)
    if filter_:
        value = f"case when {filter_} then {value} end"
    if metric == "freshness":
        _expect_type(metric, column, column.type in ("date", "timestamp"), "a date or timestamp")
        newest = f"max(cast({value} as timestamp))"
        return f"(unix_micros(current_timestamp()) - unix_micros({newest})) / 3600000000"
    if metric in LENGTHS:
        _expect_type(metric, column, column.type == "string", "text")
        return LENGTHS[metric].format(value)
    _expect_type(metric, column, spark_sql.is_number(column.type), "a number")
    if metric == "percentile":
        if not 0 <= numbers[0] <= 1:
            raise SodaClError(f"there is no percentile {numbers[0]:g}", "Write a share from 0 to 1, such as 0.95")
        return f"percentile({value}, {numbers[0]!r})"
    return AGGREGATES[metric].format(value)


def _expect(metric: str, named: list[Column], numbers: list[float], columns: int, shares: int = 0) -> Any:
    """The only column; None where there is to be none."""
    if len(named) == columns and len(numbers) == shares:
        return named[0] if named else None
    wanted = ", ".join(("column",) * columns + ("share",) * shares)
    raise SodaClError(
        f"`{metric}` has other arguments", f"Write `{metric}({wanted})`" if wanted else f"Write `{metric}`"
    )


def _expect_type(metric: str, column: Column, holds: bool, wanted: str) -> None:
    if not holds:
        raise SodaClError(f"`{metric}` needs {wanted}, and {column.name} is {column.type}", "Use another column")


def _count(condition: str | None, filter_: str | None) -> str:
    """SQL for the number of rows of which all of these are true."""
    parts = [f"({part})" for part in (filter_, condition) if part]
    return f"count(case when {' and '.join(parts)} then 1 end)" if parts else "count(*)"


def _duplicates(named: list[Column], numbers: list[float], unit: str, filter_: str | None) -> str:
    """Values that occur more than once, as Soda counts them: each once, rows with a null aside."""
    if not named or numbers:
        raise SodaClError("duplicates need the columns that are compared", f"Write `duplicate_{unit}(column, …)`")
    for column in named:
        _expect_type("duplicate_" + unit, column, spark_sql.is_scalar(column.type), "single values")
    names = ", ".join(spark_sql.identifier(column.name) for column in named)
    known = " and ".join(f"{spark_sql.identifier(column.name)} is not null" for column in named)
    where = f"{known} and ({filter_})" if filter_ else known
    repeated = f"(select count(*) from (select 1 from ${{table}} where {where} group by {names} having count(*) > 1))"
    return repeated if unit == "count" else f"{repeated} * 100.0 / greatest({_count(None, filter_)}, 1)"


def _is_missing(column: Column, body: Mapping[str, Any]) -> str:
    name = spark_sql.identifier(column.name)
    parts = [f"{name} is null"]
    if "missing values" in body:
        parts.append(f"{name} in ({_literals('missing values', body, column)})")
    if "missing regex" in body:
        parts.append(_like("missing regex", body, column))
    return f"coalesce({' or '.join(parts)}, false)"


def _is_invalid(column: Column, body: Mapping[str, Any]) -> str:
    """Neither missing nor valid."""
    name = spark_sql.identifier(column.name)
    is_number, is_text = spark_sql.is_number(column.type), column.type == "string"
    compared: dict[str, tuple[bool, Callable[[Any], str]]] = {
        "valid min": (is_number, lambda value: f"{name} >= {value}"),
        "valid max": (is_number, lambda value: f"{name} <= {value}"),
        "valid length": (is_text, lambda value: f"length({name}) = {value}"),
        "valid min length": (is_text, lambda value: f"length({name}) >= {value}"),
        "valid max length": (is_text, lambda value: f"length({name}) <= {value}"),
    }
    parts = []
    if "valid values" in body:
        parts.append(f"{name} in ({_literals('valid values', body, column)})")
    if "valid regex" in body:
        parts.append(_like("valid regex", body, column))
    if "invalid values" in body:
        parts.append(f"{name} not in ({_literals('invalid values', body, column)})")
    if "invalid regex" in body:
        parts.append(f"not {_like('invalid regex', body, column)}")
    for key, (fits, comparison) in compared.items():
        if key in body:
            _expect_type(key, column, fits, "a number" if key in ("valid min", "valid max") else "text")
            limit = number(body[key])
            if limit is None:
                raise SodaClError(f"`{key}` cannot be `{body[key]}`", "Write a number")
            parts.append(comparison(spark_sql.literal(limit, "double" if is_number else "int")))
    if not parts:
        raise SodaClError("it is not said what is valid", f"Add one of {', '.join(_VALID)}")
    return f"not {_is_missing(column, body)} and not ({' and '.join(parts)})"


def _literals(key: str, body: Mapping[str, Any], column: Column) -> str:
    values = body[key]
    if not isinstance(values, list) or not values:
        raise SodaClError(f"`{key}` is no list of values", "Write it as `[one, two]`")
    try:
        return ", ".join(spark_sql.literal(value, column.type) for value in values)
    except ValueError as error:
        raise SodaClError(f"`{key}`: {error}", f"Write values of type {column.type}") from error


def _like(key: str, body: Mapping[str, Any], column: Column) -> str:
    _expect_type(key, column, column.type == "string", "text")
    pattern = body[key]
    if fault := spark_sql.pattern_fault(pattern):
        raise SodaClError(f"`{key}`: {fault}", "Mend it; `\\` escapes a sign")
    return f"({spark_sql.identifier(column.name)} rlike {spark_sql.text_literal(str(pattern))})"


def _dimension(metric: str) -> Dimension:
    if metric == "row_count":
        return "completeness"
    if metric == "freshness":
        return "timeliness"
    return COUNTS.get(metric.rpartition("_")[0], "accuracy")


def _thresholds(metric: str, after: str, body: Mapping[str, Any]) -> tuple[str, str | None, str | None]:
    """What must hold, or when to warn and when to fail."""
    given = [key for key in _CONDITIONS if key in body]
    if after and given:
        raise SodaClError(
            f"`{after}` and `{given[0]}` are both given", f"Write `warn` and `fail` below a bare `{metric}`"
        )
    if not after and not given:
        raise SodaClError(
            "the threshold is missing", f"Write one, such as `{metric} < 9`, or `warn:` and `fail:` below it"
        )
    conditions: dict[str, str] = {}
    for key in given:
        written = body[key]
        if not isinstance(written, str) or not written.startswith("when "):
            raise SodaClError(f"`{key}` cannot be `{written}`", f"Write it as `{key}: when > 9`")
        conditions[key] = f"when {_threshold(metric, written.removeprefix('when ').strip())}"
    return _threshold(metric, after) if after else "", conditions.get("warn"), conditions.get("fail")


def _threshold(metric: str, written: str) -> str:
    """A threshold as Soda reads it; of freshness in hours."""
    match = re.fullmatch(_THRESHOLD, written)
    if not match:
        remedy = "Write `< 9` (or <=, >, >=, =, !=), `between 1 and 9` or `not between 1 and 9`"
        raise SodaClError(f"`{written}` is no threshold", remedy)
    if "%" in written and not metric.endswith("_percent"):
        raise SodaClError(f"`{metric}` is no percentage", "Remove the `%`")
    if match["between"]:
        low, high = _number(metric, match["low"]), _number(metric, match["high"])
        if float(low) > float(high):
            raise SodaClError(f"`{written}` begins with the larger number", "Write the smaller one first")
        return f"{match['between']} {low} and {high}"
    operator = "!=" if match["operator"] == "<>" else match["operator"]
    return f"{operator} {_number(metric, match['value'])}"


def _number(metric: str, written: str) -> str:
    is_duration = re.fullmatch(_DURATION, written) is not None
    if is_duration != (metric == "freshness"):
        wanted = "an age such as `1d`, `36h` or `30m`" if metric == "freshness" else "a number"
        raise SodaClError(f"`{metric}` cannot be compared with `{written}`", f"Write {wanted}")
    if not is_duration:
        return written.removeprefix("+")
    hours = sum(
        int(amount) * {"d": 24.0, "h": 1.0, "m": 1 / 60}[unit] for amount, unit in re.findall(r"(\d+)([dhm])", written)
    )
    return format(round(hours, 6), "f").rstrip("0").rstrip(".")
