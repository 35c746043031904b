"""Loading: what a good file becomes, and what is said about every kind of bad one."""

import pickle
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from lakehouse.contracts.document import read, read_list
from lakehouse.contracts.loader import SAMPLE, ContractError, Problem, check, load, load_all
from lakehouse.contracts.model import Timetable, Watch
from lakehouse.settings import Settings

Write = Callable[..., Path]
QUALITY = "      - {name: has_rows, metric: rowCount, mustBeGreaterThan: 0}\n"
AMOUNT = "        physicalType: decimal(12,2)\n"
SKU = "            - name: sku\n              logicalType: string\n"
KEY = "        primaryKey: true\n"
SOURCE = "      source: shop\n"
DELIVERY = "      delivery: versions\n      sequence: [updated_at]\n"
SLA = "customProperties:\n  - property: lakehouse\n    value:"


def quality(entry: str) -> tuple[str, str]:
    return QUALITY, f"      - {entry}\n"


def of_amount(entry: str) -> tuple[str, str]:
    return AMOUNT, f"{AMOUNT}        quality:\n          - {entry}\n"


def lakehouse(line: str) -> tuple[str, str]:
    return SOURCE, f"{SOURCE}      {line}\n"


def spark_row(implementation: str) -> tuple[str, str]:
    return quality(f'{{type: custom, name: a, engine: spark-row, implementation: "{implementation}"}}')


def soda(implementation: str, more: str = "") -> tuple[str, str]:
    return quality(f'{{type: custom, name: a, engine: soda, implementation: "{implementation}"{more}}}')


def options(written: str, of: str = AMOUNT) -> tuple[str, str]:
    return of, f"{of}        logicalTypeOptions: {written}\n"


def sla(entry: str) -> tuple[str, str]:
    return SLA, f"slaProperties:\n  - {entry}\n{SLA}"


def test_a_minimal_contract_gets_every_default(write: Write) -> None:
    contract = load(write())
    assert (contract.table, contract.source, contract.name, contract.title) == (
        "shop_orders",
        "shop",
        "orders",
        "Orders",
    )
    assert contract.keys == ("order_id",)
    assert contract.column_names == ("order_id", "updated_at", "amount", "email", "lines")
    assert (contract.bronze_table, contract.silver_table) == ("bronze.shop_orders", "silver.shop_orders")
    assert contract.state_table == "silver_state.shop_orders"
    assert contract.quarantine_table == "silver_state.shop_orders__quarantine"
    assert contract.resolutions_table == "silver_state.shop_orders__resolutions"
    assert contract.quarantine_warn == timedelta(days=7)
    assert (contract.score.publish, contract.score.warn, contract.score.weights) == (0.9, 0.7, ())
    assert [column.name for column in contract.pii_columns] == ["email"]
    assert contract.child_tables == ()
    assert (contract.history, contract.partition, contract.start) == ("current", None, None)
    assert (contract.encoding, contract.csv_delimiter, contract.max_quarantined_percent) == ("UTF-8", ",", 5.0)
    assert contract.lateness == timedelta(days=30)
    assert (contract.rewritten_files, contract.unknown_fields) == ("ignore", "rescue")
    assert (contract.timetable, contract.after, contract.health) == (Timetable(), (), None)
    assert contract.anomalies == Watch(severity="warning", sensitivity="normal", ignore=())
    assert contract.freshness_fail is contract.cadence is contract.retention is None
    assert (contract.owner, contract.team) == ("tests@example.com", "Tests")
    assert contract.column("order_id").required, "a key column is required without saying so"
    assert contract.column("lines").type == "array<struct<number:int,sku:string>>"
    with pytest.raises(KeyError, match="no column colour"):
        contract.column("colour")


def test_anomalies_may_be_off(write: Write) -> None:
    contract = load(write(lakehouse("anomalies: off")))
    assert contract.anomalies.severity is None


def test_everything_that_may_be_said_is_read(write: Write) -> None:
    contract = load(
        write(
            (
                DELIVERY,
                "      delivery: versions\n      sequence: [updated_at]\n      lateness: 2w\n      history: full\n"
                "      partition: weekly\n      start: 2025-11-24\n      encoding: latin-1\n"
                "      rewritten_files: re-ingest\n      unknown_fields: add\n"
                "      quarantine: {max_percent: 0.5, warn_after: 36h}\n"
                "      score: {publish: 0.6, weights: {uniqueness: 2, timeliness: 0}}\n"
                '      schedule: {timezone: Europe/Berlin, at: "06:30", catch_up: true}\n'
                "      after: [partner/exports, prices]\n      health: https://api.example.com/health\n"
                "      anomalies: {severity: error, sensitivity: low, ignore: [amount]}\n",
            ),
            sla("{property: latency, value: 6, unit: h, element: orders.updated_at}"),
            ("slaProperties:\n", "slaProperties:\n  - {property: frequency, value: 1, unit: week}\n"),
            ("slaProperties:\n", "slaProperties:\n  - {property: retention, value: 2, unit: y}\n"),
            (KEY, f"{KEY}        primaryKeyPosition: 2\n        physicalName: OrderID\n"),
            (AMOUNT, f"{AMOUNT}        primaryKey: true\n        primaryKeyPosition: 1\n        criticalDataElement: true\n"),
            ("      - name: lines\n", "      - name: lines\n        customProperties: &view\n"
             "          - {property: lakehouse, value: {childTable: order_lines}}\n"),
            (SKU, f"{SKU}              physicalName: SKU no\n"),
            ("&view\n", "\n"),
        )
    )  # fmt: skip
    assert contract.keys == ("amount", "order_id"), "the key's order is that of its positions"
    assert contract.column("order_id").source_name == "OrderID"
    assert contract.column("amount").critical
    assert (contract.lateness, contract.history, contract.partition) == (timedelta(weeks=2), "full", "weekly")
    assert contract.quarantine_warn == timedelta(hours=36)
    assert str(contract.score) == "publish 0.6, warn 0.6, weights uniqueness 2, timeliness 0"
    assert contract.anomalies == Watch(severity="error", sensitivity="low", ignore=("amount",))
    assert (contract.rewritten_files, contract.unknown_fields) == ("re-ingest", "add")
    assert contract.timetable == Timetable(timezone="Europe/Berlin", at="06:30", catch_up=True)
    assert (contract.after, contract.health) == (("partner/exports", "prices"), "https://api.example.com/health")
    assert (contract.start, contract.encoding, contract.max_quarantined_percent) == (
        date(2025, 11, 24),
        "ISO-8859-1",
        0.5,
    )
    assert (contract.freshness_warn, contract.freshness_fail) == (timedelta(hours=3), timedelta(hours=6))
    assert (contract.freshness_column, contract.cadence, contract.retention) == ("updated_at", "weekly", timedelta(730))
    (lines,) = contract.child_tables
    assert contract.child_view(lines) == "silver.shop_order_lines"
    assert lines.source_type == "array<struct<number:int,`SKU no`:string>>"


