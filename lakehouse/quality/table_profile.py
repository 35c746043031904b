"""What a table holds, measured in a handful of queries whose number does not grow with columns or rows.

1. One aggregate over the whole table, all columns at once: nulls, approximate distinct values, bounds, quantiles, lengths.
2. A sample of rows, chosen by their hash: the same table gives the same sample. What only a look at values can tell rests
   on it: forms of text, types behind text, personal data, candidates of keys.
3. All values of the columns that have few, exactly.
4. One aggregate that confirms what the sample suggests on every row: few candidates of keys, forms of text.
5. The sampled values of columns that may refer to others, looked for among the keys of other tables.
"""

import itertools
import math
import re
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from lakehouse.contracts.formats import FORMATS
from lakehouse.contracts.inference import Guess, guess, is_code, shape
from lakehouse.contracts.personal import Personal, is_personal, safe
from lakehouse.contracts.profile import key_rank
from lakehouse.contracts.proposals import ColumnProfile, Key, Relation, TableProfile
from lakehouse.contracts.spark_sql import is_number, is_scalar
from lakehouse.storage import tables
from lakehouse.storage.tables import Field, literal, quote

SAMPLE_ROWS = 5_000
FEW = 50
"""Up to so many different values are all counted."""
TOP = 5
_LOOKED_FOR = 500
"""Values of a column that are looked for among the keys of other tables."""
_CONFIRMED = 2
"""Candidates of keys, alone and in pairs, that are confirmed: each costs a shuffle of the table's hashes."""
_NEARLY = 0.95
"""A column with fewer approximate distinct values than this share of the rows is no key: the estimate is off by 1.6 % (one
standard deviation of a HyperLogLog sketch of 2^12 buckets)."""
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_INTEGERS = ("tinyint", "smallint", "int", "bigint")
_TIMES = ("date", "timestamp")


@dataclass(frozen=True, slots=True)
class Target:
    """A column that identifies the rows of its table, to which columns of others may refer."""

    table: str
    """As contracts name it: `stripe_customers`."""
    relation: str
    """As Spark does: `silver.stripe_customers`."""
    column: str
    type: str


def profile(
    frame: DataFrame, table: str, classified: Collection[str] = (), targets: Sequence[Target] = ()
) -> TableProfile:
    """Measures the columns of a frame; those whose names begin with `_` are technical and left out.

    `table` names it in the result, and in the guesses about its columns. Values of the `classified` columns (personal data)
    never leave the engine: only their forms do. Values of columns that turn out to look personal are not in the result.
    Reads only; the same rows give the same result.
    """
    began = time.monotonic()
    spark: SparkSession = frame.sparkSession
    fields = [field for field in frame.schema.fields if not field.name.startswith("_")]
    types = {field.name: field.dataType.simpleString().lower() for field in fields}
    frame = frame.select(*(quote(name) for name in types))
    rows, measured = _measure(frame, types, classified)
    sample = _sample(frame, types, rows, classified)
    guesses = {name: _guess(name, types[name], sample[name], table, name in classified) for name in types}
    seeming = {name: inside for name, found in guesses.items() if (inside := _personal(found))}
    personal = {*seeming, *classified}
    few = [
        name
        for name, kind in types.items()
        if name not in personal
        and is_scalar(kind)
        and kind != "binary"
        and 0 < (measured[name]["n_distinct"] or 0) <= FEW
    ]
    counts = _counts(frame, few)
    forms = {name: form for name, found in guesses.items() if (form := _form(found)) and types[name] == "string"}
    looked_at = {name: values for name, values in sample.items() if name not in classified}
    candidates = _candidates(types, measured, guesses, looked_at, rows, table)
    keys, unlike = _confirm(frame, candidates, forms, rows)
    relations = _relations(spark, types, sample, personal, targets, table)
    columns = []
    for name, kind in types.items():
        shown = _values(kind, measured[name], sample[name], counts.get(name), rows) if name not in personal else {}
        columns.append(
            ColumnProfile(
                name=name,
                type=kind,
                rows=rows,
                nulls=rows - measured[name]["filled"],
                distinct=len(counts[name]) if name in counts else _at_most(measured[name]),
                blanks=measured[name]["blanks"],
                shortest=measured[name]["shortest"],
                longest=measured[name]["longest"],
                shapes=_shapes(sample[name], name in personal) if kind == "string" else (),
                is_classified=name in classified,
                personal=seeming.get(name),
                form=forms.get(name),
                unlike=unlike.get(name),
                really=_really(name, guesses[name]) if kind == "string" else None,
                **shown,
            )
        )
    return TableProfile(
        table=table,
        rows=rows,
        sampled=max(map(len, sample.values()), default=0),
        columns=tuple(columns),
        keys=keys,
        relations=relations,
        seconds=time.monotonic() - began,
    )


