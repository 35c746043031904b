"""What is staged is read with the columns that Spark itself finds."""

from pathlib import Path
from typing import Any

import pytest

from lakehouse.silver.staging import stage


@pytest.mark.parametrize("rows", [0, 3])
def test_a_staged_frame_has_the_columns_of_its_files(spark: Any, tmp_path: Path, rows: int) -> None:
    frame = spark.range(rows).selectExpr(
        "id",
        "cast(id as string) as `a name`",
        "cast(id as decimal(38, 18)) as amount",
        "cast('2025-03-05 10:00:00' as timestamp) as at",
        "cast('2025-03-05 10:00:00' as timestamp_ntz) as local_at",
        "date'2025-03-05' as day",
        "array(named_struct('part', id, 'more', map('a', cast(id as int)))) as parts",
        "cast(null as binary) as bytes",
    )
    staged = stage(spark, str(tmp_path), "all", frame)
    assert staged.schema == spark.read.parquet(f"{tmp_path}/all").schema
    assert staged.columns == frame.columns
    assert staged.orderBy("id").collect() == frame.orderBy("id").collect()
