"""Files of an archive: written through to disk, with the digest taken in the same pass."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from spikefleet.core.submissions import ManifestFile

_BLOCK_BYTES = 1 << 20


def write_object(root: Path, name: str, payload: bytes) -> ManifestFile:
    """Write ``payload`` to ``root/name`` and through to disk."""
    path = root / name
    with path.open("xb") as file:
        file.write(payload)
        file.flush()
        os.fsync(file.fileno())
    return ManifestFile(name, len(payload), hashlib.sha256(payload).hexdigest())


def copy_object(source: Path, root: Path, name: str, copied: Callable[[int], None]) -> ManifestFile:
    """Copy a file byte for byte to ``root/name``; ``copied`` hears of every block's bytes."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    digest, size_bytes = hashlib.sha256(), 0
    with path.open("xb") as file:
        for block in read_blocks(source):
            file.write(block)
            digest.update(block)
            size_bytes += len(block)
            copied(len(block))
        file.flush()
        os.fsync(file.fileno())
    return ManifestFile(name, size_bytes, digest.hexdigest())


def seal_object(root: Path, name: str) -> ManifestFile:
    """Digest a file that a library has written, and see it through to disk."""
    digest, size_bytes = hashlib.sha256(), 0
    for block in read_blocks(root / name):
        digest.update(block)
        size_bytes += len(block)
    sync(root / name)
    return ManifestFile(name, size_bytes, digest.hexdigest())


def read_blocks(path: Path) -> Iterator[bytes]:
    """Read a file in blocks."""
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block


def sync(path: Path) -> None:
    """See a file's bytes or a folder's entries through to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
