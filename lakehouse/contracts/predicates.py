"""SQL that people write in contracts, parsed (not run) so that a wrong column is found before any data arrives."""

import re
from collections.abc import Iterable
from typing import cast

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from lakehouse.contracts.document import Document, Where
from lakehouse.contracts.model import Column
from lakehouse.contracts.problems import choose

_CLOCK = (exp.CurrentDate, exp.CurrentTimestamp, exp.CurrentTime, exp.CurrentDatetime, exp.Rand, exp.Randn, exp.Uuid)
_CLOCK_NAMES = {"now", "curdate", "rand", "randn", "random", "uuid", "shuffle", "monotonically_increasing_id"}
_MANY_ROWS = (exp.AggFunc, exp.Window, exp.Select, exp.Explode, exp.Posexplode, exp.Inline)
_SAMPLE = "table_under_audit"
_TEMPLATE = re.compile(r"\$\{\w*\}?")
"""What Spark or Soda would replace."""


def predicate_columns(
    document: Document, where: Where, predicate: str, columns: tuple[Column, ...], what: str = "a row rule"
) -> tuple[str, ...]:
    """The columns that the predicate of `what` reads. Problems: what is no predicate over one row of this table."""
    if found := _TEMPLATE.search(predicate):
        document.add(where, f"`{found.group()}` is unknown", "Write the value itself; ${column} is known at a column")
        return ()
    tree = _parse_part(document, where, predicate)
    if tree is None:
        return ()
    if not isinstance(tree, exp.Condition):
        document.add(where, f"{what} is a condition, not a statement", "Write what must be true of each row")
        return ()
    for node in tree.find_all(*_MANY_ROWS):  # also finds subqueries
        remedy = "Use an entry of type sql or engine soda for what concerns many rows"
        document.add(where, f"{what} sees one row, and `{_shown(node.sql(dialect='spark'))}` needs more", remedy)
        break
    for node in tree.find_all(exp.Func):
        if isinstance(node, _CLOCK) or (isinstance(node, exp.Anonymous) and node.name.lower() in _CLOCK_NAMES):
            remedy = "Compare columns with each other or with a literal: a replay must give the same answer"
            document.add(where, f"`{_shown(node.sql(dialect='spark'))}` changes from run to run", remedy)
    if not any(tree.find_all(exp.Column)):
        document.add(where, "the condition reads no column", "Name the columns that it is about")
    return _check_columns(document, where, tree, columns)


def check_query(document: Document, where: Where, query: str, columns: tuple[Column, ...]) -> None:
    """Record what is wrong with a query over `${table}`."""
    if "${table}" not in query:
        document.add(where, "the query does not read `${table}`", "Write `FROM ${table}`")
        return
    if left := _TEMPLATE.search(query.replace("${table}", "")):
        document.add(where, f"`{left.group()}` is unknown", "Use ${table}, and at a column ${column}")
        return
    tree = _parse(document, where, query.replace("${table}", _SAMPLE))
    if tree is None:
        return
    if not isinstance(tree, exp.Query):
        document.add(where, "the query is no SELECT", "Write a SELECT that returns one number")
        return
    if len(tree.selects) != 1 or tree.is_star:
        remedy = "Select one number; write an entry for each of several"
        document.add(
            where, f"the query returns {'all columns' if tree.is_star else f'{len(tree.selects)} columns'}", remedy
        )
        return
    tables = [table.name for table in tree.find_all(exp.Table)]
    if tables == [_SAMPLE] and not list(tree.find_all(exp.Subquery, exp.CTE)):
        aliases = {alias.alias for alias in tree.find_all(exp.Alias, exp.TableAlias)} | {_SAMPLE}
        _check_columns(document, where, tree, columns, aliases)


