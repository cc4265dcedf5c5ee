"""An ArtifactStore in an S3 bucket.

Written once: a writer holds the only claim on a key (``claims``), looks whether the key is there,
and stores it; the server's own condition is a second net. Every request carries digests that the
server compares, and every whole read is compared with the SHA-256 that its writer left with the
object. What a crash leaves is unlisted: claims that grow stale, and uploads in parts that ``sweep``
drops.
"""

from __future__ import annotations

import hashlib
import io
import os
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, urlencode

from spikefleet.core.failures.errors import InvalidConfigurationError, StorageUnavailableError
from spikefleet.infra.stores.bytes.artifacts import (
    ArtifactDamagedError,
    ArtifactExistsError,
    ArtifactMissingError,
    StoredFile,
    StoredPart,
    check_key,
    encode_pointer,
    holds_manifest,
)
from spikefleet.infra.stores.bytes.s3 import late_parts, ranges
from spikefleet.infra.stores.bytes.s3.bucket import (
    MOST_PARTS,
    PART_BYTES,
    ConditionFailedError,
    S3Bucket,
    S3Part,
    S3Place,
    is_made_of,
)
from spikefleet.infra.stores.bytes.s3.claims import FOLDER, claimed
from spikefleet.infra.stores.bytes.s3.credentials import S3Credentials, read_credentials

_MOST_KEY_BYTES = 1024
_LONGEST_PREFIX_BYTES = 150
_RESUMES = 5
_TURNS = 64


