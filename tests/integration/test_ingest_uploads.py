"""Recordings are uploaded over a real server: in parts, resumed, verified, refused by name."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.facility import PART_BYTES, Facility
from tests.support.serving import Serving, serving, write_bytes_file

from spikefleet.api.v1 import ingest_pb2, ingest_pb2_grpc
from spikefleet.client.sorting import SortingClient
from spikefleet.client.uploads import SourceChangedError
from spikefleet.core.submissions import RecordingName
from spikefleet.core.telemetry import INGESTED_BYTES
from spikefleet.infra.rpc import convert
from spikefleet.infra.rpc.channels import dial
from spikefleet.infra.rpc.errors import ServiceError, answering
from spikefleet.infra.rpc.server import ServerOptions
from spikefleet.infra.stores.artifacts import verify_prefix
from spikefleet.infra.stores.uploads import UploadStore

NAME = RecordingName("lab", "monday", "probe")


@pytest.fixture
def facility(tmp_path):
    (tmp_path / "facility").mkdir()
    return Facility(tmp_path / "facility")


@pytest.fixture
def server(facility):
    with serving(facility.rooms) as running:
        yield running


@pytest.fixture
def client(server):
    with SortingClient(server.address, patience_s=20.0) as connected:
        yield connected


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "rig" / "night"
    folder.mkdir(parents=True)
    write_bytes_file(folder / "traces.bin", 3 * PART_BYTES + 12345)
    (folder / "meta").mkdir()
    write_bytes_file(folder / "meta" / "settings.xml", 1000, seed=2)
    (folder / "empty.dat").touch()
    return folder


@pytest.fixture
def stub(server):
    with dial(server.address) as channel:
        yield ingest_pb2_grpc.IngestServiceStub(channel)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_an_uploaded_folder_is_stored_whole_with_its_manifest(facility, client, source) -> None:
    seen = []
    recording = client.add_recording(source, name=NAME, in_place=False, progress=seen.append)
    assert not recording.in_place
    assert recording.entry == ""
    digests = {
        path.relative_to(source).as_posix(): _digest(path)
        for path in source.rglob("*")
        if path.is_file()
    }
    assert {file.path: file.sha256 for file in recording.files} == digests
    stored = verify_prefix(facility.artifacts, recording.location)
    assert {f.key.removeprefix(f"{recording.location}/files/"): f.sha256 for f in stored} == digests
    assert (
        facility.artifacts.get_bytes(f"{recording.location}/files/traces.bin")
        == (source / "traces.bin").read_bytes()
    )
    assert facility.recordings.get(recording.recording_id) == recording
    assert not list((facility.folder / "staging").iterdir())
    assert seen[-1].done_bytes == seen[-1].total_bytes == 3 * PART_BYTES + 13345
    line = f'{INGESTED_BYTES.name}{{path="upload"}}'
    assert line in facility.metrics.render()


def test_the_same_bytes_under_the_same_name_are_one_recording(client, source) -> None:
    first = client.add_recording(source, name=NAME, in_place=False)
    assert client.add_recording(source, name=NAME, in_place=False) == first
    (source / "meta" / "settings.xml").touch()  # another time of change, the same bytes
    assert client.add_recording(source, name=NAME, in_place=False) == first


def test_one_spikeglx_file_brings_its_sidecar(client, tmp_path) -> None:
    for suffix in (".bin", ".meta"):
        write_bytes_file(tmp_path / f"run_g0_t0.imec0.ap{suffix}", 100)
    write_bytes_file(tmp_path / "unrelated.txt", 10)
    recording = client.add_recording(tmp_path / "run_g0_t0.imec0.ap.bin", in_place=False)
    assert [file.path for file in recording.files] == [
        "run_g0_t0.imec0.ap.bin",
        "run_g0_t0.imec0.ap.meta",
    ]
    assert recording.entry == "run_g0_t0.imec0.ap.bin"


class Counting:
    """Counts the parts that a store is asked to remember."""

    def __init__(self, uploads: UploadStore) -> None:
        self._add = uploads.add_part
        self.offsets: list[int] = []
        uploads.add_part = self  # type: ignore[method-assign, assignment]

    def __call__(self, upload_id, part) -> None:
        self._add(upload_id, part)
        self.offsets.append(part.offset_bytes)


def test_a_service_that_restarts_during_an_upload_costs_at_most_one_part(
    facility, tmp_path
) -> None:
    path = write_bytes_file(tmp_path / "long.bin", 12 * PART_BYTES)
    counting = Counting(facility.uploads)
    first = Serving(facility.rooms, ServerOptions(grace_s=0.0)).start()
    restarted: list[Serving] = []
    accepted = []

    def restart_after_four(transfer) -> None:
        if transfer.done_bytes == 4 * PART_BYTES and not restarted:
            first.stop()
            restarted.append(Serving(facility.rooms, port=first.port).start())

    with SortingClient(first.address, patience_s=30.0) as client:
        accepted.append(client.add_recording(path, in_place=False, progress=restart_after_four))
    restarted[0].stop()
    assert accepted[0].files[0].sha256 == _digest(path)
    assert len(counting.offsets) <= 13
    assert sorted(set(counting.offsets)) == [i * PART_BYTES for i in range(12)]


RIG = """
import sys, time
from spikefleet.client.sorting import SortingClient

def tell(transfer):
    print(transfer.done_bytes, flush=True)
    time.sleep(0.1)

