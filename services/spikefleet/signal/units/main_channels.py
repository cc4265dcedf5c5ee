"""The channel on which each unit is largest, found before anything else is measured.

The same spikes, windows and rule as SpikeInterface's when it makes an analyzer, in bounded memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from spikeinterface.core.core_tools import ms_to_samples

from spikefleet.signal.units.recording_blocks import (
    Indices,
    Samples,
    blocks_with_spikes,
    by_unit,
)
from spikefleet.signal.units.sampled_spikes import Sampling

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording, BaseSorting

_SPIKES_PER_UNIT = 100
_MS_BEFORE, _MS_AFTER = 1.0, 2.5
_GROUP_BYTES = 16 << 20
_KEY = "main_channel_id"


def find_main_channels(recording: BaseRecording, sorting: BaseSorting, seed: int) -> Indices:
    """Return the index of the channel with every unit's largest deflection, (U,).

    Taken from the mean of up to 100 spikes, in the recording's own numbers. What the sorting itself
    says (``main_channel_id``) is believed. A unit whose spikes all lie at the ends has channel 0.
    """
    if not len(sorting.unit_ids):
        return np.zeros(0, dtype=np.int64)
    if _KEY in sorting.get_property_keys():
        return np.asarray(recording.ids_to_indices(sorting.get_property(_KEY)), dtype=np.int64)
    rate_hz, n_units = float(recording.get_sampling_frequency()), len(sorting.unit_ids)
    before, after = ms_to_samples(_MS_BEFORE, rate_hz), ms_to_samples(_MS_AFTER, rate_hz)
    every = sorting.to_spike_vector()
    lengths = [recording.get_num_samples(index) for index in range(recording.get_num_segments())]
    sampling = Sampling(_SPIKES_PER_UNIT, max(before, after), seed)
    spikes = every[sampling.choose(every, lengths, n_units)]
    offsets = np.arange(-before, after)
    unit_bytes = 4 * len(offsets) * int(recording.get_num_channels())
    at_once = max(1, _GROUP_BYTES // unit_bytes)
    found = [
        _largest(recording, spikes, offsets, (first, min(first + at_once, n_units)))
        for first in range(0, n_units, at_once)
    ]
    return np.concatenate(found)


def _largest(
    recording: BaseRecording, spikes: Samples, offsets: Indices, units: tuple[int, int]
) -> Indices:
    """Return the largest channel of the units from the first up to the second."""
    index = spikes["unit_index"]
    some = spikes[(index >= units[0]) & (index < units[1])]
    shape = (units[1] - units[0], len(offsets), int(recording.get_num_channels()))
    sums = np.zeros(shape, dtype=np.float32)
    counts = np.bincount(some["unit_index"] - units[0], minlength=shape[0])
    for block, held in blocks_with_spikes(recording, some, int(np.abs(offsets).max())):
        here = some[held]
        for unit, places in by_unit(here["unit_index"] - units[0]):
            rows = block.windows(here["sample_index"][places], offsets)
            sums[unit] += block.traces[rows].sum(axis=0, dtype=np.float32)
    means = sums / np.maximum(counts, 1)[:, np.newaxis, np.newaxis].astype(np.float32)
    largest: Indices = np.abs(means).max(axis=1).argmax(axis=1)
    return largest
