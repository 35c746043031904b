"""Spark's configuration for one machine and small data: every line says why it is not the default."""

import os
from dataclasses import dataclass
from pathlib import Path

import psutil

from lakehouse.settings import Settings

GIB = 1024**3
TURNS = "turns.xml"
"""The file of the engine that says who gets a core next."""
MESSAGE_BYTES = 128 * 1024 * 1024
"""The largest gRPC message either way; Spark's Python client refuses larger ones whatever the server says."""
HEARTBEAT_SECONDS, FOREIGN_HEARTBEAT_SECONDS = 60, 600
"""A client that waits for an answer asks so often whether the server still is there: ours, and one that is not ours, which
may cut off whoever asks more often than every five minutes."""
PATIENCE_SECONDS = 120
"""So long a server may take to say that it is: longer than a collection of garbage on a busy machine."""


@dataclass(frozen=True)
class Machine:
    """What the engine may use of the machine."""

    memory_bytes: int
    cores: int


def this_machine() -> Machine:
    """This machine's memory and the cores that this process may use (fewer than it has, in a cpuset)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return Machine(psutil.virtual_memory().total, cores)


def heap(settings: Settings, machine: Machine) -> str:
    """The JVM's heap: as set, else a quarter of the machine, between 1 and 3 GiB.

    The cap keeps the whole product (engine, Dagster, dbt) below 6 GiB; more heap did not make small data faster.
    """
    if settings.engine_memory:
        return settings.engine_memory
    return f"{max(1024, min(3 * 1024, machine.memory_bytes // 4 // 1024**2))}m"


def cores(settings: Settings, machine: Machine) -> int:
    return settings.engine_cores or machine.cores


def java_options(settings: Settings) -> list[str]:
    """JVM flags of the engine: ours, then those that are set."""
    engine_dir = settings.engine_dir
    return [
        "-Duser.timezone=UTC",  # dates and timestamps must not depend on where the machine stands
        "-Dfile.encoding=UTF-8",  # nor text on the machine's locale
        f"-Djava.io.tmpdir={engine_dir}/tmp",  # shuffles (spark.local.dir follows it), native libraries, artifacts
        f"-Dlog4j2.configurationFile={engine_dir}/log4j2.properties",  # a log that is bounded
        # Spark asks for a logger with each object that could write a line; one log is for all of them, whoever asks.
        "-Dlog4j2.contextSelector=org.apache.logging.log4j.core.selector.BasicContextSelector",
        f"-XX:ErrorFile={engine_dir}/jvm_crash.log",
        "-XX:-UsePerfData",  # else a file in /tmp/hsperfdata_<user>
        "-XX:+DisplayVMOutputToStderr",  # where we look for why it did not start
        "-XX:+UseParallelGC",  # throughput; on two cores G1's concurrent threads take time from tasks
        "-XX:+ExitOnOutOfMemoryError",  # a half-dead engine is worse than none: the next client starts another
        "-XX:MetaspaceSize=192m",  # else the heap is collected whole whenever the classes of the first minute outgrow 21 MB
        "-XX:MaxMetaspaceSize=1g",  # generated classes of a long life must not eat the machine
        # A third of a cold engine's CPU went into compiling what runs once: the last tier takes what is much hotter than usual,
        # and the code of the tier before it has room (in 240 MiB, the default, it was thrown out and made again).
        "-XX:Tier4InvocationThreshold=80000",
        "-XX:Tier4MinInvocationThreshold=9600",
        "-XX:Tier4CompileThreshold=240000",
        "-XX:Tier4BackEdgeThreshold=640000",
        "-XX:ReservedCodeCacheSize=384m",
        "-Xss4m",  # deep plans (many columns, long CASE chains) overflow the default stack
        *settings.engine_java_options.split(),
    ]


def spark_conf(settings: Settings, machine: Machine, jars: list[Path]) -> dict[str, str]:
    """The whole configuration of the embedded engine. Pure: writes nothing, reads nothing but its arguments."""
    count = cores(settings, machine)
    return {
        "spark.app.name": "lakehouse",
        # A task more than there are cores: else a query of a few rows waits where each core has a task of a minute, as it may
        # of a large sort. None is lost by it, for the machine divides its time.
        "spark.master": f"local[{count + 1}]",
        "spark.driver.memory": heap(settings, machine),
        "spark.driver.extraJavaOptions": " ".join(java_options(settings)),
        # On the class path rather than in spark.jars: nothing is copied at start and no resolver runs.
        "spark.driver.extraClassPath": os.pathsep.join(str(jar) for jar in jars),
        # -- nobody else gets in: every port of Spark's own stays on the loopback
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",  # a port without a login, and memory for its history
        "spark.ui.showConsoleProgress": "false",  # the console is a log file
        "spark.sql.ui.explainMode": "simple",  # each plan is described for it, the shortest way
        "spark.sql.ui.retainedExecutions": "10",  # kept even without a UI, where `no_status` cannot prevent it
        "spark.ui.retainedJobs": "20",
        "spark.ui.retainedStages": "20",
        "spark.ui.retainedTasks": "1000",
        # -- Delta
        # A step's few hundred generated classes come back at the next batch; by default a hundred are kept, and made anew.
        "spark.sql.codegen.cache.maxEntries": "1000",
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.catalogImplementation": "in-memory",  # `kept_catalog` takes its place
        "spark.sql.warehouse.dir": storage_uri(settings),
        "spark.sql.legacy.createHiveTableByDefault": "false",  # `create table` without `using` is a Delta table
        "spark.sql.sources.default": "delta",
        # Tables of other formats find their partitions in their folders: the catalog does not keep them.
        "spark.sql.hive.manageFilesourcePartitions": "false",
        # -- one meaning of time and of casts, for dbt and Python alike
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "false",  # dbt-spark forces it for its sessions; Python's must agree
        # -- small data: tasks cost more than bytes
        "spark.sql.shuffle.partitions": str(count),
        "spark.default.parallelism": str(count),
        "spark.databricks.delta.snapshotPartitions": "2",  # default 50 tasks to read one table's log
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": str(count),  # default 10,000 tasks
        "spark.sql.files.openCostInBytes": str(64 * 1024),  # default 4 MiB: 32 small files fill a task
        "spark.sql.autoBroadcastJoinThreshold": str(64 * 1024**2),  # dimensions fit; a broadcast spares a shuffle
        # One task reads a row group whole: with 128 MiB, the default, a year of raw records in one file kept one core busy.
        "spark.hadoop.parquet.block.size": str(16 * 1024**2),
        # It rewrote a table of a few files with every append.
        "spark.databricks.delta.autoCompact.enabled": "false",
        # A compaction leaves alone what is large enough; by default it makes files of 1 GiB, again and again.
        "spark.databricks.delta.optimize.minFileSize": str(128 * 1024**2),
        "spark.databricks.delta.optimize.maxFileSize": str(128 * 1024**2),
        "spark.databricks.delta.stalenessLimit": "0",  # always the latest version of a table
        "spark.locality.wait": "0",  # there is nowhere else to wait for
        # Queries take turns: by default one that asks for much, as a first load does, gets all cores until its last task runs.
        "spark.scheduler.mode": "FAIR",
        "spark.scheduler.allocation.file": f"{settings.engine_dir}/{TURNS}",
        "spark.rdd.compress": "true",
        "spark.io.compression.codec": "lz4",  # loads no native library but its own
        "spark.cleaner.periodicGC.interval": "10min",  # an idle heap is given back sooner
        # -- results travel in few messages
        "spark.connect.grpc.maxInboundMessageSize": str(MESSAGE_BYTES),
        "spark.connect.grpc.arrow.maxBatchSize": "16m",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "50000",
        **_object_store(settings),
    }


def _object_store(settings: Settings) -> dict[str, str]:
    """How the engine reads `s3a://…`; who may, it takes from its environment, as Amazon's own tools do."""
    endpoint = settings.s3_endpoint
    if endpoint is None:
        return {}
    return {
        "spark.hadoop.fs.s3a.endpoint": endpoint,
        "spark.hadoop.fs.s3a.path.style.access": "true",  # other stores have no name a bucket
        "spark.hadoop.fs.s3a.connection.ssl.enabled": str(endpoint.startswith("https")).lower(),
        "spark.hadoop.fs.s3a.change.detection.mode": "none",  # they need not tell versions
    }