# --- the queries ---------------------------------------------------------------------------------------------------


def _measure(
    frame: DataFrame, types: Mapping[str, str], classified: Collection[str]
) -> tuple[int, dict[str, dict[str, Any]]]:
    """The rows, and by column what one aggregate says of it."""
    structs = [
        f"struct({', '.join(_aggregates(name, kind, name in classified))}) as {_key(i)}"
        for i, (name, kind) in enumerate(types.items())
    ]
    row = frame.selectExpr("count(*) as n_rows", *structs).collect()[0].asDict(recursive=True)
    blank: dict[str, Any] = {"n_distinct": None, "low": None, "high": None, "average": None, "quantiles": None}
    blank |= {"blanks": 0, "shortest": None, "longest": None}
    return int(row["n_rows"]), {name: blank | row[_key(i)] for i, name in enumerate(types)}


def _aggregates(name: str, kind: str, is_hidden: bool) -> list[str]:
    """What is asked of a column; nothing that is a value of it, where it is hidden."""
    value = quote(name)
    found = [f"count({value}) as filled"]
    if kind.startswith(("array<", "map<")):
        size = f"if({value} is null, null, size({value}))"
        return [*found, f"min({size}) as shortest", f"max({size}) as longest"]
    if not is_scalar(kind):
        return found
    if kind in ("float", "double"):
        found.append(f"count_if(isnan({value})) as blanks")
        value = f"nullif({value}, cast('NaN' as {kind}))"
    found.append(f"hll_sketch_estimate(hll_sketch_agg(if({value} is null, null, xxhash64({value})), 12)) as n_distinct")
    if kind == "string":
        length = f"char_length({value})"
        found += [f"count_if(trim({value}) = '') as blanks", f"min({length}) as shortest", f"max({length}) as longest"]
    if is_hidden or kind == "binary":
        return found
    found += [f"cast(min({value}) as string) as low", f"cast(max({value}) as string) as high"]
    if is_number(kind):
        found.append(f"cast(avg({value}) as double) as average")
    if is_number(kind) or kind in _TIMES:
        at = ", ".join(map(str, _QUANTILES))
        found.append(f"cast(percentile_approx({value}, array({at}), 1000) as array<string>) as quantiles")
    return found


def _sample(frame: DataFrame, types: Mapping[str, str], rows: int, classified: Collection[str]) -> dict[str, list[Any]]:
    """Values by column, of about SAMPLE_ROWS rows; of classified columns their forms instead, null where they are no text."""
    hashable = ", ".join(quote(name) for name, kind in types.items() if "map<" not in kind) or "1"
    part = math.ceil(rows / SAMPLE_ROWS)
    chosen = frame.where(f"pmod(xxhash64({hashable}), {part}) = 0") if part > 1 else frame
    shown = [_shape_sql(name, kind) if name in classified else quote(name) for name, kind in types.items()]
    # Twice the sample at most: rows that are all alike have one hash.
    got = chosen.selectExpr(*shown).limit(2 * SAMPLE_ROWS).collect()
    plain = [row.asDict(recursive=True) for row in got]
    return {name: [row[name] for row in plain] for name in types}


def _shape_sql(name: str, kind: str) -> str:
    """`inference.shape` as SQL."""
    if kind != "string":
        return f"cast(null as string) as {quote(name)}"
    form = quote(name)
    for signs, sign in ((r"\p{Lu}", "A"), (r"[\p{L}&&[^\p{Lu}A]]", "a"), (r"\p{Nd}", "9")):
        form = f"regexp_replace({form}, {literal(signs)}, '{sign}')"
    return f"{form} as {quote(name)}"


