"""A contract that asks for everything that can be asked, clean records for it, and how to break each rule and check."""

from datetime import UTC, datetime
from typing import Any

from lakehouse.contracts.model import Contract
from lakehouse_tests.quality.proof import Batch, Broken, Row
from lakehouse_tests.silver.small import accepted, column, contract, items, key

SIZE = 10
"""Records of the clean batch."""


def _own(**settings: Any) -> list[dict[str, Any]]:
    return [{"property": "lakehouse", "value": settings}]


def _library(name: str, metric: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "metric": metric, **more}


def _soda(name: str, implementation: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "custom", "engine": "soda", "implementation": implementation, **more}


def _row(name: str, implementation: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "custom", "engine": "spark-row", "implementation": implementation, **more}


def _text(name: str, **options: Any) -> dict[str, Any]:
    return column(name, logicalTypeOptions=options)


INTEGERS = (
    "soda_min",
    "soda_max",
    "soda_sum",
    "soda_filtered",
    "soda_bounds",
    "soda_ratio",
    "soda_warns",
    "soda_fails",
)
SPREADS = ("stddev", "stddev_samp", "stddev_pop", "variance", "var_samp", "var_pop")
TEXTS = (
    *("rows_text", "nulls", "missing", "invalid", "pair_1", "pair_2", "single", "soda_count", "soda_missing"),
    *("soda_missing_percent", "soda_valid", "soda_regex", "soda_invalid", "soda_not_regex", "soda_length"),
    *("soda_lengths", "soda_invalid_percent", "soda_twice", "soda_twice_1", "soda_twice_2", "soda_short", "soda_long"),
    "soda_even",
)


