"""The door of the reporter: renders in a confined process, serves reports and artifacts of runs.

Only keys below ``runs/`` are served, and only those of the attempts a run's pointer names are
listed. Rendering never raises: what goes wrong is the answer's failure, and the run continues.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from spikefleet.api.v1 import reporter_pb2, reporter_pb2_grpc
from spikefleet.core.attempts import STAGES, Stage
from spikefleet.core.ids import RunId
from spikefleet.core.rooms.reporting import Artifact
from spikefleet.core.runs import AttemptPlace
from spikefleet.infra.rpc.access import current_caller, not_yours
from spikefleet.infra.rpc.blocking import FILES, READS
from spikefleet.infra.rpc.convert.reporting import from_render, to_artifact, to_report_answer
from spikefleet.infra.rpc.convert.structs import to_struct
from spikefleet.infra.rpc.errors import RpcProblem, require
from spikefleet.infra.rpc.server import Registration
from spikefleet.infra.stores.bytes.artifacts import (
    MANIFEST,
    ArtifactMissingError,
    pointer_key,
    verify_prefix,
)
from spikefleet.reporter.reports import Reports
from spikefleet.reporter.sources import HTML_FILE, JSON_FILE

_CHUNK_BYTES = 1 << 20
MayRead = Callable[[RunId, str], bool]  # (run id, owner)


class ReporterServicer(reporter_pb2_grpc.ReporterServiceServicer):
    """Answers ReporterService.

    ``may_read`` says whether a run (its id) is one of a user's; an operator may read every run.
    """

    def __init__(self, reports: Reports, may_read: MayRead) -> None:
        self._reports = reports
        self._verified, self._store = reports.verified, reports.verified.store
        self._may_read = may_read

    async def Render(  # noqa: N802
        self, request: reporter_pb2.RenderRequest, context: Any
    ) -> reporter_pb2.RenderResponse:
        """Write a run's report. A failure is an answer, not an error of the call."""
        return to_report_answer(await self._reports.render(from_render(request)))

    async def GetReport(  # noqa: N802
        self, request: reporter_pb2.GetReportRequest, context: Any
    ) -> reporter_pb2.GetReportResponse:
        """Return the JSON record of a run's last report."""
        require(run_id=request.run_id)
        await self._require_reader(RunId(request.run_id))
        record, html_key = await FILES.run(self._read_report, RunId(request.run_id))
        return reporter_pb2.GetReportResponse(report=to_struct(record), html_key=html_key)

    async def ListArtifacts(  # noqa: N802
        self, request: reporter_pb2.ListArtifactsRequest, context: Any
    ) -> reporter_pb2.ListArtifactsResponse:
        """List the files of a run's winning attempts, from their manifests."""
        require(run_id=request.run_id)
        await self._require_reader(RunId(request.run_id))
        listed = await FILES.run(self._list_artifacts, RunId(request.run_id), request.curation_id)
        return reporter_pb2.ListArtifactsResponse(
            artifacts=[to_artifact(artifact) for artifact in listed]
        )

    async def ReadArtifact(  # noqa: N802
        self, request: reporter_pb2.ReadArtifactRequest, context: Any
    ) -> AsyncIterator[reporter_pb2.ReadArtifactResponse]:
        """Stream one file of a run in chunks of at most 1 MiB; a damaged one is refused."""
        require(key=request.key)
        key = _checked_key(request.key)
        run_id = RunId(request.run_id or key.split("/")[1])
        await self._require_reader(run_id)
        await FILES.run(self._require_of_run, key, run_id)
        await FILES.run(self._verified.verify_key, _attempt_of(key), key)
        chunks = await FILES.run(
            self._store.read_chunks,
            key,
            offset=max(0, request.offset_bytes),
            chunk_bytes=_CHUNK_BYTES,
        )
        while (chunk := await FILES.run(next, chunks, None)) is not None:
            yield reporter_pb2.ReadArtifactResponse(data=chunk)

    async def _require_reader(self, run_id: RunId) -> None:
        """Refuse a caller who did not submit the run. Raises RpcProblem NOT_YOURS."""
        caller = current_caller()
        if caller.is_operator:
            return
        if not await READS.run(self._may_read, run_id, caller.owner):
            raise not_yours(f"Run {run_id}")

    def _require_of_run(self, key: str, run_id: RunId) -> None:
        """Refuse a file that is neither the run's own nor of a sort that it took over."""
        if key.split("/")[1] == run_id:
            return
        if not any(key.startswith(f"{prefix}/") for prefix in self._pointer(run_id).values()):
            raise RpcProblem(
                "ARTIFACT_NOT_FOUND", f"{key!r} is not a file of {run_id}.", resource=key
            )

    def _read_report(self, run_id: RunId) -> tuple[dict[str, Any], str]:
        prefix = self._pointer(run_id).get("report", "")
        if not prefix:
            raise RpcProblem("REPORT_NOT_FOUND", f"{run_id} has no report yet.", resource=run_id)
        record: dict[str, Any] = json.loads(self._verified.read(prefix, JSON_FILE))
        return record, f"{prefix}/{HTML_FILE}"

    def _list_artifacts(self, run_id: RunId, curation_id: str) -> list[Artifact]:
        """Return the files of a run; a reused sort may be under another run's key.

        Those of ``curation_id`` stand in place of the run's own curation and, where they could be
        made, of its report.
        """
        prefixes = self._pointer(run_id)
        if curation_id:
            prefixes |= self._beside(run_id, curation_id)
        return [
            Artifact(
                file.key,
                f"{stage}/{file.key.removeprefix(f'{prefix}/')}",
                file.size_bytes,
                file.sha256,
            )
            for stage, prefix in sorted(prefixes.items())
            for file in verify_prefix(self._store, prefix)
        ]

    def _beside(self, run_id: RunId, curation_id: str) -> dict[str, str]:
        """The prefixes of a curation beside the run's own, of several reports the last.

        Raises RpcProblem for none.
        """
        own = AttemptPlace(run_id, Stage.CURATE, curation=curation_id)
        places: list[AttemptPlace] = []
        if AttemptPlace.read(own.prefix) == own:
            keys = self._store.list_keys(own.prefix.rpartition("/")[0])
            complete = (key.removesuffix(f"/{MANIFEST}") for key in keys if key.endswith(MANIFEST))
            places = [place for place in map(AttemptPlace.read, complete) if place is not None]
        found = {
            str(place.stage): place.prefix
            for place in sorted(places, key=lambda place: place.number)
        }
        if str(Stage.CURATE) not in found:
            raise RpcProblem(
                "CURATION_NOT_FOUND", f"{run_id} has no such curation.", resource=curation_id
            )
        return found

    def _pointer(self, run_id: RunId) -> dict[str, str]:
        key = _checked_key(pointer_key(run_id))
        try:
            document = json.loads(self._store.get_bytes(key))
        except ArtifactMissingError:
            return {}
        return {stage: str(document[stage]) for stage in map(str, STAGES) if document.get(stage)}


def _checked_key(key: str) -> str:
    """Refuse anything but a file of a run. Raises RpcProblem."""
    parts = key.split("/")
    if len(parts) < 3 or parts[0] != "runs" or {"", ".", ".."} & set(parts) or "\\" in key:
        raise RpcProblem("ARTIFACT_NOT_FOUND", f"{key!r} is not a file of a run.", resource=key)
    return key


def _attempt_of(key: str) -> str:
    """The prefix a file was written under: runs/<run>/attempts/<stage>-<number>.

    Of a curation beside the run's own: runs/<run>/curations/<id>/<stage>, or <stage>-<number>.
    """
    parts = key.split("/")
    return "/".join(parts[: 5 if parts[2] == "curations" else 4])


def registration(reports: Reports, may_read: MayRead) -> Registration:
    """Return the room as a service to serve."""
    return Registration(
        reporter_pb2.DESCRIPTOR.services_by_name["ReporterService"].full_name,
        ReporterServicer(reports, may_read),
        reporter_pb2_grpc.add_ReporterServiceServicer_to_server,
    )
