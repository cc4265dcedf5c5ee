"""PreflightService over a real connection, with a real confined process."""

from pathlib import Path

import pytest
from tests.support.confined import make_rooms
from tests.support.recordings import make_recording
from tests.support.rooms import serving

from spikefleet.api.v1 import failure_pb2, preflight_pb2, preflight_pb2_grpc
from spikefleet.core.submissions import Recording, RecordingName
from spikefleet.infra.rpc.convert.recordings import to_recording
from spikefleet.infra.rpc.convert.structs import from_struct, to_struct
from spikefleet.preflight.servicer import registration


def make_message(path: Path):
    recording = Recording(
        "rec-1", RecordingName("lab", "day", "slice"), (), "d", str(path), in_place=True
    )
    return to_recording(recording)


@pytest.fixture
async def stub(tmp_path):
    entry = registration(make_rooms(tmp_path).openings)
    async with serving(entry) as channel:
        yield preflight_pb2_grpc.PreflightServiceStub(channel)


async def test_check_answers_with_stream_estimate_and_measurements(stub, tmp_path):
    path = make_recording(tmp_path / "r", seconds=4.0).path
    answer = await stub.Check(
        preflight_pb2.CheckRequest(
            recording=make_message(path),
            config=to_struct({"sorter": {"sorter_name": "kilosort4"}}),
        )
    )
    assert not answer.HasField("failure")
    assert answer.stream.channel_count == 8
    assert answer.estimate.memory_bytes > 0
    assert from_struct(answer.measurements)["n_channels"] == 8
    assert "duration_short" in [f.code for f in answer.findings]

    listed = await stub.DescribeRecording(
        preflight_pb2.DescribeRecordingRequest(recording=make_message(path))
    )
    assert len(listed.streams) == 1
    assert listed.format


async def test_bad_recording_is_an_answer_with_its_failure(stub, tmp_path):
    path = make_recording(tmp_path / "r", condition="saturated").path
    answer = await stub.Check(preflight_pb2.CheckRequest(recording=make_message(path)))
    assert answer.failure.code == failure_pb2.FAILURE_CODE_SATURATED_SIGNAL
    assert answer.failure.rule_id == "preflight.saturated"
    assert answer.findings[0].level == preflight_pb2.FINDING_LEVEL_FAIL

    missing = await stub.DescribeRecording(
        preflight_pb2.DescribeRecordingRequest(recording=make_message(tmp_path / "gone"))
    )
    assert missing.failure.code == failure_pb2.FAILURE_CODE_INPUT_MISSING
