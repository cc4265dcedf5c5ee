"""One caller who asks for much, slowly, or leaves: nobody else waits for him, nor does the end."""

from __future__ import annotations

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from tests.support.service import Service

from spikefleet.api.v1 import (
    controller_pb2,
    controller_pb2_grpc,
    ingest_pb2,
    ingest_pb2_grpc,
)
from spikefleet.infra.rpc.channels import dial

HUGE_BYTES = 1 << 42  # four terabytes of holes: no disk is filled, and reading them takes an hour


@pytest.fixture
def huge(tmp_path: Path) -> Path:
    path = tmp_path / "night.dat"
    with path.open("wb") as handle:
        try:
            handle.truncate(HUGE_BYTES)
        except OSError as error:
            pytest.skip(f"this file system has no holes that large: {error}")
    return path


def _register(path: Path, number: int) -> ingest_pb2.RegisterRecordingRequest:
    name = {"project": "p", "session": "s", "name": f"n{number}"}
    return ingest_pb2.RegisterRecordingRequest(name=name, path=str(path))


def test_twelve_digests_of_a_huge_file_starve_nobody_and_end_with_their_callers(
    attacked, operator, stranger, huge, tmp_path
) -> None:
    calls = [
        operator.ingest.RegisterRecording.future(_register(huge, number), timeout=300)
        for number in range(12)
    ]
    time.sleep(1.0)
    for attacker in (stranger, operator):
        began_s = time.monotonic()
        attacker.controller.ListHolds(controller_pb2.ListHoldsRequest(), timeout=10)
        attacker.controller.ListRuns(controller_pb2.ListRunsRequest(), timeout=10)
        assert time.monotonic() - began_s < 5
    for call in calls:
        call.cancel()
    small = tmp_path / "small.dat"
    small.write_bytes(b"bytes")
    began_s = time.monotonic()
    operator.ingest.RegisterRecording(_register(small, 99), timeout=30)
    assert time.monotonic() - began_s < 10


def test_a_hundred_watchers_keep_no_other_call_waiting(attacked, stranger) -> None:
    watched = controller_pb2.WatchRunRequest(run_id=attacked.victim.run_id)

    def ask(_: int) -> int:
        return len(list(stranger.controller.WatchRun(watched, timeout=30)))

    with ThreadPoolExecutor(20) as pool:
        assert all(pool.map(ask, range(100)))


def test_parts_that_never_end_hold_no_other_upload(attacked, stranger, other) -> None:
    size_bytes = 16 << 20
    request = ingest_pb2.CreateUploadRequest(
        name={"project": "p", "session": "s", "name": "slow"},
        files=[{"path": "a", "size_bytes": size_bytes}],
    )
    uploads = [stranger.ingest.CreateUpload(request).upload.upload_id for _ in range(40)]

    def slowly(upload_id: str):  # type: ignore[no-untyped-def]
        yield ingest_pb2.UploadPartsRequest(upload_id=upload_id, path="a", data=b"x")
        time.sleep(8)

    streams = [stranger.ingest.UploadParts(slowly(upload_id)) for upload_id in uploads]
    time.sleep(0.5)
    data = b"quick"
    mine = other.ingest.CreateUpload(
        ingest_pb2.CreateUploadRequest(
            name={"project": "p", "session": "s", "name": "quick"},
            files=[{"path": "a", "size_bytes": len(data)}],
        )
    ).upload.upload_id
    part = ingest_pb2.UploadPartsRequest(
        upload_id=mine, path="a", data=data, part_sha256=hashlib.sha256(data).hexdigest()
    )
    began_s = time.monotonic()
    (answer,) = other.ingest.UploadParts(iter([part]), timeout=20)
    assert answer.part.size_bytes == len(data)
    assert time.monotonic() - began_s < 5
    for stream in streams:
        stream.cancel()


def test_sigterm_ends_within_grace_behind_digests_and_callers_who_hang(tmp_path, huge) -> None:
    service = Service(tmp_path / "data").start()
    try:
        with dial(service.address) as channel:
            ingest = ingest_pb2_grpc.IngestServiceStub(channel)
            controller = controller_pb2_grpc.ControllerServiceStub(channel)
            calls = [
                ingest.RegisterRecording.future(_register(huge, number)) for number in range(3)
            ]
            silent = ingest.UploadParts(iter(lambda: time.sleep(60), 0))
            time.sleep(1.0)
            began_s = time.monotonic()
            assert service.stop() == 0
            assert time.monotonic() - began_s < 25
            for call in calls:
                assert call.exception() is not None
            silent.cancel()
            with pytest.raises(grpc.RpcError):
                controller.ListHolds(controller_pb2.ListHoldsRequest(), timeout=2)
    finally:
        service.close()
