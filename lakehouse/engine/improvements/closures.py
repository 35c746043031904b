"""Lets Spark send its own functions without examining them first.

Before each job Spark reads the class file of every function in it, to look for what a function typed into a Scala shell may
have (a `return`, the shell's own lines), and writes the function once for nothing, to see whether it can be sent. All that
runs in the engine is Spark's and Delta's own: 5 % of what an engine on small data computes (docs/performance.md). What
cannot be sent is told by the stage that would send it.
"""

from typing import Any

from lakehouse.engine import javassist

_CLEANER = "org.apache.spark.util.ClosureCleaner$"
_NEIGHBOUR = "org.apache.spark.util.Utils"
"""A class of the same package and class loader, which is loaded without the cleaner's."""
_METHOD = ("clean", "(Ljava/lang/Object;ZZ)V")
"""Of two of that name, the one that is called from elsewhere."""
_IS_OF_NO_SHELL = """
private static boolean isOfNoShell(Object function) {
    String name = function.getClass().getName();
    return name.indexOf("$$Lambda$") > 0 && !name.startsWith("$line");
}
"""
"""Functions of a shell, and those that are classes, whose links to what surrounds them Spark cuts, it examines as before."""
_FIRST = "{ if (isOfNoShell($1)) return; }"


def install(spark: Any) -> None:
    """Has Spark do so in the JVM of a classic session, by py4j. Once a JVM, before the first query.

    Raises what py4j raises where Spark has another cleaner than the one of 3.5, or has used it already: whatever the cause,
    functions are examined as before.
    """
    jvm = spark._jvm
    with javassist.changed(jvm, _CLEANER, _NEIGHBOUR) as cleaner:
        javassist.add_method(jvm, cleaner, _IS_OF_NO_SHELL)
        cleaner.getMethod(*_METHOD).insertBefore(_FIRST)
