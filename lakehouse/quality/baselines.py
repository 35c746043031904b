"""What a series of daily figures leads one to expect of the next: a level, a trend and the weekdays, robust to incidents.

Robust regression by iteratively reweighted least squares: absolute deviations first, Tukey's biweight after (Huber and
Ronchetti, Robust Statistics, 2009, ch. 7), so that an incident of the past gets no weight, and by age. What lasts for
a week becomes the new level. Trend and weekdays are shrunk towards none, as far as the series does not show them.

statsmodels has robust regression and STL as well; it brings scipy, some 150 MB, for these sixty lines, and fits one series
at a time, where a batch has a hundred.
"""

from dataclasses import dataclass
from math import erfc, log, sqrt

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WINDOW = 91
"""Figures, the newest ones, that an expectation rests on: of a daily series a quarter."""
LEAST_FIGURES, LEAST_DAYS = 8, 28
"""With fewer figures, or over a shorter time, nothing is expected."""
_HALF_LIFE = 28
"""Figures after which one counts half as much as the newest."""
LASTING = 7
"""Figures in a row on another level, after which that is the level."""
_WEEKDAY_FIGURES = 3
"""Figures that every weekday must have for weekdays to be told apart."""
_TUKEY = 4.685
"""Residuals beyond so many scales have no weight: the constant of 95 % efficiency where nothing is wrong."""
_SLOPE, _WEEKDAY = 4.0, 0.25
"""How much a trend (over a half-life) and a weekday are shrunk, in figures of the opposite evidence."""
_FREEDOM = 20.0
"""Degrees of freedom of the heaviest evidence: no tail is trusted to be thinner than that of Student's t with so many."""


@dataclass(frozen=True)
class Expected:
    """What is expected of several series on one day; parallel arrays, NaN where a series says nothing."""

    value: Floats
    scale: Floats
    """Standard deviation of a figure about `value`: of past residuals, of the sampling, and of the estimate together."""
    freedom: Floats
    """Degrees of freedom of the scale."""


def expect(days: Ints, figures: Floats, noise: Floats, day: int, noise_now: Floats) -> Expected:
    """What to expect on `day`. `days`: ordinals, rising, all before `day`; `figures`: a row a series, a column a day, NaN
    where there is none; `noise`, `noise_now`: the standard deviation by sampling alone, of each figure and of the new one.
    """
    days, figures, noise = days[-WINDOW:], figures[:, -WINDOW:], noise[:, -WINDOW:]
    count = figures.shape[1]
    silent = np.full(len(figures), np.nan)
    if not count or not len(figures):
        return Expected(silent, silent, silent)
    there = np.isfinite(figures)
    y = np.where(there, figures, 0.0)
    noise = np.where(there & np.isfinite(noise), noise, 0.0)
    design, penalty, now = _design(days, day)
    age = there * 0.5 ** (np.arange(count - 1, -1, -1) / _HALF_LIFE)
    fit = _fit(design, penalty, y, age, noise)
    lasting = _lasting(y - fit.beta @ design.T, there, fit.scale)
    if lasting.any():
        y[:, :-LASTING] += lasting[:, None]
        fit = _fit(design, penalty, y, age, noise)
    beta, inverse, scale, weights = fit.beta, fit.inverse, fit.scale, fit.weights
    freedom = _freedom(weights, design)
    typical = _weighted_median(noise, age)
    # What the past shows beyond its own sampling, and the sampling of the new figure on top of it.
    own = np.maximum(scale**2 - typical**2, 0.0)
    leverage = np.einsum("p,mpq,q->m", now, inverse, now)
    total = np.sqrt(own + noise_now**2 + np.maximum(scale, typical) ** 2 * np.clip(leverage, 0, 1) + fit.tiny**2)
    enough = (there.sum(axis=1) >= LEAST_FIGURES) & (_span(days, there, day) >= LEAST_DAYS)
    value = beta @ now
    return Expected(np.where(enough, value, np.nan), np.where(enough, total, np.nan), np.where(enough, freedom, np.nan))


@dataclass(frozen=True)
class _Fit:
    beta: Floats
    inverse: Floats
    scale: Floats
    weights: Floats
    tiny: Floats
    """Below which a difference is none: rounding."""


