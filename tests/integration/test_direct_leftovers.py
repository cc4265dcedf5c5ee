"""What ended uploads leave in a bucket goes away: later, where the bucket was away meanwhile."""

import urllib.error
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support.cut_proxy import CutProxy
from tests.support.direct import (
    PART,
    announced,
    bucket,
    made_direct,
    put,
    s3,
    sent,
)

from spikefleet.infra.rpc.errors import RpcProblem
from spikefleet.infra.stores.bytes.artifacts import StoredPart
from spikefleet.infra.stores.bytes.s3.artifacts_s3 import S3Artifacts
from spikefleet.infra.stores.sql.database import utc_now
from spikefleet.infra.stores.sql.upload_values import UploadState
from spikefleet.infra.stores.sql.uploads import UploadStore
from spikefleet.ingest.arrivals import Arrivals
from spikefleet.ingest.direct_publishing import part_key
from spikefleet.ingest.direct_uploads import LIFE_S, DirectLimits, DirectUploads
from spikefleet.ingest.staging import Staging
from spikefleet.ingest.uploads import UploadIntake

__all__ = ["bucket", "s3"]  # fixtures

BYTES = b"spikes" * 1000


def room(bucket, artifacts, *, later_s: float = 0.0) -> DirectUploads:
    """The room of a process that has just started, so much later."""
    facility = bucket.facility
    uploads = UploadStore(facility.database, lambda: utc_now() + timedelta(seconds=later_s))
    return DirectUploads(
        uploads, facility.recordings, artifacts, Arrivals(), limits=DirectLimits(PART)
    )


@pytest.fixture
def away(bucket, s3) -> S3Artifacts:
    """The same bucket, of which nothing answers any more."""
    proxy = CutProxy(int(s3.endpoint.rpartition(":")[2]))
    endpoint = f"http://127.0.0.1:{proxy.port}"
    artifacts = S3Artifacts(replace(bucket.place, endpoint=endpoint), s3.credentials)
    proxy.close()
    proxy.hang_up()
    return artifacts


def in_store(bucket) -> list[str]:
    artifacts = bucket.facility.artifacts
    return [*artifacts.list_keys("recordings"), *(u[0] for u in artifacts.bucket.list_uploads())]


def expire(bucket, direct: DirectUploads) -> int:
    facility = bucket.facility
    staging = Staging(facility.folder / "staging")
    intake = UploadIntake(facility.uploads, facility.recordings, facility.artifacts, staging)
    intake.on_dropped = direct.drop
    return intake.expire(-1)


def test_what_expired_while_the_bucket_was_away_is_removed_when_it_is_back(bucket, s3, away):
    direct, artifacts = made_direct(bucket), S3Artifacts(bucket.place, s3.credentials)
    wanted = announced(BYTES)
    joined, unjoined = direct.create(wanted), direct.create(announced(BYTES))
    sent(direct, unjoined, BYTES)
    (told,) = sent(direct, joined, BYTES)
    key = part_key(joined.upload_id, told.path)
    parts_id = bucket.facility.uploads.get(joined.upload_id).direct[told.path]
    artifacts.join_parts(key, parts_id, [StoredPart(1, len(BYTES), told.md5)])
    assert expire(bucket, room(bucket, away)) == 2  # one does not keep the other from it
    assert sorted(in_store(bucket)) == sorted([key, part_key(unjoined.upload_id, told.path)])

    assert room(bucket, away, later_s=2 * LIFE_S).sweep() == 0
    assert len(in_store(bucket)) == 2
    assert room(bucket, artifacts, later_s=2 * LIFE_S).sweep() == 2
    assert in_store(bucket) == []
    assert room(bucket, artifacts, later_s=4 * LIFE_S).sweep() == 0  # it was seen to


def test_an_ended_upload_has_its_turn_when_its_addresses_are_dead(bucket, s3):
    direct, artifacts = made_direct(bucket), S3Artifacts(bucket.place, s3.credentials)
    sent(direct, direct.create(announced(BYTES)), BYTES)
    assert expire(bucket, direct) == 1
    assert in_store(bucket) == []
    assert room(bucket, artifacts, later_s=LIFE_S - 60).sweep() == 0
    assert room(bucket, artifacts, later_s=LIFE_S + 60).sweep() == 1


def test_the_bytes_of_a_recording_outlive_every_sweep(bucket, s3):
    direct, artifacts = made_direct(bucket), S3Artifacts(bucket.place, s3.credentials)
    wanted = announced(BYTES)
    upload = direct.create(wanted)
    signed = direct.first_missing(upload, [])
    recording = direct.complete(upload.upload_id, wanted.files, sent(direct, upload, BYTES))
    kept = set(in_store(bucket))
    for part in signed:
        with suppress(OSError):  # refused by one server, taken by the other
            put(part.url, bytes(len(BYTES)))
    assert room(bucket, artifacts, later_s=2 * LIFE_S).sweep() == 1
    assert set(in_store(bucket)) == kept
    assert artifacts.get_bytes(f"{recording.location}/files/traces.bin") == BYTES
    assert direct.complete(upload.upload_id, wanted.files, ()) == recording


def test_an_upload_can_be_dropped_while_the_bucket_is_away(bucket, away):
    direct, facility = made_direct(bucket), bucket.facility
    upload = direct.create(announced(BYTES))
    sent(direct, upload, BYTES)
    intake = UploadIntake(
        facility.uploads, facility.recordings, away, Staging(facility.folder / "staging")
    )
    intake.on_dropped = room(bucket, away).drop
    intake.abort(upload.upload_id)
    assert facility.uploads.get(upload.upload_id).state is UploadState.ABORTED
    assert in_store(bucket)
    assert room(bucket, facility.artifacts, later_s=2 * LIFE_S).sweep() == 1
    assert in_store(bucket) == []


def test_an_address_takes_no_more_bytes_than_its_part_has(bucket):
    direct = made_direct(bucket)
    upload = direct.create(announced(BYTES))
    (signed,) = direct.first_missing(upload, [])
    upload = bucket.facility.uploads.get(upload.upload_id)  # begun in the store by now
    with pytest.raises(urllib.error.HTTPError, match="403"):
        put(signed.url, BYTES + b"more")
    assert direct.parts(upload) == []
    put(signed.url, BYTES)
    assert [part.size_bytes for part in direct.parts(upload)] == [len(BYTES)]


def test_a_part_that_is_too_long_all_the_same_is_removed_and_may_be_put_again(bucket):
    direct, artifacts = made_direct(bucket), bucket.facility.artifacts
    wanted = announced(BYTES)
    upload = direct.create(wanted)
    told = sent(direct, upload, BYTES)
    parts_id = bucket.facility.uploads.get(upload.upload_id).direct[told[0].path]
    # As a server has it that does not look at the length it was signed for.
    artifacts.bucket.put_part(part_key(upload.upload_id, told[0].path), parts_id, 1, BYTES * 3)
    with pytest.raises(RpcProblem, match="missing") as refused:
        direct.complete(upload.upload_id, wanted.files, told)
    assert refused.value.reason == "UPLOAD_INCOMPLETE"  # what a client answers by sending again
    assert in_store(bucket) == []
    again = bucket.facility.uploads.get(upload.upload_id)
    assert direct.parts(again) == []
    recording = direct.complete(upload.upload_id, wanted.files, sent(direct, again, BYTES))
    assert artifacts.get_bytes(f"{recording.location}/files/traces.bin") == BYTES
