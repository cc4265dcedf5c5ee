"""Spikes aligned to their own peaks, as a sort leaves them beside its analyzer; and their SNR."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from spikefleet.signal.units.unit_data import UnitData

FOLDER = "aligned"  # in the analyzer's
SHIFTS, AVERAGE, STD, CHANNELS = "shifts.npy", "average.npy", "std.npy", "channels.npy"


@dataclass(frozen=True)
class AlignedSpikes:
    """N spikes of U units, each looked at on its unit's largest channel.

    Polarity and channel are those of the average template (a positive peak is at least twice the
    trough). A spike's peak is looked for within three quarters of the way from the spike back to
    where that template was last below a hundredth of its peak; of equal samples it is the middle
    one. Average and standard deviation are of the same sampled spikes as the templates'.
    """

    shifts: NDArray[np.int64]  #: (N,) samples from the sorter's time to the peak
    average_uv: NDArray[np.float64]  #: (U, T)
    std_uv: NDArray[np.float64]  #: (U, T)
    channels: NDArray[np.int64]  #: (U,)

    def part(self, chosen: NDArray[np.bool_]) -> AlignedSpikes:
        """Return the same of some of the spikes."""
        return replace(self, shifts=self.shifts[chosen])


@dataclass(frozen=True)
class AlignedQuality:
    """What alignment makes of one unit; NaN where a sort kept none."""

    snr_aligned: float  #: peak of the aligned mean over noise
    std_norm_aligned: float  #: spread of aligned waveforms at that peak

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary; what could not be measured is None."""
        return {name: value if math.isfinite(value) else None for name, value in vars(self).items()}


def measure_aligned(data: UnitData) -> tuple[AlignedQuality, ...]:
    """Measure every unit by its aligned waveforms, in the order of ``data.unit_ids``."""
    aligned = data.aligned
    if aligned is None or len(aligned.channels) != data.unit_count:
        return (AlignedQuality(math.nan, math.nan),) * data.unit_count
    heights = np.abs(aligned.average_uv)
    units, peaks = np.arange(data.unit_count), heights.argmax(axis=1)
    height, spread = heights[units, peaks], aligned.std_uv[units, peaks]
    noise = data.noise_uv[aligned.channels]
    with np.errstate(divide="ignore", invalid="ignore"):
        snr = np.where(noise == 0, 0.0, height / noise)
        std_norm = np.where(height > 0, spread / height, np.inf)
    return tuple(AlignedQuality(float(a), float(b)) for a, b in zip(snr, std_norm, strict=True))


def read_aligned(analyzer: Path, order: NDArray[np.int64]) -> AlignedSpikes | None:
    """Read what a sort left in its analyzer's folder; None where it is of before there was any.

    ``order`` puts spikes from the spike vector's order into the wanted one. Raises ValueError where
    the arrays do not fit the spikes or each other.
    """
    folder = analyzer / FOLDER
    if not folder.is_dir():
        return None
    shifts, average, std, channels = (
        np.load(folder / name) for name in (SHIFTS, AVERAGE, STD, CHANNELS)
    )
    if shifts.shape != order.shape or average.ndim != 2 or average.shape != std.shape:
        raise ValueError(f"alignment: {shifts.shape}, {average.shape} and {std.shape}")
    if channels.shape != average.shape[:1] or not average.shape[1]:
        raise ValueError(f"alignment: {channels.shape} channels of {average.shape}")
    return AlignedSpikes(
        shifts[order].astype(np.int64),
        average.astype(np.float64),
        std.astype(np.float64),
        channels.astype(np.int64),
    )
