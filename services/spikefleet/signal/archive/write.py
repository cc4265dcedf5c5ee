"""Writing an archive: stream by stream, chunk by chunk, published whole or not at all.

Everything is built in a hidden folder beside the target, written through to disk and renamed at
the end; a crash leaves at most that folder. A source that changes meanwhile is refused. Holds a
few chunks in memory, whatever the recording's length.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numcodecs.abc import Codec
from spikeinterface.core import BaseRecording
from spikeinterface.core.core_tools import check_json
from spikeinterface.core.zarrextractors import add_properties_and_annotations

from spikefleet.core.failures.errors import InputCorruptError, InvalidConfigurationError
from spikefleet.core.files import sync
from spikefleet.core.recording.file_sets import recording_files
from spikefleet.core.submissions import ManifestFile
from spikefleet.signal.archive.chunks import ArrayWriter, ChunkGrid, plan_grid
from spikefleet.signal.archive.codec import choose_codec, library_versions
from spikefleet.signal.archive.containers import ContainedSamples
from spikefleet.signal.archive.digests import SHA256, Digest
from spikefleet.signal.archive.manifest import (
    FILES,
    LEFTOVER,
    NAME,
    REST,
    STREAMS,
    TRACES,
    ArchivedArray,
    ArchivedContainer,
    ArchivedStream,
    ArchiveManifest,
    StoredObject,
)
from spikefleet.signal.archive.objects import (
    appearing_whole,
    copy_object,
    copy_rest,
    seal_object,
    write_object,
)
from spikefleet.signal.archive.sources import (
    ArchiveSource,
    FlatFile,
    StoredSamples,
    encodable_streams,
)
from spikefleet.signal.formats.plain_files import require_no_way_out, require_plain_files

# Enough of a signal to choose a codec by: a second of so many channels, in the middle.
_SAMPLED_CHANNELS = 16

Progress = Callable[[float], None]


def write_archive(
    source: ArchiveSource, out: Path, progress: Progress = lambda fraction: None
) -> ArchiveManifest:
    """Archive a recording at ``out``; returns the manifest. ``progress`` hears fractions.

    Raises:
        FileExistsError: there is something at ``out``.
        InvalidConfigurationError: ``out`` is inside the recording.
        InputCorruptError: the recording changed while it was read (``changed``), or is made of
            more than plain files of its own (``unsafe``).
    """
    require_plain_files(source.path)
    require_no_way_out(source.path)
    out = out.expanduser().absolute()
    if os.path.lexists(out):
        raise FileExistsError(f"{out} is already there. Name a folder that does not exist yet.")
    if out.is_relative_to(source.path.absolute()):
        raise InvalidConfigurationError(
            f"{out} is inside the recording itself. Name a folder outside it.",
            field="out",
            value=str(out),
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _build(source, out, progress, encode=True)
    except _NotAsFoundError:
        # Columns that were alike where they were probed and differ elsewhere: kept, not guessed.
        return _build(source, out, progress, encode=False)


class _NotAsFoundError(Exception):
    """A container's columns are not the channels they were taken for."""


def _build(
    source: ArchiveSource, out: Path, progress: Progress, *, encode: bool
) -> ArchiveManifest:
    with appearing_whole(out, "building") as building:
        return _Writing(source, building, progress).run(encode=encode)


