"""`lakehouse quarantine`: refused records, and their way back."""

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import click
from filelock import FileLock, Timeout
from rich.console import Console

from lakehouse.automation.instance import prepare_home
from lakehouse.automation.runs import plan_replay
from lakehouse.cli.execution import closing_table, execute_all, only_run
from lakehouse.cli.options import deciding, known_contract, why
from lakehouse.cli.output import WRITERS
from lakehouse.contracts.loader import load_all
from lakehouse.contracts.model import Contract
from lakehouse.engine.client import connect
from lakehouse.quality.audit import BATCH_REJECTED
from lakehouse.settings import Settings, settings
from lakehouse.silver import evolution, refine
from lakehouse.silver import quarantine as ward
from lakehouse.silver.corrections import CorrectionError, checked, corrected
from lakehouse.silver.ledger import REFUSED
from lakehouse.silver.masks import masked_record
from lakehouse.silver.quarantine import Replay, Selection
from lakehouse.storage import tables
from lakehouse.storage.tables import literal

_ID = re.compile(r"[0-9a-f]{4,10}")
LISTED = 20
"""Records named one by one; of more, their number is said."""


@click.group()
def quarantine() -> None:
    """Look at refused records, decide about them, and replay them through the same contract.

    A record is known by the id that `list` shows, or by its first four characters or more. A decision changes nothing
    before the replay. Personal data is masked throughout.
    """


