"""Recordings, their names, files and streams."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from spikefleet.api.v1 import recording_pb2
from spikefleet.core.ids import RecordingId
from spikefleet.core.recording.description import StreamDescription
from spikefleet.core.submissions import ManifestFile, Recording, RecordingName
from spikefleet.infra.rpc.convert.values import to_timestamp


def to_name(name: RecordingName) -> recording_pb2.RecordingName:
    """Return the message of a recording's address."""
    return recording_pb2.RecordingName(project=name.project, session=name.session, name=name.name)


def from_name(message: recording_pb2.RecordingName) -> RecordingName:
    """Read an address. Raises ValueError when a part of it is not valid."""
    return RecordingName(message.project, message.session, message.name)


def to_files(files: Iterable[ManifestFile]) -> list[recording_pb2.RecordingFile]:
    """Return the messages of a manifest's files."""
    return [
        recording_pb2.RecordingFile(path=f.path, size_bytes=f.size_bytes, sha256=f.sha256)
        for f in files
    ]


def from_files(messages: Iterable[recording_pb2.RecordingFile]) -> tuple[ManifestFile, ...]:
    """Read a manifest's files."""
    return tuple(ManifestFile(m.path, m.size_bytes, m.sha256) for m in messages)


def to_recording(
    recording: Recording, accepted_at: datetime | None = None
) -> recording_pb2.Recording:
    """Return the message of a recording, accepted at ``accepted_at``."""
    return recording_pb2.Recording(
        recording_id=recording.recording_id,
        name=to_name(recording.name),
        files=to_files(recording.files),
        digest=recording.digest,
        location=recording.location,
        in_place=recording.in_place,
        entry=recording.entry,
        missing=recording.missing,
        parts=[to_recording(part) for part in recording.parts],
        format=recording.format,
        reader=recording.reader,
        create_time=to_timestamp(accepted_at),
    )


def from_recording(message: recording_pb2.Recording) -> Recording:
    """Read an accepted recording."""
    return Recording(
        recording_id=RecordingId(message.recording_id),
        name=from_name(message.name),
        files=from_files(message.files),
        digest=message.digest,
        location=message.location,
        in_place=message.in_place,
        entry=message.entry,
        missing=message.missing,
        parts=tuple(from_recording(part) for part in message.parts),
        format=message.format,
        reader=message.reader,
    )


def to_stream(stream: StreamDescription) -> recording_pb2.StreamInfo:
    """Return the message of a stream."""
    return recording_pb2.StreamInfo(
        stream=stream.stream,
        channel_count=stream.n_channels,
        sampling_rate_hz=stream.sampling_rate_hz,
        duration_s=stream.duration_s,
        dtype=stream.dtype,
        problem=stream.problem,
    )


def from_stream(message: recording_pb2.StreamInfo) -> StreamDescription:
    """Read a stream."""
    return StreamDescription(
        stream=message.stream,
        n_channels=message.channel_count,
        sampling_rate_hz=message.sampling_rate_hz,
        duration_s=message.duration_s,
        dtype=message.dtype,
        problem=message.problem,
    )
