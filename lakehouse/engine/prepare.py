"""Fetches the engine's jars and writes its class archive ahead of time: for images, and for machines without a network."""

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.engine import class_archive, client, jars, lifecycle
from lakehouse.engine.java import find_java
from lakehouse.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_USUAL = (
    "create schema usual location '{storage}/usual'",
    "create table usual.things (id bigint, said string, at timestamp) using delta "
    "tblproperties ('delta.enableDeletionVectors' = 'true')",
    "insert into usual.things select id, to_json(struct(id, array(id) as line_items)), current_timestamp() from range(100)",
    "insert into usual.things values (200, '{{\"id\": 1}}', null)",
    "merge into usual.things as target using (select id + 50 as id, '' as said, null as at from range(100)) as source "
    "on target.id = source.id when matched then update set * when not matched then insert *",
    "update usual.things set said = 'said' where id = 3",
    "delete from usual.things where id = 4",
    "create view usual.looked as select from_json(said, 'id bigint, line_items array<bigint>') as said, id from usual.things",
    "select count(distinct a.id), max(a.said.id), percentile_approx(a.id, 0.5) from usual.looked as a left join usual.things as b "
    "on a.id = b.id and b.at is not null where a.id > 2",
    "select id, row_number() over (partition by id % 3 order by id) as n, sum(id) over (partition by id % 3) from usual.things",
    "select explode(said.line_items), xxhash64(id), sha2(cast(id as string), 256) from usual.looked order by id",
    "describe history usual.things",
    "optimize usual.things",
    "restore table usual.things to version as of 1",
    "vacuum usual.things",
)
"""What a pipeline asks of an engine, on next to nothing: the classes that this loads are those of the archive."""


def prepare(settings: Settings) -> str:
    """Jars and class archive lie in `settings.jars_dir` afterwards; returns a sentence that says so. Where both did, nothing is
    done.

    An engine is started for it in a home of its own, which is removed; tables, landing and an engine that runs are left
    alone. Without it the first engine fetches the jars as well, and leaves the archive when it ends. Raises EngineError.
    """
    place = settings.jars_dir
    archive = class_archive.archive_of(settings, find_java(settings.java_home))
    if archive.exists() and _are_fetched(settings):
        return f"Nothing to do: jars and class archive are in {place}."
    home = Path(tempfile.mkdtemp(prefix="lakehouse-prepare-"))
    # Whoever asks each thing once needs no second compiler: 60 s of CPU instead of 74.
    flags = f"{settings.engine_java_options} -XX:TieredStopAtLevel=1"
    own = settings.model_copy(
        update={
            "home": home,
            "jars": settings.jars_dir,
            "storage": None,
            "spark_remote": None,
            "engine_java_options": flags,
        }
    )
    if settings.reads_s3:
        own = own.model_copy(update={"landing": "s3a://unused"})
    try:
        _use(client.connect(own), own)
    finally:
        try:
            lifecycle.stop(own)
        finally:
            shutil.rmtree(home, ignore_errors=True)
    if not archive.exists():  # a JVM that takes too long to end is ended
        return f"The jars are in {place}. The class archive was not written in time: the first engine that ends tries again."
    return f"Prepared: jars and class archive are in {place}."


def _are_fetched(settings: Settings) -> bool:
    is_whole = not settings.reads_s3 or jars.resolved(jars.folder_of(settings), jars.S3) is not None
    return is_whole and jars.resolved(settings.jars_dir) is not None


def _use(spark: "SparkSession", settings: Settings) -> None:
    for statement in _USUAL:
        spark.sql(statement.format(storage=settings.storage_dir)).collect()
    file = settings.home / "usual.json"
    file.write_text('{"id": 1}\n')
    spark.read.json(str(file)).write.format("delta").mode("append").saveAsTable("usual.read")
