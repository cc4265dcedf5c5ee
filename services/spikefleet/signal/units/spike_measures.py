"""What is measured of every single spike, in one reading: its amplitude, place and own peak.

SpikeInterface's definitions, taken from the samples around the spike and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from spikeinterface.core import get_channel_distances, get_template_peak_shift_on_main_channel
from spikeinterface.core.core_tools import ms_to_samples

from spikefleet.signal.units.alignment import storing_alignment
from spikefleet.signal.units.recording_blocks import (
    Block,
    Indices,
    Samples,
    Scale,
    blocks_with_spikes,
    by_unit,
)
from spikefleet.signal.units.stored_extensions import storing

if TYPE_CHECKING:
    from collections.abc import Callable

    from spikeinterface.core import SortingAnalyzer

LOCATION_RADIUS_UM = 75.0
LOCATION_MS = 0.5
_LOCATION = np.dtype([("x", "float32"), ("y", "float32")])
_BATCH_SPIKES = 16_384


class _Amplitudes:
    """The sample at each unit's template peak, on the channel where the unit is largest."""

    def __init__(self, analyzer: SortingAnalyzer) -> None:
        self._shifts = get_template_peak_shift_on_main_channel(analyzer, with_dict=False)
        self._channels = analyzer.get_main_channels(outputs="index")
        self._scale = Scale.of(analyzer.recording, analyzer.return_in_uV)
        self.margin = int(np.abs(self._shifts).max())
        self.dtype = np.dtype(analyzer.recording.get_dtype() if self._scale is None else np.float32)

    def measure(self, block: Block, samples: Indices, units: Indices) -> Samples:
        """Return the amplitude of each spike, (spikes,)."""
        channels = self._channels[units]
        values = block.traces[samples + self._shifts[units] - block.first, channels]
        return values if self._scale is None else self._scale.apply(values, channels)


class _Locations:
    """The centre of mass of the channels near the unit's largest one, by peak-to-peak height."""

    def __init__(self, analyzer: SortingAnalyzer) -> None:
        recording, rate_hz = analyzer.recording, float(analyzer.sampling_frequency)
        n_samples = ms_to_samples(LOCATION_MS, rate_hz)
        self._offsets = np.arange(-n_samples, n_samples)
        self._channels = analyzer.get_main_channels(outputs="index")
        self._places_um = recording.get_channel_locations()
        self._near = get_channel_distances(recording) <= LOCATION_RADIUS_UM
        self.margin = n_samples

    def measure(self, block: Block, samples: Indices, units: Indices) -> NDArray[np.void]:
        """Return where each spike was in µm, (spikes,) of x and y."""
        found = np.zeros(len(samples), dtype=_LOCATION)
        for channel, spikes in by_unit(self._channels[units]):
            near = np.flatnonzero(self._near[channel])
            rows = block.windows(samples[spikes], self._offsets)
            heights = np.ptp(block.traces[rows[:, :, np.newaxis], near], axis=1)
            with np.errstate(invalid="ignore"):
                centres = heights @ self._places_um[near] / heights.sum(axis=1)[:, np.newaxis]
            found["x"][spikes], found["y"][spikes] = centres[:, 0], centres[:, 1]
        return found


def store_spike_measures(analyzer: SortingAnalyzer, progress: Callable[[float], None]) -> None:
    """Store amplitude, location and alignment of every spike, in the order of the spike vector.

    The analyzer has its templates. As SpikeInterface's ``spike_amplitudes`` (µV where the recording
    has a scale; signed, at the template's peak) and ``spike_locations`` (centre of mass, 0.5 ms on
    either side, 75 µm; not a number where all is flat). Zeros are taken for samples beyond an end.
    The alignment is ours: see ``AlignedSpikes``.
    """
    spikes = analyzer.sorting.to_spike_vector()
    heights, places = _Amplitudes(analyzer), _Locations(analyzer)
    location = {"ms_before": LOCATION_MS, "ms_after": LOCATION_MS, "method": "center_of_mass"}
    with (
        storing(analyzer, "spike_amplitudes") as amplitude,
        storing(analyzer, "spike_locations", **location) as located,
        amplitude.growing("amplitudes", heights.dtype, spikes.shape) as amplitudes,
        located.growing("spike_locations", _LOCATION, spikes.shape) as locations,
        storing_alignment(analyzer) as alignment,
    ):
        margin = max(heights.margin, places.margin, alignment.margin)
        for block, held in blocks_with_spikes(analyzer.recording, spikes, margin):
            for first in range(held.start, held.stop, _BATCH_SPIKES):
                some = spikes[first : min(first + _BATCH_SPIKES, held.stop)]
                where = (some["sample_index"], some["unit_index"])
                amplitudes.append(heights.measure(block, *where))
                locations.append(places.measure(block, *where))
                alignment.take(block, some, first)
            progress(held.stop / len(spikes))
