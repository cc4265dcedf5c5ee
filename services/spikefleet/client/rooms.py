"""How one room calls another: plain data in, plain data out, no message beyond this file.

Blocking calls with deadlines of their own; an event loop runs them in a thread. They raise
ServiceError or ServiceUnreachable. ``RunReports`` alone never raises: what a running attempt says
of itself is best effort, its outcome is on record elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from spikefleet.api.v1 import (
    controller_pb2,
    controller_pb2_grpc,
    curation_pb2,
    curation_pb2_grpc,
    failure_pb2,
    preflight_pb2,
    preflight_pb2_grpc,
    recording_pb2,
    reporter_pb2,
    reporter_pb2_grpc,
    runner_pb2,
    runner_pb2_grpc,
)
from spikefleet.core.failures.errors import Failure
from spikefleet.core.recordings.description import StreamDescription
from spikefleet.core.runs import Heard, LeaseAnswer, Run
from spikefleet.core.submissions import Recording
from spikefleet.infra.rpc import convert
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
class PreflightFinding:
    """One thing preflight noticed. ``level`` is "warn" or "fail"; ``category`` is a word."""

    level: str
    code: str
    message: str
    remediation: str
    category: str


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

    findings: tuple[PreflightFinding, ...]
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
    """What the reporter needs: the run's record and the prefixes of what it produced, or ""."""

    run_id: str
    record: Mapping[str, Any]
    output_prefix: str
    sort_prefix: str = ""
    curation_prefix: str = ""


@dataclass(frozen=True)
class BatchTask:
    """A batch to make: ``runs`` are (recording id, stream), ``config`` is resolved."""

    runs: Sequence[tuple[str, str]]
    config: Mapping[str, Any]
    idempotency_key: str = ""
    submitter: str = ""
    label: str = ""


@dataclass(frozen=True)
class BatchAnswer:
    """A batch with its runs in submission order, and which of them were there before."""

    batch_id: str
    runs: tuple[Run, ...]
    summary: str
    existing_run_ids: tuple[str, ...] = ()


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


class _Room:
    """A channel to the service at ``host:port``."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._channel = dial(address)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


class PreflightRoom(_Room):
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
        findings=tuple(
            PreflightFinding(
                convert.enum_word(preflight_pb2.FindingLevel, entry.level),
                entry.code,
                entry.message,
                entry.remediation,
                convert.enum_word(failure_pb2.FailureCategory, entry.category),
            )
            for entry in answer.findings
        ),
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


class CurationRoom(_Room):
    """Calls CurationService."""

    def curate(
        self, run_id: str, sort_prefix: str, output_prefix: str, config: Mapping[str, Any]
    ) -> CurateAnswer:
        """Apply a resolved configuration's thresholds to a sort; write to ``output_prefix``."""
        request = curation_pb2.CurateRequest(
            run_id=run_id,
            sort_prefix=sort_prefix,
            output_prefix=output_prefix,
            config=convert.to_struct(config),
        )
        stub = curation_pb2_grpc.CurationServiceStub(self._channel)
        with answering(self.address):
            answer = stub.Curate(request, timeout=1800.0)
        return CurateAnswer(
            answer.unit_count_sorted, answer.unit_count_curated, answer.prefix, _failure(answer)
        )


class ReporterRoom(_Room):
    """Calls ReporterService's Render."""

    def render(self, task: ReportTask) -> RenderAnswer:
        """Write a run's report."""
        request = reporter_pb2.RenderRequest(
            run_id=task.run_id,
            sort_prefix=task.sort_prefix,
            curation_prefix=task.curation_prefix,
            output_prefix=task.output_prefix,
            record=convert.to_struct(task.record),
        )
        stub = reporter_pb2_grpc.ReporterServiceStub(self._channel)
        with answering(self.address):
            answer = stub.Render(request, timeout=900.0)
        return RenderAnswer(answer.prefix, answer.html_key, _failure(answer))


class ControllerRoom(_Room):
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
        )
        stub = controller_pb2_grpc.ControllerServiceStub(self._channel)
        with answering(self.address):
            answer = stub.CreateBatch(request, timeout=60.0)
        return BatchAnswer(
            answer.batch.batch_id,
            tuple(convert.from_run(run) for run in answer.batch.runs),
            answer.batch.summary,
            tuple(answer.existing_run_ids),
        )


class RunReports(_Room):
    """Calls RunReportService for a running attempt. Best effort: nothing here raises."""

    def __init__(
        self, address: str, *, deadline_s: float = 2.0, lease_deadline_s: float = 10.0
    ) -> None:
        super().__init__(address)
        self._deadline_s, self._lease_deadline_s = deadline_s, lease_deadline_s

    def take_lease(self, attempt_id: str, holder: str) -> LeaseAnswer:
        """Ask whether the process ``holder`` may write the attempt's run.

        ``is_known`` is False when nobody answered, or nobody who knows the attempt.
        """
        request = runner_pb2.TakeLeaseRequest(attempt_id=attempt_id, holder=holder)
        stub = runner_pb2_grpc.RunReportServiceStub(self._channel)
        try:
            answer = stub.TakeLease(request, timeout=self._lease_deadline_s)
        except grpc.RpcError:
            return LeaseAnswer(is_known=False)
        return convert.from_lease(answer.lease)

    def progress(self, attempt_id: str, progress: Mapping[str, Any], holder: str) -> Heard:
        """Tell how far the attempt is; learn whether it shall stop and where its lease stands.

        ``progress`` has the keys that ``infra.rpc.convert.to_progress`` names.
        """
        request = runner_pb2.ReportProgressRequest(
            attempt_id=attempt_id, progress=convert.to_progress(progress), holder=holder
        )
        stub = runner_pb2_grpc.RunReportServiceStub(self._channel)
        try:
            answer = stub.ReportProgress(request, timeout=self._deadline_s)
        except grpc.RpcError:
            return Heard(stop_requested=False)
        lease = convert.from_lease(answer.lease) if answer.HasField("lease") else None
        return Heard(bool(answer.stop_requested), lease)

    def outcome(self, attempt_id: str, run_id: str, outcome: Mapping[str, Any]) -> None:
        """Tell that the attempt has ended, so that the controller looks at once."""
        request = runner_pb2.ReportOutcomeRequest(
            attempt_id=attempt_id, run_id=run_id, outcome=convert.to_struct(outcome)
        )
        stub = runner_pb2_grpc.RunReportServiceStub(self._channel)
        try:
            stub.ReportOutcome(request, timeout=self._deadline_s)
        except grpc.RpcError:
            return
