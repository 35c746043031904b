"""Rules that Spark itself refuses: an unknown function, a regular expression that Java does not read. A batch whose rules
cannot be asked is not taken; which rule it was, Spark does not say."""

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from lakehouse.contracts.model import Column, Contract, RowRule
from lakehouse.storage.tables import quote


class RefusedRuleError(Exception):
    """Rules of a contract cannot be evaluated on any record."""

    def __init__(self, contract: Contract, rules: list[tuple[RowRule, str]]) -> None:
        told = "; ".join(f"{contract.file.name}:{rule.line} {rule.name}: {said}" for rule, said in rules)
        super().__init__(
            f"{contract.silver_table}: Spark cannot evaluate what its contract asks of each record. Nothing was committed. "
            f"{told}. Correct it in {contract.file}, and run again."
        )


@contextmanager
def named(spark: SparkSession, contract: Contract) -> Iterator[None]:
    """Where what is done inside the block fails, and a rule of severity error does so on a record made up: RefusedRuleError,
    which names the rule and its line, instead."""
    try:
        yield
    except PySparkException as problem:
        if _refused(spark, contract, "true") is not None:
            raise  # nothing can be asked, as where the engine is gone
        asked = [rule for rule in contract.rules if rule.severity == "error"]
        found = [(rule, said) for rule in asked if (said := _refused(spark, contract, rule.predicate)) is not None]
        if not found:
            raise
        raise RefusedRuleError(contract, found) from problem


def _refused(spark: SparkSession, contract: Contract, predicate: str) -> str | None:
    """What Spark says of a predicate on a record made up; None where it can be evaluated."""
    record = ", ".join(
        f"cast({_made_up(column)} as {column.type}) as {quote(column.name)}" for column in contract.columns
    )
    try:
        spark.sql(f"select {predicate} from (select {record} from range(1))").collect()
    except PySparkException as problem:
        return next(iter(str(problem).splitlines()), "")
    return None


def _made_up(column: Column) -> str:
    if column.type in ("date", "timestamp"):
        return "'2000-01-01'"
    return "null" if column.type.startswith(("array<", "map<", "struct<")) else "'1'"
