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


def add_field(jvm: Any, changed: Any, source: str) -> None:
    changed.addField(jvm.javassist.CtField.make(source, changed))


def method(changed: Any, name: str, arguments: Sequence[str]) -> Any:
    """The method of that name with arguments of those types (`boolean`, `java.lang.Object`)."""
    found = [
        one
        for one in changed.getDeclaredMethods(name)
        if [kind.getName() for kind in one.getParameterTypes()] == [*arguments]
    ]
    if len(found) != 1:
        raise TypeError(f"{changed.getName()} has no {name}({', '.join(arguments)})")
    return found[0]


def load(jvm: Any, changed: Any, neighbour: str) -> None:
    """Loads the class as it was changed, beside a class of its package and loader that is loaded without it. Fails where it is
    loaded already."""
    changed.toClass(jvm.java.lang.Class.forName(neighbour, False, _loader(jvm)))


def _loader(jvm: Any) -> Any:
    return jvm.java.lang.Thread.currentThread().getContextClassLoader()