def test_a_contract_can_be_sent_to_another_process_and_not_be_changed(write: Write) -> None:
    contract = load(write())
    assert pickle.loads(pickle.dumps(contract)) == contract
    with pytest.raises(AttributeError):
        contract.source = "other"  # type: ignore[misc]


PROBLEMS = {
    # text
    "duplicate key": (("status: active\n", "status: active\nstatus: draft\n"), "`status` is given twice", "status: draft"),
    "tab": (("  name: Tests", "\tname: Tests"), "indented with a tab", "name: Tests"),
    "syntax": (("name: Orders", "name: [Orders"), "this is not YAML", "version"),
    "merge key": (("team:\n", "team:\n  <<: {a: b}\n"), "is not a plain key", "<<"),
    "unknown tag": (("1.0.0", "!!binary abc="), "cannot be read as", "version"),
    "endless alias": (("description: {", "tags: &t [*t]\ndescription: {"), "refers to something that contains it", "tags"),
    # structure
    "unknown top key": (("status: active", "status: active\nstate: x"), "`state` is no key of ODCS", "state: x"),
    "newer key": ((AMOUNT, f"{AMOUNT}        enum: [{{value: 1}}]\n"), "`enum` is no key of ODCS v3.1.0", "enum"),
    "unknown column key": ((AMOUNT, f"{AMOUNT}        requird: true\n"), "`requird` is no key", "requird"),
    "version": (("v3.1.0", "v2.2.0"), "apiVersion is `v2.2.0`", "apiVersion"),
    "kind": (("DataContract", "Contract"), "kind is `Contract`", "kind"),
    "no id": (("id: shop.orders\n", ""), "`id` is missing", "apiVersion"),
    "number as text": (("1.0.0", "1.0"), "`version` must be text, and 1.0 is found", "version"),
    "text as flag": ((KEY, "        primaryKey: yes\n"), "`primaryKey` must be true or false", "primaryKey"),
    "text as list": (("    quality:\n" + QUALITY, "    quality: many\n"), "`quality` must be a list", "quality"),
    "member": (("username: tests@example.com, ", ""), "`username` is missing", "role: owner"),
    "old team": (("team:\n  name: Tests\n  members:\n    - {username", "team:\n    - {username"), "old form of a team", "team"),
    "no table": (("schema:", "support: []\nschemas:"), "`schema` is missing", "apiVersion"),
    "two tables": (("schema:\n", "schema:\n  - {name: more, properties: []}\n"), "describes one table, and 2", "schema"),
    # the table
    "no namespace": (("property: lakehouse", "property: other"), "`lakehouse` is missing", "customProperties"),
    "misspelt namespace": (("property: lakehouse", "property: lakehous"), "Perhaps `lakehouse` is meant", "lakehous"),
    "no mapping": (("value:\n      source: shop\n      format: json\n" + DELIVERY, "value: shop\n"), "is no mapping", "lakehouse"),
    "unknown key": (lakehouse("partitions: daily"), "Perhaps `partition` is meant", "partitions"),
    "no source": ((SOURCE, ""), "`source` is missing", "value"),
    "source name": (("source: shop", "source: Web Shop"), "Write `web_shop`", "source"),
    "table name": (("- name: orders", "- name: orders__old"), "no usable name of a table", "orders__old"),
    "physical name": (("    logicalType: object\n", "    physicalName: orders\n"), "Write `shop_orders`", "physicalName"),
    "status": (("status: active", "status: actve"), "Perhaps `active` is meant", "status"),
    "purpose": (("{purpose: To test.}", "{usage: None.}"), "the purpose of the table is missing", "description"),
    "grain": (("    dataGranularityDescription: One row per order.\n", ""), "not said what one row is", "orders"),
    "owner": (("role: owner", "role: steward"), "has no owner", "team"),
    "owner's address": (("tests@example.com", "tests"), "no e-mail address", "username"),
    "delivery": (("delivery: versions", "delivery: version"), "Perhaps `versions` is meant", "delivery"),
    "no delivery": ((DELIVERY, ""), "`delivery` is missing", "value"),
    "format": (("format: json", "format: xml"), "format cannot be `xml`", "format"),
    "history": (lakehouse("history: scd2"), "history cannot be `scd2`", "history"),
    "partition": (lakehouse("partition: hourly"), "partition cannot be `hourly`", "partition"),
    "lateness": (lakehouse("lateness: 30"), "lateness cannot be `30`", "lateness"),
    "start": (lakehouse("start: 24.11.2025"), "start cannot be `24.11.2025`", "start"),
    "rewritten_files": (lakehouse("rewritten_files: retake"), "rewritten_files cannot be `retake`", "rewritten_files"),
    "timetable": (lakehouse("schedule: nightly"), "schedule cannot be `nightly`", "schedule"),
    "schedule's key": (lakehouse("schedule: {time: noon}"), "`time` is unknown to schedule", "schedule"),
    "schedule alone": (lakehouse("schedule: {catch_up: true}"), "a schedule without a frequency", "schedule"),
    "time zone": (lakehouse("schedule: {timezone: Europe/Berln}"), "Perhaps `Europe/Berlin`", "schedule"),
    "offset as time zone": (lakehouse("schedule: {timezone: \"+02:00\"}"), "Write a name of the IANA database", "schedule"),
    "at": (lakehouse('schedule: {at: "6:30"}'), "at cannot be `6:30`", "schedule"),
    "catch up": (lakehouse("schedule: {catch_up: often}"), "catch_up cannot be `often`", "schedule"),
    "after": (lakehouse("after: partner/exports"), "after cannot be `partner/exports`", "after"),
    "after no asset": (lakehouse('after: ["a b"]'), "`a b` is no key of an asset", "after"),
    "after twice": (lakehouse("after: [a/b, a/b]"), "`a/b` is given twice", "after"),
    "health": (lakehouse("health: ftp://example.com"), "health cannot be `ftp://example.com`", "health"),
    "health with a login": (lakehouse("health: https://u:p@example.com/h"), "health holds a login", "health"),
    "missing rows of what is no snapshot": (lakehouse("max_missing_percent: 20"), "from a snapshot alone", "max_missing_percent"),
    "missing rows": (lakehouse("max_missing_percent: half"), "`half` is no percentage", "max_missing_percent"),
    "unknown_fields": (lakehouse("unknown_fields: drop"), "unknown_fields cannot be `drop`", "unknown_fields"),
    "encoding": (lakehouse("encoding: utf-9"), "the encoding `utf-9` is unknown", "encoding"),
    "quarantine": (lakehouse("quarantine: {max: 5}"), "`max` is unknown to quarantine", "quarantine"),
    "anomalies": (lakehouse("anomalies: maybe"), "anomalies cannot be `maybe`", "anomalies: maybe"),
    "anomalies severity": (lakehouse("anomalies: {severity: warn}"), "Perhaps `warning` is meant", "anomalies"),
    "anomalies sensitivity": (lakehouse("anomalies: {sensitivity: 3}"), "the sensitivity cannot be `3`", "anomalies"),
    "anomalies key": (lakehouse("anomalies: {ignored: []}"), "Perhaps `ignore` is meant", "anomalies"),
    "anomalies column": (lakehouse("anomalies: {ignore: [amuont]}"), "Perhaps `amount` is meant", "anomalies"),
    "anomalies columns": (lakehouse("anomalies: {ignore: amount}"), "`ignore` is a list of columns", "anomalies"),
    "share": (lakehouse("quarantine: {max_percent: 500}"), "`500` is no percentage", "quarantine"),
    "age": (lakehouse("quarantine: {warn_after: soon}"), "warn_after cannot be `soon`", "quarantine"),
    "score": (lakehouse("score: high"), "score cannot be `high`", "score"),
    "score key": (lakehouse("score: {publsh: 0.9}"), "Perhaps `publish` is meant", "score"),
    "score in percent": (lakehouse("score: {publish: 90}"), "`publish` cannot be `90`", "score"),
    "score order": (lakehouse("score: {publish: 0.6, warn: 0.8}"), "held back below 0.8, and published from 0.6", "score"),
    "weights": (lakehouse("score: {weights: 2}"), "weights cannot be `2`", "score"),
    "weight of nothing": (lakehouse("score: {weights: {validty: 2}}"), "Perhaps `validity` is meant", "score"),
    "weight below 0": (lakehouse("score: {weights: {validity: -1}}"), "the weight of validity cannot be `-1`", "score"),
    "no weight": (lakehouse("score: {weights: {validity: 0, completeness: 0}}"), "neither completeness nor validity", "score"),
    "csv of json": (lakehouse('csv: {delimiter: ";"}'), "no meaning for format json", "csv"),
    "delimiter": (("format: json", "format: csv\n      csv: {delimiter: ab}"), "the delimiter cannot be `ab`", "csv:"),
    "csv key": (("format: json", "format: csv\n      csv: {quote: a}"), "`quote` is unknown to csv", "csv:"),
    "array in csv": (("format: json", "format: csv"), "`lines` is array, which csv cannot hold", "- name: lines"),
    # delivery and sequence
    "sequence column": (("[updated_at]", "[updatd_at]"), "Perhaps `updated_at` is meant", "sequence"),
    "sequence null": (("        required: true\n", ""), "the sequence `updated_at` may be null", "sequence"),
    "sequence type": (("[updated_at]", "[lines]"), "which has no order", "sequence"),
    "sequence text": (("[updated_at]", "updated_at"), "`sequence` is a list of columns", "sequence"),
    "sequence twice": (("[updated_at]", "[updated_at, updated_at]"), "names a column twice", "sequence"),
    "snapshot": (("versions", "snapshot"), "ordered by their day of arrival", "sequence"),
    "changes": (("versions", "changes"), "`updated_at` is no place in a change envelope", "sequence"),
    "changes by text": (
        (DELIVERY, "      delivery: changes\n      sequence: [source.file, source.pos]\n"), "`source.file` is text", "sequence"),
    "changes unordered": ((DELIVERY, "      delivery: changes\n"), "changes need a sequence", "value"),
    "append history": (("versions", "append\n      history: full"), "appended events have no history", "history"),
    "history column": (lakehouse("history: full\n      x: 1"), "`x` is unknown to lakehouse", "x: 1"),
    # service levels
    "sla": (sla("{property: latencies, value: 1, unit: d}"), "Perhaps `latency` is meant", "latencies"),
    "sla unit": (sla("{property: latency, value: 1, unit: moons}"), "cannot be `1 moons`", "moons"),
    "sla value": (sla("{property: latency, value: soon, unit: h}"), "cannot be `soon h`", "soon"),
    "sla element": (("schema:", "slaDefaultElement: updated_at\nschema:"), "`slaDefaultElement` is not used", "slaDefault"),
    "sla column": (sla("{property: latency, value: 1, unit: h, element: orders.updated}"), "is no column", "latency"),
    "sla column's type": (sla("{property: latency, value: 1, unit: h, element: orders.amount}"), "not a time", "latency"),
    "frequency": (sla("{property: frequency, value: 2, unit: d}"), "neither an hour, a day nor a week", "frequency"),
    "schedule": (sla("{property: frequency, value: 1, unit: d, schedule: x}"), "`schedule` is not used", "frequency"),
    # columns
    "column name": (("name: amount", "name: Total Amount"), "Write `total_amount`", "Total Amount"),
    "hidden name": (("name: amount", "name: _batch"), "Write `batch`", "_batch"),
    "column twice": (("name: amount", "name: order_id"), "`order_id` is declared twice", "order_id"),
    "source twice": ((AMOUNT, f"{AMOUNT}        physicalName: Order_ID\n"), "both read from `Order_ID`", "name: amount"),
    "no logical type": (("        logicalType: number\n", ""), "`logicalType` is missing", "name: amount"),
    "logical type": (("logicalType: number", "logicalType: numbr"), "Perhaps `number` is meant", "numbr"),
    "time": (("logicalType: number", "logicalType: time"), "logicalType cannot be `time`", "time"),
    "type": (("decimal(12,2)", "money"), "`money` is no type", "money"),
    "decimal": (("decimal(12,2)", "decimal"), "needs its precision and scale", "decimal"),
    "precision": (("decimal(12,2)", "decimal(39,2)"), "is impossible", "decimal"),
    "varchar": (("decimal(12,2)", "varchar(9)"), "write `string`", "varchar"),
    "unfit": (("decimal(12,2)", "date"), "does not fit logicalType number", "physicalType: date"),
    "array type": (("logicalType: array\n", "logicalType: array\n        physicalType: array<string>\n"), "the fields below make", "array<s"),
    "array without items": (
        ("logicalType: number\n" + AMOUNT, "logicalType: array\n"), "needs the type of its elements", "name: amount"),
    "object without fields": (("logicalType: number\n" + AMOUNT, "logicalType: object\n"), "needs its fields", "name: amount"),
    "items of a number": ((AMOUNT, f"{AMOUNT}        items: {{logicalType: string}}\n"), "`items` does not fit", "items"),
    "no key": ((KEY, ""), "has no primary key", "properties"),
    "key position": ((KEY, f"{KEY}        primaryKeyPosition: 2\n"), "the key's positions are not 1 to 1", "properties"),
    "key positions": ((AMOUNT, f"{AMOUNT}        primaryKey: true\n"), "the key's positions are not 1 to 2", "properties"),
    "position alone": ((AMOUNT, f"{AMOUNT}        primaryKeyPosition: 2\n"), "outside the key", "primaryKeyPosition"),
    "key optional": ((KEY, f"{KEY}        required: false\n"), "a key column cannot be optional", "required"),
    "key array": (("logicalType: array\n", "logicalType: array\n        primaryKey: true\n"), "cannot be part of the key", "primaryKey"),
    "key field": ((SKU, f"{SKU}              primaryKey: true\n"), "a field of an array or object cannot", "primaryKey"),
    "partitioned": ((AMOUNT, f"{AMOUNT}        partitioned: true\n"), "`partitioned` is not used here", "partitioned"),
    "classification": (("classification: pii", "classification: secret"), "classification cannot be `secret`", "secret"),
    "no mask": (("        customProperties:\n          - {property: lakehouse, value: {mask: hash}}\n", ""), "has no mask", "email"),
    "mask": (("mask: hash", "mask: hashed"), "Perhaps `hash` is meant", "mask"),
    "partial number": (
        (AMOUNT, f"{AMOUNT}        customProperties: [{{property: lakehouse, value: {{mask: partial}}}}]\n"), "needs text", "partial"),
    "nested pii": ((SKU, f"{SKU}              classification: pii\n"), "cannot be masked by itself", "lines"),
    "child table": (("mask: hash", "mask: hash, childTable: x"), "only an array of objects", "childTable"),
    "two references": (
        (AMOUNT, f"{AMOUNT}        relationships: [{{to: a_b.c}}, {{to: d_e.f}}]\n"), "can refer to one table", "relationships"),
    "reference": ((AMOUNT, f"{AMOUNT}        relationships: [{{to: customers}}]\n"), "names no column of a table", "relationships"),
    "reference type": (
        (AMOUNT, f"{AMOUNT}        relationships: [{{type: peer, to: a_b.c}}]\n"), "of type `peer` is unknown", "relationships"),
    # constraints
    "option": ((AMOUNT, f"{AMOUNT}        logicalTypeOptions: {{minimun: 0}}\n"), "Perhaps `minimum` is meant", "minimun"),
    "range value": ((AMOUNT, f'{AMOUNT}        logicalTypeOptions: {{minimum: "0"}}\n'), "'0' is no number", "minimum"),
    "range order": ((AMOUNT, f"{AMOUNT}        logicalTypeOptions: {{minimum: 9, maximum: 1}}\n"), "is above `maximum`", "minimum"),
    "multiple": ((AMOUNT, f"{AMOUNT}        logicalTypeOptions: {{multipleOf: 0}}\n"), "`multipleOf` cannot be `0`", "multipleOf"),
    "position nan": ((KEY, f"{KEY}        primaryKeyPosition: .nan\n"), "`primaryKeyPosition` cannot be `nan`", "primaryKeyPosition"),
    "position inf": ((KEY, f"{KEY}        primaryKeyPosition: .inf\n"), "`primaryKeyPosition` cannot be `inf`", "primaryKeyPosition"),
    "multiple of nan": ((AMOUNT, f"{AMOUNT}        logicalTypeOptions: {{multipleOf: .nan}}\n"), "`multipleOf` cannot be `nan`", "multipleOf"),
    "multiple of inf": ((AMOUNT, f"{AMOUNT}        logicalTypeOptions: {{multipleOf: .inf}}\n"), "`multipleOf` cannot be `inf`", "multipleOf"),
    "pattern": ((SKU, f"{SKU}              logicalTypeOptions: {{pattern: '(a'}}\n"), "is no regular expression", "pattern"),
    "text format": ((SKU, f"{SKU}              logicalTypeOptions: {{format: mail}}\n"), "Perhaps `email` is meant", "format"),
    "bits": ((AMOUNT, f"{AMOUNT}        logicalTypeOptions: {{format: f32}}\n"), "does not fit physicalType", "f32"),
    "date format": (("        required: true\n", "        required: true\n        logicalTypeOptions: {format: iso}\n"), "no pattern of dates", "iso"),
    "zone": (
        ("        required: true\n", "        required: true\n        logicalTypeOptions: {defaultTimezone: Europe/Paris}\n"),
        "time zone `Europe/Paris` is not used", "Paris"),
    "offset": (
        ("        required: true\n", "        required: true\n        logicalTypeOptions: {timezone: true}\n"),
        "`timezone` cannot be checked", "timezone"),
    "option of a boolean": (
        ("logicalType: number\n" + AMOUNT, "logicalType: boolean\n        logicalTypeOptions: {minimum: 0}\n"),
        "`minimum` cannot be checked for logicalType boolean", "minimum"),
    "password": ((SKU, f"{SKU}              logicalTypeOptions: {{format: password}}\n"), "cannot be checked", "password"),
    "integer format": (
        ("physicalType: int\n", "physicalType: int\n              logicalTypeOptions: {format: i128}\n"), "cannot be checked", "i128"),
    "wide integer format": (
        ("physicalType: int\n", "physicalType: int\n              logicalTypeOptions: {format: u32}\n"),
        "does not fit physicalType int", "u32"),
    "size": (("logicalType: array\n", "logicalType: array\n        logicalTypeOptions: {minItems: few}\n"), "`minItems` cannot", "minItems"),
    "options of elements": (
        ("logicalType: object\n          properties", "logicalType: object\n          logicalTypeOptions: {minProperties: 1}\n          properties"),
        "of whole elements cannot be checked", "minProperties"),
    "unknown field required": (
        ("logicalType: number\n" + AMOUNT,
         "logicalType: object\n        logicalTypeOptions: {required: [strt]}\n        properties: [{name: street, logicalType: string}]\n"),
        "Perhaps `street` is meant", "strt"),
    "fields required": (
        ("logicalType: number\n" + AMOUNT,
         "logicalType: object\n        logicalTypeOptions: {required: true}\n        properties: [{name: street, logicalType: string}]\n"),
        "`required` cannot be `True`", "required"),
    "distinct": (
        ("logicalType: array\n", "logicalType: array\n        logicalTypeOptions: {uniqueItems: yes}\n"), "`uniqueItems` cannot", "uniqueItems"),
    "distinct maps": (
        ("logicalType: number\n" + AMOUNT,
         "logicalType: array\n        physicalType: array<map<string,string>>\n        logicalTypeOptions: {uniqueItems: true}\n"),
        "cannot be compared", "uniqueItems"),
    "unique array": (("logicalType: array\n", "logicalType: array\n        unique: true\n"), "cannot be unique", "unique"),
    "unique field": ((SKU, f"{SKU}              unique: true\n"), "uniqueness of a field", "unique"),
    # quality
    "quality type": (quality("{type: sqll, query: x}"), "Perhaps `sql` is meant", "sqll"),
    "metric": (quality("{metric: rows, mustBe: 1}"), "metric cannot be `rows`", "rows"),
    "old metric": (quality("{rule: rowCount, mustBe: 1}"), "`rule` is the old word", "rule"),
    "metric of a column": (quality("{metric: nullValues, mustBe: 0}"), "is about a column", "nullValues"),
    "metric of the table": (of_amount("{metric: rowCount, mustBe: 1}"), "is about the table", "rowCount"),
    "a threshold that is no number": (quality("{metric: rowCount, mustBe: .nan}"), "`mustBe` cannot be `nan`", ".nan"),
    "a threshold without end": (quality("{metric: rowCount, mustBeBetween: [0, .inf]}"), "cannot be `[0, inf]`", ".inf"),
    "multiple of nothing": ((AMOUNT, f"{AMOUNT}        logicalTypeOptions: {{multipleOf: .nan}}\n"), "`multipleOf` cannot be `nan`", "multipleOf"),
    "no threshold": (quality("{metric: rowCount}"), "the threshold is missing", "rowCount"),
    "two thresholds": (quality("{metric: rowCount, mustBe: 1, mustNotBe: 2}"), "2 thresholds are given", "mustNotBe"),
    "threshold text": (quality("{metric: rowCount, mustBe: many}"), "`mustBe` cannot be `many`", "many"),
    "between": (quality("{metric: rowCount, mustBeBetween: [9, 1]}"), "begins with the larger", "mustBeBetween"),
    "percent": (of_amount("{metric: nullValues, mustBeLessThan: 101, unit: percent}"), "is no percentage", "101"),
    "percent of rows": (quality("{metric: rowCount, mustBe: 1, unit: percent}"), "has no percentage", "percent"),
    "argument": (of_amount("{metric: invalidValues, arguments: {validValue: [1]}, mustBe: 0}"), "Perhaps `validValues`", "validValue"),
    "no valid values": (of_amount("{metric: invalidValues, mustBe: 0}"), "needs to know what is valid", "invalidValues"),
    "value's type": (of_amount("{metric: invalidValues, arguments: {validValues: [a]}, mustBe: 0}"), "'a' is no number", "validValues"),
    "missing values": (of_amount("{metric: missingValues, mustBe: 0}"), "needs the values", "missingValues"),
    "duplicates": (quality("{metric: duplicateValues, mustBe: 0}"), "needs the columns", "duplicateValues"),
    "duplicates of": (
        quality("{metric: duplicateValues, arguments: {properties: [amont]}, mustBe: 0}"), "Perhaps `amount`", "amont"),
    "duplicates of an array": (
        quality("{metric: duplicateValues, arguments: {properties: [lines]}, mustBe: 0}"), "cannot be compared", "lines"),
    "filter": (quality("{metric: rowCount, arguments: {where: amont > 0}, mustBe: 1}"), "Perhaps `amount`", "amont"),
    "filter on many": (quality("{metric: rowCount, arguments: {where: max(amount) > 0}, mustBe: 1}"), "a filter sees one row", "max"),
    "filter on the clock": (
        quality("{metric: rowCount, arguments: {where: updated_at < now()}, mustBe: 1}"), "from run to run", "now"),
    "no filter": (quality("{metric: rowCount, arguments: {where: 1}, mustBe: 1}"), "`where` cannot be `1`", "where"),
    "filter elsewhere": (quality("{metric: rowCount, arguments: {filter: amount > 0}, mustBe: 1}"), "no argument `filter`", "filter"),
    "share of a filter": (
        of_amount("{metric: invalidValues, arguments: {validValues: [1], where: amount > 0}, mustBeLessThan: 5, unit: percent}"),
        "would be one of the whole batch", "where"),
    "two shares": (
        of_amount("{metric: invalidValues, arguments: {validValues: [1]}, mustBeLessThan: 5, unit: percent, "
                  "customProperties: [{property: lakehouse, value: {max_percent: 1}}]}"), "two shares are given", "max_percent"),
    "no share": (
        of_amount("{metric: invalidValues, arguments: {validValues: [1]}, mustBeLessThan: 0, unit: percent}"),
        "no share is less than 0", "percent"),
    "pattern of a number": (
        of_amount("{metric: invalidValues, arguments: {pattern: a}, mustBe: 0}"), "a pattern needs text", "pattern"),
    "filter of a reference": (
        (AMOUNT, f"{AMOUNT}        relationships: [{{to: a_b.c, customProperties: "
                 "[{property: lakehouse, value: {where: amont > 0}}]}]\n"), "Perhaps `amount`", "amont"),
    "severity": (quality("{metric: rowCount, mustBe: 1, severity: fatal}"), "severity cannot be `fatal`", "fatal"),
    "dimension": (quality("{metric: rowCount, mustBe: 1, dimension: validity}"), "Write `conformity`", "validity"),
    "other dimension": (quality("{metric: rowCount, mustBe: 1, dimension: acuracy}"), "Perhaps `accuracy`", "acuracy"),
    "own schedule": (quality("{metric: rowCount, mustBe: 1, schedule: daily}"), "`schedule` is not used", "schedule"),
    "rule name": (quality("{name: Has Rows, metric: rowCount, mustBe: 1}"), "no usable name of a rule", "Has Rows"),
    "rule twice": (quality("{name: updated_at_required, metric: rowCount, mustBe: 1}"), "is declared twice", "updated_at_req"),
    "kept name": (quality("{name: amount_type, metric: rowCount, mustBe: 1}"), "is kept for a rule of every table", "amount_type"),
    "method": (quality("{metric: rowCount, mustBe: 1, method: reconciliation}"), "`method` has no meaning", "method"),
    "query of a metric": (quality('{metric: rowCount, mustBe: 1, query: "select 1"}'), "no meaning in an entry of type library", "query"),
    "metric of a query": (
        quality('{type: sql, name: a, query: "select 1 from ${table}", mustBe: 1, metric: rowCount}'),
        "`metric` has no meaning in an entry of type sql", "metric"),
    "arguments of a query": (
        quality('{type: sql, name: a, query: "select 1 from ${table}", mustBe: 1, arguments: {where: x}}'),
        "`arguments` has no meaning in an entry of type sql", "arguments"),
    "unit of a query": (
        quality('{type: sql, name: a, query: "select 1 from ${table}", mustBe: 1, unit: percent}'), "its own affair", "percent"),
    "unit of a rule": (
        quality("{type: custom, name: a, engine: spark-row, implementation: amount > 0, unit: percent}"),
        "`unit` has no meaning in an entry of type custom", "percent"),
    "engine of a metric": (quality("{metric: rowCount, mustBe: 1, engine: soda}"), "`engine` has no meaning", "soda"),
    "threshold of a text": (quality("{type: text, description: Look., mustBe: 1}"), "no meaning in an entry of type text", "text"),
    "severity of a text": (quality("{type: text, description: Look., severity: error}"), "`severity` has no meaning", "text"),
    "dimension of a text": (quality("{type: text, description: Look., dimension: acuracy}"), "Perhaps `accuracy`", "acuracy"),
    "info": (quality("{metric: rowCount, mustBe: 1, severity: info}"), "severity cannot be `info`", "info"),
    "text says nothing": (quality("{type: text}"), "says nothing", "text"),
    "limit of a batch": (
        quality("{metric: rowCount, mustBe: 1, customProperties: [{property: lakehouse, value: {max_percent: 1}}]}"),
        "belongs to rules of single rows", "rowCount"),
    "sql without query": (quality("{type: sql, name: a, mustBe: 0}"), "needs a query", "sql"),
    "sql without name": (quality('{type: sql, query: "select 1 from ${table}", mustBe: 0}'), "needs a name", "sql"),
    "sql without table": (quality("{type: sql, name: a, query: select 1, mustBe: 0}"), "does not read `${table}`", "sql"),
    "sql variable": (
        quality('{type: sql, name: a, query: "select ${x} from ${table}", mustBe: 0}'), "`${x}` is unknown", "sql"),
    "sql column": (
        quality('{type: sql, name: a, query: "select max(amont) from ${table}", mustBe: 0}'), "Perhaps `amount`", "sql"),
    "sql statement": (
        quality('{type: sql, name: a, query: "drop table ${table}", mustBe: 0}'), "the query is no SELECT", "sql"),
    "sql columns": (
        quality('{type: sql, name: a, query: "select 1, 2 from ${table}", mustBe: 0}'), "returns 2 columns", "sql"),
    "sql star": (quality('{type: sql, name: a, query: "select * from ${table}", mustBe: 0}'), "returns all columns", "sql"),
    "engine": (quality("{type: custom, name: a, engine: dbt, implementation: x}"), "engine cannot be `dbt`", "dbt"),
    "no implementation": (quality("{type: custom, name: a, engine: soda}"), "the implementation is missing", "soda"),
    "custom without name": (quality("{type: custom, engine: soda, implementation: row_count > 0}"), "needs a name", "soda"),
    "custom threshold": (
        quality("{type: custom, name: a, engine: soda, implementation: row_count > 0, mustBe: 0}"), "has no meaning here", "soda"),
    "soda list": (quality('{type: custom, name: a, engine: soda, implementation: "- row_count > 0"}'), "not a list", "soda"),
    "soda column": (
        quality("{type: custom, name: a, engine: soda, implementation: avg(amont) > 0}"), "Perhaps `amount`", "soda"),
    "soda severity": (soda("avg(amount): {warn: when > 1}", ", severity: error"), "only warns is no error", "soda"),
    "soda freshness": (soda("freshness(updated_at) < 1d"), "old data never keeps", "soda"),
    "soda filter": (soda("avg(amount) > 1: {filter: amont > 0}"), "Perhaps `amount`", "soda"),
    "soda expression": (soda("m > 1: {m expression: sum(amont)}"), "Perhaps `amount`", "soda"),
    "soda row": (soda("m > 1: {m expression: amount + 1}"), "not one number over all rows", "soda"),
    "soda mixed": (soda("m > 1: {m expression: sum(amount) + amount}"), "has a value in each row", "soda"),
    "soda subquery": (soda("m > 1: {m expression: (select max(amount) from x)}"), "reads no other rows", "soda"),
    "row template": (spark_row("amount > ${limit}"), "`${limit}` is unknown", "spark-row"),
    "row comment": (spark_row("amount > 0 -- or else"), "holds a comment", "spark-row"),
    "row column": (
        quality("{type: custom, name: a, engine: spark-row, implementation: amont > 0}"), "Perhaps `amount`", "spark-row"),
    "row field": (
        quality('{type: custom, name: a, engine: spark-row, implementation: "forall(lines, x -> x.skuu is null)"}'),
        "`skuu` is no field of lines", "spark-row"),
    "row path": (
        quality('{type: custom, name: a, engine: spark-row, implementation: "size(lines.skuu) > 0"}'),
        "`skuu` is no field of lines", "spark-row"),
    "row syntax": (quality('{type: custom, name: a, engine: spark-row, implementation: "amount >"}'), "not Spark SQL", "spark-row"),
    "row clock": (
        quality('{type: custom, name: a, engine: spark-row, implementation: "updated_at < now()"}'), "from run to run", "spark-row"),
    "row aggregate": (
        quality('{type: custom, name: a, engine: spark-row, implementation: "max(amount) < 9"}'), "sees one row", "spark-row"),
    "row subquery": (
        quality('{type: custom, name: a, engine: spark-row, implementation: "amount in (select 1)"}'), "sees one row", "spark-row"),
    "row statement": (
        quality('{type: custom, name: a, engine: spark-row, implementation: "drop table orders"}'), "not a statement", "spark-row"),
    "two rows": (
        quality('{type: custom, name: a, engine: spark-row, implementation: "amount > 0; amount < 9"}'), "2 expressions", "spark-row"),
    "row constant": (quality('{type: custom, name: a, engine: spark-row, implementation: "1 = 1"}'), "reads no column", "spark-row"),
    "field rule": (
        (SKU, f"{SKU}              quality: [{{type: custom, name: a, engine: spark-row, implementation: sku > 1}}]\n"),
        "cannot stand at a field", "spark-row"),
    "field share": (
        (SKU, f"{SKU}              quality: [{{metric: nullValues, mustBeLessThan: 5, unit: percent}}]\n"),
        "can only be none at all", "nullValues"),
    "composite reference": (
        ("    quality:\n", "    relationships: [{from: [orders.amount], to: [a_b.c, a_b.d]}]\n    quality:\n"),
        "1 columns cannot refer to 2", "relationships"),
    "foreign reference": (
        ("    quality:\n", "    relationships: [{from: payments.amount, to: shop_orders.amount}]\n    quality:\n"),
        "`payments` is not this table", "relationships"),
}  # fmt: skip


