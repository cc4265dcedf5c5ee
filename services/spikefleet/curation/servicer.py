"""The door of the curation room: messages in, messages out, the work in a confined process."""

from __future__ import annotations

from typing import Any

from spikefleet.api.v1 import curation_pb2, curation_pb2_grpc
from spikefleet.core.attempts import Stage
from spikefleet.curation.sorts import SortCuration
from spikefleet.curation.task import CurationTask
from spikefleet.infra.rpc import convert
from spikefleet.infra.rpc.attempt_refs import from_attempt_ref, own_attempt
from spikefleet.infra.rpc.errors import RpcProblem
from spikefleet.infra.rpc.server import Registration
from spikefleet.infra.stores.bytes.artifacts import place_prefix


class CurationServicer(curation_pb2_grpc.CurationServiceServicer):
    """Answers CurationService."""

    def __init__(self, curation: SortCuration) -> None:
        self._curation = curation

    async def Curate(  # noqa: N802
        self, request: curation_pb2.CurateRequest, context: Any
    ) -> curation_pb2.CurateResponse:
        """Curate one sort. A failure is an answer, not an error of the call."""
        attempt = own_attempt(request, Stage.CURATE)
        sort = from_attempt_ref(request, "sort", Stage.SORT)
        if sort is None:
            raise RpcProblem("INVALID_ARGUMENT", "sort is not named.", field="sort")
        task = CurationTask(
            run_id=request.run_id,
            sort_prefix=place_prefix(sort),
            output_prefix=place_prefix(attempt),
            config=convert.from_struct(request.config),
        )
        answer = await self._curation.curate(task)
        return curation_pb2.CurateResponse(
            unit_count_sorted=answer.unit_count_sorted,
            unit_count_curated=answer.unit_count_curated,
            prefix=answer.prefix,
            failure=convert.to_failure(answer.failure),
        )


def registration(curation: SortCuration) -> Registration:
    """Return the room as a service to serve."""
    return Registration(
        curation_pb2.DESCRIPTOR.services_by_name["CurationService"].full_name,
        CurationServicer(curation),
        curation_pb2_grpc.add_CurationServiceServicer_to_server,
    )
