"""Times between the spikes of two units, or of one. Pairs across a cut are no pairs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikefleet.signal.units.unit_data import IntArray

# Of the first unit; beyond it every n-th spike stands for its neighbours. The shape is the same.
MOST_SPIKES = 50_000


def lags(
    first: IntArray, second: IntArray, window_samples: int, seams: IntArray
) -> NDArray[np.int64]:
    """Return ``second - first`` in samples of every pair at most ``window_samples`` apart.

    Trains ascend. A spike is no pair with itself where both are one train. Of a very long first
    train every n-th spike is taken (``MOST_SPIKES``); then there are fewer pairs, not others.
    """
    is_same = first is second or np.array_equal(first, second)
    step = max(1, -(-len(first) // MOST_SPIKES))
    chosen = np.arange(0, len(first), step)
    low = np.searchsorted(second, first[chosen] - window_samples, side="left")
    high = np.searchsorted(second, first[chosen] + window_samples, side="right")
    counts = high - low
    owners = np.repeat(chosen, counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    others = np.repeat(low, counts) + within
    is_pair = np.ones(len(owners), dtype=bool)
    if is_same:
        is_pair &= owners != others
    if seams.size:
        stretch = np.searchsorted(seams, first[owners], side="right")
        is_pair &= stretch == np.searchsorted(seams, second[others], side="right")
    found: NDArray[np.int64] = second[others[is_pair]] - first[owners[is_pair]]
    return found


def correlogram(
    first: IntArray,
    second: IntArray,
    *,
    bin_samples: int,
    n_bins: int,
    seams: IntArray,
) -> IntArray:
    """Count ``lags`` in ``n_bins`` bins on each side of 0, (2 n_bins,).

    A bin holds its lower edge. A pair of two spikes in the same sample is in the first bin above 0.
    """
    edge = bin_samples * n_bins
    found = lags(first, second, edge, seams)
    inside = found[(found >= -edge) & (found < edge)]
    return np.bincount((inside + edge) // bin_samples, minlength=2 * n_bins).astype(np.int64)
