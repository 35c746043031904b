"""Fixtures of the engine's tests."""

from pathlib import Path
from typing import Any

import pytest

from lakehouse.engine.client import connect
from lakehouse.settings import settings


@pytest.fixture
def spark(lakehouse_home: Path) -> Any:
    """A session of the engine that all tests share; not the one that they share, for tests of this room close it."""
    return connect(settings())
