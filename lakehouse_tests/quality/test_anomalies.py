"""Anomalies of a day, by what its profile says beside those of the days before."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.quality.anomalies import Verdict, judge
from lakehouse.quality.profiles import Figures, Profile, from_rows, rows_of, sample_bits, thinned, together

START = date(2025, 3, 3)
DAY = START + timedelta(days=69)


def profile(rng: np.random.Generator, day: date, size: float = 1.0) -> Profile:
    rows = int(rng.poisson(1000 * size * (1.4 if day.weekday() > 4 else 1.0)))
    kinds = rng.multinomial(rows, [0.7, 0.25, 0.05])
    amount = 30 * float(np.exp(rng.normal(0, 0.03)))
    bits = sample_bits(rows)
    return Profile(
        rows=rows,
        columns={
            "id": Figures(0, distinct=rows),
            "kind": Figures(0, distinct=3, categories=dict(zip(("new", "paid", "lost"), kinds.tolist(), strict=True))),
            "note": Figures(int(rng.binomial(rows, 0.3)), distinct=500 + float(rng.normal(0, 20))),
            "amount": Figures(
                0, distinct=600, mean=amount, spread=35, quantiles=tuple(amount * q for q in (0.1, 0.4, 0.7, 1.3, 3))
            ),
            "net": Figures(0, distinct=600, mean=amount * 0.8 * float(np.exp(rng.normal(0, 0.005))), spread=28),
        },
        first_arrival=1 + float(rng.normal(0, 0.02)),
        last_arrival=24 + float(rng.normal(0, 0.02)),
        sample=thinned((int(value) for value in rng.integers(0, 2**62, rows)), bits),
        sample_bits=bits,
    )


def history(seed: int = 0) -> dict[date, Profile]:
    rng = np.random.default_rng(seed)
    return {(day := START + timedelta(days=n)): profile(rng, day) for n in range(70)}


def kinds(days: dict[date, Profile], **options: Any) -> set[tuple[str, str | None]]:
    return {(one.kind, one.column) for one in judge(days, DAY, **options).anomalies}


def column(of: Profile, name: str, **changes: Any) -> Profile:
    return replace(of, columns={**of.columns, name: replace(of.columns[name], **changes)})


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_a_usual_day_is_not_told_of(seed: int) -> None:
    assert judge(history(seed), DAY).anomalies == ()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda day: replace(day, rows=day.rows // 2), ("volume", None)),
        (lambda day: replace(day, rows=day.rows * 2), ("volume", None)),
        (lambda day: column(day, "note", nulls=day.columns["note"].nulls + day.rows // 10), ("nulls", "note")),
        (lambda day: column(day, "id", nulls=day.rows // 20), ("nulls", "id")),
        (lambda day: column(day, "note", nulls=day.rows, distinct=0), ("schema", "note")),
        (lambda day: column(day, "note", distinct=60), ("distinct", "note")),
        (lambda day: column(day, "amount", mean=day.columns["amount"].mean * 1.2), ("mean", "amount")),
        (lambda day: column(day, "net", mean=-5.0), ("mean", "net")),
        (lambda day: column(day, "amount", quantiles=(3, 3, 40, 80, 90)), ("mean", "amount")),
        (lambda day: column(day, "kind", categories={"new": day.rows - 300, "paid": 300}), ("category", "kind")),
        (lambda day: column(day, "kind", categories={**day.columns["kind"].categories, "odd": 30}), ("category", "kind")),
        (lambda day: column(day, "kind", categories={"new": 400, "paid": 500, "lost": 60}), ("category", "kind")),
        (lambda day: replace(day, unknown=frozenset({"colour"})), ("schema", "colour")),
        (lambda day: replace(day, first_arrival=4.0, last_arrival=27.0), ("arrival", None)),
    ],
)  # fmt: skip
def test_what_is_not_usual_is_named(change: Callable[[Profile], Profile], expected: tuple[str, str | None]) -> None:
    for seed in range(3):
        days = history(seed)
        days[DAY] = change(days[DAY])
        found = {(kind if kind != "distribution" else "mean", of) for kind, of in kinds(days)}
        assert expected in found
        assert len(found) <= 2, found
        ignored = kinds(days, ignore=[expected[1]])
        assert expected not in ignored or expected[1] is None


def test_a_distance_is_expected_to_be_at_most_something() -> None:
    days = history(0)
    days[DAY] = column(days[DAY], "kind", categories={"new": 100, "paid": 400, "lost": 500})
    (told,) = [
        one.expected for one in judge(days, DAY).anomalies if one.what.startswith("distance of the shares of kind")
    ]
    assert re.fullmatch(r"0\.0\d+ \(at most 0\.\d+\)", told), told  # no limit below, which would be less than none


def test_a_day_that_repeats_an_earlier_one_is_named_and_a_snapshot_is_not() -> None:
    days = history()
    earlier = days[DAY - timedelta(days=3)]
    for again in (earlier, together(days[DAY], earlier)):
        found = judge({**days, DAY: again}, DAY).anomalies
        one = next(one for one in found if one.kind == "repeated")
        assert str(DAY - timedelta(days=3)) in one.what
    same = {day: replace(one, sample=earlier.sample, sample_bits=earlier.sample_bits) for day, one in days.items()}
    assert kinds(same) == set()


def test_a_past_incident_is_forgotten_and_the_next_one_is_not_hidden_by_it() -> None:
    days = history()
    for back in (1, 2, 3, 20, 21):
        day = DAY - timedelta(days=back)
        days[day] = profile(np.random.default_rng(back), day, size=0.5)
    assert kinds(days) == set()
    days[DAY] = profile(np.random.default_rng(0), DAY, size=0.5)
    assert kinds(days) == {("volume", None)}


def test_a_shift_too_small_for_a_day_is_found_where_it_lasts() -> None:
    rng = np.random.default_rng(5)
    days = history()
    noisy = {day: float(30 * np.exp(rng.normal(0, 0.08))) for day in days}
    days = {day: replace(one, columns={"amount": Figures(0, mean=noisy[day], spread=35)}) for day, one in days.items()}

    def shifted(lasting: int) -> dict[date, Profile]:
        late = {day: one for day, one in days.items() if (DAY - day).days < lasting}
        return {**days, **{day: column(one, "amount", mean=noisy[day] * 1.25) for day, one in late.items()}}

    assert kinds(shifted(1)) == set()
    assert kinds(shifted(6)) == {("mean", "amount")}


def test_silence_says_why() -> None:
    days = history()
    short = {day: one for day, one in days.items() if (DAY - day).days < 20}
    told = judge(short, DAY)
    assert told == Verdict(DAY, (), told.silent)
    assert "19 day(s)" in told.silent and "28 days" in told.silent
    assert "no day" in judge({DAY: days[DAY]}, DAY).silent
    partial = {day: replace(one, is_partial=True) for day, one in days.items()}
    assert "no day" in judge(partial, DAY).silent


def test_a_running_day_is_judged_for_what_can_be_said() -> None:
    days = history()
    days[DAY] = replace(days[DAY], rows=40, first_arrival=5.0, last_arrival=5.0, unknown=frozenset({"colour"}))
    assert kinds(days, is_complete=False) == {("arrival", None), ("schema", "colour")}


def test_on_a_special_day_only_what_needs_no_usual_business_is_judged() -> None:
    days = history()
    earlier = days[DAY - timedelta(days=3)]
    few = column(replace(days[DAY], rows=60), "note", nulls=55, distinct=4)
    few = column(few, "kind", categories={"new": 5, "lost": 50, "odd": 5})
    few = column(column(few, "amount", mean=90.0, quantiles=(20, 40, 80, 150, 400)), "net", mean=20.0)
    few = replace(few, sample=earlier.sample, sample_bits=earlier.sample_bits, unknown=frozenset({"colour"}))
    days[DAY] = replace(few, first_arrival=4.0, last_arrival=27.0)
    as_any = judge(days, DAY)
    assert {one.kind for one in as_any.anomalies} > {"volume", "nulls", "repeated", "mean"} and not as_any.special
    told = judge(days, DAY, special={DAY: "Thanksgiving"})
    assert {(one.kind, one.column) for one in told.anomalies} == {
        ("schema", "colour"),
        ("category", "kind"),
        ("arrival", None),
    }
    assert {one.what for one in told.anomalies if one.kind == "category"} == {"value 'odd' of kind"}
    assert told.special == "Thanksgiving" and not told.silent
    assert told.reservation == (
        f"{DAY} is Thanksgiving: only unknown fields, new values and times of arrival are judged."
    )
    assert as_any.reservation == ""
    assert "no day to learn from" in judge({DAY: days[DAY]}, DAY, special={DAY: "Thanksgiving"}).reservation


def test_a_day_is_not_held_against_special_days() -> None:
    days = history()
    off = {DAY - timedelta(days=n): "Stocktaking" for n in range(1, 9)}
    for day in off:
        days[day] = profile(np.random.default_rng(day.day), day, size=0.2)
    assert kinds(days, special=off) == set()
    days[DAY] = profile(np.random.default_rng(0), DAY, size=0.2)
    assert kinds(days) == set(), "what lasts for a week is the new level"
    assert kinds(days, special=off) == {("volume", None)}, "it is held against the days before"


def test_what_a_special_day_brought_is_known_later() -> None:
    days = history()
    off = DAY - timedelta(days=5)
    days[off] = replace(column(days[off], "kind", categories={"odd": 900}), unknown=frozenset({"colour"}))
    days[DAY] = column(
        replace(days[DAY], unknown=frozenset({"colour"}), sample=days[off].sample, sample_bits=days[off].sample_bits),
        "kind",
        categories={"new": 670, "paid": 240, "lost": 50, "odd": 12},
    )
    found = judge(days, DAY, special={off: "Thanksgiving"}).anomalies
    assert {(one.kind, one.what) for one in found} == {("repeated", f"records that had arrived on {off} already")}


def test_special_days_do_not_count_as_days_to_learn_from() -> None:
    days = history()
    off = {day: "Closed" for day in days if (DAY - day).days > 7}
    told = judge(days, DAY, special=off)
    assert told.silent.startswith(f"7 usual day(s) since {DAY - timedelta(days=7)} to learn from; ")


def test_small_and_sparse_feeds_are_judged_by_what_chance_does_to_them() -> None:
    rng = np.random.default_rng(1)
    few = {START + timedelta(days=n): Profile(rows=int(rng.poisson(3))) for n in range(70)}
    told = [judge(few, day) for day in list(few)[40:]]
    assert not any(verdict.anomalies for verdict in told)
    assert judge({**few, DAY: Profile(rows=40)}, DAY).anomalies[0].kind == "volume"
    weekly = {START + timedelta(weeks=n): Profile(rows=1000 + n) for n in range(12)}
    last = START + timedelta(weeks=12)
    assert judge({**weekly, last: Profile(rows=500)}, last).anomalies[0].kind == "volume"
    assert not judge({**weekly, last: Profile(rows=1010)}, last).anomalies


def test_sensitivity_decides_how_sure_one_must_be() -> None:
    days = history()
    days[DAY] = column(days[DAY], "note", nulls=int(days[DAY].rows * 0.37))
    assert [bool(kinds(days, sensitivity=name)) for name in ("low", "normal", "high")] == [False, False, True]
    sentence = judge(days, DAY, sensitivity="high").anomalies[0].sentence
    assert sentence.startswith("share of nulls in note: expected 30.") and "% sure" in sentence


def test_profiles_of_two_parts_add_up_and_survive_their_table() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(5, 2, 300)

    def of(part: np.ndarray, kinds_: dict[str, int], **more: Any) -> Profile:
        figures = Figures(2, distinct=9, mean=float(part.mean()), spread=float(part.std()), quantiles=(1, 2, 3, 4, 5))
        return Profile(len(part) + 2, {"n": figures, "k": Figures(0, categories=kinds_)}, **more)

    one = of(values[:100], {"a": 102}, first_arrival=2.0, last_arrival=3.0, sample=frozenset({8, 3}))
    other = of(values[100:], {"a": 2, "b": 200}, first_arrival=1.0, last_arrival=9.0, unknown=frozenset({"x"}))
    whole = together(one, other)
    assert (whole.rows, whole.columns["n"].nulls, whole.unknown) == (304, 4, {"x"})
    assert whole.columns["n"].mean == pytest.approx(values.mean())
    assert whole.columns["n"].spread == pytest.approx(values.std())
    assert whole.columns["n"].distinct is None
    assert whole.columns["k"].categories == {"a": 104, "b": 200}
    assert (whole.first_arrival, whole.last_arrival) == (1.0, 9.0)
    assert (whole.sample, whole.sample_bits) == ({8}, 2)
    many = replace(other, columns={**other.columns, "k": Figures(0, categories={str(n): 1 for n in range(200)})})
    assert together(one, many).columns["k"].categories is None
    for each in (one, whole, replace(whole, is_partial=True), Profile(0)):
        assert from_rows(rows_of(each)) == each
