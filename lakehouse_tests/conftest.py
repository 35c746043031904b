"""Fixtures that every test may use. Tests that need Spark carry the mark `engine`."""

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from lakehouse.gold import project
from lakehouse.settings import PROJECT, Settings, settings


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "engine: needs Spark, the embedded engine")
    config.addinivalue_line("markers", "xdist_group(name): the tests that one worker has")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    users = [item for item in items if "spark" in getattr(item, "fixturenames", ())]
    for item in users:  # whoever uses Spark has the mark, also without saying so
        item.add_marker(pytest.mark.engine)
    shares = {item.path for item in users}
    for item in items:
        item.add_marker(pytest.mark.xdist_group("engine" if item.path in shares else _file(item)))
    items.sort(key=lambda item: (item.path not in shares, _place(item)))


def _file(item: pytest.Item) -> str:
    return f"{item.path.parent.name}/{item.path.stem}"


def _place(item: pytest.Item) -> int:
    return next((number for part, number in _PLACES.items() if part in item.path.as_posix()), 0)


_PLACES = {
    "lakehouse_tests/e2e/": -3,
    **dict.fromkeys(("lakehouse_tests/silver/test_crashes", "lakehouse_tests/engine/test_engine"), -2),
    "lakehouse_tests/engine/improvements/test_improvements": -1,
    **dict.fromkeys((f"lakehouse_tests/{room}/" for room in ("silver", "cli", "dbt", "capture")), -1),
    "lakehouse_tests/engine/": 1,
}
"""What runs before and after the rest. One worker has all files that use the shared engine, half of the whole: a second engine
would have to learn all that the first one knows. First the files that take minutes, so that no worker is left with one at the
end; of the shared engine's last those that close sessions, which the others share."""


@pytest.fixture(scope="session", autouse=True)
def lakehouse_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A throwaway LAKEHOUSE_HOME for the whole run; the jars alone are shared with the checkout's own home."""
    home = tmp_path_factory.mktemp("lakehouse")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAKEHOUSE_JARS", os.environ.get("LAKEHOUSE_JARS", str(PROJECT / ".lakehouse" / "jars")))
        patch.setenv("LAKEHOUSE_HOME", str(home))
        patch.setenv("LAKEHOUSE_ENGINE_MEMORY", "2g")  # in 1500m, 27 of 687 s of its CPU went into collecting garbage
        patch.setenv("LAKEHOUSE_ENGINE_IDLE_MINUTES", "5")  # should this run be killed, its engine ends soon after
        for name in (
            "LAKEHOUSE_SPARK_REMOTE",
            "LAKEHOUSE_STORAGE",
            "LAKEHOUSE_LANDING",
            "LAKEHOUSE_CALENDAR",
            "LAKEHOUSE_ENGINE_JAVA_OPTIONS",
        ):
            patch.delenv(name, raising=False)
        settings.cache_clear()
        yield home
        from lakehouse.engine import lifecycle

        lifecycle.stop(settings())
    settings.cache_clear()


@pytest.fixture(scope="session", autouse=True)
def one_parse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Homes of these processes take what dbt made of the project for the first of them: five seconds of CPU each time."""
    base = tmp_path_factory.getbasetemp()
    place = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "one_parse"
    parse = project._parse

    def taken(of: Settings) -> None:
        first = of.model_copy(update={"home": place / of.dbt_target})
        made, here = project.target_dir(first), project.target_dir(of)
        made.mkdir(parents=True, exist_ok=True)
        with FileLock(made / "once.lock"):
            if project.is_stale(first):
                parse(first)
        for name in (project._PARSED, "manifest.json"):
            shutil.copy2(made / name, here / name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(project, "_parse", taken)
        yield


@pytest.fixture(autouse=True)
def settings_of_its_own() -> Iterator[None]:
    """What a test sets in the environment is forgotten with it, whether or not the test thinks of that."""
    yield
    settings.cache_clear()


@pytest.fixture(scope="session")
def spark(lakehouse_home: Path) -> Any:
    """The Connect session of the engine that all tests of this run share."""
    from lakehouse.engine.client import connect

    return connect(settings())


@pytest.fixture
def schema(spark: Any) -> Iterator[str]:
    """A fresh, empty schema at its place in the storage; dropped with its tables afterwards."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    spark.sql(f"create schema `{name}` location '{settings().storage_dir}/{name}'")
    yield name
    spark.sql(f"drop schema if exists `{name}` cascade")
