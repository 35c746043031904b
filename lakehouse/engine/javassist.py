"""Changes a class of the engine's JVM before it is loaded, by Javassist, a part of Spark. By py4j; raises what that raises."""

from collections.abc import Sequence
from typing import Any


def opened(jvm: Any, name: str, packages: Sequence[str] = ()) -> Any:
    """A class to change (`CtClass`); what is added to it may name classes of `packages` without theirs. In Java 1.4's terms,
    which is what Javassist compiles."""
    pool = jvm.javassist.ClassPool(True)
    pool.appendClassPath(jvm.javassist.LoaderClassPath(_loader(jvm)))
    for package in packages:
        pool.importPackage(package)
    return pool.get(name)


def add_method(jvm: Any, changed: Any, source: str) -> None:
    changed.addMethod(jvm.javassist.CtNewMethod.make(source, changed))


def load(jvm: Any, changed: Any, neighbour: str) -> None:
    """Loads the class as it was changed, beside a class of its package and loader that is loaded without it. Fails where it is
    loaded already."""
    changed.toClass(jvm.java.lang.Class.forName(neighbour, False, _loader(jvm)))


def _loader(jvm: Any) -> Any:
    return jvm.java.lang.Thread.currentThread().getContextClassLoader()
