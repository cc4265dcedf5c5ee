"""A recording in blocks, with the spikes that lie in each: what bounds the memory of measuring.

A block is looked at, not copied, where the recording is plain samples on a disk: what no spike
touches is then not even read. Nothing is measured here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spikefleet.signal.formats.reader_errors import reading_traces

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording

_BLOCK_BYTES = 16 << 20
# Margins are read twice: a block is long enough to keep that small.
_LEAST_MARGINS = 16

Samples = NDArray[Any]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """Consecutive frames of one segment, from ``first`` on; zeros beyond the segment's ends."""

    first: int
    traces: Samples  #: (frames, C), in the recording's own numbers
    n_frames: int  #: of the segment

    def windows(self, samples: Indices, offsets: Indices) -> Indices:
        """Return the rows of ``traces`` at each sample plus each offset, (samples, offsets)."""
        return (samples - self.first)[:, np.newaxis] + offsets

    def holds(self, rows: Indices) -> NDArray[np.bool_]:
        """Tell which rows of ``traces`` were recorded, and lie beyond no end."""
        inside: NDArray[np.bool_] = (rows >= -self.first) & (rows < self.n_frames - self.first)
        return inside


@dataclass(frozen=True)
class Scale:
    """From a recording's own numbers to µV as SpikeInterface does it: float32, gain, offset."""

    gain_uv: NDArray[np.float32]  #: (C,) µV per count
    offset_uv: NDArray[np.float32]  #: (C,)

    @classmethod
    def of(cls, recording: BaseRecording, in_uv: bool) -> Scale | None:
        """Return the scale of a recording; None where its numbers are to be left as they are."""
        if not in_uv or not recording.has_scaleable_traces():
            return None
        return cls(
            np.asarray(recording.get_channel_gains()).astype(np.float32),
            np.asarray(recording.get_channel_offsets()).astype(np.float32),
        )

    def apply(self, values: Samples, channels: Indices | slice) -> NDArray[np.float32]:
        """Return values of (..., channels) in µV."""
        scaled = values.astype(np.float32)
        scaled *= self.gain_uv[channels]
        offset_uv = self.offset_uv[channels]
        if offset_uv.any():
            scaled += offset_uv
        return scaled


def blocks_with_spikes(
    recording: BaseRecording, spikes: Samples, margin: int
) -> Iterator[tuple[Block, slice]]:
    """Yield the blocks that hold spikes, in order, each with which of ``spikes`` it holds.

    ``spikes`` is SpikeInterface's spike vector, in order of segment and sample. ``margin`` frames
    around every spike are in its block.
    """
    frame_bytes = int(recording.get_num_channels()) * np.dtype(recording.get_dtype()).itemsize
    step = max(1, _BLOCK_BYTES // frame_bytes, _LEAST_MARGINS * margin)
    segments = np.asarray(spikes["segment_index"])
    samples = np.asarray(spikes["sample_index"])
    for segment in range(recording.get_num_segments()):
        n_samples = int(recording.get_num_samples(segment))
        low, high = np.searchsorted(segments, [segment, segment + 1])
        starts = np.arange(0, n_samples, step)
        bounds = low + np.searchsorted(samples[low:high], [*starts, n_samples])
        for start, since, until in zip(starts, bounds[:-1], bounds[1:], strict=True):
            if until > since:
                last = min(int(start) + step, n_samples)
                frames = (int(start) - margin, last + margin)
                traces = _read(recording, segment, frames, n_samples)
                yield Block(frames[0], traces, n_samples), slice(int(since), int(until))


def _read(
    recording: BaseRecording, segment: int, frames: tuple[int, int], n_samples: int
) -> Samples:
    """Return the frames, with zeros for those before the first sample and after the last."""
    start, end = max(frames[0], 0), min(frames[1], n_samples)
    with reading_traces():
        traces: Samples = recording.get_traces(
            segment_index=segment, start_frame=start, end_frame=end
        )
    missing = (start - frames[0], frames[1] - end)
    return np.pad(traces, (missing, (0, 0))) if any(missing) else traces


def by_unit(units: Indices) -> Iterator[tuple[int, Indices]]:
    """Yield every unit index in ``units`` with where it stands there, ascending."""
    order = np.argsort(units, kind="stable")
    found, starts = np.unique(units[order], return_index=True)
    for unit, places in zip(found, np.split(order, starts[1:]), strict=True):
        yield int(unit), places
