"""Paths and names that lead elsewhere: in place, in uploads, in archives and in what is fetched."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.support.archives import archive_folder, neural_like, save_folder
from tests.support.runs import make_run
from tests.support.serving import serving

from spikefleet.api.v1 import (
    controller_pb2,
    controller_pb2_grpc,
    ingest_pb2,
    reporter_pb2,
    reporter_pb2_grpc,
)
from spikefleet.client.downloads import DamagedCopyError
from spikefleet.client.sorting import SortingClient
from spikefleet.core.failures.errors import InputCorruptError
from spikefleet.core.files import digest_document
from spikefleet.infra.rpc.convert.runs import to_run
from spikefleet.infra.rpc.server import Registration
from spikefleet.signal.archive.restore import restore_archive

_NAME = {"project": "p", "session": "s", "name": "n"}


def _in_place(path: object) -> ingest_pb2.RegisterRecordingRequest:
    return ingest_pb2.RegisterRecordingRequest(name=_NAME, path=str(path))


@pytest.mark.parametrize(
    "path", ["/proc/self/environ", "/proc/1/maps", "/sys/kernel/notes", "/dev/zero", "/run"]
)
def test_nothing_of_the_system_is_registered_not_even_by_the_operator(
    attacked, operator, path
) -> None:
    refusal = operator.refused(operator.ingest.RegisterRecording, _in_place(path), timeout=20)
    assert refusal.reason == "PATH_REFUSED"


@pytest.mark.parametrize("path", ["/etc/shadow", "/etc", "/root/.ssh/id_rsa", "/tmp", "/nothing"])
def test_a_stranger_registers_no_path_and_learns_not_what_is_there(
    attacked, stranger, path
) -> None:
    refusal = stranger.refused(stranger.ingest.RegisterRecording, _in_place(path))
    assert refusal.reason == "PATH_NOT_ALLOWED"
    assert "only the user who runs the service" in refusal.message


def test_a_fifo_is_not_waited_for(attacked, operator, tmp_path) -> None:
    os.mkfifo(tmp_path / "rec.raw")
    register = operator.ingest.RegisterRecording
    alone = operator.refused(register, _in_place(tmp_path / "rec.raw"), timeout=20)
    in_folder = operator.refused(register, _in_place(tmp_path), timeout=20)
    assert (alone.reason, in_folder.reason) == ("PATH_REFUSED", "PATH_REFUSED")


def test_a_link_in_a_recording_leads_nowhere_else(attacked, operator, tmp_path) -> None:
    folder = tmp_path / "rec"
    folder.mkdir()
    (folder / "traces.raw").symlink_to("/etc/passwd")
    refusal = operator.refused(operator.ingest.RegisterRecording, _in_place(folder))
    assert refusal.reason == "PATH_REFUSED"
    assert "/etc/passwd" in refusal.message


NAMES = {
    "climbing": ["../../marker"],
    "absolute": ["/tmp/marker"],
    "climbing inside": ["a/../../marker"],
    "with NUL": ["a\0b"],
    "with a control character": ["a\x1b[31m"],
    "empty part": ["a//b"],
    "too long": ["x" * 300],
    "twice": ["a", "a"],
    "one but for case": ["A.bin", "a.bin"],
    "one but for an accent": ["caf\u00e9", "cafe\u0301"],
    "file and folder": ["a", "a/b"],
}


@pytest.mark.parametrize("what", NAMES)
def test_an_upload_with_such_names_is_refused_before_a_byte_is_taken(
    attacked, stranger, what
) -> None:
    files = [{"path": name, "size_bytes": 1} for name in NAMES[what]]
    request = ingest_pb2.CreateUploadRequest(name=_NAME, files=files)
    refusal = stranger.refused(stranger.ingest.CreateUpload, request)
    assert (refusal.reason, refusal.field) == ("INVALID_ARGUMENT", "files.path")


@pytest.mark.parametrize("entry", ["../x", "/etc/passwd", "elsewhere", "a\0"])
def test_an_upload_is_entered_at_one_of_its_own_files(attacked, stranger, entry) -> None:
    files = [{"path": "a", "size_bytes": 1}]
    request = ingest_pb2.CreateUploadRequest(name=_NAME, files=files, entry=entry)
    assert stranger.refused(stranger.ingest.CreateUpload, request).field == "entry"


@pytest.mark.parametrize("size", [-1, (1 << 63) - 1])
def test_no_file_has_an_impossible_size(attacked, stranger, size) -> None:
    request = ingest_pb2.CreateUploadRequest(name=_NAME, files=[{"path": "a", "size_bytes": size}])
    assert stranger.refused(stranger.ingest.CreateUpload, request).field == "files.size_bytes"


def _crafted(tmp_path: Path, change: Any) -> Path:
    """An archive whose manifest was changed and signed anew."""
    archive = tmp_path / "archive"
    archive_folder(save_folder(neural_like(500, 3), tmp_path / "rec"), archive)
    document = json.loads((archive / "archive.json").read_text())
    document.pop("digest")
    change(document)
    document["digest"] = digest_document(document)
    (archive / "archive.json").write_text(json.dumps(document))
    return archive


def _rename_source(names: list[str]) -> Any:
    def change(document: dict[str, Any]) -> None:
        first = document["sources"][0]
        document["sources"] = [{**first, "path": name} for name in names] + document["sources"][1:]

    return change


@pytest.mark.parametrize("what", NAMES)
def test_an_archive_writes_nothing_outside_its_target_nor_over_itself(tmp_path, what) -> None:
    archive = _crafted(tmp_path, _rename_source(NAMES[what]))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputCorruptError):
        restore_archive(archive, tmp_path / "out" / "deep")
    assert sorted(tmp_path.rglob("*")) == before
    assert not Path("/tmp/marker").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["folders"].append("../outside"),
        lambda d: d["objects"][0].update(path="../../etc/passwd"),
        lambda d: d["streams"][0].update(folder="/etc"),
        lambda d: d["streams"][0]["traces"].update(path="../../x"),
        lambda d: d["folders"].append(d["sources"][0]["path"]),
        lambda d: d.update(entry="../../../etc/passwd"),
        lambda d: d["containers"].append(
            {
                "source": d["sources"][0]["path"],
                "rest": d["objects"][0]["path"],
                "holes": [[0, 1 << 62]],
            }
        ),
    ],
)
def test_every_other_path_and_hole_of_a_manifest_is_held_to_the_archive(tmp_path, change) -> None:
    archive = _crafted(tmp_path, change)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputCorruptError):
        restore_archive(archive, tmp_path / "out")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_manifest_nested_without_end_is_unreadable_and_no_crash(tmp_path) -> None:
    (tmp_path / "archive.json").write_text("[" * 200_000)
    with pytest.raises(InputCorruptError):
        restore_archive(tmp_path, tmp_path / "out")


class HostileServer(reporter_pb2_grpc.ReporterServiceServicer):
    """Lists names of its choice for every run."""

    def __init__(self, names: list[str], data: bytes, size_bytes: int) -> None:
        self._names, self._data, self._size_bytes = names, data, size_bytes

    async def ListArtifacts(self, request, context):  # noqa: N802
        digest = hashlib.sha256(self._data).hexdigest()
        return reporter_pb2.ListArtifactsResponse(
            artifacts=[
                {"key": "k", "path": name, "size_bytes": self._size_bytes, "sha256": digest}
                for name in self._names
            ]
        )

    async def ReadArtifact(self, request, context):  # noqa: N802
        yield reporter_pb2.ReadArtifactResponse(data=self._data[request.offset_bytes :])


class AnyRun(controller_pb2_grpc.ControllerServiceServicer):
    """Knows every run."""

    async def GetRun(self, request, context):  # noqa: N802
        return controller_pb2.GetRunResponse(run=to_run(make_run(run_id=request.run_id), []))

    async def ListCurations(self, request, context):  # noqa: N802 - the wire's name
        return controller_pb2.ListCurationsResponse()


def _fetch(folder: Path, names: list[str], size_bytes: int = 5) -> None:
    services = [
        Registration(
            "spikefleet.api.v1.ReporterService",
            HostileServer(names, b"owned", size_bytes),
            reporter_pb2_grpc.add_ReporterServiceServicer_to_server,
        ),
        Registration(
            "spikefleet.api.v1.ControllerService",
            AnyRun(),
            controller_pb2_grpc.add_ControllerServiceServicer_to_server,
        ),
    ]
    with serving(lambda _: services) as server, SortingClient(server.address) as client:
        client.fetch("run-1", folder)


@pytest.mark.parametrize("what", NAMES)
def test_a_hostile_service_writes_nothing_at_the_client(tmp_path, what) -> None:
    with pytest.raises(DamagedCopyError):
        _fetch(tmp_path / "deep" / "out", NAMES[what])
    assert list(tmp_path.rglob("*")) == []


def test_a_hostile_service_writes_through_no_link_and_no_more_than_it_lists(tmp_path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "sort").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DamagedCopyError, match="is a link"):
        _fetch(tmp_path / "out", ["sort/a"])
    with pytest.raises(DamagedCopyError, match="longer"):
        _fetch(tmp_path / "out", ["b"], size_bytes=2)
    assert list((tmp_path / "elsewhere").iterdir()) == []