def _asked(command: Callable[..., None]) -> Callable[..., None]:
    """The options that choose records; they come to the command as one Selection."""
    options = (
        click.option("--reason", "reasons", multiple=True, help="Records that break this rule; may be repeated."),
        click.option("--file", "files", multiple=True, help="Records of this file, or of files of this name."),
        click.option("--batch", "batches", multiple=True, type=int, help="Records of this batch."),
        click.option("--all", "everything", is_flag=True, help="All of the table's records."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@quarantine.command(name="list")
@click.argument("table", required=False)
@_asked
@click.option("--each", is_flag=True, help="A line for each record, instead of one for each reason.")
@click.option("--format", "how", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
def list_(
    table: str | None,
    reasons: tuple[str, ...],
    files: tuple[str, ...],
    batches: tuple[int, ...],
    everything: bool,
    each: bool,
    how: str,
) -> None:
    """Count the records that wait in quarantine, by table and reason. A record with several reasons counts for each.

    `decided` are those of them that were fixed or waived, and wait for their replay. With --all, dismissed ones too.
    """
    here = settings()
    contracts = load_all(here)
    spark = connect(here)
    chosen = [known_contract(contracts, table)] if table else list(contracts.values())
    where = Selection((), reasons, files, batches, True).where
    where += "" if everything else f" and status <> '{ward.DISMISSED}'"
    queries = [
        f"select {literal(of.table)} as table_name, * from "
        f"({ward.records(of, tables.exists(spark, of.resolutions_table))}) where {where}"
        for of in chosen
        if tables.exists(spark, of.quarantine_table)
    ]
    names = _EACH if each else _COUNTED
    rows: list[Any] = []
    if queries:
        # Its columns are the same for all tables, and the raw record is not among them.
        plain = "table_name, id, status, disposition, reasons, file, position, arrived_on, batch, quarantined_at"
        union = " union all ".join(f"select {plain} from ({query})" for query in queries)
        rows = spark.sql((_EACH_QUERY if each else _COUNT_QUERY).format(union=union)).collect()
    if not rows and how == "table":
        click.echo("Nothing waits in quarantine." if not table else f"Nothing of {table} waits in quarantine.")
        return
    WRITERS[how](list(names), [row.asDict() if how == "json" else list(row) for row in rows])


_COUNTED = ("table", "disposition", "reason", "records", "decided", "oldest_days", "example")
_COUNT_QUERY = """select
    table_name as table, disposition, reason, count(*) as records,
    count_if(status in ('fixed', 'waived')) as decided,
    cast(floor((unix_timestamp() - min(unix_timestamp(quarantined_at))) / 86400) as int) as oldest_days,
    min_by(id, quarantined_at) as example
from (select *, explode(reasons) as reason from ({union}))
group by table_name, disposition, reason
order by table_name, records desc, reason"""
_EACH = ("table", "id", "status", "disposition", "reasons", "file", "position", "arrived_on", "batch", "quarantined_at")
_EACH_QUERY = """select
    table_name as table, id, status, disposition, array_join(reasons, ', ') as reasons, file, position,
    cast(arrived_on as string) as arrived_on, batch, date_format(quarantined_at, 'yyyy-MM-dd HH:mm:ss') as quarantined_at
from ({union})
order by table_name, file, position"""


@quarantine.command()
@click.argument("table")
@click.argument("ids", nargs=-1, required=True)
def show(table: str, ids: tuple[str, ...]) -> None:
    """Show records, masked: why they are here, where from, and what was done."""
    here = settings()
    contract = known_contract(load_all(here), table)
    spark = connect(here)
    shown = ward.held(spark, contract).selectExpr(
        "id",
        "status",
        "disposition",
        "reasons",
        "file",
        "position",
        "arrived_on",
        "batch",
        "quarantined_at",
        f"{masked_record(contract)} as record",
        f"{masked_record(contract, 'corrected', literal('quarantined'))} as corrected",
    )
    found = {row["id"]: row for row in shown.where(Selection(_checked(ids)).where).collect()}
    for start in ids:
        history = ward.steps(spark, contract, start)
        places = {one for one in found if one.startswith(start)} | {step["id"] for step in history}
        one = _only(contract, start, sorted(places))
        _show(contract, one, found.get(one), [step for step in history if step["id"] == one])


def _show(contract: Contract, one: str, row: Any, history: Sequence[Mapping[str, Any]]) -> None:
    click.echo(f"{contract.table} {one}: {row['status'] if row else 'no longer in quarantine'}")
    if row:
        click.echo(f"  from      {row['file']}, record {row['position']}, arrived {row['arrived_on']}")
        click.echo(f"  batch     {row['batch']}, in quarantine since {_utc(row['quarantined_at'])} UTC")
        for reason in row["reasons"]:
            said = ward.described(contract, reason)
            click.echo(f"  reason    {reason}{f': {said}' if said else ''}")
        click.echo(f"  record    {row['record']}")
        if row["corrected"] is not None:
            click.echo(f"  corrected {row['corrected']}")
    elif history:
        click.echo(f"  from      {history[0]['file']}, record {history[0]['position']}")
    for step in history:
        broken = f" ({', '.join(step['rules'])})" if step["rules"] else ""
        outcome = f": {step['outcome']}" if step["outcome"] else ""
        why = f": {step['note']}" if step["note"] else ""
        click.echo(f"  {_utc(step['at'])} {step['step']}{outcome}{broken} by {step['made_by'] or '?'}{why}")


def _utc(moment: datetime) -> str:
    """Spark hands out naive times in the time zone of the process."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


@quarantine.command()
@click.argument("table")
@click.argument("ids", nargs=-1)
@_asked
@click.option("--set", "pairs", multiple=True, metavar="COLUMN=VALUE", help="A column's right value; may be repeated.")
@click.option("--record-file", type=click.File(encoding="utf-8"), help="The whole corrected record; - is the input.")
@deciding
@click.option("--replay", "at_once", is_flag=True, help="Replay them at once.")
def fix(
    table: str, ids: tuple[str, ...], pairs: tuple[str, ...], record_file: Any, at_once: bool, **given: Any
) -> None:
    """Correct records. The original stays in bronze as it arrived; the correction applies at the next replay.

    VALUE is text, or JSON where the column is no string; `null` is no value. A second fix builds on the first.
    """
    here, contract, spark, selection = _begin(table, ids, given)
    if bool(pairs) == bool(record_file):
        raise click.UsageError("Say what is right: either --set COLUMN=VALUE, or --record-file FILE.")
    values = _values(pairs)
    note, made_by = why(given["note"]), given["made_by"]
    with _alone(here):
        rows = _matched(spark, contract, selection).collect()
        if record_file and len(rows) != 1:
            raise click.ClickException(f"A whole record corrects one; {len(rows)} are named. Name one id.")
        text = record_file.read() if record_file else ""
        made = []
        for row in rows:
            try:
                new = (
                    checked(contract, text, row["header"])
                    if record_file
                    else corrected(contract, row["corrected"] or row["record"], row["header"], values)
                )
            except CorrectionError as problem:
                raise click.ClickException(f"{row['id']}: {problem} Nothing was changed.") from problem
            made.append((row, new))
        ward.fix(spark, here.storage_dir, contract, made, made_by, note)
    _end(here, contract, spark, [row["id"] for row in rows], "fixed", at_once, made_by, note)


@quarantine.command()
@click.argument("table")
@click.argument("ids", nargs=-1)
@_asked
@deciding
@click.option("--replay", "at_once", is_flag=True, help="Replay them at once.")
def waive(table: str, ids: tuple[str, ...], at_once: bool, **given: Any) -> None:
    """Let records through in spite of what they break, at the next replay.

    With --reason, in spite of that alone. A record that cannot be read, or that lacks its key or its place in the order, can be fixed or dismissed only. A value
    that is not of its column's type becomes null.
    """
    here, contract, spark, selection = _begin(table, ids, given)
    note, made_by = why(given["note"]), given["made_by"]
    with _alone(here):
        can_be, rules = ward.waivable(contract, selection.reasons)
        matched = _matched(spark, contract, selection)
        rows = matched.selectExpr("id", f"{can_be} as can_be").collect()
        able = [row["id"] for row in rows if row["can_be"]]
        if len(able) < len(rows):
            never = _named([row["id"] for row in rows if not row["can_be"]])
            click.echo(f"Cannot be waived: {never}. It cannot be read, or lacks its key or its place in the order.")
        if able:
            ward.decide(spark, here.storage_dir, contract, matched.where(can_be), ward.WAIVED, made_by, note, rules)
    if not able:
        raise click.ClickException("Nothing was waived.")
    _end(here, contract, spark, able, "waived", at_once, made_by, note)


def _plain_decision(step: str, done: str, text: str) -> click.Command:
    @click.argument("table")
    @click.argument("ids", nargs=-1)
    @_asked
    @deciding
    def decide(table: str, ids: tuple[str, ...], **given: Any) -> None:
        here, contract, spark, selection = _begin(table, ids, given)
        note = why(given["note"])
        with _alone(here):
            matched = _matched(spark, contract, selection)
            rows = matched.select("id").collect()
            ward.decide(spark, here.storage_dir, contract, matched, step, given["made_by"], note)
        evolution.ensure_views(spark, here.storage_dir, contract)
        click.echo(f"{done}: {_named([row['id'] for row in rows])}.")

    decide.__doc__ = text
    return click.command(name={ward.DISMISSED: "dismiss", ward.REOPENED: "reopen"}[step])(decide)


quarantine.add_command(
    _plain_decision(
        ward.DISMISSED,
        "Dismissed",
        "Give records up: they are never applied, and no longer warned of. They stay in bronze, and are counted.",
    )
)
quarantine.add_command(
    _plain_decision(
        ward.REOPENED,
        "Open again",
        "Take back what was decided about records in quarantine: fixes, waivers, dismissal.",
    )
)


@quarantine.command()
@click.argument("table")
@click.argument("ids", nargs=-1)
@_asked
@deciding
@click.option("--dry-run", is_flag=True, help="Say what would still be refused, and do nothing.")
def replay(table: str, ids: tuple[str, ...], dry_run: bool, **given: Any) -> None:
    """Send records through the contract again, in one commit.

    They have the place in the order that they always had. Without a choice, those that were fixed or waived since. With --all, also those about which nobody decided: after a
    change of the contract. Dismissed ones stay out, and so do those that were too late, unless fixed or waived. What still
    breaks a rule stays in quarantine. `lakehouse run` publishes the rest.
    """
    here = settings()
    contract = known_contract(load_all(here), table)
    selection = Selection(_checked(ids), *_named_options(given))
    spark = connect(here)
    if ids:
        _matched(spark, contract, selection)
    _replay(here, contract, spark, Replay(selection, given["made_by"], given["note"] or ""), dry_run)


def _replay(here: Settings, contract: Contract, spark: Any, asked: Replay, dry_run: bool = False) -> None:
    if not tables.exists(spark, contract.quarantine_table):
        raise click.ClickException(f"{contract.table} has no quarantine yet: nothing of it has been refined.")
    selected = ward.held(spark, contract).where(asked.selection.where)
    row = selected.selectExpr("count(*) as n", f"count_if({ward.REPLAYABLE}) as sent").first()
    assert row is not None
    if row["n"] > row["sent"]:
        click.echo(f"{row['n'] - row['sent']} record(s) stay out: dismissed (reopen them), or too late (waive them).")
    if not row["sent"]:
        click.echo("There is nothing to replay: nothing chosen was fixed or waived. --all sends the others too.")
        return
    if dry_run:
        _foretell(contract, spark, asked)
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160, file=sys.stdout)
    selection = asked.selection
    config = {
        "ids": list(selection.ids),
        "reasons": list(selection.reasons),
        "files": list(selection.files),
        "batches": list(selection.batches),
        "everything": selection.everything,
        "made_by": asked.made_by,
        "note": asked.note,
    }
    with only_run(here), _alone(here):
        prepare_home(here)
        outcome = execute_all(
            here,
            lambda definitions: [plan_replay(contract.table, config, definitions.get_repository_def())],
            lambda: False,
            console,
        )
        console.print(closing_table(outcome))
    for failure in outcome.failures:
        console.print(f"Failed: {failure}", style="red", markup=False)
    if outcome.failures:
        sys.exit(1)
    told = ward.last_outcomes(spark, contract)
    listed = ", ".join(f"{count} {name}" for name, count in told.items())
    console.print(f"silver.{contract.table}: {sum(told.values())} replayed: {listed}. `lakehouse run` publishes it.")
    if set(told) & set(REFUSED):
        console.print(f"What is refused still: `lakehouse quarantine list {contract.table} --each`.")


def _foretell(contract: Contract, spark: Any, asked: Replay) -> None:
    told = refine.preview(spark, contract, asked)
    refused = [row for row in told if row["outcome"]]
    click.echo(f"{len(told) - len(refused)} of {len(told)} record(s) would be accepted.")
    for row in refused[:LISTED]:
        click.echo(f"  {row['id']} would still be {row['outcome']}: {', '.join(row['reasons'])}")
    if len(refused) > LISTED:
        click.echo(f"  … and {len(refused) - LISTED} more.")
    if any(BATCH_REJECTED in row["reasons"] for row in refused):
        click.echo(
            f"Their batch was rejected: `lakehouse batch release {contract.table} BATCH --note …` takes that back."
        )


def _end(
    here: Settings, contract: Contract, spark: Any, ids: list[str], done: str, at_once: bool, made_by: str, note: str
) -> None:
    """Says what was decided and what a replay would make of it, or makes it so."""
    evolution.ensure_views(spark, here.storage_dir, contract)  # they tell of decisions from the first one on
    click.echo(f"{done.capitalize()}: {_named(ids)}.")
    asked = Replay(Selection(tuple(ids)), made_by, note)
    if at_once:
        _replay(here, contract, spark, asked)
        return
    _foretell(contract, spark, asked)
    click.echo(f"`lakehouse quarantine replay {contract.table}` applies it.")


def _begin(table: str, ids: tuple[str, ...], given: Mapping[str, Any]) -> tuple[Settings, Contract, Any, Selection]:
    here = settings()
    contract = known_contract(load_all(here), table)
    selection = Selection(_checked(ids), *_named_options(given))
    if selection == Selection():
        raise click.UsageError("Say which records: ids, --reason, --file, --batch or --all.")
    return here, contract, connect(here), selection


def _named_options(given: Mapping[str, Any]) -> tuple[Any, ...]:
    return given["reasons"], given["files"], given["batches"], given["everything"]


def _matched(spark: Any, contract: Contract, selection: Selection) -> Any:
    """The records in quarantine that are meant. Raises ClickException where there are none, or an id means several."""
    if not tables.exists(spark, contract.quarantine_table):
        raise click.ClickException(f"{contract.table} has no quarantine yet: nothing of it has been refined.")
    matched = ward.held(spark, contract).where(selection.where)
    found = [row["id"] for row in matched.select("id").collect()]
    for start in selection.ids:
        _only(contract, start, sorted({one for one in found if one.startswith(start)}))
    if not found:
        raise click.ClickException(
            f"No record in the quarantine of {contract.table} is meant. `lakehouse quarantine list {contract.table} --all "
            "--each` shows them."
        )
    return matched


def _only(contract: Contract, start: str, ids: Sequence[str]) -> str:
    if not ids:
        raise click.ClickException(
            f"{contract.table} has no record {start} in quarantine (or not one that meets the other conditions). "
            f"`lakehouse quarantine list {contract.table} --all --each` shows them."
        )
    if len(ids) > 1:
        raise click.ClickException(f"{start} may be {_named(ids)}. Give more characters.")
    return ids[0]


def _named(ids: Sequence[str]) -> str:
    return ", ".join(ids) if len(ids) <= LISTED else f"{len(ids)} records"


def _checked(ids: Sequence[str]) -> tuple[str, ...]:
    for one in ids:
        if not _ID.fullmatch(one):
            raise click.UsageError(f"`{one}` is no id of a record: four to ten of 0-9 and a-f, as `list` shows them.")
    return tuple(ids)


def _values(pairs: Sequence[str]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign:
            raise click.UsageError(f"`{pair}` is no COLUMN=VALUE.")
        found[name.strip()] = value
    return found


@contextmanager
def _alone(here: Settings) -> Iterator[None]:
    """One decision or replay at a time: a replay would leave behind what is decided while it runs."""
    lock = FileLock(here.home / "quarantine.lock")
    try:
        lock.acquire(timeout=5)
    except Timeout:
        raise click.ClickException(
            "A replay is under way. Decide again when it has ended; nothing was changed."
        ) from None
    try:
        yield
    finally:
        lock.release()
