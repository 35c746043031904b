"""A commit that was cut off is taken back; whole ones are left alone."""

from pathlib import Path

import pytest

from lakehouse.engine.torn import take_back

WHOLE = '{"commitInfo":{"timestamp":1}}\n{"add":{"path":"a"}}\n'


@pytest.fixture
def log(tmp_path: Path) -> Path:
    log = tmp_path / "bronze" / "orders" / "_delta_log"
    log.mkdir(parents=True)
    for version in range(2):
        (log / f"{version:020}.json").write_text(WHOLE)
    return log


@pytest.mark.parametrize("text", ["", WHOLE[:-8], WHOLE[:10], '{"add":{"path":"a"}}\n', "\x00" * 50])
def test_the_newest_commit_is_put_aside_with_what_vouches_for_it(tmp_path: Path, log: Path, text: str) -> None:
    torn = log / f"{2:020}.json"
    torn.write_text(text)
    vouchers = [log / f".{torn.name}.crc", log / f"{torn.stem}.crc"]
    for path in vouchers:
        path.touch()
    assert take_back(str(tmp_path)) == [
        f"bronze.orders: its newest commit, 2, was cut off and is taken back ({torn.name}.torn)."
    ]
    assert not any(path.exists() for path in (torn, *vouchers))
    assert torn.with_suffix(".json.torn").read_text() == text
    assert take_back(str(tmp_path)) == []


def test_whole_commits_those_in_a_checkpoint_and_other_storage_are_left_alone(tmp_path: Path, log: Path) -> None:
    assert take_back(str(tmp_path)) == take_back("s3://bucket/tables") == []
    (log / f"{2:020}.json").write_text("")
    (log / f"{2:020}.checkpoint.parquet").touch()
    assert take_back(str(tmp_path)) == []


def test_what_vouches_for_a_commit_that_is_gone_is_forgotten(tmp_path: Path, log: Path) -> None:
    for version in range(4):
        (log / f"{version:020}.crc").touch()
    (log / f"{2:020}.checkpoint.parquet").touch()
    assert take_back(str(tmp_path)) == []
    assert sorted(path.name for path in log.glob("*.crc")) == [f"{version:020}.crc" for version in range(3)]


@pytest.mark.parametrize("commits", [{}, {0: WHOLE[:10]}], ids=["under way", "cut off"])
def test_a_table_without_a_commit_is_put_aside_so_that_another_can_be_made(
    tmp_path: Path, log: Path, commits: dict[int, str]
) -> None:
    table = tmp_path / "silver" / "orders"
    (table / "_delta_log").mkdir(parents=True)
    (table / "part-0.parquet").touch()
    for version, text in commits.items():
        (table / "_delta_log" / f"{version:020}.json").write_text(text)
    said = " ".join(take_back(str(tmp_path)))
    assert "silver.orders" in said
    assert "put aside as silver/_torn/orders." in said
    assert not table.exists()
    assert [path.name for path in (table.parent / "_torn").glob("orders.*/part-0.parquet")] == ["part-0.parquet"]
    assert log.exists()
    assert take_back(str(tmp_path)) == []
