"""Bytes of uploads that are not complete yet: one file per file to come, written part by part.

A part counts only after its bytes are on the disk; who remembers that is the upload store. This
module knows no wire and decides nothing about which parts are wanted.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

_BLOCK_BYTES = 1 << 20


class Staging:
    """A folder with one sub-folder per upload."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def file(self, upload_id: str, path: str) -> Path:
        """Where the bytes of one file are gathered; the name says nothing, so any path is safe."""
        return self._root / upload_id / hashlib.sha256(path.encode()).hexdigest()[:40]

    def write_part(self, upload_id: str, path: str, offset_bytes: int, data: bytes) -> None:
        """Put a part's bytes in place and on the disk."""
        target = self.file(upload_id, path)
        is_new = not target.exists()
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            view = memoryview(data)
            while view:
                written = os.pwrite(descriptor, view, offset_bytes)
                view, offset_bytes = view[written:], offset_bytes + written
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        if is_new:
            _sync_folder(target.parent)

    def ensure_file(self, upload_id: str, path: str) -> Path:
        """Return the gathered file; an empty one is made when no part was due."""
        target = self.file(upload_id, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
        return target

    def digest_part(self, upload_id: str, path: str, offset_bytes: int, size_bytes: int) -> str:
        """SHA-256 (hex) of a range as it lies on the disk now."""
        digest = hashlib.sha256()
        with self.file(upload_id, path).open("rb") as handle:
            handle.seek(offset_bytes)
            while size_bytes > 0 and (block := handle.read(min(size_bytes, _BLOCK_BYTES))):
                digest.update(block)
                size_bytes -= len(block)
        return digest.hexdigest()

    def discard(self, upload_id: str) -> None:
        """Remove everything gathered for an upload."""
        shutil.rmtree(self._root / upload_id, ignore_errors=True)


def digest_file(path: Path) -> str:
    """SHA-256 (hex) of a file, read once in blocks."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
