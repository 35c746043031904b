"""Records as text to typed columns, keeping every reason why a record cannot be used as it is."""

import base64
import json
from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.contracts.model import Column, Contract, RowRule
from lakehouse.quality.rules import SEQUENCE_KNOWN, row_rules
from lakehouse.storage import exact_json
from lakehouse.storage.tables import literal, quote

_TEXT = "string"
_NESTED = ("array<", "map<", "struct<")
_FEW_DECIMALS = r"^[+-]?[0-9]+([.][0-9]{{0,{}}})?$"
_WITH_EXPONENT = r"^[+-]?[0-9]*[.]?[0-9]*[eE][+-]?[0-9]{1,3}$"
_ISO = {
    "timestamp": r"^\d{4}-\d{1,2}-\d{1,2}([T ]\d.*)?$",
    "date": r"^\d{4}-\d{1,2}-\d{1,2}([T ]00:00(:00([.]0+)?)?(Z|[+-]00:?00)?)?$",
}
"""How dates and timestamps without a declared format are written. A time of day is no part of a date."""
PROVENANCE = ("_file", "_position", "_arrived_on")
TECHNICAL = ("_rescued", "_sequence", "_is_deleted", "_hash", *PROVENANCE)
"""What silver's state keeps of a record beside the contract's columns."""
TRUNCATE, NOTHING = "truncate", "nothing"
"""What a record is about that is about no row: all of them, or none (a tombstone of Kafka's)."""

_PLACEHOLDER = "__debezium_unavailable_value"
_UNAVAILABLE = (
    _PLACEHOLDER,
    base64.b64encode(_PLACEHOLDER.encode()).decode(),  # of bytes
    json.dumps([_PLACEHOLDER]),  # of arrays of text
    json.dumps(list(_PLACEHOLDER.encode()), separators=(",", ":")),  # of arrays of numbers
    json.dumps({_PLACEHOLDER: _PLACEHOLDER}, separators=(",", ":")),  # of hstore
)
"""How Debezium writes that it was not given a value, which has therefore not changed."""
_STRAY = r"^java[.]lang[.]Object@[0-9a-f]+$"
"""How a converter that does not know Debezium's sign for it writes it."""


def technical(contract: Contract) -> tuple[str, ...]:
    """What the contract's state keeps of a record beside the contract's columns."""
    return (*TECHNICAL, "_kept") if contract.filled else TECHNICAL


def parse(raw: DataFrame, contract: Contract, headers: Sequence[str] = (), carried: Sequence[str] = ()) -> DataFrame:
    """Bronze rows to typed rows.

    In: rows of `bronze.<table>`; for CSV, `headers` are the distinct header lines among them; `carried` are further
    columns of the rows, to be passed on. Out, one row a record:
    the contract's columns, `technical` columns, the raw record (`_record`, `_header`), what is wrong with it:
    `_unreadable` (a reason, or null), `_type_errors` (columns whose value is not of their type) and `_violations`
    (names of the rules of severity error that it breaks, in the contract's order); `_without_row` (TRUNCATE or NOTHING;
    null for a record about a row) and, of change events, `_old_key` (a struct of the key columns where the event moves
    its row from another key; else null). `_kept` names the columns that a record leaves as they were.
    """
    texts = _csv_texts(raw, contract, headers) if contract.format == "csv" else _json_texts(raw, contract)
    nested = [column for column in contract.columns if _is_nested(column)]
    # Each in a step of its own, for Spark would read the JSON of a value again in every expression that names it.
    opened = texts.selectExpr(
        "*", *(f"{_opened(column, _raw(contract, column))} as {_opened_name(column)}" for column in nested)
    )
    typed = opened.selectExpr(
        *(
            f"{typed_value(column, _raw(contract, column), _opened_name(column))} as {quote(column.name)}"
            for column in contract.columns
        ),
        "_fields",
        "_rescued",
        "_is_deleted",
        "_without_row",
        *_changed_texts(contract),
        "_sequence_text",
        "_content",
        *(["_has_long_numbers", *map(_opened_name, nested)] if nested else []),
        "_unreadable",
        "record as _record",
        "header as _header",
        "file as _file",
        "position as _position",
        "arrived_on as _arrived_on",
        *carried,
    )
    hashed = typed.selectExpr(
        *map(quote, contract.column_names),
        f"{_type_errors(contract)} as _type_errors",
        "_rescued",
        f"{_deletes(contract)} as _is_deleted",
        f"{_about(contract)} as _without_row",
        *([f"{_old_key(contract)} as _old_key"] if contract.delivery == "changes" else []),
        *([f"{_kept(contract)} as _kept"] if contract.filled else []),
        f"{sequence_struct(contract)} as _sequence",
        f"{content_hash(contract)} as _hash",
        *PROVENANCE,
        "_record",
        "_header",
        "_unreadable",
        *carried,
    )
    return hashed.selectExpr("*", f"{_violations(contract)} as _violations")


