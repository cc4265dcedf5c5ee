"""Which attempt a room is asked to work for: by run, stage and number, never by a path.

A caller cannot name a place to read from or write to; the room derives it from what is read here.
"""

from __future__ import annotations

import re
from typing import Any

from spikefleet.api.v1 import run_pb2
from spikefleet.core.attempts import Stage
from spikefleet.core.ids import RunId
from spikefleet.core.runs import AttemptPlace
from spikefleet.infra.rpc.convert.runs import from_stage, to_stage
from spikefleet.infra.rpc.errors import RpcProblem

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_CURATION_ID = re.compile(r"(cur-[0-9a-f]{16})?")


def to_attempt_ref(place: AttemptPlace | None) -> run_pb2.AttemptRef | None:
    """Return the message that names an attempt; None for none."""
    if place is None:
        return None
    stage = to_stage(place.stage)
    return run_pb2.AttemptRef(
        run_id=place.run_id, stage=stage, number=place.number, curation_id=place.curation
    )


def from_attempt_ref(message: Any, field: str, stage: Stage) -> AttemptPlace | None:
    """Read ``message.<field>``, an attempt of ``stage``; None when it is absent.

    Raises RpcProblem INVALID_ARGUMENT for a name, stage or number that no attempt has.
    """
    if not message.HasField(field):
        return None
    found: run_pb2.AttemptRef = getattr(message, field)
    is_stage = from_stage(found.stage) is stage
    is_named = _RUN_ID.fullmatch(found.run_id) and _CURATION_ID.fullmatch(found.curation_id)
    if not (is_named and is_stage and found.number > 0):
        raise RpcProblem("INVALID_ARGUMENT", f"{field} names no {stage} attempt.", field=field)
    return AttemptPlace(RunId(found.run_id), stage, found.number, found.curation_id)


def own_attempt(message: Any, stage: Stage) -> AttemptPlace:
    """Read ``message.attempt``, which is of the run that ``message.run_id`` names.

    Raises RpcProblem INVALID_ARGUMENT when it is absent or of another run.
    """
    place = from_attempt_ref(message, "attempt", stage)
    if place is None or place.run_id != message.run_id:
        raise RpcProblem(
            "INVALID_ARGUMENT", f"attempt is not one of run {message.run_id!r}.", field="attempt"
        )
    return place