def everything() -> Contract:
    columns = [
        key("region", position=1),
        key("number", "int", position=2),
        column("updated_at", "timestamp", required=True),
        column(
            "code", required=True, unique=True, logicalTypeOptions={"minLength": 2, "maxLength": 6, "pattern": "^[a-z]\\d*$"}
        ),
        _text("mail", format="email"),
        _text("uid", format="uuid"),
        _text("link", format="uri"),
        _text("host", format="hostname"),
        _text("ip4", format="ipv4"),
        _text("ip6", format="ipv6"),
        _text("payload", format="byte"),
        column("quantity", "int", logicalTypeOptions={"minimum": 0, "maximum": 500, "multipleOf": 5}),
        column("octet", "int", logicalTypeOptions={"format": "u8"}),
        column(
            "share",
            "double",
            logicalTypeOptions={"exclusiveMinimum": 0, "exclusiveMaximum": 1, "multipleOf": 0.1, "format": "f64"},
        ),
        column("price", "decimal(12,2)", logicalTypeOptions={"exclusiveMinimum": 0}),
        column(
            "day", "date", logicalTypeOptions={"minimum": "2020-01-01", "maximum": "2020-12-31", "format": "dd.MM.yyyy"}
        ),
        column(
            "moment",
            "timestamp",
            logicalTypeOptions={
                "exclusiveMaximum": "2030-01-01T00:00:00Z", "format": "epoch_millis", "defaultTimezone": "UTC"
            },
        ),
        column("is_open", "boolean"),
        column("status", quality=[accepted("new", "o'ld", "${x}", "a{#b")]),
        column("grade", quality=[_library("grade_known", "invalidValues", arguments={"invalidValues": ["F"]}, mustBe=0)]),
        column("plate", quality=[_library("plate_form", "invalidValues", arguments={"pattern": "^[A-Z]{2}$"},
                                          mustBeLessThan=30, unit="percent")]),
        column("comment", quality=[_library("comment_given", "missingValues",
                                            arguments={"missingValues": ["", "n/a"]}, mustBe=0)]),
        column("origin", quality=[{"metric": "nullValues", "mustBe": 0}]),
        column("kind"),
        column("state", quality=[_library("state_known", "invalidValues", mustBe=0, dimension="consistency",
                                          arguments={"validValues": ["open"], "where": "kind = 'a'"})]),
        {"name": "tags", "logicalType": "array", "logicalTypeOptions": {"minItems": 1, "maxItems": 3, "uniqueItems": True},
         "items": {"logicalType": "string", "required": True, "logicalTypeOptions": {"pattern": "^[a-z]+$"}}},
        {"name": "address", "logicalType": "object",
         "logicalTypeOptions": {"minProperties": 2, "maxProperties": 3, "required": ["city"]},
         "properties": [column("street", required=True), _text("zip", pattern="^\\d{5}$"), column("city"), column("floor")]},
        {"name": "attributes", "logicalType": "object", "physicalType": "map<string,string>",
         "logicalTypeOptions": {"minProperties": 1, "maxProperties": 2, "required": ["a"]}},
        items("lines", column("number", "int", required=True, logicalTypeOptions={"minimum": 1}),
              column("sku", quality=[accepted("x", "y")]),
              column("product", relationships=[{"to": "shop_parents.a"}])),
        {"name": "grid", "logicalType": "array",
         "items": {"logicalType": "array", "items": {"logicalType": "integer", "logicalTypeOptions": {"minimum": 0}}}},
        column("low", "int"),
        column("high", "int", quality=[_row("high_is_not_13", "${column} <> 13", severity="warning")]),
        column("parent", relationships=[
            {"to": "shop_parents.a", "customProperties": _own(severity="error", max_percent=20)}]),
        column("parent_b"),
        *(column(name) for name in TEXTS),
        *(column(name, "int") for name in INTEGERS),
        *(column(f"soda_{name}", "double") for name in SPREADS),
        column("soda_avg", "decimal(12,2)"),
        column("soda_percentile", "double"),
        column("soda_fresh", "timestamp"),
        column("sql_largest", "int"),
        column("sql_own", "int", quality=[
            {"name": "sql_outside", "type": "sql", "query": "select max(${column}) from ${object} -- all",
             "mustNotBeBetween": [0, 10]}]),
    ]  # fmt: skip
    quality = [
        {"type": "text", "description": "Somebody looks at it each Monday.", "dimension": "accuracy"},
        _row("low_below_high", "low <= high", dimension="consistency"),
        _row("high_seldom_7", "high <> 7", severity="warning", customProperties=_own(max_percent=20)),
        _library("rows_enough", "rowCount", mustBeGreaterOrEqualTo=8, dimension="coverage"),
        _library("rows_of_one", "rowCount", arguments={"where": "rows_text = 'one'"}, mustBe=1),
        _library("pairs", "duplicateValues", arguments={"properties": ["pair_1", "pair_2"], "where": "pair_1 <> 'x'"},
                 mustBeLessThan=30, unit="percent"),
        {"name": "sql_largest", "type": "sql", "query": "select max(sql_largest) from ${table};", "mustBeBetween": [0, 10]},
        _soda("soda_count", {"row_count = 0": {"filter": "soda_count = 'y'"}}),
        _soda("soda_missing", "missing_count(soda_missing) < 2:\n  missing values: [n/a]\n  missing regex: ^-+$"),
        _soda("soda_missing_percent", "missing_percent(soda_missing_percent) < 0.001 %", severity="warning"),
        _soda("soda_valid", "invalid_count(soda_valid) = 0:\n  valid values: ['o''k', fine]"),
        _soda("soda_regex", "invalid_count(soda_regex) = 0:\n  valid regex: ^\\d+$"),
        _soda("soda_invalid", "invalid_count(soda_invalid) = 0:\n  invalid values: [bad]"),
        _soda("soda_not_regex", "invalid_count(soda_not_regex) = 0:\n  invalid regex: ^bad"),
        _soda("soda_bounds", "invalid_count(soda_bounds) = 0:\n  valid min: 1\n  valid max: 9"),
        _soda("soda_length", "invalid_count(soda_length) = 0:\n  valid length: 2"),
        _soda("soda_lengths", "invalid_count(soda_lengths) = 0:\n  valid min length: 2\n  valid max length: 3"),
        _soda("soda_invalid_percent", "invalid_percent(soda_invalid_percent) <= 10:\n  valid values: [fine]"),
        _soda("soda_twice", "duplicate_count(soda_twice) = 0"),
        _soda("soda_twice_percent", "duplicate_percent(soda_twice_1, soda_twice_2) < 10"),
        _soda("soda_avg", "avg(soda_avg) between 4.5 and 5.5"),
        _soda("soda_min", "min(soda_min) > -1"),
        _soda("soda_max", {"max(soda_max)": {"fail": "when > 9"}}),
        _soda("soda_sum", "sum(soda_sum) not between 60 and 100"),
        _soda("soda_filtered", "max(soda_filtered) <= 9:\n  filter: kind = 'a'"),
        _soda("soda_percentile", "percentile(soda_percentile, 0.9) < 9"),
        *(_soda(f"soda_{name}", f"{name}(soda_{name}) < 2") for name in SPREADS),
        _soda("soda_even", "avg_length(soda_even) != 3"),
        _soda("soda_short", "min_length(soda_short) >= 2"),
        _soda("soda_long", "max_length(soda_long) < 9"),
        _soda("soda_fresh", "freshness(soda_fresh) < 1d12h", severity="warning"),
        _soda("soda_ratio", "ratio between 0.5 and 2:\n  ratio expression: sum(soda_ratio) / sum(soda_max)"),
        _soda("soda_warns", "avg(soda_warns):\n  warn: when > 5\n  fail: when > 9"),
        _soda("soda_fails", "avg(soda_fails):\n  warn: when > 5\n  fail: when > 9"),
    ]  # fmt: skip
    relationships = [
        {
            "from": ["shop_everything.parent", "shop_everything.parent_b"],
            "to": ["shop_parents.a", "shop_parents.b"],
            "customProperties": _own(where="kind = 'a'"),
        }
    ]
    by_column = {
        "nulls": _library("nulls_few", "nullValues", mustBeLessThan=50, unit="percent"),
        "missing": _library("missing_few", "missingValues", mustBeLessOrEqualTo=1,
                            arguments={"missingValues": ["-"], "where": "kind = 'a'"}),
        "invalid": _library("invalid_few", "invalidValues", arguments={"validValues": ["fine"]}, mustBeLessThan=2),
        "single": _library("single_once", "duplicateValues", mustBe=0),
    }  # fmt: skip
    for definition in columns:
        if definition["name"] in by_column:
            definition["quality"] = [by_column[definition["name"]]]
    return contract(
        columns,
        name="everything",
        quality=quality,
        relationships=relationships,
        sequence=["updated_at"],
        sla=[{"property": "latency", "value": 10, "unit": "d"}],
        quarantine={"max_percent": 50},
    )


