"""The door of the ingest room: messages in, messages out, every blocking step in a thread."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from spikefleet.api.v1 import ingest_pb2, ingest_pb2_grpc, recording_pb2
from spikefleet.core.ids import RecordingId
from spikefleet.core.rooms.uploads import UploadProgress
from spikefleet.core.submissions import Recording, RecordingName
from spikefleet.infra.rpc.access import current_caller, not_yours, require_own
from spikefleet.infra.rpc.blocking import DIGESTS, PARTS, READS, SUBMISSIONS
from spikefleet.infra.rpc.convert.preflight import to_plan
from spikefleet.infra.rpc.convert.recordings import from_files, from_name, to_recording
from spikefleet.infra.rpc.convert.uploads import (
    from_parts,
    to_created,
    to_part,
    to_signed,
    to_upload,
)
from spikefleet.infra.rpc.convert.wishes import from_submit, to_made
from spikefleet.infra.rpc.errors import RpcProblem, require
from spikefleet.infra.rpc.interceptors import RpcMeter
from spikefleet.infra.rpc.server import Registration
from spikefleet.infra.stores.bytes.artifacts import ArtifactStore
from spikefleet.infra.stores.sql.recordings import RecordingStore
from spikefleet.infra.stores.sql.upload_values import Upload, UploadClosedError
from spikefleet.infra.stores.sql.uploads import UploadStore
from spikefleet.ingest.arrivals import Manifest
from spikefleet.ingest.direct_uploads import DirectLimits, DirectUploads
from spikefleet.ingest.intake import InPlaceIntake
from spikefleet.ingest.part_messages import (
    MOST_SMALL_PARTS,
    PartsMessage,
    gather,
    next_message,
    whole_parts,
)
from spikefleet.ingest.parts_budget import PartsBudget
from spikefleet.ingest.places import RecordingRoots
from spikefleet.ingest.staging import Staging
from spikefleet.ingest.submissions import (
    CreatesBatches,
    DescribesRecordings,
    SubmissionIntake,
)
from spikefleet.ingest.uploads import (
    PART_SIZE_BYTES,
    UploadIntake,
    UploadRequest,
)

SERVICE = ingest_pb2.DESCRIPTOR.services_by_name["IngestService"].full_name


@dataclass(frozen=True)
class IngestParts:
    """What the room is made of. ``staging`` is a folder for bytes that are not verified yet.

    ``places`` are the folders in which recordings may be registered. ``upload_idle_s``: an
    unfinished upload that receives nothing for so long is abandoned.
    """

    recordings: RecordingStore  #: what was accepted
    uploads: UploadStore  #: what is under way
    artifacts: ArtifactStore  #: where the bytes go
    staging: Path
    preflight: DescribesRecordings  #: describes recordings
    controller: CreatesBatches  #: makes runs
    meter: RpcMeter | None = None  #: counts bytes
    part_size_bytes: int = PART_SIZE_BYTES  #: of every part but the last
    direct: DirectLimits = field(default_factory=DirectLimits)  #: of direct uploads
    upload_idle_s: float = 7 * 86_400.0
    places: RecordingRoots = field(default_factory=RecordingRoots)


def registration(parts: IngestParts) -> Registration:
    """Return the room as a service to serve."""
    return open_room(parts)[0]


def open_room(parts: IngestParts) -> tuple[Registration, Callable[[], int]]:
    """Return the room as a service, and what drops its abandoned uploads (how many it dropped).

    The second is to be called now and then, from any thread; it blocks.
    """
    servicer = IngestServicer(parts)
    add = ingest_pb2_grpc.add_IngestServiceServicer_to_server
    return Registration(SERVICE, servicer, add), servicer.drop_abandoned_uploads


class IngestServicer(ingest_pb2_grpc.IngestServiceServicer):
    """Answers IngestService."""

    def __init__(self, parts: IngestParts) -> None:
        self._recordings = parts.recordings
        self._uploads = UploadIntake(
            parts.uploads,
            parts.recordings,
            parts.artifacts,
            Staging(parts.staging),
            meter=parts.meter,
            part_size_bytes=parts.part_size_bytes,
        )
        self._direct = DirectUploads(
            parts.uploads,
            parts.recordings,
            parts.artifacts,
            self._uploads.arrivals,
            limits=parts.direct,
            meter=parts.meter,
        )
        self._uploads.on_dropped = self._direct.drop
        self._budget = PartsBudget()
        self._upload_idle_s = parts.upload_idle_s
        self._in_place = InPlaceIntake(parts.recordings, parts.places, meter=parts.meter)
        self._submissions = SubmissionIntake(parts.recordings, parts.preflight, parts.controller)

    def drop_abandoned_uploads(self) -> int:
        """Drop uploads that receive nothing any more, and what ended ones left in the store.

        Returns how many were dropped.
        """
        dropped = self._uploads.expire(self._upload_idle_s)
        self._direct.sweep()
        return dropped

    async def CreateUpload(  # noqa: N802
        self, request: ingest_pb2.CreateUploadRequest, context: Any
    ) -> ingest_pb2.CreateUploadResponse:
        """Open an upload, or return the one its key opened before."""
        caller = current_caller()
        wanted = UploadRequest(
            _name(request.name),
            from_files(request.files),
            request.entry,
            request.idempotency_key,
            caller.owner,
            caller.is_operator,
        )
        if not (request.takes_direct and self._direct.takes(wanted)):
            upload = await DIGESTS.run(self._uploads.create, wanted)
            return to_created(*await self._progress(upload))
        upload = await DIGESTS.run(self._direct.create, wanted)
        progress, accepted_at = await self._progress(upload)
        if progress.recording is not None:
            return to_created(progress, accepted_at)
        try:
            missing = await READS.run(self._direct.first_missing, upload, progress.parts)
        except UploadClosedError:  # a call that its client did not live to hear has completed it
            upload = await READS.run(self._uploads.get, upload.upload_id)
            return to_created(*await self._progress(upload))
        return to_created(replace(progress, signed=tuple(missing)), accepted_at)

    async def SignParts(  # noqa: N802
        self, request: ingest_pb2.SignPartsRequest, context: Any
    ) -> ingest_pb2.SignPartsResponse:
        """Return addresses in the store."""
        require(upload_id=request.upload_id)
        upload = await self._own_upload(request.upload_id)
        wanted = [(part.path, part.offset_bytes) for part in request.parts]
        signed = await READS.run(self._direct.sign, upload, wanted)
        return ingest_pb2.SignPartsResponse(parts=map(to_signed, signed))

    async def GetUpload(  # noqa: N802
        self, request: ingest_pb2.GetUploadRequest, context: Any
    ) -> ingest_pb2.GetUploadResponse:
        """Return what has been received."""
        require(upload_id=request.upload_id)
        upload = await self._own_upload(request.upload_id)
        return ingest_pb2.GetUploadResponse(upload=to_upload(*await self._progress(upload)))

    async def UploadParts(  # noqa: N802
        self, request_iterator: AsyncIterator[ingest_pb2.UploadPartsRequest], context: Any
    ) -> AsyncIterator[ingest_pb2.UploadPartsResponse]:
        """Receive parts; acknowledge each once it is on the disk and on record."""
        messages = aiter(request_iterator)
        while (first := await next_message(messages)) is not None:
            require(upload_id=first.upload_id)
            manifest = await READS.run(self._uploads.manifest, first.upload_id)
            require_own(current_caller(), manifest.owner, f"Upload {first.upload_id}")
            if first.small_parts:
                yield await self._take_small(first, manifest)
            else:
                yield await self._take_large(first, messages, manifest)

    async def _take_large(
        self,
        first: PartsMessage,
        messages: AsyncIterator[PartsMessage],
        manifest: Manifest,
    ) -> ingest_pb2.UploadPartsResponse:
        """Gather one part and store it; its bytes are kept no longer than their room is held."""
        length = self._uploads.part_length(manifest, first.path, first.offset_bytes)
        with self._uploads.arrivals.receiving(first.upload_id):
            async with self._budget.holding(manifest.owner, length):
                part = await gather(first, messages, length)
                (stored,) = await PARTS.run(self._uploads.store_parts, first.upload_id, [part])
        return ingest_pb2.UploadPartsResponse(part=to_part(stored))

    async def _take_small(
        self, message: PartsMessage, manifest: Manifest
    ) -> ingest_pb2.UploadPartsResponse:
        """Store the parts that came whole in one message: all of them, or none."""
        parts = whole_parts(message, partial(self._uploads.part_length, manifest))
        size_bytes = sum(part.size_bytes for part in parts)
        with self._uploads.arrivals.receiving(message.upload_id):
            async with self._budget.holding(manifest.owner, size_bytes):
                stored = await PARTS.run(self._uploads.store_parts, message.upload_id, parts)
        return ingest_pb2.UploadPartsResponse(small_parts=[to_part(part) for part in stored])

    async def CompleteUpload(  # noqa: N802
        self, request: ingest_pb2.CompleteUploadRequest, context: Any
    ) -> ingest_pb2.CompleteUploadResponse:
        """Verify, publish, accept."""
        require(upload_id=request.upload_id)
        upload = await self._own_upload(request.upload_id)
        told = from_files(request.files)
        if upload.direct:
            parts = from_parts(request.parts)
            recording = await DIGESTS.run(self._direct.complete, upload.upload_id, told, parts)
        else:
            recording = await DIGESTS.run(self._uploads.complete, request.upload_id, told)
        return ingest_pb2.CompleteUploadResponse(recording=await self._message(recording))

    async def AbortUpload(  # noqa: N802
        self, request: ingest_pb2.AbortUploadRequest, context: Any
    ) -> ingest_pb2.AbortUploadResponse:
        """Drop an unfinished upload."""
        require(upload_id=request.upload_id)
        await self._own_upload(request.upload_id)
        await READS.run(self._uploads.abort, request.upload_id)
        return ingest_pb2.AbortUploadResponse()

    async def RegisterRecording(  # noqa: N802
        self, request: ingest_pb2.RegisterRecordingRequest, context: Any
    ) -> ingest_pb2.RegisterRecordingResponse:
        """Accept a recording where it is."""
        recording = await DIGESTS.run(
            self._in_place.register,
            _name(request.name),
            request.path,
            must_exist=request.must_exist,
            expected=from_files(request.expected_files),
            caller=current_caller(),
        )
        return ingest_pb2.RegisterRecordingResponse(recording=await self._message(recording))

    async def GetRecording(  # noqa: N802
        self, request: ingest_pb2.GetRecordingRequest, context: Any
    ) -> ingest_pb2.GetRecordingResponse:
        """Return an accepted recording."""
        require(recording_id=request.recording_id)
        recording_id = RecordingId(request.recording_id)
        recording = await READS.run(self._recordings.get, recording_id)
        await self._require_own_recordings((recording_id,))
        return ingest_pb2.GetRecordingResponse(recording=await self._message(recording))

    async def Submit(  # noqa: N802
        self, request: ingest_pb2.SubmitRequest, context: Any
    ) -> ingest_pb2.SubmitResponse:
        """Turn recordings into a batch of runs."""
        await self._require_own_recordings(request.recording_ids)
        return await SUBMISSIONS.run(self._submit, request, current_caller().owner)

    def _submit(self, request: ingest_pb2.SubmitRequest, owner: str) -> ingest_pb2.SubmitResponse:
        submission = from_submit(request, owner)
        return to_made(self._submissions.submit(submission), ingest_pb2.SubmitResponse)

    async def PlanSubmission(  # noqa: N802
        self, request: ingest_pb2.PlanSubmissionRequest, context: Any
    ) -> ingest_pb2.PlanSubmissionResponse:
        """Say what a submission would start; start nothing."""
        await self._require_own_recordings(request.submission.recording_ids)
        submission = from_submit(request.submission, current_caller().owner)
        return to_plan(await SUBMISSIONS.run(self._submissions.plan, submission))

    async def _own_upload(self, upload_id: str) -> Upload:
        """Return an upload of the caller's. Raises UploadNotFoundError, RpcProblem NOT_YOURS."""
        upload = await READS.run(self._uploads.get, upload_id)
        require_own(current_caller(), upload.owner, f"Upload {upload_id}")
        return upload

    async def _require_own_recordings(self, recording_ids: Sequence[str]) -> None:
        """Refuse recordings that the caller did not hand in. Raises RpcProblem NOT_YOURS."""
        asked = tuple(map(RecordingId, recording_ids))
        caller = current_caller()
        if caller.is_operator:
            return
        await READS.run(self._recordings.get_all, asked)
        owned = await READS.run(self._recordings.owned, asked, caller.owner)
        for recording_id in asked:
            if recording_id not in owned:
                raise not_yours(f"Recording {recording_id}")

    async def _progress(self, upload: Upload) -> tuple[UploadProgress, datetime | None]:
        """How far an upload is, and when what it became was accepted."""
        recording = await READS.run(self._uploads.recording, upload)
        if upload.direct:
            parts = await READS.run(self._direct.parts, upload)
        else:
            parts = await READS.run(self._uploads.parts, upload.upload_id)
        known = UploadProgress(
            upload.upload_id,
            upload.part_size_bytes,
            tuple(parts),
            upload.files,
            MOST_SMALL_PARTS,
            recording,
            direct=bool(upload.direct),
        )
        return known, await self._accepted_at(recording)

    async def _message(self, recording: Recording) -> recording_pb2.Recording:
        return to_recording(recording, await self._accepted_at(recording))

    async def _accepted_at(self, recording: Recording | None) -> datetime | None:
        if recording is None:
            return None
        return await READS.run(self._recordings.accepted_at, recording.recording_id)


def _name(message: recording_pb2.RecordingName) -> RecordingName:
    try:
        return from_name(message)
    except ValueError as error:
        raise RpcProblem("INVALID_ARGUMENT", str(error), field="name") from error
