"""Where each spike's own peak is: times aligned to it, beside those that the sorter gave.

A sorter's times lie where its template fits best. Looking for the largest deflection near each puts
spikes of one unit upon each other, which sharpens a mean waveform, and below an SNR of five also
aligns on noise. So both are kept: nothing here replaces a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spikefleet.signal.units.aligned_spikes import AVERAGE, CHANNELS, FOLDER, SHIFTS, STD
from spikefleet.signal.units.quality import find_peaks
from spikefleet.signal.units.recording_blocks import Block, Indices, Samples, Scale, by_unit
from spikefleet.signal.units.spike_waveforms import Moments
from spikefleet.signal.units.stored_extensions import GrowingArray

if TYPE_CHECKING:
    from spikeinterface.core import SortingAnalyzer

# A sort does not depend on what curation calls a positive peak, so that it is fixed here.
_POSITIVE_PEAK_RATIO = 2.0
_SMALL_SHARE, _WINDOW_SHARE = 0.01, 0.75


def half_windows(shapes: NDArray[Any], spike: int) -> Indices:
    """Return how far from a spike its peak is looked for, in samples, (U,).

    ``shapes`` is each unit's template on its largest channel, (U, T), ``spike`` the sample that is
    on the spike. Three quarters of the way back to where the template was last below a hundredth
    of its peak; of the whole way where it never was; 0 for a template of zeros.
    """
    heights = np.abs(shapes)
    peaks = heights.max(axis=1, keepdims=True, initial=0.0)
    small = heights[:, :spike] < _SMALL_SHARE * peaks
    back = np.where(small.any(axis=1), np.argmax(small[:, ::-1], axis=1) + 1, spike)
    found: Indices = np.where(peaks[:, 0] > 0, (_WINDOW_SHARE * back).astype(np.int64), 0)
    return found


def peaks_in(values: Samples, inside: NDArray[np.bool_]) -> Indices:
    """Return where each row of (n, K) is largest, (n,): of equal places the middle one.

    Of an even number of them the later. What is not ``inside`` is not looked at.
    """
    lowest = np.where(inside, values, -np.inf)
    largest = (lowest == lowest.max(axis=1, keepdims=True)) & inside
    middle = largest.sum(axis=1, keepdims=True) // 2 + 1
    found: Indices = (largest.cumsum(axis=1) == middle).argmax(axis=1)
    return found


@dataclass(frozen=True)
class Aligner:
    """Finds the peak of every spike on the channel where its unit is largest."""

    channels: Indices  #: (U,)
    signs: Indices  #: (U,) 1 where the peak points up in the recording's own numbers, else -1
    reach: Indices  #: (U,) samples looked at on either side

    @classmethod
    def of(cls, analyzer: SortingAnalyzer) -> Aligner:
        """Decide by the average templates of an analyzer."""
        extension = analyzer.get_extension("templates")
        templates = extension.get_templates()
        peaks = find_peaks(templates, positive_peak_ratio=_POSITIVE_PEAK_RATIO)
        shapes = templates[np.arange(len(templates)), :, peaks.channel]
        signs = np.where(peaks.positive, 1, -1)
        scale = Scale.of(analyzer.recording, analyzer.return_in_uV)
        if scale is not None:
            signs = np.where(scale.gain_uv[peaks.channel] < 0, -signs, signs)
        return cls(peaks.channel, signs, half_windows(shapes, extension.nbefore))

    def shifts(self, block: Block, samples: Indices, units: Indices) -> Indices:
        """Return how far from each spike its peak is, (spikes,); never beyond an end."""
        found = np.zeros(len(samples), dtype=np.int64)
        for unit, spikes in by_unit(units):
            offsets = np.arange(-self.reach[unit], self.reach[unit] + 1)
            rows = block.windows(samples[spikes], offsets)
            values = self.signs[unit] * block.traces[rows, self.channels[unit]].astype(np.float64)
            found[spikes] = offsets[peaks_in(values, block.holds(rows))]
        return found


class Alignment:
    """Takes spikes block by block; keeps their shifts and the aligned waveforms' mean and spread.

    Waveforms are those of the sampled spikes, each on its unit's largest channel; one that would
    reach over an end is left out.
    """

    def __init__(self, analyzer: SortingAnalyzer, shifts: GrowingArray) -> None:
        self._aligner, self._file = Aligner.of(analyzer), shifts
        templates = analyzer.get_extension("templates")
        self._offsets = np.arange(-templates.nbefore, templates.nafter)
        self._moments = Moments(len(analyzer.unit_ids), len(self._offsets), 1)
        self._scale = Scale.of(analyzer.recording, analyzer.return_in_uV)
        self._is_sampled = np.zeros(len(analyzer.sorting.to_spike_vector()), dtype=bool)
        self._is_sampled[analyzer.get_extension("random_spikes").get_data()] = True
        reach = int(self._aligner.reach.max(initial=0))
        self.margin = reach + int(np.abs(self._offsets).max())

    def take(self, block: Block, spikes: Samples, first: int) -> None:
        """Take the next spikes of the spike vector, the first of which stands at ``first``."""
        samples, units = spikes["sample_index"], spikes["unit_index"]
        shifts = self._aligner.shifts(block, samples, units)
        self._file.append(shifts)
        sampled = np.flatnonzero(self._is_sampled[first : first + len(spikes)])
        for unit, places in by_unit(units[sampled]):
            chosen = sampled[places]
            rows = block.windows(samples[chosen] + shifts[chosen], self._offsets)
            rows = rows[block.holds(rows).all(axis=1)]
            channels = self._aligner.channels[[unit]]
            values = block.traces[rows[:, :, np.newaxis], channels]
            if len(values):
                scaled = values if self._scale is None else self._scale.apply(values, channels)
                self._moments.add(unit, scaled)

    def write(self, folder: Path) -> None:
        """Write channels, and average and standard deviation on them, (U, T) each."""
        average, std = self._moments.dense([np.zeros(1, dtype=np.int64)] * len(self._channels), 1)
        np.save(folder / AVERAGE, average[:, :, 0])
        np.save(folder / STD, std[:, :, 0])
        np.save(folder / CHANNELS, self._channels)

    @property
    def _channels(self) -> Indices:
        return self._aligner.channels


@contextmanager
def storing_alignment(analyzer: SortingAnalyzer) -> Iterator[Alignment]:
    """Align the spikes that are given within the block, and keep the result in the analyzer."""
    folder = Path(analyzer.folder) / FOLDER
    folder.mkdir()
    with (folder / SHIFTS).open("wb") as file:
        shifts = GrowingArray(file, np.int16, analyzer.sorting.to_spike_vector().shape)
        alignment = Alignment(analyzer, shifts)
        yield alignment
    shifts.require_complete()
    alignment.write(folder)
