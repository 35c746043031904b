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


def test_a_folder_is_listed_without_the_sums_beside_its_files(spark: Any, tmp_path: Path) -> None:
    names = ("a b", "a:b", "ü%20", "plain.crc", "much.longer")
    for name in names:
        (tmp_path / "listed" / "below").mkdir(parents=True, exist_ok=True)
        (tmp_path / "listed" / name).write_text(name)
        (tmp_path / "listed" / f".{name}.crc").write_text("no sum")
    (tmp_path / "listed" / "gone").symlink_to(tmp_path / "nowhere")

    def lengths(place: Path) -> dict[str, int]:
        files = spark.read.format("binaryFile").load(str(place))
        return {row["path"].rpartition("/")[2]: row["length"] for row in files.select("path", "length").collect()}

    assert lengths(tmp_path / "listed") == {name: len(name.encode()) for name in names}
    assert lengths(tmp_path / "listed" / "a b") == {"a b": 3}
    assert lengths(tmp_path / "listed" / "below") == {}
