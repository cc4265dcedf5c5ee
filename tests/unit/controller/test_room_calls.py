"""What a room that breaks says to the person who reads the run."""

from pathlib import Path

from tests.support.facility import Facility
from tests.support.runs import CREATED, make_run
from tests.support.serving import ROOM, serving

from spikefleet.api.v1 import preflight_pb2_grpc
from spikefleet.client.rooms import CurationRoom, PreflightRoom, ReporterRoom
from spikefleet.controller.room_calls import RoomCalls
from spikefleet.core.attempts import AttemptState, Stage
from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.findings.next_step import next_step_of
from spikefleet.core.runs import Attempt
from spikefleet.core.submissions import Recording, RecordingName
from spikefleet.infra.rpc.server import Registration


class _Breaking(preflight_pb2_grpc.PreflightServiceServicer):
    async def Check(self, request, context):  # noqa: N802 - the wire's name
        raise RuntimeError("the reader crashed")


def _broken(address: str) -> list[Registration]:
    add = preflight_pb2_grpc.add_PreflightServiceServicer_to_server
    return [Registration("spikefleet.api.v1.PreflightService", _Breaking(), add)]


def test_a_room_that_breaks_names_its_id_once_and_says_where_to_look(tmp_path: Path) -> None:
    facility = Facility(tmp_path)
    facility.recordings.add(
        Recording("rec-1", RecordingName("a", "b", "c"), (), "d" * 64, "/x", in_place=True)
    )
    with serving(_broken) as server:
        preflight = PreflightRoom(server.address, ROOM)
        calls = RoomCalls(
            facility.runs,
            facility.recordings,
            preflight,
            CurationRoom(server.address, ROOM),
            ReporterRoom(server.address, ROOM),
        )
        attempt = Attempt(
            "run-1/preflight-1",
            "run-1",
            Stage.PREFLIGHT,
            1,
            "run-1-preflight-1",
            AttemptState.RUNNING,
            {},
            CREATED,
        )
        failure = calls.call(make_run(), attempt).failure
        preflight.close()
    assert failure is not None
    assert failure.code is FailureCode.UNCLASSIFIED
    assert failure.message.count("log holds") == 1
    assert failure.evidence["error_id"] in failure.message
    assert failure.evidence["reason"] == "INTERNAL"
    assert "service's log" in next_step_of(str(failure.code), failure.rule_id)
