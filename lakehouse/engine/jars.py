"""The jars that Spark needs beside its own: resolved once from Maven, then used offline."""

import json
import os
from collections.abc import Callable
from pathlib import Path

from lakehouse.engine.errors import EngineError
from lakehouse.settings import Settings

COORDINATES = (
    "io.delta:delta-spark_2.12:3.3.3",
    # The last release line that resolves: 3.5.8 and 3.5.9 were published without this artifact.
    "org.apache.spark:spark-connect_2.12:3.5.7",
)
S3 = (
    "org.apache.hadoop:hadoop-aws:3.3.4",  # the Hadoop that Spark 3.5 brings along
    # The parts of Amazon's client that it uses: 5 MB, where the bundle that it asks for has 280.
    "com.amazonaws:aws-java-sdk-s3:1.12.262",
    "com.amazonaws:aws-java-sdk-dynamodb:1.12.262",
    "com.amazonaws:aws-java-sdk-sts:1.12.262",
)
"""For an object store alone."""
S3_FOLDER = "s3"
_NOT_OF_S3 = (
    "com.amazonaws:aws-java-sdk-bundle",
    # Spark has these itself, and its own come first on the class path.
    *("org.apache.httpcomponents:httpclient", "org.apache.httpcomponents:httpcore", "joda-time:joda-time"),
    *("commons-logging:commons-logging", "commons-codec:commons-codec", "com.amazon.ion:ion-java"),
    *("software.amazon.ion:ion-java", "com.fasterxml.jackson.dataformat:jackson-dataformat-cbor"),
    *(f"com.fasterxml.jackson.core:jackson-{part}" for part in ("core", "databind", "annotations")),
)
_INDEX = "resolved.json"


def folder_of(settings: Settings) -> Path:
    """Where the jars that these settings ask for beside the usual ones lie, and the archive of all their classes."""
    return settings.jars_dir / S3_FOLDER if settings.reads_s3 else settings.jars_dir


def resolved(jars_dir: Path, coordinates: tuple[str, ...] = COORDINATES) -> list[Path] | None:
    """The jar files of these coordinates, if an earlier `record` named them and they are all still there."""
    try:
        index = json.loads((jars_dir / _INDEX).read_text())
    except (FileNotFoundError, ValueError):
        return None
    if index.get("coordinates") != list(coordinates):
        return None
    files = [jars_dir / "jars" / name for name in index["jars"]]
    return files if files and all(file.is_file() for file in files) else None


def record(jars_dir: Path, coordinates: tuple[str, ...] = COORDINATES) -> list[Path]:
    """Notes the jars that Ivy retrieved under `jars_dir/jars`; raises EngineError where one of them is missing."""
    present = sorted(path.name for path in (jars_dir / "jars").glob("*.jar"))
    for coordinate in coordinates:
        group, artifact, version = coordinate.split(":")
        if f"{group}_{artifact}-{version}.jar" not in present:
            raise EngineError(
                f"The jar {coordinate} could not be resolved into {jars_dir}.",
                "Check the network or the Maven mirror, or copy a resolved jars folder and set LAKEHOUSE_JARS to it.",
            )
    index = jars_dir / _INDEX
    scratch = index.with_suffix(f".{os.getpid()}")
    scratch.write_text(json.dumps({"coordinates": list(coordinates), "jars": present}, indent=1))
    scratch.replace(index)
    return [jars_dir / "jars" / name for name in present]


def resolve(
    jars_dir: Path, download: Callable[[dict[str, str]], None], coordinates: tuple[str, ...] = COORDINATES
) -> list[Path]:
    """The jars of these coordinates, downloaded with `download` (it gets a Spark configuration for Ivy) unless they are there
    already.

    Raises EngineError where they cannot be had. Idempotent; the caller holds a lock against others.
    """
    found = resolved(jars_dir, coordinates)
    if found is not None:
        return found
    jars_dir.mkdir(parents=True, exist_ok=True)
    download(
        {
            "spark.jars.packages": ",".join(coordinates),
            "spark.jars.ivy": str(jars_dir),
            "spark.driver.extraJavaOptions": "-XX:-UsePerfData",
            **({"spark.jars.excludes": ",".join(_NOT_OF_S3)} if coordinates == S3 else {}),
        }
    )
    return record(jars_dir, coordinates)
