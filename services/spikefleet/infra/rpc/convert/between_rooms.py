"""What rooms ask of each other under a whole configuration, which no rig's client imports."""

from __future__ import annotations

from spikefleet.api.v1 import controller_pb2, preflight_pb2
from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.ids import RecordingId
from spikefleet.core.rooms.preflight import ExamineTask
from spikefleet.core.rooms.wishes import BatchWish
from spikefleet.infra.rpc.convert.recordings import from_recording, to_recording
from spikefleet.infra.rpc.convert.structs import from_struct, to_struct


def to_batch_wish(wish: BatchWish) -> controller_pb2.CreateBatchRequest:
    """Return the request to make runs."""
    return controller_pb2.CreateBatchRequest(
        runs=[
            controller_pb2.RunRequest(recording_id=recording_id, stream=stream)
            for recording_id, stream in wish.streams
        ],
        config=to_struct(wish.config.to_document()),
        idempotency_key=wish.idempotency_key,
        submitter=wish.submitter,
        label=wish.label,
        owner=wish.owner,
    )


def from_batch_wish(request: controller_pb2.CreateBatchRequest) -> BatchWish:
    """Read the request to make runs. Raises InvalidConfigurationError."""
    return BatchWish(
        streams=tuple((RecordingId(entry.recording_id), entry.stream) for entry in request.runs),
        config=SortingConfig.from_document(from_struct(request.config)),
        idempotency_key=request.idempotency_key,
        submitter=request.submitter,
        label=request.label,
        owner=request.owner,
    )


def to_examine(task: ExamineTask) -> preflight_pb2.CheckRequest:
    """Return the request to examine a stream."""
    return preflight_pb2.CheckRequest(
        recording=to_recording(task.recording),
        stream=task.stream,
        config=to_struct(task.config.to_document()),
    )


def from_examine(request: preflight_pb2.CheckRequest) -> ExamineTask:
    """Read the request to examine a stream. Raises InvalidConfigurationError."""
    config = SortingConfig.from_document(from_struct(request.config))
    return ExamineTask(from_recording(request.recording), request.stream, config)
