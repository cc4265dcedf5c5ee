"""What a room that breaks says to the person who reads the run."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.facility import Facility
from tests.support.runs import CREATED, make_run
from tests.support.serving import ROOM, serving

from spikefleet.api.v1 import preflight_pb2_grpc
from spikefleet.client.rooms import CurationRoom, PreflightRoom, ReporterRoom
from spikefleet.controller.room_calls import RoomCalls
from spikefleet.core.attempts import AttemptState, Stage
from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.findings.next_step import next_step_of
from spikefleet.core.rooms.preflight import ExamineTask
from spikefleet.core.runs import Attempt
from spikefleet.core.submissions import Recording, RecordingName
from spikefleet.infra.rpc.errors import ServiceUnreachable, problem_of
from spikefleet.infra.rpc.server import Registration

ATTEMPT = Attempt(
    "run-1/preflight-1",
    "run-1",
    Stage.PREFLIGHT,
    1,
    "run-1-preflight-1",
    AttemptState.RUNNING,
    {},
    CREATED,
)

RECORDING = Recording("rec-1", RecordingName("a", "b", "c"), (), "d" * 64, "/x", in_place=True)


class _Breaking(preflight_pb2_grpc.PreflightServiceServicer):
    async def Check(self, request, context):  # noqa: N802 - the wire's name
        raise RuntimeError("the reader crashed")


def _broken(address: str) -> list[Registration]:
    add = preflight_pb2_grpc.add_PreflightServiceServicer_to_server
    return [Registration("spikefleet.api.v1.PreflightService", _Breaking(), add)]


def test_a_room_that_breaks_names_its_id_once_and_says_where_to_look(tmp_path: Path) -> None:
    facility = Facility(tmp_path)
    facility.recordings.add(RECORDING)
    with serving(_broken) as server:
        preflight = PreflightRoom(server.address, ROOM)
        calls = RoomCalls(
            facility.runs,
            facility.recordings,
            preflight,
            CurationRoom(server.address, ROOM),
            ReporterRoom(server.address, ROOM),
        )
        failure = calls.call(make_run(), ATTEMPT).failure
        preflight.close()
    assert failure is not None
    assert failure.code is FailureCode.UNCLASSIFIED
    assert failure.message.count("log holds") == 1
    assert failure.evidence["error_id"] in failure.message
    assert failure.evidence["reason"] == "INTERNAL"
    assert "service's log" in next_step_of(str(failure.code), failure.rule_id)


@pytest.mark.parametrize("secret", ["another secret than theirs", ""])
def test_a_room_that_does_not_know_our_secret_is_named_and_the_person_told_whom_to_ask(
    caplog: pytest.LogCaptureFixture, secret: str
) -> None:
    with serving(_broken) as server:
        preflight = PreflightRoom(server.address, secret)
        task = ExamineTask(RECORDING, "", SortingConfig())
        with pytest.raises(ServiceUnreachable, match="does not know the secret") as caught:
            preflight.examine(task)
        preflight.close()
    problem = problem_of(caught.value)
    assert problem is not None
    assert problem.reason == "ROOM_SECRET_DIFFERS"
    assert "same room_secret_file" in problem.row.next_step
    (record,) = (r for r in caplog.records if r.message == "room.secret_differs")
    assert record.__dict__["address"] == server.address


def test_a_stored_configuration_that_is_not_valid_any_more_ends_the_stage_by_its_name(
    tmp_path: Path,
) -> None:
    """Nothing is asked of a room then: nobody listens at its address."""
    facility = Facility(tmp_path)
    nowhere = "127.0.0.1:1"
    calls = RoomCalls(
        facility.runs,
        facility.recordings,
        PreflightRoom(nowhere),
        CurationRoom(nowhere),
        ReporterRoom(nowhere),
    )
    config = {"curation": {"isi_violation_method": "guess"}}
    run = make_run(config=config, result={"sort_prefix": "runs/run-1/attempts/sort-1"})
    failure = calls.call(run, replace(ATTEMPT, stage=Stage.CURATE)).failure
    assert failure is not None
    assert failure.code is FailureCode.INVALID_CONFIGURATION
    assert (failure.stage, failure.evidence["field"]) == (
        "curate",
        "curation.isi_violation_method",
    )
