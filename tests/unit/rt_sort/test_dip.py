"""Hartigan's dip: cases known by hand, the definition solved as a linear programme, and chance."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import linprog
from scripts.dip_table import PROBABILITIES, SIZES

from spikefleet.rt_sort import dip
from spikefleet.rt_sort.dip import dip_p_value, dip_statistic


def _least_distance(points: list[tuple[float, float, float]], mode: int) -> float:
    """The least distance of a distribution that is convex before and concave from point ``mode``.

    Points are (place, least count of the sample there, most), as fractions; the place of the mode
    stands twice, since all of a distribution may jump there.
    """
    place, low, high = (np.array(column) for column in zip(*points, strict=True))
    n = len(points)
    band = np.ones((n, 1))
    rows = [np.hstack([-np.eye(n), -band]), np.hstack([np.eye(n), -band])]
    bounds = [-low, high]
    rising = np.hstack([np.eye(n)[:-1] - np.eye(n)[1:], np.zeros((n - 1, 1))])
    rows.append(rising)
    bounds.append(np.zeros(n - 1))
    steps = np.diff(place)
    for at in range(n - 2):
        if mode - 1 in (at, at + 1):  # across the jump nothing is asked of the slope
            continue
        bend = rising[at] / steps[at] - rising[at + 1] / steps[at + 1]
        rows.append((-bend if at < mode else bend)[np.newaxis])
        bounds.append(np.zeros(1))
    cost = np.append(np.zeros(n), 1.0)
    limits = [(0.0, 1.0)] * n + [(0.0, None)]
    solved = linprog(cost, A_ub=np.vstack(rows), b_ub=np.concatenate(bounds), bounds=limits)
    assert solved.status == 0, solved.message
    return float(solved.fun)


def _dip_by_definition(values: NDArray[np.float64]) -> float:
    """The least over modes at every value and between every two, each a linear programme."""
    place, counts = np.unique(values, return_counts=True)
    upto = np.cumsum(counts) / len(values)
    below = upto - counts / len(values)
    points = list(zip(place, upto, below, strict=True))
    distances = []
    for at in range(len(place)):
        jump = [(place[at], below[at], below[at]), (place[at], upto[at], upto[at])]
        distances.append(_least_distance(points[:at] + jump + points[at + 1 :], at + 1))
        if at + 1 < len(place):
            middle = (place[at] + place[at + 1]) / 2
            jump = [(middle, upto[at], upto[at])] * 2
            distances.append(_least_distance(points[: at + 1] + jump + points[at + 1 :], at + 2))
    return max(min(distances), 1 / (2 * len(values)))


def _samples(rng: np.random.Generator, kind: str) -> NDArray[np.float64]:
    n = int(rng.integers(1, 13))
    if kind == "uniform":
        return np.sort(rng.uniform(size=n))
    if kind == "two modes":
        return np.sort(np.append(rng.normal(0, 1, n // 2), rng.normal(6, 1, n - n // 2)))
    return np.sort(rng.integers(0, {"few places": 5, "some ties": 15}[kind], n).astype(float))


@pytest.mark.parametrize("kind", ["uniform", "two modes", "few places", "some ties"])
def test_the_statistic_is_the_least_distance_to_any_distribution_with_one_mode(kind: str) -> None:
    rng = np.random.default_rng(7)
    for _ in range(12):
        values = _samples(rng, kind)
        assert dip_statistic(values) == pytest.approx(_dip_by_definition(values), abs=1e-7), values


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3.0], 1 / 2),
        ([1.0, 4.0], 1 / 4),
        ([1.0, 2.0, 3.0], 1 / 6),
        ([1.0, 2.0, 9.0], 1 / 6),
        ([0.0, 0.0, 1.0, 1.0], 1 / 4),
        ([0.0, 0.01, 1.0, 1.01], (1.0 - 0.01) / 4),
        ([1.0, 2.0, 3.0, 4.0], 1 / 8),
        ([5.0] * 6, 1 / 12),
        ([0.0] * 50 + [1.0] * 50, 1 / 4),
    ],
)
def test_small_samples_have_the_dips_found_by_hand(values: list[float], expected: float) -> None:
    assert dip_statistic(np.array(values)) == pytest.approx(expected)


def test_evenly_spaced_values_have_the_least_dip_there_is() -> None:
    assert dip_statistic(np.arange(1000.0)) == 1 / 2000


def test_the_dip_does_not_depend_on_place_scale_or_direction() -> None:
    values = np.sort(np.random.default_rng(1).gamma(2.0, size=300))
    assert dip_statistic(3 * values - 100) == pytest.approx(dip_statistic(values))
    assert dip_statistic(-values[::-1]) == pytest.approx(dip_statistic(values))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.array([]), "at least one"),
        (np.array([2.0, 1.0]), "sort them"),
        (np.array([1.0, np.nan]), "not finite"),
    ],
)
def test_values_that_have_no_dip_are_refused(values: NDArray[np.float64], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        dip_statistic(values)


@pytest.mark.parametrize("size", [4, 5, 11, 60, 860])
def test_a_sample_of_one_mode_is_called_unlikely_as_often_as_its_p_value_says(size: int) -> None:
    rng = np.random.default_rng(size)
    found = np.array([dip_p_value(rng.uniform(size=size)) for _ in range(2000)])
    for p in (0.02, 0.1, 0.3):
        spread = np.sqrt(p * (1 - p) / 2000)
        assert (found <= p).mean() == pytest.approx(p, abs=4 * spread)


def test_the_least_dip_is_never_unlikely() -> None:
    """Of small samples most have it."""
    assert dip_p_value(np.array([1.0, 2.0, 3.0, 4.0])) == 1.0
    assert dip_p_value(np.full(50, 3.0)) == 1.0


def test_two_groups_of_amplitudes_are_told_from_one() -> None:
    rng = np.random.default_rng(3)
    two = np.append(rng.normal(8, 1, 200), rng.normal(16, 1, 200))
    assert dip_p_value(two) < 0.001
    ones = [dip_p_value(rng.normal(8, 1, 400)) for _ in range(20)]
    assert min(ones) >= 0.1


def test_samples_above_the_largest_size_of_the_table_use_its_last_row() -> None:
    rng = np.random.default_rng(4)
    assert dip_p_value(rng.uniform(size=100_000)) > 0.01
    assert dip_p_value(np.append(rng.normal(0, 1, 50_000), rng.normal(3, 1, 50_000))) <= 0.00051


def test_fewer_than_four_values_tell_nothing() -> None:
    assert dip_p_value(np.array([1.0, 9.0, 9.1])) == 1.0


def test_the_table_that_is_shipped_is_the_one_the_script_makes() -> None:
    table = dip._table()
    assert tuple(table.sizes) == SIZES
    assert tuple(table.probabilities) == PROBABILITIES
    assert (np.diff(table.scaled_dips, axis=1) >= 0).all()
