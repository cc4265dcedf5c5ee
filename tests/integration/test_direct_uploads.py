"""Recordings go straight into a real S3 store: checked part by part, resumed, other ways kept."""

import hashlib
import random
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.cut_proxy import CutProxy
from tests.support.facility import Facility
from tests.support.intake import NAME, digest_of, refusal
from tests.support.s3_servers import S3Server
from tests.support.serving import Serving, serving, write_bytes_file

from spikefleet.api.v1 import ingest_pb2, ingest_pb2_grpc
from spikefleet.client.sorting import SortingClient
from spikefleet.core.rooms.uploads import UploadedPart
from spikefleet.infra.rpc.channels import dial
from spikefleet.infra.rpc.convert.recordings import to_name
from spikefleet.infra.stores.bytes.artifacts import verify_prefix
from spikefleet.infra.stores.bytes.s3.artifacts_s3 import S3Artifacts
from spikefleet.infra.stores.bytes.s3.bucket import S3Place
from spikefleet.ingest.direct_uploads import DirectUploads
from spikefleet.ingest.upload_room import MOST_OPEN
from spikefleet.ingest.uploads import UploadRequest

PART = 5 << 20  # the least that S3 takes of a part that is not the last
LENGTH = 2 * PART + 12_345


@pytest.fixture(scope="module", params=["swift", pytest.param("ceph", marks=pytest.mark.slow)])
def s3(request, tmp_path_factory) -> Iterator[S3Server]:
    server = S3Server(request.param, tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.end()


class Bucket:
    """A facility over one bucket, which rigs reach through ``proxy``."""

    def __init__(self, s3: S3Server, folder: Path) -> None:
        self.place = s3.make_bucket()
        self.proxy = CutProxy(int(s3.endpoint.rpartition(":")[2]))
        outside = f"http://127.0.0.1:{self.proxy.port}"
        place = S3Place(self.place.endpoint, self.place.bucket, self.place.prefix)
        place = S3Place(place.endpoint, place.bucket, place.prefix, place.region, outside)
        folder.mkdir()
        self.facility = Facility(folder)
        self.facility.artifacts = S3Artifacts(place, s3.credentials)
        self.facility.direct_part_size_bytes = PART


@pytest.fixture
def bucket(s3, tmp_path) -> Iterator[Bucket]:
    made = Bucket(s3, tmp_path / "facility")
    yield made
    made.proxy.close()


@pytest.fixture
def server(bucket) -> Iterator[Serving]:
    with serving(bucket.facility.rooms) as running:
        yield running


@pytest.fixture
def client(server) -> Iterator[SortingClient]:
    with SortingClient(server.address, patience_s=20.0) as connected:
        yield connected


@pytest.fixture
def stub(server) -> Iterator[ingest_pb2_grpc.IngestServiceStub]:
    with dial(server.address) as channel:
        yield ingest_pb2_grpc.IngestServiceStub(channel)


@pytest.fixture
def night(tmp_path) -> Path:
    """A folder of three files, one of three parts and one empty."""
    folder = tmp_path / "rig" / "night"
    folder.mkdir(parents=True)
    write_bytes_file(folder / "traces.bin", LENGTH)
    write_bytes_file(folder / "settings.xml", 1000, seed=2)
    (folder / "empty.dat").touch()
    return folder


def require_stored(bucket, recording, folder) -> None:
    digests = {p.relative_to(folder).as_posix(): digest_of(p) for p in folder.iterdir()}
    assert {file.path: file.sha256 for file in recording.files} == digests
    assert len(verify_prefix(bucket.facility.artifacts, recording.location)) == len(digests)
    for path in folder.iterdir():
        stored = bucket.facility.artifacts.get_bytes(f"{recording.location}/files/{path.name}")
        assert stored == path.read_bytes()


def open_upload(stub, night) -> ingest_pb2.CreateUploadResponse:
    files = [
        {"path": path.name, "size_bytes": path.stat().st_size} for path in sorted(night.iterdir())
    ]
    return stub.CreateUpload(
        ingest_pb2.CreateUploadRequest(
            name=to_name(NAME), files=files, takes_direct=True, idempotency_key="night"
        )
    )


def test_bytes_go_straight_into_the_store_and_never_through_the_service(bucket, client, night):
    seen = []
    recording = client.add_recording(night, name=NAME, in_place=False, progress=seen.append)
    require_stored(bucket, recording, night)
    assert seen[-1].done_bytes == seen[-1].total_bytes == LENGTH + 1000
    assert not (bucket.facility.folder / "staging").exists() or not list(
        (bucket.facility.folder / "staging").iterdir()
    )
    assert bucket.facility.artifacts.bucket.list_uploads() == []
    assert client.add_recording(night, name=NAME, in_place=False) == recording


def test_an_upload_that_was_cut_off_is_resumed_with_what_the_store_has(bucket, client, stub, night):
    (first,) = [
        signed
        for signed in open_upload(stub, night).signed
        if (signed.path, signed.offset_bytes) == ("traces.bin", 0)
    ]
    data = (night / "traces.bin").read_bytes()[:PART]
    urllib.request.urlopen(
        urllib.request.Request(first.url, data=data, method="PUT", headers={"Content-Type": "a/b"})
    ).close()
    again = open_upload(stub, night)
    assert [(p.path, p.offset_bytes, p.size_bytes) for p in again.upload.parts] == [
        ("traces.bin", 0, PART)
    ]
    missing = {(signed.path, signed.offset_bytes) for signed in again.signed}
    assert missing == {("traces.bin", PART), ("traces.bin", 2 * PART), ("settings.xml", 0)}


def test_a_part_that_was_changed_on_its_way_is_named_and_may_be_put_again(
    bucket, server, stub, night
):
    opened = open_upload(stub, night)
    told = []
    for signed in opened.signed:
        with (night / signed.path).open("rb") as handle:
            handle.seek(signed.offset_bytes)
            data = handle.read(PART)
        told.append(part_of(signed, data))
        flipped = bytes([data[0] ^ 1]) + data[1:] if signed.offset_bytes == PART else data
        put(signed.url, flipped)
    files = [
        {"path": p.name, "size_bytes": p.stat().st_size, "sha256": digest_of(p)}
        for p in night.iterdir()
    ]
    complete = ingest_pb2.CompleteUploadRequest(
        upload_id=opened.upload.upload_id, files=files, parts=told
    )
    refused = refusal(server, stub.CompleteUpload, complete)
    assert refused.reason == "PART_DAMAGED"
    assert (refused.details["path"], refused.details["offset_bytes"]) == ("traces.bin", str(PART))
    (signed,) = stub.SignParts(
        ingest_pb2.SignPartsRequest(
            upload_id=opened.upload.upload_id,
            parts=[ingest_pb2.PartPlace(path="traces.bin", offset_bytes=PART)],
        )
    ).parts
    put(signed.url, (night / "traces.bin").read_bytes()[PART : 2 * PART])
    recording = stub.CompleteUpload(complete).recording
    assert stub.CompleteUpload(complete).recording == recording
    require_stored(bucket, bucket.facility.recordings.get(recording.recording_id), night)


def put(url: str, data: bytes) -> None:
    request = urllib.request.Request(url, data=data, method="PUT", headers={"Content-Type": "a/b"})
    urllib.request.urlopen(request).close()


def part_of(signed, data: bytes) -> ingest_pb2.UploadedPart:
    return ingest_pb2.UploadedPart(
        path=signed.path,
        offset_bytes=signed.offset_bytes,
        size_bytes=len(data),
        md5=hashlib.md5(data).hexdigest(),
    )


def test_addresses_are_of_this_upload_and_its_parts_alone(server, stub, night):
    upload_id = open_upload(stub, night).upload.upload_id
    for path, offset in (
        ("traces.bin", 7),
        ("traces.bin", 3 * PART),
        ("../x", 0),
        ("empty.dat", 0),
    ):
        asked = ingest_pb2.SignPartsRequest(
            upload_id=upload_id, parts=[ingest_pb2.PartPlace(path=path, offset_bytes=offset)]
        )
        assert refusal(server, stub.SignParts, asked).reason == "INVALID_ARGUMENT"
    stream = iter(
        [ingest_pb2.UploadPartsRequest(upload_id=upload_id, path="traces.bin", data=b"x")]
    )
    refused = refusal(server, lambda: list(stub.UploadParts(stream)))
    assert "signed addresses" in refused.message


def test_a_dropped_upload_leaves_nothing_in_the_store(bucket, stub, night):
    opened = open_upload(stub, night)
    assert len(bucket.facility.artifacts.bucket.list_uploads()) == 2
    stub.AbortUpload(ingest_pb2.AbortUploadRequest(upload_id=opened.upload.upload_id))
    assert bucket.facility.artifacts.bucket.list_uploads() == []


def test_a_store_that_a_rig_cannot_reach_is_gone_round(bucket, client, night):
    bucket.proxy.close()
    bucket.proxy.hang_up()
    recording = client.add_recording(night, name=NAME, in_place=False)
    require_stored(bucket, recording, night)
    assert recording.location == f"recordings/{recording.recording_id}"


def test_connections_that_break_cost_a_part_and_no_bytes(bucket, client, night):
    dice = random.Random(5)
    bucket.proxy.cuts = [None, *(dice.randrange(PART) for _ in range(6))]
    seen = []
    recording = client.add_recording(night, name=NAME, in_place=False, progress=seen.append)
    require_stored(bucket, recording, night)
    assert len(bucket.proxy.cuts) < 5  # how many are met depends on which part goes first
    assert seen[-1].done_bytes == seen[-1].total_bytes


def test_two_clients_of_one_user_make_one_recording(bucket, server, night):
    found = []

    def send() -> None:
        with SortingClient(server.address, patience_s=20.0) as client:
            found.append(client.add_recording(night, name=NAME, in_place=False))

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 2
    assert found[0] == found[1]
    require_stored(bucket, found[0], night)


def test_who_claims_the_digests_of_another_gets_a_recording_of_his_own(bucket, client, night):
    sent = client.add_recording(night, name=NAME, in_place=False)
    upload = bucket.facility.uploads.get(sent.location.removeprefix("recordings/"))
    direct = DirectUploads(
        bucket.facility.uploads, bucket.facility.recordings, bucket.facility.artifacts
    )
    other = direct.create(
        UploadRequest(NAME, upload.files, "", idempotency_key="k", owner="uid:4711"), MOST_OPEN
    )
    forged = []
    for signed in direct.first_missing(other, []):
        size = next(f.size_bytes for f in upload.files if f.path == signed.path)
        put(signed.url, bytes(size))
        md5 = hashlib.md5(bytes(size)).hexdigest()
        forged.append(UploadedPart(signed.path, signed.offset_bytes, size, "", md5=md5))
    claimed = direct.complete(other.upload_id, sent.files, forged)
    assert {f.sha256 for f in claimed.files} == {f.sha256 for f in sent.files}
    assert claimed.digest != sent.digest
    assert claimed.recording_id != sent.recording_id
    assert bucket.facility.recordings.owned((sent.recording_id,), "uid:4711") == set()


def test_the_word_of_a_sender_is_checked_before_a_part_counts(server, stub, night):
    upload_id = open_upload(stub, night).upload.upload_id
    bare = ingest_pb2.CompleteUploadRequest(upload_id=upload_id)
    assert refusal(server, stub.CompleteUpload, bare).reason == "INVALID_ARGUMENT"
    files = [
        {"path": p.name, "size_bytes": p.stat().st_size, "sha256": digest_of(p)}
        for p in night.iterdir()
    ]
    without_parts = ingest_pb2.CompleteUploadRequest(upload_id=upload_id, files=files)
    assert refusal(server, stub.CompleteUpload, without_parts).reason == "INVALID_ARGUMENT"
