"""Plans over a small batch are interpreted: Spark would take longer to compile them than to run them."""

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

from lakehouse.engine.client import configured

INTERPRETED_UP_TO = 20_000
"""Records of a batch, or that a table has taken in all, up to which plans over them are not compiled."""
_INTERPRETED = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}


@contextmanager
def interpreted(spark: SparkSession, landed: int) -> Iterator[None]:
    """Inside the block, Spark interprets its plans where a batch is small: compiling them takes longer than running them.

    For what reads the batch alone; what also reads the state, which may be large, is compiled.
    """
    if landed > INTERPRETED_UP_TO:
        yield
        return
    with configured(spark, _INTERPRETED):
        yield
