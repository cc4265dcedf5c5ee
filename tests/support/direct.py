"""Recordings that rigs put straight into a bucket of a real server, by the rooms that take them."""

import hashlib
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.cut_proxy import CutProxy
from tests.support.facility import Facility
from tests.support.intake import NAME, digest_of
from tests.support.s3_servers import S3Server
from tests.support.serving import Serving, serving, write_bytes_file

from spikefleet.api.v1 import ingest_pb2, ingest_pb2_grpc
from spikefleet.client.sorting import SortingClient
from spikefleet.core.rooms.uploads import UploadedPart
from spikefleet.core.submissions import ManifestFile
from spikefleet.infra.rpc.channels import dial
from spikefleet.infra.rpc.convert.recordings import to_name
from spikefleet.infra.stores.bytes.artifacts import verify_prefix
from spikefleet.infra.stores.bytes.s3.artifacts_s3 import S3Artifacts
from spikefleet.infra.stores.bytes.s3.bucket import S3Place
from spikefleet.ingest.arrivals import Arrivals
from spikefleet.ingest.direct_uploads import DirectLimits, DirectUploads
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
        self.facility.direct = DirectLimits(PART)


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


def put(url: str, data: bytes) -> None:
    request = urllib.request.Request(url, data=data, method="PUT", headers={"Content-Type": "a/b"})
    urllib.request.urlopen(request, timeout=30).close()  # a refusal may come before the bytes


def part_of(signed, data: bytes) -> ingest_pb2.UploadedPart:
    return ingest_pb2.UploadedPart(
        path=signed.path,
        offset_bytes=signed.offset_bytes,
        size_bytes=len(data),
        md5=hashlib.md5(data).hexdigest(),
    )


def completion(opened, night) -> ingest_pb2.CompleteUploadRequest:
    """Put every part; return what ends the upload."""
    told = []
    for signed in opened.signed:
        data = (night / signed.path).read_bytes()[signed.offset_bytes : signed.offset_bytes + PART]
        put(signed.url, data)
        told.append(part_of(signed, data))
    files = [
        {"path": p.name, "size_bytes": p.stat().st_size, "sha256": digest_of(p)}
        for p in night.iterdir()
    ]
    return ingest_pb2.CompleteUploadRequest(
        upload_id=opened.upload.upload_id, files=files, parts=told
    )


def made_direct(bucket, **limits) -> DirectUploads:
    facility = bucket.facility
    return DirectUploads(
        facility.uploads,
        facility.recordings,
        facility.artifacts,
        Arrivals(),
        limits=DirectLimits(PART, **limits),
    )


def sent(direct, upload, content: bytes) -> list[UploadedPart]:
    """Put one file's bytes where the upload wants them; return what to tell."""
    told = []
    for signed in direct.first_missing(upload, direct.parts(upload)):
        data = content[signed.offset_bytes : signed.offset_bytes + PART]
        put(signed.url, data)
        md5 = hashlib.md5(data).hexdigest()
        told.append(UploadedPart(signed.path, signed.offset_bytes, len(data), "", md5=md5))
    return told


def announced(content: bytes, **more) -> UploadRequest:
    files = (ManifestFile("traces.bin", len(content), hashlib.sha256(content).hexdigest()),)
    return UploadRequest(NAME, files, "traces.bin", owner="anyone", **more)
