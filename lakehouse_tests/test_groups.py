"""Workers of a run of tests have the groups of tests that `conftest` makes."""

import pytest


def test_a_worker_knows_the_group_of_a_test(request: pytest.FixtureRequest) -> None:
    """xdist sends each test alone where it did not read the groups, and tests of a file need their order."""
    is_grouped = bool(getattr(request.config.option, "loadgroup", False))
    assert request.node.nodeid.endswith("@lakehouse_tests/test_groups") == is_grouped
