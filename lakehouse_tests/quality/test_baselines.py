"""What is expected of a series: level, trend and weekdays, whatever incidents there were."""

import os
import subprocess
import sys
from math import erf, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.quality.baselines import LASTING, Expected, expect, surprise

FIRST = 738_000
WEEK = np.array([0.0, 0.2, 0.4, 0.1, -0.3, 1.0, -1.4])


def series(count: int, *, trend: float = 0.0, noise: float = 0.1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(days, figures) about 10, with a trend a day, weekdays and noise; of one day more than `count`."""
    days = np.arange(FIRST, FIRST + count + 1)
    scatter = np.random.default_rng(seed).normal(0, noise, count + 1) if noise else np.zeros(count + 1)
    return days, 10 + trend * np.arange(count + 1) + WEEK[(days - 1) % 7] + scatter


def asked(days: np.ndarray, figures: np.ndarray, noise: float = 0.0) -> Expected:
    """What is expected of the last day."""
    past = figures[:-1]
    return expect(days[:-1], past[None, :], np.full((1, len(past)), noise), int(days[-1]), np.array([noise]))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.02, -0.02]), st.integers(35, 120))
def test_weekdays_and_trend_are_expected(seed: int, trend: float, count: int) -> None:
    days, figures = series(count, trend=trend, seed=seed)
    found = asked(days, figures)
    true = 10 + trend * count + WEEK[(days[-1] - 1) % 7]
    assert found.value[0] == pytest.approx(true, abs=0.4)
    assert 0.05 < found.scale[0] < 0.4, "the noise is 0.1; weekdays and trend are no noise"


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(-50, 50).filter(lambda size: abs(size) > 2), st.integers(1, 4))
def test_an_incident_of_the_past_counts_for_nothing(seed: int, size: float, length: int) -> None:
    days, figures = series(70, seed=seed)
    broken = figures.copy()
    broken[60 : 60 + length] += size
    assert asked(days, broken).value[0] == pytest.approx(asked(days, figures).value[0], abs=0.15)
    assert asked(days, broken).scale[0] < 2 * asked(days, figures).scale[0]


def test_what_lasts_for_a_week_is_the_new_level() -> None:
    days, figures = series(70)
    for lasting, is_new in ((LASTING - 1, False), (LASTING, True)):
        moved = figures.copy()
        moved[-1 - lasting :] += 5
        z = (moved[-1] - asked(days, moved).value[0]) / asked(days, moved).scale[0]
        assert (abs(z) < 4) == is_new, lasting


def test_a_constant_series_has_hardly_any_scale_and_sampling_gives_it_one() -> None:
    days, figures = np.arange(FIRST, FIRST + 41), np.full(41, 3.0)
    exact, sampled = asked(days, figures), asked(days, figures, noise=0.5)
    assert [exact.value[0], sampled.value[0]] == pytest.approx([3, 3])
    assert exact.scale[0] < 1e-4
    assert 0.5 <= sampled.scale[0] < 0.7


def test_gaps_are_no_figures_and_too_few_figures_say_nothing() -> None:
    days, figures = series(70)
    full = asked(days, figures)
    gappy = figures.copy()
    gappy[3:40:4] = np.nan
    assert asked(days, gappy).value[0] == pytest.approx(full.value[0], abs=0.2)
    gappy[:-8] = np.nan
    assert np.isnan(asked(days, gappy).value[0]), "seven figures"
    assert np.isnan(asked(days[-20:], figures[-20:]).value[0]), "nineteen days"
    weekly = np.arange(FIRST, FIRST + 70, 7)
    assert asked(weekly, np.full(10, 5.0)).value[0] == pytest.approx(5), "nine weeks"
    assert np.isnan(expect(days[:0], np.zeros((1, 0)), np.zeros((1, 0)), FIRST, np.zeros(1)).value[0])


def test_surprise_is_students_t_and_tends_to_the_normal() -> None:
    assert surprise(2.0, 1e6) == pytest.approx(1 - erf(2 / sqrt(2)), rel=1e-3)
    # Student's t with 12 degrees of freedom, from tables: two-sided 0.01 at 3.055, 0.001 at 4.318.
    assert surprise(3.055, 12) == pytest.approx(0.01, rel=0.03)
    assert surprise(-4.318, 12) == pytest.approx(0.001, rel=0.03)
    assert surprise(4.318, 12, is_one_sided=True) == pytest.approx(0.0005, rel=0.03)


def test_matrices_are_multiplied_by_one_thread() -> None:
    """Beside a busy Spark more of them only wait for each other: 119 s of two cores instead of 7, for a season of days."""
    multiply = "import lakehouse.quality.baselines, numpy; m = numpy.ones((500, 500)); m @ m"
    count = "import psutil; print(psutil.Process().num_threads())"
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", f"{multiply}; {count}"], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "1"
