"""What this process knows of uploads under way: running digests, and who may change what now.

Nothing here outlives the process: after a restart the bytes on the disk are read again.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

Stamp = tuple[int, int, int]  # size, time of change (ns), inode


@dataclass(frozen=True)
class FileTally:
    """The digest of a file's first ``size_bytes`` and how the file looked when they were written.

    ``stamp`` None: not written by this process, so it never counts as untouched.
    """

    sha256: hashlib._Hash
    size_bytes: int
    stamp: Stamp | None


@dataclass(frozen=True)
class Manifest:
    """An upload's fixed half: whose it is, and the length of every file by its path."""

    owner: str
    part_size_bytes: int
    sizes_bytes: Mapping[str, int]


class _Place:
    """One upload: its lock, how many parts are on their way, its tallies by path."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.receiving = 0
        self.tallies: dict[str, FileTally] = {}
        self.manifest: Manifest | None = None


class Arrivals:
    """Tallies and locks by upload. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places: dict[str, _Place] = {}

    @contextmanager
    def changing(self, upload_id: str) -> Iterator[None]:
        """Be the only one to change this upload for the length of a ``with`` block."""
        with self._place(upload_id).lock:
            yield

    @contextmanager
    def changing_if_idle(self, upload_id: str) -> Iterator[bool]:
        """Like ``changing``, without waiting: False when the upload is busy."""
        place = self._place(upload_id)
        taken = place.lock.acquire(blocking=False)
        try:
            yield taken and not place.receiving
        finally:
            if taken:
                place.lock.release()

    @contextmanager
    def receiving(self, upload_id: str) -> Iterator[None]:
        """Say that a part of this upload is on its way, however long it takes."""
        place = self._place(upload_id)
        with self._lock:
            place.receiving += 1
        try:
            yield
        finally:
            with self._lock:
                place.receiving -= 1

    def manifest(self, upload_id: str, read: Callable[[], Manifest]) -> Manifest:
        """The upload's manifest, read once while parts come: it never changes."""
        place = self._place(upload_id)
        if place.manifest is None:
            place.manifest = read()
        return place.manifest

    def tally(self, upload_id: str, path: str) -> FileTally | None:
        """What is known of a file; None when this process did not write all of it in order."""
        return self._place(upload_id).tallies.get(path)

    def keep(self, upload_id: str, path: str, tally: FileTally) -> None:
        """Remember how far a file's digest has come."""
        self._place(upload_id).tallies[path] = tally

    def drop(self, upload_id: str, path: str) -> None:
        """Forget a file's digest: it was changed out of order."""
        self._place(upload_id).tallies.pop(path, None)

    def forget(self, upload_id: str) -> None:
        """Forget an upload that has ended."""
        with self._lock:
            place = self._places.get(upload_id)
            if place is not None and place.receiving:
                place.tallies.clear()
            else:
                self._places.pop(upload_id, None)

    def _place(self, upload_id: str) -> _Place:
        with self._lock:
            return self._places.setdefault(upload_id, _Place())
