"""Recordings go straight into a real S3 store: checked part by part, resumed, other ways kept."""

import hashlib
import random
import re
import urllib.request

import pytest
from tests.support.direct import (
    LENGTH,
    PART,
    announced,
    bucket,
    client,
    made_direct,
    night,
    open_upload,
    part_of,
    put,
    require_stored,
    s3,
    server,
    stub,
)
from tests.support.intake import NAME, digest_of, refusal

from spikefleet.api.v1 import ingest_pb2
from spikefleet.core.failures.errors import StorageUnavailableError
from spikefleet.core.rooms.uploads import UploadedPart
from spikefleet.core.submissions import ManifestFile
from spikefleet.infra.rpc.convert.recordings import to_name
from spikefleet.infra.rpc.errors import RpcProblem
from spikefleet.infra.stores.bytes.s3.artifacts_s3 import S3Artifacts
from spikefleet.ingest.uploads import UploadRequest

__all__ = ["bucket", "client", "night", "s3", "server", "stub"]  # fixtures


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


def test_who_watches_an_upload_hears_that_it_waits_for_the_bucket(bucket, client, night):
    dice = random.Random(5)
    bucket.proxy.cuts = [None, *(dice.randrange(PART) for _ in range(6))]
    seen = []
    client.add_recording(night, name=NAME, in_place=False, progress=seen.append)
    waits = [transfer.waiting for transfer in seen if transfer.waiting]
    assert waits
    assert all(re.fullmatch(r"waiting for the bucket, next try in \d+ s", said) for said in waits)
    assert not seen[-1].waiting


def test_connections_that_break_cost_a_part_and_no_bytes(bucket, client, night):
    dice = random.Random(5)
    bucket.proxy.cuts = [None, *(dice.randrange(PART) for _ in range(6))]
    seen = []
    recording = client.add_recording(night, name=NAME, in_place=False, progress=seen.append)
    require_stored(bucket, recording, night)
    assert len(bucket.proxy.cuts) < 5  # how many are met depends on which part goes first
    assert seen[-1].done_bytes == seen[-1].total_bytes


def test_who_claims_the_digests_of_another_gets_a_recording_of_his_own(bucket, client, night):
    sent = client.add_recording(night, name=NAME, in_place=False)
    direct = made_direct(bucket)
    other = direct.create(
        UploadRequest(NAME, sent.files, "", idempotency_key="k", owner="uid:4711")
    )
    forged = []
    for signed in direct.first_missing(other, []):
        length = next(f.size_bytes for f in sent.files if f.path == signed.path)
        size = min(PART, length - signed.offset_bytes)
        put(signed.url, bytes(size))
        md5 = hashlib.md5(bytes(size)).hexdigest()
        forged.append(UploadedPart(signed.path, signed.offset_bytes, size, "", md5=md5))
    claimed = direct.complete(other.upload_id, sent.files, forged)
    assert {f.sha256 for f in claimed.files} == {f.sha256 for f in sent.files}
    assert claimed.digest != sent.digest
    assert claimed.recording_id != sent.recording_id
    assert bucket.facility.recordings.owned((sent.recording_id,), "uid:4711") == set()


def test_a_file_of_parts_that_cannot_be_begun_leaves_no_other_behind(bucket, night, monkeypatch):
    direct = made_direct(bucket)
    begin = S3Artifacts.begin_parts

    def some(self, key: str) -> str:
        if key.endswith("3.bin"):
            raise StorageUnavailableError("gone", store="s", operation="o")
        return begin(self, key)

    files = tuple(ManifestFile(f"{n}.bin", 100, "") for n in range(8))
    upload = direct.create(UploadRequest(NAME, files, owner="anyone"))
    with monkeypatch.context() as patch:
        patch.setattr(S3Artifacts, "begin_parts", some)
        with pytest.raises(StorageUnavailableError):
            direct.first_missing(upload, [])
    assert bucket.facility.artifacts.bucket.list_uploads() == []
    assert len(direct.first_missing(upload, [])) == 8


def test_many_files_are_opened_without_a_request_for_each(bucket):
    direct = made_direct(bucket)
    files = tuple(ManifestFile(f"{n}.bin", 100, "") for n in range(256))
    upload = direct.create(UploadRequest(NAME, files, owner="anyone"))
    assert bucket.facility.artifacts.bucket.list_uploads() == []
    direct.first_missing(upload, direct.parts(upload))
    assert 0 < len(bucket.facility.artifacts.bucket.list_uploads()) < 32


def test_unfinished_uploads_of_one_user_have_a_bound_in_bytes(bucket):
    direct = made_direct(bucket, open_bytes=2500)
    direct.create(announced(bytes(1000)))
    direct.create(announced(bytes(1000)))
    with pytest.raises(RpcProblem, match="unfinished") as refused:
        direct.create(announced(bytes(1000)))
    assert refused.value.reason == "TOO_MANY_UPLOADS"
    direct.create(announced(bytes(1000), is_operator=True))


def test_a_path_that_no_bucket_can_hold_is_refused_before_a_byte_is_sent(server, stub):
    path = "/".join(["d" * 200] * 4)
    for takes_direct in (False, True):
        request = ingest_pb2.CreateUploadRequest(
            name=to_name(NAME),
            files=[{"path": path, "size_bytes": 10}],
            takes_direct=takes_direct,
        )
        refused = refusal(server, stub.CreateUpload, request)
        assert (refused.reason, refused.field) == ("INVALID_ARGUMENT", "files.path")


def test_what_no_bucket_can_hold_does_not_go_straight_into_one(bucket):
    direct = made_direct(bucket)

    def request(*sizes: int) -> UploadRequest:
        return UploadRequest(NAME, tuple(ManifestFile(str(n), s, "") for n, s in enumerate(sizes)))

    assert direct.takes(request(5 << 40))
    assert not direct.takes(request((5 << 40) + 1))
    assert not direct.takes(request(1 << 62))
    assert not direct.takes(request(*[5 << 40] * 200))  # parts of more than 5 GiB
    assert not direct.takes(request(0))


def test_addresses_are_not_given_for_an_upload_that_is_streamed(server, stub, night):
    files = [{"path": "traces.bin", "size_bytes": LENGTH}]
    request = ingest_pb2.CreateUploadRequest(name=to_name(NAME), files=files)
    asked = ingest_pb2.SignPartsRequest(
        upload_id=stub.CreateUpload(request).upload.upload_id,
        parts=[ingest_pb2.PartPlace(path="traces.bin", offset_bytes=0)],
    )
    assert refusal(server, stub.SignParts, asked).reason == "INVALID_ARGUMENT"


def test_no_key_of_one_way_is_a_key_of_the_other(server, stub):
    files = [{"path": "traces.bin", "size_bytes": 10}]
    ids = {
        stub.CreateUpload(
            ingest_pb2.CreateUploadRequest(
                name=to_name(NAME), files=files, idempotency_key=key, takes_direct=direct
            )
        ).upload.upload_id
        for key in ("k", "k:direct", "direct:k")
        for direct in (False, True)
    }
    assert len(ids) == 6


def test_bytes_that_went_straight_into_the_store_are_counted(bucket, client, night):
    client.add_recording(night, name=NAME, in_place=False)
    lines = bucket.facility.metrics.render().splitlines()
    (line,) = [x for x in lines if x.startswith('spikefleet_ingested_bytes_total{path="direct"}')]
    assert float(line.split()[1]) == LENGTH + 1000


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
