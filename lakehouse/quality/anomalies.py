"""Whether a day of a table is as its own past leads one to expect: named anomalies, each with how sure it is.

Every figure of the day's profile is held against `baselines.expect` of the same figure. An anomaly is both improbable
and large: improbable with all figures of the day taken together (Bonferroni), so that a table of many columns raises no
more false alarms than one of few, and large enough to matter. What a past incident did to a table counts for nothing; nor do
special days, of which one knows before they come that they will not be as usual (`calendar`).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from math import asin, comb, exp, log, pi, sin, sqrt
from types import MappingProxyType
from typing import Literal

import numpy as np

from lakehouse.quality.baselines import LEAST_DAYS, LEAST_FIGURES, WINDOW, Floats, expect, surprise
from lakehouse.quality.profiles import Days, Figures, Profile, thinned

Kind = Literal["volume", "nulls", "distinct", "mean", "distribution", "category", "schema", "repeated", "arrival"]
Sensitivity = Literal["low", "normal", "high"]

FALSE_ALARMS: Mapping[Sensitivity, float] = {"low": 0.0005, "normal": 0.005, "high": 0.05}
"""How probable it may be, at most, that a day without anomaly is told of: about once in so many days."""
LEAST_RECORDS = 30
"""Records that a day must have for its shares, means and distinct values to be judged."""
_LARGE_VOLUME, _LARGE_RATIO, _LARGE_DISTINCT = 0.25, 0.10, 0.25
_LARGE_SHARE, _LARGE_DRIFT, _LATE_HOURS = 0.02, 0.05, 1.0
"""The smallest changes that matter: of the number of records, a mean and the distinct values relative to what is expected;
of a share absolute; of a distribution (see `_drift`, `_divergence`); in hours."""
_DISTINCT_ERROR = 0.05
"""Of approx_count_distinct, relative, by default."""
_REPEATED_WITHIN, _REPEATED_LEAST = 35, 0.3
"""Days back to which a repetition is looked for; the share of a day's records from which it is one."""
_NEW_CATEGORY, _RARE = 0.01, 5
"""Share of the records, and records, that a value which is new must have, and that a value which is gone should have."""
_AT_MOST = 0.999
"""Nobody is surer."""


@dataclass(frozen=True)
class Anomaly:
    """One thing of a day that is not as expected."""

    kind: Kind
    column: str | None
    expected: str
    found: str
    probability: float
    """How sure: one less the probability that a day without anomaly would look so, or worse."""
    what: str
    """What was measured: `records`, `share of nulls in fulfilled_at`."""
    effect: float = field(default=0.0, compare=False)
    """How far off, in standard deviations."""

    @property
    def sentence(self) -> str:
        return f"{self.what}: expected {self.expected}, found {self.found} ({_percent(self.probability)} sure)."


@dataclass(frozen=True)
class Verdict:
    """What is to be said of one day of a table."""

    day: date
    anomalies: tuple[Anomaly, ...]
    silent: str = ""
    """Why the day was not judged, where it was not."""
    is_complete: bool = True
    """Whether the day was over; of a running day, only what can be said is judged."""
    special: str = ""
    """The name of the special day that it is; of one, only what does not depend on business being as usual is judged."""

    @property
    def reservation(self) -> str:
        """For a person: what was left out, and why; empty where nothing was."""
        if self.silent:
            return f"Nothing is said of {self.day}: {self.silent}."
        if self.special:
            return f"{self.day} is {self.special}: only unknown fields, new values and times of arrival are judged."
        return ""


_NO_DAYS: Mapping[date, str] = MappingProxyType({})


