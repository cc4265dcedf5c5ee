"""NWB on HDF5 and on Zarr, read through SpikeInterface. One stream is one ElectricalSeries.

Sorts the series under ``acquisition``; filtered or LFP series under ``processing`` are listed as
other streams and opened only when named. A series with time stamps instead of a rate is searched
for gaps in them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from spikeinterface.core import BaseRecording
from spikeinterface.extractors.nwbextractors import NwbRecordingExtractor

from spikefleet.core.recordings.description import (
    FormatFamily,
    RecordingDescription,
    StreamDescription,
    describe_each,
)
from spikefleet.core.recordings.edge import corrupt
from spikefleet.core.recordings.frame_gaps import (
    note_frame_gaps,
    require_forward,
    require_unique_ids,
)
from spikefleet.core.recordings.hdf5 import (
    add_plugin_path,
    is_hdf5,
    open_hdf5,
    require_filters,
)
from spikefleet.core.recordings.zarr_chunks import reading_zarr, require_all_chunks

FORMAT = "nwb"
_STAMPS_AT_ONCE = 1 << 20
_STAMPS_OF_RATE = 1000


def recognises(path: Path) -> bool:
    """Say whether an HDF5 file or a Zarr folder declares itself NWB."""
    if path.is_dir():
        return _is_zarr(path)
    if not is_hdf5(path):
        return False
    with open_hdf5(path) as file:
        return "nwb_version" in file.attrs


def describe(path: Path) -> RecordingDescription:
    """List the electrical series of a file."""
    with reading_zarr(path):
        found = sorted(NwbRecordingExtractor.fetch_available_electrical_series_paths(str(path)))
    raw = [name for name in found if name.startswith("acquisition/")]
    chosen = raw or found
    if not chosen:
        raise corrupt(path, "empty", "the file holds no ElectricalSeries.")
    return RecordingDescription(
        FORMAT,
        describe_each(chosen, lambda name: _describe_series(path, name), path),
        tuple(name for name in found if name not in chosen),
    )


def open_stream(path: Path, stream: str, hdf5_plugin_path: str | None) -> BaseRecording:
    """Open one series, named by its path inside the file.

    Raises:
        InputCorruptError: ``truncated``: a chunk of a Zarr series is missing; ``clock``: its time
            stamps run backwards; ``duplicate_channels``.
        HDF5PluginMissingError: the series is compressed with a filter this machine lacks.
    """
    add_plugin_path(hdf5_plugin_path)
    with _series(path, stream) as series, reading_zarr(path):
        if path.is_dir():
            require_all_chunks(path / stream / "data", path)
        else:
            require_filters(series["data"], path, hdf5_plugin_path)
        gaps = _timestamp_gaps(series, path)
    with reading_zarr(path):
        recording = NwbRecordingExtractor(str(path), electrical_series_path=stream)
        note_frame_gaps(recording, gaps)
    return recording


def _is_zarr(path: Path) -> bool:
    attributes = path / ".zattrs"
    if not (path / ".zgroup").is_file() or not attributes.is_file():
        return False
    with reading_zarr(path):
        return "nwb_version" in json.loads(attributes.read_text(encoding="utf-8"))


@contextmanager
def _series(path: Path, stream: str) -> Iterator[Any]:
    if path.is_dir():
        with reading_zarr(path):
            found = zarr.open(str(path), mode="r")[stream]
        yield found
        return
    with open_hdf5(path) as file:
        yield file[stream]


def _timestamp_gaps(series: Any, path: Path) -> list[list[int]]:
    """Return ``[frame, missing frames]`` where time stamps are further apart than one frame."""
    if "timestamps" not in series:
        return []
    stamps_s = series["timestamps"]
    if stamps_s.shape[0] != series["data"].shape[0]:
        raise corrupt(
            path,
            "truncated",
            f"{stamps_s.shape[0]} time stamps are stored for {series['data'].shape[0]} frames.",
        )
    if stamps_s.shape[0] < 2:
        return []
    # As SpikeInterface takes the rate from them: the median step of the first thousand.
    step_s = float(np.median(np.diff(stamps_s[:_STAMPS_OF_RATE])))
    gaps: list[list[int]] = []
    for start in range(0, stamps_s.shape[0] - 1, _STAMPS_AT_ONCE):
        frames = np.diff(stamps_s[start : start + _STAMPS_AT_ONCE + 1]) / step_s
        # Half a frame either way is the clock's own wobble, a step back is not.
        for index in np.flatnonzero((frames >= 1.5) | (frames <= 0) | ~np.isfinite(frames)):
            frame = start + int(index) + 1
            step = float(frames[index])
            missing = round(step) - 1 if step > 0 else -1
            gaps.append([frame, require_forward(missing, frame, path)])
    return gaps


def _describe_series(path: Path, name: str) -> StreamDescription:
    with _series(path, name) as series, reading_zarr(path):
        require_unique_ids(series["electrodes"][:], path)
    with reading_zarr(path):
        recording = NwbRecordingExtractor(
            str(path), electrical_series_path=name, load_channel_properties=False
        )
        return StreamDescription(
            name,
            int(recording.get_num_channels()),
            float(recording.sampling_frequency),
            float(recording.get_num_samples() / recording.sampling_frequency),
            str(recording.dtype),
        )


FAMILY = FormatFamily(FORMAT, "NWB (HDF5 or Zarr)", recognises, describe, open_stream)
