"""Bytes of uploads that are not complete yet: one file per file to come, written part by part.

A part counts only after its bytes are on the disk; who remembers that is the upload store. This
module knows no wire and decides nothing about which parts are wanted.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from spikefleet.core.files import sync
from spikefleet.core.rooms.uploads import UploadedPart
from spikefleet.infra.rpc.blocking import require_caller
from spikefleet.ingest.arrivals import Stamp

_BLOCK_BYTES = 1 << 20
_RESERVE_BYTES = 256 << 20
_OPEN_AT_ONCE = 32  # files of one group; every thread that stores parts has so many

PartBytes = tuple[str, int, Sequence[bytes]]  # path of the file, offset, bytes


class Staging:
    """A folder with one sub-folder per upload."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def file(self, upload_id: str, path: str) -> Path:
        """Where the bytes of one file are gathered; the name says nothing, so any path is safe."""
        return self._root / upload_id / hashlib.sha256(path.encode()).hexdigest()[:40]

    def write_parts(self, upload_id: str, parts: Sequence[PartBytes]) -> list[Stamp]:
        """Put parts of different files in place and on the disk; return how each file looks then.

        Raises OSError, a full disk's too; the bytes that did arrive are removed then.
        """
        targets = [self.file(upload_id, path) for path, _, _ in parts]
        begun_bytes = [_size(target) for target in targets]
        (self._root / upload_id).mkdir(parents=True, exist_ok=True)
        stamps: list[Stamp] = []
        try:
            for first in range(0, len(parts), _OPEN_AT_ONCE):
                few = slice(first, first + _OPEN_AT_ONCE)
                stamps += _write_through(targets[few], parts[few])
        except OSError:
            for target, size_bytes in zip(targets, begun_bytes, strict=True):
                if target.exists():
                    os.truncate(target, size_bytes or 0)
            raise
        if None in begun_bytes:
            sync(self._root / upload_id)
        return stamps

    def room_bytes(self) -> int:
        """Bytes that uploads may still fill: what is free, less a reserve for the database."""
        place = next(folder for folder in (self._root, *self._root.parents) if folder.exists())
        disk = shutil.disk_usage(place)
        return disk.free - min(_RESERVE_BYTES, disk.total // 10)

    def stamp(self, upload_id: str, path: str) -> Stamp | None:
        """How a file looks now (one that was touched looks different); None without a file."""
        try:
            return _stamp(self.file(upload_id, path).stat())
        except FileNotFoundError:
            return None

    def ensure_file(self, upload_id: str, path: str) -> Path:
        """Return the gathered file; an empty one is made when no part was due.

        One that is there is left as it is: a touched file would have to be read again.
        """
        target = self.file(upload_id, path)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
        return target

    def digest_start(self, upload_id: str, path: str, size_bytes: int) -> hashlib._Hash:
        """SHA-256 of a file's first bytes as they are on the disk now, to be continued with."""
        digest = hashlib.sha256()
        for block in self._blocks(upload_id, path, 0, size_bytes):
            digest.update(block)
        return digest

    def find_damaged(self, upload_id: str, path: str, parts: Sequence[UploadedPart]) -> list[int]:
        """Return the offsets of a file's parts whose bytes are not those on record.

        Behind the first one that differs, digests from the file's start can tell nothing more.
        """
        whole, end_bytes, damaged, is_whole = hashlib.sha256(), 0, [], True
        for part in sorted(parts, key=lambda part: part.offset_bytes):
            own = hashlib.sha256()
            is_whole = is_whole and part.offset_bytes == end_bytes
            for block in self._blocks(upload_id, path, part.offset_bytes, part.size_bytes):
                own.update(block)
                whole.update(block)
            end_bytes = part.offset_bytes + part.size_bytes
            found = whole if part.from_start else own
            if (is_whole or not part.from_start) and found.hexdigest() != part.sha256:
                damaged.append(part.offset_bytes)
                is_whole = False
        return damaged

    def _blocks(
        self, upload_id: str, path: str, offset_bytes: int, size_bytes: int
    ) -> Iterator[bytes]:
        with self.file(upload_id, path).open("rb") as handle:
            handle.seek(offset_bytes)
            while size_bytes > 0 and (block := handle.read(min(size_bytes, _BLOCK_BYTES))):
                yield block
                size_bytes -= len(block)

    def upload_ids(self) -> list[str]:
        """Return the uploads that have bytes here."""
        return sorted(path.name for path in self._root.iterdir()) if self._root.is_dir() else []

    def discard(self, upload_id: str) -> None:
        """Remove everything gathered for an upload."""
        shutil.rmtree(self._root / upload_id, ignore_errors=True)


def digest_file(path: Path) -> str:
    """SHA-256 (hex) of a regular file, read once in blocks.

    Raises OSError, CallerLeftError; what is not a regular file (any more) is not waited for.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as handle:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "is not a regular file", str(path))
        digest = hashlib.sha256()
        while block := handle.read(_BLOCK_BYTES):
            require_caller()
            digest.update(block)
        return digest.hexdigest()


def _write_through(targets: Sequence[Path], parts: Sequence[PartBytes]) -> list[Stamp]:
    """Write a part of each file, then wait until all are on the disk; return how they look.

    The disk is busy with the first while the last is written, and waited for once, not once a file.
    Raises OSError.
    """
    descriptors: list[int] = []
    try:
        for target, (_, offset_bytes, chunks) in zip(targets, parts, strict=True):
            descriptors.append(os.open(target, os.O_WRONLY | os.O_CREAT, 0o644))
            _write_at(descriptors[-1], offset_bytes, chunks)
            if len(parts) > 1:  # begins to write what is dirty, and does not wait
                os.posix_fadvise(descriptors[-1], 0, 0, os.POSIX_FADV_DONTNEED)
        for descriptor in descriptors:
            os.fdatasync(descriptor)
        return [_stamp(os.fstat(descriptor)) for descriptor in descriptors]
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _write_at(descriptor: int, offset_bytes: int, chunks: Sequence[bytes]) -> None:
    for chunk in chunks:
        view = memoryview(chunk)
        while view:
            written = os.pwrite(descriptor, view, offset_bytes)
            view, offset_bytes = view[written:], offset_bytes + written


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _stamp(status: os.stat_result) -> Stamp:
    return (status.st_size, status.st_mtime_ns, status.st_ino)
