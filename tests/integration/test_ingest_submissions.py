"""Recordings are registered in place and submitted over a real server; each stream gets a run."""

import os
import threading
import time
from dataclasses import replace

import pytest
from tests.support.intake import NAME, client, digest_of, facility, refusal, server, source, stub
from tests.support.serving import write_bytes_file

from spikefleet.api.v1 import ingest_pb2
from spikefleet.client.sorting import SortingClient
from spikefleet.controller.sort_spec import input_files
from spikefleet.core.files import file_stamp
from spikefleet.core.submissions import join_recordings
from spikefleet.infra.rpc.convert.recordings import to_name
from spikefleet.infra.rpc.errors import ServiceError

__all__ = ["client", "facility", "server", "source", "stub"]  # fixtures


def test_on_this_machine_bytes_stay_where_they_are(facility, client, source) -> None:
    recording = client.add_recording(source)
    assert recording.in_place
    assert recording.location == str(source)
    assert {file.path: file.sha256 for file in recording.files}["traces.bin"] == digest_of(
        source / "traces.bin"
    )
    assert client.add_recording(source) == recording
    (source / "empty.dat").write_bytes(b"now with bytes")
    assert client.add_recording(source).digest != recording.digest


def test_bytes_in_place_carry_how_they_looked_until_they_are_sorted(
    facility, client, source
) -> None:
    def stamps() -> dict[str, str]:
        known = facility.recordings.get(client.add_recording(source).recording_id)
        joined = join_recordings([known, replace(known, recording_id="rec-other")])
        files = {file.path: file.stamp for file in input_files(known)}
        assert [file.stamp for file in input_files(joined)] == [*files.values()] * 2
        return files

    before = stamps()
    assert before == {name: file_stamp((source / name).stat()) for name in before}
    os.utime(source / "traces.bin", ns=(1, 1))
    after = stamps()  # the same recording, and its newest stamp
    assert after["traces.bin"] != before["traces.bin"]


def test_a_path_the_service_sees_differently_is_uploaded(server, client, source, stub) -> None:
    request = ingest_pb2.RegisterRecordingRequest(
        name=to_name(NAME),
        path=str(source),
        must_exist=True,
        expected_files=[{"path": "traces.bin", "size_bytes": 1}],
    )
    assert refusal(server, stub.RegisterRecording, request).reason == "PATH_NOT_VISIBLE"


def test_a_missing_recording_is_accepted_as_missing_and_gets_a_run(client, tmp_path) -> None:
    missing = client.add_recording(tmp_path / "nowhere.raw.h5")
    batch = client.sort([missing.recording_id])
    assert [run.run.stream for run in batch.runs] == [""]
    assert batch.runs[0].run.recording_name.endswith("nowhere.raw.h5")


def test_every_stream_becomes_a_run_and_the_same_submission_the_same_runs(client, source) -> None:
    batch = client.submit(source, "kilosort4", snr_min=4.0)
    assert [run.run.stream for run in batch.runs] == ["well000", "well001"]
    again = client.submit(source, "kilosort4", snr_min=4)
    assert again.run_ids == batch.run_ids
    assert set(again.existing_run_ids) == set(batch.run_ids)
    other = client.submit(source, "kilosort4", snr_min=6.0)
    assert not set(other.run_ids) & set(batch.run_ids)
    assert {run.run.sort_digest for run in other.runs} == {
        run.run.sort_digest for run in batch.runs
    }
    assert client.get(batch.run_ids[0]).run.config["curation"]["snr_min"] == 4
    assert {run.run_id for run in client.list(states=["queued"]).runs} >= set(batch.run_ids)


def test_one_named_stream_is_one_run_and_an_unlisted_take_can_be_named(client, source) -> None:
    assert [r.run.stream for r in client.submit(source, streams=["well001"]).runs] == ["well001"]
    take = client.submit(source, streams=["well000/rec0001"])
    assert [run.run.stream for run in take.runs] == ["well000/rec0001"]


def test_an_unknown_stream_or_parameter_starts_nothing(facility, client, source) -> None:
    with pytest.raises(ServiceError, match="well000, well001") as caught:
        client.submit(source, streams=["well000", "well007"])
    assert (caught.value.reason, caught.value.field) == ("UNKNOWN_STREAM", "streams")
    with pytest.raises(ServiceError, match="snr_min") as caught:
        client.submit(source, snr_mim=5.0)
    assert caught.value.reason == "INVALID_CONFIGURATION"
    with pytest.raises(ServiceError, match="kilosort4"):
        client.submit(source, "kilosort5")
    assert client.list().runs == ()


@pytest.mark.parametrize("name", ["corrupt.raw.h5", "crash.raw.h5"])
def test_a_recording_that_cannot_be_described_still_gets_its_run(client, tmp_path, name) -> None:
    batch = client.submit(write_bytes_file(tmp_path / name, 100))
    assert [run.run.stream for run in batch.runs] == [""]


def test_several_recordings_are_one_batch_in_the_order_given(client, tmp_path) -> None:
    paths = [write_bytes_file(tmp_path / f"corrupt{i}.h5", 100, seed=i) for i in range(3)]
    batch = client.submit(paths, name="lab/tuesday")
    names = [run.run.recording_name for run in batch.runs]
    assert names == [f"lab/tuesday/corrupt{i}.h5" for i in range(3)]
    assert client.get_batch(batch.batch_id).run_ids == batch.run_ids


def test_unknown_ids_are_not_found(server, client, stub) -> None:
    with pytest.raises(ServiceError) as caught:
        client.sort(["rec-unknown"])
    assert caught.value.reason == "RECORDING_NOT_FOUND"
    request = ingest_pb2.GetUploadRequest(upload_id="upload-unknown")
    assert refusal(server, stub.GetUpload, request).reason == "UPLOAD_NOT_FOUND"


def test_the_loop_answers_while_a_large_file_is_hashed(client, server, tmp_path) -> None:
    path = write_bytes_file(tmp_path / "large.bin", 300 << 20)
    done = threading.Event()

    def register() -> None:
        client.add_recording(path)
        done.set()

    thread = threading.Thread(target=register)
    thread.start()
    slowest_s = 0.0
    with SortingClient(server.address) as other:
        while not done.is_set():
            began_s = time.monotonic()
            other.list()
            slowest_s = max(slowest_s, time.monotonic() - began_s)
    thread.join()
    assert slowest_s < 1.0
