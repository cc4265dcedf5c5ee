"""A recording's bytes straight into the artifact store, at addresses that the service signs.

Every byte is read once, and hashed while it is: SHA-256 of files, MD5 of parts, which the store
checks. A part that the store has with the right MD5 is not sent again. The service never sees the
bytes; where the store cannot be reached from here, the caller takes the other way.
"""

from __future__ import annotations

import hashlib
import http.client
import ssl
import threading
import urllib.error
import urllib.request
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import dropwhile, islice
from pathlib import Path

from spikefleet.client.parcels import SourceChangedError
from spikefleet.client.retry_waits import RetryWaits
from spikefleet.core.rooms.uploads import SignedPart, UploadedPart, UploadProgress
from spikefleet.core.submissions import ManifestFile
from spikefleet.infra.rpc.errors import ServiceUnreachable

Place = tuple[str, int]  # path and first byte of a part
OnBytes = Callable[[str, int], None]  # (path, bytes on their way; negative when sent in vain)

_AT_ONCE = 3
_SIGNED_AT_ONCE = 32
_CHUNK_BYTES = 1 << 20
_ANSWER_S = 120.0
_FAILURES_AT_FIRST = 2  # of a store that has taken nothing yet: it is not to be reached


class StoreUnreachableError(RuntimeError):
    """The store cannot be reached from this machine; nothing was sent to it."""


@dataclass(frozen=True)
class SentFiles:
    """What was read: the files with their SHA-256, the parts with their MD5."""

    files: tuple[ManifestFile, ...]
    parts: tuple[UploadedPart, ...]


@dataclass(frozen=True)
class _Bytes:
    """One part, read."""

    path: str
    offset_bytes: int
    data: bytes
    md5: str

    @property
    def place(self) -> Place:
        return self.path, self.offset_bytes