def _changed_texts(contract: Contract) -> list[str]:
    """What of a change event's texts is looked at once its columns are typed."""
    if contract.delivery != "changes":
        return []
    return ["_op", "_before", *(["_unavailable"] if contract.partial_rows else [])]


def _deletes(contract: Contract) -> str:
    return f"_is_deleted or coalesce({contract.delete_when}, false)" if contract.delete_when else "_is_deleted"


def _about(contract: Contract) -> str:
    if not contract.truncate_when:
        return "_without_row"
    return f"if(_unreadable is null and coalesce({contract.truncate_when}, false), '{TRUNCATE}', _without_row)"


def _old_key(contract: Contract) -> str:
    """SQL for the key that an update moves its row away from; null where it stays, or where the old one is not told."""
    keys = [contract.column(name) for name in contract.keys]
    old = [typed_value(key, f"_before.{quote(key.source_name)}") for key in keys]
    known = " and ".join(f"{value} is not null" for value in old)
    same = " and ".join(f"{value} <=> {quote(key.name)}" for value, key in zip(old, keys, strict=True))
    fields = ", ".join(f"{literal(key.name)}, {value}" for value, key in zip(old, keys, strict=True))
    return f"if({known} and not ({same}), named_struct({fields}), null)"


def _kept(contract: Contract) -> str:
    """SQL for the names of the columns whose value is that of the record before."""
    cases = []
    for name in contract.filled:
        column = contract.column(name)
        reasons = [f"{quote(name)} is null"] if name in contract.null_keeps else []
        if contract.partial_rows:
            reasons.append(f"array_contains(_unavailable, {literal(column.source_name)})")
        cases.append(f"case when {' or '.join(reasons)} then {literal(name)} end")
    return f"filter(array({', '.join(cases)}), x -> x is not null)"


def _raw(contract: Contract, column: Column) -> str:
    """SQL for a column's text. A line of CSV is a struct, whose fields Spark finds while it plans, and not in each record."""
    if contract.format == "csv":
        return f"_fields.{quote(column.name)}"
    return f"try_element_at(_fields, {literal(column.source_name)})"


def _opened_name(column: Column) -> str:
    return quote(f"_opened_{column.name}")


def _opened(column: Column, text: str) -> str:
    """SQL of a nested value's JSON, one level read: elements and fields still as text."""
    if column.children:
        return exact_json.read(text, "array<map<string,string>>" if _is_array(column) else "map<string,string>")
    if _element_type(column.type):
        return exact_json.read(text, "array<string>")
    return f"from_json({text}, {literal(column.type)})"


def typed_value(column: Column, text: str, opened: str | None = None) -> str:
    """SQL that reads `text`, a string expression, as the column's type; NULL where it cannot be read so. `opened` is
    what a nested value's text says, where that is known already."""
    if not _is_nested(column):
        return _scalar(column.type, column.format, text)
    opened = opened or _opened(column, text)
    if column.children:
        fields = ", ".join(
            f"{literal(child.name)}, {typed_value(child, f'try_element_at(x, {literal(child.source_name)})')}"
            for child in column.children
        )
        if _is_array(column):
            return f"transform({opened}, x -> named_struct({fields}))"
        held = f"filter(array({opened}), x -> x is not null)"  # no object, no struct
        return f"transform({held}, x -> named_struct({fields}))[0]"
    if element := _element_type(column.type):
        return f"transform({opened}, x -> {_scalar(element, None, 'x')})"
    return opened


def _is_array(column: Column) -> bool:
    return column.type.startswith("array<")


