"""Stored bytes that were read back and found right, so that they need not be read again at once.

A file that has not been touched since (its size, times and inode) is trusted; any other is read.
Lives as long as the process: a restart reads everything once more, when it is next asked for.
"""

from __future__ import annotations

import hashlib
import threading

from spikefleet.core.submissions import file_stamp
from spikefleet.infra.stores.artifacts import (
    ArtifactDamagedError,
    ArtifactMissingError,
    ArtifactStore,
    HasLocalPaths,
    StoredFile,
    verify_prefix,
)

_CHUNK_BYTES = 4 << 20


class VerifiedBytes:
    """Verifies prefixes of one store by digest. Safe from any thread."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, str]] = {}

    def verify(self, prefix: str) -> list[StoredFile]:
        """Return the files of a complete prefix, whose bytes are those that its manifest lists.

        Raises ArtifactMissingError without a manifest, ArtifactDamagedError naming the file.
        """
        files = verify_prefix(self._store, prefix)
        for file in files:
            self.verify_file(file)
        return files

    def verify_file(self, file: StoredFile) -> None:
        """Read one file back unless it was, and is untouched. Raises ArtifactDamagedError."""
        before = self._stamp(file.key)
        with self._lock:
            if before and self._known.get(file.key) == (before, file.sha256):
                return
        digest = hashlib.sha256()
        for chunk in self._store.read_chunks(file.key, chunk_bytes=_CHUNK_BYTES):
            digest.update(chunk)
        if digest.hexdigest() != file.sha256:
            raise ArtifactDamagedError(f"the bytes of {file.key} are not those its manifest lists")
        if before and before == self._stamp(file.key):
            with self._lock:
                self._known[file.key] = (before, file.sha256)

    def _stamp(self, key: str) -> str:
        """How a local file looks now; "" where files cannot be looked at."""
        if not isinstance(self._store, HasLocalPaths):
            return ""
        try:
            return file_stamp(self._store.local_path(key).stat())
        except (ArtifactMissingError, OSError):
            return ""
