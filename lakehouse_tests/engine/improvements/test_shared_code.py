"""Queries share the code that Spark generates for them."""

from typing import Any

CODES = "org.apache.spark.sql.catalyst.expressions.codegen.CodeGenerator"


def test_a_query_that_was_asked_before_is_not_compiled_again(spark: Any) -> None:
    def asked() -> int:
        return int(spark.sql("select sum(id * 2 + 1) as odd from range(1000) where id % 7 = 3").first()[0])

    def compiled() -> int:
        """Nanoseconds that the engine has spent on it, others' queries with them: here nobody else asks."""
        return int(spark.sql(f"select java_method('{CODES}', 'compileTime')").first()[0])

    first = [asked(), compiled(), compiled()][2]
    assert asked() == 143_143
    assert compiled() == first