def _scalar(kind: str, form: str | None, text: str) -> str:
    if kind == _TEXT:
        return text
    if form == "epoch_millis":  # beyond the years 1 to 9999 it would overflow, which fails the whole batch
        in_range = f"try_cast({text} as bigint) between -62135596800000 and 253402300799999"
        return f"timestamp_millis(if({in_range}, try_cast({text} as bigint), null))"
    if form == "epoch_micros":
        in_range = f"try_cast({text} as bigint) between -62135596800000000 and 253402300799999999"
        return f"timestamp_micros(if({in_range}, try_cast({text} as bigint), null))"
    if form and kind in ("timestamp", "date"):
        parsed = f"try_to_timestamp({text}, {literal(form)})"
        return f"cast({parsed} as date)" if kind == "date" else parsed
    if kind.startswith("decimal"):
        return _decimal(kind, f"trim({text})")
    if kind in _ISO:
        # Spark also reads `now`, `10:15` (of today) and `2025-01-01Tanything`: no replay would give the same answer.
        return f"if(trim({text}) rlike {literal(_ISO[kind])}, try_cast(trim({text}) as {kind}), null)"
    return f"try_cast(trim({text}) as {kind})"


def _decimal(kind: str, text: str) -> str:
    """A number with more decimals than the type keeps (of the first 18) is an error, not a silent rounding. An exponent of
    more than three digits would overflow, which fails the whole batch; one that leaves nothing of the number is an error.
    Most numbers have no more decimals than the type, which their text tells sooner."""
    has_few_decimals = f"{text} rlike {literal(_FEW_DECIMALS.format(kind.rstrip(')').partition(',')[2]))}"
    wide, itself = f"try_cast({text} as decimal(38,18))", f"try_cast({text} as {kind})"
    is_kept = f"{text} rlike {literal(_WITH_EXPONENT)} and ({wide} <> 0 or {text} rlike {literal('^[^1-9]*[eE]')})"
    has_exponent = f"contains({text}, 'e') or contains({text}, 'E')"
    # A `case`, for Spark computes what an `or` has twice before it asks whether it needs it.
    exact = f"if({itself} = {wide}, {itself}, null)"
    return f"case when {has_few_decimals} then {itself} when not ({has_exponent}) or ({is_kept}) then {exact} end"


def _element_type(kind: str) -> str | None:
    """The type of the elements of an array of single values; None for any other type."""
    element = kind.removeprefix("array<").removesuffix(">")
    return element if kind.startswith("array<") and not element.startswith(_NESTED) else None


def _is_nested(column: Column) -> bool:
    return column.type.startswith(_NESTED)


def _type_errors(contract: Contract) -> str:
    """SQL for the names of the columns that hold a value which is not of their type."""
    cases = [
        f"case when {_broken(column, _raw(contract, column), quote(column.name), _opened_name(column))} "
        f"then {literal(column.name)} end"
        for column in contract.columns
        if column.type != _TEXT
    ]
    return _names(cases)


def _names(cases: Sequence[str]) -> str:
    """SQL for an array of the names that the cases give, each a name or null. In one text first, which leaves the nulls out:
    a lambda would be called for each case of each record."""
    return f"regexp_extract_all(concat_ws(',', {', '.join(cases)}), '[^,]+', 0)" if cases else _NO_NAMES


_NO_NAMES = "cast(array() as array<string>)"


def _broken(column: Column, text: str, value: str, opened: str | None = None) -> str:
    """SQL: whether `text`, or anything inside it, is there while `value`, what was read of it, is not."""
    if not _is_nested(column):
        return f"({text} is not null and {value} is null)"
    opened = opened or _opened(column, text)
    if column.children:
        inside = " or ".join(
            ["x is null"]
            + [
                _broken(child, f"try_element_at(x, {literal(child.source_name)})", f"v.{quote(child.name)}")
                for child in column.children
                if child.type != _TEXT
            ]
        )
        texts, values = (opened, value) if _is_array(column) else (f"array({opened})", f"array({value})")
    elif element := _element_type(column.type):
        inside = "false" if element == _TEXT else "x is not null and v is null"
        texts, values = opened, value
    else:
        return f"({text} is not null and {opened} is null)"
    any_inside = f"exists(zip_with({texts}, {values}, (x, v) -> {inside}), is_broken -> is_broken)"
    return f"({text} is not null and ({opened} is null or {any_inside}))"


