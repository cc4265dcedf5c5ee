"""How samples are in the HDF5 datasets our own readers read: one row per channel, or interleaved.

Decides how a block is fetched with the fewest and smallest reads; knows no vendor. Keeps a handle
on the dataset only, never samples.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spikeinterface.core import BaseRecordingSegment

from spikefleet.signal.formats.reader_errors import reading

# An interleaved block is read whole even for few channels; longer ones are read in pieces.
_PIECE_VALUES = 8_000_000


class RowsSegment(BaseRecordingSegment):  # type: ignore[misc]
    """Reads samples x channels out of a channels x samples dataset; ``rows`` are the channels'."""

    def __init__(
        self, data: Any, rows: NDArray[np.int64], sampling_rate_hz: float, path: Path
    ) -> None:
        super().__init__(sampling_frequency=sampling_rate_hz)
        self._data = data
        self._rows = rows
        self._path = path

    def get_num_samples(self) -> int:
        """Return the number of samples per channel."""
        return int(self._data.shape[1])

    def get_traces(self, start_frame: int, end_frame: int, channel_indices: Any) -> NDArray[Any]:
        """Return samples x channels, unscaled."""
        rows = self._rows if channel_indices is None else self._rows[channel_indices]
        rows = np.atleast_1d(rows)
        if rows.size == 0:
            return np.empty((end_frame - start_frame, 0), dtype=self._data.dtype)
        with reading(self._path):
            # A contiguous read and a slice in memory: HDF5's own row lists are far slower.
            first, last = int(rows.min()), int(rows.max())
            block = self._data[first : last + 1, start_frame:end_frame]
        if not np.array_equal(rows, np.arange(first, last + 1)):
            block = block[rows - first]
        traces: NDArray[Any] = block.T
        return traces


class InterleavedSegment(BaseRecordingSegment):  # type: ignore[misc]
    """Reads samples x channels out of a flat dataset, frame after frame, or a 2-D one of frames.

    ``inverted_from`` is subtracted from where a system stores the signal upside down.
    """

    def __init__(
        self, data: Any, shape: tuple[int, int], sampling_rate_hz: float, path: Path
    ) -> None:
        super().__init__(sampling_frequency=sampling_rate_hz)
        self._data = data
        self._n_samples, self._n_channels = shape
        self._path = path
        self.inverted_from: int | None = None

    def get_num_samples(self) -> int:
        """Return the number of samples per channel."""
        return self._n_samples

    def get_traces(self, start_frame: int, end_frame: int, channel_indices: Any) -> NDArray[Any]:
        """Return samples x channels, unscaled."""
        chosen = slice(None) if channel_indices is None else channel_indices
        if isinstance(chosen, slice) and chosen == slice(None):
            return self._read(start_frame, end_frame)
        step = max(1, _PIECE_VALUES // self._n_channels)
        pieces = [
            self._read(start, min(start + step, end_frame))[:, chosen]
            for start in range(start_frame, end_frame, step)
        ]
        return np.concatenate(pieces) if pieces else self._read(0, 0)[:, chosen]

    def _read(self, start: int, end: int) -> NDArray[Any]:
        with reading(self._path):
            if self._data.ndim == 2:
                block = self._data[start:end]
            else:
                flat = self._data[start * self._n_channels : end * self._n_channels]
                block = flat.reshape(end - start, self._n_channels)
        if self.inverted_from is not None:
            block = (self.inverted_from - block.astype(np.int32)).astype(block.dtype)
        traces: NDArray[Any] = block
        return traces
