"""What the controller is asked to do with runs, and its answers."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from spikefleet.api.v1 import controller_pb2, ingest_pb2, run_pb2
from spikefleet.core.ids import BatchId, RecordingId, RunId
from spikefleet.core.rooms.wishes import BatchAnswer, RetryWish
from spikefleet.core.runs import Hold
from spikefleet.core.submissions import Submission
from spikefleet.infra.rpc.convert.runs import from_run, from_stage, to_run, to_stage
from spikefleet.infra.rpc.convert.structs import from_struct, to_struct
from spikefleet.infra.rpc.convert.values import from_timestamp, to_timestamp

MadeT = TypeVar("MadeT", controller_pb2.CreateBatchResponse, ingest_pb2.SubmitResponse)


def to_submit(submission: Submission) -> ingest_pb2.SubmitRequest:
    """Return the request to sort recordings; whose they become, the connection says."""
    return ingest_pb2.SubmitRequest(
        recording_ids=submission.recording_ids,
        preset=submission.preset,
        overrides=to_struct(submission.overrides),
        streams=submission.streams,
        idempotency_key=submission.idempotency_key,
        submitter=submission.submitter,
        label=submission.label,
        concatenate=submission.concatenate,
    )


def from_submit(request: ingest_pb2.SubmitRequest, owner: str) -> Submission:
    """Read ``owner``'s request to sort recordings."""
    return Submission(
        recording_ids=tuple(map(RecordingId, request.recording_ids)),
        preset=request.preset or Submission.preset,
        overrides=from_struct(request.overrides),
        streams=tuple(request.streams),
        idempotency_key=request.idempotency_key,
        submitter=request.submitter,
        label=request.label,
        concatenate=request.concatenate,
        owner=owner,
    )


def to_plan_request(submission: Submission) -> ingest_pb2.PlanSubmissionRequest:
    """Return the request to say what a submission would start."""
    return ingest_pb2.PlanSubmissionRequest(submission=to_submit(submission))


def to_batch(answer: BatchAnswer) -> run_pb2.Batch:
    """Return the message of a batch with its runs."""
    return run_pb2.Batch(
        batch_id=answer.batch_id,
        runs=[to_run(run) for run in answer.runs],
        summary=answer.summary,
    )


def from_batch(message: run_pb2.Batch) -> BatchAnswer:
    """Read a batch with its runs. Raises ValueError on words newer than this version."""
    runs = tuple(from_run(run) for run in message.runs)
    return BatchAnswer(BatchId(message.batch_id), runs, message.summary)


def to_made(answer: BatchAnswer, response: type[MadeT]) -> MadeT:
    """Return ``response``, which says what was made and what was there before."""
    return response(
        batch=to_batch(answer),
        existing_run_ids=answer.existing_run_ids,
        restarted_run_ids=answer.restarted_run_ids,
    )


def from_made(
    message: controller_pb2.CreateBatchResponse | ingest_pb2.SubmitResponse,
) -> BatchAnswer:
    """Read what was made and what was there before."""
    return replace(
        from_batch(message.batch),
        existing_run_ids=tuple(map(RunId, message.existing_run_ids)),
        restarted_run_ids=tuple(map(RunId, message.restarted_run_ids)),
    )


def to_retry(wish: RetryWish) -> controller_pb2.RetryRunRequest:
    """Return the request to start a run again; whose wish it is, the connection says."""
    return controller_pb2.RetryRunRequest(
        run_id=wish.run_id,
        stage=to_stage(wish.stage),
        overrides=to_struct(wish.overrides),
        force=wish.force,
    )


def from_retry(request: controller_pb2.RetryRunRequest, owner: str) -> RetryWish:
    """Read ``owner``'s request to start a run again."""
    return RetryWish(
        RunId(request.run_id),
        from_stage(request.stage),
        from_struct(request.overrides),
        owner,
        request.force,
    )


def to_hold(hold: Hold) -> controller_pb2.Hold:
    """Return the message of a lane on hold."""
    return controller_pb2.Hold(
        lane=hold.lane,
        reason=hold.reason,
        held_run_count=hold.held_run_count,
        create_time=to_timestamp(hold.created_at),
        run_id=hold.run_id or "",
    )


def from_hold(message: controller_pb2.Hold) -> Hold:
    """Read a lane on hold."""
    return Hold(
        message.lane,
        message.reason,
        message.held_run_count,
        from_timestamp(message.create_time),
        RunId(message.run_id) if message.run_id else None,
    )


def to_sorters_request() -> controller_pb2.ListSortersRequest:
    """Return the question which sorters are offered."""
    return controller_pb2.ListSortersRequest()
