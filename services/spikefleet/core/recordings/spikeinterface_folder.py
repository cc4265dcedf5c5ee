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
from spikefleet.core.recordings.zarr_chunks import require_all_chunks

FORMAT = "spikeinterface"
STREAM = "traces"


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
    with reading(path):
        if _is_zarr(path):
            for array in sorted(path.glob("traces_seg*")):
                require_all_chunks(array, path)
            return read_zarr(path)
        _check_raw_files(path)
        return BinaryFolderRecording(path)


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


FAMILY = FormatFamily(
    FORMAT, "SpikeInterface binary_folder or .zarr", recognises, describe, open_stream
)
