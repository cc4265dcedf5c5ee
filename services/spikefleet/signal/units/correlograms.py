"""Times between the spikes of two units, or of one. Pairs across a cut are no pairs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikefleet.signal.units.unit_data import IntArray

# Of a drawn correlogram's first unit; beyond it every n-th spike stands for its neighbours.
MOST_SPIKES = 50_000
_MOST_PAIRS = 50_000_000  # looked at; of a train that fires in bursts without end
_PIECE_PAIRS = 2_000_000  # held at once


@dataclass(frozen=True)
class Pairs:
    """Pairs of spikes, in pieces. ``share`` of the first train's spikes were looked at."""

    share: float
    _first: IntArray
    _second: IntArray
    _window_samples: int
    _seams: IntArray
    _step: int
    _is_same: bool

    def lags(self) -> Iterator[NDArray[np.int64]]:
        """Yield ``second - first`` in samples of every pair, piece by piece."""
        chosen = np.arange(0, len(self._first), self._step)
        at = self._first[chosen]
        low = np.searchsorted(self._second, at - self._window_samples, side="left")
        high = np.searchsorted(self._second, at + self._window_samples, side="right")
        ends = np.cumsum(high - low)
        begin = 0
        while begin < len(chosen):
            before = int(ends[begin - 1]) if begin else 0
            end = max(begin + 1, int(np.searchsorted(ends, before + _PIECE_PAIRS, side="right")))
            yield self._piece(chosen[begin:end], low[begin:end], high[begin:end])
            begin = end

    def _piece(self, chosen: IntArray, low: IntArray, high: IntArray) -> NDArray[np.int64]:
        counts = high - low
        owners = np.repeat(chosen, counts)
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        others = np.repeat(low, counts) + within
        is_pair = np.ones(len(owners), dtype=bool)
        if self._is_same:
            is_pair &= owners != others
        if self._seams.size:
            stretch = np.searchsorted(self._seams, self._first[owners], side="right")
            is_pair &= stretch == np.searchsorted(self._seams, self._second[others], side="right")
        found: NDArray[np.int64] = self._second[others[is_pair]] - self._first[owners[is_pair]]
        return found


def pairs(
    first: IntArray,
    second: IntArray | None,
    window_samples: int,
    seams: IntArray,
    *,
    most_spikes: int | None = None,
) -> Pairs:
    """Pair the spikes of two ascending trains at most ``window_samples`` apart.

    ``second`` None is the first train itself, of which no spike is a pair with itself. Two other
    trains may be equal: then each spike pairs with its twin. Beyond ``most_spikes`` in the first
    train, or where bursts would make pairs without end, only every n-th spike of it is looked at.
    """
    other = first if second is None else second
    step = 1 if most_spikes is None else max(1, -(-len(first) // most_spikes))
    total = int(
        np.searchsorted(other, first + window_samples, side="right").sum()
        - np.searchsorted(other, first - window_samples, side="left").sum()
    )
    step = max(step, -(-total // _MOST_PAIRS))
    looked_at = -(-len(first) // step)
    share = looked_at / len(first) if len(first) else 1.0
    return Pairs(share, first, other, window_samples, seams, step, second is None)


def correlogram(
    first: IntArray,
    second: IntArray | None,
    *,
    bin_samples: int,
    n_bins: int,
    seams: IntArray,
) -> IntArray:
    """Count pairs in ``n_bins`` bins on each side of 0, (2 n_bins,); see ``pairs``.

    A bin holds its lower edge. A pair of two spikes in the same sample is in the first bin above 0.
    Of more than ``MOST_SPIKES`` there are fewer pairs, of the same shape.
    """
    edge = bin_samples * n_bins
    counts: IntArray = np.zeros(2 * n_bins, dtype=np.int64)
    for found in pairs(first, second, edge, seams, most_spikes=MOST_SPIKES).lags():
        inside = found[(found >= -edge) & (found < edge)]
        counts += np.bincount((inside + edge) // bin_samples, minlength=2 * n_bins)
    return counts
