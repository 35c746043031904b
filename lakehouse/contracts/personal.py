"""Whether a column's name or its values look like personal data. Pure functions; a value is looked at, never kept."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lakehouse.contracts.model import Mask

HIDDEN = "•••"
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_PHONE = re.compile(r"(\+\d[\d ().-]{6,}|\(?\d{2,4}\)?[ .-]\d{2,4}[ .-]?\d{2,6}([ .-]\d{2,6})?)")
_LIKE_A_TIME = re.compile(r"(19|20)\d{2}[-/.]\d{1,2}[-/.]\d{1,2}.*|\d{1,2}[-/.]\d{1,2}[-/.](19|20)\d{2}.*")
_CARD = re.compile(r"[3-6]\d{3}([ -]?\d{4}){2}[ -]?\d{1,7}|3\d{3}[ -]?\d{6}[ -]?\d{5}")
_ADDRESS = re.compile(
    r"(?i)\d{1,5}[a-z]?,? +(?:[\w.'-]+ +){1,4}(?:street|st|avenue|ave|road|rd|boulevard|blvd|lane|ln|drive|dr|court|"
    r"ct|square|sq|way|place|pl|terrace|highway|hwy)\b.*"
    r"|[\w .'-]{2,60}?(?:stra(?:ß|ss)e|str\.|weg|allee|platz|gasse) +\d{1,4} ?[a-z]?(?:,.*)?"
    r"|\d{1,4},? +(?:rue|avenue|boulevard|place|quai|via|calle) .+"
)
_FULL_NAME = re.compile(r"[^\W\d_][\w'’-]+,?(?: [^\W\d_][\w'’.-]*){1,3}")
_GIVEN_NAMES = (
    "james mary john patricia robert jennifer michael linda william elizabeth david barbara richard susan joseph jessica "
    "thomas sarah charles karen christopher lisa daniel nancy matthew betty anthony sandra mark margaret donald ashley "
    "steven kimberly paul emily andrew donna joshua michelle kenneth carol kevin amanda brian melissa george deborah "
    "edward stephanie ronald rebecca timothy laura jason sharon jeffrey cynthia ryan kathleen jacob amy gary angela "
    "nicholas anna eric jane peter maria hans jose juan luis carlos ana ahmed mohamed muhammad fatima ali wei li chen "
    "pierre marie jean luca giulia marco sofia lena jan lukas felix julia katharina klaus stefan olga ivan elena yuki"
)
"""Common given names of several languages: a fifth of the people of a table bear one of them, and few products do."""
_GIVEN = frozenset(_GIVEN_NAMES.split())

_NAMES: tuple[tuple[str, tuple[str, ...], Mask], ...] = (
    ("e-mail address", ("email", "e_mail", "mail"), "hash"),
    (
        "official number",
        ("ssn", "social_security", "passport", "iban", "tax_number", "national_id", "card_number", "license_number"),
        "hash",
    ),
    ("phone number", ("phone", "mobile", "telephone", "fax", "cell", "tel"), "redact"),
    ("postal address", ("address", "street", "postal_address", "addr"), "redact"),
    (
        "name of a person",
        ("first_name", "last_name", "firstname", "lastname", "surname", "full_name", "fullname", "given_name"),
        "partial",
    ),
    (
        "name of a person",
        ("family_name", "middle_name", "forename", "maiden_name", "contact_name", "username"),
        "partial",
    ),
    ("date of birth", ("birth", "birthday", "birthdate", "dob", "date_of_birth"), "redact"),
    ("place of a device", ("ip", "ip_address", "latitude", "longitude"), "hash"),
)
_WORDS_FOR_PEOPLE = (
    "customer user person people employee member patient student client contact passenger guest driver owner author "
    "subscriber staff applicant teacher player citizen child"
)
_PEOPLE = frozenset(_WORDS_FOR_PEOPLE.split())
_OF_A_THING = ("count", "type", "model", "status", "sent", "opened", "verified", "flag", "category", "total")
"""`email_count` and `phone_model` are about e-mails and phones, not a person's own."""


@dataclass(frozen=True, slots=True)
class Personal:
    """What kind of personal data a column seems to hold, the mask that would suit it, and what makes it seem so."""

    kind: str
    mask: Mask
    why: str


def personal(name: str, present: Sequence[str], table: str) -> Personal | None:
    """What a column of that (snake case) name, with these values, seems to hold about people; None: nothing.

    A name tells by itself; values tell where at least half of them look alike.
    """
    return _by_name(name, table) or _by_values(present)


def is_personal(value: str) -> bool:
    """Whether a single value is not to be shown, whatever its column is: it holds an address to write, call or bill to.
    Stricter than `personal`, since nothing stands beside it: a local phone number or a name is not seen."""
    return bool(
        re.search(r"[\w.+-]+@[\w-]+\.\w", value)
        or re.search(r"\+\d[\d ().-]{7,}\d", value)
        or any(_is_card(found.group()) for found in re.finditer(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)", value))
    )


def safe(text: str) -> str:
    """A single text as people may see it: a value, or the name of a field that a source made up. Where a header line is lost, or a
    map has addresses for its keys, names are somebody's data."""
    return HIDDEN if is_personal(text) else text


def _by_name(name: str, table: str) -> Personal | None:
    words = name.split("_")
    for kind, known, mask in _NAMES:
        for word in known:
            if word == name or word in words or ("_" in word and word in name):
                return Personal(kind, mask, "by its name") if words[-1] not in _OF_A_THING else None
    if "name" in words and (any(word in _PEOPLE for word in words) or (name == "name" and _of_people(table))):
        return Personal("name of a person", "partial", "by its name")
    return None


def _of_people(table: str) -> bool:
    return any(word.rstrip("s") in _PEOPLE or word in _PEOPLE for word in table.split("_"))


def _by_values(present: Sequence[str]) -> Personal | None:
    if not present:
        return None
    for kind, mask, looks_like in _VALUES:
        found = sum(map(looks_like, present))
        if found * 2 >= len(present):
            if kind == "name of a person" and not _are_names(present):
                continue
            return Personal(kind, mask, f"{found / len(present):.0%} of its values look like one")
    return None


def _is_email(value: str) -> bool:
    return bool(_EMAIL.fullmatch(value))


def _is_card(value: str) -> bool:
    """By its form and its check digit (Luhn, ISO/IEC 7812-1)."""
    if not _CARD.fullmatch(value):
        return False
    digits = [int(sign) for sign in reversed(value) if sign.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _is_phone(value: str) -> bool:
    is_like = _PHONE.fullmatch(value) and 7 <= sum(map(str.isdigit, value)) <= 15
    return bool(is_like) and not _LIKE_A_TIME.fullmatch(value)


def _is_address(value: str) -> bool:
    return len(value) <= 200 and bool(_ADDRESS.fullmatch(value))


def _is_full_name(value: str) -> bool:
    return len(value) <= 60 and bool(_FULL_NAME.fullmatch(value))


def _are_names(present: Sequence[str]) -> bool:
    """Words in capitals may be products, too: given names must be among them."""
    firsts = (set(re.split(r"[ ,]+", value.lower())) for value in present)
    return sum(not words.isdisjoint(_GIVEN) for words in firsts) * 5 >= len(present)


_VALUES: tuple[tuple[str, Mask, Callable[[str], bool]], ...] = (
    ("e-mail address", "hash", _is_email),
    ("card number", "hash", _is_card),
    ("phone number", "redact", _is_phone),
    ("postal address", "redact", _is_address),
    ("name of a person", "partial", _is_full_name),
)
