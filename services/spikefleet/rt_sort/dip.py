"""Hartigan's dip: how far a sample is from having one mode, and how likely that is by chance.

The dip is the least distance, over all distributions with one mode, between the sample's
distribution function and theirs (J. A. and P. M. Hartigan 1985, Annals of Statistics 13:70;
computed in the way of P. M. Hartigan 1985, Applied Statistics 34:320, algorithm AS 217). What
samples of a uniform distribution give by chance was simulated once and is kept in
``dip_table.json``, which ``python -m scripts.dip_table`` makes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikefleet.rt_sort.compiled import compiled

_TABLE = Path(__file__).with_name("dip_table.json")
_LEAST_TIMES_N = 0.5  # no sample of n has a smaller dip than 1 / (2n)


def dip_statistic(sorted_values: NDArray[np.float64]) -> float:
    """Return the dip of values in ascending order: between 1/(2n) and 1/4.

    One value, or n that are equal, have the smallest dip, 1/(2n), as has every sample that one mode
    explains.

    Raises:
        ValueError: there is no value, one is not finite, or they are not in ascending order.
    """
    values = np.ascontiguousarray(sorted_values, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        raise ValueError("The dip needs at least one value, in one dimension.")
    if not np.isfinite(values).all():
        raise ValueError("The dip is not defined for values that are not finite; leave them out.")
    if (np.diff(values) < 0).any():
        raise ValueError("The dip needs values in ascending order; sort them first.")
    return float(dip_of_sorted(values))


def dip_p_value(values: NDArray[np.float64]) -> float:
    """Return how often a uniform sample of this size has a dip at least as large, 0.0005 to 1.

    Between the table's sizes √n·dip is interpolated over 1/√n; above its last size that row is
    used, since it no longer changes. Fewer than four values tell nothing: 1.

    Raises:
        ValueError: a value is not finite.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64).ravel())
    if ordered.size < 4:
        return 1.0
    statistic = dip_statistic(ordered)
    if statistic <= _LEAST_TIMES_N * (1 + 1e-9) / ordered.size:
        return 1.0
    table = _table()
    scaled = np.sqrt(ordered.size) * statistic
    at = np.interp(
        -1 / np.sqrt(ordered.size), -1 / np.sqrt(table.sizes), np.arange(len(table.sizes))
    )
    below = int(at)
    above = min(below + 1, len(table.sizes) - 1)
    row = table.scaled_dips[below] + (at - below) * (
        table.scaled_dips[above] - table.scaled_dips[below]
    )
    return float(1.0 - np.interp(scaled, row, table.probabilities))


@dataclass(frozen=True)
class _Table:
    """``scaled_dips`` is sizes x probabilities: √n·dip that so many uniform samples stay below."""

    sizes: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    scaled_dips: NDArray[np.float64]


@cache
def _table() -> _Table:
    document = json.loads(_TABLE.read_text(encoding="utf-8"))
    return _Table(
        sizes=np.array(document["sizes"], dtype=np.float64),
        probabilities=np.array(document["probabilities"], dtype=np.float64),
        scaled_dips=np.array(document["root_n_dip"], dtype=np.float64),
    )


@compiled
def _hull(
    x: NDArray[np.float64], y: NDArray[np.float64], first: int, last: int, sign: float
) -> NDArray[np.int64]:
    """Corners of the greatest convex minorant (sign 1), or of the least concave majorant (-1)."""
    corners = np.empty(last - first + 1, dtype=np.int64)
    n = 0
    for new in range(first, last + 1):
        while n >= 2:
            a, b = corners[n - 2], corners[n - 1]
            turn = (y[b] - y[a]) * (x[new] - x[a]) - (y[new] - y[a]) * (x[b] - x[a])
            if sign * turn < 0.0:
                break
            n -= 1
        corners[n] = new
        n += 1
    return corners[:n]


@compiled
def _on(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    corners: NDArray[np.int64],
    first: int,
    last: int,
) -> NDArray[np.float64]:
    """The line through the corners, at every point from first to last."""
    line = np.empty(last - first + 1)
    line[0] = y[first]
    for index in range(len(corners) - 1):
        a, b = corners[index], corners[index + 1]
        slope = (y[b] - y[a]) / (x[b] - x[a])
        for point in range(a + 1, b):
            line[point - first] = y[a] + slope * (x[point] - x[a])
        line[b - first] = y[b]
    return line


@compiled
def _narrowed(
    gap: NDArray[np.float64], lower: NDArray[np.int64], upper: NDArray[np.int64], first: int
) -> tuple[int, int, float]:
    """Where the mode must be, given the gap between the two hulls, and the widest gap.

    The interval begins at a corner of the minorant and ends at one of the majorant, one of them
    where the gap is widest.
    """
    at_lower, at_upper = lower[0], upper[0]
    for corner in lower:
        if gap[corner - first] > gap[at_lower - first]:
            at_lower = corner
    for corner in upper:
        if gap[corner - first] > gap[at_upper - first]:
            at_upper = corner
    if gap[at_lower - first] > gap[at_upper - first]:
        return at_lower, upper[np.searchsorted(upper, at_lower)], gap[at_lower - first]
    return (
        lower[np.searchsorted(lower, at_upper, side="right") - 1],
        at_upper,
        gap[at_upper - first],
    )


@compiled
def dip_of_sorted(values: NDArray[np.float64]) -> float:
    """Return the dip of finite values in ascending order, unchecked; for loops that are compiled.

    The interval that must hold the mode shrinks from all values to where the two hulls are closer
    than the largest distance outside of it. Distances are counts of values, twice the dip times n.
    """
    n = len(values)
    x, below, upto = np.empty(n), np.empty(n), np.empty(n)
    n_points = 0
    for index in range(n):
        if index == 0 or values[index] > values[index - 1]:
            x[n_points], below[n_points] = values[index], index
            n_points += 1
        upto[n_points - 1] = index + 1
    twice_dip, first, last = 1.0, 0, n_points - 1
    while first < last:
        lower, upper = _hull(x, below, first, last, 1.0), _hull(x, upto, first, last, -1.0)
        minorant, majorant = _on(x, below, lower, first, last), _on(x, upto, upper, first, last)
        left, right, widest = _narrowed(majorant - minorant, lower, upper, first)
        if widest <= twice_dip:
            break
        for point in range(first, left):
            twice_dip = max(twice_dip, upto[point] - minorant[point - first])
        for point in range(right + 1, last + 1):
            twice_dip = max(twice_dip, majorant[point - first] - below[point])
        first, last = left, right
    return twice_dip / (2 * n)
