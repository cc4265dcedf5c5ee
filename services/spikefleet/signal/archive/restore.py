"""The recording as it was, out of its archive: every file, byte for byte, each with its digest.

Builds in a hidden folder beside the target and renames it at the end. A file that does not come
out as the manifest's SHA-256 says ends the restoring; nothing is published then.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from spikefleet.core.files import sync
from spikefleet.core.submissions import ManifestFile
from spikefleet.signal.archive.chunks import ArrayReader
from spikefleet.signal.archive.digests import SHA256, Digest
from spikefleet.signal.archive.manifest import (
    FILES,
    ArchivedContainer,
    ArchivedStream,
    ContainerPlace,
    load_manifest,
)
from spikefleet.signal.archive.objects import appearing_whole, read_blocks
from spikefleet.signal.formats.reader_errors import corrupt, reading

Progress = Callable[[float], None]


def restore_archive(
    path: Path, out: Path, progress: Progress = lambda fraction: None
) -> tuple[ManifestFile, ...]:
    """Write the files an archive was made of to the new folder ``out``; returns them.

    Raises:
        FileExistsError: there is something at ``out``.
        InputMissingError, InputCorruptError: the archive is not whole.
    """
    path, out = path.expanduser().absolute(), out.expanduser().absolute()
    if os.path.lexists(out):
        raise FileExistsError(f"{out} is already there. Name a folder that does not exist yet.")
    restoring = _Restoring(path)
    out.parent.mkdir(parents=True, exist_ok=True)
    with appearing_whole(out, "restoring") as building:
        return restoring.run(building, progress)


class _Restoring:
    """One archive's files on their way back."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._manifest = load_manifest(path)
        self._objects = {stored.path: stored for stored in self._manifest.objects}
        for name, stored in self._objects.items():
            _require_stored(path / name, stored.size_bytes)
        self._containers = {entry.source: entry for entry in self._manifest.containers}

    def run(self, building: Path, progress: Progress) -> tuple[ManifestFile, ...]:
        total_bytes, done_bytes = max(1, self._manifest.source_bytes), 0
        for file in self._manifest.sources:
            target = building / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            with reading(self._path):
                self._restore(file, target)
            _require(target, file)
            done_bytes += file.size_bytes
            progress(done_bytes / total_bytes)
        for folder in self._manifest.folders:
            (building / folder).mkdir(parents=True, exist_ok=True)
        return self._manifest.sources

    def _restore(self, file: ManifestFile, target: Path) -> None:
        streams = [stream for stream in self._manifest.streams if stream.source == file.path]
        container = self._containers.get(file.path)
        if f"{FILES}/{file.path}" in self._objects:
            shutil.copyfile(self._path / FILES / file.path, target)
            return
        with target.open("xb") as out:
            if container is not None:
                self._fill_rest(container, file.size_bytes, out)
            for stream in streams:
                place = stream.place
                for start, frames in self._frames(stream):
                    if place is None or not place.by_channel:
                        _put_frames(out, place, start, frames)
                    else:
                        _put_channels(out, place, start, frames, stream.traces.n_frames)

    def _fill_rest(self, container: ArchivedContainer, size_bytes: int, out: BinaryIO) -> None:
        """Write a container's bytes around its holes."""
        out.truncate(size_bytes)
        at = 0
        with (self._path / container.rest).open("rb") as rest:
            for start, length in [*container.holes, (size_bytes, 0)]:
                out.seek(at)
                left = start - at
                while left > 0 and (block := rest.read(min(left, 1 << 20))):
                    out.write(block)
                    left -= len(block)
                at = start + length

    def _frames(self, stream: ArchivedStream) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield (first frame, frames x columns), leftover columns last."""
        readers = [
            ArrayReader(self._path, array, self._objects.__getitem__) for array in stream.arrays
        ]
        grid = readers[0].grid
        for row in range(grid.n_rows):
            start, stop = grid.frames(row)
            parts = [
                reader.chunk(row, group)[:, : stop - start]
                for reader in readers
                for group in range(reader.grid.n_groups)
            ]
            counts = [_columns_of(reader, group) for reader in readers for group in _groups(reader)]
            rows = [part[:count] for part, count in zip(parts, counts, strict=True)]
            yield start, np.concatenate(rows).T


def _require_stored(file: Path, size_bytes: int) -> None:
    """Refuse what is there and is not what was archived; before a byte of it is read."""
    if not file.exists():
        return  # told by whoever needs it
    if not file.is_file():
        raise corrupt(file, "unreadable", "it is not a regular file.")
    found = file.stat().st_size
    if found != size_bytes:
        told = f"it has {found} bytes where {size_bytes} were archived (verify says more)."
        raise corrupt(file, "digest_mismatch", told)


def _groups(reader: ArrayReader) -> range:
    return range(reader.grid.n_groups)


def _columns_of(reader: ArrayReader, group: int) -> int:
    """Return how many columns of a chunk are channels and not padding."""
    width = reader.grid.chunk_channels
    return min(width, reader.grid.n_channels - group * width)


def _put_frames(
    out: BinaryIO, place: ContainerPlace | None, start: int, frames: NDArray[Any]
) -> None:
    if place is not None:
        stored = np.empty_like(frames, order="C")
        stored[:, list(place.order)] = frames
        frames = stored
    offset = 0 if place is None else place.offset_bytes
    out.seek(offset + start * frames.shape[1] * frames.itemsize)
    out.write(np.ascontiguousarray(frames).data)


def _put_channels(
    out: BinaryIO, place: ContainerPlace, start: int, frames: NDArray[Any], n_frames: int
) -> None:
    for index, column in enumerate(place.order):
        out.seek(place.offset_bytes + (column * n_frames + start) * frames.itemsize)
        out.write(np.ascontiguousarray(frames[:, index]).data)


def _require(target: Path, file: ManifestFile) -> None:
    digest = Digest(SHA256)
    for block in read_blocks(target):
        digest.update(block)
    if digest.hex != file.sha256:
        raise corrupt(
            target, "digest_mismatch", "it did not come back as it was archived (verify says more)."
        )
    sync(target)
