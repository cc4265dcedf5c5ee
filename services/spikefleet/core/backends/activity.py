"""Whether a recording holds spikes at all, asked the same way before every sorter.

Sorters meet silence each in their own way: a crash inside a clustering library, an assertion, an
empty result, or units invented out of noise. So none of them is asked. The test is built to err
towards sorting: it reads on, spread over the whole recording, until there is enough evidence of
spikes, and says "silent" only when everything was read and nothing stood out of the noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from spikefleet.core.failures.errors import InsufficientActivityError

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording, BaseSorting

CHUNK_S = 1.0
THRESHOLD_SIGMA = 5.5
MIN_EVENTS = 10
NOISE_MARGIN = 4.0
DEAD_TIME_MS = 1.0
EDGE_MS = 10.0  # read beyond a chunk, where the filter still rings from its edge
MIN_CHANNELS_FOR_REFERENCE = 16


@dataclass(frozen=True)
class Activity:
    """What was found. ``events`` are threshold crossings after dead time, over all channels;
    ``expected_from_noise`` is how many Gaussian noise alone would have given."""

    events: int
    expected_from_noise: float
    searched_s: float
    live_channels: int

    @property
    def enough(self) -> bool:
        """Whether noise alone cannot explain the events."""
        return self.events >= max(MIN_EVENTS, NOISE_MARGIN * self.expected_from_noise)


def measure_activity(recording: BaseRecording) -> Activity:
    """Look for events beyond 5.5 noise deviations, chunk by chunk, until there are enough.

    Chunks are visited spread over the recording, so that an active one costs a second or two of
    reading; a silent one is read to its end, because a wrong verdict costs the recording.
    """
    rate_hz = float(recording.get_sampling_frequency())
    n_samples = int(recording.get_num_samples())
    size = max(1, min(n_samples, round(CHUNK_S * rate_hz)))
    sos = butter(3, min(300.0, 0.2 * rate_hz), btype="highpass", fs=rate_hz, output="sos")
    margin = round(EDGE_MS / 1000.0 * rate_hz)
    found = Activity(0, 0.0, 0.0, 0)
    for chunk in _spread(math.ceil(n_samples / size)):
        start = min(chunk * size, n_samples - size)
        before = min(margin, start)
        traces = recording.get_traces(
            start_frame=start - before, end_frame=min(start + size + margin, n_samples)
        )
        step = 0.5 if np.issubdtype(traces.dtype, np.integer) else 0.0
        inside = slice(before, before + size)
        events, live = _count_events(_highpassed(traces, sos)[inside], rate_hz, step)
        found = Activity(
            events=found.events + events,
            expected_from_noise=found.expected_from_noise
            + live * size * math.erfc(THRESHOLD_SIGMA / math.sqrt(2)),
            searched_s=found.searched_s + size / rate_hz,
            live_channels=max(found.live_channels, live),
        )
        if found.enough:
            break
    return found


def require_activity(recording: BaseRecording, sorter: str) -> Activity:
    """Return what was found. Raises InsufficientActivityError when the recording is silent."""
    found = measure_activity(recording)
    if not found.enough:
        raise InsufficientActivityError(
            f"No spikes stand out of the noise in {found.searched_s:.0f} s on "
            f"{found.live_channels} live channels ({found.events} crossings, "
            f"{found.expected_from_noise:.1f} expected from noise alone).",
            sorter=sorter,
            threshold_crossings=found.events,
            searched_s=round(found.searched_s, 3),
            live_channels=found.live_channels,
        )
    return found


def require_units(sorting: BaseSorting, sorter: str, activity: Activity) -> BaseSorting:
    """Return ``sorting`` without spikeless units. Raises InsufficientActivityError when none is
    left."""
    kept = sorting.remove_empty_units()
    if len(kept.unit_ids) == 0:
        raise InsufficientActivityError(
            f"{sorter} found no units in this recording.",
            sorter=sorter,
            threshold_crossings=activity.events,
            units_at_failure=0,
            nspks_at_failure=0,
        )
    return kept


def _spread(n_chunks: int) -> list[int]:
    """Return 0..n-1 so that every prefix covers the range about evenly (golden-ratio order)."""
    golden = (math.sqrt(5) - 1) / 2
    return sorted(range(n_chunks), key=lambda chunk: (chunk * golden) % 1.0)


def _highpassed(traces: NDArray[np.generic], sos: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return float32 samples x channels, high-passed, the common mean removed on larger arrays.

    The mean and not the median: what is left of Gaussian noise must stay Gaussian.
    """
    values = np.nan_to_num(traces.astype(np.float32), posinf=0.0, neginf=0.0)
    values -= np.median(values, axis=0)  # a large offset would ring through the filter's edge
    if len(values) > 3 * (2 * len(sos) + 1):
        values = sosfiltfilt(sos, values, axis=0).astype(np.float32)
    if values.shape[1] >= MIN_CHANNELS_FOR_REFERENCE:
        values -= values.mean(axis=1, keepdims=True)
    return values


def _count_events(
    values: NDArray[np.float32], rate_hz: float, least_sigma: float
) -> tuple[int, int]:
    """Return (events, live channels) of samples x channels.

    Crossings of either sign on any channel within the dead time are one event: a spike seen on
    twelve contacts is one spike. ``least_sigma`` keeps the steps of a converter whose noise is
    below one step from looking like spikes.
    """
    live = values.any(axis=0)
    if not live.any():
        return 0, 0
    heights = np.abs(values[:, live])
    sigma = np.maximum(np.median(heights, axis=0) / 0.6745, least_sigma)
    loud = np.flatnonzero((heights > THRESHOLD_SIGMA * sigma).any(axis=1))
    if loud.size == 0:
        return 0, int(live.sum())
    apart = np.diff(loud) > DEAD_TIME_MS / 1000.0 * rate_hz
    return 1 + int(apart.sum()), int(live.sum())
