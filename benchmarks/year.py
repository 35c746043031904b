"""`make bench`: the product and a plain PySpark script on the same landed year, in one go.

(a) the product's first full run, its engine started by it, (b) the plain script's, (c) the product's run after one more day arrived, (c') the
plain script's, (d) a run with nothing new. Both engines stay warm between their runs. Prints seconds, ratios, the peak memory of all processes together,
and what the audits took of the silver steps.
`--weeks N` takes a part of the year; `--keep FOLDER` works there and leaves it.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from lakehouse.settings import PROJECT, executable, settings

END, DAY, NEXT_DAY = "2026-01-31", "2026-01-25", "2026-01-26"


@dataclass
class Measured:
    seconds: float
    peak_mib: float
    said: str


def _memory_mib(home: Path) -> float:
    """Resident memory of this process's children and of the engine of `home` with its JVM."""
    processes = set(psutil.Process().children(recursive=True))
    record = home / "engine" / "engine.json"
    if record.exists():
        try:
            engine = psutil.Process(json.loads(record.read_text())["pid"])
            processes |= {engine, *engine.children(recursive=True)}
        except (psutil.NoSuchProcess, ValueError):
            pass  # it ended between the look and the question
    total = 0
    for process in processes:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 2**20


def _measure(command: list[str], home: Path) -> Measured:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LAKEHOUSE_", "DAGSTER_", "SPARK_"))}
    environment |= {"LAKEHOUSE_HOME": str(home), "LAKEHOUSE_JARS": str(settings().jars_dir)}
    environment |= {"DAGSTER_HOME": str(home / "dagster")}
    peak, done = 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.5):
            peak = max(peak, _memory_mib(home))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    started = time.monotonic()
    finished = subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - started
    done.set()
    watcher.join()
    if finished.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{finished.stdout}\n{finished.stderr}")
    return Measured(seconds, peak, finished.stdout)


def _audits(home: Path) -> list[dict[str, float | str]]:
    """What the audit of each batch took: one row a batch, in the order of their commits."""
    query = (
        "select table_name, since is null as is_first, seconds, audit_seconds from ops.batches "
        "where audit_seconds is not null order by committed_at"
    )
    said = _measure([executable("lakehouse"), "sql", query, "--format", "json", "--limit", "0"], home).said
    return [json.loads(line) for line in said.splitlines()]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--weeks", type=int)
    options.add_argument("--keep", type=Path)
    chosen = options.parse_args()
    root = chosen.keep or Path(tempfile.mkdtemp(prefix="lakehouse-bench-"))
    ours, plain = root / "ours", root / "plain"
    land = [executable("lakehouse"), "sample", "land", "--end-date", END]
    land += ["--weeks", str(chosen.weeks)] if chosen.weeks else []
    run = [executable("lakehouse"), "run"]
    script = [
        sys.executable,
        "-m",
        "benchmarks.plain",
        str(ours / "landing"),
        str(plain / "out"),
        str(plain / "known.json"),
    ]
    stop = [executable("lakehouse"), "engine", "stop"]
    plain.mkdir(parents=True)
    try:
        # So that no download is timed: the first engine on a machine fetches its jars.
        _measure([executable("lakehouse"), "engine", "start"], plain)
        _measure(stop, plain)
        _measure([*land, "--until", DAY], ours)
        a = _measure(run, ours)
        b = _measure(script, plain)
        plain_b = json.loads(b.said)["seconds"]
        _measure([*land, "--until", NEXT_DAY], ours)
        c_prime = _measure(script, plain)
        plain_c = json.loads(c_prime.said)["seconds"]
        _measure(stop, plain)
        c = _measure(run, ours)
        d = _measure(run, ours)
        audits = _audits(ours)
    finally:
        for home in (ours, plain):
            _measure(stop, home)
        if chosen.keep is None:
            shutil.rmtree(root, ignore_errors=True)
    print(a.said)
    print(c.said)
    rows = [
        ("a  first full run", a.seconds, a.peak_mib, ""),
        ("b  plain script, its session warm", plain_b, b.peak_mib, f"a / b = {a.seconds / plain_b:.2f}"),
        ("c  run after one more day", c.seconds, c.peak_mib, f"1.5 c' + 20 s = {1.5 * plain_c + 20:.1f}"),
        ("c' plain script's increment", plain_c, c_prime.peak_mib, f"c / c' = {c.seconds / plain_c:.2f}"),
        ("d  run with nothing new", d.seconds, d.peak_mib, d.said.strip().splitlines()[-1]),
    ]
    for name, seconds, memory, remark in rows:
        print(f"{name:36} {seconds:8.1f} s {memory:8.0f} MiB   {remark}")
    first, later = ([row for row in audits if row["is_first"] is is_first] for is_first in (True, False))
    spent, other = (sum(float(row[name]) for row in first) for name in ("audit_seconds", "seconds"))
    print(
        f"audits of a: {spent:.1f} s, {100 * spent / (other - spent):.0f} % of the rest of the silver steps (goal 20 %)"
    )
    told = ", ".join(f"{row['table_name']} {float(row['audit_seconds']):.1f} s" for row in later)
    print(f"audits of c: {told} (goal 1 s a table)")


if __name__ == "__main__":
    main()
