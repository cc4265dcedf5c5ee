"""How an upload straight into the store ends: with its own bytes, whatever dies or comes late."""

import random
import threading
from contextlib import suppress

import pytest
from tests.support.direct import (
    PART,
    announced,
    bucket,
    client,
    completion,
    made_direct,
    night,
    open_upload,
    put,
    require_stored,
    s3,
    sent,
    server,
    stub,
)
from tests.support.intake import NAME, refusal

from spikefleet.api.v1 import ingest_pb2
from spikefleet.client.sorting import SortingClient
from spikefleet.core.failures.errors import StorageUnavailableError
from spikefleet.infra.stores.bytes.s3.artifacts_s3 import S3Artifacts
from spikefleet.infra.stores.sql.upload_values import UploadClosedError
from spikefleet.infra.stores.sql.uploads import UploadStore
from spikefleet.ingest.uploads import UploadIntake

__all__ = ["bucket", "client", "night", "s3", "server", "stub"]  # fixtures


def test_a_forged_recording_never_takes_the_place_of_the_true_one(bucket):
    direct, artifacts = made_direct(bucket), bucket.facility.artifacts
    true = random.Random(1).randbytes(PART + 100)
    forged = true[:-1] + bytes([true[-1] ^ 1])
    wanted = announced(true)  # both say the digest of the true bytes
    first = direct.create(wanted)
    made_of_forged = direct.complete(first.upload_id, wanted.files, sent(direct, first, forged))
    second = direct.create(wanted)
    made_of_true = direct.complete(second.upload_id, wanted.files, sent(direct, second, true))
    assert made_of_true.recording_id != made_of_forged.recording_id
    assert made_of_true.digest != made_of_forged.digest  # else one run would be of both
    assert artifacts.get_bytes(f"{made_of_true.location}/files/traces.bin") == true
    third = direct.create(wanted)
    again = direct.complete(third.upload_id, wanted.files, sent(direct, third, true))
    assert again == made_of_true  # proven equal, so kept once
    assert {key.split("/")[1] for key in artifacts.list_keys("recordings")} == {
        recording.location.split("/")[1] for recording in (made_of_true, made_of_forged)
    }


def test_bytes_the_store_lost_since_are_taken_again_as_a_recording_of_their_own(bucket):
    direct, artifacts = made_direct(bucket), bucket.facility.artifacts
    wanted = announced(b"spikes" * 1000, idempotency_key="k")
    first = direct.create(wanted)
    lost = direct.complete(first.upload_id, wanted.files, sent(direct, first, b"spikes" * 1000))
    artifacts.bucket.remove(f"{lost.location}/files/traces.bin")
    second = direct.create(wanted)
    assert second.upload_id != first.upload_id
    made = direct.complete(second.upload_id, wanted.files, sent(direct, second, b"spikes" * 1000))
    assert artifacts.get_bytes(f"{made.location}/files/traces.bin") == b"spikes" * 1000


def test_an_upload_is_not_dropped_while_it_is_completed(bucket, server, stub, night, monkeypatch):
    begun, may_end = threading.Event(), threading.Event()
    join = S3Artifacts.join_parts

    def slow(*arguments) -> None:
        begun.set()
        may_end.wait(30)
        join(*arguments)

    monkeypatch.setattr(S3Artifacts, "join_parts", slow)
    opened = open_upload(stub, night)
    complete = completion(opened, night)
    found = []
    thread = threading.Thread(target=lambda: found.append(stub.CompleteUpload(complete)))
    thread.start()
    assert begun.wait(30)
    upload_id = opened.upload.upload_id
    abort = ingest_pb2.AbortUploadRequest(upload_id=upload_id)
    assert refusal(server, stub.AbortUpload, abort).reason == "UPLOAD_CLOSED"
    other = UploadIntake(  # of another process, which has other locks
        bucket.facility.uploads, bucket.facility.recordings, bucket.facility.artifacts, None
    )
    with pytest.raises(UploadClosedError, match="being completed"):
        other.abort(upload_id)
    assert bucket.facility.uploads.idle(-1) == []
    may_end.set()
    thread.join(60)
    recording = bucket.facility.recordings.get(found[0].recording.recording_id)
    require_stored(bucket, recording, night)


def test_a_completion_that_died_between_its_steps_is_gone_on_with_by_another_client(
    bucket, server, stub, night, monkeypatch
):
    opened = open_upload(stub, night)
    complete = completion(opened, night)
    died = set()

    def dies(self, upload_id, recording, recordings):
        died.add(upload_id)
        raise StorageUnavailableError("gone", store="s", operation="o")

    with monkeypatch.context() as patch:
        patch.setattr(UploadStore, "accept", dies)
        assert refusal(server, stub.CompleteUpload, complete).reason == "STORAGE_UNAVAILABLE"
    assert died == {opened.upload.upload_id}
    again = open_upload(stub, night)  # the files are joined, and their parts known nevertheless
    known = {(part.path, part.offset_bytes): part.md5 for part in again.upload.parts}
    assert known == {(part.path, part.offset_bytes): part.md5 for part in complete.parts}
    assert not again.signed
    recording = stub.CompleteUpload(complete).recording
    require_stored(bucket, bucket.facility.recordings.get(recording.recording_id), night)


def test_a_part_put_after_the_recording_was_accepted_changes_nothing(bucket, stub, night):
    opened = open_upload(stub, night)
    recording = stub.CompleteUpload(completion(opened, night)).recording
    for signed in opened.signed:
        size = min(PART, (night / signed.path).stat().st_size - signed.offset_bytes)
        with suppress(OSError):  # refused by one server, taken by the other
            put(signed.url, bytes(size))
    require_stored(bucket, bucket.facility.recordings.get(recording.recording_id), night)


def test_a_part_put_while_the_recording_is_made_is_found(bucket, server, stub, night, monkeypatch):
    opened = open_upload(stub, night)
    complete = completion(opened, night)
    (late,) = [s for s in opened.signed if (s.path, s.offset_bytes) == ("traces.bin", PART)]
    join = S3Artifacts.join_parts

    def joined_then_changed(*arguments) -> None:
        join(*arguments)
        with suppress(OSError):
            put(late.url, bytes(PART))

    with monkeypatch.context() as patch:
        patch.setattr(S3Artifacts, "join_parts", joined_then_changed)
        with suppress(Exception):
            stub.CompleteUpload(complete)
    data = (night / "traces.bin").read_bytes()[PART : 2 * PART]
    with suppress(OSError):  # where the server refuses late parts, nothing happened
        put(late.url, data)
    recording = stub.CompleteUpload(complete).recording
    require_stored(bucket, bucket.facility.recordings.get(recording.recording_id), night)


def test_an_upload_whose_parts_the_store_dropped_begins_again(bucket, stub, night):
    opened = open_upload(stub, night)
    for key, parts_id, _ in bucket.facility.artifacts.bucket.list_uploads():
        bucket.facility.artifacts.bucket.abort(key, parts_id)
    again = open_upload(stub, night)
    assert again.upload.upload_id == opened.upload.upload_id
    recording = stub.CompleteUpload(completion(again, night)).recording
    require_stored(bucket, bucket.facility.recordings.get(recording.recording_id), night)


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
