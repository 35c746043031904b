"""The public `datacontract` command line, which knows nothing of this project, accepts every contract of ours.

It runs in an environment of its own (`make test-contracts`), without a network: its schema of ODCS is bundled with it.
"""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lakehouse.contracts.declarations import propose_ddl
from lakehouse.contracts.loader import SAMPLE
from lakehouse.contracts.profile import propose
from lakehouse.settings import PROJECT
from lakehouse_tests.contracts.export.rich import rich
from lakehouse_tests.contracts.test_declarations import DUMP

pytestmark = pytest.mark.datacontract

Write = Callable[..., Path]
COMMAND = PROJECT / ".venv-datacontract" / "bin" / "datacontract"
NOWHERE = "http://127.0.0.1:9"
"""A proxy that is not there: whatever the linter would fetch fails."""


def lint(path: Path) -> tuple[bool, str]:
    """Whether it is accepted, and all that was said."""
    alone = {"HTTP_PROXY": NOWHERE, "HTTPS_PROXY": NOWHERE, "ALL_PROXY": NOWHERE, "NO_PROXY": "", "COLUMNS": "200"}
    lowered = {name.lower(): value for name, value in alone.items()}
    done = subprocess.run(
        [str(COMMAND), "lint", "--all-errors", str(path)],
        env={**os.environ, **alone, **lowered},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode == 0 and "Data contract is valid" in done.stdout, done.stdout + done.stderr


def accepted(path: Path) -> None:
    is_valid, said = lint(path)
    assert is_valid, said
    assert "ODCS v3.1.0" in said


@pytest.mark.parametrize("path", sorted(SAMPLE.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_sample_s_contracts_are_accepted(path: Path) -> None:
    accepted(path)


def test_a_contract_that_says_everything_is_accepted(write: Write, tmp_path: Path) -> None:
    source = "      source: shop\n"
    more = (
        "      lateness: 2w\n      history: full\n      partition: weekly\n      start: 2025-11-24\n"
        "      rewritten_files: re-ingest\n      unknown_fields: add\n      tracked_columns: [amount]\n"
        "      quarantine: {max_percent: 0.5, warn_after: 36h}\n"
        "      changelog:\n        - {version: 1.0.0, date: 2025-11-24, changes: [First version.]}\n"
    )
    server = "servers:\n  - {server: shop, type: postgres, host: db, port: 5432, database: shop, schema: public}\n"
    accepted(write((source, source + more), ("status: active\n", f"status: active\n{server}")))
    rich_file = rich(folder=tmp_path).file
    accepted(rich_file)


def test_proposals_are_accepted(tmp_path: Path) -> None:
    records = [
        {"id": n, "email": f"p{n}@example.com", "lines": [{"n": n}], "at": "2025-03-01T08:00:00Z"} for n in range(40)
    ]
    (tmp_path / "people.jsonl").write_text("\n".join(map(json.dumps, records)))
    (tmp_path / "tables.sql").write_text(DUMP)
    proposals = {
        "new.yaml": propose(tmp_path / "people.jsonl"),
        "import.yaml": propose_ddl(tmp_path / "tables.sql", None, None, "postgres"),
    }
    for name, text in proposals.items():
        (tmp_path / name).write_text(text)
        accepted(tmp_path / name)


def test_what_is_no_contract_is_refused(write: Write) -> None:
    is_valid, said = lint(write(("logicalType: timestamp", "logicalType: moment"), ("status: active", "stats: active")))
    assert not is_valid and "moment" in said
