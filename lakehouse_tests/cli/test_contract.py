"""`lakehouse contract docs`, `export` and `import` as people type them, with the mistakes that they make."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from lakehouse.cli.contract import contract
from lakehouse.settings import settings

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run `lakehouse contract …` in an empty folder, with contracts in its folder `mine`."""
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAKEHOUSE_CONTRACTS", str(tmp_path / "mine"))
    settings.cache_clear()
    yield lambda *arguments: CliRunner().invoke(contract, [str(argument) for argument in arguments])
    settings.cache_clear()


def refused(result: Result, *told: str) -> bool:
    """Whether a command failed with one sentence that says all of that, and no traceback."""
    return result.exit_code in (1, 2) and result.output.count("Error: ") == 1 and all(t in result.output for t in told)


def test_docs_are_written(run: Run, tmp_path: Path) -> None:
    result = run("docs", "--out", "site")
    assert result.exit_code == 0 and "site/index.html: 7 contracts." in result.output
    assert len(list((tmp_path / "site").iterdir())) == 8
    assert run("docs", "--out", "site").exit_code == 0, "again, over the old ones"
    (tmp_path / "taken").write_text("")
    assert refused(run("docs", "--out", "taken"), "cannot be written")


def test_a_format_of_a_document_a_table(run: Run, tmp_path: Path) -> None:
    shown = run("export", "json-schema", "web_events")
    assert shown.exit_code == 0 and json.loads(shown.output)["title"] == "Web events"
    assert run("export", "avro", "web_events", "--out", "one/w.avsc").output == "one/w.avsc\n"
    assert json.loads((tmp_path / "one" / "w.avsc").read_text())["namespace"] == "silver"
    listed = run("export", "avro", "--out", "all")
    assert listed.exit_code == 0 and len(listed.output.splitlines()) == 7
    products = json.loads((tmp_path / "all" / "catalog_products.avsc").read_text())
    assert [field["name"] for field in products["fields"]][-3:] == ["valid_from", "valid_to", "is_current"]
    assert refused(run("export", "avro"), "name one table, or a folder with --out")
    assert refused(run("export", "json-schema", "--out", "x.json"), "x.json is a file: name a folder")


def test_a_format_of_all_tables_in_one_document(run: Run, tmp_path: Path) -> None:
    sources = yaml.safe_load(run("export", "dbt-sources", "shopify_orders", "stripe_customers").output)
    assert [table["name"] for table in sources["sources"][0]["tables"]] == [
        "shopify_orders",
        "shopify_order_lines",
        "stripe_customers",
    ]
    assert run("export", "sodacl").output.count("checks for ") == 7
    assert run("export", "spark-ddl", "--out", "sql").output == "sql/tables.sql\n"
    assert (tmp_path / "sql" / "tables.sql").read_text().count("create table if not exists silver.") == 7


