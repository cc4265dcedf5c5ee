"""Recordings of very many small files: one upload, in time that grows with their number."""

import time

import pytest
from tests.support.intake import NAME, client, facility, refusal, server, stub

from spikefleet.api.v1 import ingest_pb2
from spikefleet.client.sorting import SortingClient
from spikefleet.infra.rpc.convert.recordings import to_name

__all__ = ["client", "facility", "server", "stub"]  # fixtures


def _upload_s(client: SortingClient, folder, count: int) -> float:  # type: ignore[no-untyped-def]
    folder.mkdir()
    for number in range(count):
        (folder / f"part-{number:06d}.dat").write_bytes(b"%d" % number)
    began_s = time.monotonic()
    assert len(client.add_recording(folder, in_place=False).files) == count
    return time.monotonic() - began_s


def test_four_times_the_files_take_about_four_times_the_time(client, tmp_path) -> None:
    _upload_s(client, tmp_path / "warm", 10)
    few_s, many_s = (_upload_s(client, tmp_path / f"n{n}", n) for n in (40, 160))
    assert many_s < 4 * 2.0 * few_s + 1.0


def test_ninety_thousand_files_are_one_upload(server, stub) -> None:
    files = [
        {"path": f"night/{number:06d}/" + "x" * 60, "size_bytes": 1, "sha256": "0" * 64}
        for number in range(90_000)
    ]
    request = ingest_pb2.CreateUploadRequest(name=to_name(NAME), files=files)
    upload = stub.CreateUpload(request, timeout=120).upload
    assert len(upload.files) == 90_000


@pytest.mark.parametrize("count", [100_001])
def test_more_than_the_stated_bound_is_refused_with_it(server, stub, count) -> None:
    files = [{"path": f"{number}", "size_bytes": 1} for number in range(count)]
    request = ingest_pb2.CreateUploadRequest(name=to_name(NAME), files=files)
    error = refusal(server, stub.CreateUpload, request, timeout=120)
    assert error.field == "files"
    assert "100000" in str(error)
