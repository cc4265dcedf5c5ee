"""A stretch of centred traces with their logits, and the samples of it that are kept."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikefleet.rt_sort.compiled import compiled
from spikefleet.rt_sort.detections import Samples


class Stretch(NamedTuple):
    """Electrodes x frames from frame ``origin`` of the window on.

    Column 0 of ``noise`` (electrodes x blocks, σ in µV) is block ``first_block``; a block has
    ``block`` frames, and windows begin ``before`` frames before their peak.
    """

    traces: NDArray[np.float32]
    logits: NDArray[np.float32]
    noise: NDArray[np.float32]
    origin: int
    block: int
    before: int
    first_block: int


@compiled
def noise_column(stretch: Stretch, frame: int) -> int:
    """Column of ``noise`` for a peak at a frame of the window: the last block that ends before the
    peak's window begins; the first block for peaks too early for that."""
    block = (frame - stretch.before) // stretch.block - 1
    return max(block, 0) - stretch.first_block


@compiled
def _count_above(logits: NDArray[np.float32], floor: float) -> NDArray[np.int64]:
    offsets = np.zeros(logits.shape[0] + 1, dtype=np.int64)
    for electrode in range(logits.shape[0]):
        found = 0
        for column in range(logits.shape[1]):
            if logits[electrode, column] >= floor:
                found += 1
        offsets[electrode + 1] = offsets[electrode] + found
    return offsets


@compiled
def _fill_above(stretch: Stretch, floor: float, samples: Samples) -> None:
    for electrode in range(stretch.logits.shape[0]):
        at = samples.offsets[electrode]
        for column in range(stretch.logits.shape[1]):
            if stretch.logits[electrode, column] >= floor:
                frame = stretch.origin + column
                sigma = stretch.noise[electrode, noise_column(stretch, frame)]
                samples.frames[at] = frame
                samples.logits[at] = stretch.logits[electrode, column]
                samples.amplitudes[at] = stretch.traces[electrode, column] / sigma
                at += 1


def above(stretch: Stretch, floor: float) -> Samples:
    """Return every sample whose logit is at least ``floor``."""
    offsets = _count_above(stretch.logits, floor)
    count = int(offsets[-1])
    samples = Samples(
        offsets,
        np.empty(count, dtype=np.int64),
        np.empty(count, dtype=np.float32),
        np.empty(count, dtype=np.float32),
    )
    _fill_above(stretch, floor, samples)
    return samples
