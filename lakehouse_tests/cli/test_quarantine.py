"""`lakehouse quarantine` as people call it."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lakehouse.cli import lakehouse
from lakehouse.settings import settings
from lakehouse.silver.quarantine import Replay, Selection
from lakehouse_tests.silver.small import accepted, column, contract, key, pii
from lakehouse_tests.silver.test_refine import DAY, Shop

SECRET = "s3cr3t@example.com"


@pytest.fixture
def shop(spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A lakehouse of one table, with a batch of which five records are refused."""
    of = contract(
        [key(), column("status", quality=[accepted("new", "paid")]), column("n", "int", required=True), pii("email")],
        name="wards",
        folder=tmp_path,
        sequence=["n"],
        quarantine={"max_percent": 100},
    )
    for name, value in (("CONTRACTS", tmp_path), ("SAMPLE", "false"), ("LANDING", tmp_path / "landing")):
        monkeypatch.setenv(f"LAKEHOUSE_{name}", str(value))
    monkeypatch.setenv("DAGSTER_HOME", "")  # set by what runs, and put back
    settings.cache_clear()
    here = Shop(spark, tmp_path / "landing", of)
    batch = [{"id": str(n), "status": "odd", "n": n, "email": SECRET} for n in (1, 2, 3)]
    here.take(DAY, "a", [*batch, '{"id":"4","email":"' + SECRET, {"status": "new", "n": 5}, {"id": "6", "n": 6}])
    yield here
    settings.cache_clear()


def test_from_the_list_to_the_table_and_nothing_personal_on_the_way(shop: Any) -> None:
    said: list[str] = []

    def call(*arguments: str, code: int = 0, typed: str | None = None) -> str:
        done = CliRunner().invoke(lakehouse, ["quarantine", *arguments], input=typed)
        assert done.exit_code == code, f"{arguments}: {done.output} {done.exception!r}"
        said.append(done.output)
        return done.output

    table = shop.of.table
    counted = [json.loads(line) for line in call("list", "--format", "json").splitlines()]
    found = {(row["disposition"], row["reason"]): row["records"] for row in counted if row["table"] == table}
    assert found == {
        ("quarantined", "status_accepted_values"): 3,
        ("quarantined", "id_required"): 1,
        ("rejected", "not a JSON document"): 1,
    }
    lines = [json.loads(line) for line in call("list", table, "--each", "--format", "json").splitlines()]
    one, two, three, cut, keyless = (row["id"] for row in lines)
    assert {row["status"] for row in lines} == {"open"}
    assert two in call("list", table, "--each", "--file", "a", "--reason", "status_accepted_values")

    shown = call("show", table, one[:6], cut)
    for text in (f"{table} {one}: open", "/a, record 1, arrived 2025-03-21", "reason    status_accepted_values: ",
                 '"email": "•••"', "•••"):  # fmt: skip
        assert text in shown
    assert "no record ffffffffff" in call("show", table, "ffffffffff", code=1)
    assert "no id of a record" in call("show", table, "xyz!", code=2)
    assert "Known:" in call("show", "nothing", "abcd", code=1)

    assert "Say why: --note" in call("fix", table, one, "--set", "status=new", code=2)
    assert "Say which records" in call("waive", table, "--note", "x", code=2)
    assert "either --set" in call("fix", table, one, "--note", "x", code=2)
    assert "no column sttaus" in call("fix", table, one, "--set", "sttaus=new", "--note", "x", code=1)
    assert "Give a whole record" in call("fix", table, cut, "--set", "status=new", "--note", "x", code=1)
    assert "Cannot be waived" in call("waive", table, cut, keyless, "--note", "x", code=1)
    assert "nothing chosen was fixed or waived" in call("replay", table)

    assert "would still be quarantined: status_accepted_values" in call(
        "fix", table, one, "--set", "status=payed", "--note", "typing error", "--by", "ann"
    )
    assert "1 of 1 record(s) would be accepted" in call("fix", table, one, "--set", "status=paid", "--note", "again")
    whole = json.dumps({"id": "4", "status": "new", "n": 4, "email": SECRET})
    assert f"Fixed: {cut}" in call("fix", table, cut, "--record-file", "-", "--note", "cut off", typed=whole + "\n")
    assert f"Waived: {two}" in call("waive", table, two, "--reason", "status_accepted_values", "--note", "a gift")
    assert f"Dismissed: {three}" in call("dismiss", table, three, "--note", "a test")
    assert "3 of 3 record(s) would be accepted" in call("replay", table, "--dry-run")
    assert shop.seen("id") == [("6",)]

    assert "3 replayed: 3 applied. `lakehouse run` publishes it." in call("replay", table)
    assert shop.seen("id", "status") == [("1", "paid"), ("2", "odd"), ("4", "new"), ("6", None)]
    left = [json.loads(line)["id"] for line in call("list", table, "--each", "--format", "json").splitlines()]
    assert left == [keyless], "what was dismissed waits no more"
    history = call("show", table, one)
    assert "no longer in quarantine" in history
    for text in ("fixed by ann: typing error", "replayed: applied by"):
        assert text in history
    assert SECRET not in "".join(said) and "s3cr3t" not in "".join(said)


def test_of_a_rejected_batch_it_is_said_what_to_do_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lakehouse.cli import quarantine as cli

    refused = {"id": "ab12", "was": "rejected", "outcome": "rejected", "reasons": ["batch_rejected"]}
    monkeypatch.setattr(cli.refine, "preview", lambda *_: [refused])
    of: Any = contract([key()])
    cli._foretell(of, None, Replay(Selection(everything=True), "ann", "x"))
    said = capsys.readouterr().out
    assert "0 of 1 record(s) would be accepted." in said
    assert f"Their batch was rejected: `lakehouse batch release {of.table} BATCH --note …` takes that back." in said


def test_ids_that_mean_several_are_refused() -> None:
    from click import ClickException

    from lakehouse.cli.quarantine import _only

    of = contract([key()])
    assert _only(of, "ab12", ["ab12345678"]) == "ab12345678"
    with pytest.raises(ClickException, match="may be ab12345678, ab12ffffff. Give more"):
        _only(of, "ab12", ["ab12345678", "ab12ffffff"])