@pytest.mark.parametrize(("replacement", "message", "line"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_a_problem_names_line_and_remedy(write: Write, replacement: tuple[str, str], message: str, line: str) -> None:
    path = write(replacement)
    found = [problem for problem in check([path]) if message in str(problem)]
    assert found, f"{message!r} is not among {[str(problem) for problem in check([path])]}"
    lines = path.read_text().splitlines()
    assert any(line in lines[problem.line - 1] for problem in found), [str(problem) for problem in found]
    for problem in found:
        assert str(problem).startswith(f"{path}:{problem.line}: ")
        assert problem.remedy and not problem.remedy.endswith(".")
    with pytest.raises(ContractError) as error:
        load(path)
    assert message in str(error.value)


def test_all_problems_of_a_file_are_told_at_once(write: Write) -> None:
    path = write(
        ("kind: DataContract", "kind: X"),
        ("decimal(12,2)", "money"),
        ("mask: hash", "mask: x"),
        ("[updated_at]", "[u]"),
    )
    assert [problem.line for problem in check([path])] == sorted(problem.line for problem in check([path]))
    assert len(check([path])) == 4


@pytest.mark.parametrize(
    ("content", "message", "line"),
    [
        (b"", "the file is empty", 1),
        (b"# only a comment\n", "the file is empty", 1),
        (b"- a\n- b\n", "a mapping of keys", 1),
        (b"just text", "a mapping of keys", 1),
        (b"a: 1\nname: caf\xe9\n", "byte 0xe9 is not UTF-8", 2),
        (b"\x00\x01\x02", "this is not YAML", 1),
        (b"a: 1\n---\nb: 2\n", "this is not YAML", 2),
        (b"a: *nothing\n", "this is not YAML", 1),
        (b"[" * 5000, "this is not YAML", 2),
    ],
    ids=["empty", "comment", "list", "text", "latin-1", "binary", "two documents", "no anchor", "deep"],
)
def test_a_file_that_is_no_yaml_mapping(tmp_path: Path, content: bytes, message: str, line: int) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    (problem,) = check([path])
    assert message in problem.message and problem.line == line


@pytest.mark.parametrize(
    "text",
    [
        *("- " * 200, "- " * 20_000, "- " * 1_000_000, "[" * 200 + "]" * 200, "[" * 1_000_000 + "]" * 1_000_000),
        "\n".join(f"- &a{n} [{f'*a{n - 1}' if n else 1}]" for n in range(200)),
    ],
    ids=["200", "20,000", "a million", "200 in brackets", "a million in brackets", "by aliases"],
)
def test_a_text_that_is_nested_too_deeply(tmp_path: Path, text: str) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text(f"# deep\n{text}\n")
    with pytest.raises(ContractError) as listed:
        read_list(path)
    indented = "\n".join(f"  {line}" for line in text.splitlines())
    path.write_text(f"# deep\ndeep:\n{indented}\n")
    with pytest.raises(ContractError) as mapped:
        read(path)
    for raised, line in ((listed, 2), (mapped, 3)):
        (problem,) = raised.value.problems
        assert problem.message == "the YAML is nested too deeply to read" and "100" in problem.remedy
        assert problem.file == path and problem.line >= line


def test_aliases_that_grow_beyond_all_measure(tmp_path: Path) -> None:
    path = tmp_path / "growing.yaml"
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}' if n else '1'] * 9)}]" for n in range(12)]
    path.write_text("\n".join(levels) + "\n")
    (problem,) = check([path])
    assert problem.message == "its aliases repeat more than 100,000 values" and "Write out" in problem.remedy
    path.write_text("\n".join(f"- {level.partition(': ')[2]}" for level in levels) + "\n")
    with pytest.raises(ContractError, match=r"repeat more than 100,000 values"):
        read_list(path)


def test_a_long_file_without_aliases_and_one_with_few_are_read(tmp_path: Path) -> None:
    path = tmp_path / "long.yaml"
    path.write_text("- [1, 2, 3, 4, 5]\n" * 20_000)
    assert len(read_list(path)[1]) == 20_000
    path.write_text("- &a [1, 2, 3]\n" + "- *a\n" * 1_000)
    assert read_list(path)[1][-1] == [1, 2, 3]


def test_a_text_that_is_nested_as_deep_as_may_be_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text("[" * 100 + "a" + "]" * 100 + " # " + "x" * 20_000)
    _, (inner,) = read_list(path)
    for _ in range(98):
        (inner,) = inner
    assert inner == ["a"]


def test_a_byte_order_mark_does_no_harm(tmp_path: Path, minimal: str) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + minimal.encode())
    assert load(path).table == "shop_orders"


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    (problem,) = check([tmp_path / "none.yaml"])
    assert "no contract here" in problem.message