def _json_texts(raw: DataFrame, contract: Contract) -> DataFrame:
    """`_fields` (map of name → text), `_rescued`, `_is_deleted`, `_content`, `_sequence_text`, `_unreadable`."""
    # Inside an array, because Spark reads a first document and passes over whatever follows it on the line.
    documents = exact_json.read("concat('[', record, ']')", "array<map<string,string>>")
    document = (
        raw.selectExpr("*", f"{exact_json.has_long_numbers('record')} as _has_long_numbers")
        .selectExpr("*", f"if(is_decoded, {documents}, null) as _documents")
        .selectExpr("*", "if(size(_documents) = 1, _documents[0], null) as _document")
    )
    if contract.delivery == "changes":
        document = _envelope(document, contract)
        deleted = "coalesce(_op = 'd', false)"
        # A record that is null is what Kafka keeps of a deleted key; the event before it has said so.
        is_nothing = "(_document is null and is_decoded and trim(both ' \\t\\r' from record) = 'null')"
        about = f"case when _op = 't' then '{TRUNCATE}' when {is_nothing} then '{NOTHING}' end"
        is_partial = " or ".join(f"""contains(_content, '"{sign}"')""" for sign in _UNAVAILABLE[:2])
        not_expected = (
            ""
            if contract.partial_rows
            else f"""
            when _op <> 'd' and ({is_partial})
            then 'a partial row, which the contract does not expect: write `partial_rows: true` in it'"""
        )
        unreadable = f"""case
            when not is_decoded then 'bytes that are not text in the encoding of the contract'
            when {is_nothing} then null
            when _document is null then 'not a JSON document'
            when _op is null or _op not in ('r', 'c', 'u', 'd', 't') then 'not a change event: op is none of r, c, u, d, t'
            when _fields is null and _op <> 't' then 'a change event without a row'{not_expected}
            end"""
    else:
        document = document.selectExpr("*", "record as _content", "_document as _fields")
        deleted = "false"
        about = "cast(null as string)"
        unreadable = """case
            when not is_decoded then 'bytes that are not text in the encoding of the contract'
            when _document is null then 'not a JSON document'
            end"""
    known = ", ".join(literal(column.source_name) for column in contract.columns)
    paths = ", ".join(map(_place, contract.sequence)) if contract.delivery == "changes" else ""
    unknown = f"map_filter(_fields, (k, v) -> v is not null and k not in ({known}))"
    return document.selectExpr(
        "*",
        f"if(cardinality({unknown}) > 0, to_json({unknown}), null) as _rescued",
        f"{deleted} as _is_deleted",
        f"{about} as _without_row",
        f"array({paths}) as _sequence_text" if paths else "cast(array() as array<string>) as _sequence_text",
        f"{unreadable} as _unreadable",
    )


def _place(path: str) -> str:
    """SQL for the text of a change event at a path such as `source.lsn`."""
    part, _, field = path.partition(".")
    text = f"_document[{literal(part)}]"
    return f"get_json_object({text}, {literal('$.' + field)})" if field else text


def _envelope(document: DataFrame, contract: Contract) -> DataFrame:
    """A change event's parts: `_op`, `_content` (the image that counts), its `_fields`, and `_before` (the key's fields
    in the image before an update); for partial rows `_unavailable`, the fields that have no value of their own."""
    of_keys = [contract.column(name) for name in contract.keys]
    # A decimal as such, for as a text it could lose digits.
    kinds = ["decimal(38,18)" if column.type.startswith("decimal") else "string" for column in of_keys]
    keys = ",".join(f"{quote(column.source_name)}:{kind}" for column, kind in zip(of_keys, kinds, strict=True))
    parts = document.selectExpr(
        "*",
        "if(_document['op'] = 'd', coalesce(_document['before'], _document['after']), _document['after']) as _content",
        "_document['op'] as _op",
    ).selectExpr(
        "*",
        f"{exact_json.read('_content', 'map<string,string>')} as _fields",
        f"from_json(if(_op = 'u', _document['before'], null), {literal(f'struct<{keys}>')}) as _before",
    )
    if not contract.partial_rows:
        return parts
    is_unavailable = f"v in ({', '.join(map(literal, _UNAVAILABLE))}) or v rlike {literal(_STRAY)}"
    return parts.withColumn(
        "_unavailable", F.expr(f"map_keys(map_filter(_fields, (k, v) -> v is not null and ({is_unavailable})))")
    ).withColumn("_fields", F.expr("map_filter(_fields, (k, v) -> not array_contains(_unavailable, k))"))