class S3Artifacts:
    """An ArtifactStore on a bucket that exists. Safe for many threads, processes and machines."""

    def __init__(self, place: S3Place, credentials: S3Credentials) -> None:
        self.bucket = S3Bucket(place, credentials)
        self.url = _url(place)
        # Threads of one process need no claims to wait for each other.
        self._turns = [threading.Lock() for _ in range(_TURNS)]
        self.bucket.require()

    def put_bytes(self, key: str, data: bytes) -> StoredFile:
        """Store ``data`` under ``key``. Raises ArtifactExistsError, StorageUnavailableError."""
        self._check(key)
        stored = StoredFile(key, len(data), hashlib.sha256(data).hexdigest())
        if len(data) > PART_BYTES:
            if not self._is_there(stored):
                self._put_parts(stored, io.BytesIO(data))
            return stored
        with self._turn(key), claimed(self.bucket, key):
            if self._is_there(stored):
                return stored
            try:
                self.bucket.put(key, data, sha256=stored.sha256, only_new=True)
            except ConditionFailedError:
                self._require_same(stored)
        return stored

    def put_file(self, key: str, path: Path, *, sha256: str = "") -> StoredFile:
        """Store a file's bytes under ``key``; in parts when it is longer than one.

        Raises FileNotFoundError without a source, ArtifactExistsError, ArtifactDamagedError when
        the file changes meanwhile, StorageUnavailableError.
        """
        self._check(key)
        with path.open("rb") as source:
            if path.stat().st_size <= PART_BYTES:
                return self.put_bytes(key, source.read())
            size_bytes = os.fstat(source.fileno()).st_size
            digest = sha256 or hashlib.file_digest(source, "sha256").hexdigest()
            stored = StoredFile(key, size_bytes, digest)
            if not self._is_there(stored):
                self._put_parts(stored, source)
        return stored

    def repair(self, wanted: StoredFile, path: Path) -> None:
        """Replace damaged bytes, atomically, by those of a file that has the listed digest.

        Raises ArtifactDamagedError when it has not, StorageUnavailableError.
        """
        self._check(wanted.key)
        with path.open("rb") as source:
            digest = hashlib.file_digest(source, "sha256").hexdigest()
            if (source.tell(), digest) != (wanted.size_bytes, wanted.sha256):
                raise ArtifactDamagedError(f"{path} has not the bytes listed for {wanted.key}")
            if wanted.size_bytes > PART_BYTES:
                self._put_parts(wanted, source, replaces=True)
                return
            source.seek(0)
            self.bucket.put(wanted.key, source.read(), sha256=wanted.sha256)

    def get_bytes(self, key: str) -> bytes:
        """Read a whole key. Raises ArtifactMissingError, ArtifactDamagedError."""
        return b"".join(self.read_chunks(key, chunk_bytes=PART_BYTES))

    def read_chunks(
        self, key: str, *, offset: int = 0, chunk_bytes: int = 1 << 20
    ) -> Iterator[bytes]:
        """Read a key from byte ``offset`` in chunks; a connection that breaks is opened again.

        Raises ArtifactMissingError at once, and ArtifactDamagedError after the last chunk of a key
        that was read from its start and has not the digest its writer left.
        """
        self._check(key)
        found = self.bucket.head(key)
        if found is None:
            raise ArtifactMissingError(f"nothing is stored under {key}")
        return self._read(key, found.size_bytes, found.sha256, offset, chunk_bytes)

    def fetch(self, key: str, path: Path) -> None:
        """Copy a key to a local file, atomically. Raises ArtifactMissingError and -DamagedError."""
        self._check(key)
        found = self.bucket.head(key)
        if found is None:
            raise ArtifactMissingError(f"nothing is stored under {key}")
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
        try:
            with temporary.open("xb+") as handle:
                if found.size_bytes > ranges.RANGE_BYTES:
                    ranges.fetch_ranges(self.bucket, key, found.size_bytes, handle.fileno())
                    _require_digest(key, handle, found.sha256)
                else:
                    for chunk in self._read(key, found.size_bytes, found.sha256, 0, 4 << 20):
                        handle.write(chunk)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def size(self, key: str) -> int | None:
        """Bytes stored under ``key``; None when it is absent or a prefix."""
        self._check(key)
        found = self.bucket.head(key)
        return None if found is None else found.size_bytes

    def list_keys(self, prefix: str) -> list[str]:
        """Every key below the folder ``prefix``, sorted; "" lists the whole store."""
        if prefix:
            self._check(prefix)
        names = (key for key, _ in self.bucket.list_below(prefix))
        return sorted(key for key in names if not key.startswith(f"{FOLDER}/"))

    def swap_pointer(self, key: str, document: Mapping[str, object]) -> None:
        """Replace a ``current.json`` atomically. Raises ValueError for any other name."""
        self._check(key)
        data = encode_pointer(key, document)
        self.bucket.put(key, data, sha256=hashlib.sha256(data).hexdigest())

    def delete_prefix(self, prefix: str) -> None:
        """Remove an unfinished prefix. Raises ValueError when a manifest is in or below it."""
        keys = self.list_keys(prefix) if prefix else []
        self._check(prefix)
        if holds_manifest(prefix, keys):
            raise ValueError(f"{prefix} holds a finished artifact and is not removed")
        self._drop(prefix, keys)

    def drop_prefix(self, prefix: str) -> None:
        """Remove all below a prefix, a manifest too."""
        self._check(prefix)
        self._drop(prefix, self.list_keys(prefix))

    def _drop(self, prefix: str, keys: Sequence[str]) -> None:
        for key in keys:
            self.bucket.remove(key)
        for key, upload_id, _ in self.bucket.list_uploads(f"{prefix}/"):
            self.bucket.abort(key, upload_id)

    def begin_parts(self, key: str) -> str:
        """Begin a file of parts and return its id."""
        self._check(key)
        return self.bucket.begin(key)

    def sign_part(
        self, key: str, parts_id: str, number: int, size_bytes: int, life_s: float
    ) -> str:
        """Return an address of the external endpoint that takes one part by PUT."""
        return self.bucket.presign_part(key, parts_id, number, size_bytes, life_s)

    def parts_there(self, key: str, parts_id: str) -> list[StoredPart]:
        """Return the parts that the server has. Raises FileNotFoundError."""
        found = self.bucket.list_parts(key, parts_id)
        return [StoredPart(part.number, part.size_bytes, part.etag) for part in found]

    def is_made_of(self, key: str, parts: Sequence[StoredPart]) -> bool:
        """Say whether the key holds the bytes of these parts."""
        found = self.bucket.head(key)
        return found is not None and is_made_of(found, _s3_parts(parts))

    def join_parts(self, key: str, parts_id: str, parts: Sequence[StoredPart]) -> None:
        """Make the object of its parts. Raises FileNotFoundError."""
        self.bucket.complete(key, parts_id, _s3_parts(parts))

    def drop_parts(self, key: str, parts_id: str) -> None:
        """Drop an unfinished object."""
        self.bucket.abort(key, parts_id)

    def refuses_late_parts(self) -> bool:
        """Try it on a key of a few bytes, beside the claims."""
        return late_parts.are_refused(self.bucket, f"{FOLDER}/late-{uuid.uuid4().hex}")

    def copy_parts(self, key: str, to_key: str, parts: Sequence[StoredPart]) -> list[int]:
        """Copy an object within the bucket in ranges that are its parts."""
        self._check(to_key)
        return late_parts.copy_in_parts(self.bucket, key, to_key, _s3_parts(parts))

    def sweep(self, older_than_s: float = 7 * 86_400.0) -> int:
        """Drop uploads in parts, and claims, that were begun long ago; return how many.

        Not every server can be told to do so by itself (a lifecycle).
        """
        oldest = datetime.now(UTC) - timedelta(seconds=older_than_s)
        old = [entry for entry in self.bucket.list_uploads() if entry[2] and entry[2] < oldest]
        for key, upload_id, _ in old:
            self.bucket.abort(key, upload_id)
        claims = [
            key for key, at in self.bucket.list_below(FOLDER) if at is not None and at < oldest
        ]
        for key in claims:
            self.bucket.remove(key)
        return len(old) + len(claims)

    def _check(self, key: str) -> None:
        check_key(key)
        if key.split("/", 1)[0] == FOLDER:
            raise ValueError(f"{key!r} is a key reserved for claims")
        if len(f"{self.bucket.place.prefix}{key}".encode()) > _MOST_KEY_BYTES:
            raise ValueError(f"a key of more than {_MOST_KEY_BYTES} bytes: {key[:60]!r}...")

    def _turn(self, key: str) -> threading.Lock:
        return self._turns[hash(key) % _TURNS]

    def _is_there(self, wanted: StoredFile) -> bool:
        """Say whether the key holds these bytes. Raises ArtifactExistsError for others."""
        found = self.bucket.head(wanted.key)
        if found is None:
            return False
        self._require_same(wanted)
        return True

    def _require_same(self, wanted: StoredFile) -> None:
        found = self.bucket.head(wanted.key)
        same = found is not None and found.size_bytes == wanted.size_bytes
        if same and found and (found.sha256 or self._digest(wanted.key)) == wanted.sha256:
            return
        raise ArtifactExistsError(
            f"{wanted.key} is stored already, with other bytes; artifacts never change"
        )

    def _digest(self, key: str) -> str:
        digest = hashlib.sha256()
        for chunk in self.read_chunks(key, chunk_bytes=4 << 20):
            digest.update(chunk)
        return digest.hexdigest()

    def _put_parts(self, stored: StoredFile, source: BinaryIO, *, replaces: bool = False) -> None:
        part_bytes = max(PART_BYTES, -(-stored.size_bytes // MOST_PARTS))
        digest = hashlib.sha256()
        upload_id = self.bucket.begin(stored.key, stored.sha256)
        with ExitStack() as stack:
            stack.callback(self.bucket.abort, stored.key, upload_id)
            source.seek(0)
            parts: list[S3Part] = []
            while data := source.read(part_bytes):
                digest.update(data)
                parts.append(self.bucket.put_part(stored.key, upload_id, len(parts) + 1, data))
            if digest.hexdigest() != stored.sha256:
                raise ArtifactDamagedError(f"the file for {stored.key} changed while it was stored")
            with self._turn(stored.key), claimed(self.bucket, stored.key):
                if replaces or not self._is_there(stored):
                    self.bucket.complete(stored.key, upload_id, parts)
                    stack.pop_all()

    def _read(
        self, key: str, size_bytes: int, sha256: str, offset: int, chunk_bytes: int
    ) -> Iterator[bytes]:
        digest, at, resumes = hashlib.sha256(), offset, _RESUMES
        while at < size_bytes:
            try:
                with self.bucket.opened(key, at) as stream:
                    while chunk := stream.read(chunk_bytes):
                        at += len(chunk)
                        if offset == 0:
                            digest.update(chunk)
                        yield chunk
            except StorageUnavailableError:
                if resumes == 0:
                    raise
                resumes -= 1
        if offset == 0 and sha256 and digest.hexdigest() != sha256:
            raise ArtifactDamagedError(f"{key} has not the bytes that were stored")


def _require_digest(key: str, handle: BinaryIO, sha256: str) -> None:
    """Refuse bytes that are not those whose digest the writer left, where one did."""
    handle.seek(0)
    if sha256 and hashlib.file_digest(handle, "sha256").hexdigest() != sha256:  # type: ignore[arg-type]
        raise ArtifactDamagedError(f"{key} has not the bytes that were stored")


def _s3_parts(parts: Sequence[StoredPart]) -> list[S3Part]:
    return [S3Part(part.number, part.size_bytes, part.md5) for part in parts]


def open_s3(
    *,
    bucket: str,
    prefix: str,
    credentials: Path,
    endpoint: str,
    region: str = "us-east-1",
    external: str = "",
) -> S3Artifacts:
    """Open a bucket with the credentials in a folder.

    Raises InvalidConfigurationError, StorageUnavailableError.
    """
    if len(prefix.encode()) > _LONGEST_PREFIX_BYTES:
        raise InvalidConfigurationError(
            f"The prefix in the bucket is longer than {_LONGEST_PREFIX_BYTES} bytes.",
            field="artifacts_url",
            value=prefix,
        )
    place = S3Place(
        endpoint=endpoint.rstrip("/"),
        bucket=bucket,
        prefix=f"{prefix}/" if prefix else "",
        region=region,
        external_endpoint=external.rstrip("/"),
    )
    return S3Artifacts(place, read_credentials(credentials))


def _url(place: S3Place) -> str:
    """Return the address that means the same store to every process, without credentials."""
    more = {"endpoint": place.endpoint, "region": place.region}
    if place.external_endpoint:
        more["external"] = place.external_endpoint
    return f"s3://{place.bucket}/{quote(place.prefix.rstrip('/'))}?{urlencode(more)}"