def judge(
    history: Days,
    day: date,
    *,
    is_complete: bool = True,
    ignore: Collection[str] = (),
    sensitivity: Sensitivity = "normal",
    special: Mapping[date, str] = _NO_DAYS,
) -> Verdict:
    """Judges one day of `history` by the days before it. Columns to `ignore` are left out; days that are partly unknown
    say nothing. Silent with fewer than LEAST_FIGURES days before it, or LEAST_DAYS since the first of them.

    `special`: day → name of the days on which business is not as usual. Figures are not held against theirs; fields, values and
    records that they brought are known. Of a special day itself no figure is judged but the times of arrival, and no
    repetition: where little is sold, what a source sends again is most of the day."""
    profile = history[day]
    known = [other for other in sorted(history) if other < day and not history[other].is_partial][-WINDOW:]
    past = [other for other in known if other not in special]
    if len(past) < LEAST_FIGURES or (day - past[0]).days < LEAST_DAYS:
        since = f"{len(past)} {'usual ' if len(past) < len(known) else ''}day(s) since {past[0]}" if past else "no day"
        need = f"{LEAST_FIGURES} days, over {LEAST_DAYS} days or more, are needed"
        return Verdict(day, (), f"{since} to learn from; {need}", is_complete)
    before, all_before = [history[other] for other in past], [history[other] for other in known]
    found = _schema(all_before, profile, ignore)
    series = _arrival(before, profile, is_complete)
    if day not in special:
        found += _repeated(known, all_before, day, profile)
        if is_complete and not profile.is_partial:
            series += _series(before, profile, ignore)
    found += _surprising(past, day, series, FALSE_ALARMS[sensitivity])
    return Verdict(day, tuple(_summed_up(found)), is_complete=is_complete, special=special.get(day, ""))


