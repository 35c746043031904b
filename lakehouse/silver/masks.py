"""How personal data is shown to people: SQL expressions that mask a value, or a whole record."""

import json
import re

from lakehouse.contracts.model import Column, Contract, Mask
from lakehouse.contracts.personal import HIDDEN
from lakehouse.storage.tables import literal

KEYS_TABLE = "vault.mask_keys"
"""Holds the one key of all keyed hashes. The text of a view names this table, never the key."""

REDACTED = HIDDEN


def mask(expression: str, how: Mask, is_text: bool = True) -> str:
    """SQL that masks the value of `expression`; NULL stays NULL.

    - `hash`: a keyed SHA-256 (HMAC-like: the key on both sides), equal for equal values, so that it still joins.
    - `partial`: the first character, and of an e-mail address the domain.
    - `redact`: nothing of the value.
    """
    text = expression if is_text else f"cast({expression} as string)"
    if how == "hash":
        key = f"(select max(mask_key) from {KEYS_TABLE})"
        return f"if({expression} is null, null, sha2(concat({key}, sha2(concat({key}, {text}), 256)), 256))"
    if how == "partial":
        return (
            f"case when {expression} is null then null "
            f"when {text} like '%@%' then concat(left({text}, 1), '{REDACTED}@', substring_index({text}, '@', -1)) "
            f"else concat(left({text}, 1), '{REDACTED}') end"
        )
    return f"if({expression} is null, null, '{REDACTED}')"


def masked_column(column: Column, expression: str) -> str:
    """SQL for a column as people may see it: masked where the contract classifies it as personal data."""
    if column.classification != "pii":
        return expression
    return mask(expression, column.mask or "redact", column.type == "string")


def masked_record(contract: Contract, record: str = "record", disposition: str = "disposition") -> str:
    """SQL for a raw record as people may see it; NULL stays NULL.

    Where a table has personal data, its values are blotted out of a JSON record that could be read; of any other
    record nothing is shown, because nobody knows where in it the personal data stands.
    """
    if not contract.pii_columns:
        return record
    if contract.format != "json":
        hidden = literal(f"{REDACTED} (a record with personal data)")
        return f"if({record} is null, null, {hidden})"
    names = "|".join(_spellings(column.source_name) for column in contract.pii_columns)
    value = f"(?!null\\b)(?:{_TEXT}|{_nested(_DEEPEST)}|{_BARE})"
    pair = f'(?i)("(?:{names})"\\s*:\\s*){value}'
    blotted = f"regexp_replace({record}, {literal(pair)}, {literal(_INSTEAD)})"
    # What is left over by the pattern (nested deeper, JSON inside a string, a name in escapes) hides the whole record.
    left = f'(?i)"(?:{names})\\\\*"\\s*:\\s*+(?!"{REDACTED}"|null\\b)|"[^"]*\\\\u00[2-7][^"]*"\\s*:'
    hidden = literal(f"{REDACTED} (an unreadable record of a table with personal data)")
    unclear = literal(f"{REDACTED} (a record whose personal data cannot be told apart)")
    return (
        f"case when {disposition} = 'rejected' then {hidden} "
        f"when {blotted} rlike {literal(left)} then {unclear} else {blotted} end"
    )


# Pieces of JSON as patterns; possessive, so that a long value neither backtracks nor overflows the stack.
_TEXT = r'"(?:[^"\\]++|\\.)*+"'
_BARE = r'[^\s,\[\]{}"]++'
_DEEPEST = 4
_INSTEAD = f'$1"{REDACTED}"'


def _nested(depth: int) -> str:
    """A pattern of arrays and objects that hold others up to that depth."""
    inside = rf'[^\[\]{{}}"]++|{_TEXT}' + (f"|{_nested(depth - 1)}" if depth else "")
    return rf"[\[{{](?:{inside})*+[\]}}]"


def _spellings(name: str) -> str:
    """A column's name as JSON may write it: as it is, or with characters beyond ASCII escaped."""
    return "|".join(sorted({re.escape(name), re.escape(json.dumps(name)[1:-1])}))