class DirectSender:
    """Puts the parts of one upload into the store.

    ``sign`` asks the service for addresses. ``patience`` limits the wait for a silent store, and
    ``on_bytes`` hears what is on its way, from several threads.
    """

    def __init__(
        self,
        upload: UploadProgress,
        sign: Callable[[Sequence[Place]], Sequence[SignedPart]],
        patience: RetryWaits,
        on_bytes: OnBytes,
        *,
        ca_file: Path | None = None,
    ) -> None:
        self._upload, self._sign = upload, sign
        self._patience, self._on_bytes = patience, on_bytes
        self._there = {(p.path, p.offset_bytes): (p.size_bytes, p.md5) for p in upload.parts}
        self._urls = {(s.path, s.offset_bytes): s.url for s in upload.signed}
        self._lock = threading.Lock()
        self._has_sent = bool(upload.parts)
        self._failures = 0
        self._opener = _opener(ca_file)

    def send(self, root: Path, files: Sequence[ManifestFile]) -> SentFiles:
        """Put what the store lacks of the ``files`` below ``root``.

        Raises StoreUnreachableError, ServiceError, ServiceUnreachable, SourceChangedError, OSError.
        """
        digested, parts = [], []
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="put") as pool:
            under_way: deque[Future[None]] = deque()
            try:
                for file in files:
                    whole = hashlib.sha256()
                    for part in self._read(root / file.path, file, whole):
                        size_bytes = len(part.data)
                        parts.append(
                            UploadedPart(part.path, part.offset_bytes, size_bytes, "", md5=part.md5)
                        )
                        if self._there.get(part.place) == (size_bytes, part.md5):
                            self._on_bytes(part.path, size_bytes)
                            continue
                        while len(under_way) >= _AT_ONCE:  # as many parts are held in memory
                            under_way.popleft().result()
                        under_way.append(pool.submit(self._put, part))
                    digested.append(replace(file, sha256=whole.hexdigest()))
                while under_way:
                    under_way.popleft().result()
            finally:
                for left in under_way:
                    left.cancel()
        return SentFiles(tuple(digested), tuple(parts))

    def _read(self, path: Path, file: ManifestFile, whole: hashlib._Hash) -> Iterator[_Bytes]:
        part_bytes = self._upload.part_size_bytes
        with path.open("rb", buffering=0) as handle:
            for offset in range(0, file.size_bytes, part_bytes):
                data = _read_exactly(handle.read, min(part_bytes, file.size_bytes - offset))
                if data is None:
                    raise SourceChangedError(f"{path} became shorter while it was sent")
                whole.update(data)
                md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
                yield _Bytes(file.path, offset, data, md5)

    def _put(self, part: _Bytes) -> None:
        """Send one part until the store has it.

        Raises StoreUnreachableError, ServiceUnreachable.
        """
        while True:
            try:
                self._put_once(part)
            except urllib.error.HTTPError as error:
                error.close()
                self._fail(part, f"the store answered {error.code}")
            except (OSError, http.client.HTTPException) as error:
                self._fail(part, str(error) or type(error).__name__)
            else:
                with self._lock:
                    self._has_sent = True
                    self._patience.restore()
                return

    def _put_once(self, part: _Bytes) -> None:
        sent = 0

        def body() -> Iterator[bytes]:
            nonlocal sent
            for at in range(0, len(part.data), _CHUNK_BYTES):
                chunk = part.data[at : at + _CHUNK_BYTES]
                yield chunk
                sent += len(chunk)
                self._on_bytes(part.path, len(chunk))

        headers = {
            "Content-Length": str(len(part.data)),
            "Content-Type": "application/octet-stream",
            "Content-MD5": b64encode(bytes.fromhex(part.md5)).decode(),
        }
        request = urllib.request.Request(
            self._url(part.place), data=body(), headers=headers, method="PUT"
        )
        try:
            self._opener.open(request, timeout=_ANSWER_S).close()
        except (OSError, http.client.HTTPException):
            self._on_bytes(part.path, -sent)
            raise

    def _fail(self, part: _Bytes, reason: str) -> None:
        """Wait for the next try, with a fresh address. Raises when there shall be none."""
        with self._lock:
            self._urls.pop(part.place, None)
            self._failures += 1
            if not self._has_sent and self._failures >= _FAILURES_AT_FIRST:
                raise StoreUnreachableError(reason)
            self._patience.wait(
                ServiceUnreachable(
                    "STORAGE_UNAVAILABLE",
                    f"The bucket takes no part of the recording: {reason}.",
                    next_step="Check that this machine reaches it, then submit again: what has "
                    "arrived is kept.",
                )
            )

    def _url(self, place: Place) -> str:
        """The part's address; when it has none yet, the next ones are signed together with it."""
        with self._lock:
            if place not in self._urls:
                wanted = [place, *self._next_places(place)]
                for signed in self._sign(wanted):
                    self._urls[signed.path, signed.offset_bytes] = signed.url
            return self._urls[place]

    def _next_places(self, place: Place) -> list[Place]:
        """Parts after this one, of its file and those behind it, neither stored nor signed."""
        part_bytes = self._upload.part_size_bytes
        all_places = (
            (file.path, at)
            for file in self._upload.files
            for at in range(0, file.size_bytes, part_bytes)
        )
        after = dropwhile(lambda other: other != place, all_places)
        next(after, None)
        left = (p for p in after if p not in self._there and p not in self._urls)
        return list(islice(left, _SIGNED_AT_ONCE - 1))


def _read_exactly(read: Callable[[int], bytes | None], size_bytes: int) -> bytes | None:
    """Read so many bytes; None when there are fewer."""
    chunks: list[bytes] = []
    left = size_bytes
    while left and (chunk := read(left)):
        chunks.append(chunk)
        left -= len(chunk)
    return None if left else b"".join(chunks)


def _opener(ca_file: Path | None) -> urllib.request.OpenerDirector:
    """Speaks HTTP and HTTPS and nothing else, by the machine's proxies; follows no redirection.

    ``ca_file`` is trusted beside what the machine trusts: a bucket may be anybody's.
    """
    trusted = ssl.create_default_context()
    if ca_file is not None:
        trusted.load_verify_locations(cafile=ca_file)
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=trusted),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
    ):
        opener.add_handler(handler)
    return opener