def _counts(frame: DataFrame, few: Sequence[str]) -> dict[str, dict[str, int]]:
    """All values of these columns, as text, each with its rows; the most frequent first."""
    if not few:
        return {}
    pairs = ", ".join(f"{literal(_key(i))}, cast({quote(name)} as string)" for i, name in enumerate(few))
    found = frame.selectExpr(f"stack({len(few)}, {pairs}) as (place, value)").where("value is not null")
    rows = found.groupBy("place", "value").count().collect()
    return {
        name: {
            str(row["value"]): int(row["count"]) for row in sorted(rows, key=_most_frequent) if row["place"] == _key(i)
        }
        for i, name in enumerate(few)
    }


def _most_frequent(row: Any) -> tuple[int, str]:
    return -row["count"], row["value"]


def _confirm(
    frame: DataFrame, candidates: Sequence[tuple[str, ...]], forms: Mapping[str, tuple[str, str]], rows: int
) -> tuple[tuple[Key, ...], dict[str, int]]:
    """The candidates that identify each row, and by column the rows that are unlike its form: exact.

    Hashes are counted, which are shorter than values. Two that are equal by chance would hide a key (once in some thousand
    tables of a hundred million rows), and never invent one.
    """
    asked = [f"count(distinct xxhash64({', '.join(map(quote, names))}))" for names in candidates]
    for name, (setting, value) in forms.items():
        pattern = FORMATS[value] if setting == "format" else value
        asked.append(f"count_if(not {quote(name)} rlike {literal(pattern)})")
    if not asked:
        return (), {}
    found = [int(number) for number in frame.selectExpr(*asked).collect()[0]]
    keys = tuple(Key(names) for names, number in zip(candidates, found, strict=False) if number == rows)
    return keys, dict(zip(forms, found[len(candidates) :], strict=True))


def _relations(
    spark: SparkSession,
    types: Mapping[str, str],
    sample: Mapping[str, Sequence[Any]],
    personal: Collection[str],
    targets: Sequence[Target],
    table: str,
) -> tuple[Relation, ...]:
    """The targets among whose values at least nine tenths of a column's sampled ones are found."""
    asked = {
        name: list(dict.fromkeys(str(value) for value in sample[name] if value is not None))[:_LOOKED_FOR]
        for name, kind in types.items()
        if name not in personal and any(_fits(kind, target.type) for target in targets)
    }
    values = [(name, value) for name, found in asked.items() if len(found) > 1 for value in found]
    if not values:
        return ()
    keys = " union all ".join(
        f"select {i} as place, cast({quote(target.column)} as string) as value from {target.relation}"
        for i, target in enumerate(targets)
    )
    wanted = tables.local_rows(spark, values, (Field("name", "string"), Field("value", "string")))
    found = (
        (spark.sql(keys).join(wanted.hint("broadcast"), "value").selectExpr("place", "name", "value").distinct())
        .groupBy("place", "name")
        .count()
        .collect()
    )
    relations = []
    for row in found:
        target, name = targets[row["place"]], str(row["name"])
        is_itself = target.table == table and target.column == name
        if is_itself or not _fits(types[name], target.type) or row["count"] < 0.9 * len(asked[name]):
            continue
        if _could_refer(name, target, asked[name]):
            relations.append(Relation(name, target.table, target.column, len(asked[name]), int(row["count"])))
    return tuple(sorted(relations, key=lambda relation: (list(types).index(relation.column), -relation.found)))


def _fits(kind: str, other: str) -> bool:
    return kind == other or (kind in _INTEGERS and other in _INTEGERS)


def _could_refer(name: str, target: Target, values: Sequence[str]) -> bool:
    """Whether equal values mean anything: small numbers are found among any numbers, so that the name has to fit, too."""
    words = set(name.split("_")) - {"id", "key", "code", "no", "number"}
    things = {word.rstrip("s") for word in (*target.column.split("_"), *target.table.split("_"))}
    if any(word.rstrip("s") in things for word in words) and is_code(name) == is_code(target.column):
        return True
    return len(values) >= 50 and not all(re.fullmatch(r"-?\d{1,6}", value) for value in values)


def _at_most(measured: Mapping[str, Any]) -> int | None:
    """The estimate of different values, which may be a little more than there are values."""
    return None if measured["n_distinct"] is None else min(measured["n_distinct"], measured["filled"])


# --- what follows from them ----------------------------------------------------------------------------------------