def check_aggregate(document: Document, where: Where, sql: str, columns: tuple[Column, ...]) -> None:
    """Record why an expression is not one number over the rows of this table."""
    tree = _parse_part(document, where, sql)
    if tree is None:
        return
    if any(tree.find_all(exp.Select)):
        document.add(where, "an expression reads no other rows", "Write an entry of type sql")
        return
    aggregates = (exp.AggFunc, exp.Anonymous)  # a function that sqlglot does not know may be one
    if not any(tree.find_all(*aggregates)):
        document.add(
            where, f"`{_shown(sql)}` is not one number over all rows", "Write an aggregate, such as `avg(price)`"
        )
    for column in tree.find_all(exp.Column):
        if not column.find_ancestor(*aggregates):
            document.add(where, f"`{column.sql(dialect='spark')}` has a value in each row", "Put it into an aggregate")
    _check_columns(document, where, tree, columns)


def _parse_part(document: Document, where: Where, sql: str) -> exp.Expression | None:
    """The tree of SQL that becomes a part of a longer query, where a comment would swallow what follows it."""
    tree = _parse(document, where, sql)
    if tree is not None and any(token.comments for token in sqlglot.tokenize(sql, dialect="spark")):
        document.add(where, "the expression holds a comment", "Move it into `description:`, or behind a `#` of YAML")
        return None
    return tree


def _parse(document: Document, where: Where, sql: str) -> exp.Expression | None:
    try:
        trees = [tree for tree in sqlglot.parse(sql, dialect="spark") if tree is not None]
    except SqlglotError as error:
        errors = getattr(error, "errors", None)
        reason = errors[0]["description"] if errors else str(error).splitlines()[0]
        near = f" near `{errors[0]['highlight']}`" if errors and errors[0].get("highlight") else ""
        reason = re.sub(r" missing for <class .*?>", " missing", re.sub(r"\x1b\[\d*m", "", reason))
        document.add(where, f"this is not Spark SQL{near}: {reason}", "Mend the expression")
        return None
    if len(trees) != 1:
        document.add(where, f"{len(trees)} expressions are found", "Write exactly one, without `;`")
        return None
    return cast(exp.Expression, trees[0])


def _check_columns(
    document: Document, where: Where, tree: exp.Expression, columns: tuple[Column, ...], aliases: Iterable[str] = ()
) -> tuple[str, ...]:
    known = {column.name: column for column in columns}
    used: list[str] = []
    for node in tree.find_all(exp.Column):
        parts = [part.name for part in node.parts]
        if parts[0] in aliases and len(parts) > 1:
            parts = parts[1:]
        name = parts[0].lower()
        if name in aliases or parts[0] in aliases or parts == ["*"]:
            continue
        if name not in known:
            document.add(where, f"`{parts[0]}` is no column of this table", choose(name, known))
            continue
        used.append(name)
        _check_field(document, where, known[name], parts[1:])
    for function in tree.find_all(exp.Lambda):
        _check_lambda(document, where, function, known)
    return tuple(name for name in known if name in used)


def _check_field(document: Document, where: Where, column: Column, path: list[str]) -> None:
    fields = {child.name for child in column.children}
    if path and fields and path[0].lower() not in fields:
        document.add(where, f"`{path[0]}` is no field of {column.name}", choose(path[0], sorted(fields)))


def _check_lambda(document: Document, where: Where, function: exp.Lambda, known: dict[str, Column]) -> None:
    """Check `x.field` inside `forall(array, x -> …)` against the fields of the array's elements."""
    owner = function.parent
    if owner is None:
        return
    arrays = [node.name.lower() for node in owner.iter_expressions() if isinstance(node, exp.Column)]
    fields = {child.name for name in arrays if name in known for child in known[name].children}
    parameters = {parameter.name for parameter in function.expressions}
    if not fields:
        return
    for node in function.this.find_all(exp.Dot):
        if isinstance(node.this, exp.Identifier) and node.this.name in parameters:
            if node.expression.name.lower() not in fields:
                remedy = choose(node.expression.name, sorted(fields))
                document.add(where, f"`{node.expression.name}` is no field of {', '.join(arrays)}", remedy)


def _shown(sql: str) -> str:
    return sql if len(sql) <= 60 else f"{sql[:59]}…"
