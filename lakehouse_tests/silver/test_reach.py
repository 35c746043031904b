"""What part of a table a batch can touch: no key is left out, and few old keys among new ones make no wide range."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.silver import reach
from lakehouse_tests.silver.small import column, contract, key
from lakehouse_tests.silver.test_refine import Shop

_VALUES = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1),
    st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1),
    st.lists(st.dates(), min_size=1),
)


@given(_VALUES, st.integers(1, 20))
def test_every_value_lies_in_one_range_and_every_bound_is_a_value(values: list[Any], most: int) -> None:
    found = reach.ranges(values, most)
    assert len(found) <= most
    for value in values:
        assert sum(low <= value <= high for low, high in found) == 1
    assert {bound for pair in found for bound in pair} <= set(values)
    assert found == sorted(found)


@pytest.mark.parametrize(
    "made",
    [lambda n: n, lambda n: f"o{n:012d}", lambda n: f"Straße-{n:08d}-x", lambda n: date(1990, 1, 1) + timedelta(n)],
)
def test_a_few_old_keys_stay_apart_from_the_new_ones(made: Callable[[int], Any]) -> None:
    new, old = range(9000, 9100), [3, 700, 4000]
    assert reach.ranges([made(n) for n in (*new, *old)], 4) == [
        *((made(n), made(n)) for n in old),
        (made(9000), made(9099)),
    ]


def test_the_condition_names_every_column_by_its_own_ranges() -> None:
    found = reach.condition({"shop": ["it's"] * 3, "order`id": [5, 7, 6], "on": [date(2026, 1, 31)]})
    assert found == (
        "(target.`shop` between 'it\\'s' and 'it\\'s') and (target.`order``id` between 5 and 5 or "
        "target.`order``id` between 6 and 6 or target.`order``id` between 7 and 7) and "
        "(target.`on` between date'2026-01-31' and date'2026-01-31')"
    )


@pytest.mark.parametrize("kind", ["string", "timestamp"])
def test_a_batch_of_neighbours_reads_the_files_that_hold_them(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(reach, "ROWS_PER_FILE", 2)  # of a table of up to fifty files, a query reads all

    def made(number: int) -> str:
        return f"it's {number:04d}" if kind == "string" else f"{date(2020, 1, 1) + timedelta(number)}T10:00:00Z"

    wide = [column(f"more_{n}") for n in range(12)]
    of = contract(
        [*wide, key(kind=kind), column("name"), column("at", "timestamp", required=True)],
        name=f"reached_by_{kind}",
        sequence=["at"],
    )
    shop = Shop(spark, tmp_path, of)

    def rows(numbers: range, name: str, day: int) -> list[dict[str, Any]]:
        return [{"id": made(n), "name": name, "at": f"2025-03-0{day}T00:00:00Z"} for n in numbers]

    assert shop.take("2025-03-01", "a", rows(range(120), "old", 1)) == {"applied": 120}
    before = files(spark, of.state_table)
    assert len(before) == 60  # more than Delta lists in a checksum
    conditions = []
    of_events = reach.of_events
    monkeypatch.setattr(reach, "of_events", lambda *given: conditions.append(of_events(*given)) or conditions[-1])
    batch = [*rows(range(117, 121), "new", 3), *rows(range(119, 120), "new", 3)]
    assert shop.take("2025-03-03", "b", batch) == {"applied": 4, "duplicate": 1}
    assert sorted(name for _, name in shop.seen("id", "name")) == ["new"] * 4 + ["old"] * 117
    changed = spark.table(of.state_table).selectExpr("max(_batch)").first()[0]
    assert len(files(spark, of.state_table, f"_batch >= {changed}") - before) == 1
    assert not files(spark, of.state_table, f"_batch >= {changed}") & before
    if kind == "timestamp":  # of which the client has no exact order
        assert conditions == [None]
        return
    assert len(before & files(spark, of.state_table, conditions[0])) == 1


def files(spark: Any, table: str, condition: str = "true") -> set[str]:
    """The files that hold a query's rows, or that Delta cannot rule out for it."""
    return set(spark.table(table).alias("target").where(condition).inputFiles())
