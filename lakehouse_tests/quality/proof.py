"""Break each rule's and each check's data in turn, and see which fail: what the proofs of `test_proof` share.

A case of a row rule is one record, so that one query parses and judges the records of all cases together. A case of a batch
check is a batch: the clean one, changed by SQL, with its own audit.
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame
from pyspark.sql import Row as SparkRow
from pyspark.sql import functions as F

from lakehouse.contracts.model import Contract
from lakehouse.quality import audit as audits
from lakehouse.quality import soda
from lakehouse.quality.audit import Views, audit
from lakehouse.quality.rules import row_rules
from lakehouse.silver.parse import _violations, parse
from lakehouse.storage.tables import literal

RAW = "record string, header string, is_decoded boolean, file string, position bigint, arrived_on date"
Row = dict[str, Any]


@dataclass(frozen=True)
class Broken:
    """One rule's data, broken."""

    changed: Mapping[str, Any] = field(default_factory=dict)
    """Of a row rule: path in the record (`lines.0.quantity`) → value. Begins with `^`: a path in the envelope around it,
    or `^arrived_on`."""
    also: tuple[str, ...] = ()
    """Other rules that the same data necessarily breaks."""
    base: Mapping[str, Any] = field(default_factory=dict)
    """The clean record to begin with: the first that has these values."""


@dataclass(frozen=True)
class Batch:
    """A batch that breaks one check: the clean one with SQL over its typed rows; `_position` counts them from 0."""

    outcome: str
    columns: Mapping[str, str] = field(default_factory=dict)
    keep: str = "true"
    only_parsed: bool = False
    """Whether what arrived is changed, and not what was folded of it."""
    also: Mapping[str, str] = field(default_factory=dict)
    """Other checks → their outcome, which the same data necessarily breaks."""


def raw_frame(spark: Any, of: Contract, records: Sequence[tuple[str, Row]], envelopes: Sequence[Row] = ()) -> DataFrame:
    """Bronze rows of named records, as they would arrive."""
    today = datetime.now(UTC).date()
    rows, header = [], None
    if of.format == "csv":
        header = _csv([column.source_name for column in of.columns], of)
    for n, (name, record) in enumerate(records):
        arrived: date | None = today
        document = {key: value for key, value in record.items() if not key.startswith("^")}
        text = _csv([document[c.source_name] for c in of.columns], of) if header else json.dumps(document)
        if of.delivery == "changes":
            envelope: Row = deepcopy(envelopes[0]) if envelopes else {"op": "c", "source": {"lsn": n}}
            envelope |= {"op": "c", "before": None, "after": document}
            for path in (path for path in record if path.startswith("^")):
                _set(envelope, path[1:], record[path])
            text = json.dumps(envelope)
        elif "^arrived_on" in record:
            arrived = record["^arrived_on"]
        rows.append((text, header, True, name, n, arrived))
    return spark.createDataFrame(rows, RAW)


def _csv(values: Sequence[Any], of: Contract) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=of.csv_delimiter, lineterminator="").writerow(values)
    return text.getvalue()


def mutated(record: Row, changed: Mapping[str, Any]) -> Row:
    copy = deepcopy(record)
    for path, value in changed.items():
        if path.startswith("^"):
            copy[path] = value
        else:
            _set(copy, path, value)
    return copy