def _csv_texts(raw: DataFrame, contract: Contract, headers: Sequence[str]) -> DataFrame:
    """As `_json_texts`, with `_fields` a struct by the names of the columns; a header that appears mid-year only changes how
    its own files are read."""
    frames = [_csv_texts_of(raw.where(f"header = {literal(header)}"), contract, header) for header in headers]
    if not frames:
        frames = [_csv_texts_of(raw.where("false"), contract, ",".join(c.source_name for c in contract.columns))]
    together = frames[0]
    for frame in frames[1:]:
        together = together.unionByName(frame)
    return together


def header_names(header: str, delimiter: str) -> list[str]:
    """The column names of a CSV header line; a name that occurs twice keeps its first place."""
    import csv

    try:
        parsed = next(csv.reader([header], delimiter=delimiter), [])
    except csv.Error:  # a field of more than 128 KiB, as in a binary file
        parsed = [header]
    names = [name.strip().lstrip("\ufeff") for name in parsed]
    return [name if name and name not in names[:i] else f"{name or 'column'}__{i + 1}" for i, name in enumerate(names)]


def _csv_texts_of(raw: DataFrame, contract: Contract, header: str) -> DataFrame:
    names = header_names(header, contract.csv_delimiter)
    fields = ", ".join(f"`_c{i}` string" for i in range(len(names)))
    options = (
        f"map('mode', 'PERMISSIVE', 'columnNameOfCorruptRecord', '_corrupt', 'multiLine', 'true', "
        f"'escape', '\"', 'sep', {literal(contract.csv_delimiter)})"
    )
    known = {column.source_name for column in contract.columns}
    place = {name: f"_csv._c{i}" for i, name in enumerate(names)}
    fields_of = ", ".join(
        f"{place.get(column.source_name, 'cast(null as string)')} as {quote(column.name)}"
        for column in contract.columns
    )
    unknown = ", ".join(f"_csv._c{i} as {quote(name)}" for i, name in enumerate(names) if name not in known)
    rescued = f"nullif(to_json(struct({unknown})), '{{}}')" if unknown else "cast(null as string)"
    text = "if(is_decoded, record, null)"  # a key in the wrong encoding is no key
    return (
        raw.selectExpr("*", f"from_csv({text}, '{fields}, _corrupt string', {options}) as _csv")
        .selectExpr(
            "*",
            f"struct({fields_of}) as _fields",
            f"{rescued} as _rescued",
            "false as _is_deleted",
            "cast(null as string) as _without_row",
            "record as _content",
            "cast(array() as array<string>) as _sequence_text",
            f"""case
            when not is_decoded then 'bytes that are not text in the encoding of the contract'
            when _csv._corrupt is not null then 'not a CSV record of {len(names)} fields, as its header has'
            end as _unreadable""",
        )
        .drop("_csv")
    )  # its shape is that of this header, and the frames of all headers are put together


def _sequence_parts(contract: Contract) -> list[tuple[str, str]]:
    """(SQL, type) of each part of the sequence."""
    if contract.delivery == "changes":
        return [(f"try_cast(_sequence_text[{i}] as bigint)", "bigint") for i in range(len(contract.sequence))]
    if contract.delivery == "snapshot":
        return [("cast(_arrived_on as timestamp)", "timestamp")]
    if not contract.sequence:
        return [("cast(_arrived_on as timestamp)", "timestamp"), ("_file", "string"), ("_position", "bigint")]
    return [
        (f"cast({quote(name)} as timestamp)", "timestamp")
        if contract.column(name).type == "date"
        else (quote(name), contract.column(name).type)
        for name in contract.sequence
    ]


def sequence_struct(contract: Contract) -> str:
    """SQL for what orders the versions of a key: the contract's sequence, then, so that different records with one
    sequence value have the same winner in whatever order they come, what they do and a hash of their content."""
    fields = ", ".join(f"'s{i}', {part}" for i, (part, _) in enumerate(_sequence_parts(contract)))
    return f"named_struct({fields}, 'tie', {_tie(contract)})"


