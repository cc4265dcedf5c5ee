"""Folders SpikeInterface saved: ``binary_folder`` and Zarr. One stream, "traces".

Checks that the samples on disk fill whole frames and that no chunk is missing; SpikeInterface
itself reads missing chunks as zeros.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from spikeinterface.core import BaseRecording, BinaryFolderRecording, read_zarr

from spikefleet.core.recordings.description import (
    FormatFamily,
    RecordingDescription,
    StreamDescription,
)
from spikefleet.core.recordings.edge import corrupt, reading
from spikefleet.core.recordings.zarr_chunks import reading_zarr, require_all_chunks

FORMAT = "spikeinterface"
STREAM = "traces"
_TIME_BYTES = np.dtype("float64").itemsize
# Written by this project's own tools, so that a copy cut between frames is noticed.
ANNOTATED_LENGTH = "n_samples"


def recognises(path: Path) -> bool:
    """Say whether a folder was saved by SpikeInterface as a recording."""
    return (path / "binary.json").is_file() or _is_zarr(path)


def describe(path: Path) -> RecordingDescription:
    """Describe the folder's single stream."""
    recording = open_stream(path, STREAM, None)
    with reading(path):
        stream = StreamDescription(
            STREAM,
            int(recording.get_num_channels()),
            float(recording.sampling_frequency),
            float(recording.get_total_samples() / recording.sampling_frequency),
            str(recording.dtype),
        )
    return RecordingDescription(FORMAT, (stream,))


def open_stream(path: Path, stream: str, hdf5_plugin_path: str | None) -> BaseRecording:
    """Open the folder.

    Raises:
        InputCorruptError: samples are missing from the files (``truncated`` or ``empty``).
    """
    del stream, hdf5_plugin_path
    with reading_zarr(path):
        if _is_zarr(path):
            for array in sorted(path.glob("traces_seg*")):
                require_all_chunks(array, path)
            return read_zarr(path)
        _check_raw_files(path)
        recording = BinaryFolderRecording(path)
        _check_length(recording, path)
        return recording


def _is_zarr(path: Path) -> bool:
    return (path / ".zgroup").is_file() and (path / "traces_seg0" / ".zarray").is_file()


def _check_raw_files(path: Path) -> None:
    header = json.loads((path / "binary.json").read_text())["kwargs"]
    n_channels = int(header.get("num_channels") or header["num_chan"])
    frame_bytes = n_channels * np.dtype(header["dtype"]).itemsize
    for name in header["file_paths"]:
        raw = path / Path(name).name
        size_bytes = raw.stat().st_size - int(header.get("file_offset") or 0)
        if size_bytes <= 0:
            raise corrupt(raw, "empty", "the file has no samples.")
        if size_bytes % frame_bytes:
            raise corrupt(
                raw,
                "truncated",
                f"{size_bytes} bytes do not make whole frames of {frame_bytes} bytes.",
            )


def _check_length(recording: BaseRecording, path: Path) -> None:
    """Compare the frames on disk with what else says how many there are.

    The folder's own header does not; a time vector or an annotation "n_samples" may.
    """
    said = recording.get_annotation(ANNOTATED_LENGTH)
    header = json.loads((path / "binary.json").read_text())["kwargs"]
    time_files = header.get("file_timestamps_paths") or [
        f"times_cached_seg{index}.npy" for index in range(recording.get_num_segments())
    ]
    for index, name in enumerate(time_files):
        stored = int(recording.get_num_samples(segment_index=index))
        expected = [int(said)] if said and len(time_files) == 1 else []
        times = path / Path(name).name
        if times.suffix == ".npy" and times.is_file():
            expected.append(len(np.load(times, mmap_mode="r")))
        elif times.is_file():
            expected.append(times.stat().st_size // _TIME_BYTES)
        if any(count != stored for count in expected):
            raise corrupt(
                path, "truncated", f"{stored} frames are stored of {max(expected)} that were saved."
            )


FAMILY = FormatFamily(
    FORMAT, "SpikeInterface binary_folder or .zarr", recognises, describe, open_stream
)
