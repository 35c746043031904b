"""Every condition on a single record that a contract implies: those it states, and those its types and keys mean."""

from dataclasses import replace

from lakehouse.contracts.model import Contract, RowRule

TYPE_SUFFIX = "type"
SEQUENCE_KNOWN = "sequence_known"


def row_rules(contract: Contract) -> tuple[RowRule, ...]:
    """The rules of a contract over the columns that `silver.parse` makes; each predicate passes on NULL.

    A record that deletes its row needs only its key and its place in the order, so the rules of other columns do not
    apply to it. Nor does a rule apply whose column the record leaves to the records before it (`_kept`): its value is not
    known here.
    """
    types = [
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
    needed = {*contract.keys, *contract.sequence}
    derived = [rule if rule.column in needed else _unless_deleted(rule, contract) for rule in types]
    derived.append(
        RowRule(
            name=SEQUENCE_KNOWN,
            predicate=_sequence_known(contract),
            dimension="completeness",
            description="What orders the versions of a row is known.",
            line=contract.line,
        )
    )
    stated = [
        rule if _is_of_key(rule, contract) else _unless_deleted(_unless_kept(rule, contract), contract)
        for rule in contract.rules
    ]
    return (*derived, *stated)


def _sequence_known(contract: Contract) -> str:
    count = len(contract.sequence) if contract.sequence and contract.delivery != "snapshot" else 1
    known = [f"_sequence.s{i} is not null" for i in range(count)]
    if contract.delivery in ("versions", "append"):  # NaN is greater than any number: nothing would ever be newer
        floating = [contract.column(name).type in ("double", "float") for name in contract.sequence]
        known += [f"not isnan(_sequence.s{i})" for i, is_floating in enumerate(floating) if is_floating]
    return " and ".join(known)


def _is_of_key(rule: RowRule, contract: Contract) -> bool:
    return bool(rule.columns) and set(rule.columns) <= set(contract.keys)


def _unless_deleted(rule: RowRule, contract: Contract) -> RowRule:
    if contract.delivery != "changes" and not contract.delete_when:
        return rule
    return replace(rule, predicate=f"_is_deleted or coalesce({rule.predicate}, true)")


def _unless_kept(rule: RowRule, contract: Contract) -> RowRule:
    kept = ", ".join(f"'{name}'" for name in rule.columns if name in contract.filled)
    if not kept:
        return rule
    return replace(rule, predicate=f"arrays_overlap(_kept, array({kept})) or coalesce({rule.predicate}, true)")