# --- figures and how they are compared -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Scale:
    """A transformation under which a figure scatters alike, however large it is, and the way back."""

    to: Callable[[float], float]
    back: Callable[[float], float]
    text: Callable[[float], str]


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def _amount(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


# Anscombe's square root for counts and the angle for shares: the sampling variance is 1, or 1/n, whatever the figure.
_COUNT = _Scale(lambda x: 2 * sqrt(x + 0.375), lambda y: max(y / 2, 0) ** 2 - 0.375, lambda x: f"{max(x, 0):,.0f}")
_SHARE = _Scale(lambda p: 2 * asin(sqrt(p)), lambda y: sin(min(max(y, 0), pi) / 2) ** 2, _percent)
_RATIO = _Scale(log, exp, _amount)
_PLAIN = _Scale(lambda x: x, lambda y: y, _amount)
_ROOT = _Scale(sqrt, lambda y: max(y, 0) ** 2, _amount)
_HOURS = _Scale(lambda x: x, lambda y: y, lambda x: f"{int(x)}:{int(x % 1 * 60):02} h after the day began")


@dataclass(frozen=True)
class _Series:
    """One figure over the days before, and on the day in question; transformed, NaN where there is none."""

    kind: Kind
    column: str | None
    what: str
    scale: _Scale
    past: Sequence[float]
    noise: Sequence[float]
    now: float
    noise_now: float
    is_large: Callable[[float, float], bool]
    """(expected, found) → whether the difference matters."""
    is_one_sided: bool = False


def _surprising(past: Sequence[date], day: date, series: Sequence[_Series], tolerated: float) -> list[Anomaly]:
    if not series:
        return []
    ordinals = np.array([other.toordinal() for other in past], dtype=np.int64)
    figures = np.array([one.past for one in series], dtype=np.float64)
    noise = np.array([one.noise for one in series], dtype=np.float64)
    noise_now = np.array([one.noise_now for one in series], dtype=np.float64)
    expected = expect(ordinals, figures, noise, day.toordinal(), noise_now)
    asked = [i for i, one in enumerate(series) if np.isfinite(one.now) and np.isfinite(expected.value[i])]
    found = []
    for i in asked:
        one, value, scale = series[i], float(expected.value[i]), float(expected.scale[i])
        z = (one.now - value) / scale
        if one.is_one_sided and z < 0:
            continue
        probability = surprise(z, float(expected.freedom[i]), one.is_one_sided) * len(asked)
        usual, seen = one.scale.back(value), one.scale.back(one.now)
        if probability >= tolerated or not one.is_large(usual, seen):
            continue
        low, high = one.scale.back(value - 2 * scale), one.scale.back(value + 2 * scale)
        # What can only be too much has no lower limit: a distance below nought is none.
        within = (
            f"at most {one.scale.text(high)}"
            if one.is_one_sided
            else f"{one.scale.text(low)} to {one.scale.text(high)}"
        )
        told = f"{one.scale.text(usual)} ({within})"
        found.append(Anomaly(one.kind, one.column, told, one.scale.text(seen), _sure(probability), one.what, abs(z)))
    return found


def _sure(probability: float) -> float:
    return min(1 - probability, _AT_MOST)


def _series(before: Sequence[Profile], profile: Profile, ignore: Collection[str]) -> list[_Series]:
    series = [_volume(before, profile)]
    names = [name for name in profile.columns if name not in ignore]
    if profile.rows >= LEAST_RECORDS:
        for name in names:
            past, now = [_of(one, name) for one in before], profile.columns[name]
            rows = [one.rows for one in before]
            series.append(_nulls(name, rows, past, profile.rows, now))
            if now.distinct is not None:
                series.append(_distinct(name, rows, past, profile.rows, now))
            if now.mean is not None:
                series += _means(name, rows, past, profile.rows, now)
            if now.quantiles is not None:
                series += _distribution(name, past, now)
            if now.categories is not None:
                series += _categories(name, past, now)
        series += _relations(names, before, profile)
    return series


def _of(profile: Profile, name: str) -> Figures:
    """A column that was not there had no value."""
    return profile.columns.get(name, Figures(profile.rows))


def _volume(before: Sequence[Profile], profile: Profile) -> _Series:
    return _Series(
        "volume",
        None,
        "records",
        _COUNT,
        [_COUNT.to(one.rows) for one in before],
        [1.0] * len(before),
        _COUNT.to(profile.rows),
        1.0,
        lambda usual, seen: abs(seen - usual) >= _LARGE_VOLUME * max(usual, 1.0),
    )


def _nulls(name: str, rows: Sequence[int], past: Sequence[Figures], records: int, now: Figures) -> _Series:
    def share(figures: Figures, of: int) -> float:
        return _SHARE.to((figures.nulls + 0.375) / (of + 0.75))

    return _Series(
        "nulls",
        name,
        f"share of nulls in {name}",
        _SHARE,
        [share(one, n) if n else np.nan for one, n in zip(past, rows, strict=True)],
        [1 / sqrt(n + 0.5) for n in rows],
        share(now, records),
        1 / sqrt(records + 0.5),
        lambda usual, seen: abs(seen - usual) >= _LARGE_SHARE,
    )


def _distinct(name: str, rows: Sequence[int], past: Sequence[Figures], records: int, now: Figures) -> _Series:
    """Of a column with few repetitions relative to the records, whose number is judged by itself."""

    def known(figures: Figures, of: int) -> float:
        return figures.distinct / max(of - figures.nulls, 1) if figures.distinct and of >= LEAST_RECORDS else np.nan

    shares = [known(one, n) for one, n in zip(past, rows, strict=True)]
    is_relative = any(np.isfinite(shares)) and float(np.nanmedian(shares)) >= 0.3
    of_day = known(now, records)
    if not is_relative:
        shares = [one.distinct or np.nan if n >= LEAST_RECORDS else np.nan for one, n in zip(past, rows, strict=True)]
        of_day = now.distinct or np.nan
    return _Series(
        "distinct",
        name,
        f"distinct values of {name}" + (" to a record that has one" if is_relative else ""),
        _RATIO,
        [log(one) if one > 0 else np.nan for one in shares],
        [_DISTINCT_ERROR] * len(past),
        log(of_day) if of_day > 0 else np.nan,
        _DISTINCT_ERROR,
        lambda usual, seen: abs(seen / usual - 1) >= _LARGE_DISTINCT and (is_relative or abs(seen - usual) >= 2),
    )


def _means(name: str, rows: Sequence[int], past: Sequence[Figures], records: int, now: Figures) -> list[_Series]:
    """The mean of the day; and the median of the means of seven days, which shows what is too small for one day to show
    and lasts."""
    known = [*(one.mean for one in past if one.mean is not None), now.mean or 0.0]
    is_positive = min(known) > 0
    scale = _RATIO if is_positive else _PLAIN
    spread = float(np.median([one.spread or 0.0 for one in past if one.mean is not None] or [0.0]))

    def noise(figures: Figures, of: int) -> float:
        error = (figures.spread or 0.0) / sqrt(max(of - figures.nulls, 1))
        return error / (figures.mean or 1.0) if is_positive else error

    def is_large(usual: float, seen: float) -> bool:
        return abs(seen - usual) >= (_LARGE_RATIO * usual if is_positive else 0.1 * spread)

    figures = [scale.to(one.mean) if one.mean is not None else np.nan for one in past]
    of_day = scale.to(now.mean) if now.mean is not None else np.nan
    errors = [noise(one, n) for one, n in zip(past, rows, strict=True)]
    series = [_Series("mean", name, f"mean of {name}", scale, figures, errors, of_day, noise(now, records), is_large)]
    weeks = (
        np.lib.stride_tricks.sliding_window_view([*figures, of_day], 7) if len(past) >= LEAST_DAYS else np.empty((0, 7))
    )
    if len(weeks) and np.isfinite(weeks[-1]).all():
        medians = np.median(weeks, axis=1)
        # None of the days behind an earlier median is one of the seven.
        earlier = [np.nan] * 6 + medians[:-7].tolist() + [np.nan] * 6
        what = f"median of the means of {name} on the last seven days with records"
        series.append(_Series("mean", name, what, scale, earlier, [0.0] * len(past), float(medians[-1]), 0.0, is_large))
    return series


def _relations(names: Sequence[str], before: Sequence[Profile], profile: Profile) -> list[_Series]:
    """The mean of each column relative to that of the column that it goes with most closely: where amounts of one record
    rise and fall together, their ratio shows what each of them alone hides."""
    numbers = [name for name in names if (profile.columns[name].mean or 0) > 0]
    means = np.array([[_of(one, name).mean or np.nan for one in before] for name in numbers], dtype=np.float64)
    means[~(means > 0)] = np.nan
    is_usual = np.isfinite(means).sum(axis=1) >= max(LEAST_FIGURES, 0.9 * len(before)) if numbers else np.zeros(0, bool)
    numbers, logs = [name for name, usual in zip(numbers, is_usual, strict=True) if usual], np.log(means[is_usual])
    if len(numbers) < 2:
        return []
    ratios = logs[:, None, :] - logs[None, :, :]
    middle = np.nanmedian(ratios, axis=2, keepdims=True)
    scatter = np.nanmedian(np.abs(ratios - middle), axis=2)
    np.fill_diagonal(scatter, np.inf)
    pairs = {tuple(sorted((i, int(scatter[i].argmin())))) for i in range(len(numbers))}
    series = []
    for i, j in sorted(pairs):
        a, b = numbers[i], numbers[j]
        now = log((profile.columns[a].mean or 1) / (profile.columns[b].mean or 1))
        series.append(
            _Series(
                "mean",
                a,
                f"mean of {a} relative to that of {b}",
                _RATIO,
                ratios[i, j].tolist(),
                [0.0] * len(before),
                now,
                0.0,
                lambda usual, seen: abs(seen / usual - 1) >= _LARGE_RATIO,
            )
        )
    return series


def _recent(values: Floats) -> Floats:
    """The median of the newest 28 rows: a reference that no incident of some days moves."""
    return np.asarray(np.nanmedian(values[-28:], axis=0))


def _distribution(name: str, past: Sequence[Figures], now: Figures) -> list[_Series]:
    """How far the quantiles are from their reference, on average, in widths of the reference distribution."""
    known = np.array([one.quantiles if one.quantiles is not None else (np.nan,) * 5 for one in past])
    if np.isfinite(known[:, 0]).sum() < LEAST_FIGURES or now.quantiles is None:
        return []
    reference = _recent(known[np.isfinite(known[:, 0])])
    width = reference[-1] - reference[0]
    if width <= 0:
        return []

    def drift(quantiles: Floats) -> Floats:
        return np.asarray(np.abs(quantiles - reference).mean(axis=-1) / width)

    return [
        _Series(
            "distribution",
            name,
            f"distance of the quantiles of {name} from those of the last weeks",
            _ROOT,
            np.sqrt(drift(known)).tolist(),
            [0.0] * len(past),
            sqrt(float(drift(np.array(now.quantiles)))),
            0.0,
            lambda usual, seen: seen - usual >= 2 * _LARGE_DRIFT,
            True,
        )
    ]


def _categories(name: str, past: Sequence[Figures], now: Figures) -> list[_Series]:
    """Each value's share where it is gone; and how far all shares together are from their reference."""
    assert now.categories is not None
    seen = [one.categories for one in past]
    names = sorted({value for counts in seen if counts for value in counts} | set(now.categories))
    if len(names) < 2 or sum(bool(counts) for counts in seen) < LEAST_FIGURES:
        return []
    table = np.array([[(counts or {}).get(value, 0) for value in names] for counts in seen], dtype=np.float64)
    totals = table.sum(axis=1)
    totals[totals == 0] = np.nan
    shares = table / totals[:, None]
    counts_now = np.array([now.categories.get(value, 0) for value in names], dtype=np.float64)
    total = counts_now.sum()
    if total < LEAST_RECORDS:
        return []
    series = []
    usual = _recent(shares[np.isfinite(totals)])
    for i, value in enumerate(names):
        if counts_now[i] == 0 and usual[i] * total >= _RARE:
            series.append(
                _Series(
                    "category",
                    name,
                    f"share of '{value}' in {name}",
                    _SHARE,
                    [_SHARE.to(share) if np.isfinite(share) else np.nan for share in shares[:, i]],
                    [1 / sqrt(n) if np.isfinite(n) else np.nan for n in totals],
                    0.0,
                    1 / sqrt(total),
                    lambda usual, seen: usual - seen >= 0.2 * _LARGE_SHARE,
                )
            )
    if not usual.sum() > 0:
        return series
    reference = usual / usual.sum()
    distances = _divergence(shares, reference)
    # By sampling alone, 8 n times the divergence is distributed as chi-squared with one degree less than there are values.
    floor = sqrt((len(names) - 1) / 8)
    series.append(
        _Series(
            "category",
            name,
            f"distance of the shares of {name} from those of the last weeks",
            _PLAIN,
            distances.tolist(),
            [0.7 * floor / sqrt(n) if np.isfinite(n) else np.nan for n in totals],
            float(_divergence(counts_now[None, :] / total, reference)[0]),
            0.7 * floor / sqrt(total),
            lambda usual, seen: seen - usual >= _LARGE_DRIFT,
            True,
        )
    )
    return series


def _divergence(shares: Floats, reference: Floats) -> Floats:
    """The square root of the Jensen-Shannon divergence (Lin, 1991), of each row; 0 for the same shares, 0.83 for none in
    common."""
    middle = (shares + reference) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        one = np.where(shares > 0, shares * np.log(shares / middle), 0.0)
        other = np.where(reference > 0, reference * np.log(reference / middle), 0.0)
    total = (one + other).sum(axis=1) / 2
    total[~np.isfinite(shares).all(axis=1)] = np.nan
    return np.asarray(np.sqrt(np.maximum(total, 0)))


def _arrival(before: Sequence[Profile], profile: Profile, is_complete: bool) -> list[_Series]:
    series = []
    for name, what in (("first_arrival", "arrival of the first file"), ("last_arrival", "arrival of the last file")):
        now = getattr(profile, name)
        if now is None or (name == "last_arrival" and not is_complete):
            continue
        past = [getattr(one, name) for one in before]
        series.append(
            _Series(
                "arrival",
                None,
                what,
                _HOURS,
                [np.nan if one is None else one for one in past],
                [0.25] * len(past),
                now,
                0.25,
                lambda usual, seen: seen - usual >= _LATE_HOURS,
                True,
            )
        )
    return series


# --- what is no figure ---------------------------------------------------------------------------------------------


def _schema(before: Sequence[Profile], profile: Profile, ignore: Collection[str]) -> list[Anomaly]:
    """Fields that the contract does not know, and values of a column whose values are a fixed set, that never were there."""
    never = "none, as in all days before"
    found = [
        Anomaly("schema", name, never, "there", _AT_MOST, f"field {name}, which the contract does not know", 10.0)
        for name in sorted(profile.unknown - {*ignore})
        if not any(name in one.unknown for one in before)
    ]
    for name, figures in profile.columns.items():
        known = [counts for one in before if (counts := _of(one, name).categories) is not None]
        if name in ignore or not figures.categories or len(known) < LEAST_FIGURES or not _is_settled(known):
            continue
        there = {value for counts in known for value in counts}
        least = max(_RARE, _NEW_CATEGORY * profile.rows)
        for value, count in sorted(figures.categories.items()):
            if value not in there and count >= least:
                told = f"{count:,} of {profile.rows:,} records"
                found.append(Anomaly("category", name, never, told, _AT_MOST, f"value '{value}' of {name}", 10.0))
    return found


def _is_settled(known: Sequence[Mapping[str, int]]) -> bool:
    """Whether a column's values are a fixed set: the newer half of the days brought none that the older half lacks."""
    half = len(known) // 2
    return {value for counts in known[half:] for value in counts} <= {
        value for counts in known[:half] for value in counts
    }


def _repeated(past: Sequence[date], before: Sequence[Profile], day: date, profile: Profile) -> list[Anomaly]:
    """Whether many of the day's records are those of an earlier day, more than usual: a snapshot always repeats most."""
    share, origin = _overlap(past, before, day, profile)
    count = len(profile.sample)
    if share < _REPEATED_LEAST or count < 16 or origin is None:
        return []
    usual = [_overlap(past[:i], before[:i], past[i], before[i])[0] for i in range(max(len(past) - 28, 1), len(past))]
    chance = min(float(np.median(usual)) + 0.1, 1.0)
    hits = round(share * count)
    # So many of the sample or more, were the chance of each no more than that.
    probability = sum(comb(count, k) * chance**k * (1 - chance) ** (count - k) for k in range(hits, count + 1))
    if probability > 1e-4:
        return []
    what = f"records that had arrived on {origin} already"
    return [
        Anomaly("repeated", None, _percent(float(np.median(usual))), _percent(share), _sure(probability), what, 10.0)
    ]


def _overlap(past: Sequence[date], before: Sequence[Profile], day: date, profile: Profile) -> tuple[float, date | None]:
    """(the largest share of a day's sampled records that one earlier day has too, that day)."""
    best, origin = 0.0, None
    for other, one in zip(past, before, strict=True):
        if (day - other).days > _REPEATED_WITHIN or not one.sample:
            continue
        bits = max(one.sample_bits, profile.sample_bits)
        mine, theirs = thinned(profile.sample, bits), thinned(one.sample, bits)
        share = len(mine & theirs) / len(mine) if mine else 0.0
        if share > best:
            best, origin = share, other
    return best, origin


# --- one verdict ---------------------------------------------------------------------------------------------------


def _summed_up(found: Sequence[Anomaly]) -> list[Anomaly]:
    """The surest first; of a column one of each kind, and nothing that another anomaly explains: other numbers of distinct
    values where the number of records is another."""
    kinds = {one.kind for one in found}
    kept: dict[tuple[str, str | None], Anomaly] = {}
    for one in sorted(found, key=lambda one: -one.effect):
        if one.kind == "distinct" and kinds & {"volume", "repeated"}:
            continue
        group = "number" if one.kind in ("mean", "distribution") else one.kind
        kept.setdefault((group, one.column), one)
    return [_named(one) for one in kept.values()]


def _named(one: Anomaly) -> Anomaly:
    """A column that lost all of its values, or had none before, is a change of the schema."""
    if one.kind == "nulls" and (one.found == "100.0 %" or one.expected.startswith("100.0 %")):
        return replace(one, kind="schema")
    return one