def _set(record: Any, path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for part in parents:
        record = record[int(part) if part.isdigit() else part]
    record[int(last) if last.isdigit() else last] = value


def broken_rules(spark: Any, of: Contract, records: Sequence[tuple[str, Row]], envelopes: Sequence[Row] = ()) -> Any:
    """For each named record the rules that it breaks, those that refuse it and those that warn. One query for all."""
    raw = raw_frame(spark, of, records, envelopes)
    headers = [header] if of.format == "csv" and (header := _csv([c.source_name for c in of.columns], of)) else []
    warnings = ", ".join(
        f"case when not coalesce({rule.predicate}, true) then {literal(rule.name)} end"
        for rule in row_rules(of)
        if rule.severity == "warning"
    )
    warned = f"filter(array({warnings}), x -> x is not null)" if warnings else "cast(array() as array<string>)"
    found = parse(raw, of, headers).selectExpr("_file", "_unreadable", "_violations", f"{warned} as warned").collect()
    assert [row["_unreadable"] for row in found if row["_unreadable"]] == []
    return {row["_file"]: {*row["_violations"], *row["warned"]} for row in found}


def prove_rules(
    spark: Any, of: Contract, clean: Sequence[Row], broken: Mapping[str, Broken], envelopes: Sequence[Row] = ()
) -> None:
    """Clean records break nothing; each broken one its rule and what that necessarily breaks, and nothing else."""
    assert set(broken) == {rule.name for rule in row_rules(of)}, "every rule has its case"
    cases = [(f"clean {n}", record) for n, record in enumerate(clean[:50])]
    for name, case in broken.items():
        base = next(r for r in clean if all(r.get(key) == value for key, value in case.base.items()))
        cases.append((name, mutated(base, case.changed)))
    found = broken_rules(spark, of, cases, envelopes)
    _agree(found, {name: {name, *broken[name].also} if name in broken else set() for name, _ in cases})


def prove_checks(
    spark: Any,
    of: Contract,
    clean: Sequence[Row],
    broken: Mapping[str, Batch],
    references: Mapping[str, Mapping[str, Sequence[str]]],
    base: Mapping[str, str],
    place: Path,
    envelopes: Sequence[Row] = (),
) -> None:
    """A clean batch passes every check; each broken one fails (or warns of) its own and what that necessarily breaks, and
    nothing else. `references` are the tables referred to, as columns and their values; `base` is SQL of columns that
    make the batch clean today. Each case has the expressions of the audit's own query and Soda's judgement."""
    cases = {"clean": Batch("pass"), **broken}
    headers = [_csv([c.source_name for c in of.columns], of)] if of.format == "csv" else []
    frame = parse(raw_frame(spark, of, [("f", row) for row in clean], envelopes), of, headers)
    _of_all_cases(frame, of, cases, base).coalesce(1).write.parquet(str(place))
    staged = spark.read.parquet(str(place))
    # Most rules of records have a proof of their own; a broken one would still show in the rate of refused records.
    shown = tuple(rule for rule in of.rules if rule.severity == "warning" or rule.max_percent is not None)
    judged = replace(of, rules=shown)
    with _silver(spark, references), pytest.MonkeyPatch.context() as patch:
        views = Views("proof_case", "proof_case_folded", frozenset(references))
        asked: list[str] = []
        patch.setattr(soda, "_query", lambda _, text: asked.append(text) or _unanswered())
        audit(spark, judged, views, len(clean), 1)
        assert asked[1:] == ["select 1"], "an audit is one query"
        answers = _answers(spark, staged, asked[0], cases)
        found, of_clean = {}, dict[str, soda.Measured]()

        def scan(_: Any, dataset: str, checks: Mapping[str, Any]) -> dict[str, soda.Measured]:
            """Soda's judgement; of a number that is that of the clean batch, the same as of the clean batch."""
            new = {
                n: c for n, c in checks.items() if n not in of_clean or answer[f"m_{n}"] != answers["clean"][f"m_{n}"]
            }
            return {**of_clean, **soda.scan(spark, dataset, new)}

        def query(_: Any, text: str) -> Any:
            return _Answer(text, answer)

        patch.setattr(audits, "scan", scan)
        patch.setattr(soda, "_query", query)
        for name in cases:
            answer = answers[name]
            results = audit(spark, judged, views, len(clean), 1)
            of_clean = of_clean or {r.name: soda.Measured(r.outcome, r.value) for r in results}
            found[name] = {result.name: result.outcome for result in results if result.outcome != "pass"}
    _agree(found, {"clean": {}} | {name: {name: batch.outcome, **batch.also} for name, batch in broken.items()})


def _agree(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    assert set(found) == set(expected)
    wrong = {name: f"found {found[name]}, expected {expected[name]}" for name in found if found[name] != expected[name]}
    assert not wrong, wrong


def _unanswered() -> Any:
    raise LookupError("what is asked is only looked at")


class _Answer:
    """The one row of a query, as Soda reads it."""

    def __init__(self, text: str, values: Mapping[str, Any]) -> None:
        self.row = SparkRow(**{name: values[name] for name in re.findall(r" as (m_\w+)", text)})

    def limit(self, _: int) -> "_Answer":
        return self

    def collect(self) -> list[Any]:
        return [self.row]


def _of_all_cases(frame: DataFrame, of: Contract, cases: Mapping[str, Batch], base: Mapping[str, str]) -> DataFrame:
    """The rows of each case, told apart by `_case`."""
    for name, expression in base.items():
        frame = frame.withColumn(name, F.expr(expression))
    frame = frame.selectExpr("*", f"explode(array({', '.join(map(literal, cases))})) as _case")
    frame = frame.where(_by_case({name: batch.keep for name, batch in cases.items()}, "true"))
    for column in dict.fromkeys(column for batch in cases.values() for column in batch.columns):
        changed = {name: batch.columns[column] for name, batch in cases.items() if column in batch.columns}
        frame = frame.withColumn(column, F.expr(_by_case(changed, column)))
    frame = frame.withColumn("_is_visible", F.lit(True)).withColumn("valid_to", F.lit(None).cast("timestamp"))
    return frame.withColumn("_violations", F.expr(_violations(of)))


def _by_case(expressions: Mapping[str, str], otherwise: str) -> str:
    whens = " ".join(f"when {literal(name)} then {expression}" for name, expression in expressions.items())
    return f"case _case {whens} else {otherwise} end"


def _answers(spark: Any, staged: DataFrame, query: str, cases: Mapping[str, Batch]) -> dict[str, dict[str, Any]]:
    """What the expressions of the audit's query come to in each case, by the names of their columns.

    An aggregate is asked of all cases at once. A subquery is asked of the clean batch and of the cases that change what it
    reads; in the others it comes to the same as there."""
    body = query[query.index("SELECT") + 6 : query.rindex("FROM proof_case")]
    asked = {name: text.strip() for text, name in re.findall(r"(.+?) as (m_\w+)(?:,\n|\s*\Z)", body, re.DOTALL)}
    over_all = {n: match[1] for n, text in asked.items() if (match := re.fullmatch(_OVER_ALL, text, re.DOTALL))}
    over_rows = {n: text for n, text in asked.items() if "proof_case" not in text}
    subqueries = {n: text for n, text in asked.items() if n not in over_all and n not in over_rows}
    readable = staged.where("_unreadable is null")
    found: dict[str, dict[str, Any]] = {name: {} for name in cases}
    for frame, expressions in ((readable, over_rows), (staged, over_all)):
        columns = [F.expr(f"{text} as {name}") for name, text in expressions.items()]
        nothing = {} if not (lost := _lost(cases)) else frame.where("false").agg(*columns).collect()[0].asDict()
        found |= {name: found[name] | nothing for name in lost}
        for row in frame.groupBy("_case").agg(*columns).collect():
            found[row["_case"]] |= {name: row[name] for name in expressions}
    texts = []
    readable.createOrReplaceTempView("proof_readable")
    for n, (name, batch) in enumerate(cases.items()):
        rows, folded = (
            f"(select * from proof_readable where _case = {literal(of)})"
            for of in (name, "clean" if batch.only_parsed else name)
        )
        for metric, text in subqueries.items():
            if name == "clean" or _reads(text, batch):
                own = f"select {text}\n as value, count(*) as n from proof_case"
                own = own.replace("proof_case_folded", folded).replace("proof_case", rows)
                texts.append(f"select {n} as n, '{metric}' as metric, cast(value as double) as value from ({own})")
    names = list(cases)
    measured = spark.sql(" union all ".join(texts)).collect() if texts else []
    for row in sorted(measured, key=lambda row: row["n"]):
        found[names[row["n"]]][row["metric"]] = row["value"]
    of_clean = {metric: found["clean"][metric] for metric in subqueries}
    return {name: of_clean | values for name, values in found.items()}


_OVER_ALL = r"\(select (.+) from proof_case_all\)"


def _lost(cases: Mapping[str, Batch]) -> list[str]:
    return [name for name, batch in cases.items() if batch.keep == "false"]


def _reads(text: str, batch: Batch) -> bool:
    """Whether the case changes something that the expression reads."""
    if batch.keep != "true" or "_unreadable" in batch.columns:
        return True
    return any(re.search(rf"\b{column}\b", text) for column in batch.columns)


@contextmanager
def _silver(spark: Any, tables: Mapping[str, Mapping[str, Sequence[str]]]) -> Iterator[None]:
    spark.sql("create schema if not exists silver")
    for table, columns in tables.items():
        arrays = ", ".join(f"split({literal('|'.join(values))}, '[|]')" for values in columns.values())
        names = ", ".join(f"cast(row.`{i}` as string) as {name}" for i, name in enumerate(columns))
        spark.sql(
            f"create or replace view silver.{table} as select {names} from (select explode(arrays_zip({arrays})) as row)"
        )
    try:
        yield
    finally:
        for table in tables:
            spark.sql(f"drop view silver.{table}")
