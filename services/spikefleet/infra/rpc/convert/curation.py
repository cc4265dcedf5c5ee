"""What the curation room is asked and answers."""

from __future__ import annotations

from spikefleet.api.v1 import curation_pb2
from spikefleet.core.attempts import Stage
from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.rooms.curation import CurationAnswer, CurationTask
from spikefleet.infra.rpc.convert.attempt_refs import (
    from_attempt_ref,
    own_attempt,
    to_attempt_ref,
)
from spikefleet.infra.rpc.convert.structs import (
    from_json_bytes,
    from_struct,
    to_json_bytes,
    to_struct,
)
from spikefleet.infra.rpc.convert.values import read_failure, to_failure
from spikefleet.infra.rpc.errors import RpcProblem


def to_curate(task: CurationTask) -> curation_pb2.CurateRequest:
    """Return the request to curate a sort."""
    return curation_pb2.CurateRequest(
        run_id=task.attempt.run_id,
        sort=to_attempt_ref(task.sort),
        attempt=to_attempt_ref(task.attempt),
        config=to_struct(
            {
                "curation": task.curation.model_dump(mode="json"),
                "waveform": task.waveform.model_dump(mode="json"),
            }
        ),
        by_hand=to_json_bytes(task.by_hand),
    )


def from_curate(request: curation_pb2.CurateRequest) -> CurationTask:
    """Read the request to curate a sort; other groups of an earlier controller are passed over.

    Raises RpcProblem INVALID_ARGUMENT, InvalidConfigurationError.
    """
    attempt = own_attempt(request, Stage.CURATE)
    sort = from_attempt_ref(request, "sort", Stage.SORT)
    if sort is None:
        raise RpcProblem("INVALID_ARGUMENT", "sort is not named.", field="sort")
    asked = from_struct(request.config)
    groups = {name: asked.get(name) or {} for name in ("curation", "waveform")}
    config = SortingConfig.from_document(groups)
    by_hand = from_json_bytes(request.by_hand, "by_hand")
    return CurationTask(sort, attempt, config.curation, config.waveform, by_hand)


def to_curation(answer: CurationAnswer) -> curation_pb2.CurateResponse:
    """Return the message of a curation."""
    return curation_pb2.CurateResponse(
        unit_count_sorted=answer.unit_count_sorted,
        unit_count_curated=answer.unit_count_curated,
        prefix=answer.prefix,
        failure=to_failure(answer.failure),
    )


def from_curation(message: curation_pb2.CurateResponse) -> CurationAnswer:
    """Read a curation."""
    return CurationAnswer(
        message.unit_count_sorted,
        message.unit_count_curated,
        message.prefix,
        read_failure(message),
    )
