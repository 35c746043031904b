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
here = Settings(home=home, jars=jars_dir)
found = java.find_java(None)
server.prepare_files(here)
server.prepare_environment(here.engine_dir, found)
spark, jvm = server.start_spark(config.spark_conf(here, config.this_machine(), jars.resolved(jars_dir)))
server.quicken(spark)
spark.range(3).write.format("delta").save(str(home / "table"))
rows = spark.read.format("delta").load(str(home / "table")).count()
conf = spark._jsc.hadoopConfiguration()
formatter = spark._jvm.java.lang.Class.forName("org.apache.spark.sql.catalyst.expressions.codegen.CodeFormatter$")
print(json.dumps({
    "rows": rows,
    "of yarn": conf.getPropsWithPrefix("yarn.").size(),
    "origin": conf.getPropertySources("fs.defaultFS") is not None,
    "files by": conf.get("fs.file.impl"),
    "formatter": [method.getName() for method in formatter.getDeclaredMethods()],
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
    assert found["rows"] == 3
    assert found["of yarn"] == 0 and not found["origin"]
    assert found["files by"].endswith("LakehouseFiles")
    assert "withoutBlankLines" in found["formatter"]
