"""An artifact store in memory that keeps the rules of the contract and can be away."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from spikefleet.core.failures.errors import StorageUnavailableError
from spikefleet.infra.stores.bytes.artifacts import (
    ArtifactExistsError,
    ArtifactMissingError,
    StoredFile,
    check_key,
    encode_pointer,
    holds_manifest,
)


class MemoryArtifacts:
    """An ArtifactStore. ``is_away`` is asked before every call."""

    url = "memory:///artifacts"

    def __init__(self, is_away: Callable[[], bool] = lambda: False) -> None:
        self._keys: dict[str, bytes] = {}
        self._is_away = is_away

    def put_bytes(self, key: str, data: bytes) -> StoredFile:
        self._ask("write")
        check_key(key)
        if self._keys.setdefault(key, data) != data:
            raise ArtifactExistsError(key)
        return StoredFile(key, len(data), hashlib.sha256(data).hexdigest())

    def put_file(self, key: str, path: Path, *, sha256: str = "") -> StoredFile:
        del sha256
        return self.put_bytes(key, path.read_bytes())

    def get_bytes(self, key: str) -> bytes:
        self._ask("read")
        check_key(key)
        if key not in self._keys:
            raise ArtifactMissingError(key)
        return self._keys[key]

    def read_chunks(
        self, key: str, *, offset: int = 0, chunk_bytes: int = 1 << 20
    ) -> Iterator[bytes]:
        data = self.get_bytes(key)[offset:]
        return iter([data[at : at + chunk_bytes] for at in range(0, len(data), chunk_bytes)])

    def fetch(self, key: str, path: Path) -> None:
        data = self.get_bytes(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def size(self, key: str) -> int | None:
        self._ask("look")
        check_key(key)
        return len(self._keys[key]) if key in self._keys else None

    def list_keys(self, prefix: str) -> list[str]:
        self._ask("list")
        if prefix:
            check_key(prefix)
        within = f"{prefix}/" if prefix else ""
        return sorted(key for key in self._keys if key.startswith(within))

    def swap_pointer(self, key: str, document: Mapping[str, object]) -> None:
        self._ask("write")
        self._keys[key] = encode_pointer(key, document)

    def delete_prefix(self, prefix: str) -> None:
        check_key(prefix)
        keys = self.list_keys(prefix)
        if holds_manifest(prefix, keys):
            raise ValueError(f"{prefix} is finished")
        for key in keys:
            del self._keys[key]

    def _ask(self, operation: str) -> None:
        if self._is_away():
            raise StorageUnavailableError("the store is away", store=self.url, operation=operation)
