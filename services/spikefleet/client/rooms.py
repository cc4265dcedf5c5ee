"""How one room calls another: plain data in, plain data out, no message beyond this file.

Blocking calls with deadlines of their own; an event loop runs them in a thread. They raise
ServiceError or ServiceUnreachable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spikefleet.api.v1 import (
    controller_pb2,
    controller_pb2_grpc,
    curation_pb2,
    curation_pb2_grpc,
    preflight_pb2,
    preflight_pb2_grpc,
    recording_pb2,
    reporter_pb2,
    reporter_pb2_grpc,
)
from spikefleet.core.failures.errors import Failure
from spikefleet.core.findings.finding import Finding
from spikefleet.core.recording.description import StreamDescription
from spikefleet.core.runs import AttemptPlace, Run
from spikefleet.core.submissions import Recording
from spikefleet.infra.rpc import convert
from spikefleet.infra.rpc.access import ROOM_KEY
from spikefleet.infra.rpc.attempt_refs import to_attempt_ref
from spikefleet.infra.rpc.channels import dial
from spikefleet.infra.rpc.errors import answering


@dataclass(frozen=True)
class DescribeAnswer:
    """What a recording is. ``failure`` is set when it cannot be opened; no streams then.

    ``other_streams`` are sorted only when they are named. ``members`` are (entry, paths) of each
    recording in a folder of several, in order, when they were asked for.
    """

    format: str
    streams: tuple[StreamDescription, ...]
    failure: Failure | None = None
    other_streams: tuple[str, ...] = ()
    members: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True)
class NeededByStage:
    """What one stage of a run is expected to need."""

    stage: str
    memory_bytes: int
    scratch_bytes: int
    gpu_memory_bytes: int
    duration_s: float


@dataclass(frozen=True)
class NeededResources:
    """What a sort is expected to need; ``stages`` has every stage of the run."""

    memory_bytes: int
    scratch_bytes: int
    gpu_memory_bytes: int
    duration_s: float
    stages: tuple[NeededByStage, ...] = ()


@dataclass(frozen=True)
class CheckAnswer:
    """Preflight's verdict on one stream. ``failure`` is set when it is not to be sorted."""

    findings: tuple[Finding, ...]
    stream: StreamDescription | None
    estimate: NeededResources | None
    failure: Failure | None = None
    measurements: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CurateAnswer:
    """Units before and after, and where the curation lies."""

    unit_count_sorted: int
    unit_count_curated: int
    prefix: str
    failure: Failure | None = None


@dataclass(frozen=True)
class RenderAnswer:
    """Where a report lies. ``failure`` never fails a run."""

    prefix: str
    html_key: str
    failure: Failure | None = None


@dataclass(frozen=True)
class ReportTask:
    """What the reporter needs: the run's record and which attempts made what it reports."""

    record: Mapping[str, Any]
    attempt: AttemptPlace
    sort: AttemptPlace | None = None
    curation: AttemptPlace | None = None


@dataclass(frozen=True)
class BatchTask:
    """A batch to make: ``runs`` are (recording id, stream), ``config`` is resolved.

    ``owner`` is whose runs they become.
    """

    runs: Sequence[tuple[str, str]]
    config: Mapping[str, Any]
    idempotency_key: str = ""
    submitter: str = ""
    label: str = ""
    owner: str = ""


@dataclass(frozen=True)
class BatchAnswer:
    """A batch with its runs in submission order, and which of them were there before."""

    batch_id: str
    runs: tuple[Run, ...]
    summary: str
    existing_run_ids: tuple[str, ...] = ()
    restarted_run_ids: tuple[str, ...] = ()


def to_stream_info(stream: StreamDescription) -> recording_pb2.StreamInfo:
    """Return the message of a stream."""
    return recording_pb2.StreamInfo(
        stream=stream.stream,
        channel_count=stream.n_channels,
        sampling_rate_hz=stream.sampling_rate_hz,
        duration_s=stream.duration_s,
        dtype=stream.dtype,
        problem=stream.problem,
    )


def from_stream_info(message: recording_pb2.StreamInfo) -> StreamDescription:
    """Read a stream."""
    return StreamDescription(
        stream=message.stream,
        n_channels=message.channel_count,
        sampling_rate_hz=message.sampling_rate_hz,
        duration_s=message.duration_s,
        dtype=message.dtype,
        problem=message.problem,
    )


def _failure(message: Any) -> Failure | None:
    return convert.from_failure(message.failure) if message.HasField("failure") else None


class Room:
    """A channel to the service at ``host:port``; ``secret`` makes the caller one of its rooms."""

    _key = ROOM_KEY

    def __init__(self, address: str, secret: str = "") -> None:
        self.address = address
        self._channel = dial(address, credentials=((self._key, secret),) if secret else ())

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


