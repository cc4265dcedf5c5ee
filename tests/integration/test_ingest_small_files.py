"""Small files travel together: stored whole or not at all, refused by name, and sent once."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.intake import NAME, client, digest_of, facility, refusal, server, source, stub
from tests.support.serving import Serving

from spikefleet.api.v1 import ingest_pb2
from spikefleet.client.sorting import SortingClient
from spikefleet.infra.rpc.convert.recordings import to_name
from spikefleet.infra.rpc.server import ServerOptions
from spikefleet.infra.stores.sql.uploads import UploadStore

__all__ = ["client", "facility", "server", "source", "stub"]  # fixtures

FILES = 600


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A folder of 600 files of up to 90 bytes, two of them empty, and one of three messages."""
    folder = tmp_path / "rig" / "chunks"
    for number in range(FILES):
        inner = folder / f"{number // 100}"
        inner.mkdir(parents=True, exist_ok=True)
        (inner / f"{number}.bin").write_bytes(f"{number}".encode() * 30)
    (folder / "0" / "0.bin").write_bytes(b"")
    (folder / "5" / "599.bin").write_bytes(b"")
    (folder / "3" / "large.bin").write_bytes(bytes(range(256)) * 2048 + b"the end")
    return folder


class Groups:
    """Notes which parts a store is asked to remember together, and may end the world after some."""

    def __init__(self, uploads: UploadStore) -> None:
        self._add = uploads.add_parts
        self.paths: list[list[str]] = []
        uploads.add_parts = self  # type: ignore[method-assign, assignment]

    def __call__(self, upload_id, parts) -> None:
        self._add(upload_id, parts)
        self.paths.append([part.path for part in parts])


def test_small_files_are_stored_together_and_each_is_whole(facility, client, many) -> None:
    groups, seen = Groups(facility.uploads), []
    recording = client.add_recording(many, name=NAME, in_place=False, progress=seen.append)
    sent = {path.relative_to(many).as_posix(): path for path in many.rglob("*") if path.is_file()}
    assert {file.path: file.sha256 for file in recording.files} == {
        path: digest_of(file) for path, file in sent.items()
    }
    assert sorted(map(len, groups.paths)) == [1, FILES - 2 - 2 * 256, 256, 256]
    assert seen[-1].done_bytes == seen[-1].total_bytes == recording.size_bytes
    prefix = f"{recording.location}/files"
    assert all(
        facility.artifacts.get_bytes(f"{prefix}/{path}") == file.read_bytes()
        for path, file in sent.items()
    )


def test_a_server_that_takes_no_small_parts_gets_them_one_by_one(
    facility, client, source, monkeypatch
) -> None:
    monkeypatch.setattr("spikefleet.ingest.servicer.MOST_SMALL_PARTS", 0)
    groups = Groups(facility.uploads)
    client.add_recording(source, name=NAME, in_place=False)
    assert groups.paths.count(["meta/settings.xml"]) == 1


def test_a_service_that_restarts_between_groups_is_sent_none_of_them_again(facility, many) -> None:
    groups = Groups(facility.uploads)
    first = Serving(facility.rooms, ServerOptions(grace_s=0.0)).start()
    restarted: list[Serving] = []

    def restart_once(transfer) -> None:
        if not restarted:
            first.stop()
            restarted.append(Serving(facility.rooms, port=first.port).start())

    with SortingClient(first.address, patience_s=30.0) as client:
        recording = client.add_recording(many, in_place=False, progress=restart_once)
    restarted[0].stop()
    stored = [path for group in groups.paths for path in group]
    assert len(stored) == len(set(stored)) == FILES - 1
    assert all(file.sha256 == digest_of(many / file.path) for file in recording.files)


RIG = """
import sys, time
from spikefleet.client.sorting import SortingClient

def tell(transfer):
    print(transfer.done_bytes, flush=True)
    time.sleep(60)

SortingClient(sys.argv[1]).add_recording(sys.argv[2], in_place=False, progress=tell)
"""


