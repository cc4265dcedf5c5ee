"""Requests that say more than anybody means, and settings that are not the client's to make."""

from __future__ import annotations

import pytest
from google.protobuf.struct_pb2 import Struct
from sqlalchemy import create_engine, text

from spikefleet.api.v1 import controller_pb2, ingest_pb2
from spikefleet.infra.rpc.convert.structs import to_struct


def _deep(levels: int) -> Struct:
    document = Struct()
    inner = document
    for _ in range(levels):
        inner = inner.fields["a"].struct_value
    inner.fields["end"].bool_value = True
    return document


OVERRIDES = {
    "nested without end": _deep(20),
    "a huge text": to_struct({"notes": "x" * 100_000}),
    "a huge name": to_struct({"x" * 100_000: 1}),
    "a huge list": to_struct({"sorter_params": {"a": list(range(5000))}}),
    "many keys": to_struct({f"k{n}": n for n in range(5000)}),
    "many bytes": to_struct({f"k{n}": "x" * 4000 for n in range(100)}),
}


@pytest.mark.parametrize("what", OVERRIDES)
def test_such_overrides_are_refused_at_the_door(attacked, stranger, operator, what) -> None:
    for attacker in (stranger, operator):
        submit = ingest_pb2.SubmitRequest(recording_ids=["rec-1"], overrides=OVERRIDES[what])
        refusal = attacker.refused(attacker.ingest.Submit, submit)
        assert (refusal.reason, refusal.field.split(".")[0]) == ("TOO_LARGE", "overrides")
    retry = controller_pb2.RetryRunRequest(run_id=attacked.victim.run_id, overrides=OVERRIDES[what])
    assert operator.refused(operator.controller.RetryRun, retry).reason == "TOO_LARGE"


@pytest.mark.parametrize(
    "fields",
    [
        {"preset": "x" * 5000},
        {"label": "x" * 1_000_000},
        {"submitter": "x" * 5000},
        {"idempotency_key": "x" * 5000},
        {"streams": ["w"] * 20_000},
        {"recording_ids": ["rec"] * 20_000},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_no_field_of_a_submission_is_endless(attacked, stranger, fields) -> None:
    request = ingest_pb2.SubmitRequest(**fields)
    refusal = stranger.refused(stranger.ingest.Submit, request)
    assert (refusal.reason, refusal.field) == ("TOO_LARGE", next(iter(fields)))


@pytest.mark.parametrize("page_size", [-1, -(2**31)])
def test_a_page_of_less_than_nothing_is_refused(attacked, stranger, page_size) -> None:
    request = controller_pb2.ListRunsRequest(page_size=page_size)
    assert stranger.refused(stranger.controller.ListRuns, request).field == "page_size"


def test_a_page_of_everything_is_a_page(attacked, stranger) -> None:
    asked = controller_pb2.ListRunsRequest(page_size=2**31 - 1)
    assert len(stranger.controller.ListRuns(asked).runs) <= 500


@pytest.mark.parametrize("token", ["x", "x" * 5000, "MTAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw", "../.."])
def test_a_made_up_page_token_is_refused(attacked, stranger, token) -> None:
    request = controller_pb2.ListRunsRequest(page_token=token)
    refusal = stranger.refused(stranger.controller.ListRuns, request)
    assert refusal.reason in ("INVALID_PAGE_TOKEN", "TOO_LARGE")


def test_more_files_than_any_recording_has_are_refused(attacked, stranger) -> None:
    files = [{"path": f"{n}", "size_bytes": 1} for n in range(100_001)]
    request = ingest_pb2.CreateUploadRequest(
        name={"project": "p", "session": "s", "name": "n"}, files=files
    )
    assert stranger.refused(stranger.ingest.CreateUpload, request).field == "files"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hdf5_plugin_path", "/tmp/evil"),
        ("recording.hdf5_plugin_path", "/tmp/evil"),
        ("sorter_path", "/tmp/evil"),
        ("kilosort_path", "/tmp/evil"),
        ("rt_sort_model_path", "/tmp/evil"),
        ("use_docker", "evil/image"),
        ("docker_image_expected_digest", "sha256:none"),
    ],
)
def test_what_names_a_place_on_the_server_is_the_operators(
    attacked, operator, field, value
) -> None:
    submit = ingest_pb2.SubmitRequest(
        recording_ids=[attacked.victim.run.recording_id],
        preset="mountainsort5",
        overrides=to_struct({field: value}),
    )
    refusal = operator.refused(operator.ingest.Submit, submit)
    assert refusal.reason == "INVALID_CONFIGURATION"
    assert "is the operator's" in refusal.message
    retry = controller_pb2.RetryRunRequest(
        run_id=attacked.victim.run_id, overrides=to_struct({field: value})
    )
    assert operator.refused(operator.controller.RetryRun, retry).reason == "INVALID_CONFIGURATION"
    assert operator.controller.ListHolds(controller_pb2.ListHoldsRequest()).holds == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("state", "'no-such-state'"),
        ("stage", "'no-such-stage'"),
        ("config", "'" + "[" * 100_000 + "'"),
        ("result", "'{broken'"),
        ("failure", '\'{"code": "no-such-code"}\''),
    ],
)
def test_one_bad_row_hides_no_other_run_from_the_list(attacked, operator, column, value) -> None:
    engine = create_engine(f"sqlite:///{attacked.service.data_dir / 'spikefleet.db'}")
    copy = f"run-bad-{column}"
    with engine.begin() as connection:
        names = [row[1] for row in connection.execute(text("PRAGMA table_info(run)"))]
        own = {"run_id": f"'{copy}'", "identity": f"'{copy}'", column: value}
        own["serial"] = "(SELECT max(serial) + 1 FROM run)"
        if column == "failure":
            own["failed_attempt"] = "NULL"  # as in a row of an earlier version
        chosen = ", ".join(own.get(name, name) for name in names)
        connection.execute(
            text(f"INSERT INTO run SELECT {chosen} FROM run WHERE run_id = :run"),
            {"run": attacked.victim.run_id},
        )
    try:
        with attacked.service.client() as client:
            listed = {run.run_id: run for run in client.list().runs}
        assert attacked.victim.run_id in listed
        assert copy in listed
        if column != "config":  # a list does not read configurations
            assert listed[copy].run.failure is not None
            assert "cannot be read" in listed[copy].run.failure.message
    finally:
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM run WHERE run_id = :run"), {"run": copy})
        engine.dispose()


@pytest.mark.parametrize("data", [b"\xff" * 100, b"\x0a" + b"\xff" * 8 + b"x" * 500], ids=len)
@pytest.mark.parametrize("method", ["IngestService/Submit", "ControllerService/GetRun"])
def test_bytes_that_are_no_message_are_refused_as_such(attacked, stranger, method, data) -> None:
    call = stranger.channel.unary_unary(f"/spikefleet.api.v1.{method}")
    assert "no message" in stranger.refused(call, data, timeout=20).message
