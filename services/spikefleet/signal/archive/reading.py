"""An archive as a recording: its streams, read lazily, each chunk checked before it is decoded.

What a sorter must know (ids, gains, probe) comes from the Zarr group and is compared with the
manifest; samples come chunk by chunk, the last few kept decoded because readers ask with overlap.
A recording that was kept whole is not read here: ``kept_entry`` says which file to open instead.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spikeinterface.core import BaseRecording, BaseRecordingSegment
from spikeinterface.core.zarrextractors import ZarrRecordingExtractor

from spikefleet.core.recording.description import RecordingDescription
from spikefleet.signal.archive.chunks import ArrayReader
from spikefleet.signal.archive.manifest import (
    FILES,
    NAME,
    TRACES,
    ArchivedStream,
    ArchiveManifest,
    StoredObject,
    is_archive,
    read_manifest,
)
from spikefleet.signal.formats.family import FormatFamily
from spikefleet.signal.formats.reader_errors import corrupt, reading
from spikefleet.signal.formats.zarr_chunks import reading_zarr, require_plain_tree

FORMAT = "archive"
_CACHED_BYTES = 64_000_000


def recognises(path: Path) -> bool:
    """Say whether a folder is an archive whose streams were encoded."""
    return is_archive(path) and not read_manifest(path).kept


def kept_entry(path: Path) -> Path | None:
    """Return what to open of an archive that keeps its recording whole, else None."""
    if not is_archive(path):
        return None
    manifest = read_manifest(path)
    return path / FILES / manifest.entry if manifest.kept else None


def describe(path: Path) -> RecordingDescription:
    """List the archived streams, from the manifest only."""
    manifest = read_manifest(path)
    names = {stream.stream for stream in manifest.streams}
    described = manifest.description
    known = tuple(entry for entry in described.streams if entry.stream in names)
    others = tuple(name for name in described.other_streams if name in names)
    return RecordingDescription(FORMAT, known, others)


def open_stream(path: Path, stream: str, hdf5_plugin_path: str | None) -> BaseRecording:
    """Open one archived stream.

    Raises:
        InputCorruptError: a chunk is missing, or what describes the channels was changed.
    """
    del hdf5_plugin_path
    return ArchivedRecording(str(path), stream)


class ArchivedRecording(BaseRecording):  # type: ignore[misc]
    """One stream of an archive, in its stored dtype."""

    def __init__(self, folder_path: str, stream: str) -> None:
        path = Path(folder_path)
        manifest = read_manifest(path)
        record = next(entry for entry in manifest.streams if entry.stream == stream)
        described = open_described(path, record)
        differences = compare(record, described)
        if differences:
            raise corrupt(path / record.folder, "digest_mismatch", f"{'; '.join(differences)}.")
        objects = _stream_objects(manifest, record)
        super().__init__(
            sampling_frequency=record.sampling_rate_hz,
            channel_ids=described.channel_ids,
            dtype=np.dtype(record.traces.dtype),
        )
        segment = _ArchivedSegment(path, record, objects, described.segments[0])
        segment.require_chunks()
        self.add_recording_segment(segment)
        described.copy_metadata(self)
        self.set_probegroup(described.get_probegroup())
        self._kwargs = {"folder_path": str(path.absolute()), "stream": stream}


class _ArchivedSegment(BaseRecordingSegment):  # type: ignore[misc]
    """Decodes the chunks a read touches."""

    def __init__(
        self,
        path: Path,
        record: ArchivedStream,
        objects: dict[str, StoredObject],
        described: BaseRecordingSegment,
    ) -> None:
        super().__init__(**described.get_times_kwargs())
        self._path = path
        self._array = record.traces
        self._objects = objects
        self._reader = ArrayReader(path, record.traces, objects.__getitem__)
        self._decoded: OrderedDict[tuple[int, int], NDArray[Any]] = OrderedDict()
        self._lock = Lock()

    def require_chunks(self) -> None:
        """Refuse an archive with a missing chunk now, not hours into a sort."""
        for name in self._reader.grid.names():
            known = f"{self._array.path}/{name}"
            if known not in self._objects or not (self._path / known).is_file():
                raise corrupt(self._path, "truncated", f"chunk {known} is missing.")

    def get_num_samples(self) -> int:
        """Return the number of samples per channel."""
        return self._array.n_frames

    def get_traces(
        self,
        start_frame: int | None = None,
        end_frame: int | None = None,
        channel_indices: Any = None,
    ) -> NDArray[Any]:
        """Return samples x channels, unscaled."""
        start = 0 if start_frame is None else max(0, start_frame)
        stop = self._array.n_frames if end_frame is None else min(end_frame, self._array.n_frames)
        channels = np.arange(self._array.n_channels)
        if channel_indices is not None:
            channels = np.atleast_1d(channels[channel_indices])
        out = np.empty((channels.size, max(0, stop - start)), dtype=np.dtype(self._array.dtype))
        height, width = self._array.chunk_frames, self._array.chunk_channels
        groups = channels // width
        for row in range(start // height, -(-stop // height) if stop > start else 0):
            first, last = max(start, row * height), min(stop, (row + 1) * height)
            for group in np.unique(groups):
                block = self._chunk(row, int(group))
                wanted = np.flatnonzero(groups == group)
                part = block[:, first - row * height : last - row * height]
                rows = _as_slice(channels[wanted] - group * width)
                out[_as_slice(wanted), first - start : last - start] = part[rows]
        return out.T

    def _chunk(self, row: int, group: int) -> NDArray[Any]:
        key = (row, group)
        with self._lock:
            if key in self._decoded:
                self._decoded.move_to_end(key)
                return self._decoded[key]
        with reading(self._path):
            block = self._reader.chunk(row, group)
        with self._lock:
            self._decoded[key] = block
            while len(self._decoded) > max(1, _CACHED_BYTES // block.nbytes):
                self._decoded.popitem(last=False)
        return block


def _as_slice(indices: NDArray[Any]) -> Any:
    """Return indices without gaps as a slice: NumPy then copies rows instead of gathering them."""
    first = int(indices[0])
    run = slice(first, first + indices.size)
    return run if np.array_equal(indices, np.arange(run.start, run.stop)) else indices


def open_described(path: Path, record: ArchivedStream) -> BaseRecording:
    """Open a stream's Zarr group with SpikeInterface, for what it says about the channels."""
    require_plain_tree(path / record.folder, path / record.folder)
    with reading_zarr(path / record.folder):
        return ZarrRecordingExtractor(path / record.folder)


