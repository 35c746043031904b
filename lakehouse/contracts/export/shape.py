"""The type of a column as a tree, which every format walks."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from lakehouse.contracts.model import Column, Contract


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view that people read: its full name, what it is, and its columns in order."""

    contract: Contract
    name: str
    description: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """A Spark SQL type, and what the contract says of the fields inside."""

    kind: str
    """`string`, `int`, `decimal`, …, `array`, `map`, `struct`."""
    precision: int = 0
    scale: int = 0
    element: "Shape | None" = None
    """Of arrays and of the values of maps."""
    key: "Shape | None" = None
    fields: tuple["Field", ...] = ()


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a struct; `column` where the contract describes it, rather than its type alone."""

    name: str
    shape: Shape
    column: Column | None = None


def shape_of(column: Column) -> Shape:
    """The shape of a column, or of a field that the contract describes."""
    return _shape(exp.DataType.build(column.type, dialect="spark"), column.children)


def _shape(kind: exp.DataType, children: Sequence[Column]) -> Shape:
    name = kind.sql(dialect="spark").lower().partition("<")[0].partition("(")[0]
    inner = list(kind.expressions)
    if name == "array":
        return Shape(name, element=_shape(inner[0], children))
    if name == "map":
        return Shape(name, key=_shape(inner[0], ()), element=_shape(inner[1], children))
    if name == "struct" and children:
        return Shape(name, fields=tuple(Field(child.name, shape_of(child), child) for child in children))
    if name == "struct":
        return Shape(name, fields=tuple(Field(field.name, _shape(field.args["kind"], ())) for field in inner))
    if name == "decimal":
        precision, scale = (int(part.name) for part in inner)
        return Shape(name, precision, scale)
    return Shape(name)
