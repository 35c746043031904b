"""What the client's session says, and what it keeps to itself."""

import logging.config
from typing import Any

import pytest
from pyspark.errors import AnalysisException


def test_a_refused_query_is_told_by_its_exception_alone(spark: Any, capfd: pytest.CaptureFixture[str]) -> None:
    """Also after Dagster has configured the process's logs, which turns on loggers that were off."""
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
    with pytest.raises(AnalysisException):
        spark.sql("select nowhere").collect()
    assert capfd.readouterr().err == ""
