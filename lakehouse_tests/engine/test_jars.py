"""Jars are resolved once, then found."""

from pathlib import Path

import pytest

from lakehouse.engine import jars
from lakehouse.engine.errors import EngineError


def fetch(folder: Path, coordinates: tuple[str, ...]) -> None:
    (folder / "jars").mkdir(parents=True)
    for coordinate in coordinates:
        group, artifact, version = coordinate.split(":")
        (folder / "jars" / f"{group}_{artifact}-{version}.jar").touch()


def test_they_are_downloaded_once(tmp_path: Path) -> None:
    calls: list[dict[str, str]] = []

    def download(conf: dict[str, str]) -> None:
        calls.append(conf)
        fetch(tmp_path, jars.COORDINATES)

    first = jars.resolve(tmp_path, download)
    assert jars.resolve(tmp_path, download) == first
    assert len(calls) == 1
    assert calls[0]["spark.jars.ivy"] == str(tmp_path)
    assert len(first) == len(jars.COORDINATES)


def test_a_lost_file_or_other_coordinates_are_resolved_again(tmp_path: Path) -> None:
    found = jars.resolve(tmp_path, lambda _: fetch(tmp_path, jars.COORDINATES))
    assert jars.resolved(tmp_path, ("a:b:1",)) is None
    found[0].unlink()
    assert jars.resolved(tmp_path) is None


def test_a_download_that_brought_nothing_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"delta-spark.*could not be resolved.*LAKEHOUSE_JARS"):
        jars.resolve(tmp_path, lambda _: None)


def test_those_of_an_object_store_leave_out_what_spark_has(tmp_path: Path) -> None:
    calls: list[dict[str, str]] = []

    def download(conf: dict[str, str]) -> None:
        calls.append(conf)
        fetch(tmp_path, jars.S3)

    assert len(jars.resolve(tmp_path, download, jars.S3)) == len(jars.S3)
    assert jars.resolve(tmp_path, download, jars.S3)
    assert len(calls) == 1
    assert "com.amazonaws:aws-java-sdk-bundle" in calls[0]["spark.jars.excludes"].split(",")
    assert "com.fasterxml.jackson.core:jackson-databind" in calls[0]["spark.jars.excludes"].split(",")