def session_conf() -> dict[str, str]:
    """What a client sets on its session, so that a foreign server and a re-created session agree with ours."""
    return {
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "false",
        # A date that Spark 2 would have read otherwise is no date; by default one such value fails the whole query.
        "spark.sql.legacy.timeParserPolicy": "CORRECTED",
        # So does one from before the calendar was reformed (1582), or a moment before 1900: as it is, both ways.
        **{
            f"spark.sql.parquet.{kind}RebaseModeIn{way}": "CORRECTED"
            for kind in ("datetime", "int96")
            for way in ("Read", "Write")
        },
        # Else a vacuum commits twice to say so, and gold would no longer be at the version that was released.
        "spark.databricks.delta.vacuum.logging.enabled": "false",
    }


def catalog_dir(settings: Settings) -> Path:
    """Where the engine keeps the names of schemas, tables and views: a file for each."""
    return settings.engine_dir / "catalog"


def storage_uri(settings: Settings) -> str:
    """The storage as Spark wants it: a URI stays as it is, a local path becomes absolute."""
    place = settings.storage_dir
    return place if "://" in place else os.path.abspath(os.path.expanduser(place))


def turns() -> str:
    """Spark's configuration of who gets a core next: of all queries the one with the fewest tasks at work."""
    # The pool of all that name none. Spark warns of each value that is not there.
    pool = '<pool name="default"><schedulingMode>FAIR</schedulingMode><weight>1</weight><minShare>0</minShare></pool>'
    return f'<?xml version="1.0"?>\n<allocations>{pool}</allocations>\n'