class _Writing:
    """One archive in the making."""

    def __init__(self, source: ArchiveSource, building: Path, progress: Progress) -> None:
        self._source = source
        self._building = building
        self._progress = progress
        self._root, self._files, self._entry = recording_files(source.path)
        self._before = _stamps(self._files)
        self._total_bytes = max(1, sum(path.stat().st_size for path in self._files))
        self._done_bytes = 0
        self._objects: list[StoredObject] = []

    def run(self, *, encode: bool) -> ArchiveManifest:
        found = encodable_streams(self._source, self._files) if encode else {}
        streams = []
        originals: dict[Path, ManifestFile] = {}
        holes: dict[Path, list[ContainedSamples]] = {}
        for index, (name, samples) in enumerate(found.items()):
            stream, sha256 = self._encode(name, samples, f"{STREAMS}/{index}")
            streams.append(stream)
            if isinstance(samples, FlatFile):
                originals[samples.path] = self._original(samples.path, sha256)
            else:
                holes.setdefault(samples.path, []).append(samples)
        containers = []
        for path, cut in holes.items():
            container, originals[path] = self._keep_rest(path, cut)
            containers.append(container)
        for path in self._files:
            if path not in originals:
                copied, sha256 = copy_object(
                    path, self._building, self._stored_name(path), self._advance
                )
                self._objects.append(copied)
                originals[path] = self._original(path, sha256)
        self._require_unchanged()
        manifest = ArchiveManifest(
            entry=self._entry,
            description=self._source.description,
            sources=tuple(originals[path] for path in self._files),
            folders=self._keep_empty_folders(),
            streams=tuple(streams),
            objects=tuple(sorted(self._objects, key=lambda found: found.path)),
            written_by=library_versions(),
            containers=tuple(containers),
        )
        self._publish(manifest)
        return manifest

    def _encode(self, name: str, samples: StoredSamples, folder: str) -> tuple[ArchivedStream, str]:
        """Encode one stream; returns its record and the SHA-256 of what was read for it."""
        recording = self._source.open_stream(name)
        rate_hz, n_channels = float(recording.sampling_frequency), recording.get_num_channels()
        grid = plan_grid(samples.n_frames, n_channels, rate_hz, samples.dtype.itemsize)
        n_over = samples.n_columns - n_channels
        over_grid = replace(grid, n_channels=n_over, chunk_channels=max(n_over, 1))
        codec, over_codec = _choose(samples, grid, n_channels)
        (self._building / folder).mkdir(parents=True)
        group = zarr.open_group(str(self._building / folder), mode="w")
        _declare(group, TRACES, grid, samples.dtype, codec)
        traces = ArrayWriter(self._building, f"{folder}/{TRACES}", grid, codec)
        over = None
        if n_over:
            _declare(group, LEFTOVER, over_grid, samples.dtype, over_codec)
            over = ArrayWriter(self._building, f"{folder}/{LEFTOVER}", over_grid, over_codec)
        _describe(group, recording)
        original = Digest(SHA256)
        self._seal_folder(folder)
        for row in range(grid.n_rows):
            frames = samples.read(*grid.frames(row))
            if samples.place is None:
                original.update(frames.data)
            else:
                _require_same(frames[:, :n_channels], recording, grid.frames(row))
            self._objects += traces.append(frames[:, :n_channels])
            if over is not None:
                self._objects += over.append(frames[:, n_channels:])
            self._advance(frames.nbytes)
        archived = traces.finish(samples.dtype)
        stream = replace(
            _record(name, folder, self._relative(samples.path), recording, archived),
            leftover=over.finish(samples.dtype) if over is not None else None,
            place=samples.place,
        )
        return stream, original.hex

    def _keep_rest(
        self, path: Path, cut: list[ContainedSamples]
    ) -> tuple[ArchivedContainer, ManifestFile]:
        """Keep a container's bytes but for the samples that were encoded."""
        holes = tuple(sorted(samples.hole for samples in cut))
        name = f"{REST}/{self._relative(path)}"
        kept, sha256 = copy_rest(path, self._building, name, holes)
        self._objects.append(kept)
        return ArchivedContainer(self._relative(path), name, holes), self._original(path, sha256)

    def _original(self, path: Path, sha256: str) -> ManifestFile:
        return ManifestFile(self._relative(path), path.stat().st_size, sha256)

    def _seal_folder(self, folder: str) -> None:
        for path in sorted((self._building / folder).rglob("*")):
            if path.is_file():
                name = path.relative_to(self._building).as_posix()
                self._objects.append(seal_object(self._building, name))

    def _keep_empty_folders(self) -> tuple[str, ...]:
        if self._entry or not self._source.path.is_dir():
            return ()
        found = sorted(path for path in self._root.rglob("*") if path.is_dir())
        empty = [path for path in found if not any(path.iterdir())]
        for path in empty:
            (self._building / self._stored_name(path)).mkdir(parents=True)
        return tuple(self._relative(path) for path in empty)

    def _require_unchanged(self) -> None:
        root, files, _ = recording_files(self._source.path)
        if (root, files) == (self._root, self._files) and _stamps(files) == self._before:
            return
        raise InputCorruptError(
            f"{self._source.path.name} changed while it was archived. Archive it again when the "
            "rig has finished writing.",
            path=str(self._source.path),
            reason="changed",
        )

    def _publish(self, manifest: ArchiveManifest) -> None:
        folders = [self._building, *(p for p in self._building.rglob("*") if p.is_dir())]
        for folder in sorted(folders, reverse=True):
            sync(folder)
        write_object(self._building, NAME, json.dumps(manifest.to_json()).encode())
        sync(self._building)

    def _advance(self, size_bytes: int) -> None:
        self._done_bytes += size_bytes
        self._progress(min(1.0, self._done_bytes / self._total_bytes))

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

    def _stored_name(self, path: Path) -> str:
        return f"{FILES}/{self._relative(path)}"


