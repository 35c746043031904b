"""What Spark takes for the length of generated code is that of the code without comments and blank lines, as before."""

import random
import re
from typing import Any

from pyspark.sql import functions as F

FORMATTER = "org.apache.spark.sql.catalyst.expressions.codegen.CodeFormatter"
COMMENT = re.compile(r"[ |\t]*?/\*[\s|\S]*?\*/[ |\t]*?|[ |\t]*?//[\s\S]*?\n")
BLANK = re.compile(r"\n\s*\n", re.ASCII)


def stripped(code: str) -> str:
    """By the two expressions of Spark's own."""
    return BLANK.sub("\n", COMMENT.sub("", code))


def test_code_is_stripped_as_spark_does_it(spark: Any) -> None:
    chance = random.Random(7)
    pieces = (
        "\n",
        "\n\n",
        " ",
        "\t",
        "\r\n",
        "\f",
        "\x0b",
        "\u00a0",
        "int a = 1;",
        "{",
        "/",
        "*",
        "// why\n",
        "/* why */",
    )
    codes = ["", "\n", "a", "\n \n", "a\n\n\nb\n", "a\n \t\r\n b \n\n\n", "a // b\n\n c"]
    codes += ["".join(chance.choices(pieces, k=chance.randrange(1, 20))) for _ in range(500)]
    frame = spark.createDataFrame([(code,) for code in codes], "code string")
    found = frame.select("code", F.expr(f"java_method('{FORMATTER}', 'stripExtraNewLinesAndComments', code)")).collect()
    assert len(found) == len(codes)
    for code, without in found:
        assert without == stripped(code), repr(code)