def record(n: int) -> Row:
    """The nth clean record. The second is of another kind, of which less is asked."""
    texts = dict.fromkeys(TEXTS, "fine")
    return {
        "region": "north", "number": n, "updated_at": datetime.now(UTC).isoformat(), "code": f"c{n:02d}",
        "mail": "a@b.cd", "uid": "123e4567-e89b-12d3-a456-426614174000", "link": "https://a.b/c?d", "host": "a-1.b.cd",
        "ip4": "127.0.0.1", "ip6": "2001:db8::1", "payload": "aGk=", "quantity": 5 * n, "octet": 255, "share": 0.3,
        "price": 9.99, "day": "29.02.2020", "moment": 1700000000000, "is_open": True,
        "status": ["new", "o'ld", "${x}", "a{#b", None][n % 5], "grade": "A", "plate": "AB", "comment": "said",
        "origin": "here", "kind": "b" if n == 1 else "a", "state": "odd" if n == 1 else "open", "tags": ["a", "b"],
        "address": None if n == 2 else {"street": "s", "zip": "12345", "city": "c"}, "attributes": {"a": "1"},
        "lines": [{"number": 1, "sku": "x", "product": "p"}, {"number": 2, "sku": None, "product": None}],
        "grid": [[1], []], "low": 1, "high": 5, "parent": "p", "parent_b": "odd" if n == 1 else "1",
        **texts, **dict.fromkeys(INTEGERS, 5), **{f"soda_{name}": float(n % 2) for name in SPREADS},
        "rows_text": "one" if n == 0 else "more", "missing": "-" if n == 1 else "fine", "pair_1": f"p{n}",
        "single": f"s{n}", "soda_valid": "o'k", "soda_regex": "12", "soda_length": "ab", "soda_lengths": "abc",
        "soda_twice": f"t{n}", "soda_twice_1": f"t{n}", "soda_filtered": 99 if n == 1 else 5,
        "soda_avg": 5, "soda_percentile": 5, "soda_fresh": datetime.now(UTC).isoformat(), "sql_largest": 5, "sql_own": 20,
    }  # fmt: skip


