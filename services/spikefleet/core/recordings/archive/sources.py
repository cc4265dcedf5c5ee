"""What can be encoded: streams whose samples lie as they are in a flat file of the recording.

Decides by content: a file of whole frames whose leading columns are the stream's own samples. Then
traces and the columns left over make up every byte of it, and the file itself need not be kept.
Anything else (containers, vendors' compression) is kept whole: nothing is ever left behind.
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
from spikefleet.core.recordings.description import RecordingDescription

_PROBED_FRAMES = 256
_PROBED_PLACES = (0.0, 0.37, 0.71, 1.0)


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

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return frames x columns."""
        with self.path.open("rb") as file:
            file.seek(start * self.n_columns * self.dtype.itemsize)
            frames = np.fromfile(file, dtype=self.dtype, count=(stop - start) * self.n_columns)
        return frames.reshape(stop - start, self.n_columns)


def flat_files(source: ArchiveSource, files: tuple[Path, ...]) -> dict[str, FlatFile]:
    """Return stream -> its flat file; empty when any stream has none, for then all is kept."""
    found: dict[str, FlatFile] = {}
    for entry in source.description.streams:
        try:
            recording = source.open_stream(entry.stream)
        except SpikeSortingClassifiedError:
            # Samples that cannot be read here (a vendor's plugin is missing, one bad well) are
            # archived all the same, as the bytes they are.
            return {}
        taken = {flat.path for flat in found.values()}
        candidates = [_as_flat(path, recording) for path in files if path not in taken]
        matching = [flat for flat in candidates if flat is not None]
        # Two files alike where they were probed (both silent, say) leave it open which one it is.
        if len(matching) != 1:
            return {}
        found[entry.stream] = matching[0]
    return found


def _as_flat(path: Path, recording: BaseRecording) -> FlatFile | None:
    dtype = np.dtype(recording.dtype)
    n_frames, n_channels = recording.get_num_samples(), recording.get_num_channels()
    column_bytes = n_frames * dtype.itemsize
    n_columns, rest = divmod(path.stat().st_size, column_bytes)
    if rest or n_columns < n_channels or dtype.str[0] == ">" or dtype.kind not in "iuf":
        return None
    flat = FlatFile(path, dtype, n_frames, n_columns)
    for place in _PROBED_PLACES:
        start = int(place * max(0, n_frames - _PROBED_FRAMES))
        stop = min(start + _PROBED_FRAMES, n_frames)
        expected = recording.get_traces(start_frame=start, end_frame=stop)
        # Bytes, not values: a sample that is not a number equals nothing, itself included.
        if flat.read(start, stop)[:, :n_channels].tobytes() != expected.tobytes():
            return None
    return flat
