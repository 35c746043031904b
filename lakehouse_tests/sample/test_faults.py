"""How records are spoiled, and how far they may stray."""

import json
from datetime import date

import numpy as np
import pandas as pd
import pytest

from lakehouse.sample.clock import Clock, make_clock
from lakehouse.sample.faults import RATES, USABLE_PER_UNUSABLE, corrupter, inject
from lakehouse.sample.feed import EXTRA, FAULTS, UNUSABLE, period, records
from lakehouse_tests.sample.landed import NOW

SIZE = 40_000


@pytest.fixture(scope="module")
def clock() -> Clock:
    return make_clock(weeks=4, end_date=date(2026, 1, 31), until=None, now=NOW)


@pytest.fixture(scope="module")
def clean(clock: Clock) -> pd.DataFrame:
    """Two versions of each of 20,000 keys, an hour apart."""
    key = np.repeat(np.arange(SIZE // 2), 2)
    sequence = np.tile([1, 2], SIZE // 2)
    arrival = np.datetime64(clock.start, "s") + (key * 60 + sequence * 3600).astype("m8[s]")
    return records(np.arange(SIZE), key, sequence, arrival)


@pytest.fixture(scope="module")
def faulty(clean: pd.DataFrame, clock: Clock) -> pd.DataFrame:
    return inject(clean, rng=np.random.default_rng(1), clock=clock, hours=1, lost=True)


def unusable(frame: pd.DataFrame) -> "pd.Series[bool]":
    return frame["fault"].isin([FAULTS.index(name) for name in UNUSABLE])


def test_same_generator_same_faults(clean: pd.DataFrame, faulty: pd.DataFrame, clock: Clock) -> None:
    pd.testing.assert_frame_equal(inject(clean, rng=np.random.default_rng(1), clock=clock, hours=1, lost=True), faulty)


def test_no_record_is_removed(clean: pd.DataFrame, faulty: pd.DataFrame) -> None:
    assert set(faulty["base"]) == set(clean["base"])


@pytest.mark.parametrize("fault", EXTRA)
def test_rates_of_usable_faults_are_as_stated(faulty: pd.DataFrame, fault: str) -> None:
    share = (faulty["fault"] == FAULTS.index(fault)).sum() / SIZE
    assert share == pytest.approx(RATES[fault], rel=0.3)


@pytest.mark.parametrize("fault", UNUSABLE)
def test_rates_of_unusable_faults_are_not_exceeded(faulty: pd.DataFrame, fault: str) -> None:
    share = (faulty["fault"] == FAULTS.index(fault)).sum() / SIZE
    assert 0.3 * RATES[fault] < share < 1.6 * RATES[fault]


def test_keys_are_lost_whole_or_not_at_all(faulty: pd.DataFrame) -> None:
    lost = set(faulty["key"]) - set(faulty.loc[~unusable(faulty), "key"])
    assert 0 < len(lost) < 2 * RATES["lost"] * SIZE / 2
    kept = faulty[~unusable(faulty)]
    assert (kept.groupby("key")["sequence"].nunique() == 2).all()


def test_late_records_are_one_to_three_days_late(clean: pd.DataFrame, faulty: pd.DataFrame) -> None:
    late = faulty[faulty["fault"] == FAULTS.index("late")]
    delay = late["arrival"].to_numpy() - clean["arrival"].to_numpy()[late["base"]]
    assert (delay >= np.timedelta64(1, "D")).all() and (delay <= np.timedelta64(3, "D")).all()


def test_overtaken_versions_arrive_after_their_successor(clean: pd.DataFrame, faulty: pd.DataFrame) -> None:
    behind = faulty[faulty["fault"] == FAULTS.index("out_of_order")]
    assert (behind["sequence"] == 1).all()
    successor = clean["arrival"].to_numpy()[behind["base"] + 1]
    assert (behind["arrival"].to_numpy() > successor).all()


def test_duplicates_come_in_a_later_file(clean: pd.DataFrame, faulty: pd.DataFrame) -> None:
    copies = faulty[faulty["fault"] == FAULTS.index("duplicate")]
    original = clean.iloc[copies["base"]]
    assert (period(copies["arrival"], 1).to_numpy() > period(original["arrival"], 1).to_numpy()).all()


def test_no_file_has_too_large_a_share(faulty: pd.DataFrame) -> None:
    files = period(faulty["arrival"], 1)
    bad, all_ = files[unusable(faulty)].value_counts(), files.value_counts()
    assert (bad * USABLE_PER_UNUSABLE <= all_[bad.index] - bad).all()


def test_small_files_stay_clean(clock: Clock) -> None:
    arrival = np.datetime64(clock.start, "s") + (np.arange(600) * 3600).astype("m8[s]")
    lonely = records(np.arange(600), np.arange(600), np.zeros(600, dtype=np.int64), arrival)
    assert not unusable(inject(lonely, rng=np.random.default_rng(2), clock=clock, hours=1, lost=True)).any()


def test_nothing_strays_beyond_the_limit(clean: pd.DataFrame, clock: Clock) -> None:
    ending = clean.assign(arrival=clean["arrival"] + (np.datetime64(clock.limit) - clean["arrival"].max()))
    strayed = inject(ending, rng=np.random.default_rng(3), clock=clock, hours=1)
    assert strayed["arrival"].max() == pd.Timestamp(str(clock.limit))


def test_masks_are_kept(clean: pd.DataFrame, clock: Clock) -> None:
    first = (clean["sequence"] == 1).to_numpy()
    frame = inject(clean, rng=np.random.default_rng(4), clock=clock, hours=1, spoilable=first, movable=~first)
    assert (frame.loc[unusable(frame), "sequence"] == 1).all()
    assert (frame.loc[frame["fault"] == FAULTS.index("late"), "sequence"] == 2).all()


LINE = '{"before":{"id":"a","n":1,"s":"x"},"after":{"id":"a","n":12.5,"s":null,"z":1}}'


@pytest.mark.parametrize(
    ("fault", "number", "found"),
    [
        ("wrong_type", 0, {"id": "a", "n": "abc", "s": None, "z": 1}),
        ("missing_key", 0, {"id": None, "n": 12.5, "s": None, "z": 1}),
        ("missing_key", 1, {"n": 12.5, "s": None, "z": 1}),
        ("outside_set", 0, {"id": "a", "n": 12.5, "s": "unknown", "z": 1}),
        ("negative", 0, {"id": "a", "n": -112.5, "s": None, "z": 1}),
    ],
)
def test_a_line_is_spoiled_in_one_place(fault: str, number: int, found: dict[str, object]) -> None:
    corrupt = corrupter(key="id", number="n", options="s", negative="n", inside='"after":')
    spoiled = json.loads(corrupt(fault, LINE, number))
    assert spoiled == {"before": {"id": "a", "n": 1, "s": "x"}, "after": found}


def test_a_malformed_line_cannot_be_read() -> None:
    with pytest.raises(json.JSONDecodeError):
        json.loads(corrupter(key="id", number="n", options="s")("malformed", LINE, 0))


def test_a_field_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="no field nix"):
        corrupter(key="id", number="nix", options="s")("wrong_type", LINE, 0)