def clean() -> list[Row]:
    return [record(n) for n in range(SIZE)]


def _unreadable(name: str, also: tuple[str, ...] = ()) -> Broken:
    return Broken({name: "?"}, also)


RULES: dict[str, Broken] = {
    "region_required": Broken({"region": None}),
    "number_type": _unreadable("number", ("number_required",)),  # what cannot be read is null
    "number_required": Broken({"number": None}),
    "updated_at_type": _unreadable("updated_at", ("updated_at_required", "sequence_known")),
    "updated_at_required": Broken({"updated_at": None}, ("sequence_known",)),  # this column orders the versions
    "sequence_known": Broken({"updated_at": None}, ("updated_at_required",)),
    "code_required": Broken({"code": None}),
    "code_length": Broken({"code": "c"}),
    "code_pattern": Broken({"code": "C1"}),
    "mail_format": Broken({"mail": "a@b"}),
    "uid_format": Broken({"uid": "123e4567"}),
    "link_format": Broken({"link": "a.b/c"}),
    "host_format": Broken({"host": "-a.b"}),
    "ip4_format": Broken({"ip4": "127.0.0.1."}),
    "ip6_format": Broken({"ip6": "1::2::3"}),
    "payload_format": Broken({"payload": "aGk"}),
    "quantity_type": _unreadable("quantity"),
    "quantity_range": Broken({"quantity": 505}),
    "quantity_multiple": Broken({"quantity": 7}),
    "octet_type": _unreadable("octet"),
    "octet_format": Broken({"octet": 256}),
    "share_type": _unreadable("share"),
    "share_range": Broken({"share": 1.0}),
    "share_multiple": Broken({"share": 0.35}),
    "price_type": Broken({"price": 1.234}),
    "price_range": Broken({"price": 0}),
    "day_type": Broken({"day": "31.02.2020"}),
    "day_range": Broken({"day": "01.01.2021"}),
    "moment_type": _unreadable("moment"),
    "moment_range": Broken({"moment": 1893456000000}),
    "is_open_type": _unreadable("is_open"),
    "status_accepted_values": Broken({"status": "odd"}),
    "grade_known": Broken({"grade": "F"}),
    "plate_form": Broken({"plate": "ABC"}),
    "comment_given": Broken({"comment": "n/a"}),
    "origin_required": Broken({"origin": None}),
    "state_known": Broken({"state": "odd"}),
    "tags_type": _unreadable("tags"),
    "tags_size": Broken({"tags": []}),
    "tags_distinct": Broken({"tags": ["a", "a"]}),
    "tags_items_pattern": Broken({"tags": ["A"]}),
    "tags_items_required": Broken({"tags": [None]}),
    "address_type": _unreadable("address"),
    "address_street_required": Broken({"address.street": None}),
    "address_zip_pattern": Broken({"address.zip": "1234"}),
    "address_city_required": Broken({"address.city": None}),
    "address_properties": Broken({"address.floor": "1"}),
    "attributes_type": _unreadable("attributes"),
    "attributes_properties": Broken({"attributes": {"a": "1", "b": "2", "c": "3"}}),
    "attributes_a_required": Broken({"attributes": {"b": "2"}}),
    "lines_type": _unreadable("lines"),
    "lines_number_required": Broken({"lines.1.number": None}),
    "lines_number_range": Broken({"lines.1.number": 0}),
    "lines_sku_accepted_values": Broken({"lines.0.sku": "z"}),
    "grid_type": _unreadable("grid"),
    "grid_items_items_range": Broken({"grid": [[1], [-1]]}),
    "low_type": _unreadable("low"),
    "high_type": _unreadable("high"),
    "low_below_high": Broken({"low": 6}),
    "high_is_not_13": Broken({"high": 13}),
    "high_seldom_7": Broken({"high": 7}),
    **{f"{name}_type": _unreadable(name) for name in (*INTEGERS, "soda_avg", "soda_percentile", "soda_fresh")},
    **{f"soda_{name}_type": _unreadable(f"soda_{name}") for name in SPREADS},
    "sql_largest_type": _unreadable("sql_largest"),
    "sql_own_type": _unreadable("sql_own"),
}


