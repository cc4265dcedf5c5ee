"""Groups among numbers on a line: Gaussian mixtures, the number of groups by BIC.

Latencies are whole frames, at most a few dozen different ones, so mixtures are fitted to their
histogram: 31 numbers instead of thousands of events. A whole frame stands for all times within half
a frame of it; a component is therefore never narrower than that, and BIC cannot reward one group
for each whole number.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture

from spikefleet.rt_sort.compiled import compiled

_NARROWEST = 0.25  # variance (frames²)
_TOLERANCE, _MOST_ROUNDS = 1e-3, 1000


def split_latencies(latencies: NDArray[np.int8], most: int) -> NDArray[np.int64]:
    """Return the group of each latency (frames), from 0; at most ``most`` groups."""
    values, where, counts = np.unique(latencies, return_inverse=True, return_counts=True)
    of_value = _best_groups(values.astype(np.float64), counts.astype(np.float64), most)
    groups: NDArray[np.int64] = of_value[where]
    return groups


@compiled
def _best_groups(
    values: NDArray[np.float64], weights: NDArray[np.float64], most: int
) -> NDArray[np.int64]:
    """Group of each value under the mixture of 1 to ``most`` components with the least BIC."""
    best, chosen = np.inf, np.zeros(len(values), dtype=np.int64)
    for k in range(1, min(most, len(values)) + 1):
        likelihood, groups = _fit(values, weights, k)
        bic = -2.0 * likelihood + (3 * k - 1) * math.log(weights.sum())
        if bic < best:
            best, chosen = bic, groups
    return chosen


@compiled
def _fit(
    values: NDArray[np.float64], weights: NDArray[np.float64], k: int
) -> tuple[float, NDArray[np.int64]]:
    """Expectation-maximisation from the best split into k runs; the log-likelihood and groups."""
    n, total = len(values), weights.sum()
    shares = np.zeros((n, k))
    runs = _best_runs(values, weights, k)
    for index in range(n):
        shares[index, runs[index]] = 1.0
    before, likelihood = -np.inf, -np.inf
    for _ in range(_MOST_ROUNDS):
        means, variances, parts = np.zeros(k), np.zeros(k), np.zeros(k)
        for group in range(k):
            held = shares[:, group] * weights
            parts[group] = held.sum() + 1e-12
            means[group] = (held * values).sum() / parts[group]
            apart = values - means[group]
            variances[group] = (held * apart * apart).sum() / parts[group] + _NARROWEST
        likelihood = 0.0
        for index in range(n):
            density = 0.0
            for group in range(k):
                apart = values[index] - means[group]
                shares[index, group] = (
                    parts[group]
                    / total
                    * math.exp(-0.5 * apart * apart / variances[group])
                    / math.sqrt(2.0 * math.pi * variances[group])
                )
                density += shares[index, group]
            density = max(density, 1e-300)
            shares[index] /= density
            likelihood += weights[index] * math.log(density)
        if abs(likelihood - before) < _TOLERANCE * total:
            break
        before = likelihood
    groups = np.zeros(n, dtype=np.int64)
    for index in range(n):
        groups[index] = np.argmax(shares[index])
    return likelihood, groups


@compiled
def _best_runs(
    values: NDArray[np.float64], weights: NDArray[np.float64], k: int
) -> NDArray[np.int64]:
    """Cut sorted values into k runs with the least squared distance to their means: k-means on a
    line, exactly."""
    n = len(values)
    cost = np.zeros((n, n))
    for first in range(n):
        weight, total, square = 0.0, 0.0, 0.0
        for last in range(first, n):
            weight += weights[last]
            total += weights[last] * values[last]
            square += weights[last] * values[last] ** 2
            cost[first, last] = square - total * total / weight
    least = np.full((k, n), np.inf)
    cut = np.zeros((k, n), dtype=np.int64)
    least[0] = cost[0]
    for runs in range(1, k):
        for last in range(runs, n):
            for first in range(runs, last + 1):
                together = least[runs - 1, first - 1] + cost[first, last]
                if together < least[runs, last]:
                    least[runs, last], cut[runs, last] = together, first
    groups = np.zeros(n, dtype=np.int64)
    last = n - 1
    for runs in range(k - 1, -1, -1):
        first = cut[runs, last]
        groups[first : last + 1] = runs
        last = first - 1
    return groups


def split_amplitudes(amplitudes: NDArray[np.float32], most: int) -> NDArray[np.int64]:
    """Return the group of each amplitude; 2 to ``most`` groups, the least BIC wins."""
    values = amplitudes.astype(np.float64)[:, None]
    fits = [
        GaussianMixture(k, random_state=0).fit(values)
        for k in range(2, most + 1)
        if len(np.unique(amplitudes)) >= k
    ]
    if not fits:
        return np.zeros(len(amplitudes), dtype=np.int64)
    groups: NDArray[np.int64] = min(fits, key=lambda fit: fit.bic(values)).predict(values)
    return groups
