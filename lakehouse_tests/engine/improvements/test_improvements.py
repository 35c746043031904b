"""What makes the engine quicker is in force, also after it has read and written."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lakehouse.settings import settings

ENGINE = """
import json
import sys
from pathlib import Path
from lakehouse.engine import config, jars, java, server
from lakehouse.settings import Settings

home, jars_dir = map(Path, sys.argv[1:])
here = Settings(home=home, jars=jars_dir, engine_java_options="-XX:TieredStopAtLevel=1")
found = java.find_java(None)
server.prepare_files(here)
server.prepare_environment(here.engine_dir, found)
spark, jvm = server.start_spark(
    {**config.spark_conf(here, config.this_machine(), jars.resolved(jars_dir)), "spark.hadoop.ipc.client.own": "7"}
)
server.quicken(spark)
spark.range(3).write.format("delta").save(str(home / "table"))
rows = spark.read.format("delta").load(str(home / "table")).count()
conf = spark._jsc.hadoopConfiguration()
context = spark._jsc.sc()
of = lambda name: spark._jvm.java.lang.Class.forName(f"org.apache.spark.{name}")
formats = of("sql.execution.datasources.DataSource$").getDeclaredField("known")
formats.setAccessible(True)
print(json.dumps({
    "rows": rows,
    "rows of parquet": spark.read.parquet(str(home / "table")).count(),
    "of yarn": conf.getPropsWithPrefix("yarn.").size(),
    "of remote calls": sorted(conf.getPropsWithPrefix("ipc.").keySet()),
    "ftp by": conf.get("fs.ftp.impl"),
    "origin": conf.getPropertySources("fs.defaultFS") is not None,
    "files by": conf.get("fs.file.impl"),
    "formatter": [each.getName() for each in of("sql.catalyst.expressions.codegen.CodeFormatter$").getDeclaredMethods()],
    "cleaner": [each.getName() for each in of("util.ClosureCleaner$").getDeclaredMethods()],
    "formats": sorted(formats.get(None).keySet()),
    "jobs": context.statusStore().jobsList(None).size(),
    "queries": spark._jsparkSession.sharedState().statusStore().executionsList().size(),
    "rules": spark._jvm.org.apache.spark.sql.catalyst.rules.RuleExecutor.dumpTimeSpent(),
    "loggers by": spark._jvm.org.apache.logging.log4j.LogManager.getFactory().getSelector().getClass().getName(),
}))
"""


@pytest.mark.engine
@pytest.mark.timeout(120)
def test_they_are_in_force_after_the_first_table(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ENGINE, str(tmp_path), str(settings().jars_dir)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    *said, told = done.stdout.strip().splitlines()
    assert not said, "an improvement is missing"
    found = json.loads(told)
    assert found["rows"] == found["rows of parquet"] == 3
    assert found["of yarn"] == 0 and not found["origin"]
    assert found["of remote calls"] == ["client.own"], "what somebody set is no default"
    assert found["ftp by"], "nothing else names the class"
    assert found["files by"].endswith("LakehouseFiles")
    assert "withoutBlankLines" in found["formatter"]
    assert "isOfNoShell" in found["cleaner"]
    assert found["formats"] == ["delta", "parquet"]
    assert found["jobs"] == found["queries"] == 0
    assert "PrepareDeltaScan" not in found["rules"]
    assert found["loggers by"].endswith("BasicContextSelector")
