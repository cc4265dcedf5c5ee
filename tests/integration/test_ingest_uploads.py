"""Recordings are uploaded over a real server: in parts, resumed, verified, refused by name."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.facility import PART_BYTES
from tests.support.intake import NAME, client, digest_of, facility, refusal, server, source, stub
from tests.support.serving import Serving, write_bytes_file

from spikefleet.api.v1 import ingest_pb2
from spikefleet.client.parcels import SourceChangedError
from spikefleet.client.sorting import SortingClient
from spikefleet.core.submissions import ManifestFile
from spikefleet.infra.rpc.convert.recordings import to_name
from spikefleet.infra.rpc.errors import ServiceError
from spikefleet.infra.rpc.server import ServerOptions
from spikefleet.infra.stores.bytes.artifacts import verify_prefix
from spikefleet.infra.stores.sql.uploads import UploadStore
from spikefleet.infra.telemetry import INGESTED_BYTES
from spikefleet.ingest.staging import Staging
from spikefleet.ingest.uploads import ArrivedPart, UploadIntake, UploadRequest

__all__ = ["client", "facility", "server", "source", "stub"]  # fixtures


def test_an_uploaded_folder_is_stored_whole_with_its_manifest(facility, client, source) -> None:
    seen = []
    recording = client.add_recording(source, name=NAME, in_place=False, progress=seen.append)
    assert not recording.in_place
    assert recording.entry == ""
    digests = {
        path.relative_to(source).as_posix(): digest_of(path)
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


def test_who_is_overtaken_with_the_same_bytes_has_the_recording(client, server, source) -> None:
    others: list[object] = []
    with SortingClient(server.address) as other:

        def overtake(_: object) -> None:
            others.append(other.add_recording(source, name=NAME, in_place=False))

        mine = client.add_recording(source, name=NAME, in_place=False, progress=overtake)
    assert others[0] == mine


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
        self._add = uploads.add_parts
        self.offsets: list[int] = []
        uploads.add_parts = self  # type: ignore[method-assign, assignment]

    def __call__(self, upload_id, parts) -> None:
        self._add(upload_id, parts)
        self.offsets += [part.offset_bytes for part in parts]


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
    assert accepted[0].files[0].sha256 == digest_of(path)
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
    assert recording.files[0].sha256 == digest_of(path)
    assert sorted(set(counting.offsets)) == [i * PART_BYTES for i in range(12)]
    assert len(counting.offsets) <= 13


def test_bytes_that_came_in_order_are_stored_as_they_lie(facility, server, stub) -> None:
    data = bytes(range(256)) * (PART_BYTES // 256)
    upload = _open(stub, 2 * PART_BYTES)
    for number in range(2):
        running = hashlib.sha256(data * (number + 1)).hexdigest()
        _send(stub, upload.upload_id, data, number * PART_BYTES, file_sha256=running)
    (staged,) = (facility.folder / "staging" / upload.upload_id).iterdir()
    inode = staged.stat().st_ino
    request = ingest_pb2.CompleteUploadRequest(upload_id=upload.upload_id)
    recording = stub.CompleteUpload(request).recording
    assert recording.files[0].sha256 == hashlib.sha256(data * 2).hexdigest()
    stored = facility.artifacts.local_path(f"{recording.location}/files/a.bin")
    assert stored.stat().st_ino == inode
    assert not staged.exists()


def test_parts_in_any_order_come_with_their_own_digests(facility, server, stub) -> None:
    data = [bytes([number]) * PART_BYTES for number in range(3)]
    upload = _open(stub, 3 * PART_BYTES)
    for number in (2, 0, 1):
        _send(stub, upload.upload_id, data[number], number * PART_BYTES)
    request = ingest_pb2.CompleteUploadRequest(upload_id=upload.upload_id)
    recording = stub.CompleteUpload(request).recording
    assert recording.files[0].sha256 == hashlib.sha256(b"".join(data)).hexdigest()


def test_a_running_digest_over_a_gap_is_refused(server, stub) -> None:
    upload = _open(stub, 2 * PART_BYTES)
    data = b"x" * PART_BYTES
    error = refusal(server, _send, stub, upload.upload_id, data, PART_BYTES, file_sha256="0" * 64)
    assert (error.reason, error.field) == ("INVALID_ARGUMENT", "offset_bytes")


def test_bytes_that_rot_between_two_parts_are_found_when_the_next_one_comes(
    facility, server, stub
) -> None:
    data = b"x" * PART_BYTES
    upload = _open(stub, 2 * PART_BYTES)
    _send(stub, upload.upload_id, data, file_sha256=hashlib.sha256(data).hexdigest())
    (staged,) = (facility.folder / "staging" / upload.upload_id).iterdir()
    staged.write_bytes(b"y" + data[1:])
    running = hashlib.sha256(data * 2).hexdigest()
    error = refusal(server, _send, stub, upload.upload_id, data, PART_BYTES, file_sha256=running)
    assert error.reason == "FILE_DAMAGED"
    assert "the part at byte 0" in error.message


def test_a_part_that_comes_after_the_end_changes_nothing(facility, server, stub) -> None:
    upload = _open(stub, 3)
    _send(stub, upload.upload_id, b"abc", file_sha256=hashlib.sha256(b"abc").hexdigest())
    request = ingest_pb2.CompleteUploadRequest(upload_id=upload.upload_id)
    recording = stub.CompleteUpload(request).recording
    error = refusal(server, _send, stub, upload.upload_id, b"xyz")
    assert error.reason == "UPLOAD_CLOSED"
    assert facility.artifacts.get_bytes(f"{recording.location}/files/a.bin") == b"abc"


def test_an_abandoned_upload_is_dropped_and_one_that_receives_is_not(facility, tmp_path) -> None:
    now = [datetime(2026, 3, 1, tzinfo=UTC)]
    uploads = UploadStore(facility.database, lambda: now[0])
    staging = Staging(tmp_path / "staging")
    intake = UploadIntake(uploads, facility.recordings, facility.artifacts, staging)
    files = (ManifestFile("a.bin", 6, ""),)
    idle, slow, fresh = (intake.create(UploadRequest(NAME, files)).upload_id for _ in range(3))
    digest = hashlib.sha256(b"abcdef").hexdigest()
    part = ArrivedPart("a.bin", 0, (b"abcdef",), digest, from_start=True)
    intake.store_parts(idle, [part])
    now[0] += timedelta(days=8)
    intake.store_parts(fresh, [part])
    with intake.arrivals.receiving(slow):
        assert intake.expire(7 * 86_400.0) == 1
        intake.store_parts(slow, [part])
    assert uploads.get(idle).state == "expired"
    assert staging.upload_ids() == sorted([slow, fresh])
    assert intake.complete(slow, ()).files[0].sha256 == digest
    now[0] += timedelta(days=8)
    assert intake.expire(7 * 86_400.0) == 1
    assert uploads.get(fresh).state == "expired"
    assert uploads.get(slow).state == "complete"


def test_what_a_crash_left_of_an_ended_upload_is_cleared(facility, tmp_path) -> None:
    staging = Staging(tmp_path / "staging")
    intake = UploadIntake(facility.uploads, facility.recordings, facility.artifacts, staging)
    upload_id = intake.create(UploadRequest(NAME, (ManifestFile("a.bin", 6, ""),))).upload_id
    facility.uploads.abort(upload_id)
    for folder in (upload_id, "upload-of-another-database"):
        staging.write_parts(folder, [("a.bin", 0, [b"abc"])])
    assert intake.expire(7 * 86_400.0) == 0
    assert staging.upload_ids() == ["upload-of-another-database"]


def _open(stub, size_bytes: int, sha256: str = "") -> ingest_pb2.Upload:
    request = ingest_pb2.CreateUploadRequest(
        name=to_name(NAME),
        files=[{"path": "a.bin", "size_bytes": size_bytes, "sha256": sha256}],
        entry="a.bin",
    )
    return stub.CreateUpload(request).upload


def _send(stub, upload_id: str, data: bytes, offset_bytes: int = 0, **changes):
    values = {
        "upload_id": upload_id,
        "path": "a.bin",
        "data": data,
        "offset_bytes": offset_bytes,
        "part_sha256": hashlib.sha256(data).hexdigest(),
    }
    return list(stub.UploadParts(iter([ingest_pb2.UploadPartsRequest(**(values | changes))])))


def test_a_part_damaged_on_the_way_is_refused_by_name_and_not_stored(server, stub) -> None:
    upload = _open(stub, 10)
    error = refusal(server, _send, stub, upload.upload_id, b"0123456789", part_sha256="0" * 64)
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
    error = refusal(server, _send, stub, upload.upload_id, data, **changes)
    assert (error.reason, error.field) == ("INVALID_ARGUMENT", field)


def test_completing_without_every_part_names_the_first_missing(server, stub) -> None:
    upload = _open(stub, 2 * PART_BYTES)
    _send(stub, upload.upload_id, b"x" * PART_BYTES)
    request = ingest_pb2.CompleteUploadRequest(upload_id=upload.upload_id)
    error = refusal(server, stub.CompleteUpload, request)
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
    error = refusal(server, stub.CompleteUpload, request)
    assert error.reason == "FILE_DAMAGED"
    assert "a.bin" in error.message
    assert "the part at byte 0" in error.message


@pytest.mark.parametrize("verb", ["GetUpload", "CompleteUpload", "AbortUpload"])
def test_an_empty_upload_id_is_refused_by_its_field(server, stub, verb: str) -> None:
    error = refusal(server, getattr(stub, verb), getattr(ingest_pb2, f"{verb}Request")())
    assert (error.reason, error.field) == ("INVALID_ARGUMENT", "upload_id")


def test_completing_and_aborting_twice_is_a_no_op(server, stub) -> None:
    upload = _open(stub, 3)
    _send(stub, upload.upload_id, b"abc")
    complete = ingest_pb2.CompleteUploadRequest(upload_id=upload.upload_id)
    first = stub.CompleteUpload(complete).recording
    assert stub.CompleteUpload(complete).recording == first
    abort = ingest_pb2.AbortUploadRequest(upload_id=upload.upload_id)
    assert refusal(server, stub.AbortUpload, abort).reason == "UPLOAD_CLOSED"
    other = _open(stub, 4)
    abort = ingest_pb2.AbortUploadRequest(upload_id=other.upload_id)
    stub.AbortUpload(abort)
    stub.AbortUpload(abort)


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../b", "", "a//b", "./a"])
def test_a_file_name_that_leaves_the_recording_is_refused(server, stub, path) -> None:
    request = ingest_pb2.CreateUploadRequest(name=to_name(NAME), files=[{"path": path}])
    assert refusal(server, stub.CreateUpload, request).reason == "INVALID_ARGUMENT"


def test_a_source_that_changes_while_it_is_sent_is_not_accepted(facility, client, source) -> None:
    def grow(transfer) -> None:
        with (source / "empty.dat").open("ab") as handle:
            handle.write(b"more")

    with pytest.raises(SourceChangedError):
        client.add_recording(source, in_place=False, progress=grow)
    assert facility.uploads.open_count() == 1


def test_more_than_the_disk_holds_is_refused_before_a_byte_is_sent(server, stub) -> None:
    request = ingest_pb2.CreateUploadRequest(
        name=to_name(NAME), files=[{"path": "huge.raw", "size_bytes": 1 << 60}]
    )
    refused = refusal(server, stub.CreateUpload, request)
    assert refused.reason == "DISK_FULL"
    assert refused.details["needed_bytes"] == str(1 << 60)
    assert 0 <= int(refused.details["room_bytes"]) < 1 << 60
    assert "Make room" in refused.next_step


def test_a_disk_that_fills_up_while_receiving_is_named_and_the_reserve_is_left(
    facility, client, stub, tmp_path, small_disk
) -> None:
    source = write_bytes_file(tmp_path / "night.raw", 12 << 20)
    ballast = small_disk / "of-somebody-else"

    def fill(transfer) -> None:
        if transfer.done_bytes and not ballast.exists():
            ballast.write_bytes(bytes(15 << 20))

    with pytest.raises(ServiceError, match="room for") as caught:
        client.add_recording(source, name=NAME, in_place=False, progress=fill)
    assert caught.value.reason == "DISK_FULL"
    assert shutil.disk_usage(small_disk).free >= (20 << 20) // 10
    ballast.unlink()
    assert client.add_recording(source, name=NAME, in_place=False).size_bytes == 12 << 20


def test_a_part_that_meets_a_full_disk_leaves_nothing_of_itself(small_disk) -> None:
    staging = Staging(small_disk)
    staging.write_parts("u", [("x", 0, [bytes(1 << 20)])])
    with pytest.raises(OSError, match="No space left"):
        staging.write_parts("u", [("x", 1 << 20, [bytes(30 << 20)])])
    assert staging.file("u", "x").stat().st_size == 1 << 20
    assert shutil.disk_usage(small_disk).free > 18 << 20


@pytest.fixture
def small_disk(facility) -> Iterator[Path]:
    """A file system of 20 MB where uploads are gathered; skips where none can be mounted."""
    place = facility.folder / "staging"
    place.mkdir()
    order = ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(place)]
    try:
        done = subprocess.run(order, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)
