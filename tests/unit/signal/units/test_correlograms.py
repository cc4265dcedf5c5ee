"""Times between spikes, worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikefleet.signal.units import correlograms
from spikefleet.signal.units.correlograms import correlogram, pairs

NO_SEAMS = np.zeros(0, np.int64)


def train(*samples: int) -> np.ndarray:
    return np.array(samples, dtype=np.int64)


def lags(
    first: np.ndarray, second: np.ndarray | None, window: int, seams: np.ndarray = NO_SEAMS
) -> list[int]:
    found = list(pairs(first, second, window, seams).lags())
    return np.concatenate([*found, train()]).tolist()


def test_a_pair_counts_on_both_sides_and_no_spike_with_itself() -> None:
    one = train(100, 103, 150)
    assert correlogram(one, None, bin_samples=2, n_bins=3, seams=NO_SEAMS).tolist() == [
        0,
        1,
        0,
        0,
        1,
        0,
    ]


def test_of_two_units_the_sign_says_which_fired_first() -> None:
    assert lags(train(100), train(98, 104), 10) == [-2, 4]


def test_two_units_with_the_same_spikes_peak_at_zero() -> None:
    found = correlogram(train(100, 500), train(100, 500), bin_samples=1, n_bins=2, seams=NO_SEAMS)
    assert found.tolist() == [0, 0, 2, 0]


def test_a_bin_holds_its_lower_edge_only() -> None:
    found = correlogram(train(0), train(-4, 0, 4), bin_samples=2, n_bins=2, seams=NO_SEAMS)
    assert found.tolist() == [1, 0, 1, 0]


def test_a_pair_across_a_cut_is_none() -> None:
    assert lags(train(98, 100, 102), None, 10, train(100)) == [2, -2]


def test_empty_trains_have_no_pairs() -> None:
    assert lags(train(), train(1, 2), 10) == []
    assert (
        correlogram(train(1), train(), bin_samples=1, n_bins=2, seams=train()).tolist() == [0] * 4
    )
    assert pairs(train(), None, 10, NO_SEAMS).share == 1.0


def test_a_long_train_is_thinned_and_keeps_its_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    one = np.arange(0, 10_000, 10)
    whole = correlogram(one, None, bin_samples=10, n_bins=3, seams=NO_SEAMS)
    monkeypatch.setattr(correlograms, "MOST_SPIKES", 100)
    thinned = correlogram(one, None, bin_samples=10, n_bins=3, seams=NO_SEAMS)
    assert thinned.sum() <= whole.sum() / 9
    assert np.allclose(thinned / thinned.sum(), whole / whole.sum(), atol=0.01)


def test_bursts_without_end_are_looked_at_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correlograms, "_MOST_PAIRS", 10_000)
    monkeypatch.setattr(correlograms, "_PIECE_PAIRS", 1_000)
    found = pairs(np.zeros(1_000, np.int64), None, 5, NO_SEAMS)
    pieces = list(found.lags())
    assert found.share == pytest.approx(0.01)
    assert sum(map(len, pieces)) == 10 * 999
    assert max(map(len, pieces)) <= 1_000


@given(
    st.lists(st.integers(0, 60), max_size=12),
    st.none() | st.lists(st.integers(0, 60), max_size=12),
)
def test_every_pair_is_found_once(ours: list[int], theirs: list[int] | None) -> None:
    first = np.sort(train(*ours))
    second = None if theirs is None else np.sort(train(*theirs))
    expected = [
        int(b - a)
        for i, a in enumerate(first)
        for j, b in enumerate(first if second is None else second)
        if abs(b - a) <= 7 and not (second is None and i == j)
    ]
    assert sorted(lags(first, second, 7)) == sorted(expected)
