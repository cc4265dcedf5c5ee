"""What belongs to somebody else: runs, uploads, recordings, and the lanes of everybody."""

from __future__ import annotations

import hashlib

from spikefleet.api.v1 import controller_pb2, ingest_pb2, reporter_pb2
from spikefleet.client.sorting import SortingClient

_PART = b"samples" * 1000


def test_a_strangers_cancel_is_refused(attacked, stranger) -> None:
    request = controller_pb2.CancelRunRequest(run_id=attacked.victim.run_id)
    assert stranger.refused(stranger.controller.CancelRun, request).reason == "NOT_YOURS"


def test_a_strangers_retry_is_refused_with_and_without_other_parameters(attacked, stranger) -> None:
    plain = controller_pb2.RetryRunRequest(run_id=attacked.victim.run_id)
    assert stranger.refused(stranger.controller.RetryRun, plain).reason == "NOT_YOURS"
    plain.overrides.fields["snr_min"].number_value = 9.0
    assert stranger.refused(stranger.controller.RetryRun, plain).reason == "NOT_YOURS"


def test_a_stranger_reads_no_report_and_no_file(attacked, stranger) -> None:
    run_id = attacked.victim.run_id
    report = reporter_pb2.GetReportRequest(run_id=run_id)
    assert stranger.refused(stranger.reporter.GetReport, report).reason == "NOT_YOURS"
    listed = reporter_pb2.ListArtifactsRequest(run_id=run_id)
    assert stranger.refused(stranger.reporter.ListArtifacts, listed).reason == "NOT_YOURS"
    key = f"runs/{run_id}/attempts/report-1/report.html"
    read = reporter_pb2.ReadArtifactRequest(key=key)
    assert stranger.refused(stranger.reporter.ReadArtifact, read).reason == "NOT_YOURS"
    through_own = reporter_pb2.ReadArtifactRequest(key=key, run_id="run-of-my-own")
    assert stranger.refused(stranger.reporter.ReadArtifact, through_own).reason == "NOT_YOURS"


def test_a_key_of_another_run_is_not_read_through_the_operators_own(attacked, operator) -> None:
    key = "runs/run-ffffffffffffffff/attempts/sort-1/spec.json"
    read = reporter_pb2.ReadArtifactRequest(key=key, run_id=attacked.victim.run_id)
    assert operator.refused(operator.reporter.ReadArtifact, read).reason == "ARTIFACT_NOT_FOUND"


def test_a_stranger_releases_no_hold(attacked, stranger) -> None:
    request = controller_pb2.ReleaseHoldRequest(lane="kilosort4")
    assert stranger.refused(stranger.controller.ReleaseHold, request).reason == "OPERATORS_ONLY"


def test_a_stranger_submits_and_sees_no_recording_of_others(attacked, stranger) -> None:
    recording_id = attacked.victim.run.recording_id
    submit = ingest_pb2.SubmitRequest(recording_ids=[recording_id], preset="mountainsort5")
    assert stranger.refused(stranger.ingest.Submit, submit).reason == "NOT_YOURS"
    get = ingest_pb2.GetRecordingRequest(recording_id=recording_id)
    assert stranger.refused(stranger.ingest.GetRecording, get).reason == "NOT_YOURS"


def test_an_upload_of_one_stranger_is_closed_to_another(attacked, stranger, other) -> None:
    request = ingest_pb2.CreateUploadRequest(
        name={"project": "p", "session": "s", "name": "mine"},
        files=[{"path": "a.bin", "size_bytes": len(_PART)}],
        idempotency_key="guessable",
    )
    upload = stranger.ingest.CreateUpload(request).upload
    named = {"upload_id": upload.upload_id}
    for call, asked in (
        (other.ingest.GetUpload, ingest_pb2.GetUploadRequest(**named)),
        (other.ingest.CompleteUpload, ingest_pb2.CompleteUploadRequest(**named)),
        (other.ingest.AbortUpload, ingest_pb2.AbortUploadRequest(**named)),
    ):
        assert other.refused(call, asked).reason == "NOT_YOURS"
    part = ingest_pb2.UploadPartsRequest(
        **named, path="a.bin", data=_PART, part_sha256=hashlib.sha256(_PART).hexdigest()
    )
    assert other.refused(other.ingest.UploadParts, iter([part])).reason == "NOT_YOURS"
    assert other.ingest.CreateUpload(request).upload.upload_id != upload.upload_id
    assert stranger.ingest.GetUpload(ingest_pb2.GetUploadRequest(**named)).upload.parts == []
    stranger.ingest.AbortUpload(ingest_pb2.AbortUploadRequest(**named))


def test_a_stranger_may_do_all_of_it_with_runs_of_his_own(
    attacked, stranger_address, tmp_path
) -> None:
    source = tmp_path / "own.raw"
    source.write_bytes(_PART)
    with SortingClient(stranger_address) as client:
        batch = client.submit(source, "mountainsort5", in_place=False)
        (run,) = client.wait([batch.runs[0].run_id], timeout_s=60)
        assert client.report(run.run_id).report
        assert client.fetch(run.run_id, tmp_path / "fetched")
        retried = client.retry(run.run_id)
        assert not retried.is_terminal
        client.wait([run.run_id], timeout_s=60)
        assert client.cancel(run.run_id).is_terminal
    with attacked.service.client() as operator:
        assert operator.report(run.run_id)
        assert operator.get(run.run_id).run.run_id == run.run_id


def test_the_same_bytes_from_a_stranger_are_a_run_of_his_own_beside_one_that_ended_badly(
    attacked, stranger_address
) -> None:
    source, name = attacked.source, attacked.victim.run.recording_name
    with SortingClient(stranger_address) as client:
        batch = client.submit(source, "mountainsort5", name=name, in_place=False)
        (run,) = client.wait([run.run_id for run in batch.runs], timeout_s=60)
        assert run.run_id != attacked.victim.run_id
        assert run.run.recording_id == attacked.victim.run.recording_id
        assert run.failure is not None
        assert run.failure.code is attacked.victim.failure.code
        again = client.submit(source, "mountainsort5", name=name, in_place=False)
        assert [mine.run_id for mine in again.runs] == [run.run_id]
