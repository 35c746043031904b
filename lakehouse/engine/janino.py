"""Compiles Java within the engine's JVM, by the compiler that Spark brings for its own generated code."""

from typing import Any


def compiled(jvm: Any, source: str) -> Any:
    """Janino's compiler after it has compiled a source, which may name what Spark's own classes may: it has a class loader and
    the bytecodes. By py4j; raises what that raises."""
    compiler = jvm.org.codehaus.janino.SimpleCompiler()
    compiler.setParentClassLoader(jvm.java.lang.Thread.currentThread().getContextClassLoader())
    compiler.cook(source)
    return compiler