class PreflightRoom(Room):
    """Calls PreflightService."""

    def describe(
        self, recording: Recording, *, list_members: bool = False, deadline_s: float = 600.0
    ) -> DescribeAnswer:
        """Open a recording and list its streams, or on request the recordings it holds."""
        request = preflight_pb2.DescribeRecordingRequest(
            recording=convert.to_recording(recording), list_members=list_members
        )
        stub = preflight_pb2_grpc.PreflightServiceStub(self._channel)
        with answering(self.address):
            answer = stub.DescribeRecording(request, timeout=deadline_s)
        streams = tuple(from_stream_info(stream) for stream in answer.streams)
        members = tuple((member.entry, tuple(member.paths)) for member in answer.members)
        others = tuple(answer.other_streams)
        return DescribeAnswer(answer.format, streams, _failure(answer), others, members)

    def check(
        self,
        recording: Recording,
        stream: str,
        config: Mapping[str, Any],
        *,
        deadline_s: float = 900.0,
    ) -> CheckAnswer:
        """Measure one stream under a resolved configuration."""
        request = preflight_pb2.CheckRequest(
            recording=convert.to_recording(recording),
            stream=stream,
            config=convert.to_struct(config),
        )
        stub = preflight_pb2_grpc.PreflightServiceStub(self._channel)
        with answering(self.address):
            answer = stub.Check(request, timeout=deadline_s)
        return _check_answer(answer)


def _check_answer(answer: preflight_pb2.CheckResponse) -> CheckAnswer:
    estimate = answer.estimate
    return CheckAnswer(
        findings=tuple(convert.from_finding(entry) for entry in answer.findings),
        stream=from_stream_info(answer.stream) if answer.HasField("stream") else None,
        estimate=NeededResources(
            estimate.memory_bytes,
            estimate.scratch_bytes,
            estimate.gpu_memory_bytes,
            estimate.duration_s,
            tuple(
                NeededByStage(
                    entry.stage,
                    entry.memory_bytes,
                    entry.scratch_bytes,
                    entry.gpu_memory_bytes,
                    entry.duration_s,
                )
                for entry in estimate.stages
            ),
        )
        if answer.HasField("estimate")
        else None,
        failure=_failure(answer),
        measurements=convert.from_struct(answer.measurements),
    )


class CurationRoom(Room):
    """Calls CurationService."""

    def curate(
        self, sort: AttemptPlace | None, attempt: AttemptPlace, config: Mapping[str, Any]
    ) -> CurateAnswer:
        """Apply a resolved configuration's thresholds to a sort; ``attempt`` is the one at work."""
        request = curation_pb2.CurateRequest(
            run_id=attempt.run_id,
            sort=to_attempt_ref(sort),
            attempt=to_attempt_ref(attempt),
            config=convert.to_struct(config),
        )
        stub = curation_pb2_grpc.CurationServiceStub(self._channel)
        with answering(self.address):
            answer = stub.Curate(request, timeout=1800.0)
        return CurateAnswer(
            answer.unit_count_sorted, answer.unit_count_curated, answer.prefix, _failure(answer)
        )


class ReporterRoom(Room):
    """Calls ReporterService's Render."""

    def render(self, task: ReportTask) -> RenderAnswer:
        """Write a run's report."""
        request = reporter_pb2.RenderRequest(
            run_id=task.attempt.run_id,
            sort=to_attempt_ref(task.sort),
            curation=to_attempt_ref(task.curation),
            attempt=to_attempt_ref(task.attempt),
            record=convert.to_struct(task.record),
        )
        stub = reporter_pb2_grpc.ReporterServiceStub(self._channel)
        with answering(self.address):
            answer = stub.Render(request, timeout=900.0)
        return RenderAnswer(answer.prefix, answer.html_key, _failure(answer))


class ControllerRoom(Room):
    """Calls ControllerService's CreateBatch; the controller computes every run's identity."""

    def create_batch(self, task: BatchTask) -> BatchAnswer:
        """Make runs; those that exist are returned, not made again."""
        request = controller_pb2.CreateBatchRequest(
            runs=[
                controller_pb2.RunRequest(recording_id=recording_id, stream=stream)
                for recording_id, stream in task.runs
            ],
            config=convert.to_struct(task.config),
            idempotency_key=task.idempotency_key,
            submitter=task.submitter,
            label=task.label,
            owner=task.owner,
        )
        stub = controller_pb2_grpc.ControllerServiceStub(self._channel)
        with answering(self.address):
            answer = stub.CreateBatch(request, timeout=60.0)
        return BatchAnswer(
            answer.batch.batch_id,
            tuple(convert.from_run(run) for run in answer.batch.runs),
            answer.batch.summary,
            tuple(answer.existing_run_ids),
            tuple(answer.restarted_run_ids),
        )