def _stamps(files: tuple[Path, ...]) -> list[tuple[int, int]]:
    found = [path.stat() for path in files]
    return [(entry.st_size, entry.st_mtime_ns) for entry in found]


def _require_same(
    columns: np.ndarray[Any, Any], recording: BaseRecording, frames: tuple[int, int]
) -> None:
    expected = recording.get_traces(start_frame=frames[0], end_frame=frames[1])
    same = (
        np.array_equal(columns, expected)
        if columns.dtype.kind in "iu"
        else columns.tobytes() == expected.tobytes()
    )
    if not same:
        raise _NotAsFoundError


def _choose(samples: StoredSamples, grid: ChunkGrid, n_channels: int) -> tuple[Codec, Codec]:
    """Return the codecs of the channels and of the columns left over."""
    start, stop = grid.frames(grid.n_rows // 2)
    columns = samples.read(start, stop).T
    step = max(1, n_channels // _SAMPLED_CHANNELS)
    channels = np.ascontiguousarray(columns[:n_channels:step][:_SAMPLED_CHANNELS])
    return choose_codec(channels), choose_codec(np.ascontiguousarray(columns[n_channels:]))


def _declare(group: Any, name: str, grid: ChunkGrid, dtype: np.dtype[Any], codec: Codec) -> None:
    group.create_dataset(
        name,
        shape=(grid.n_frames, grid.n_channels),
        chunks=(grid.chunk_frames, grid.chunk_channels),
        dtype=dtype,
        compressor=codec,
        order="F",
        fill_value=0,
    )


def _describe(group: Any, recording: BaseRecording) -> None:
    """Write what SpikeInterface's own Zarr reader expects beside the traces."""
    group.attrs.put(
        {
            "sampling_frequency": float(recording.sampling_frequency),
            "num_segments": 1,
            "probegroup": _probe_document(recording),
        }
    )
    group.create_dataset("channel_ids", data=recording.get_channel_ids(), compressor=None)
    add_properties_and_annotations(group, recording)
    times = recording.segments[0].get_times_kwargs()
    if times["time_vector"] is not None:
        group.create_dataset("times_seg0", data=np.asarray(times["time_vector"]))
    elif times["t_start"] is not None:
        group.create_dataset("t_starts", data=np.array([times["t_start"]]), compressor=None)


def _probe_document(recording: BaseRecording) -> dict[str, Any]:
    document: dict[str, Any] = check_json(recording.get_probegroup().to_dict(array_as_list=True))
    return document


def _record(
    name: str, folder: str, source: str, recording: BaseRecording, traces: ArchivedArray
) -> ArchivedStream:
    return ArchivedStream(
        stream=name,
        folder=folder,
        source=source,
        sampling_rate_hz=float(recording.sampling_frequency),
        channel_ids=tuple(str(channel) for channel in recording.get_channel_ids()),
        gains_to_uv=tuple(float(gain) for gain in recording.get_channel_gains()),
        offsets_to_uv=tuple(float(offset) for offset in recording.get_channel_offsets()),
        probe=_probe_document(recording),
        traces=traces,
    )
