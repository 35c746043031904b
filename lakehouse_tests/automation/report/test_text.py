from datetime import UTC, datetime, timedelta

from lakehouse.automation.report.text import age, limits, number, plural, points, span


def test_numbers() -> None:
    assert [number(n) for n in (0, 12345, 0.12549, 7.25, 123.456, 4596039.58, None, -3)] == [
        "0", "12,345", "0.125", "7.25", "123.5", "4,596,040", "–", "-3",
    ]  # fmt: skip


def test_spans() -> None:
    assert span(timedelta(hours=24)) == "24 hours"
    assert span(timedelta(hours=36)) == "36 hours"
    assert span(timedelta(days=7)) == "7 days"
    assert span(timedelta(days=365)) == "1 year"
    assert span(timedelta(minutes=90)) == "1.5 hours"
    assert span(None) == "–"


def test_a_score_is_rounded_down() -> None:
    assert (points(99.97), points(100.0), points(None)) == ("99", "100", "–")


def test_plurals() -> None:
    assert (plural(1, "batch"), plural(2, "batch"), plural(0, "file")) == ("1 batch", "2 batches", "0 files")


def test_ages() -> None:
    now = datetime(2025, 3, 9, 12, tzinfo=UTC)
    ages = [age(now - gone, now) for gone in (timedelta(minutes=5), timedelta(hours=47), timedelta(days=9, hours=3))]
    assert ages == ["less than an hour", "47 hours", "9 days"]
    assert age(None, now) == "–"


def test_the_numbers_of_a_threshold() -> None:
    for threshold, expected in (
        ("0", (0,)),
        ("0 (blocks above 758, 5 % of the batch)", (758,)),
        ("0 % (blocks above 5 %)", (5,)),
        ("<= 24 hours", (24,)),
        ("between 1 and 2.5 %", (1, 2.5)),
        (">= 1,000", (1000,)),
        ("0 records for more than 7 days", (0,)),
        ("0 failing rows", (0,)),
        ("avg(x) > -3", (-3,)),
        ("nothing unusual", ()),
    ):
        assert limits(threshold) == expected, threshold
