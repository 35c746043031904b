"""Break each rule's and each check's data in turn, and see which fail: what the proofs of `test_proof` share.

A case of a row rule is one record, so that one query parses and judges the records of all cases together. A case of a batch
check is a batch: the clean one, changed by SQL, with its own audit.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.contracts.model import Contract
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
    twice: str = "false"
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
    expected = {name: {name, *broken[name].also} if name in broken else set() for name, _ in cases}
    assert found == expected


def prove_checks(
    spark: Any,
    of: Contract,
    clean: Sequence[Row],
    broken: Mapping[str, Batch],
    references: Mapping[str, Mapping[str, Sequence[str]]],
    base: Mapping[str, str],
    envelopes: Sequence[Row] = (),
    copies: int = 1,
) -> None:
    """A clean batch passes every check; each broken one fails (or warns of) its own and what that necessarily breaks, and
    nothing else. `references` are the tables referred to, as columns and their values; `base` is SQL of columns that
    make the batch clean today; each row is there in so many `copies`, with keys of their own."""
    headers = [_csv([c.source_name for c in of.columns], of)] if of.format == "csv" else []
    frame = parse(raw_frame(spark, of, [("f", row) for row in clean], envelopes), of, headers)
    if copies > 1:
        of_copy = f"concat({of.keys[0]}, lpad(copy, 9, '0'))"
        frame = frame.crossJoin(spark.range(copies).withColumnRenamed("id", "copy")).withColumn(
            of.keys[0], F.expr(of_copy)
        )
        frame = frame.withColumn("_position", F.expr(f"_position * {copies} + copy")).drop("copy")
    for name, expression in base.items():
        frame = frame.withColumn(name, F.expr(expression))
    frame = frame.withColumn("_is_visible", F.lit(True)).withColumn("valid_to", F.lit(None).cast("timestamp")).persist()
    found: dict[str, dict[str, str]] = {}
    with _silver(spark, references):
        for case, batch in {"clean": Batch("pass"), **broken}.items():
            found[case] = _outcomes(spark, of, frame, batch, frozenset(references), len(clean) * copies)
    frame.unpersist()
    assert found["clean"] == {}
    assert found == {"clean": {}} | {name: {name: batch.outcome, **batch.also} for name, batch in broken.items()}


def _outcomes(
    spark: Any, of: Contract, clean: DataFrame, batch: Batch, references: frozenset[str], landed: int
) -> dict[str, str]:
    """What does not pass of an audit of the changed batch."""
    changed = clean.where(batch.keep)
    changed = changed.unionByName(changed.where(batch.twice))
    for name, expression in batch.columns.items():
        changed = changed.withColumn(name, F.expr(expression))
    changed = changed.withColumn("_violations", F.expr(_violations(of)))
    views = Views(f"proof_{of.table}", f"proof_{of.table}_folded", references)
    for view, frame in (
        (views.parsed, changed.where("_unreadable is null")),
        (views.parsed + "_all", changed),
        (views.folded, clean if batch.only_parsed else changed.where("_unreadable is null")),
    ):
        frame.createOrReplaceTempView(view)
    # Most rules of records have a proof of their own; a broken one would still show in the rate of refused records.
    shown = tuple(rule for rule in of.rules if rule.severity == "warning" or rule.max_percent is not None)
    results = audit(spark, replace(of, rules=shown), views, landed, 1)
    return {result.name: result.outcome for result in results if result.outcome != "pass"}


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
