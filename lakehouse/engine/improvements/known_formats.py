"""Lets Spark look for a format's classes once.

Whenever something is read or written, Spark goes through all its libraries for who calls himself `parquet` or `delta`: 1 % of
what an engine on small data computes (docs/performance.md). Its libraries stay what they are.
"""

from typing import Any

from lakehouse.engine import javassist

_SOURCES = "org.apache.spark.sql.execution.datasources.DataSource$"
_NEIGHBOUR = "org.apache.spark.sql.execution.datasources.FileFormat"
"""An interface of the same package and class loader, which is loaded without the other."""
_METHOD = "lookupDataSource"
_KNOWN = "private static final java.util.Map known = new java.util.concurrent.ConcurrentHashMap();"
_FIRST = "{ Object found = known.get($1); if (found != null) return (Class) found; }"
_LAST = """{
    boolean depends = $1.equalsIgnoreCase("orc") || $1.startsWith("com.databricks.");
    if (!depends && $_.getClassLoader() == getClass().getClassLoader()) known.put($1, $_);
}"""
"""Two names mean what a session's settings say; a client's own classes are that client's."""


def install(spark: Any) -> None:
    """Has Spark do so in the JVM of a classic session, by py4j. Once a JVM, before the first query.

    Raises what py4j raises where Spark has another way to look than 3.5, or has looked already: whatever the cause, it looks as
    before.
    """
    jvm = spark._jvm
    with javassist.changed(jvm, _SOURCES, _NEIGHBOUR) as sources:
        javassist.add_field(jvm, sources, _KNOWN)
        lookup = sources.getDeclaredMethod(_METHOD)
        lookup.insertBefore(_FIRST)
        lookup.insertAfter(_LAST)
