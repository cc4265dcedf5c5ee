"""Calls that are the service's own: nobody outside may make them, whoever he is."""

from __future__ import annotations

import pytest

from spikefleet.api.v1 import (
    controller_pb2,
    curation_pb2,
    preflight_pb2,
    reporter_pb2,
    runner_pb2,
)
from spikefleet.infra.rpc.access import ATTEMPT_KEY, ROOM_KEY
from spikefleet.infra.rpc.convert.structs import to_struct

_IN_PLACE = {
    "recording_id": "rec-1",
    "name": {"project": "a", "session": "b", "name": "c"},
    "location": "/etc",
    "in_place": True,
}
_RUN_REF = {"run_id": "run-0123456789abcdef", "stage": "STAGE_CURATE", "number": 7}

INNER = {
    "a batch for anybody": (
        "controller.CreateBatch",
        lambda: controller_pb2.CreateBatchRequest(owner="uid:0"),
    ),
    "a look into any folder": (
        "preflight.DescribeRecording",
        lambda: preflight_pb2.DescribeRecordingRequest(recording=_IN_PLACE),
    ),
    "a measurement of any folder": (
        "preflight.Check",
        lambda: preflight_pb2.CheckRequest(recording=_IN_PLACE),
    ),
    "a curation of an uploaded analyzer": (
        "curation.Curate",
        lambda: curation_pb2.CurateRequest(
            run_id="run-0123456789abcdef",
            sort_prefix="recordings/rec-evil/files",
            output_prefix="runs/run-0123456789abcdef/attempts/curate-7",
            attempt=_RUN_REF,
        ),
    ),
    "a report from an uploaded analyzer": (
        "reporter.Render",
        lambda: reporter_pb2.RenderRequest(
            run_id="run-0123456789abcdef",
            sort_prefix="recordings/rec-evil/files",
            output_prefix="runs/run-0123456789abcdef/attempts/report-7",
            record=to_struct({}),
        ),
    ),
}


def _call(attacker, name):  # type: ignore[no-untyped-def]
    room, _, method = name.partition(".")
    return getattr(getattr(attacker, room), method)


@pytest.mark.parametrize("what", INNER)
@pytest.mark.parametrize("who", ["stranger", "operator"])
def test_a_rooms_call_without_the_rooms_secret_is_refused(attacked, request, who, what) -> None:
    attacker = request.getfixturevalue(who)
    name, make = INNER[what]
    assert attacker.refused(_call(attacker, name), make()).reason == "ROOMS_ONLY"


@pytest.mark.parametrize("guess", ["", "0" * 64, "x" * 4000])
def test_a_guessed_secret_opens_no_room(attacked, operator, guess) -> None:
    name, make = INNER["a look into any folder"]
    refusal = operator.refused(_call(operator, name), make(), metadata=((ROOM_KEY, guess),))
    assert refusal.reason == "ROOMS_ONLY"


REPORTS = {
    "a taken lease": (
        "TakeLease",
        lambda attempt_id: runner_pb2.TakeLeaseRequest(attempt_id=attempt_id, holder="me/1/a"),
    ),
    "forged progress": (
        "ReportProgress",
        lambda attempt_id: runner_pb2.ReportProgressRequest(
            attempt_id=attempt_id, holder="me/1/a", progress={"step": "owned", "fraction": 1.0}
        ),
    ),
    "a forged outcome": (
        "ReportOutcome",
        lambda attempt_id: runner_pb2.ReportOutcomeRequest(attempt_id=attempt_id),
    ),
}


@pytest.mark.parametrize("what", REPORTS)
@pytest.mark.parametrize("who", ["stranger", "operator"])
@pytest.mark.parametrize("secret", [None, "0" * 64])
def test_nobody_but_the_attempt_speaks_for_it(attacked, request, who, what, secret) -> None:
    attacker = request.getfixturevalue(who)
    attempt_id = attacked.victim.attempts[0].attempt_id
    name, make = REPORTS[what]
    metadata = ((ATTEMPT_KEY, secret),) if secret else ()
    refusal = attacker.refused(getattr(attacker.reports, name), make(attempt_id), metadata=metadata)
    assert refusal.reason == "NOT_THE_ATTEMPT"


def test_an_attempt_that_nobody_knows_is_told_from_no_other(attacked, operator) -> None:
    request = runner_pb2.TakeLeaseRequest(attempt_id="attempt-of-nobody", holder="me/1/a")
    assert operator.refused(operator.reports.TakeLease, request).reason == "NOT_THE_ATTEMPT"


def test_a_method_that_the_table_does_not_list_does_not_exist(attacked, operator) -> None:
    call = operator.channel.unary_unary("/spikefleet.api.v1.ControllerService/DropEverything")
    refusal = operator.refused(call, b"")
    assert refusal.reason == "UNIMPLEMENTED"
