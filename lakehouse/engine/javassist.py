"""Changes a class of the engine's JVM before it is loaded, by Javassist, a part of Spark. By py4j; raises what that raises."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any


@contextmanager
def changed(jvm: Any, name: str, neighbour: str, packages: Sequence[str] = ()) -> Iterator[Any]:
    """A class to change (`CtClass`), loaded as it is when the block ends, beside a class of its package and loader that is
    loaded without it; not loaded where the block raises. Fails where it is loaded already. What is added to it may name
    classes of `packages` without theirs. In Java 1.4's terms, which is what Javassist compiles."""
    loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
    pool = jvm.javassist.ClassPool(True)
    pool.appendClassPath(jvm.javassist.LoaderClassPath(loader))
    for package in packages:
        pool.importPackage(package)
    found = pool.get(name)
    yield found
    found.toClass(jvm.java.lang.Class.forName(neighbour, False, loader))


def add_method(jvm: Any, to: Any, source: str) -> None:
    to.addMethod(jvm.javassist.CtNewMethod.make(source, to))


def add_field(jvm: Any, to: Any, source: str) -> None:
    to.addField(jvm.javassist.CtField.make(source, to))
