"""The door of the curation room: messages in, messages out, the work in a confined process."""

from __future__ import annotations

from typing import Any

from spikefleet.api.v1 import curation_pb2, curation_pb2_grpc
from spikefleet.curation.sorts import SortCuration
from spikefleet.infra.rpc.convert.curation import from_curate, to_curation
from spikefleet.infra.rpc.server import Registration


class CurationServicer(curation_pb2_grpc.CurationServiceServicer):
    """Answers CurationService."""

    def __init__(self, curation: SortCuration) -> None:
        self._curation = curation

    async def Curate(  # noqa: N802
        self, request: curation_pb2.CurateRequest, context: Any
    ) -> curation_pb2.CurateResponse:
        """Curate one sort. A failure is an answer, not an error of the call."""
        return to_curation(await self._curation.curate(from_curate(request)))


def registration(curation: SortCuration) -> Registration:
    """Return the room as a service to serve."""
    return Registration(
        curation_pb2.DESCRIPTOR.services_by_name["CurationService"].full_name,
        CurationServicer(curation),
        curation_pb2_grpc.add_CurationServiceServicer_to_server,
    )