def settings_of(*folders: Path, sample: bool = False) -> Settings:
    return Settings(contracts=folders, sample=sample)


def test_contracts_of_folders_are_loaded_by_table_name(write: Write, tmp_path: Path) -> None:
    write()
    (tmp_path / "sub").mkdir()
    write(("name: orders", "name: carts"), ("shop.orders", "shop.carts"), name="sub/carts.yml")
    (tmp_path / ".hidden.yaml").write_text("nonsense")
    assert list(load_all(settings_of(tmp_path))) == ["shop_carts", "shop_orders"]


def test_the_same_file_named_twice_counts_once(write: Write, tmp_path: Path) -> None:
    path = write()
    assert list(load_all(settings_of(tmp_path, path, tmp_path / "."))) == ["shop_orders"]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="does not exist"):
        load_all(settings_of(tmp_path / "none"))


def across(write: Write, tmp_path: Path, *replacements: tuple[str, str]) -> list[Problem]:
    write()
    write(*replacements, name="other.yaml")
    with pytest.raises(ContractError) as error:
        load_all(settings_of(tmp_path))
    return error.value.problems


OTHER = (("name: orders", "name: carts"), ("shop.orders", "shop.carts"))


def test_a_table_declared_twice(write: Write, tmp_path: Path) -> None:
    messages = [problem.message for problem in across(write, tmp_path, ("1.0.0", "1.0.1"))]
    assert [message.split(" is declared")[0] for message in messages] == [
        "the id `shop.orders`",
        "the table `shop_orders`",
    ]


