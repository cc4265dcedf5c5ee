"""Parts of a recording as the service takes them in a stream: read, hashed, packed for a call."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spikefleet.api.v1 import ingest_pb2
from spikefleet.core.rooms.uploads import UploadedPart, UploadProgress
from spikefleet.core.submissions import ManifestFile

MESSAGE_BYTES = 1 << 18
_TOGETHER_BYTES = 1 << 20

PartsByOffset = dict[int, tuple[int, str]]  # of one file: size and digest by offset


class SourceChangedError(RuntimeError):
    """A file changed while it was sent; nothing was made of the upload. Submit it again."""


@dataclass(frozen=True)
class ReadPart:
    """A part in messages' worth of bytes; ``file_sha256`` covers the file up to its end."""

    upload_id: str
    path: str
    offset_bytes: int
    chunks: tuple[bytes, ...]
    file_sha256: str

    @property
    def size_bytes(self) -> int:
        """Length of the part."""
        return sum(len(chunk) for chunk in self.chunks)

    def messages(self) -> Iterator[ingest_pb2.UploadPartsRequest]:
        """One message for each chunk; the last carries the digest."""
        offset_bytes = self.offset_bytes
        for left, chunk in zip(reversed(range(len(self.chunks))), self.chunks, strict=True):
            yield ingest_pb2.UploadPartsRequest(
                upload_id=self.upload_id,
                path=self.path,
                offset_bytes=offset_bytes,
                data=chunk,
                file_sha256="" if left else self.file_sha256,
            )
            offset_bytes += len(chunk)

    def small(self) -> ingest_pb2.SmallPart:
        """The whole part, to travel with others."""
        return ingest_pb2.SmallPart(
            path=self.path,
            offset_bytes=self.offset_bytes,
            data=b"".join(self.chunks),
            file_sha256=self.file_sha256,
        )

    def is_among(self, stored: Mapping[str, PartsByOffset]) -> bool:
        """Say whether the server has this part."""
        there = stored.get(self.path, {}).get(self.offset_bytes)
        return there == (self.size_bytes, self.file_sha256)


@dataclass
class Parcel:
    """Parts that one call carries: a large one by itself, or small ones together."""

    upload_id: str
    parts: list[ReadPart] = field(default_factory=list)

    def has_room(self, part: ReadPart, most_parts: int) -> bool:
        """Say whether one more part may come along."""
        size_bytes = sum(other.size_bytes for other in self.parts) + part.size_bytes
        return len(self.parts) < most_parts and size_bytes <= _TOGETHER_BYTES

    def messages(self) -> Iterator[ingest_pb2.UploadPartsRequest]:
        """What is to be sent."""
        if len(self.parts) == 1:
            return self.parts[0].messages()
        small = [part.small() for part in self.parts]
        return iter([ingest_pb2.UploadPartsRequest(upload_id=self.upload_id, small_parts=small)])

    def is_among(self, stored: Mapping[str, PartsByOffset]) -> bool:
        """Say whether the server has every one."""
        return all(part.is_among(stored) for part in self.parts)


def read_parts(
    upload: UploadProgress, path: Path, file: ManifestFile, whole: hashlib._Hash
) -> Iterator[ReadPart]:
    """Yield a file's parts in order; ``whole`` sees every byte, once."""
    with path.open("rb", buffering=0) as handle:
        for offset in range(0, file.size_bytes, upload.part_size_bytes):
            left = min(upload.part_size_bytes, file.size_bytes - offset)
            chunks = []
            while left > 0 and (chunk := handle.read(min(left, MESSAGE_BYTES))):
                whole.update(chunk)
                chunks.append(chunk)
                left -= len(chunk)
            if left:
                raise SourceChangedError(f"{path} became shorter while it was sent")
            yield ReadPart(upload.upload_id, file.path, offset, tuple(chunks), whole.hexdigest())


def stored_parts(parts: Sequence[UploadedPart]) -> dict[str, PartsByOffset]:
    """Return size and digest (from the file's start) of stored parts by path and offset."""
    found: dict[str, PartsByOffset] = {}
    for part in parts:
        found.setdefault(part.path, {})[part.offset_bytes] = (part.size_bytes, part.sha256)
    return found
