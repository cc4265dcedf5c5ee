"""What can be encoded: streams whose samples are as they are in a file of the recording.

Decides by content. In a flat file of whole frames the leading columns must be the stream's own
samples; in an HDF5 container one dataset, stored without compression and in one piece, must hold
them. Then traces, the columns left over and the rest of a container make up every byte of the file,
and the file itself need not be kept. Anything else (vendors' compression, samples a reader changes)
is kept whole: nothing is ever left behind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spikeinterface.core import BaseRecording

from spikefleet.core.failures.errors import SpikeSortingClassifiedError
from spikefleet.core.recording.description import RecordingDescription
from spikefleet.signal.archive.containers import ContainedSamples, find_contained
from spikefleet.signal.archive.probing import probed_spans
from spikefleet.signal.formats.hdf5 import is_hdf5


@dataclass(frozen=True)
class ArchiveSource:
    """A recording to archive: where it is, what it holds, and how to open one of its streams."""

    path: Path
    description: RecordingDescription
    open_stream: Callable[[str], BaseRecording]


@dataclass(frozen=True)
class FlatFile:
    """A file of frames: ``n_columns`` little-endian samples each, no header."""

    path: Path
    dtype: np.dtype[Any]
    n_frames: int
    n_columns: int

    @property
    def place(self) -> None:
        """A flat file is not a container."""
        return

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return frames x columns, the stream's channels first."""
        with self.path.open("rb") as file:
            file.seek(start * self.n_columns * self.dtype.itemsize)
            frames = np.fromfile(file, dtype=self.dtype, count=(stop - start) * self.n_columns)
        return frames.reshape(stop - start, self.n_columns)


StoredSamples = FlatFile | ContainedSamples


def encodable_streams(source: ArchiveSource, files: tuple[Path, ...]) -> dict[str, StoredSamples]:
    """Return stream -> where its samples are; empty when any stream has no such place.

    Streams sorted only when named come along where they can; the others need not.
    """
    found: dict[str, StoredSamples] = {}
    for stream in source.description.streams:
        place = _locate(source, stream.stream, files, found)
        if place is None:
            return {}
        found[stream.stream] = place
    for name in source.description.other_streams:
        place = _locate(source, name, files, found)
        if place is not None and place.place is not None:
            found[name] = place
    return found


def _locate(
    source: ArchiveSource,
    stream: str,
    files: tuple[Path, ...],
    taken: dict[str, StoredSamples],
) -> StoredSamples | None:
    try:
        recording = source.open_stream(stream)
    except SpikeSortingClassifiedError:
        # Samples that cannot be read here (a vendor's plugin is missing, one bad well) are
        # archived all the same, as the bytes they are.
        return None
    paths = {place.path for place in taken.values() if place.place is None}
    datasets = {place.place.dataset for place in taken.values() if place.place is not None}
    matching: list[StoredSamples] = []
    for path in files:
        if path in paths:
            continue
        if is_hdf5(path):
            matching += find_contained(path, recording, datasets)
        elif (flat := _as_flat(path, recording)) is not None:
            matching.append(flat)
    # Two files alike where they were probed (both silent, say) leave it open which one it is. Of
    # datasets any will do: every sample is compared when it is encoded.
    if len(matching) > 1 and any(place.place is None for place in matching):
        return None
    return matching[0] if matching else None


def _as_flat(path: Path, recording: BaseRecording) -> FlatFile | None:
    dtype = np.dtype(recording.dtype)
    n_frames, n_channels = recording.get_num_samples(), recording.get_num_channels()
    column_bytes = n_frames * dtype.itemsize
    n_columns, rest = divmod(path.stat().st_size, column_bytes)
    if rest or n_columns < n_channels or dtype.str[0] == ">" or dtype.kind not in "iuf":
        return None
    flat = FlatFile(path, dtype, n_frames, n_columns)
    for start, stop in probed_spans(n_frames):
        expected = recording.get_traces(start_frame=start, end_frame=stop)
        # Bytes, not values: a sample that is not a number equals nothing, itself included.
        if flat.read(start, stop)[:, :n_channels].tobytes() != expected.tobytes():
            return None
    return flat
