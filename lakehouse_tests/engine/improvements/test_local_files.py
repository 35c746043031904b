"""Local files are written with the permissions that they should have, and without a process for each."""

import stat
from pathlib import Path
from typing import Any

import psutil

from lakehouse.engine import record
from lakehouse.settings import settings


def test_commits_start_no_process_and_set_permissions(spark: Any, tmp_path: Path) -> None:
    found = record.alive(settings())
    assert found is not None

    def of_children() -> float:
        times = psutil.Process(found.jvm_pid).cpu_times()
        return float(times.children_user + times.children_system)

    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o2775)  # of a group: what is made in it is as well
    table = tmp_path / "shared" / "numbers"
    spark.range(1).write.format("delta").save(str(table))
    before = of_children()
    for _ in range(10):
        spark.range(1).write.format("delta").mode("append").save(str(table))
    assert of_children() - before < 0.1  # a process a file takes four times as much
    written = [path for path in table.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {0o644}
    folders = [path for path in (table, *table.rglob("*")) if path.is_dir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o2755}
    assert sum(path.suffix == ".json" for path in written) == 11
