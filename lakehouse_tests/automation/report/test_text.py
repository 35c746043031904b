from datetime import timedelta

from lakehouse.automation.report.text import number, plural, points, span


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
