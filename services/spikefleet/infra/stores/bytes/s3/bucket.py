"""The one door to the S3 client library: the few calls that an artifact store needs of a bucket.

Asks no server for more than those in the field agree on: every write carries a digest that they
verify (``Content-MD5``, or the signed SHA-256 where the connection is not encrypted), answers that
may have been lost are settled by looking at the object, and no feature that some servers lack is
relied upon. Reads credentials from mounted files at every start and never from the environment.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import urllib3
from minio import Minio
from minio.datatypes import Part
from minio.error import MinioException, S3Error

from spikefleet.core.failures.errors import InvalidConfigurationError, StorageUnavailableError
from spikefleet.core.visible_text import without_secrets
from spikefleet.infra.stores.bytes.s3.credentials import S3Credentials
from spikefleet.infra.stores.bytes.s3.network_words import in_words
from spikefleet.infra.stores.bytes.s3.signed_lengths import with_length

PART_BYTES = 16 << 20
MOST_PARTS = 10_000
_DIGEST = "x-amz-meta-sha256"
_TRIES = 5
_CONNECT_S, _READ_S = 5.0, 60.0
_GONE = frozenset({"NoSuchKey", "NoSuchUpload", "NoSuchVersion"})
_TAKEN = frozenset({"PreconditionFailed"})
_UNKNOWN_CONDITION = frozenset({"NotImplemented", "MethodNotAllowed"})


class ConditionFailedError(FileExistsError):
    """The server refused a write because the key exists."""


@dataclass(frozen=True)
class S3Place:
    """Where a bucket is: ``endpoint`` is a URL, ``prefix`` is "" or ends in "/".

    ``external_endpoint`` is how rigs reach the same server, for presigned URLs; "" is the same.
    """

    endpoint: str
    bucket: str
    prefix: str = ""
    region: str = "us-east-1"
    external_endpoint: str = ""


@dataclass(frozen=True)
class S3Object:
    """What a server says of an object; ``sha256`` is "" where its writer left none."""

    size_bytes: int
    etag: str
    sha256: str
    modified_at: datetime | None = None


@dataclass(frozen=True)
class S3Part:
    """A part of an unfinished upload, numbered from 1; ``etag`` is the MD5 of its bytes in hex."""

    number: int
    size_bytes: int
    etag: str


class S3Bucket:
    """One bucket, below one prefix. Keys go in and come out without the prefix. Thread-safe."""

    def __init__(self, place: S3Place, credentials: S3Credentials) -> None:
        self.place = place
        self._client = _connect(place, place.endpoint, credentials)
        self._secret_key = credentials.secret_key
        self._is_encrypted = place.endpoint.startswith("https:")
        outside = place.external_endpoint or place.endpoint
        self._outside = _connect(place, outside, credentials)

    def require(self) -> None:
        """Raise StorageUnavailableError unless the bucket is there and the credentials open it."""
        with self._failures("look for the bucket"):
            found = self._client.bucket_exists(self.place.bucket)
        if not found:
            raise self._unavailable("look for the bucket", "there is no such bucket; make it first")

    def head(self, key: str) -> S3Object | None:
        """Return what is stored under a key; None where nothing is."""
        try:
            with self._failures(f"look-up of {key}"):
                response = self._send("HEAD", key)
        except FileNotFoundError:
            return None
        return _object(response.headers)

    @contextmanager
    def opened(self, key: str, offset: int = 0, length: int = 0) -> Iterator[Any]:
        """Give the bytes of a key as a stream with ``read(n)``. Raises FileNotFoundError."""
        headers = {}
        if offset or length:
            last = str(offset + length - 1) if length else ""
            headers["Range"] = f"bytes={offset}-{last}"
        with self._failures(f"read of {key}"):
            response = self._send("GET", key, headers=headers, preload_content=False)
            try:
                yield response
            finally:
                response.close()
                response.release_conn()

    def put(
        self, key: str, data: bytes, *, sha256: str = "", only_new: bool = False
    ) -> datetime | None:
        """Store at most ``PART_BYTES`` in one request; return the server's clock, where it tells.

        Raises ConditionFailedError when ``only_new`` and the server says that the key exists. A
        server that does not know the condition stores without it: it is a second net only.
        """
        headers = {"Content-Type": "application/octet-stream", **self._digest(data)}
        if sha256:
            headers[_DIGEST] = sha256
        with self._failures(f"write of {key}"):
            try:
                condition = {"If-None-Match": "*"} if only_new else {}
                response = self._send("PUT", key, body=data, headers={**headers, **condition})
            except S3Error as error:
                if not only_new or error.code not in _UNKNOWN_CONDITION:
                    raise
                response = self._send("PUT", key, body=data, headers=headers)
        return _http_time(response.headers.get("Date"))

    def remove(self, key: str) -> None:
        """Remove a key; one that is not there is no error."""
        with self._failures(f"removal of {key}"):
            self._client.remove_object(self.place.bucket, self._name(key))

    def list_below(self, prefix: str) -> Iterator[tuple[str, datetime | None]]:
        """Yield every key below the folder ``prefix`` ("" for all) with its time of writing."""
        below = self._name(f"{prefix}/" if prefix else "")
        with self._failures(f"listing of {prefix}"):
            for entry in self._client.list_objects(self.place.bucket, below, recursive=True):
                name = str(entry.object_name)
                yield name.removeprefix(self.place.prefix), entry.last_modified

    def begin(self, key: str, sha256: str = "") -> str:
        """Begin an upload in parts and return its id."""
        headers = {"Content-Type": "application/octet-stream"}
        if sha256:
            headers[_DIGEST] = sha256
        with self._failures(f"begin of {key}"):
            response = self._send("POST", key, headers=headers, query_params={"uploads": ""})
            return _text(response.data, "UploadId")

    def put_part(self, key: str, upload_id: str, number: int, data: bytes) -> S3Part:
        """Store one part; sending it again replaces it."""
        query = {"partNumber": str(number), "uploadId": upload_id}
        with self._failures(f"write of part {number} of {key}"):
            response = self._send(
                "PUT", key, body=data, headers=self._digest(data), query_params=query
            )
        return S3Part(number, len(data), _etag(response.headers))

    def copy_part(
        self, key: str, upload_id: str, number: int, source: tuple[str, int, int]
    ) -> S3Part:
        """Make a part of bytes that the bucket has: key, first and last byte."""
        from_key, first, last = source
        headers = {
            "x-amz-copy-source": quote(f"/{self.place.bucket}/{self._name(from_key)}"),
            "x-amz-copy-source-range": f"bytes={first}-{last}",
        }
        query = {"partNumber": str(number), "uploadId": upload_id}
        with self._failures(f"copy of part {number} of {from_key}"):
            response = self._send("PUT", key, headers=headers, query_params=query)
            etag = _text(response.data, "ETag").strip('"')
        return S3Part(number, last - first + 1, etag)

    def list_parts(self, key: str, upload_id: str) -> list[S3Part]:
        """Return the parts that the server has, by number. Raises FileNotFoundError."""
        found: list[S3Part] = []
        marker, more = "0", True
        while more:
            query = {"uploadId": upload_id, "max-parts": "1000", "part-number-marker": marker}
            with self._failures(f"listing of the parts of {key}"):
                root = _root(self._send("GET", key, query_params=query).data)
            found += [_part(element) for element in root.findall("{*}Part")]
            more = (root.findtext("{*}IsTruncated") or "").lower() == "true"
            marker = root.findtext("{*}NextPartNumberMarker") or ""
            more = more and bool(marker)
        return sorted(found, key=lambda part: part.number)

    def complete(self, key: str, upload_id: str, parts: Sequence[S3Part]) -> None:
        """Make the object of its parts, in their order. Settled by a look where the answer is lost.

        Raises FileNotFoundError when the upload is gone and the object is not what it would be.
        """
        listed = [Part(part.number, part.etag) for part in sorted(parts, key=lambda p: p.number)]
        try:
            with self._failures(f"end of the upload of {key}"):
                self._client._complete_multipart_upload(
                    self.place.bucket, self._name(key), upload_id, listed
                )
        except (FileNotFoundError, StorageUnavailableError):
            found = self.head(key)
            if found is None or not is_made_of(found, parts):
                raise

    def abort(self, key: str, upload_id: str) -> None:
        """Drop an unfinished upload; one that is gone is not an error."""
        try:
            with self._failures(f"end of the upload of {key}"):
                self._client._abort_multipart_upload(self.place.bucket, self._name(key), upload_id)
        except FileNotFoundError:
            return

    def list_uploads(self, prefix: str = "") -> list[tuple[str, str, datetime | None]]:
        """Return key, id and time of beginning of every unfinished upload below a prefix."""
        found: list[tuple[str, str, datetime | None]] = []
        query = {"uploads": "", "prefix": self._name(prefix), "max-uploads": "1000"}
        while True:
            with self._failures("listing of uploads"):
                root = _root(self._send("GET", "", query_params=query).data)
            for element in root.findall("{*}Upload"):
                key = (element.findtext("{*}Key") or "").removeprefix(self.place.prefix)
                begun = _time(element.findtext("{*}Initiated"))
                found.append((key, element.findtext("{*}UploadId") or "", begun))
            if (root.findtext("{*}IsTruncated") or "").lower() != "true":
                return found
            query["key-marker"] = root.findtext("{*}NextKeyMarker") or ""
            query["upload-id-marker"] = root.findtext("{*}NextUploadIdMarker") or ""

    def presign_part(
        self, key: str, upload_id: str, number: int, size_bytes: int, life_s: float
    ) -> str:
        """Return a URL, of the external endpoint, that takes one part of this length by PUT."""
        address = self._outside.get_presigned_url(
            "PUT",
            self.place.bucket,
            self._name(key),
            expires=timedelta(seconds=life_s),
            extra_query_params={"partNumber": str(number), "uploadId": upload_id},
        )
        return with_length(address, self._secret_key, size_bytes)

    def _digest(self, data: bytes) -> dict[str, str]:
        """The digest that the server compares; without encryption the library signs a SHA-256."""
        return {"Content-MD5": _md5(data)} if self._is_encrypted else {}

    def _name(self, key: str) -> str:
        return f"{self.place.prefix}{key}"

    def _send(self, method: str, key: str, **how: Any) -> Any:
        """Send one signed request; the public methods of the library set no header of ours."""
        name = self._name(key) if key else None
        return self._client._execute(method, self.place.bucket, name, **how)

    @contextmanager
    def _failures(self, operation: str) -> Iterator[None]:
        try:
            yield
        except S3Error as error:
            if error.code in _GONE:
                raise FileNotFoundError(f"nothing is stored for the {operation}") from error
            if error.code in _TAKEN:
                raise ConditionFailedError(f"the {operation} was refused: it exists") from error
            raise self._unavailable(operation, f"the server says {error.code}") from error
        except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
            if isinstance(error, StorageUnavailableError | FileNotFoundError | FileExistsError):
                raise
            raise self._unavailable(operation, in_words(error)) from error

    def _unavailable(self, operation: str, reason: str) -> StorageUnavailableError:
        where = f"{self.place.endpoint}/{self.place.bucket}"
        return StorageUnavailableError(
            f"the bucket {where} failed a {operation}: {reason}; "
            "check the endpoint, the bucket and the credentials",
            store=where,
            operation=operation,
        )


def _connect(place: S3Place, endpoint: str, credentials: S3Credentials) -> Minio:
    parts = urllib3.util.parse_url(endpoint)
    wrong_path = parts.path not in (None, "/")
    if parts.scheme not in ("http", "https") or not parts.host or parts.auth or wrong_path:
        shown = without_secrets(endpoint)
        raise InvalidConfigurationError(
            f"{shown!r} is not an S3 endpoint: write https://HOST[:PORT], keys apart.",
            field="endpoint",
            value=shown,
        )
    retries = urllib3.Retry(
        total=_TRIES,
        backoff_factor=0.2,
        backoff_jitter=0.3,
        backoff_max=5.0,
        status_forcelist=[429, 500, 502, 503, 504],
        allowed_methods=None,
        raise_on_status=False,
    )
    pool = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=_CONNECT_S, read=_READ_S),
        maxsize=32,
        retries=retries,
        ca_certs=None if credentials.ca_file is None else str(credentials.ca_file),
    )
    return Minio(
        parts.netloc or "",
        credentials.access_key,
        credentials.secret_key,
        secure=parts.scheme == "https",
        region=place.region,
        http_client=pool,
    )


def _md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def _etag(headers: Mapping[str, str]) -> str:
    return headers.get("ETag", "").strip('"')


def _object(headers: Mapping[str, str]) -> S3Object:
    return S3Object(
        size_bytes=int(headers.get("Content-Length", "0")),
        etag=_etag(headers),
        sha256=headers.get(_DIGEST, ""),
        modified_at=_http_time(headers.get("Last-Modified")),
    )


def is_made_of(found: S3Object, parts: Sequence[S3Part]) -> bool:
    """Say whether an object is what these parts make: their size, and the digest of digests."""
    digests = b"".join(bytes.fromhex(part.etag) for part in sorted(parts, key=lambda p: p.number))
    whole = hashlib.md5(digests, usedforsecurity=False).hexdigest()
    n_bytes = sum(part.size_bytes for part in parts)
    return (found.size_bytes, found.etag) == (n_bytes, f"{whole}-{len(parts)}")


def _root(data: bytes) -> ElementTree.Element:
    return ElementTree.fromstring(data.decode())


def _text(data: bytes, name: str) -> str:
    return _root(data).findtext(f"{{*}}{name}") or ""


def _part(element: ElementTree.Element) -> S3Part:
    number, size = element.findtext("{*}PartNumber"), element.findtext("{*}Size")
    etag = (element.findtext("{*}ETag") or "").strip('"')
    return S3Part(int(number or 0), int(size or 0), etag)


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None


def _http_time(text: str | None) -> datetime | None:
    return parsedate_to_datetime(text) if text else None
