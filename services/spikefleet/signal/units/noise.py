"""How large the noise of every channel is: the median deviation of random pieces.

SpikeInterface's definition on the same pieces. Counts are counted as the integers they are, which
is an order cheaper than sorting them in µV, and scaled afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from spikeinterface.core.time_series_tools import get_random_sample_slices

from spikefleet.signal.formats.reader_errors import reading_traces
from spikefleet.signal.units.recording_blocks import Indices, Samples, Scale

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording

# Of a normal distribution: its median absolute deviation over its standard deviation.
_MAD_OF_NORMAL = 0.6744897501960817
_CHANNELS_AT_ONCE = 64


def measure_noise(recording: BaseRecording, scale: Scale | None, seed: int) -> NDArray[Any]:
    """Return the noise of every channel, (C,): µV with a scale, else the recording's own numbers.

    A robust standard deviation: the mean over 20 random pieces of 0.5 s of their median absolute
    deviations, divided by that of a normal distribution. The same seed looks at the same pieces.
    """
    found = []
    for segment, start, end in get_random_sample_slices(recording, seed=seed):
        with reading_traces():
            traces = recording.get_traces(segment_index=segment, start_frame=start, end_frame=end)
        found.append(_median_deviation(traces, scale))
    noise: NDArray[Any] = np.mean(np.stack(found), axis=0)
    return noise


def _median_deviation(traces: Samples, scale: Scale | None) -> NDArray[Any]:
    if np.issubdtype(traces.dtype, np.integer) and traces.dtype.itemsize <= 2:
        counts = _deviation_of_counts(traces) / _MAD_OF_NORMAL
        return counts if scale is None else (counts * np.abs(scale.gain_uv)).astype(np.float32)
    values = traces if scale is None else scale.apply(traces, slice(None))
    by_channel = np.ascontiguousarray(values.T)
    middle = np.median(by_channel, axis=1, keepdims=True)
    deviation: NDArray[Any] = np.median(np.abs(by_channel - middle), axis=1) / _MAD_OF_NORMAL
    return deviation


def _deviation_of_counts(traces: Samples) -> NDArray[np.float64]:
    """Return the median absolute deviation of small integers, (C,), exactly."""
    parts = [
        _MedianCounter(traces[:, first : first + _CHANNELS_AT_ONCE]).deviation()
        for first in range(0, traces.shape[1], _CHANNELS_AT_ONCE)
    ]
    return np.concatenate(parts)


class _MedianCounter:
    """How often each count occurs on each channel: all that medians need.

    Twice a median of whole numbers is a whole number, so that everything stays one.
    """

    def __init__(self, traces: Samples) -> None:
        self._n_samples, n_channels = traces.shape
        self._low, high = int(traces.min()), int(traces.max())
        self._width = high - self._low + 1
        self._rows = np.arange(n_channels)
        places = traces.astype(np.int64)
        places += self._rows * self._width - self._low
        found = np.bincount(places.ravel(), minlength=n_channels * self._width)
        upto = np.cumsum(found.reshape(n_channels, self._width), axis=1)
        self._upto = np.pad(upto, ((0, 0), (1, 0)))  # of (channel, so many lowest counts)

    def deviation(self) -> NDArray[np.float64]:
        """Return the median absolute deviation of every channel."""
        lower, upper = (self._n_samples - 1) // 2, self._n_samples // 2
        doubled = self._ranked(lower) + self._ranked(upper)
        near, far = (self._distance(doubled, rank) for rank in (lower, upper))
        return np.asarray((near + far) / 4.0)

    def _ranked(self, rank: int) -> Indices:
        """Return the count that stands in this place from below, from 0."""
        found: Indices = (self._upto[:, 1:] <= rank).sum(axis=1) + self._low
        return found

    def _distance(self, doubled: Indices, rank: int) -> Indices:
        """Return twice the distance from the middle, in this place from the nearest, from 0."""
        low, high = np.full_like(doubled, -1), np.full_like(doubled, 2 * self._width)
        while (high - low > 1).any():
            middle = (low + high) // 2
            enough = self._within(doubled, middle) > rank
            high, low = np.where(enough, middle, high), np.where(enough, low, middle)
        return high

    def _within(self, doubled: Indices, distance: Indices) -> Indices:
        """Return how many samples are as near as that to the middle, doubled both."""
        until = (doubled + distance) // 2 - self._low + 1
        since = -((distance - doubled) // 2) - self._low
        until, since = np.clip(until, 0, self._width), np.clip(since, 0, self._width)
        found: Indices = self._upto[self._rows, until] - self._upto[self._rows, since]
        return found
