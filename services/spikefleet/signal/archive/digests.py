"""Digests an archive is proven by: written as ``algorithm:hex``, so that old ones stay checkable.

BLAKE3 for what only an archive's own tools read (chunks, decoded samples): it costs a quarter of
SHA-256 and is as hard to fool. SHA-256 stays for source files, whose digests others know too.
Archives of version 1 are SHA-256 throughout.
"""

from __future__ import annotations

import hashlib
from typing import Protocol

from blake3 import blake3

BLAKE3, SHA256 = "blake3", "sha256"


class _Hash(Protocol):
    def update(self, data: memoryview, /) -> object: ...
    def hexdigest(self) -> str: ...


class Digest:
    """A running digest; ``text`` is ``algorithm:hex``."""

    def __init__(self, algorithm: str = BLAKE3) -> None:
        self._algorithm = algorithm
        self._hash: _Hash = blake3() if algorithm == BLAKE3 else hashlib.new(algorithm)

    def update(self, data: bytes | memoryview) -> None:
        """Take more bytes into account; those of a view in C order."""
        view = memoryview(data)
        if view.nbytes:
            self._hash.update(view.cast("B"))

    @property
    def hex(self) -> str:
        """The digest without its algorithm."""
        return self._hash.hexdigest()

    @property
    def text(self) -> str:
        """The digest as an archive states it."""
        return f"{self._algorithm}:{self.hex}"


def digest_of(payload: bytes, like: str = BLAKE3) -> str:
    """Return the digest of ``payload``, by the algorithm that ``like`` names or was made with."""
    digest = Digest(algorithm_of(like))
    digest.update(payload)
    return digest.text


def algorithm_of(text: str) -> str:
    """Return what a stated digest was made with. Raises ValueError where it is not known here."""
    algorithm = text.partition(":")[0]
    if algorithm not in (BLAKE3, SHA256):
        raise ValueError(f"digest algorithm {algorithm!r} is not known here")
    return algorithm
