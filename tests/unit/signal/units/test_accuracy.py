"""Found units compared with known ones."""

from __future__ import annotations

import numpy as np
import pytest

from spikefleet.signal.units.accuracy import compare_to_truth

RATE_HZ = 30_000.0


def train(seed: int, n: int = 400) -> np.ndarray:
    return np.sort(np.random.default_rng(seed).choice(np.arange(0, 3_000_000, 90), n, False))


def test_the_same_trains_under_other_names_are_perfect() -> None:
    truth = {"a": train(1), "b": train(2)}
    report = compare_to_truth({7: truth["b"], 3: truth["a"] + 2}, truth, RATE_HZ)
    assert report.mean_accuracy == 1.0
    assert [(row.truth_unit, row.best_unit) for row in report.per_unit] == [("a", "3"), ("b", "7")]
    assert report.n_found == 2


def test_missed_spikes_cost_recall_and_false_ones_precision() -> None:
    truth = {"a": train(1), "b": train(2)}
    extra = np.sort(np.concatenate([truth["b"], train(9, 100) + 45]))
    report = compare_to_truth({0: truth["a"][::2], 1: extra}, truth, RATE_HZ)
    half, padded = report.per_unit
    assert (half.recall, half.precision) == (0.5, 1.0)
    assert padded.recall == 1.0
    assert padded.precision == pytest.approx(0.8, abs=0.01)


def test_a_missed_unit_counts_as_zero_in_the_mean() -> None:
    truth = {"a": train(1), "b": train(2)}
    report = compare_to_truth({0: truth["a"]}, truth, RATE_HZ)
    assert report.mean_accuracy == 0.5
    assert report.per_unit[1].best_unit is None


@pytest.mark.parametrize("found", [{}, {0: np.array([], np.int64)}])
def test_nothing_found_is_accuracy_zero(found: dict[int, np.ndarray]) -> None:
    report = compare_to_truth(found, {"a": train(1)}, RATE_HZ)
    assert report.mean_accuracy == 0.0


def test_a_truth_without_units_cannot_be_compared_with() -> None:
    with pytest.raises(ValueError, match="no units"):
        compare_to_truth({0: train(1)}, {}, RATE_HZ)