def _fit(design: Floats, penalty: Floats, y: Floats, age: Floats, noise: Floats) -> _Fit:
    """Coefficients of each series; `age` weighs its figures, and is 0 where there is none."""
    center = _weighted_median(y, age)
    tiny = 1e-9 + 1e-6 * np.abs(center)
    residual = np.abs(y - center[:, None])
    scale = 1.4826 * _weighted_median(residual, age)
    for _ in range(5):
        weights = age * np.maximum(scale, tiny)[:, None] / np.maximum(residual, np.maximum(0.1 * scale, tiny)[:, None])
        # Hardly shrunk: a weekday that is far from the others weighs next to nothing until it has its own level.
        beta, inverse = _solve(design, 0.02 * penalty, y, weights)
        residual = np.abs(y - beta @ design.T)
        scale = _scale(residual, age)
    for _ in range(4):
        cut = _TUKEY * np.maximum(np.maximum(scale[:, None], noise), tiny[:, None])
        weights = age * np.clip(1 - (residual / cut) ** 2, 0, 1) ** 2
        beta, inverse = _solve(design, penalty, y, weights)
        residual = np.abs(y - beta @ design.T)
        scale = _scale(residual, age * (weights > 0))
    return _Fit(beta, inverse, scale, weights, tiny)


def _lasting(residual: Floats, there: NDArray[np.bool_], scale: Floats) -> Floats:
    """By how much the newest figures of each series lie on another level; 0 where they do not, or not all of them."""
    if residual.shape[1] < 3 * LASTING:
        return np.zeros(len(residual))
    newest, known = residual[:, -LASTING:], there[:, -LASTING:]
    limit = 3 * scale[:, None] + 1e-9
    above = (known & (newest > limit)).sum(axis=1)
    below = (known & (newest < -limit)).sum(axis=1)
    is_lasting = (known.sum(axis=1) == LASTING) & (np.maximum(above, below) == LASTING)
    return np.where(is_lasting, np.median(newest, axis=1), 0.0)


def surprise(z: float, freedom: float, is_one_sided: bool = False) -> float:
    """The probability that a figure lies so many scales away or further, by Student's t (Wallace, 1959: the deviate that
    a normal distribution would give the same probability; off by a few percent of it at most)."""
    z = abs(z)
    normal = (8 * freedom + 1) / (8 * freedom + 3) * sqrt(freedom * log(1 + z * z / freedom))
    return erfc(normal / sqrt(2)) / (2 if is_one_sided else 1)


def _design(days: Ints, day: int) -> tuple[Floats, Floats, Floats]:
    """(a row for each figure, the penalty of each column's coefficient, the row of the new figure)."""
    count = len(days)
    trend = (np.arange(count) - count) / _HALF_LIFE
    weekdays = (days - 1) % 7
    seen, figures = np.unique(weekdays, return_counts=True)
    columns = [np.ones(count), trend]
    now = [1.0, 0.0]
    penalty = [1e-9, _SLOPE]
    if len(seen) > 1 and figures.min() >= _WEEKDAY_FIGURES:
        columns += [(weekdays == weekday).astype(float) for weekday in seen]
        now += [float((day - 1) % 7 == weekday) for weekday in seen]
        penalty += [_WEEKDAY] * len(seen)
    return np.column_stack(columns), np.array(penalty), np.array(now)


def _solve(design: Floats, penalty: Floats, y: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """(coefficients, inverse normal matrices) of each series."""
    width = design.shape[1]
    products = (design[:, :, None] * design[:, None, :]).reshape(len(design), width * width)
    normal = (weights @ products).reshape(-1, width, width) + np.diag(penalty) + 1e-9 * np.eye(width)
    inverse = np.linalg.inv(normal)
    return np.einsum("mpq,mq->mp", inverse, (weights * y) @ design), inverse


def _scale(residual: Floats, weights: Floats) -> Floats:
    """Standard deviation from absolute residuals: by their median, or where tails are heavier by their 80th percentile."""
    return np.maximum(
        1.4826 * _weighted_quantile(residual, weights, 0.5), _weighted_quantile(residual, weights, 0.8) / 1.2816
    )


def _freedom(weights: Floats, design: Floats) -> Floats:
    total = weights.sum(axis=1)
    effective = np.divide(total**2, (weights**2).sum(axis=1), out=np.zeros_like(total), where=total > 0)
    return np.clip(effective - 2, 3.0, _FREEDOM)


def _span(days: Ints, there: NDArray[np.bool_], day: int) -> Ints:
    """Days from the first figure of each series to `day`."""
    first = np.where(there.any(axis=1), days[there.argmax(axis=1)], day)
    return np.asarray(day - first)


def _weighted_median(values: Floats, weights: Floats) -> Floats:
    return _weighted_quantile(values, weights, 0.5)


def _weighted_quantile(values: Floats, weights: Floats, share: float) -> Floats:
    """Of each row, the value that `share` of the weight lies below."""
    order = np.argsort(values, axis=1)
    ordered = np.take_along_axis(values, order, axis=1)
    running = np.cumsum(np.take_along_axis(weights, order, axis=1), axis=1)
    place = (running < share * running[:, -1:]).sum(axis=1)
    return np.asarray(ordered[np.arange(len(values)), np.minimum(place, values.shape[1] - 1)])
