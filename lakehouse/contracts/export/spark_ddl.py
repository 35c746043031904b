"""A relation of silver as a statement that creates a Delta table of the same shape, for tests and copies elsewhere."""

from lakehouse.contracts.export.shape import Relation
from lakehouse.contracts.model import Column
from lakehouse.contracts.spark_sql import identifier, text_literal


def spark_ddl(relation: Relation) -> str:
    """The statement, with a `;` at its end; it creates nothing where the table exists."""
    contract = relation.contract
    columns = ",\n    ".join(map(_column, relation.columns))
    properties = {"contract.id": contract.id, "contract.version": contract.version, "contract.owner": contract.owner}
    told = ", ".join(f"{text_literal(name)} = {text_literal(value)}" for name, value in properties.items())
    name = ".".join(map(identifier, relation.name.split(".")))
    return (
        f"create table if not exists {name} (\n    {columns}\n)\nusing delta\n"
        f"comment {text_literal(relation.description)}\ntblproperties ({told});\n"
    )


def _column(column: Column) -> str:
    parts = [identifier(column.name), column.type]
    if column.required:
        parts.append("not null")
    if column.description:
        parts.append(f"comment {text_literal(column.description)}")
    return " ".join(parts)
