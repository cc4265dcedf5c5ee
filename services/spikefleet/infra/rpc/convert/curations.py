"""Curations of runs: what is asked of the controller, and what it tells of them."""

from __future__ import annotations

from spikefleet.api.v1 import controller_pb2
from spikefleet.core.ids import RunId
from spikefleet.core.rooms.curation import CurationWish, RunCuration
from spikefleet.infra.rpc.convert.structs import (
    from_json_bytes,
    from_struct,
    to_json_bytes,
    to_struct,
)
from spikefleet.infra.rpc.convert.values import from_timestamp, to_timestamp


def to_curate_run(wish: CurationWish) -> controller_pb2.CurateRunRequest:
    """Return the request to curate a run again; whose wish it is, the connection says."""
    return controller_pb2.CurateRunRequest(
        run_id=wish.run_id,
        overrides=to_struct(wish.overrides),
        name=wish.name,
        curator=wish.curator,
        by_hand=to_json_bytes(wish.by_hand),
    )


def from_curate_run(request: controller_pb2.CurateRunRequest, owner: str) -> CurationWish:
    """Read ``owner``'s request to curate a run again. Raises RpcProblem."""
    return CurationWish(
        RunId(request.run_id),
        from_struct(request.overrides),
        request.name,
        request.curator,
        owner,
        from_json_bytes(request.by_hand, "by_hand"),
    )


def to_run_curation(curation: RunCuration) -> controller_pb2.Curation:
    """Return the message of a curation."""
    return controller_pb2.Curation(
        curation_id=curation.curation_id,
        run_id=curation.run_id,
        name=curation.name,
        kind=curation.kind,
        settings=to_struct(curation.settings),
        curator=curation.curator,
        owner=curation.owner,
        create_time=to_timestamp(curation.created_at),
        sort_prefix=curation.sort_prefix,
        unit_count_sorted=curation.n_sorted,
        unit_count_curated=curation.n_curated,
        prefix=curation.prefix,
        report_html=curation.report_html,
        is_chosen=curation.is_chosen,
        is_outdated=curation.is_outdated,
    )


def from_run_curation(message: controller_pb2.Curation) -> RunCuration:
    """Read a curation."""
    return RunCuration(
        run_id=RunId(message.run_id),
        curation_id=message.curation_id,
        name=message.name,
        kind=message.kind,
        settings=from_struct(message.settings),
        curator=message.curator,
        owner=message.owner,
        created_at=from_timestamp(message.create_time),
        sort_prefix=message.sort_prefix,
        n_sorted=message.unit_count_sorted,
        n_curated=message.unit_count_curated,
        prefix=message.prefix,
        report_html=message.report_html,
        is_chosen=message.is_chosen,
        is_outdated=message.is_outdated,
    )
