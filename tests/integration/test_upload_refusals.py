"""How calls of the ingest room are refused, by the name of the reason that a program reads."""

import threading
from pathlib import Path

import pytest
from tests.support.intake import NAME, client, facility, refusal, server, source, stub

from spikefleet.api.v1 import ingest_pb2
from spikefleet.infra.rpc.convert.recordings import to_name
from spikefleet.infra.rpc.errors import ServiceError
from spikefleet.ingest import intake

__all__ = ["client", "facility", "server", "source", "stub"]  # fixtures


def wanted(size_bytes: int) -> ingest_pb2.CreateUploadRequest:
    files = [{"path": "traces.bin", "size_bytes": size_bytes}]
    return ingest_pb2.CreateUploadRequest(name=to_name(NAME), files=files, idempotency_key="night")


def test_a_key_that_opened_an_upload_of_other_files_is_upload_conflict(server, stub) -> None:
    opened = stub.CreateUpload(wanted(1000)).upload
    assert stub.CreateUpload(wanted(1000)).upload == opened
    refused = refusal(server, stub.CreateUpload, wanted(1001))
    assert refused.reason == "UPLOAD_CONFLICT"
    assert refused.next_step


def test_a_part_that_ends_without_its_digest_is_upload_stalled(server, stub) -> None:
    upload_id = stub.CreateUpload(wanted(1000)).upload.upload_id
    half = ingest_pb2.UploadPartsRequest(upload_id=upload_id, path="traces.bin", data=bytes(500))
    refused = refusal(server, lambda: list(stub.UploadParts(iter([half]))))
    assert refused.reason == "UPLOAD_STALLED"
    assert stub.GetUpload(ingest_pb2.GetUploadRequest(upload_id=upload_id)).upload.parts == []


def test_a_file_that_grows_while_it_is_digested_is_source_changed(
    client, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, grown = intake.digest_file, threading.Event()

    def while_it_is_written(path: Path) -> str:
        found = digest(path)
        if not grown.is_set():
            grown.set()
            for file in source.rglob("*.*"):
                with file.open("ab") as handle:
                    handle.write(b"more")
        return found

    monkeypatch.setattr(intake, "digest_file", while_it_is_written)
    with pytest.raises(ServiceError) as caught:
        client.add_recording(source, name=NAME, in_place=True)
    assert caught.value.reason == "SOURCE_CHANGED"
    assert client.add_recording(source, name=NAME, in_place=True).files