@pytest.mark.parametrize(
    ("relation", "message"),
    [
        ("shop_order.amount", "no contract declares the table `shop_order`"),
        ("shop_orders.amont", "shop_orders has no column `amont`"),
        ("shop_orders.order_id", "`amount` is decimal(12,2), and shop_orders.order_id is string"),
    ],
)
def test_a_relation_that_leads_nowhere(write: Write, tmp_path: Path, relation: str, message: str) -> None:
    replacement = (AMOUNT, f"{AMOUNT}        relationships:\n          - {{to: {relation}}}\n")
    (problem,) = across(write, tmp_path, *OTHER, replacement)
    assert message in problem.message
    assert relation in problem.file.read_text().splitlines()[problem.line - 1]


def test_a_child_table_that_another_table_is(write: Write, tmp_path: Path) -> None:
    child = "        customProperties: [{property: lakehouse, value: {childTable: orders}}]\n"
    (problem,) = across(write, tmp_path, *OTHER, ("logicalType: array\n", f"logicalType: array\n{child}"))
    assert "the childTable `shop_orders` is a table" in problem.message


def test_a_field_named_like_the_key_of_its_child_table(write: Write) -> None:
    child = "        customProperties: [{property: lakehouse, value: {childTable: lines}}]\n"
    path = write(("logicalType: array\n", f"logicalType: array\n{child}"), ("name: sku", "name: order_id"))
    assert "has the name of a key column" in str(check([path])[0])


def test_history_makes_columns_of_its_own(write: Write) -> None:
    path = write(lakehouse("history: full"), ("name: amount", "name: valid_to"))
    assert "the column `valid_to` is made by `history: full`" in str(check([path])[0])


def test_checking_one_file_knows_the_other_contracts(write: Write, tmp_path: Path) -> None:
    write(("1.0.0", "1.0"), name="orders.yaml")
    path = write(*OTHER, (AMOUNT, f"{AMOUNT}        relationships: [{{to: shop_orders.amount}}]\n"), name="carts.yaml")
    assert "no contract declares" in str(check([path])[0])
    assert check([path], settings_of(tmp_path)) == [], "the other file's own problems are not reported"


SHIPPED = sorted(SAMPLE.glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_contract_is_whole(path: Path, odcs: Any) -> None:
    contract = load(path)
    assert path.stem == contract.table
    assert all(column.description for column in contract.columns)
    assert contract.freshness_fail and contract.cadence and contract.retention and contract.domain
    odcs.validate(read(path).data)


def test_the_shipped_contracts_fit_together() -> None:
    assert len(SHIPPED) == len(load_all(settings_of(sample=True))) >= 7
    assert load_all(settings_of(sample=False)) == {}
