"""Waveforms of the sampled spikes, and their mean and spread per unit, in one reading.

Rows go to their file as they come, so that memory does not grow with the spikes; mean and spread
are taken on the way and need no second look at them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from spikeinterface.core.core_tools import ms_to_samples

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
    from spikeinterface.core import SortingAnalyzer

    from spikefleet.core.config.units import WaveformConfig

_BATCH_BYTES = 8 << 20


@dataclass(frozen=True)
class Window:
    """Which samples around a spike, on which channels of its unit, in which numbers."""

    offsets: Indices  #: (T,) samples from the spike
    channels: list[Indices]  #: of every unit, ascending
    scale: Scale | None
    dtype: np.dtype[Any]
    n_channels: int  #: of the recording

    @property
    def width(self) -> int:
        """Channels of the unit that has most."""
        return max(map(len, self.channels), default=0)

    def cut(self, block: Block, samples: Indices, unit: int) -> Samples:
        """Return the waveforms of one unit's spikes, (spikes, T, its channels)."""
        rows, channels = block.windows(samples, self.offsets), self.channels[unit]
        if len(channels) == self.n_channels:
            values = block.traces[rows]
        else:
            values = block.traces[rows[:, :, np.newaxis], channels]
        return values if self.scale is None else self.scale.apply(values, channels)


class Moments:
    """Mean and spread of every unit's waveforms, from batches of them.

    Batches are joined by their means and squared deviations (Chan, Golub and LeVeque 1983), which
    loses nothing to a baseline far from zero.
    """

    def __init__(self, n_units: int, n_samples: int, width: int) -> None:
        self._counts = np.zeros(n_units, dtype=np.int64)
        self._means = np.zeros((n_units, n_samples, width), dtype=np.float32)
        self._squares = np.zeros_like(self._means)

    def add(self, unit: int, waveforms: Samples) -> None:
        """Count (n, T, channels) of one unit in."""
        n_new, n_old = len(waveforms), int(self._counts[unit])
        mean = waveforms.mean(axis=0, dtype=np.float32)
        deviations = waveforms - mean
        squares = np.einsum("ntc,ntc->tc", deviations, deviations)
        used = (unit, slice(None), slice(waveforms.shape[2]))
        apart = mean - self._means[used]
        self._means[used] += apart * np.float32(n_new / (n_old + n_new))
        self._squares[used] += squares + apart**2 * np.float32(n_old * n_new / (n_old + n_new))
        self._counts[unit] = n_old + n_new

    def dense(
        self, channels: list[Indices], n_channels: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return average and standard deviation on all channels, each (U, T, C); zeros elsewhere.

        The deviation is that of the population; without a spike, zero.
        """
        average = np.zeros((*self._means.shape[:2], n_channels), dtype=np.float32)
        std = np.zeros_like(average)
        for unit, (count, where) in enumerate(zip(self._counts, channels, strict=True)):
            if count:
                average[unit][:, where] = self._means[unit, :, : len(where)]
                std[unit][:, where] = np.sqrt(self._squares[unit, :, : len(where)] / count)
        return average, std


def store_waveforms(analyzer: SortingAnalyzer, config: WaveformConfig, keep: bool) -> None:
    """Take the waveforms of the sampled spikes; store templates, and the waveforms if ``keep``.

    The analyzer has its random spikes. As SpikeInterface's ``waveforms`` and ``templates`` (average
    and std): (spikes, T, most channels of a unit) and (U, T, C).
    """
    params = {"ms_before": config.ms_before, "ms_after": config.ms_after}
    spikes = analyzer.get_extension("random_spikes").get_random_spikes()
    with ExitStack() as stack:
        templates = stack.enter_context(
            storing(analyzer, "templates", **params, operators=["average", "std"])
        )
        window = _window(analyzer, config)
        moments = Moments(len(analyzer.unit_ids), len(window.offsets), window.width)
        rows = None
        if keep:
            extension = stack.enter_context(storing(analyzer, "waveforms", **params))
            shape = (len(spikes), len(window.offsets), window.width)
            rows = stack.enter_context(
                extension.growing("waveforms", extension.params["dtype"], shape)
            )
        for waveforms in _batches(analyzer, spikes, window, moments):
            if rows is not None:
                rows.append(waveforms)
        average, std = moments.dense(window.channels, window.n_channels)
        templates.set("average", average)
        templates.set("std", std)


def _batches(
    analyzer: SortingAnalyzer, spikes: Samples, window: Window, moments: Moments
) -> Iterator[Samples]:
    """Yield the waveforms of all ``spikes``, in order, a bounded number at a time."""
    row_shape = (len(window.offsets), window.width)
    at_once = max(1, _BATCH_BYTES // max(1, 4 * row_shape[0] * row_shape[1]))
    margin = int(np.abs(window.offsets).max())
    for block, held in blocks_with_spikes(analyzer.recording, spikes, margin):
        for first in range(held.start, held.stop, at_once):
            some = spikes[first : min(first + at_once, held.stop)]
            waveforms = np.zeros((len(some), *row_shape), dtype=window.dtype)
            for unit, places in by_unit(some["unit_index"]):
                cut = window.cut(block, some["sample_index"][places], unit)
                moments.add(unit, cut)
                waveforms[places, :, : cut.shape[2]] = cut
            yield waveforms


def _window(analyzer: SortingAnalyzer, config: WaveformConfig) -> Window:
    recording, rate_hz = analyzer.recording, float(analyzer.sampling_frequency)
    before, after = (ms_to_samples(ms, rate_hz) for ms in (config.ms_before, config.ms_after))
    n_channels = int(recording.get_num_channels())
    everywhere = np.ones((len(analyzer.unit_ids), n_channels), dtype=bool)
    mask = everywhere if analyzer.sparsity is None else analyzer.sparsity.mask
    scale = Scale.of(recording, analyzer.return_in_uV)
    return Window(
        offsets=np.arange(-before, after),
        channels=[np.flatnonzero(row) for row in mask],
        scale=scale,
        dtype=np.dtype(recording.get_dtype() if scale is None else np.float32),
        n_channels=n_channels,
    )
