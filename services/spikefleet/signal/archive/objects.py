"""Files of an archive: written through to disk, with the digest taken in the same pass."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from spikefleet.core.files import sync
from spikefleet.signal.archive.digests import SHA256, Digest, digest_of
from spikefleet.signal.archive.manifest import StoredObject

_BLOCK_BYTES = 1 << 20


@contextmanager
def appearing_whole(out: Path, doing: str) -> Iterator[Path]:
    """Give a folder beside ``out`` to fill; it takes that name at the end, or is gone."""
    building = Path(tempfile.mkdtemp(prefix=f".{out.name}.{doing}-", dir=out.parent))
    try:
        yield building
        building.chmod(0o755)
        os.rename(building, out)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    sync(out.parent)


def write_object(root: Path, name: str, payload: bytes) -> StoredObject:
    """Write ``payload`` to ``root/name`` and through to disk."""
    path = root / name
    with path.open("xb") as file:
        file.write(payload)
        file.flush()
        os.fsync(file.fileno())
    return StoredObject(name, len(payload), digest_of(payload))


def copy_object(
    source: Path, root: Path, name: str, copied: Callable[[int], None]
) -> tuple[StoredObject, str]:
    """Copy a file byte for byte to ``root/name``; ``copied`` hears of every block's bytes.

    Returns the object and the source's SHA-256 (hex).
    """
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    digest, known, size_bytes = Digest(), Digest(SHA256), 0
    with path.open("xb") as file:
        for block in read_blocks(source):
            file.write(block)
            digest.update(block)
            known.update(block)
            size_bytes += len(block)
            copied(len(block))
        file.flush()
        os.fsync(file.fileno())
    return StoredObject(name, size_bytes, digest.text), known.hex


def copy_rest(
    source: Path, root: Path, name: str, holes: Sequence[tuple[int, int]]
) -> tuple[StoredObject, str]:
    """Copy a file without its ``holes`` (first byte, number of bytes; in order, not overlapping).

    Returns the object and the SHA-256 (hex) of the whole source, holes included.
    """
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    digest, known, size_bytes = Digest(), Digest(SHA256), 0
    ends = [*holes, (source.stat().st_size, 0)]
    with source.open("rb") as whole, path.open("xb") as file:
        for start, length in ends:
            for block in _read_until(whole, start):
                file.write(block)
                digest.update(block)
                known.update(block)
                size_bytes += len(block)
            for block in _read_until(whole, start + length):
                known.update(block)
        file.flush()
        os.fsync(file.fileno())
    return StoredObject(name, size_bytes, digest.text), known.hex


def _read_until(file: BinaryIO, end: int) -> Iterator[bytes]:
    while (left := end - file.tell()) > 0:
        block = file.read(min(left, _BLOCK_BYTES))
        if not block:
            return
        yield block


def seal_object(root: Path, name: str) -> StoredObject:
    """Digest a file that a library has written, and see it through to disk."""
    digest, size_bytes = Digest(), 0
    for block in read_blocks(root / name):
        digest.update(block)
        size_bytes += len(block)
    sync(root / name)
    return StoredObject(name, size_bytes, digest.text)


def read_blocks(path: Path) -> Iterator[bytes]:
    """Read a file in blocks."""
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block
