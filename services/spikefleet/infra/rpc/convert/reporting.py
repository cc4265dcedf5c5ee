"""What the reporter is asked and answers."""

from __future__ import annotations

from typing import cast

from spikefleet.api.v1 import reporter_pb2
from spikefleet.core.attempts import Stage
from spikefleet.core.rooms.reporting import Artifact, ReportAnswer, ReportTask, RunRecord
from spikefleet.infra.rpc.convert.attempt_refs import (
    from_attempt_ref,
    own_attempt,
    to_attempt_ref,
)
from spikefleet.infra.rpc.convert.structs import from_struct, to_struct
from spikefleet.infra.rpc.convert.values import read_failure, to_failure


def to_render(task: ReportTask) -> reporter_pb2.RenderRequest:
    """Return the request to make a report."""
    return reporter_pb2.RenderRequest(
        run_id=task.run_id,
        sort=to_attempt_ref(task.sort),
        curation=to_attempt_ref(task.curation),
        attempt=to_attempt_ref(task.attempt),
        record=to_struct(task.record),
    )


def from_render(request: reporter_pb2.RenderRequest) -> ReportTask:
    """Read the request to make a report. Raises RpcProblem INVALID_ARGUMENT."""
    return ReportTask(
        record=cast(RunRecord, from_struct(request.record)),
        attempt=own_attempt(request, Stage.REPORT),
        sort=from_attempt_ref(request, "sort", Stage.SORT),
        curation=from_attempt_ref(request, "curation", Stage.CURATE),
    )


def to_report_answer(answer: ReportAnswer) -> reporter_pb2.RenderResponse:
    """Return the message of a report's making."""
    return reporter_pb2.RenderResponse(
        prefix=answer.prefix, html_key=answer.html_key, failure=to_failure(answer.failure)
    )


def from_report_answer(message: reporter_pb2.RenderResponse) -> ReportAnswer:
    """Read a report's making."""
    return ReportAnswer(message.prefix, message.html_key, read_failure(message))


def to_artifact(artifact: Artifact) -> reporter_pb2.Artifact:
    """Return the message of a stored file."""
    return reporter_pb2.Artifact(
        key=artifact.key,
        path=artifact.path,
        size_bytes=artifact.size_bytes,
        sha256=artifact.sha256,
    )


def from_artifact(message: reporter_pb2.Artifact) -> Artifact:
    """Read a stored file."""
    return Artifact(message.key, message.path, message.size_bytes, message.sha256)
