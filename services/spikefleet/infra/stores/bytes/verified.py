"""Stored bytes that were read back and found right, so that they need not be read again at once.

A file that has not been touched since (its size, times and inode) is trusted; any other is read.
Lives as long as the process: a restart reads everything once more, when it is next asked for.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping

from spikefleet.core.files import file_stamp
from spikefleet.infra.stores.bytes.artifacts import (
    MANIFEST,
    ArtifactDamagedError,
    ArtifactMissingError,
    ArtifactStore,
    HasLocalPaths,
    StoredFile,
    read_manifest,
    require_size,
    verify_prefix,
)

_CHUNK_BYTES = 4 << 20
_MANIFESTS_KEPT = 16


class VerifiedBytes:
    """Verifies prefixes of one store by digest. Safe from any thread."""

    def __init__(self, store: ArtifactStore) -> None:
        self.store = store
        self._manifests: dict[str, tuple[str, Mapping[str, StoredFile]]] = {}
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, str]] = {}

    def verify(self, prefix: str) -> list[StoredFile]:
        """Return the files of a complete prefix, whose bytes are those that its manifest lists.

        Raises ArtifactMissingError without a manifest, ArtifactDamagedError naming the file.
        """
        files = verify_prefix(self.store, prefix)
        for file in files:
            self.verify_file(file)
        return files

    def verify_key(self, prefix: str, key: str) -> None:
        """Read one file of a prefix back; one that no manifest lists is of an unfinished attempt.

        Raises ArtifactDamagedError naming the file.
        """
        try:
            listed = self._listed(prefix).get(key)
        except ArtifactMissingError:
            return
        if listed is not None:
            require_size(self.store, listed)
            self.verify_file(listed)

    def read(self, prefix: str, name: str) -> bytes:
        """Return a small file of a complete prefix, its very bytes compared with the manifest.

        Raises ArtifactMissingError, ArtifactDamagedError naming the file.
        """
        key = f"{prefix}/{name}"
        listed = self._listed(prefix).get(key)
        data = self.store.get_bytes(key)
        if listed is None or hashlib.sha256(data).hexdigest() != listed.sha256:
            raise _damaged(key)
        return data

    def _listed(self, prefix: str) -> Mapping[str, StoredFile]:
        """What a manifest lists by key; one that is untouched is not read again."""
        stamp = self._stamp(f"{prefix}/{MANIFEST}")
        with self._lock:
            known = self._manifests.get(prefix)
        if known is not None and stamp and known[0] == stamp:
            return known[1]
        listed = {file.key: file for file in read_manifest(self.store, prefix)}
        with self._lock:
            while len(self._manifests) >= _MANIFESTS_KEPT:
                del self._manifests[next(iter(self._manifests))]
            self._manifests[prefix] = (stamp, listed)
        return listed

    def verify_file(self, file: StoredFile) -> None:
        """Read one file back unless it was, and is untouched. Raises ArtifactDamagedError."""
        before = self._stamp(file.key)
        with self._lock:
            if before and self._known.get(file.key) == (before, file.sha256):
                return
        digest = hashlib.sha256()
        for chunk in self.store.read_chunks(file.key, chunk_bytes=_CHUNK_BYTES):
            digest.update(chunk)
        if digest.hexdigest() != file.sha256:
            raise _damaged(file.key)
        if before and before == self._stamp(file.key):
            with self._lock:
                self._known[file.key] = (before, file.sha256)

    def _stamp(self, key: str) -> str:
        """How a local file looks now; "" where files cannot be looked at."""
        if not isinstance(self.store, HasLocalPaths):
            return ""
        try:
            return file_stamp(self.store.local_path(key).stat())
        except (ArtifactMissingError, OSError):
            return ""


def _damaged(key: str) -> ArtifactDamagedError:
    return ArtifactDamagedError(f"the bytes of {key} are not those its manifest lists")
