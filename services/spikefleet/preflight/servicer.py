"""The door of preflight: messages in, messages out, every opening in a confined process."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from spikefleet.api.v1 import preflight_pb2, preflight_pb2_grpc, recording_pb2
from spikefleet.core.recording.description import StreamDescription
from spikefleet.infra.rpc import convert
from spikefleet.infra.rpc.server import Registration
from spikefleet.preflight.estimate import ResourceEstimate
from spikefleet.preflight.openings import Openings
from spikefleet.preflight.task import ExamineTask


class PreflightServicer(preflight_pb2_grpc.PreflightServiceServicer):
    """Answers PreflightService. What is wrong with a recording is an answer, never an error."""

    def __init__(self, openings: Openings) -> None:
        self._openings = openings

    async def DescribeRecording(  # noqa: N802
        self, request: preflight_pb2.DescribeRecordingRequest, context: Any
    ) -> preflight_pb2.DescribeRecordingResponse:
        """List a recording's streams."""
        recording = convert.from_recording(request.recording)
        answer = await self._openings.describe(recording, list_members=request.list_members)
        if answer.description is None:
            return preflight_pb2.DescribeRecordingResponse(
                failure=convert.to_failure(answer.failure),
                members=[
                    preflight_pb2.RecordingMember(entry=member.entry, paths=member.paths)
                    for member in answer.members
                ],
            )
        return preflight_pb2.DescribeRecordingResponse(
            format=answer.description.format,
            streams=[_to_stream(stream) for stream in answer.description.streams],
            other_streams=answer.description.other_streams,
        )

    async def Check(  # noqa: N802
        self, request: preflight_pb2.CheckRequest, context: Any
    ) -> preflight_pb2.CheckResponse:
        """Examine one stream under one configuration."""
        task = ExamineTask(
            recording=convert.from_recording(request.recording),
            stream=request.stream,
            config=convert.from_struct(request.config),
        )
        answer = await self._openings.examine(task)
        return preflight_pb2.CheckResponse(
            findings=[convert.to_finding(finding) for finding in answer.findings],
            stream=_to_stream(answer.stream) if answer.stream else None,
            estimate=_to_estimate(answer.estimate) if answer.estimate else None,
            failure=convert.to_failure(answer.failure),
            measurements=convert.to_struct(answer.measurements),
        )


def _to_stream(stream: StreamDescription) -> recording_pb2.StreamInfo:
    return recording_pb2.StreamInfo(
        stream=stream.stream,
        channel_count=stream.n_channels,
        sampling_rate_hz=stream.sampling_rate_hz,
        duration_s=stream.duration_s,
        dtype=stream.dtype,
        problem=stream.problem,
    )


def _to_estimate(estimate: ResourceEstimate) -> preflight_pb2.ResourceEstimate:
    values = asdict(estimate)
    stages = [preflight_pb2.StageEstimate(**stage) for stage in values.pop("stages")]
    return preflight_pb2.ResourceEstimate(**values, stages=stages)


def registration(openings: Openings) -> Registration:
    """Return the room as a service to serve."""
    return Registration(
        preflight_pb2.DESCRIPTOR.services_by_name["PreflightService"].full_name,
        PreflightServicer(openings),
        preflight_pb2_grpc.add_PreflightServiceServicer_to_server,
    )