SortingClient(sys.argv[1]).add_recording(sys.argv[2], in_place=False, progress=tell)
"""


def test_a_client_killed_during_an_upload_resumes_behind_the_last_stored_part(
    facility, server, tmp_path
) -> None:
    path = write_bytes_file(tmp_path / "long.bin", 12 * PART_BYTES)
    counting = Counting(facility.uploads)
    command = [sys.executable, "-c", RIG, server.address, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as rig:
        assert rig.stdout is not None
        while int(rig.stdout.readline()) < 5 * PART_BYTES:
            pass
        rig.kill()
    before = len(counting.offsets)
    assert 5 <= before < 12
    with SortingClient(server.address) as client:
        recording = client.add_recording(path, in_place=False)
    assert recording.files[0].sha256 == _digest(path)
    assert sorted(set(counting.offsets)) == [i * PART_BYTES for i in range(12)]
    assert len(counting.offsets) <= 13


def _open(stub, size_bytes: int, sha256: str = "") -> ingest_pb2.Upload:
    request = ingest_pb2.CreateUploadRequest(
        name=convert.to_name(NAME),
        files=[{"path": "a.bin", "size_bytes": size_bytes, "sha256": sha256}],
        entry="a.bin",
    )
    return stub.CreateUpload(request).upload


def _send(stub, upload_id: str, data: bytes, **changes):
    values = {
        "upload_id": upload_id,
        "path": "a.bin",
        "data": data,
        "part_sha256": hashlib.sha256(data).hexdigest(),
    }
    return list(stub.UploadParts(iter([ingest_pb2.UploadPartsRequest(**(values | changes))])))


def _reason(server, call, *arguments, **changes) -> ServiceError:
    with pytest.raises(ServiceError) as caught, answering(server.address):
        call(*arguments, **changes)
    return caught.value


def test_a_part_damaged_on_the_way_is_refused_by_name_and_not_stored(server, stub) -> None:
    upload = _open(stub, 10)
    error = _reason(server, _send, stub, upload.upload_id, b"0123456789", part_sha256="0" * 64)
    assert error.reason == "PART_DAMAGED"
    assert error.details["offset_bytes"] == "0"
    got = stub.GetUpload(ingest_pb2.GetUploadRequest(upload_id=upload.upload_id)).upload
    assert not got.parts


@pytest.mark.parametrize(
    ("data", "changes", "field"),
    [
        (b"x" * 10, {"path": "b.bin"}, "path"),
        (b"x" * 10, {"offset_bytes": 3}, "offset_bytes"),
        (b"x" * 11, {}, "data"),
        (b"x" * ((1 << 20) + 1), {}, "data"),
    ],
)
def test_parts_that_do_not_fit_the_upload_are_refused(server, stub, data, changes, field) -> None:
    upload = _open(stub, 10)
    error = _reason(server, _send, stub, upload.upload_id, data, **changes)
    assert (error.reason, error.field) == ("INVALID_ARGUMENT", field)


def test_completing_without_every_part_names_the_first_missing(server, stub) -> None:
    upload = _open(stub, 2 * PART_BYTES)
    _send(stub, upload.upload_id, b"x" * PART_BYTES)
    request = ingest_pb2.CompleteUploadRequest(upload_id=upload.upload_id)
    error = _reason(server, stub.CompleteUpload, request)
    assert error.reason == "UPLOAD_INCOMPLETE"
    assert f"a.bin from byte {PART_BYTES}" in error.message


def test_bytes_that_rot_before_completion_are_found_and_named(facility, server, stub) -> None:
    upload = _open(stub, 10)
    _send(stub, upload.upload_id, b"0123456789")
    (staged,) = (facility.folder / "staging" / upload.upload_id).iterdir()
    staged.write_bytes(b"0123456_89")
    told = [
        {"path": "a.bin", "size_bytes": 10, "sha256": hashlib.sha256(b"0123456789").hexdigest()}
    ]
    request = ingest_pb2.CompleteUploadRequest(upload_id=upload.upload_id, files=told)
    error = _reason(server, stub.CompleteUpload, request)
    assert error.reason == "FILE_DAMAGED"
    assert "a.bin" in error.message
    assert "the part at byte 0" in error.message


def test_completing_and_aborting_twice_is_a_no_op(server, stub) -> None:
    upload = _open(stub, 3)
    _send(stub, upload.upload_id, b"abc")
    complete = ingest_pb2.CompleteUploadRequest(upload_id=upload.upload_id)
    first = stub.CompleteUpload(complete).recording
    assert stub.CompleteUpload(complete).recording == first
    abort = ingest_pb2.AbortUploadRequest(upload_id=upload.upload_id)
    assert _reason(server, stub.AbortUpload, abort).reason == "UPLOAD_CLOSED"
    other = _open(stub, 4)
    abort = ingest_pb2.AbortUploadRequest(upload_id=other.upload_id)
    stub.AbortUpload(abort)
    stub.AbortUpload(abort)


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../b", "", "a//b", "./a"])
def test_a_file_name_that_leaves_the_recording_is_refused(server, stub, path) -> None:
    request = ingest_pb2.CreateUploadRequest(name=convert.to_name(NAME), files=[{"path": path}])
    assert _reason(server, stub.CreateUpload, request).reason == "INVALID_ARGUMENT"


def test_a_source_that_changes_while_it_is_sent_is_not_accepted(facility, client, source) -> None:
    def grow(transfer) -> None:
        with (source / "empty.dat").open("ab") as handle:
            handle.write(b"more")

    with pytest.raises(SourceChangedError):
        client.add_recording(source, in_place=False, progress=grow)
    assert facility.uploads.open_count() == 1