def test_mistakes_of_an_export(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = run("export", "avro", "shopify_order")
    assert refused(unknown, "no contract of a table shopify_order", "Known: catalog_products")
    assert refused(run("export", "xml"), "'xml' is not one of 'json-schema'") and run("export", "xml").exit_code == 2
    monkeypatch.setenv("LAKEHOUSE_SAMPLE", "false")
    settings.cache_clear()
    assert refused(run("export", "sodacl"), "There are no contracts. Set LAKEHOUSE_CONTRACTS")


def test_an_import_is_written_where_it_is_used(run: Run, tmp_path: Path) -> None:
    Path("tables.sql").write_text("create table crm.people (id int primary key, email varchar(99) not null)")
    result = run("import", "--ddl", "tables.sql")
    assert result.exit_code == 0, result.output
    assert "mine/crm_people.yaml" in result.output and "to review" in result.output
    assert run("check").output == "8 contracts, no problems.\n"
    assert refused(run("import", "--ddl", "tables.sql"), "exists. Remove it first")
    assert run("import", "--ddl", "tables.sql", "--source", "erp", "--out", "erp.yaml").exit_code == 0
    assert "source: erp" in Path("erp.yaml").read_text()


def test_mistakes_of_an_import(run: Run) -> None:
    assert refused(run("import"), "Say where from")
    assert refused(run("import", "--ddl", "a.sql", "--delta", "b"), "Say where from")
    assert refused(run("import", "--dbt", "manifest.json"), "--model NAME go together")
    assert refused(run("import", "--ddl", "a.sql", "--dialect", "klingon"), "There is no dialect klingon", "postgres")
    assert refused(run("import", "--ddl", "a.sql"), "a.sql cannot be read: No such file")
    Path("m.json").write_text("{")
    assert refused(run("import", "--dbt", "m.json", "--model", "x"), "m.json is not JSON")
    assert list(Path("mine").iterdir()) == []


def test_a_delta_table_becomes_a_contract(spark: object, schema: str, run: Run, tmp_path: Path) -> None:
    sql = spark.sql  # type: ignore[attr-defined]
    sql(
        f"create table {schema}.shop_people (id bigint not null comment 'Who.', email string, at timestamp, photo binary,"
        " lines array<struct<n:int>>, price decimal(9,3), _batch bigint) using delta"
    )
    rows = ", ".join(
        f"({n}, 'p{n}@example.com', timestamp'2025-03-01', null, array(named_struct('n', {n})), {n}.5, 1)"
        for n in range(40)
    )
    sql(f"insert into {schema}.shop_people values {rows}")
    result = run("import", "--delta", f"{schema}.shop_people", "--source", "crm", "--out", "people.yaml")
    assert result.exit_code == 0, result.output
    text = Path("people.yaml").read_text()
    assert f"the Delta table {schema}.shop_people (40 records)" in text and "_batch" in text
    columns = {column["name"]: column for column in yaml.safe_load(text)["schema"][0]["properties"]}
    assert {name: column.get("physicalType") for name, column in columns.items()} == {
        "id": "bigint",
        "email": "string",
        "at": "timestamp",
        "photo": "string",
        "lines": None,
        "price": "decimal(9,3)",
    }
    assert columns["id"]["primaryKey"] and columns["id"]["description"] == "Who."
    assert columns["email"]["classification"] == "pii" and "example.com\n" not in text.replace("owner@example.com", "")
    place = sql(f"describe detail {schema}.shop_people").collect()[0]["location"].removeprefix("file:")
    assert run("import", "--delta", place, "--out", "by_path.yaml").exit_code == 0
    assert run("check", "people.yaml", "by_path.yaml").output == "2 contracts, no problems.\n"
    missing = run("import", "--delta", f"{schema}.nothing")
    assert refused(missing, f"There is no table {schema}.nothing")
    assert refused(run("import", "--delta", str(tmp_path / "mine")), "There is no table")
    sql(
        f'create table {schema}.crm_calls using delta as select concat(\'{{"id":\', id, \',"by":"x"}}\') as record,'
        " cast(null as string) as header, true as is_decoded, 'f' as file, id as position, current_date() as arrived_on"
        " from range(50)"
    )
    assert run("import", "--delta", f"{schema}.crm_calls", "--source", "crm", "--table", "calls").exit_code == 0
    of_records = yaml.safe_load(Path("mine/crm_calls.yaml").read_text())["schema"][0]["properties"]
    assert [column["name"] for column in of_records] == ["id", "by"], (
        "the records that bronze holds, not its own columns"
    )


@pytest.fixture
def calendar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A calendar of special days that the settings name, beside contracts; it is not there yet."""
    monkeypatch.setenv("LAKEHOUSE_CALENDAR", "mine/days.yaml")
    return tmp_path / "mine" / "days.yaml"


EASTER = "- {name: Easter, from: 2026-04-05, to: 2026-04-06, tables: [web_events]}\n"


def test_check_is_about_the_calendar_too(calendar: Path, run: Run) -> None:
    missing = run("check")
    assert missing.exit_code == 1
    assert missing.output.splitlines() == [
        "mine/days.yaml:1: this calendar of special days cannot be found. Create it, or correct LAKEHOUSE_CALENDAR.",
        "7 contracts, no problems.",
        "1 problem in the calendar of special days.",
    ]
    calendar.write_text(EASTER)
    fine = run("check")
    assert fine.exit_code == 0, "it is no contract, though it lies among them"
    assert fine.output == "7 contracts, no problems.\n1 entry in the calendar of special days, no problems.\n"
    calendar.write_text(EASTER.replace("web_events", "web_event") + EASTER.replace("to:", "till:"))
    wrong = run("check")
    assert wrong.exit_code == 1
    assert wrong.output.splitlines() == [
        "mine/days.yaml:1: no contract declares the table `web_event`. Perhaps `web_events` is meant.",
        "mine/days.yaml:2: `till` is unknown to special days. Choose one of name, from, to, tables.",
        "7 contracts, no problems.",
        "2 problems in the calendar of special days.",
    ]


def test_check_of_files_is_about_the_calendar_where_it_is_among_them(calendar: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("id,email\n1,a@example.com\n2,b@example.com\n")
    assert run("new", "people.csv", "--source", "crm", "--out", "other").exit_code == 0
    calendar.write_text(EASTER.replace("web_events", "crm_people").replace("2026-04-06", "2026-04-04"))
    assert run("check", "other").output == "1 contract, no problems.\n"
    alone = run("check", "mine/days.yaml")
    assert alone.exit_code == 1 and "`to` (2026-04-04) is before `from` (2026-04-05)" in alone.output
    assert "no contract declares the table `crm_people`" in alone.output and "contracts" not in alone.output
    both = run("check", "other", "mine")
    assert both.exit_code == 1 and "declares" not in both.output, "it is declared by a file that is named"
    calendar.write_text("# none yet\n")
    assert run("check", "mine/days.yaml").output == "0 entries in the calendar of special days, no problems.\n"


def test_without_the_sample_its_calendar_is_no_problem(
    calendar: Path, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "people.csv").write_text("id,email\n1,a@example.com\n2,b@example.com\n")
    assert run("new", "people.csv", "--source", "crm").exit_code == 0
    monkeypatch.setenv("LAKEHOUSE_SAMPLE", "false")
    settings.cache_clear()
    calendar.write_text(EASTER)
    assert run("check").output == "1 contract, no problems.\n1 entry in the calendar of special days, no problems.\n"


def test_a_calendar_that_links_to_itself_stops_no_command(calendar: Path, run: Run) -> None:
    calendar.symlink_to(calendar)
    wrong = "mine/days.yaml:1: this calendar of special days is a link that leads to no file. "
    for arguments in (["check"], ["check", "mine/days.yaml"], ["check", "mine"]):
        told = run(*arguments)
        assert told.exit_code == 1 and wrong in told.output and isinstance(told.exception, SystemExit), told.exception
    assert run("export", "avro", "web_events").exit_code == 0


def test_check_does_not_wait_for_a_pipe(calendar: Path, run: Run) -> None:
    os.mkfifo(calendar)
    for arguments in (["check"], ["check", "mine/days.yaml"]):
        told = run(*arguments)
        assert (
            told.exit_code == 1 and "mine/days.yaml:1: this calendar of special days is no regular file" in told.output
        )