def log4j_properties(engine_dir: Path) -> str:
    """Log4j's configuration: warnings only, into one file that is rolled at 5 MB and kept once."""
    quiet = {
        "hadoop_native": "org.apache.hadoop.util.NativeCodeLoader",
        "plan_fields": "org.apache.spark.sql.catalyst.util.SparkStringUtils",
        "hostname": "org.apache.spark.util.Utils",
    }
    # What a query failed of is told to whoever asked it, often for no more than whether a table is there.
    silent = {"told_to_clients": "org.apache.spark.sql.connect.utils.ErrorUtils"}
    lines = [
        "rootLogger.level = warn",
        "rootLogger.appenderRef.file.ref = file",
        "appender.file.type = RollingFile",
        "appender.file.name = file",
        f"appender.file.fileName = {engine_dir}/engine.log",
        f"appender.file.filePattern = {engine_dir}/engine.log.%i",
        "appender.file.layout.type = PatternLayout",
        "appender.file.layout.pattern = %d{yyyy-MM-dd HH:mm:ss}{UTC} %p %c{1}: %m%n%notEmpty{%ex{20}%n}",
        "appender.file.policies.type = Policies",
        "appender.file.policies.size.type = SizeBasedTriggeringPolicy",
        "appender.file.policies.size.size = 5MB",
        "appender.file.strategy.type = DefaultRolloverStrategy",
        "appender.file.strategy.max = 1",
    ]
    for key, name in quiet.items():
        lines += [f"logger.{key}.name = {name}", f"logger.{key}.level = error"]
    for key, name in silent.items():
        lines += [f"logger.{key}.name = {name}", f"logger.{key}.level = off"]
    return "\n".join(lines) + "\n"
