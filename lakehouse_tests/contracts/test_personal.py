"""What looks like personal data, by name or by values; and what only resembles it."""

import pytest

from lakehouse.contracts.personal import is_personal, personal


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("e-mail address", ["jane@example.com", "john.doe@example.org", "unknown"]),
        ("card number", ["4111 1111 1111 1111", "5500000000000004", "378282246310005"]),
        ("phone number", ["+49 170 1234567", "(555) 123-4567", "555-123-4567"]),
        (
            "postal address",
            ["12 Main Street, Springfield", "1600 Pennsylvania Ave NW", "Lange Straße 12a", "5 rue Royale"],
        ),
        ("name of a person", ["Jane Doe", "John F. Kennedy", "Doe, Mary", "Wolfgang Petersen"]),
    ],
)
def test_values_tell(kind: str, values: list[str]) -> None:
    found = personal("field_7", values, "records")
    assert found is not None
    assert found.kind == kind
    assert "%" in found.why
    assert not any(value in repr(found) for value in values)


@pytest.mark.parametrize(
    "values",
    [
        ["2024-01-31", "2024-02-01 10:00"],
        ["o31198570044", "o31198570045"],
        ["31198570044", "4111111111111112"],  # the second's check digit is wrong
        ["Private Label", "National Brand", "Fresh Meat"],
        ["10.00", "12.50"],
        ["192.168.0.1", "10.0.0.1"],
        ["Type A", "Type B"],
        [],
    ],
)
def test_things_are_no_people(values: list[str]) -> None:
    assert personal("field_7", values, "records") is None


@pytest.mark.parametrize(
    ("name", "table", "mask"),
    [
        ("billing_email", "orders", "hash"),
        ("name", "customers", "partial"),
        ("name", "products", None),
        ("customer_name", "orders", "partial"),
        ("email_count", "orders", None),
        ("date_of_birth", "members", "redact"),
    ],
)
def test_names_tell(name: str, table: str, mask: str | None) -> None:
    found = personal(name, [], table)
    assert (found.mask if found else None) == mask


def test_single_values_are_hidden_that_lead_to_somebody() -> None:
    assert is_personal("please call +49 (170) 123 45 67 tomorrow")
    assert is_personal("mail jane@example.com")
    assert is_personal("card 4111-1111-1111-1111")
    assert not any(map(is_personal, ["o31198570044", "2024-01-31 10:00:00", "29.49", "user@", "1234567890123"]))
