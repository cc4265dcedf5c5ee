"""What preflight is asked and answers."""

from __future__ import annotations

from dataclasses import asdict

from spikefleet.api.v1 import failure_pb2, ingest_pb2, preflight_pb2
from spikefleet.core.failures.codes import FailureCategory
from spikefleet.core.findings.finding import Finding, FindingLevel
from spikefleet.core.recording.description import RecordingDescription
from spikefleet.core.rooms.preflight import (
    Description,
    Examination,
    Member,
    PlannedRun,
    ResourceEstimate,
    StageEstimate,
    SubmissionPlan,
)
from spikefleet.core.submissions import Recording
from spikefleet.infra.rpc.convert.recordings import (
    from_stream,
    to_recording,
    to_stream,
)
from spikefleet.infra.rpc.convert.structs import from_struct, to_struct
from spikefleet.infra.rpc.convert.values import enum_word, read_failure, to_failure


def to_describe(
    recording: Recording, *, list_members: bool
) -> preflight_pb2.DescribeRecordingRequest:
    """Return the request to describe a recording."""
    return preflight_pb2.DescribeRecordingRequest(
        recording=to_recording(recording), list_members=list_members
    )


def to_description(answer: Description) -> preflight_pb2.DescribeRecordingResponse:
    """Return the message of a description."""
    told = answer.description
    return preflight_pb2.DescribeRecordingResponse(
        format=told.format if told else "",
        streams=[to_stream(stream) for stream in told.streams] if told else (),
        other_streams=told.other_streams if told else (),
        failure=to_failure(answer.failure),
        members=[
            preflight_pb2.RecordingMember(entry=member.entry, paths=member.paths)
            for member in answer.members
        ],
    )


def from_description(message: preflight_pb2.DescribeRecordingResponse) -> Description:
    """Read a description."""
    told = RecordingDescription(
        message.format,
        tuple(from_stream(stream) for stream in message.streams),
        tuple(message.other_streams),
    )
    return Description(
        # Recordings of several formats that are joined have none in common.
        told if message.format or message.streams else None,
        read_failure(message),
        tuple(Member(member.entry, tuple(member.paths)) for member in message.members),
    )


def to_examination(answer: Examination) -> preflight_pb2.CheckResponse:
    """Return the message of an examination."""
    return preflight_pb2.CheckResponse(
        findings=[to_finding(finding) for finding in answer.findings],
        stream=to_stream(answer.stream) if answer.stream else None,
        estimate=_to_estimate(answer.estimate) if answer.estimate else None,
        failure=to_failure(answer.failure),
        measurements=to_struct(answer.measurements),
    )


def from_examination(message: preflight_pb2.CheckResponse) -> Examination:
    """Read an examination."""
    return Examination(
        findings=tuple(from_finding(entry) for entry in message.findings),
        stream=from_stream(message.stream) if message.HasField("stream") else None,
        estimate=_from_estimate(message.estimate) if message.HasField("estimate") else None,
        failure=read_failure(message),
        measurements=from_struct(message.measurements),
    )


def _to_estimate(estimate: ResourceEstimate) -> preflight_pb2.ResourceEstimate:
    values = asdict(estimate)
    stages = [preflight_pb2.StageEstimate(**stage) for stage in values.pop("stages")]
    return preflight_pb2.ResourceEstimate(**values, stages=stages)


def _from_estimate(message: preflight_pb2.ResourceEstimate) -> ResourceEstimate:
    stages = tuple(
        StageEstimate(
            entry.stage,
            entry.memory_bytes,
            entry.scratch_bytes,
            entry.gpu_memory_bytes,
            entry.duration_s,
        )
        for entry in message.stages
    )
    return ResourceEstimate(
        message.memory_bytes,
        message.scratch_bytes,
        message.gpu_memory_bytes,
        message.duration_s,
        stages,
    )


def to_finding(finding: Finding) -> preflight_pb2.Finding:
    """Return the message of a finding."""
    return preflight_pb2.Finding(
        level=preflight_pb2.FindingLevel.Value(f"FINDING_LEVEL_{finding.level.name}"),
        code=finding.code,
        message=finding.message,
        remediation=finding.remediation,
        category=failure_pb2.FailureCategory.Value(f"FAILURE_CATEGORY_{finding.category.name}"),
        evidence=to_struct(finding.evidence),
    )


def from_finding(message: preflight_pb2.Finding) -> Finding:
    """Read a finding. Raises ValueError on a level or category this version does not know."""
    return Finding(
        message.code,
        FindingLevel(enum_word(preflight_pb2.FindingLevel, message.level)),
        message.message,
        message.remediation,
        FailureCategory(enum_word(failure_pb2.FailureCategory, message.category)),
        from_struct(message.evidence),
    )


def to_plan(plan: SubmissionPlan) -> ingest_pb2.PlanSubmissionResponse:
    """Return what a submission would start."""
    return ingest_pb2.PlanSubmissionResponse(
        config=to_struct(plan.config),
        runs=[
            ingest_pb2.PlannedRun(
                recording_name=run.recording_name,
                stream=run.stream,
                check=to_examination(run.examination),
            )
            for run in plan.runs
        ],
    )


def from_plan(message: ingest_pb2.PlanSubmissionResponse) -> SubmissionPlan:
    """Read what a submission would start."""
    runs = tuple(
        PlannedRun(run.recording_name, run.stream, from_examination(run.check))
        for run in message.runs
    )
    return SubmissionPlan(from_struct(message.config), runs)
