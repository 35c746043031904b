"""What is worth another try."""

import errno

import pytest
from pyspark.errors import AnalysisException, PySparkException

from lakehouse.contracts.problems import ContractError
from lakehouse.engine.errors import EngineError
from lakehouse.storage.tables import ConcurrentWriterError, TableShapeError
from lakehouse.storage.transient import passes_by_itself


@pytest.mark.parametrize(
    "problem",
    [
        EngineError("The engine runs but does not answer.", "Wait."),
        ConcurrentWriterError("bronze.orders: another writer committed to it meanwhile"),
        PySparkException("<_InactiveRpcError of RPC that terminated with: status = StatusCode.UNAVAILABLE"),
        PySparkException("[INVALID_HANDLE.SESSION_NOT_FOUND] The handle is invalid. Session not found."),
        PySparkException("(io.delta.exceptions.ConcurrentAppendException) [DELTA_CONCURRENT_APPEND] Files were added"),
        PySparkException("(com.amazonaws.services.s3.model.AmazonS3Exception) SlowDown; Status Code: 503"),
        AnalysisException("[PATH_NOT_FOUND] Path does not exist: file:/landing/a.json."),
        PySparkException("java.net.SocketTimeoutException: Read timed out"),
        ValueError("Cannot invoke RPC on closed channel!"),
        OSError(errno.EIO, "Input/output error"),
        ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
        TimeoutError("timed out"),
    ],
)
def test_what_passes_by_itself_is(problem: Exception) -> None:
    assert passes_by_itself(problem)
    wrapped = RuntimeError("the step failed")
    wrapped.__cause__ = problem
    assert passes_by_itself(wrapped)


@pytest.mark.parametrize(
    "problem",
    [
        EngineError("No Java 17 was found.", "Install one.", passes=False),
        AnalysisException("[UNRESOLVED_COLUMN.WITH_SUGGESTION] A column `totl` cannot be resolved."),
        AnalysisException("[TABLE_OR_VIEW_NOT_FOUND] The table or view cannot be found."),
        PySparkException("[CAST_INVALID_INPUT] The value 'odd' cannot be cast."),
        PySparkException("Job aborted: java.io.IOException: No space left on device; the connection timed out"),
        OSError(errno.ENOSPC, "No space left on device"),
        PermissionError(errno.EACCES, "Permission denied"),
        TableShapeError("silver_state.orders", ["total is string, expected double"]),
        ContractError([]),
        ValueError("24 hours are fewer than 168"),
        KeyError("batch"),
    ],
)
def test_contracts_data_full_disks_and_mistakes_stay(problem: Exception) -> None:
    assert not passes_by_itself(problem)