def _tie(contract: Contract) -> str:
    """SQL for the last part of the sequence. In: `_content`, `_header`, `_is_deleted`, `_without_row` and, of change
    events, `_op`."""
    tie = "xxhash64(_content, _header)"  # the header is null but in CSV, where it says what the line means
    short = f"shiftrightunsigned({tie}, 33)"
    cases = []
    if contract.delivery == "changes":
        # A row read for a snapshot is from before whatever the log says at the same place: it loses to any other.
        cases.append(f"when _op = 'r' then {_LEAST} + {short}")
    if contract.delivery == "changes" or contract.truncate_when:
        # What removes all that is older removes nothing of its own place: a table is emptied and filled at once.
        cases.append(f"when {_about(contract)} = '{TRUNCATE}' then {_LEAST} + 2147483648L + {short}")
    if contract.delivery == "changes" or contract.delete_when:
        cases.append(f"when {_deletes(contract)} then {_GREATEST} - {short}")  # what is deleted is not shown for ever
    return f"case {' '.join(cases)} else {tie} end" if cases else tie


_LEAST, _GREATEST = "(-9223372036854775807L - 1)", "9223372036854775807L"


def sequence_texts(contract: Contract) -> str:
    """SQL for the parts of `_sequence` as an array of texts, which `sequence_of` reads again."""
    parts = [f"s{i}" for i in range(len(_sequence_parts(contract)))]
    return f"array({', '.join(f'cast(_sequence.{part} as string)' for part in (*parts, 'tie'))})"


def sequence_of(contract: Contract, texts: Sequence[str]) -> str:
    """SQL for the `_sequence` that `sequence_texts` gave."""
    kinds = [kind for _, kind in _sequence_parts(contract)]
    fields = [
        f"'s{i}', cast({literal(text)} as {kind})" for i, (text, kind) in enumerate(zip(texts, kinds, strict=False))
    ]
    return f"named_struct({', '.join(fields)}, 'tie', cast({literal(texts[-1])} as bigint))"


def point_type(contract: Contract) -> str:
    """The type of the first part of the sequence, s0, and so of `valid_from` and `valid_to`."""
    return _sequence_parts(contract)[0][1]


def has_event_time(contract: Contract) -> bool:
    """Whether the first part of the sequence says when a record's change happened."""
    return (
        contract.delivery in ("versions", "append")
        and bool(contract.sequence)
        and contract.column(contract.sequence[0]).type in ("timestamp", "date")
    )


def sequence_type(contract: Contract) -> str:
    """The type of `sequence_struct`."""
    fields = ",".join(f"s{i}:{kind}" for i, (_, kind) in enumerate(_sequence_parts(contract)))
    return f"struct<{fields},tie:bigint>"


def content_hash(contract: Contract) -> str:
    """SQL for a hash of the business columns. NULLs are hashed by place, since xxhash64 alone passes them over; nested
    values are hashed as the text that they arrived as."""
    columns = [column for column in contract.columns if not column.is_added]
    values = [_raw(contract, column) if _is_nested(column) else quote(column.name) for column in columns]
    nulls = ", ".join(f"if({value} is null, '1', '0')" for value in values)
    hashed = f"xxhash64({', '.join(values)}, concat({nulls}))"
    # A record without a field has the hash that it had before anybody knew of the field.
    more = [f"concat({literal(c.name + ':')}, {quote(c.name)})" for c in contract.columns if c.is_added]
    added = f"nullif(concat_ws('\\n', {', '.join(more)}), '')"
    return f"if({added} is null, {hashed}, xxhash64({hashed}, {added}))" if more else hashed


def _violations(contract: Contract) -> str:
    rules = [rule for rule in row_rules(contract) if rule.severity == "error"]
    of_rows = _broken_rules(rules)
    of_truncates = _broken_rules([rule for rule in rules if rule.name == SEQUENCE_KNOWN])
    return f"""case when _unreadable is not null or _without_row = '{NOTHING}' then {_NO_NAMES}
        when _without_row = '{TRUNCATE}' then {of_truncates} else {of_rows} end"""


def _broken_rules(rules: Sequence[RowRule]) -> str:
    return _names([f"case when not coalesce({rule.predicate}, true) then {literal(rule.name)} end" for rule in rules])