def _key(place: int) -> str:
    """A column's name in a query, whatever the table's own are."""
    return f"c{place}"


def _guess(name: str, kind: str, values: Sequence[Any], table: str, is_classified: bool) -> Guess:
    if is_classified:  # forms stand for its values: nothing is guessed from them
        return Guess("string", "string", rows=len(values))
    return guess(name, values, table, from_text=kind == "string")


def _personal(found: Guess) -> Personal | None:
    """What personal data a column seems to hold, itself or somewhere inside."""
    if found.personal:
        return found.personal
    below = [*found.fields.values(), *([found.item] if found.item else [])]
    inside = next((there for child in below if (there := _personal(child))), None)
    return replace(inside, mask="redact") if inside else None


def _form(found: Guess) -> tuple[str, str] | None:
    for setting in ("format", "pattern"):
        if found.physical == "string" and setting in found.options:
            return setting, str(found.options[setting])
    return None


def _really(name: str, found: Guess) -> str | None:
    """What a column of text is written like; digits that name a thing are text."""
    return found.physical if found.physical != "string" and not is_code(name) and found.rows > found.nulls else None


def _candidates(
    types: Mapping[str, str],
    measured: Mapping[str, Mapping[str, Any]],
    guesses: Mapping[str, Guess],
    sample: Mapping[str, Sequence[Any]],
    rows: int,
    table: str,
) -> list[tuple[str, ...]]:
    """Columns, then pairs of others, that may identify a row: likely ones first."""
    order = list(types)
    usable = [
        name
        for name, kind in types.items()
        if rows and measured[name]["filled"] == rows and is_scalar(kind) and kind not in ("float", "double", "boolean")
    ]
    usable.sort(key=lambda name: key_rank(name, guesses[name], table, order.index(name)))
    alone = [
        name
        for name in usable
        if measured[name]["n_distinct"] >= _NEARLY * rows
        and (is_code(name) or types[name] in ("string", *_INTEGERS))  # times and amounts differ by chance
        and not _repeats(sample, [name])
    ]
    others = [name for name in usable if measured[name]["n_distinct"] < _NEARLY * rows]
    pairs = [
        pair
        for pair in itertools.combinations(others[:8], 2)
        if any(is_code(name) for name in pair)
        and math.prod(measured[name]["n_distinct"] for name in pair) >= _NEARLY * rows
        and not _repeats(sample, pair)
    ]
    return [*((name,) for name in alone[:_CONFIRMED]), *pairs[:_CONFIRMED]]


def _repeats(sample: Mapping[str, Sequence[Any]], names: Sequence[str]) -> bool:
    """Whether the sample, where it has their values, shows that the columns do not identify a row."""
    if not set(names) <= set(sample):
        return False
    found = list(zip(*(sample[name] for name in names), strict=True))
    return len(set(found)) < len(found)


def _values(
    kind: str, measured: Mapping[str, Any], values: Sequence[Any], counts: Mapping[str, int] | None, rows: int
) -> dict[str, Any]:
    """What may be shown of a column's values, each looked at once more."""
    shown = {
        "smallest": _safe(measured["low"]),
        "largest": _safe(measured["high"]),
        "mean": measured["average"],
        "quantiles": tuple(measured["quantiles"] or ()),
    }
    if not is_scalar(kind) or kind == "binary":
        return shown
    if counts is not None and not any(map(is_personal, counts)):
        shown["counts"] = dict(counts)
    top = counts or Counter(str(value) for value in values if value is not None)
    shown["top_of"] = rows if counts else len(values)
    frequent = sorted(top.items(), key=lambda item: (-item[1], item[0]))[:TOP]
    shown["top"] = tuple((_safe(value), number) for value, number in frequent if counts or number > 1)
    return shown


def _safe(value: str | None) -> str | None:
    return value if value is None else safe(value)


def _shapes(values: Sequence[Any], is_hidden: bool) -> tuple[tuple[str, float], ...]:
    """The most frequent forms of text, each with its share; runs are collapsed where that is few, or to tell less."""
    texts = [str(value) for value in values if value is not None]
    exact = Counter(map(shape, texts))
    chosen = exact if len(exact) <= 3 and not is_hidden else Counter(shape(text, True) for text in texts)
    return tuple((form[:60], number / len(texts)) for form, number in chosen.most_common(3))
