"""Where bytes live: the ``ArtifactStore`` Protocol, the manifest and the key layout.

An artifact is a prefix with files under it, valid only through its ``manifest.json``, which is
written last. Keys are written once; only ``current.json`` pointers may be swapped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar, Protocol, runtime_checkable

MANIFEST = "manifest.json"
POINTER = "current.json"


class ArtifactExistsError(FileExistsError):
    """The key has been written before, with other bytes. Artifacts are immutable."""

    refusal: ClassVar[str] = "ARTIFACT_EXISTS"


class ArtifactMissingError(FileNotFoundError):
    """No such key, or a prefix without a complete manifest."""

    refusal: ClassVar[str] = "ARTIFACT_NOT_FOUND"


class ArtifactDamagedError(ValueError):
    """Bytes that do not match their digest or their manifest."""

    refusal: ClassVar[str] = "ARTIFACT_DAMAGED"


@dataclass(frozen=True)
class StoredFile:
    """A key with the size and SHA-256 (hex) of its bytes."""

    key: str
    size_bytes: int
    sha256: str


class ArtifactStore(Protocol):
    """Write-once object storage. Keys are relative POSIX paths without ``..``.

    Writing the same bytes to a key again is a no-op; other bytes raise ArtifactExistsError.
    """

    url: str

    def put_bytes(self, key: str, data: bytes) -> StoredFile:
        """Store ``data`` under ``key``."""
        ...

    def put_file(self, key: str, path: Path, *, sha256: str = "") -> StoredFile:
        """Store a file's bytes under ``key``. The source is left alone.

        ``sha256`` is what the caller found them to be: the file is then read once, and one that has
        another digest is not stored, or returned with that one. Raises ArtifactDamagedError.
        """
        ...

    def get_bytes(self, key: str) -> bytes:
        """Read a whole key. Raises ArtifactMissingError."""
        ...

    def read_chunks(
        self, key: str, *, offset: int = 0, chunk_bytes: int = 1 << 20
    ) -> Iterator[bytes]:
        """Read a key from ``offset`` in chunks. Raises ArtifactMissingError."""
        ...

    def fetch(self, key: str, path: Path) -> None:
        """Copy a key to a local file, atomically. Raises ArtifactMissingError."""
        ...

    def size(self, key: str) -> int | None:
        """Bytes stored under ``key``; None when absent."""
        ...

    def list_keys(self, prefix: str) -> list[str]:
        """Every key below ``prefix`` (a folder, not a string prefix), sorted."""
        ...

    def swap_pointer(self, key: str, document: Mapping[str, object]) -> None:
        """Replace a ``current.json`` atomically. Raises ValueError for any other name."""
        ...

    def delete_prefix(self, prefix: str) -> None:
        """Remove an unfinished prefix. Raises ValueError when it has a manifest."""
        ...


@runtime_checkable
class HasLocalPaths(Protocol):
    """A store whose keys are files on this machine: inputs need no copy."""

    def local_path(self, key: str) -> Path:
        """The file or folder behind ``key``. Raises ArtifactMissingError."""
        ...


@runtime_checkable
class AdoptsFiles(Protocol):
    """A store that can take files as they are, without copying or reading their bytes."""

    def adopt(self, files: Sequence[tuple[StoredFile, Path]]) -> bool:
        """Make each file the bytes of what it is paired with, whose digest the caller vouches for.

        Nobody may write to the files afterwards. False when they cannot be taken as they are.
        """
        ...


@runtime_checkable
class RepairsFiles(Protocol):
    """A store in which bytes that were damaged can be replaced by those the manifest lists."""

    def repair(self, wanted: StoredFile, path: Path) -> None:
        """Make a copy of the file at ``path`` the bytes of ``wanted``, whose digest it has.

        Raises ArtifactDamagedError when it has another one; the key is left as it was.
        """
        ...


@dataclass(frozen=True)
class StoredPart:
    """One part of a file on its way into a store: ``number`` from 1, ``md5`` hex."""

    number: int
    size_bytes: int
    md5: str


@runtime_checkable
class TakesParts(Protocol):
    """A store into which others put parts of a file themselves, at signed addresses.

    Every method raises StorageUnavailableError.
    """

    def begin_parts(self, key: str) -> str:
        """Begin a file of parts under ``key``; return its id."""
        ...

    def sign_part(
        self, key: str, parts_id: str, number: int, size_bytes: int, life_s: float
    ) -> str:
        """Return an address that takes one part of this length by PUT for ``life_s`` seconds."""
        ...

    def parts_there(self, key: str, parts_id: str) -> list[StoredPart]:
        """Return the parts that came, by number. Raises FileNotFoundError when it is ended."""
        ...

    def is_made_of(self, key: str, parts: Sequence[StoredPart]) -> bool:
        """Say whether ``key`` is stored and has exactly the bytes of these parts."""
        ...

    def join_parts(self, key: str, parts_id: str, parts: Sequence[StoredPart]) -> None:
        """Make the file of its parts. Raises FileNotFoundError when it was dropped."""
        ...

    def drop_parts(self, key: str, parts_id: str) -> None:
        """Drop a file of parts that is not wanted; one that is gone is not an error."""
        ...

    def refuses_late_parts(self) -> bool:
        """Try whether a part is refused once its file was made: if not, addresses outlive it."""
        ...

    def copy_parts(self, key: str, to_key: str, parts: Sequence[StoredPart]) -> list[int]:
        """Copy a file within the store, part by part; twice is a no-op.

        Returns the numbers of parts that are not as told (there is no copy then); [] when it is
        made. The bytes do not travel through this process.
        """
        ...

    def drop_prefix(self, prefix: str) -> None:
        """Remove all below a prefix, a manifest too: the caller vouches that it became nothing."""
        ...


def publish_folder(store: ArtifactStore, prefix: str, folder: Path) -> list[StoredFile]:
    """Store every file of ``folder`` under ``prefix``, then the manifest, last.

    Returns the stored files. A prefix that already has a complete manifest is left as it is.
    Raises ValueError for a link: a folder may come from a process that chooses where it leads.
    """
    if store.size(f"{prefix}/{MANIFEST}") is not None:
        return verify_prefix(store, prefix)
    found = sorted(folder.rglob("*"))
    link = next((path for path in found if path.is_symlink()), None)
    if link is not None:
        raise ValueError(f"{link.relative_to(folder)} is a link, which is never stored")
    stored = [
        store.put_file(f"{prefix}/{path.relative_to(folder).as_posix()}", path)
        for path in found
        if path.is_file()
    ]
    write_manifest(store, prefix, stored)
    return stored


def write_manifest(store: ArtifactStore, prefix: str, files: list[StoredFile]) -> None:
    """Make the prefix valid: list its files with sizes and digests."""
    document = {
        "version": 1,
        "files": [
            {
                "path": file.key.removeprefix(f"{prefix}/"),
                "size_bytes": file.size_bytes,
                "sha256": file.sha256,
            }
            for file in sorted(files, key=lambda f: f.key)
        ],
    }
    store.put_bytes(f"{prefix}/{MANIFEST}", json.dumps(document, indent=1).encode())


def verify_prefix(store: ArtifactStore, prefix: str) -> list[StoredFile]:
    """Return the files of a complete prefix; every listed file is present with its size.

    Raises ArtifactMissingError without a manifest, ArtifactDamagedError when a file is short.
    """
    files = read_manifest(store, prefix)
    for file in files:
        require_size(store, file)
    return files


def read_manifest(store: ArtifactStore, prefix: str) -> list[StoredFile]:
    """Return what the manifest of a complete prefix lists; looks at no file.

    Raises ArtifactMissingError without a manifest, ArtifactDamagedError for one of nonsense.
    """
    raw = store.get_bytes(f"{prefix}/{MANIFEST}")
    try:
        files = [
            StoredFile(f"{prefix}/{e['path']}", int(e["size_bytes"]), str(e["sha256"]))
            for e in json.loads(raw)["files"]
        ]
        for file in files:
            check_key(file.key)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ArtifactDamagedError(f"the manifest of {prefix} cannot be read") from error
    return files


def require_size(store: ArtifactStore, file: StoredFile) -> None:
    """Refuse a file that is not there with its size. Raises ArtifactDamagedError."""
    size = store.size(file.key)
    if size != file.size_bytes:
        found = "is not there" if size is None else f"has {size} bytes"
        raise ArtifactDamagedError(
            f"{file.key} {found} where its manifest says {file.size_bytes} bytes"
        )


def encode_pointer(key: str, document: Mapping[str, object]) -> bytes:
    """Return the bytes of a ``current.json``. Raises ValueError for any other name."""
    if PurePosixPath(key).name != POINTER:
        raise ValueError(f"{key!r} is no {POINTER}: artifacts are written once")
    return json.dumps(document, indent=1, sort_keys=True, default=str).encode()


def check_key(key: str) -> None:
    """Raise ValueError unless ``key`` is a relative POSIX path that stays where it is put."""
    parts = key.split("/")
    if not key or "\x00" in key or any(part in {"", ".", ".."} for part in parts):
        raise ValueError(f"{key!r} is not an artifact key: use a/b/c, without empty parts, . or ..")
    if any(len(part.encode("utf-8", "surrogateescape")) > 255 for part in parts):
        raise ValueError(f"{key!r} has a part of more than 255 bytes, which no folder can hold")


def holds_manifest(prefix: str, keys: list[str]) -> bool:
    """Say whether one of the keys below ``prefix`` makes an artifact valid.

    A file of that name that a rig submitted (below a recording's ``files``) makes nothing valid.
    """
    for key in keys:
        path = PurePosixPath(key.removeprefix(f"{prefix}/"))
        if path.name == MANIFEST and "files" not in path.parts:
            return True
    return False


def recording_prefix(recording_id: str) -> str:
    """Key prefix of an uploaded recording."""
    return f"recordings/{recording_id}"


def pointer_key(run_id: str) -> str:
    """Key of the small file that names the winning attempt of every stage."""
    return f"runs/{run_id}/{POINTER}"


def live_key(prefix: str) -> str:
    """Key of what the attempt under ``prefix`` last told of itself while it ran."""
    return f"{prefix}/live/{POINTER}"