def compare(record: ArchivedStream, described: BaseRecording) -> list[str]:
    """Return how the Zarr group differs from the manifest, a few words each."""
    array = described.segments[0]
    try:
        positions = _positions(record.probe)
    except (LookupError, TypeError, ValueError):
        return [f"the probe in {NAME} is none"]
    found = {
        "sampling rate": ([record.sampling_rate_hz], _floats([described.sampling_frequency])),
        "channel count": (record.traces.n_channels, described.get_num_channels()),
        "length": (record.traces.n_frames, array.get_num_samples()),
        "dtype": (np.dtype(record.traces.dtype), np.dtype(described.dtype)),
        "channel ids": (
            list(record.channel_ids),
            [str(channel) for channel in described.channel_ids],
        ),
        "gains": (list(record.gains_to_uv), _floats(described.get_channel_gains())),
        "offsets": (list(record.offsets_to_uv), _floats(described.get_channel_offsets())),
        "contact positions": (positions, described.get_channel_locations().tolist()),
    }
    return [f"its {name} differ from {NAME}" for name, (said, is_) in found.items() if said != is_]


def _positions(probe: Any) -> list[list[float]]:
    placed: list[tuple[int, list[float]]] = []
    for entry in probe["probes"]:
        positions = np.asarray(entry["contact_positions"], dtype=np.float64)
        indices = entry.get("device_channel_indices")
        order = range(len(positions)) if indices is None else indices
        placed += [
            (int(channel), place.tolist())
            for channel, place in zip(order, positions, strict=True)
            if int(channel) >= 0
        ]
    return [place for _, place in sorted(placed, key=lambda pair: pair[0])]


def _floats(values: Any) -> list[float]:
    """Return the values; none where the group lost them, what equals nothing if no numbers."""
    try:
        return [] if values is None else [float(value) for value in values]
    except (TypeError, ValueError):
        return [math.nan]


def _stream_objects(manifest: ArchiveManifest, record: ArchivedStream) -> dict[str, StoredObject]:
    prefix = f"{record.folder}/{TRACES}/"
    return {file.path: file for file in manifest.objects if file.path.startswith(prefix)}


FAMILY = FormatFamily(FORMAT, "spikefleet archive", recognises, describe, open_stream)