def _all(name: str, value: str, outcome: str = "fail") -> Batch:
    return Batch(outcome, {name: value})


def _first(rows: int, name: str, value: str, outcome: str = "fail", **more: Any) -> Batch:
    return Batch(outcome, {name: f"if(_position < {rows}, {value}, {name})"}, **more)


REFERENCES = {"shop_parents": {"a": ["p", "q"], "b": ["1", "2"]}}
CHECKS: dict[str, Batch] = {
    "primary_key_unique": _first(2, "number", "1"),
    "code_unique": _first(2, "code", "'c99'"),
    "parent_reference": Batch("fail", {"parent": "if(_position in (0, 1, 2), 'gone', parent)"},
                              also={"parent_parent_b_reference": "warn"}),  # it refers by the same column
    "parent_parent_b_reference": _first(1, "parent_b", "'9'", "warn"),
    "lines_product_reference": _all(
        "lines", "transform(lines, x -> named_struct('number', x.number, 'sku', x.sku, 'product', 'gone'))", "warn"),
    "plate_form": _first(3, "plate", "'x'", also={"quarantine_rate": "warn"}),  # three records are refused
    "high_seldom_7": _first(3, "high", "7", "warn"),
    "rows_enough": Batch("fail", keep="_position < 7"),
    "rows_of_one": _all("rows_text", "'one'"),
    "nulls_few": _first(5, "nulls", "null"),
    "missing_few": _first(3, "missing", "'-'"),  # the second is of another kind
    "invalid_few": _first(2, "invalid", "'bad'"),
    "pairs": _first(3, "pair_1", "'same'"),
    "single_once": _first(2, "single", "'same'"),
    "sql_largest": _first(1, "sql_largest", "11"),
    "sql_outside": _all("sql_own", "10"),
    "soda_count": _first(1, "soda_count", "'y'"),
    "soda_missing": Batch("fail", {"soda_missing": "element_at(array('n/a', '--', null, 'fine'), cast(least(_position + 1, 4) as int))"}),
    "soda_missing_percent": _first(1, "soda_missing_percent", "null", "warn"),
    "soda_valid": _first(1, "soda_valid", "'bad'"),
    "soda_regex": _first(1, "soda_regex", "'d'"),
    "soda_invalid": _first(1, "soda_invalid", "'bad'"),
    "soda_not_regex": _first(1, "soda_not_regex", "'bad one'"),
    "soda_bounds": _first(1, "soda_bounds", "10"),
    "soda_length": _first(1, "soda_length", "'abc'"),
    "soda_lengths": _first(1, "soda_lengths", "'abcd'"),
    "soda_invalid_percent": _first(2, "soda_invalid_percent", "'bad'"),
    "soda_twice": _first(2, "soda_twice", "'same'"),
    "soda_twice_percent": _first(2, "soda_twice_1", "'same'"),
    "soda_avg": _all("soda_avg", "cast(6 as decimal(12,2))"),
    "soda_min": _first(1, "soda_min", "-1"),
    "soda_max": _first(1, "soda_max", "10"),
    "soda_sum": _all("soda_sum", "6"),
    "soda_filtered": _first(1, "soda_filtered", "10"),
    "soda_percentile": _first(3, "soda_percentile", "10d"),
    **{f"soda_{name}": _first(1, f"soda_{name}", "100d") for name in SPREADS},
    "soda_even": _all("soda_even", "'abc'"),
    "soda_short": _first(1, "soda_short", "'a'"),
    "soda_long": _first(1, "soda_long", "'123456789'"),
    "soda_fresh": _all("soda_fresh", "current_timestamp() - interval 37 hours", "warn"),
    "soda_ratio": _all("soda_ratio", "11"),
    "soda_warns": _all("soda_warns", "6", "warn"),
    "soda_fails": _all("soda_fails", "10"),
    "quarantine_rate": _first(6, "_unreadable", "'not a JSON document'", also={"rows_enough": "fail", "rows_of_one": "fail"}),
    "data_freshness": _all("updated_at", "timestamp'2020-01-01 00:00:00'", "warn"),
}  # fmt: skip
"""Six unreadable records are also too few rows, and the one that is counted by itself is among them."""