def test_a_client_killed_behind_a_group_sends_the_others_only(facility, server, many) -> None:
    groups = Groups(facility.uploads)
    command = [sys.executable, "-c", RIG, server.address, str(many)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as rig:
        assert rig.stdout is not None
        assert rig.stdout.readline()
        rig.kill()
    assert [len(paths) for paths in groups.paths] == [256]
    with SortingClient(server.address) as client:
        recording = client.add_recording(many, in_place=False)
    stored = [path for group in groups.paths for path in group]
    assert len(stored) == len(set(stored)) == FILES - 1
    assert all(file.sha256 == digest_of(many / file.path) for file in recording.files)


def _open(stub, sizes_bytes: dict[str, int]) -> str:
    files = [{"path": path, "size_bytes": size} for path, size in sizes_bytes.items()]
    request = ingest_pb2.CreateUploadRequest(name=to_name(NAME), files=files)
    upload = stub.CreateUpload(request).upload
    assert upload.most_small_parts == 256
    return upload.upload_id


def _small(path: str, data: bytes, **changes) -> ingest_pb2.SmallPart:
    digest = hashlib.sha256(data).hexdigest()
    return ingest_pb2.SmallPart(**({"path": path, "data": data, "file_sha256": digest} | changes))


def _send(stub, upload_id: str, parts, **changes) -> list[ingest_pb2.UploadPartsResponse]:
    message = ingest_pb2.UploadPartsRequest(upload_id=upload_id, small_parts=parts, **changes)
    return list(stub.UploadParts(iter([message])))


def _stored(stub, upload_id: str) -> list[str]:
    got = stub.GetUpload(ingest_pb2.GetUploadRequest(upload_id=upload_id)).upload
    return [part.path for part in got.parts]


def test_every_small_part_is_acknowledged_with_its_own_digest(stub) -> None:
    upload_id = _open(stub, {"a": 3, "b": 4})
    own = {"file_sha256": "", "part_sha256": hashlib.sha256(b"abcd").hexdigest()}
    (answer,) = _send(stub, upload_id, [_small("a", b"abc"), _small("b", b"abcd", **own)])
    told = [
        (part.path, part.size_bytes, part.file_sha256, part.sha256) for part in answer.small_parts
    ]
    assert told == [
        ("a", 3, hashlib.sha256(b"abc").hexdigest(), ""),
        ("b", 4, "", own["part_sha256"]),
    ]
    request = ingest_pb2.CompleteUploadRequest(upload_id=upload_id)
    files = stub.CompleteUpload(request).recording.files
    assert [file.sha256 for file in files] == [
        hashlib.sha256(data).hexdigest() for data in (b"abc", b"abcd")
    ]


def test_one_damaged_small_part_is_named_and_none_of_its_message_is_stored(
    facility, server, stub
) -> None:
    upload_id = _open(stub, {"a": 3, "b": 3})
    parts = [_small("a", b"abc"), _small("b", b"xyz", file_sha256="0" * 64)]
    error = refusal(server, _send, stub, upload_id, parts)
    assert (error.reason, error.details["path"]) == ("PART_DAMAGED", "b")
    assert _stored(stub, upload_id) == []
    assert not (facility.folder / "staging" / upload_id).exists()


@pytest.mark.parametrize(
    ("parts", "changes", "field"),
    [
        ([_small("a", b"abc"), _small("a", b"abc")], {}, "small_parts.path"),
        ([_small("a", b"abc"), _small("c", b"abc")], {}, "path"),
        ([_small("a", b"abc"), _small("../b", b"abc")], {}, "path"),
        ([_small("a", b"abc"), _small("b", b"ab")], {}, "data"),
        ([_small("a", b"abc"), _small("b", b"abcd")], {}, "data"),
        ([_small("a", b"abc", offset_bytes=1)], {}, "offset_bytes"),
        ([_small("a", b"abc")], {"path": "a", "data": b"abc"}, "small_parts"),
        ([_small("a", b"abc")], {"offset_bytes": 1}, "small_parts"),
        ([_small("a", bytes(1 << 19)), _small("b", bytes((1 << 19) + 1))], {}, "data"),
        ([_small(f"{number}", b"") for number in range(257)], {}, "small_parts"),
    ],
    ids=["twice", "strange", "outside", "short", "long", "offset", "both", "at", "size", "many"],
)
def test_a_message_of_small_parts_that_does_not_fit_is_refused_whole(
    server, stub, parts, changes, field
) -> None:
    upload_id = _open(stub, {"a": 3, "b": 3})
    error = refusal(server, _send, stub, upload_id, parts, **changes)
    assert (error.reason, error.field) == ("INVALID_ARGUMENT", field)
    assert _stored(stub, upload_id) == []


def test_small_parts_within_another_part_are_refused(server, stub) -> None:
    upload_id = _open(stub, {"a": 6, "b": 3})

    def send() -> None:
        begun = ingest_pb2.UploadPartsRequest(upload_id=upload_id, path="a", data=b"abc")
        mixed = ingest_pb2.UploadPartsRequest(
            upload_id=upload_id, path="a", offset_bytes=3, small_parts=[_small("b", b"abc")]
        )
        list(stub.UploadParts(iter([begun, mixed])))

    error = refusal(server, send)
    assert (error.reason, error.field) == ("INVALID_ARGUMENT", "small_parts")
