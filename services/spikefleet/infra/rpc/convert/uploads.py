"""Uploads under way: what is stored of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from spikefleet.api.v1 import ingest_pb2
from spikefleet.core.rooms.uploads import SignedPart, UploadedPart, UploadProgress
from spikefleet.infra.rpc.convert.recordings import (
    from_files,
    from_recording,
    to_files,
    to_recording,
)


def to_part(part: UploadedPart) -> ingest_pb2.UploadedPart:
    """Return the message of a stored part."""
    return ingest_pb2.UploadedPart(
        path=part.path,
        offset_bytes=part.offset_bytes,
        size_bytes=part.size_bytes,
        sha256="" if part.from_start else part.sha256,
        file_sha256=part.sha256 if part.from_start else "",
        md5=part.md5,
    )


def from_parts(messages: Iterable[ingest_pb2.UploadedPart]) -> tuple[UploadedPart, ...]:
    """Read stored parts."""
    return tuple(
        UploadedPart(
            part.path,
            part.offset_bytes,
            part.size_bytes,
            part.file_sha256 or part.sha256,
            from_start=bool(part.file_sha256),
            md5=part.md5,
        )
        for part in messages
    )


def from_acknowledged(message: ingest_pb2.UploadPartsResponse) -> tuple[UploadedPart, ...]:
    """Read what one message acknowledges: small parts together, or a large one."""
    return from_parts(message.small_parts or [message.part])


def to_upload(upload: UploadProgress, accepted_at: datetime | None = None) -> ingest_pb2.Upload:
    """Return the message of an upload; its recording was accepted at ``accepted_at``."""
    recording = upload.recording
    return ingest_pb2.Upload(
        upload_id=upload.upload_id,
        part_size_bytes=upload.part_size_bytes,
        parts=[to_part(part) for part in upload.parts],
        files=to_files(upload.files),
        most_small_parts=upload.most_small_parts,
        recording=to_recording(recording, accepted_at) if recording else None,
        direct=upload.direct,
    )


def to_created(
    upload: UploadProgress, accepted_at: datetime | None = None
) -> ingest_pb2.CreateUploadResponse:
    """Return the answer to the opening of an upload."""
    return ingest_pb2.CreateUploadResponse(
        upload=to_upload(upload, accepted_at), signed=map(to_signed, upload.signed)
    )


def from_created(message: ingest_pb2.CreateUploadResponse) -> UploadProgress:
    """Read the answer to the opening of an upload."""
    return replace(from_upload(message.upload), signed=from_signed(message.signed))


def to_sign(upload_id: str, places: Iterable[tuple[str, int]]) -> ingest_pb2.SignPartsRequest:
    """Return the request for addresses of parts, each named by path and first byte."""
    wanted = [ingest_pb2.PartPlace(path=path, offset_bytes=at) for path, at in places]
    return ingest_pb2.SignPartsRequest(upload_id=upload_id, parts=wanted)


def to_signed(part: SignedPart) -> ingest_pb2.SignedPart:
    """Return the message of a signed address."""
    return ingest_pb2.SignedPart(path=part.path, offset_bytes=part.offset_bytes, url=part.url)


def from_signed(messages: Iterable[ingest_pb2.SignedPart]) -> tuple[SignedPart, ...]:
    """Read signed addresses."""
    return tuple(SignedPart(part.path, part.offset_bytes, part.url) for part in messages)


def from_upload(message: ingest_pb2.Upload) -> UploadProgress:
    """Read an upload."""
    return UploadProgress(
        message.upload_id,
        message.part_size_bytes,
        from_parts(message.parts),
        from_files(message.files),
        message.most_small_parts,
        from_recording(message.recording) if message.HasField("recording") else None,
        message.direct,
    )
