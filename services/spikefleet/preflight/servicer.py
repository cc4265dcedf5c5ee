"""The door of preflight: messages in, messages out, every opening in a confined process."""

from __future__ import annotations

from typing import Any

from spikefleet.api.v1 import preflight_pb2, preflight_pb2_grpc
from spikefleet.infra.rpc.convert.between_rooms import from_examine
from spikefleet.infra.rpc.convert.preflight import to_description, to_examination
from spikefleet.infra.rpc.convert.recordings import from_recording
from spikefleet.infra.rpc.server import Registration
from spikefleet.preflight.openings import Openings


class PreflightServicer(preflight_pb2_grpc.PreflightServiceServicer):
    """Answers PreflightService. What is wrong with a recording is an answer, never an error."""

    def __init__(self, openings: Openings) -> None:
        self._openings = openings

    async def DescribeRecording(  # noqa: N802
        self, request: preflight_pb2.DescribeRecordingRequest, context: Any
    ) -> preflight_pb2.DescribeRecordingResponse:
        """List a recording's streams."""
        recording = from_recording(request.recording)
        return to_description(
            await self._openings.describe(recording, list_members=request.list_members)
        )

    async def Check(  # noqa: N802
        self, request: preflight_pb2.CheckRequest, context: Any
    ) -> preflight_pb2.CheckResponse:
        """Examine one stream under one configuration."""
        return to_examination(await self._openings.examine(from_examine(request)))


def registration(openings: Openings) -> Registration:
    """Return the room as a service to serve."""
    return Registration(
        preflight_pb2.DESCRIPTOR.services_by_name["PreflightService"].full_name,
        PreflightServicer(openings),
        preflight_pb2_grpc.add_PreflightServiceServicer_to_server,
    )
