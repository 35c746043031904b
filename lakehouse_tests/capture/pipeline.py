"""What a run does with the tables of a captured database, also in a process of its own, which others may kill:
`python -m lakehouse_tests.capture.pipeline SERVER`, which says when it begins."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from lakehouse.bronze import ingest as bronze
from lakehouse.bronze.landing import landed_files
from lakehouse.contracts.loader import load_all
from lakehouse.contracts.model import Contract
from lakehouse.engine import client
from lakehouse.settings import PROJECT, settings
from lakehouse.silver import refine
from lakehouse.storage.transient import passes_by_itself

ATTEMPTS = 5
BEGINS = "begins"


def captured(server: str) -> dict[str, Contract]:
    """The contracts of a database's tables, by the table's name there."""
    return {of.origin.table: of for of in load_all(settings()).values() if of.origin and of.origin.server == server}


def run(spark: Any, contracts: Mapping[str, Contract]) -> None:
    """Ingests what has landed, and refines it; whatever passes by itself is tried again, as a run does."""
    for of in contracts.values():
        for further in reversed(range(ATTEMPTS)):
            try:
                _take(spark, of)
                break
            except Exception as problem:
                if not further or not passes_by_itself(problem):
                    raise
                time.sleep(1)


def _take(spark: Any, of: Contract) -> None:
    here = settings()
    bronze.ensure_tables(spark, here.storage_dir, of)
    files = bronze.pending_files(landed_files(here.landing_dir, of), bronze.taken_files(spark, of))
    if files:
        bronze.ingest(spark, here.landing_dir, here.storage_dir, of, files, "run")
    done = refine.refine(spark, here.storage_dir, of, "run", frozenset({of.table}))
    if done:
        counts = {name for name, count in done.counts.items() if count}
        assert sum(done.counts.values()) == done.landed
        assert not counts & {"quarantined", "rejected", "too_late", "duplicate"}, done.counts


def run_and_kill(server: str, seconds: float) -> None:
    """Runs it in a process of its own, and ends that by SIGKILL so long after it began, wherever it stands."""
    child = subprocess.Popen(
        [sys.executable, "-m", "lakehouse_tests.capture.pipeline", server],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    try:
        heard = child.stdout.readline()
        with suppress(subprocess.TimeoutExpired):
            child.wait(seconds)
    finally:
        child.kill()
        child.wait(60)
    said = child.stdout.read()
    assert heard.strip() == BEGINS, heard + said
    assert child.returncode == -signal.SIGKILL, said


if __name__ == "__main__":
    own = captured(sys.argv[1])
    session, parent = client.connect(settings()), os.getppid()
    print(BEGINS, flush=True)
    while os.getppid() == parent:
        run(session, own)
