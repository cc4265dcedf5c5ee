"""Uploads under way: what is stored of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from spikefleet.api.v1 import ingest_pb2
from spikefleet.core.rooms.uploads import UploadedPart, UploadProgress
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
    )


def from_upload(message: ingest_pb2.Upload) -> UploadProgress:
    """Read an upload."""
    return UploadProgress(
        message.upload_id,
        message.part_size_bytes,
        from_parts(message.parts),
        from_files(message.files),
        message.most_small_parts,
        from_recording(message.recording) if message.HasField("recording") else None,
    )
