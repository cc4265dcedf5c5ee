"""Samples in an uncompressed HDF5 file, read past HDF5: a dataset in one piece is a flat region.

Finds the dataset that holds a stream by what is in it, whatever the vendor calls it, and which of
its columns are the stream's channels. Datasets in chunks or with any filter are not handled here:
what is compressed already is neither inflated nor encoded again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from spikeinterface.core import BaseRecording

from spikefleet.signal.archive.manifest import ContainerPlace
from spikefleet.signal.archive.probing import probed_spans
from spikefleet.signal.formats.hdf5 import open_hdf5


@dataclass(frozen=True)
class ContainedSamples:
    """A dataset of ``n_frames`` x ``n_columns``; ``order`` puts the stream's channels first."""

    path: Path
    dtype: np.dtype[Any]
    n_frames: int
    n_columns: int
    dataset: str
    offset_bytes: int
    by_channel: bool
    order: tuple[int, ...]

    @property
    def place(self) -> ContainerPlace:
        """Where it is, for the manifest."""
        return ContainerPlace(self.dataset, self.offset_bytes, self.by_channel, self.order)

    @property
    def hole(self) -> tuple[int, int]:
        """The first byte in the file, and the number of bytes."""
        return self.offset_bytes, self.n_frames * self.n_columns * self.dtype.itemsize

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return frames x columns, the stream's channels first."""
        return _read(self, self.order, start, stop)


def find_contained(path: Path, recording: BaseRecording, taken: set[str]) -> list[ContainedSamples]:
    """Return the datasets of an HDF5 file, but for ``taken``, that hold a recording's samples."""
    dtype = np.dtype(recording.dtype)
    n_frames, n_channels = int(recording.get_num_samples()), int(recording.get_num_channels())
    if dtype.str[0] == ">" or dtype.kind not in "iuf":
        return []
    with open_hdf5(path) as file:
        laid_out = [
            found
            for name, dataset in _datasets(file)
            if name not in taken and dataset.dtype == dtype
            for found in _layouts(path, name, dataset, n_frames, n_channels)
        ]
    spans = probed_spans(n_frames)
    expected = np.concatenate([recording.get_traces(start_frame=a, end_frame=b) for a, b in spans])
    matching = []
    for found in laid_out:
        identity = range(found.n_columns)
        stored = np.concatenate([_read(found, identity, a, b) for a, b in spans])
        order = _match(stored, expected)
        if order is not None:
            matching.append(ContainedSamples(**{**vars(found), "order": order}))
    return matching


def _datasets(file: Any) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []

    def visit(name: str, entry: Any) -> None:
        if isinstance(entry, h5py.Dataset) and _is_plain(entry):
            found.append((name, entry))

    file.visititems(visit)
    return found


def _is_plain(dataset: Any) -> bool:
    """Say whether a dataset is in the file in one piece, as it is."""
    creation = dataset.id.get_create_plist()
    return bool(
        dataset.ndim in (1, 2)
        and dataset.chunks is None
        and creation.get_nfilters() == 0
        and creation.get_external_count() == 0
        and not dataset.is_virtual
        and dataset.id.get_offset() is not None
    )


def _layouts(
    path: Path, name: str, dataset: Any, n_frames: int, n_channels: int
) -> list[ContainedSamples]:
    """Return how a dataset's shape could be frames and columns: neither, one, or both ways."""
    shape = dataset.shape
    if len(shape) == 1:
        n_columns, over = divmod(int(shape[0]), n_frames)
        ways = [(n_columns, False)] if not over else []
    else:
        ways = [(shape[1 - axis], axis == 1) for axis in (0, 1) if shape[axis] == n_frames]
    # What HDF5 says counts from the end of a user block, a file's bytes from its beginning.
    offset_bytes = int(dataset.id.get_offset()) + int(dataset.file.userblock_size)
    return [
        ContainedSamples(
            path, dataset.dtype, n_frames, int(n_columns), name, offset_bytes, by_channel, ()
        )
        for n_columns, by_channel in ways
        if n_columns >= n_channels
    ]


def _read(found: ContainedSamples, columns: Sequence[int], start: int, stop: int) -> NDArray[Any]:
    itemsize, count = found.dtype.itemsize, stop - start
    with found.path.open("rb") as file:
        if not found.by_channel:
            file.seek(found.offset_bytes + start * found.n_columns * itemsize)
            frames = np.fromfile(file, dtype=found.dtype, count=count * found.n_columns)
            frames = frames.reshape(count, found.n_columns)
            plain = list(columns) == list(range(found.n_columns))
            return frames if plain else frames[:, list(columns)]
        rows = np.empty((len(columns), count), dtype=found.dtype)
        for row, column in enumerate(columns):
            file.seek(found.offset_bytes + (column * found.n_frames + start) * itemsize)
            rows[row] = np.fromfile(file, dtype=found.dtype, count=count)
    return rows.T


def _match(stored: NDArray[Any], expected: NDArray[Any]) -> tuple[int, ...] | None:
    """Return the columns of ``stored``, those equal to ``expected`` first; None if one has none."""
    by_bytes: dict[bytes, list[int]] = {}
    for column in reversed(range(stored.shape[1])):
        by_bytes.setdefault(stored[:, column].tobytes(), []).append(column)
    chosen: list[int] = []
    for channel in range(expected.shape[1]):
        columns = by_bytes.get(expected[:, channel].tobytes())
        if not columns:
            return None
        chosen.append(columns.pop())
    left = sorted(set(range(stored.shape[1])) - set(chosen))
    return (*chosen, *left)
