"""Proving that an archive is whole: every object read, every chunk decoded, every digest redone.

Names each damaged object and what is wrong with it, and looks at all of them before it answers.
Repairs nothing.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from spikefleet.core.failures.errors import InputMissingError, SpikeSortingClassifiedError
from spikefleet.signal.archive.chunks import ArrayReader, Samples
from spikefleet.signal.archive.digests import Digest, algorithm_of, digest_of
from spikefleet.signal.archive.manifest import (
    FILES,
    NAME,
    STREAMS,
    ArchivedArray,
    ArchivedContainer,
    ArchivedStream,
    ArchiveManifest,
    StoredObject,
    load_manifest,
)
from spikefleet.signal.archive.objects import read_blocks
from spikefleet.signal.archive.reading import compare, open_described
from spikefleet.signal.formats.zarr_chunks import reading_zarr

_NOT_ARCHIVED = "it was not archived"


@dataclass(frozen=True)
class Damage:
    """One thing that is not as it was archived.

    ``kind`` is one of manifest, missing, extra, not_a_file, size, moved, content, undecodable,
    samples, metadata.
    """

    path: str
    kind: str
    detail: str


@dataclass(frozen=True)
class Verification:
    """What a check of a whole archive found. ``decoded_bytes`` counts uncompressed samples."""

    damages: tuple[Damage, ...]
    n_objects: int
    decoded_bytes: int
    samples_digests: dict[str, str]

    @property
    def whole(self) -> bool:
        """True when nothing is damaged."""
        return not self.damages


def verify_archive(
    path: Path, progress: Callable[[float], None] = lambda fraction: None
) -> Verification:
    """Check everything an archive promises.

    Raises:
        InputMissingError: there is nothing at ``path``, or a folder that is not an archive.
    """
    path = path.expanduser().absolute()
    if not path.is_dir():
        raise InputMissingError(
            f"There is no archive at {path}. Check the path and the mount.", path=str(path)
        )
    if not any((path / part).exists() for part in (NAME, STREAMS, FILES)):
        raise InputMissingError(
            f"{path} is not an archive: it has no {NAME}. Name the folder that was archived to.",
            path=str(path),
        )
    try:
        manifest = load_manifest(path)
    except SpikeSortingClassifiedError as error:
        return Verification((Damage(NAME, "manifest", error.message),), 0, 0, {})
    return _Check(path, manifest, progress).run()


class _Check:
    """One pass over an archive."""

    def __init__(
        self, path: Path, manifest: ArchiveManifest, progress: Callable[[float], None]
    ) -> None:
        self._path = path
        self._manifest = manifest
        self._progress = progress
        self._known = {file.path: file for file in manifest.objects}
        self._by_digest = {file.digest: file.path for file in manifest.objects}
        self._sizes = {file.size_bytes for file in manifest.objects}
        self._total_bytes = max(1, manifest.stored_bytes)
        self._done_bytes = 0
        self._decoded_bytes = 0
        self._damages: list[Damage] = []
        self._samples: dict[str, str] = {}
        self._refused: set[str] = set()  # there, and not read

    def run(self) -> Verification:
        present = self._list()
        chunks: set[str] = set()
        for stream in self._manifest.streams:
            for array in stream.arrays:
                chunks |= self._check_array(array, present)
        for name in sorted(present - chunks):
            if name in self._known:
                self._check_object(name)
        for stream in self._manifest.streams:
            self._check_metadata(stream)
        for container in self._manifest.containers:
            self._check_container(container)
        damages = sorted(self._damages, key=lambda damage: damage.path)
        return Verification(
            tuple(damages), len(self._known), self._decoded_bytes, dict(self._samples)
        )

    def _list(self) -> set[str]:
        """Compare what is there with what should be; returns the objects to read."""
        found: set[str] = set()
        folders = self._expected_folders()
        for folder, subfolders, files in os.walk(self._path):
            here = Path(folder).relative_to(self._path)
            found |= {entry for name in files if self._is_known(entry := (here / name).as_posix())}
            for entry in ((here / name).as_posix() for name in subfolders):
                if entry not in folders:
                    self._damage(entry, "extra", "a folder that was not archived")
        for name in sorted(self._known.keys() - found - self._refused):
            self._damage(name, "missing", "it is not there any more")
        for folder in self._manifest.folders:
            if not (self._path / FILES / folder).is_dir():
                self._damage(f"{FILES}/{folder}", "missing", "the empty folder is gone")
        return found

    def _expected_folders(self) -> set[str]:
        empty = {f"{FILES}/{folder}" for folder in self._manifest.folders}
        parents = (Path(name).parents for name in (*self._known, *empty))
        return empty | {parent.as_posix() for chain in parents for parent in chain}

    def _is_known(self, entry: str) -> bool:
        if entry == NAME:
            return False
        status = (self._path / entry).lstat()
        if not stat.S_ISREG(status.st_mode):
            what = "it is a link" if stat.S_ISLNK(status.st_mode) else "it is not a regular file"
            self._damage(entry, "not_a_file", what)
            self._refused.add(entry)
            return False
        known = self._known.get(entry)
        # What has a size that nothing here was archived with is no part of it: no need to
        # read what may be without end.
        read = status.st_size in self._sizes
        if known is None:
            self._damage(entry, "extra", self._extra(entry) if read else _NOT_ARCHIVED)
        elif not read:
            self._damage(entry, "size", _size_told(known, status.st_size))
            self._refused.add(entry)
        return known is not None and read

    def _extra(self, entry: str) -> str:
        algorithms = {algorithm_of(digest) for digest in self._by_digest}
        digests = (_digest(self._path / entry, algorithm) for algorithm in algorithms)
        twin = next(filter(None, map(self._by_digest.get, digests)), None)
        return f"a copy of {twin}" if twin else _NOT_ARCHIVED

    def _check_array(self, array: ArchivedArray, present: set[str]) -> set[str]:
        """Decode an array once, in order of time; returns the names of its chunks."""
        reader = ArrayReader(self._path, array, self._known.__getitem__)
        digest = Digest(algorithm_of(array.samples_digest))
        rooms = [reader.room() for _ in range(reader.grid.n_groups)]
        names: set[str] = set()
        whole = True
        for row in range(reader.grid.n_rows):
            blocks: list[Samples] = []
            for group in range(reader.grid.n_groups):
                name = f"{array.path}/{row}.{group}"
                names.add(name)
                block = self._decode(reader, name, rooms[group]) if name in present else None
                if name not in self._known:
                    self._damage(name, "missing", f"{NAME} does not list this chunk")
                if block is not None:
                    blocks.append(block)
            whole = whole and len(blocks) == reader.grid.n_groups
            if whole:
                reader.update_digest(digest, row, blocks)
        if whole:
            self._samples[array.path] = digest.text
            self._decoded_bytes += array.size_bytes
            if digest.text != array.samples_digest:
                self._damage(array.path, "samples", "its samples are not those archived")
        return names

    def _decode(self, reader: ArrayReader, name: str, room: Samples) -> Samples | None:
        """Decode a chunk into ``room``, which is used again for the next row."""
        payload = (self._path / name).read_bytes()
        self._advance(len(payload))
        known = self._known[name]
        if not self._same(known, len(payload), digest_of(payload, known.digest)):
            return None
        try:
            return reader.decode(payload, room)
        except (RuntimeError, ValueError) as error:
            self._damage(name, "undecodable", str(error)[:200])
            return None

    def _check_object(self, name: str) -> None:
        known = self._known[name]
        digest, size_bytes = Digest(algorithm_of(known.digest)), 0
        for block in read_blocks(self._path / name):
            digest.update(block)
            size_bytes += len(block)
            self._advance(len(block))
        self._same(known, size_bytes, digest.text)

    def _same(self, known: StoredObject, size_bytes: int, digest: str) -> bool:
        if digest == known.digest:
            return True
        owner = self._by_digest.get(digest)
        if owner:
            self._damage(known.path, "moved", f"it holds what was archived as {owner}")
        elif size_bytes != known.size_bytes:
            self._damage(known.path, "size", _size_told(known, size_bytes))
        else:
            self._damage(known.path, "content", "its bytes have changed")
        return False

    def _check_metadata(self, stream: ArchivedStream) -> None:
        """Compare what the Zarr group says with the manifest, unless its files are damaged."""
        prefix = f"{stream.folder}/"
        if any(damage.path.startswith(prefix) for damage in self._damages):
            return
        with reading_zarr(self._path / stream.folder):
            group = zarr.open_group(str(self._path / stream.folder), mode="r")
            for array in stream.arrays:
                for difference in _array_differences(array, group[Path(array.path).name]):
                    self._damage(array.path, "metadata", difference)
        for difference in compare(stream, open_described(self._path, stream)):
            self._damage(stream.folder, "metadata", difference)

    def _check_container(self, container: ArchivedContainer) -> None:
        """What is left of a container and its holes must make up its size again."""
        size_bytes = {file.path: file.size_bytes for file in self._manifest.sources}
        cut = sum(size for _, size in container.holes)
        rest = self._known.get(container.rest)
        if rest is None or rest.size_bytes + cut != size_bytes.get(container.source):
            self._damage(container.rest, "metadata", f"it does not fill up {container.source}")

    def _advance(self, size_bytes: int) -> None:
        self._done_bytes += size_bytes
        self._progress(min(1.0, self._done_bytes / self._total_bytes))

    def _damage(self, path: str, kind: str, detail: str) -> None:
        self._damages.append(Damage(path, kind, detail))


def _size_told(known: StoredObject, size_bytes: int) -> str:
    return f"it has {size_bytes} bytes where {known.size_bytes} were archived"


def _array_differences(array: ArchivedArray, stored: Any) -> list[str]:
    found = {
        "shape": ((array.n_frames, array.n_channels), stored.shape),
        "chunks": ((array.chunk_frames, array.chunk_channels), stored.chunks),
        "dtype": (np.dtype(array.dtype), stored.dtype),
        "order": ("F", stored.order),
        "codec": (dict(array.codec), stored.compressor.get_config()),
    }
    return [f"its {name} differs from {NAME}" for name, (said, is_) in found.items() if said != is_]


def _digest(path: Path, algorithm: str) -> str:
    digest = Digest(algorithm)
    for block in read_blocks(path):
        digest.update(block)
    return digest.text
