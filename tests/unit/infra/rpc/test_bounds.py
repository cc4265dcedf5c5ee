"""How much a request may say: what people mean passes, what nobody means is refused by name."""

from __future__ import annotations

import pytest
from google.protobuf.struct_pb2 import Struct

from spikefleet.api.v1 import controller_pb2, ingest_pb2
from spikefleet.infra.rpc.bounds import DOCUMENT_DEPTH, MOST_TEXT_BYTES, require_bounded
from spikefleet.infra.rpc.convert.structs import to_struct
from spikefleet.infra.rpc.errors import RpcProblem


def _refused(message) -> RpcProblem:  # type: ignore[no-untyped-def]
    with pytest.raises(RpcProblem) as caught:
        require_bounded(message)
    assert caught.value.reason == "TOO_LARGE"
    return caught.value


def test_what_people_submit_passes() -> None:
    overrides = {"snr_min": 5.0, "sorter_params": {"whitening": {"range": [1, 2, 3]}}}
    require_bounded(
        ingest_pb2.SubmitRequest(
            recording_ids=["rec-1"] * 10_000,
            overrides=to_struct(overrides),
            label="x" * MOST_TEXT_BYTES,
        )
    )
    files = [{"path": "x" * 200, "size_bytes": 1, "sha256": "0" * 64} for _ in range(10_001)]
    require_bounded(ingest_pb2.CreateUploadRequest(files=files))
    require_bounded(controller_pb2.ListHoldsRequest())


def test_text_is_measured_in_bytes_and_named_where_it_lies() -> None:
    request = ingest_pb2.CreateUploadRequest(name={"project": "é" * (MOST_TEXT_BYTES // 2 + 1)})
    assert _refused(request).field == "name.project"


def test_a_document_is_as_deep_as_it_may_be_and_no_deeper() -> None:
    document = Struct()
    inner = document
    for _ in range(DOCUMENT_DEPTH - 1):
        inner = inner.fields["a"].struct_value
    inner.fields["end"].number_value = 1
    require_bounded(controller_pb2.RetryRunRequest(overrides=document))
    inner.fields["a"].struct_value.fields["too"].number_value = 1
    assert "deeper" in _refused(controller_pb2.RetryRunRequest(overrides=document)).message


def test_a_list_in_a_list_counts_as_depth_too() -> None:
    document = Struct()
    value = document.fields["a"]
    for _ in range(20):
        value = value.list_value.values.add()
    value.number_value = 1
    assert "deeper" in _refused(controller_pb2.RetryRunRequest(overrides=document)).message
