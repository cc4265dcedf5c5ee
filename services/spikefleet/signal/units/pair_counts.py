"""Correlograms of all pairs of units: SpikeInterface's counts, at a fraction of their cost.

Its own counting without a compiler clears a table of all pairs and bins for every neighbour of a
spike; here only what was found is added.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spikefleet.signal.units.recording_blocks import Indices
from spikefleet.signal.units.stored_extensions import storing

if TYPE_CHECKING:
    from spikeinterface.core import SortingAnalyzer

WINDOW_MS, BIN_MS = 100.0, 1.0
_AT_ONCE = 1 << 20


def store_correlograms(analyzer: SortingAnalyzer, seams: Sequence[int] = ()) -> None:
    """Store ``correlograms``: (U, U, bins) counts of lags within 50 ms, and the bins' edges in ms.

    ``seams`` are samples before which time jumps; a pair that spans one is not counted.
    """
    rate_hz = float(analyzer.sampling_frequency)
    width = max(1, round(rate_hz * BIN_MS / 1000))
    half = round(rate_hz * WINDOW_MS / 2000) // width
    spikes = analyzer.sorting.to_spike_vector()
    stretch = np.searchsorted(np.asarray(seams), spikes["sample_index"], side="right")
    part = spikes["segment_index"] * (len(seams) + 1) + stretch
    starts = np.flatnonzero(np.diff(part, prepend=-1))
    n_units = len(analyzer.unit_ids)
    counts = np.zeros((n_units, n_units, 2 * half), dtype=np.int64)
    for start, end in zip(starts, np.append(starts, len(spikes))[1:], strict=True):
        own = spikes[start:end]
        _count_pairs(own["sample_index"], own["unit_index"], width, counts)
    edges_ms = np.arange(-half, half + 1) * width * 1000 / rate_hz
    params = {"window_ms": WINDOW_MS, "bin_ms": BIN_MS, "method": "numpy"}
    with storing(analyzer, "correlograms", **params) as extension:
        extension.set("ccgs", counts)
        extension.set("bins", edges_ms)


def _count_pairs(samples: Indices, units: Indices, width: int, counts: NDArray[np.int64]) -> None:
    """Add the pairs of one stretch of spikes to ``counts``, which holds half its bins either way.

    A lag of exactly the window is counted backwards only, as the first bin there holds it.
    """
    n_units, _, n_bins = counts.shape
    half, flat = n_bins // 2, counts.reshape(-1)
    samples, units = np.ascontiguousarray(samples), np.ascontiguousarray(units)
    for since in range(0, len(samples), _AT_ONCE):
        first = np.arange(since, min(since + _AT_ONCE, len(samples)))
        for step in range(1, len(samples)):
            first = first[first < len(samples) - step]
            lag = samples[first + step] - samples[first]
            near = lag <= half * width
            first, lag = first[near], lag[near]
            if not len(first):
                break
            earlier, later = units[first], units[first + step]
            back = (earlier * n_units + later) * n_bins + half - (lag + width - 1) // width
            np.add.at(flat, back, 1)
            ahead = (later * n_units + earlier) * n_bins + half + lag // width
            np.add.at(flat, ahead[lag < half * width], 1)
