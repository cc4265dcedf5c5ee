"""The samples of a recording as the network wants them: centred, scaled, with their noise.

One reading, chunk by chunk. Each electrode's middle over a block of 50 ms is taken off, and the
block's noise measured. Values that are no numbers become zeros and are remembered, so that no
spike is found in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spikefleet.core.failures.errors import InsufficientActivityError

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording

LEAST_NOISE_UV = 0.5
_MAD_TO_SIGMA = 0.6745
# Of a normal distribution: the mean of the smaller 0.7 of all sizes is 0.4737 σ.
_SMALLER, _MEAN_TO_MEDIAN = 0.7, 0.6745 / 0.4737
_GAIN_BLOCKS = 40


@dataclass(frozen=True)
class TraceSpan:
    """Frames [start, end) of a recording of one segment, read in µV."""

    recording: BaseRecording
    start: int
    end: int

    @property
    def n_frames(self) -> int:
        """Length in frames."""
        return self.end - self.start

    @property
    def n_electrodes(self) -> int:
        """How many electrodes there are."""
        return int(self.recording.get_num_channels())

    def read(self, first: int, last: int) -> NDArray[np.float32]:
        """Return electrodes x frames in µV, [first, last) counted from the window's start."""
        traces: NDArray[Any] = self.recording.get_traces(
            start_frame=self.start + first, end_frame=self.start + last, return_in_uV=True
        )
        return np.ascontiguousarray(traces.T, dtype=np.float32)


@dataclass(frozen=True)
class Centred:
    """A chunk: centred traces (electrodes x frames, µV), the noise (σ, µV; electrodes x blocks) and
    which values were no numbers, or None when all were."""

    traces: NDArray[np.float32]
    noise: NDArray[np.float32]
    missing: NDArray[np.bool_] | None


def centre(traces: NDArray[np.float32], block: int) -> Centred:
    """Centre a chunk that begins at a block's border; a last short block takes part in the one
    before it. Changes ``traces``."""
    electrodes, frames = traces.shape
    missing = ~np.isfinite(traces)
    if missing.any():
        traces[missing] = np.nan
    else:
        missing = None  # type: ignore[assignment]
    edges = list(range(0, frames, block))
    if len(edges) > 1 and frames - edges[-1] < block // 2:
        edges.pop()
    noise = np.empty((electrodes, len(edges)), dtype=np.float32)
    for index, first in enumerate(edges):
        last = edges[index + 1] if index + 1 < len(edges) else frames
        part = traces[:, first:last]
        noise[:, index] = _centre_block(part, has_gaps=missing is not None)
    if missing is not None:
        traces[missing] = 0.0
    return Centred(traces, noise, missing)


def _centre_block(part: NDArray[np.float32], *, has_gaps: bool) -> NDArray[np.float32]:
    if has_gaps:
        spread = np.zeros(len(part), dtype=np.float32)
        for electrode in range(len(part)):
            there = np.isfinite(part[electrode])
            if there.any():
                values = part[electrode : electrode + 1, there]
                part[electrode] -= _middle(values)[0]
                spread[electrode] = _spread(values - _middle(values))[0]
    else:
        part -= _middle(part)
        spread = _spread(part)
    noise: NDArray[np.float32] = np.maximum(LEAST_NOISE_UV, spread / _MAD_TO_SIGMA)
    return noise


def _middle(part: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean of the middle half of each electrode: as robust as the median, and not a whole step of
    the converter as a median is, where steps are as large as the noise."""
    low, high = part.shape[1] // 4, max(part.shape[1] // 4 + 1, 3 * part.shape[1] // 4)
    ordered = np.partition(part, (low, high - 1), axis=1)
    middle: NDArray[np.float32] = ordered[:, low:high].mean(axis=1, keepdims=True)
    return middle


def _spread(part: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the median size of each electrode's values would be, from the mean of the smaller seven
    tenths; where most is exact zeros (blanked), they tell
    nothing."""
    sizes = np.abs(part)
    last = max(1, int(_SMALLER * part.shape[1]))
    smaller = np.partition(sizes, last - 1, axis=1)[:, :last]
    spread: NDArray[np.float32] = smaller.mean(axis=1) * _MEAN_TO_MEDIAN
    for electrode in np.flatnonzero((sizes <= 1e-6).mean(axis=1) > 0.6):
        there = sizes[electrode][sizes[electrode] > 1e-6]
        spread[electrode] = np.median(there) if len(there) else 0.0
    return spread


def noise_gain(
    window: TraceSpan, block: int, numerator_uv: float | None, *, first_only: bool = False
) -> float:
    """Return what brings this recording's noise to the level that the model was trained on.

    The median over electrodes of the inter-quartile range, in blocks spread over the window; the
    median of the blocks. ``first_only`` takes the first block, as the authors do. Raises
    InsufficientActivityError when every electrode is silent.
    """
    if numerator_uv is None:
        return 1.0
    blocks = 1 if first_only else min(_GAIN_BLOCKS, max(1, window.n_frames // block))
    starts = np.linspace(0, max(0, window.n_frames - block), blocks).astype(int)
    widths = []
    for start in starts:
        traces = window.read(int(start), min(int(start) + block, window.n_frames))
        whole = traces[np.isfinite(traces).all(axis=1)]
        if not len(whole):
            continue
        low, high = np.percentile(whole, [25.0, 75.0], axis=1)
        alive = (high - low)[high > low]
        if len(alive):
            widths.append(float(np.median(alive)))
    if not widths:
        raise InsufficientActivityError(
            "The recording is silent: no electrode has a noise to measure. Check that the "
            "amplifier was connected.",
            sorter="rt_sort",
            threshold_crossings=0,
        )
    return numerator_uv / float(np.median(widths))
