"""A contract as plain, immutable objects: what a YAML file says, with every default filled in.

Only `lakehouse.contracts.loader` makes these; whoever holds one may rely on it having passed validation. Nothing
here reads a file or knows Spark; types and predicates are Spark SQL text.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

Delivery = Literal["versions", "changes", "snapshot", "append"]
"""How changes arrive: `versions` (each record is a whole, newer version of its row), `changes` (Debezium envelopes),
`snapshot` (all files of one arrival day are the full table), `append` (immutable events, one record a key)."""

Format = Literal["json", "csv"]
History = Literal["current", "full"]
Partition = Literal["daily", "weekly", "monthly"]
Rewritten = Literal["ignore", "re-ingest", "fail"]
"""What becomes of a landed file whose content is another than when it was taken: `ignore` (said once, the records that
were taken stay), `re-ingest` (its records are replaced), `fail` (nothing is taken until somebody decides)."""
UnknownFields = Literal["rescue", "add", "fail"]
"""What becomes of fields of a record that the contract does not know: `rescue` (kept in `_rescued`), `add` (a text column
more), `fail` (the batch is held back)."""
Cadence = Literal["hourly", "daily", "weekly"]
Mask = Literal["hash", "partial", "redact"]
Severity = Literal["error", "warning"]
Sensitivity = Literal["low", "normal", "high"]
"""How readily a day is told of as an anomaly: `high` finds more, and more that is none."""
Dimension = Literal["completeness", "uniqueness", "validity", "accuracy", "consistency", "timeliness"]
Status = Literal["proposed", "draft", "active", "deprecated", "retired"]
Classification = Literal["public", "internal", "confidential", "pii"]
Unit = Literal["rows", "percent"]
Operator = Literal["=", "!=", ">", ">=", "<", "<=", "between", "not between"]
CheckKind = Literal["row_count", "unique", "missing", "invalid", "reference", "sql", "soda"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column, or one field of the structs in an array column (`children`)."""

    name: str
    """Its name in silver: `[a-z][a-z0-9_]*`."""
    source_name: str
    """Its name in the arriving records (ODCS `physicalName`); equal to `name` where the contract gives none."""
    type: str
    """Spark SQL type, lower case, without spaces: `string`, `decimal(12,2)`, `array<struct<line_number:int,…>>`."""
    logical_type: str
    """ODCS logical type: string, integer, number, boolean, date, timestamp, array, object."""
    description: str = ""
    required: bool = False
    """Never null. True for every key column."""
    unique: bool = False
    """No value twice in the table. False for key columns unless the contract says so."""
    key_position: int | None = None
    """Place in the primary key, from 1; None for other columns."""
    classification: Classification = "internal"
    mask: Mask | None = None
    """How a person sees it; never None where classification is `pii`."""
    critical: bool = False
    """ODCS `criticalDataElement`."""
    examples: tuple[object, ...] = ()
    format: str | None = None
    """For dates and timestamps: how the arriving text is written, a pattern (Java DateTimeFormatter), `epoch_millis` or
    `epoch_micros`; None: ISO 8601."""
    children: tuple["Column", ...] = ()
    """The fields of an object, or of the objects in an array."""
    child_table: str | None = None
    """For an array of objects: silver has a view `<source>_<child_table>` with a row for each element."""
    options: tuple[tuple[str, object], ...] = ()
    """ODCS `logicalTypeOptions` as they are written; what they ask for is among the contract's rules."""
    accepted: tuple[object, ...] = ()
    """The only values that a record may have, where a quality entry lists them and refuses every other one."""
    relation: tuple[str, str] | None = None
    """The (table, column) whose values this column refers to, such as `("stripe_customers", "customer_id")`."""
    line: int = 0
    """Where the column begins in the contract's file, from 1."""
    is_added: bool = False
    """Not in the contract's file: a field that arrived unasked, where the contract says `unknown_fields: add`."""

    @property
    def source_type(self) -> str:
        """`type` with the source's field names, to read records with; casting it to `type` renames by position."""
        if not self.children:
            return self.type
        fields = ",".join(f"{_quoted(child.source_name)}:{child.source_type}" for child in self.children)
        return f"array<struct<{fields}>>" if self.type.startswith("array<") else f"struct<{fields}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRule:
    """One condition on a single record. Severity `error`: the record is quarantined; `warning`: kept and counted."""

    name: str
    """Unique among the contract's rules and checks; `[a-z][a-z0-9_]*`."""
    predicate: str
    """A Spark SQL boolean over the contract's typed columns; only FALSE breaks the rule, NULL passes."""
    column: str | None = None
    """The top-level column that the rule is declared on; None for a rule of the table."""
    columns: tuple[str, ...] = ()
    """Every top-level column that the predicate reads."""
    dimension: Dimension = "validity"
    severity: Severity = "error"
    max_percent: float | None = None
    """The batch is blocked when more than this share of its records breaks the rule; None: the table's threshold. Of a
    rule of severity warning: it warns above this share; None: of any."""
    reaches_max: bool = True
    """Whether a share of exactly `max_percent` is tolerated."""
    description: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchCheck:
    """One condition on a whole batch. Severity `error` blocks the batch, `warning` is reported.

    What is compared with `operator` and `threshold` depends on `kind`:

    - `row_count`: the number of rows.
    - `unique`: rows whose `columns`, taken together, repeat those of another row (nulls aside).
    - `missing`: rows whose column is null or one of `values`.
    - `invalid`: rows for which `predicate` is false.
    - `reference`: rows whose `columns` are not null and not found in `reference_table`.`reference_columns`.
    - `sql`: the one number that `text`, a query with `${table}` for the rows under audit, returns.
    - `soda`: `text` is a whole SodaCL check with its own threshold; `operator` is None. See `contracts.sodacl`.

    `unit` is `percent` where the count is to be divided by the number of rows (0 to 100). Of the kinds that count rows,
    `where` says which there are.
    """

    name: str
    """Unique among the contract's rules and checks; `[a-z][a-z0-9_]*`."""
    kind: CheckKind
    columns: tuple[str, ...] = ()
    """The columns it is about (for `sql`, `soda` and `row_count`: that on which it is declared, or none)."""
    predicate: str | None = None
    values: tuple[object, ...] = ()
    text: str | None = None
    where: str | None = None
    """A Spark SQL boolean over the contract's typed columns: rows of which it is not true do not count."""
    reference_table: str | None = None
    """A contract's `table`, such as `stripe_customers`."""
    reference_columns: tuple[str, ...] = ()
    operator: Operator | None = None
    """How the measured number must compare; both ends of `between` are allowed values, as in SQL."""
    threshold: tuple[float, ...] = ()
    """One number, or two for `between` and `not between`."""
    unit: Unit = "rows"
    dimension: Dimension = "validity"
    severity: Severity = "error"
    description: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The table of a Postgres database that change events are captured from (ODCS `servers`)."""

    server: str
    """Names the server in commands, in settings and in its replication slot."""
    host: str
    port: int
    database: str
    schema: str
    table: str
    """Its name in the database; the contract's own where nothing else is said."""
    line: int = 0

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}/{self.database}"

    @property
    def identity(self) -> str:
        """The table wherever its server runs."""
        return f"{self.server}/{self.database}/{self.schema}.{self.table}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """What is asked of the quality score of a batch (0 to 1; `quality.score`)."""

    publish: float = 0.9
    """From here on the batch is published."""
    warn: float = 0.7
    """From here on it is published with a warning and an alert; below, it is held back."""
    weights: tuple[tuple[Dimension, float], ...] = ()
    """Of the dimensions that have another weight than 1."""

    def __str__(self) -> str:
        weights = ", ".join(f"{name} {weight:g}" for name, weight in self.weights)
        return f"publish {self.publish:g}, warn {self.warn:g}" + (f", weights {weights}" if weights else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """What one version of a contract changed: an entry of its changelog."""

    version: str
    changes: tuple[str, ...]
    """In words; `<kind>: <where>: <what>` as `lakehouse contract changelog` writes them."""
    day: date | None = None
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """When the schedule of a table looks, and for what."""

    timezone: str = "UTC"
    """Of the IANA database."""
    at: str | None = None
    """Time of the day in that zone, `06:30`; None: the time of its cadence."""
    catch_up: bool = False
    """Whether it asks for every arrival period since the last that was taken; else for the running one and the one before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """How a table's days are watched for anomalies: what differs from what its own past leads one to expect."""

    severity: Severity | None = "warning"
    """`error`: a batch with an anomaly is held back; None: nobody looks."""
    sensitivity: Sensitivity = "normal"
    ignore: tuple[str, ...] = ()
    """Columns that are not looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """One table: everything that the project derives its assets, checks and tables from."""

    file: Path
    id: str
    """ODCS id; by convention `<source>.<name>`."""
    source: str
    """The system it comes from, and its folder in landing: `shopify`."""
    name: str
    """The table's name in its source, and its folder below the source's: `orders`."""
    title: str
    """For people; ODCS `name`."""
    version: str
    status: Status
    description: str
    """Purpose, usage and limitations, as paragraphs of text."""
    grain: str
    """What one row is."""
    domain: str | None
    owner: str
    """E-mail address of the team member whose role is owner."""
    team: str
    tags: tuple[str, ...]
    columns: tuple[Column, ...]
    delivery: Delivery
    sequence: tuple[str, ...]
    """Columns that order the versions of a key. For `changes`: paths into the envelope (`source.lsn`). Empty for
    `snapshot` (the arrival day orders) and allowed to be empty for `append` and `versions` (arrival orders)."""
    format: Format
    encoding: str
    csv_delimiter: str
    lateness: timedelta
    """The horizon behind which a record counts as too late."""
    history: History
    """`current` keeps the latest version of a key, `full` every version with its time of validity."""
    partition: Partition | None
    """The arrival period that bronze is partitioned by; None: unpartitioned."""
    start: date | None
    """The first partition; None: the first landing day."""
    rewritten_files: Rewritten = "ignore"
    unknown_fields: UnknownFields = "rescue"
    max_quarantined_percent: float
    """A batch is blocked when unreadable and rule-breaking records together exceed this share."""
    max_missing_percent: float = 50.0
    """Of `snapshot`: a batch is blocked when its snapshots lack more than this share of the rows before them."""
    quarantine_warn: timedelta
    """Age from which a record that waits in quarantine is warned of."""
    freshness_warn: timedelta | None
    freshness_fail: timedelta | None
    """Age of the newest data from which it counts as stale (ODCS SLA `latency`); the warning comes at half of it."""
    freshness_column: str | None
    """The date or timestamp column whose newest value tells the data's age (the SLA's `element`); None: arrival does."""
    cadence: Cadence | None
    """How often the table is scheduled (ODCS SLA `frequency`)."""
    timetable: Timetable = Timetable()
    after: tuple[str, ...] = ()
    """Assets of other code locations: files wait until each of these was materialized after they had landed."""
    health: str | None = None
    """URL of a page of its source; while it does not answer with success, files wait."""
    retention: timedelta | None
    """How long rows are to be kept (ODCS SLA `retention`); a year counts 365 days."""
    rules: tuple[RowRule, ...]
    checks: tuple[BatchCheck, ...]
    origin: Origin | None = None
    """Where its changes are captured from; None: somebody else lands them."""
    delete_when: str | None = None
    """A Spark SQL boolean over the typed columns: TRUE for a record that deletes its key; NULL is an upsert."""
    truncate_when: str | None = None
    """As `delete_when`, TRUE for a record that empties the table up to its place in the sequence; it needs no key."""
    tracked_columns: tuple[str, ...] = ()
    untracked_columns: tuple[str, ...] = ()
    """With `history: full`, the columns whose changes do or do not make a version; both empty: all do. See `tracked`."""
    ignore_nulls: tuple[str, ...] | Literal["all"] = ()
    """Columns of which a null leaves the earlier value; `all` but those of the key. See `filled`."""
    partial_rows: bool = False
    """Debezium's placeholder for a value that it was not given leaves the earlier value of the column."""
    score: Scoring = Scoring()
    changelog: tuple[Revision, ...] = ()
    """What each version changed, in the order of the file; empty where none is kept."""
    anomalies: Watch = Watch()
    line: int = 1

    @property
    def table(self) -> str:
        """The table's name everywhere in the lakehouse: `shopify_orders`."""
        return f"{self.source}_{self.name}"

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the primary key's columns, in its order; never empty."""
        keyed = [column for column in self.columns if column.key_position is not None]
        return tuple(column.name for column in sorted(keyed, key=lambda column: column.key_position or 0))

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def tracked(self) -> tuple[str, ...]:
        """The columns whose changes make a version; empty where all do."""
        if not self.untracked_columns:
            return self.tracked_columns
        return tuple(name for name in self.column_names if name not in (*self.keys, *self.untracked_columns))

    @property
    def filled(self) -> tuple[str, ...]:
        """The columns that a record may leave to the records before it; empty where every record is a whole row."""
        others = tuple(name for name in self.column_names if name not in self.keys)
        if self.partial_rows or self.ignore_nulls == "all":
            return others
        return tuple(name for name in others if name in self.ignore_nulls)

    @property
    def null_keeps(self) -> tuple[str, ...]:
        """The columns of which a null leaves the earlier value."""
        return tuple(name for name in self.filled if self.ignore_nulls == "all" or name in self.ignore_nulls)

    @property
    def keeps_events(self) -> bool:
        """Whether the state holds every event of a key, to be folded again when another comes; else one row a key."""
        return self.history == "full" or bool(self.filled)

    @property
    def bronze_table(self) -> str:
        return f"bronze.{self.table}"

    @property
    def silver_table(self) -> str:
        """The public view."""
        return f"silver.{self.table}"

    @property
    def state_table(self) -> str:
        """The physical table under the public view."""
        return f"silver_state.{self.table}"

    @property
    def quarantine_table(self) -> str:
        return f"silver_state.{self.table}__quarantine"

    @property
    def resolutions_table(self) -> str:
        """What people decided about refused records, and what became of them; made with the first decision."""
        return f"silver_state.{self.table}__resolutions"

    @property
    def pii_columns(self) -> tuple[Column, ...]:
        """Columns classified as personal data; each has a mask."""
        return tuple(column for column in self.columns if column.classification == "pii")

    @property
    def child_tables(self) -> tuple[Column, ...]:
        """The array columns that silver also shows as a view of their own: see `child_view`."""
        return tuple(column for column in self.columns if column.child_table)

    def child_view(self, column: Column) -> str:
        """The view that shows the elements of an array column: `silver.shopify_order_lines`."""
        return f"silver.{self.source}_{column.child_table}"

    def column(self, name: str) -> Column:
        """The column of that name; raises KeyError where there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.table} has no column {name}; it has {', '.join(self.column_names)}")


def _quoted(name: str) -> str:
    return name if name.isidentifier() else "`" + name.replace("`", "``") + "`"
