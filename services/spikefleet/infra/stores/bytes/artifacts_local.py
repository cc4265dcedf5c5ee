"""Artifacts in a folder of this machine (or of a mount it shares).

Bytes are written to a hidden file first and get their name by a hard link, which fails when the
name is taken: two writers can race and exactly one wins. A crash leaves only hidden files, which no
listing shows and a later start sweeps away.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from spikefleet.core.failures.errors import StorageUnavailableError
from spikefleet.core.files import sha256_of, sync
from spikefleet.infra.stores.bytes.artifacts import (
    ArtifactDamagedError,
    ArtifactExistsError,
    ArtifactMissingError,
    StoredFile,
    check_key,
    encode_pointer,
    holds_manifest,
)

_INCOMING = ".incoming"  # on the same file system as the keys, so that a link can give the name
_LEFTOVER_AGE_S = 24 * 3600.0
_CHUNK_BYTES = 4 << 20


class LocalArtifacts:
    """An ArtifactStore on a folder. ``root`` is made when it is missing.

    Needs a file system with hard links. Safe for many threads and processes at once.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.url = self.root.as_uri()
        with self._failures("open"):
            self._incoming.mkdir(parents=True, exist_ok=True)
            self._sweep_leftovers()

    def put_bytes(self, key: str, data: bytes) -> StoredFile:
        """Store ``data`` under ``key``. Raises ArtifactExistsError, StorageUnavailableError."""
        target = self._path(key)
        return self._put(key, target, [data])

    def put_file(self, key: str, path: Path, *, sha256: str = "") -> StoredFile:
        """Store a copy of a file under ``key``; its digest is taken of the bytes written.

        Raises FileNotFoundError without a source, ArtifactExistsError, StorageUnavailableError.
        """
        target = self._path(key)
        with path.open("rb") as source:
            return self._put(key, target, _chunks(source.fileno()))

    def adopt(self, files: Sequence[tuple[StoredFile, Path]]) -> bool:
        """Give durable files of this file system second names, their keys. False elsewhere.

        A folder is waited for once, however many names it gets. Raises ArtifactExistsError when a
        key holds other bytes, StorageUnavailableError.
        """
        folders: set[Path] = set()
        for wanted, path in files:
            target = self._path(wanted.key)
            with self._failures(f"write of {wanted.key}"):
                if target.parent not in folders:
                    self._make_parents(target)
                    folders.add(target.parent)
                try:
                    os.link(path, target)
                except FileExistsError:
                    self._require_same(target, wanted)
                except OSError as error:
                    if error.errno == errno.EXDEV:
                        return False
                    raise
        with self._failures("write of adopted files"):
            for folder in folders:
                sync(folder)
        return True

    def repair(self, wanted: StoredFile, path: Path) -> None:
        """Replace damaged bytes, atomically, by those of a file that has the listed digest.

        Raises ArtifactDamagedError when it has not, StorageUnavailableError.
        """
        target = self._path(wanted.key)
        with path.open("rb") as source, self._incoming_file(_chunks(source.fileno())) as written:
            temporary, found = written
            if (found.size_bytes, found.sha256) != (wanted.size_bytes, wanted.sha256):
                raise ArtifactDamagedError(f"{path} has not the bytes listed for {wanted.key}")
            with self._failures(f"repair of {wanted.key}"):
                self._make_parents(target)
                temporary.replace(target)
                sync(target.parent)

    def get_bytes(self, key: str) -> bytes:
        """Read a whole key. Raises ArtifactMissingError."""
        return b"".join(self.read_chunks(key, chunk_bytes=_CHUNK_BYTES))

    def read_chunks(
        self, key: str, *, offset: int = 0, chunk_bytes: int = 1 << 20
    ) -> Iterator[bytes]:
        """Read a key from byte ``offset`` in chunks. Raises ArtifactMissingError at once."""
        path = self._existing_file(key)
        return self._read(path, offset, chunk_bytes)

    def fetch(self, key: str, path: Path) -> None:
        """Copy a key to a local file, atomically. Raises ArtifactMissingError."""
        source = self._existing_file(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
        try:
            with self._failures(f"read of {key}"):
                shutil.copyfile(source, temporary)
                temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def size(self, key: str) -> int | None:
        """Bytes stored under ``key``; None when it is absent or a prefix."""
        path = self._path(key)
        with self._failures(f"look-up of {key}"):
            return path.stat().st_size if path.is_file() else None

    def list_keys(self, prefix: str) -> list[str]:
        """Every key below the folder ``prefix``, sorted; "" lists the whole store."""
        folder = self._path(prefix) if prefix else self.root
        found: list[str] = []
        with self._failures(f"listing of {prefix}"):
            for parent, folders, files in os.walk(folder):
                if Path(parent) == self.root and _INCOMING in folders:
                    folders.remove(_INCOMING)
                here = Path(parent).relative_to(self.root)
                found += [(here / name).as_posix() for name in files]
        return sorted(found)

    def swap_pointer(self, key: str, document: Mapping[str, object]) -> None:
        """Replace a ``current.json`` atomically. Raises ValueError for any other name."""
        data = encode_pointer(key, document)
        target = self._path(key)
        with self._incoming_file([data]) as (temporary, _stored), self._failures(f"swap of {key}"):
            self._make_parents(target)
            temporary.replace(target)
            sync(target.parent)

    def delete_prefix(self, prefix: str) -> None:
        """Remove an unfinished prefix. Raises ValueError when a manifest is in or below it."""
        folder = self._path(prefix)
        if holds_manifest(prefix, self.list_keys(prefix)):
            raise ValueError(f"{prefix} holds a finished artifact and is not removed")
        if not folder.is_dir():
            return
        trash = self._incoming / f"deleted-{uuid.uuid4().hex}"
        with self._failures(f"removal of {prefix}"):
            # The rename hides it at once; a crash while deleting leaves only hidden files.
            folder.rename(trash)
            sync(folder.parent)
            shutil.rmtree(trash, ignore_errors=True)

    def local_path(self, key: str) -> Path:
        """The file or folder behind ``key``. Raises ArtifactMissingError."""
        path = self._path(key)
        if not path.exists():
            raise ArtifactMissingError(f"nothing is stored under {key}")
        return path

    @property
    def _incoming(self) -> Path:
        return self.root / _INCOMING

    def _path(self, key: str) -> Path:
        check_key(key)
        if key.split("/", 1)[0] == _INCOMING:
            raise ValueError(f"{key!r} is reserved for writes under way")
        return self.root / key

    def _existing_file(self, key: str) -> Path:
        path = self._path(key)
        if not path.is_file():
            raise ArtifactMissingError(f"nothing is stored under {key}")
        return path

    def _put(self, key: str, target: Path, chunks: Iterable[bytes]) -> StoredFile:
        with self._incoming_file(chunks) as (temporary, written):
            stored = StoredFile(key, written.size_bytes, written.sha256)
            with self._failures(f"write of {key}"):
                self._make_parents(target)
                try:
                    os.link(temporary, target)
                except FileExistsError:
                    self._require_same(target, stored)
                    return stored
                sync(target.parent)
        return stored

    def _require_same(self, target: Path, stored: StoredFile) -> None:
        same = target.is_file() and target.stat().st_size == stored.size_bytes
        if not same or sha256_of(target) != stored.sha256:
            raise ArtifactExistsError(
                f"{stored.key} is stored already, with other bytes; artifacts never change"
            )

    def _make_parents(self, target: Path) -> None:
        missing = []
        folder = target.parent
        while not folder.exists():
            missing.append(folder)
            folder = folder.parent
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise ArtifactExistsError(
                f"{target.relative_to(self.root)} is below a key that is a file"
            ) from error
        for made in missing:
            sync(made.parent)

    @contextmanager
    def _incoming_file(self, chunks: Iterable[bytes]) -> Iterator[tuple[Path, StoredFile]]:
        """Write chunks to a hidden durable file with its digest; it is gone afterwards."""
        temporary = self._incoming / uuid.uuid4().hex
        digest = hashlib.sha256()
        size_bytes = 0
        try:
            with self._failures("write"), temporary.open("xb") as handle:
                for chunk in chunks:
                    handle.write(chunk)
                    digest.update(chunk)
                    size_bytes += len(chunk)
                handle.flush()
                os.fsync(handle.fileno())
            yield temporary, StoredFile("", size_bytes, digest.hexdigest())
        finally:
            with suppress(OSError):  # swept later; it must not hide the error that matters
                temporary.unlink(missing_ok=True)

    def _read(self, path: Path, offset: int, chunk_bytes: int) -> Iterator[bytes]:
        with self._failures("read"), path.open("rb") as handle:
            handle.seek(offset)
            while chunk := handle.read(chunk_bytes):
                yield chunk

    def _sweep_leftovers(self) -> None:
        # Younger ones may belong to a writer that is alive in another process.
        oldest = time.time() - _LEFTOVER_AGE_S
        for leftover in self._incoming.iterdir():
            try:
                if leftover.stat().st_mtime > oldest:
                    continue
            except FileNotFoundError:  # swept by another process meanwhile
                continue
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)

    @contextmanager
    def _failures(self, operation: str) -> Iterator[None]:
        try:
            yield
        except (ArtifactExistsError, ArtifactMissingError, StorageUnavailableError):
            raise
        except OSError as error:
            hint = {
                errno.ENOSPC: "free some space",
                errno.EPERM: "use a file system with hard links",
                errno.ENOTSUP: "use a file system with hard links",
            }.get(error.errno or 0, "check that the folder is mounted and writable")
            raise StorageUnavailableError(
                f"the artifact folder {self.root} failed a {operation}: {error.strerror}; {hint}",
                store=self.url,
                operation=operation,
            ) from error


def _chunks(descriptor: int) -> Iterator[bytes]:
    while chunk := os.read(descriptor, _CHUNK_BYTES):
        yield chunk
