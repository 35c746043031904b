"""Every condition on a single record that a contract implies: those it states, and those its types and keys mean."""

from lakehouse.contracts.model import Contract, RowRule

TYPE_SUFFIX = "type"


def row_rules(contract: Contract) -> tuple[RowRule, ...]:
    """The rules of a contract over the columns that `silver.parse` makes; each predicate passes on NULL.

    A record that says its row was deleted (delivery `changes`) carries only its key, so the stated rules of other
    columns do not apply to it.
    """
    derived = [
        RowRule(
            name=f"{column.name}_{TYPE_SUFFIX}",
            predicate=f"not array_contains(_type_errors, '{column.name}')",
            column=column.name,
            columns=(column.name,),
            dimension="validity",
            description=f"{column.name} can be read as {column.type}.",
            line=column.line,
        )
        for column in contract.columns
        if column.type != "string"
    ]
    derived.append(
        RowRule(
            name="sequence_known",
            predicate=_sequence_known(contract),
            dimension="completeness",
            description="What orders the versions of a row is known.",
            line=contract.line,
        )
    )
    stated = [rule if _is_of_key(rule, contract) else _unless_deleted(rule, contract) for rule in contract.rules]
    return (*derived, *stated)


def _sequence_known(contract: Contract) -> str:
    count = len(contract.sequence) if contract.sequence and contract.delivery != "snapshot" else 1
    return " and ".join(f"_sequence.s{i} is not null" for i in range(count))


def _is_of_key(rule: RowRule, contract: Contract) -> bool:
    return bool(rule.columns) and set(rule.columns) <= set(contract.keys)


def _unless_deleted(rule: RowRule, contract: Contract) -> RowRule:
    if contract.delivery != "changes":
        return rule
    from dataclasses import replace

    return replace(rule, predicate=f"_is_deleted or coalesce({rule.predicate}, true)")
