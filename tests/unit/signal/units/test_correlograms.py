"""Times between spikes, worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikefleet.signal.units import correlograms
from spikefleet.signal.units.correlograms import correlogram, lags

NO_SEAMS = np.zeros(0, np.int64)


def train(*samples: int) -> np.ndarray:
    return np.array(samples, dtype=np.int64)


def test_a_pair_counts_on_both_sides_and_no_spike_with_itself() -> None:
    one = train(100, 103, 150)
    assert correlogram(one, one, bin_samples=2, n_bins=3, seams=NO_SEAMS).tolist() == [
        0,
        1,
        0,
        0,
        1,
        0,
    ]


def test_of_two_units_the_sign_says_which_fired_first() -> None:
    assert lags(train(100), train(98, 104), 10, NO_SEAMS).tolist() == [-2, 4]


def test_two_spikes_in_one_sample_are_a_pair_of_two_units() -> None:
    found = correlogram(train(100), train(100), bin_samples=1, n_bins=2, seams=train())
    assert found.tolist() == [0, 0, 0, 0]  # equal trains are one train
    found = correlogram(train(100), train(100, 500), bin_samples=1, n_bins=2, seams=train())
    assert found.tolist() == [0, 0, 1, 0]


def test_a_bin_holds_its_lower_edge_only() -> None:
    found = correlogram(train(0), train(-4, 0, 4), bin_samples=2, n_bins=2, seams=NO_SEAMS)
    assert found.tolist() == [1, 0, 1, 0]


def test_a_pair_across_a_cut_is_none() -> None:
    one = train(98, 100, 102)
    assert lags(one, one, 10, train(100)).tolist() == [2, -2]


def test_empty_trains_have_no_pairs() -> None:
    assert lags(train(), train(1, 2), 10, NO_SEAMS).size == 0
    assert (
        correlogram(train(1), train(), bin_samples=1, n_bins=2, seams=train()).tolist() == [0] * 4
    )


def test_a_long_train_is_thinned_and_keeps_its_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    one = np.arange(0, 10_000, 10)
    whole = correlogram(one, one, bin_samples=10, n_bins=3, seams=NO_SEAMS)
    monkeypatch.setattr(correlograms, "MOST_SPIKES", 100)
    thinned = correlogram(one, one, bin_samples=10, n_bins=3, seams=NO_SEAMS)
    assert thinned.sum() <= whole.sum() / 9
    assert np.allclose(thinned / thinned.sum(), whole / whole.sum(), atol=0.01)


@given(st.lists(st.integers(0, 60), max_size=12), st.lists(st.integers(0, 60), max_size=12))
def test_every_pair_is_found_once(ours: list[int], theirs: list[int]) -> None:
    first, second = np.sort(train(*ours)), np.sort(train(*theirs))
    found = sorted(lags(first, second, 7, NO_SEAMS).tolist())
    is_same = np.array_equal(first, second)
    expected = sorted(
        int(b - a)
        for i, a in enumerate(first)
        for j, b in enumerate(second)
        if abs(b - a) <= 7 and not (is_same and i == j)
    )
    assert found == expected
