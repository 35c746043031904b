"""For every kind of rule and check: data that passes, data that fails, and nothing else failing with it."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from lakehouse.contracts.loader import SAMPLE, load
from lakehouse.contracts.model import Contract
from lakehouse.quality.audit import (
    ANOMALIES,
    CONSERVATION,
    QUALITY_SCORE,
    QUARANTINE_AGE,
    SNAPSHOT_COMPLETE,
    check_names,
)
from lakehouse.quality.rules import row_rules
from lakehouse.sample import land
from lakehouse_tests.quality import everything
from lakehouse_tests.quality.proof import Batch, Broken, Row, prove_checks, prove_rules
from lakehouse_tests.sample.landed import END, NOW, files_of

MUTATIONS: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("mutations.yaml").read_text(encoding="utf-8"))
DEFAULTS: dict[str, Any] = MUTATIONS.pop("defaults")
NOT_AUDITED = {ANOMALIES, CONSERVATION, QUALITY_SCORE, QUARANTINE_AGE, SNAPSHOT_COMPLETE}
"""Checks that silver adds by itself; tests of their own prove them."""


@pytest.fixture
def interpreted(spark: Any) -> Iterator[None]:
    """Compiling a plan takes longer than running it over these few rows."""
    keys = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
    for key, value in keys.items():
        spark.conf.set(key, value)
    yield
    for key in keys:
        spark.conf.unset(key)


def _checks_of(of: Contract) -> set[str]:
    return set(check_names(of)) - {rule.name for rule in row_rules(of)} - NOT_AUDITED


def test_each_rule_of_the_contract_that_asks_for_everything(spark: Any, interpreted: None) -> None:
    of = everything.everything()
    prove_rules(spark, of, everything.clean(), everything.RULES)


def test_each_check_of_the_contract_that_asks_for_everything(spark: Any, interpreted: None, tmp_path: Path) -> None:
    of = everything.everything()
    assert set(everything.CHECKS) == _checks_of(of) | {"plate_form", "high_seldom_7"}, "every check has its case"
    prove_checks(spark, of, everything.clean(), everything.CHECKS, everything.REFERENCES, {}, tmp_path / "cases")


# --- the sample's contracts ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return land(tmp_path_factory.mktemp("proof") / "landing", weeks=1, end_date=END, now=NOW, faults=False).landing


def _records(landing: Path, of: Contract, told: Mapping[str, Any]) -> tuple[list[Row], list[Row]]:
    """Two hundred clean rows, one of each key, and the envelope of the first."""
    rows: dict[tuple[Any, ...], Row] = {}
    envelopes: list[Row] = []
    for path in files_of(landing, f"{of.source}.{of.name}"):
        with path.open(newline="") as file:
            lines = list(csv.DictReader(file)) if of.format == "csv" else [json.loads(line) for line in file]
        for line in lines:
            row = line["after"] if of.delivery == "changes" else line
            if row is None or any(not row[name] for name in told.get("known", ())):
                continue
            envelopes = [line] if of.delivery == "changes" and not envelopes else envelopes
            rows.setdefault(tuple(row[name] for name in told.get("distinct", of.keys)), row)
        if len(rows) >= 200 and "distinct" not in told:
            break
    return list(rows.values())[:200], envelopes


def _with_thresholds(of: Contract, told: Mapping[str, float]) -> Contract:
    """The contract with thresholds that fit two hundred rows."""
    checks = (replace(check, threshold=(told[check.name],)) if check.name in told else check for check in of.checks)
    return replace(of, checks=tuple(checks))


def _value(written: Any) -> Any:
    if not isinstance(written, dict):
        return written
    return written.get("before", "") + written["repeat"] * written["times"] + written.get("after", "")


def _broken(of: Contract, told: Mapping[str, Any]) -> dict[str, Broken]:
    """The cases of the contract's rules: those that are written, and for the others the default of their kind."""
    cases = {}
    names = {rule.name for rule in row_rules(of)}
    for rule in row_rules(of):
        if entry := told["rules"].get(rule.name):
            changed = {path: _value(value) for path, value in entry["set"].items()}
            base = {**told.get("record", {}), **entry.get("record", {})}
            cases[rule.name] = Broken(changed, tuple(entry.get("also", ())), base)
            continue
        rest, _, kind = rule.name.rpartition("_")
        field = rest.removeprefix(rule.column or "").removeprefix("_")
        default = DEFAULTS[kind]
        path = f"{rule.column}.0.{field}" if field else str(rule.column)
        also = tuple(name for end in default.get("also", ()) if (name := f"{rest}_{end}") in names)
        cases[rule.name] = Broken({path: default["value"]}, also, told.get("record", {}))
    assert set(told["rules"]) <= names
    return cases


def _batches(told: Mapping[str, Any]) -> dict[str, Batch]:
    cases = {}
    for name, entry in told["checks"].items():
        (outcome,) = {"warn", "fail"} & set(entry)
        cases[name] = Batch(
            outcome,
            entry[outcome],
            keep=entry.get("keep", "true"),
            only_parsed=entry.get("only_parsed", False),
            also=entry.get("also", {}),
        )
    return cases


def _references(of: Contract, told: Mapping[str, Any], rows: list[Row]) -> dict[str, dict[str, list[str]]]:
    """The tables that the contract refers to, with what its clean rows refer to and what else is written."""
    tables: dict[str, dict[str, list[str]]] = {}
    for check in of.checks:
        if check.kind == "reference":
            (name,), (to,) = check.columns, check.reference_columns
            more = told["references"][f"{check.reference_table}.{to}"]
            values = sorted({*(row[name] for row in rows if row[name]), *more})
            tables.setdefault(str(check.reference_table), {})[to] = values
    return tables


def test_every_contract_of_the_sample_has_its_mutations() -> None:
    assert set(MUTATIONS) == {path.stem for path in SAMPLE.glob("*.yaml")}


@pytest.mark.parametrize("table", MUTATIONS)
def test_each_rule_and_check_of_the_sample(
    spark: Any, interpreted: None, landing: Path, table: str, tmp_path: Path
) -> None:
    told = MUTATIONS[table]
    of = _with_thresholds(load(SAMPLE / f"{table}.yaml"), told.get("thresholds", {}))
    rows, envelopes = _records(landing, of, told)
    prove_rules(spark, of, rows, _broken(of, told), envelopes)
    batches = _batches(told)
    assert set(batches) == _checks_of(of), "every check has its case"
    references = _references(of, told, rows)
    prove_checks(spark, of, rows, batches, references, told.get("now", {}), tmp_path / "cases", envelopes)
