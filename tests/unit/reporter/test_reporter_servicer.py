"""ReporterService over a real connection, with a real confined process."""

import hashlib

import grpc
import pytest
from tests.support.confined import make_rooms
from tests.support.rooms import serving
from tests.support.sorted_runs import (
    REPORT,
    RUN_ID,
    SORT_PREFIX,
    flip_byte,
    make_unsortable_record,
)

from spikefleet.api.v1 import reporter_pb2, reporter_pb2_grpc
from spikefleet.infra.rpc.convert.attempt_refs import to_attempt_ref
from spikefleet.infra.rpc.convert.structs import from_struct, to_struct
from spikefleet.infra.stores.bytes.artifacts import pointer_key, publish_folder
from spikefleet.infra.stores.bytes.artifacts_local import LocalArtifacts
from spikefleet.reporter.servicer import registration


@pytest.fixture
def store(tmp_path):
    return LocalArtifacts(tmp_path / "artifacts")


@pytest.fixture
async def stub(store, tmp_path):
    entry = registration(make_rooms(tmp_path).reports, lambda run_id, owner: False)
    async with serving(entry) as channel:
        yield reporter_pb2_grpc.ReporterServiceStub(channel)


def make_request(**changes):
    values = {
        "run_id": RUN_ID,
        "attempt": to_attempt_ref(REPORT),
        "record": to_struct(make_unsortable_record()),
    }
    return reporter_pb2.RenderRequest(**(values | changes))


async def read(stub, key, offset_bytes=0):
    request = reporter_pb2.ReadArtifactRequest(key=key, offset_bytes=offset_bytes)
    return [chunk.data async for chunk in stub.ReadArtifact(request)]


async def test_report_is_rendered_listed_and_read(stub, store):
    answer = await stub.Render(make_request())
    assert not answer.HasField("failure")
    store.swap_pointer(pointer_key(RUN_ID), {"report": answer.prefix, "token": 7})

    report = await stub.GetReport(reporter_pb2.GetReportRequest(run_id=RUN_ID))
    assert report.html_key == answer.html_key
    assert from_struct(report.report)["verdict"]["label"] == "Unsortable"

    listed = await stub.ListArtifacts(reporter_pb2.ListArtifactsRequest(run_id=RUN_ID))
    assert [a.path for a in listed.artifacts] == [
        "report/recording_report.json",
        "report/report.html",
        "report/report.md",
    ]
    page = listed.artifacts[1]
    data = b"".join(await read(stub, page.key))
    assert hashlib.sha256(data).hexdigest() == page.sha256
    assert await read(stub, page.key, len(data) - 5) == [data[-5:]]


async def test_large_files_come_in_chunks_of_at_most_one_mebibyte(stub, store, tmp_path):
    folder = tmp_path / "sort"
    folder.mkdir()
    (folder / "big.bin").write_bytes(bytes(5 << 19))
    publish_folder(store, SORT_PREFIX, folder)
    sizes = [len(chunk) for chunk in await read(stub, f"{SORT_PREFIX}/big.bin")]
    assert sizes == [1 << 20, 1 << 20, 1 << 19]


async def test_record_of_another_shape_is_an_answer_with_a_failure(stub):
    record = to_struct({"events": ["not an event"]})
    answer = await stub.Render(make_request(record=record))
    assert answer.failure.stage == "report"
    assert answer.html_key == ""


async def test_run_without_report_is_not_found(stub):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetReport(reporter_pb2.GetReportRequest(run_id="run-none"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    listed = await stub.ListArtifacts(reporter_pb2.ListArtifactsRequest(run_id="run-none"))
    assert list(listed.artifacts) == []


@pytest.mark.parametrize(
    "key",
    ["recordings/r/files/a", "runs/../recordings/r", "/etc/passwd", "runs/x", "runs/a/./b"],
)
async def test_only_files_of_runs_are_served(stub, key):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await read(stub, key)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_no_key_at_all_is_refused_as_empty(stub):
    with pytest.raises(grpc.aio.AioRpcError, match="key is empty") as caught:
        await read(stub, "")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_flipped_byte_is_never_handed_out_as_good(stub, store):
    answer = await stub.Render(make_request())
    store.swap_pointer(pointer_key(RUN_ID), {"report": answer.prefix, "token": 7})
    await read(stub, answer.html_key)
    flip_byte(store, answer.html_key)
    flip_byte(store, f"{answer.prefix}/recording_report.json")
    for call in (
        read(stub, answer.html_key),
        read(stub, answer.html_key, 5),
        stub.GetReport(reporter_pb2.GetReportRequest(run_id=RUN_ID)),
    ):
        with pytest.raises(grpc.aio.AioRpcError, match="not those its manifest lists") as caught:
            await call
        assert caught.value.code() is grpc.StatusCode.DATA_LOSS
    assert await read(stub, f"{answer.prefix}/report.md")


async def test_what_an_unfinished_attempt_left_is_read_as_it_is(stub, store):
    key = f"runs/{RUN_ID}/attempts/sort-9/child.log"
    store.put_bytes(key, b"its last words")
    assert await read(stub, key) == [b"its last words"]
