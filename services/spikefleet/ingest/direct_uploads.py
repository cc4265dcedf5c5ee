"""Recordings whose bytes go straight into the artifact store: this room signs addresses and counts.

The store's list of parts is the truth. A part is right when the store computed the MD5 of it that
the rig computed of what it read; the SHA-256 of whole files is the rig's word, which the runner
checks before it sorts.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from spikefleet.core.failures.errors import StorageUnavailableError
from spikefleet.core.rooms.uploads import SignedPart, UploadedPart
from spikefleet.core.submissions import ManifestFile, Recording
from spikefleet.infra.rpc.errors import RpcProblem
from spikefleet.infra.rpc.interceptors import RpcMeter
from spikefleet.infra.stores.bytes.artifacts import ArtifactStore, TakesParts
from spikefleet.infra.stores.sql.recordings import RecordingStore
from spikefleet.infra.stores.sql.upload_values import (
    NewUpload,
    Upload,
    UploadClosedError,
    UploadState,
)
from spikefleet.infra.stores.sql.uploads import UploadStore
from spikefleet.infra.telemetry import INGESTED_BYTES
from spikefleet.ingest.arrivals import Arrivals
from spikefleet.ingest.direct_publishing import DirectPublisher, part_key
from spikefleet.ingest.told_parts import part_places, told_files, told_parts, uploaded_parts
from spikefleet.ingest.upload_files import check_files
from spikefleet.ingest.upload_room import MOST_OPEN
from spikefleet.ingest.uploads import UploadRequest, upload_key

MOST_FILES = 256  #: of more, every one a request or two to the store, the stream is quicker
MOST_SIGNED = 100  #: addresses in one answer
_FIRST_SIGNED = 16
LIFE_S = 3600.0  #: of an address
_MIB = 1 << 20
DIRECT_PART_BYTES = 64 * _MIB
DIRECT_OPEN_BYTES = 16 << 40
_MOST_PARTS = 9000  # of one file; S3 counts to 10 000
_MOST_PARTS_IN_ALL = 100_000  # they travel in one message
_LARGEST_PART_BYTES = 5 << 30  # of S3
_LARGEST_FILE_BYTES = 5 << 40
_AT_ONCE = 8
_SWEPT_AT_ONCE = 100  # of a round: the next one goes on

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DirectLimits:
    """How long parts are, and how much one user may leave unfinished; the operator has no limit."""

    part_size_bytes: int = DIRECT_PART_BYTES
    most_open: int = MOST_OPEN
    open_bytes: int = DIRECT_OPEN_BYTES  #: announced by uploads that are not complete; 0: any


class DirectUploads:
    """Takes recordings in at signed addresses. Blocking; the door runs it in threads.

    ``arrivals`` are those of whoever else may end an upload: changes of one take turns.
    """

    def __init__(
        self,
        uploads: UploadStore,
        recordings: RecordingStore,
        artifacts: ArtifactStore,
        arrivals: Arrivals,
        *,
        limits: DirectLimits = DirectLimits(),
        meter: RpcMeter | None = None,
    ) -> None:
        self._uploads, self._recordings, self._artifacts = uploads, recordings, artifacts
        self._publisher = DirectPublisher(recordings, artifacts)
        self._arrivals, self._limits, self._meter = arrivals, limits, meter

    def takes(self, request: UploadRequest) -> bool:
        """Say whether the store takes parts itself, and the recording is one of few files."""
        longest = max((file.size_bytes for file in request.files), default=0)
        return (
            isinstance(self._artifacts, TakesParts)
            and len(request.files) <= MOST_FILES
            and 0 < longest <= _LARGEST_FILE_BYTES
            and self._part_size(request.files) <= _LARGEST_PART_BYTES
        )

    def create(self, request: UploadRequest) -> Upload:
        """Open an upload, or return the one its key opened before; asks the store for nothing.

        One that is complete is opened again when the store has lost files of it since. Raises
        RpcProblem TOO_MANY_UPLOADS, StorageUnavailableError.
        """
        check_files(request.files, request.entry)
        upload = self._open(request)
        if upload.state is UploadState.COMPLETE:
            accepted = self._recordings.get(upload.recording_id)
            if not self._publisher.is_there(accepted):
                self._uploads.free_key(upload.upload_id)
                upload = self._open(request)
        return upload

    def parts(self, upload: Upload) -> list[UploadedPart]:
        """Return the parts that the store has; a file that it dropped is begun again.

        Raises StorageUnavailableError.
        """
        if upload.state not in (UploadState.OPEN, UploadState.COMPLETING):
            return []
        begun = [path for path, parts_id in upload.direct.items() if parts_id]
        there = self._publisher.parts_there(self._store(), upload, begun)
        found = uploaded_parts(upload, {path: parts for path, parts in there.items() if parts})
        gone = {path for path, parts in there.items() if parts is None}
        if not gone:
            return found
        sizes_bytes = {file.path: file.size_bytes for file in upload.files}
        joined = {
            path
            for path in gone
            if self._artifacts.size(part_key(upload.upload_id, path)) == sizes_bytes[path]
        }
        lost = {path: (upload.direct[path], "") for path in gone - joined}
        self._uploads.change_direct(upload.upload_id, lost)
        known = self._uploads.parts(upload.upload_id) if joined else ()
        return [*found, *(part for part in known if part.path in joined)]

    def first_missing(self, upload: Upload, there: Sequence[UploadedPart]) -> list[SignedPart]:
        """Return addresses of the first parts that are not there. Raises as ``sign``."""
        known = {(part.path, part.offset_bytes) for part in there}
        missing = (
            (file.path, offset)
            for file in upload.files
            for offset, _ in part_places(upload, file)
            if (file.path, offset) not in known
        )
        return self.sign(upload, list(islice(missing, _FIRST_SIGNED)))

    def sign(self, upload: Upload, wanted: Sequence[tuple[str, int]]) -> list[SignedPart]:
        """Return an address for each part, named by path and first byte.

        Raises RpcProblem INVALID_ARGUMENT, UploadClosedError, StorageUnavailableError.
        """
        if not upload.direct:
            raise RpcProblem(
                "INVALID_ARGUMENT", "parts of this upload go to UploadParts", field="upload_id"
            )
        if len(wanted) > MOST_SIGNED:
            raise RpcProblem(
                "INVALID_ARGUMENT", f"at most {MOST_SIGNED} addresses at once", field="parts"
            )
        sizes_bytes = {file.path: file.size_bytes for file in upload.files}
        for path, offset in wanted:
            begins_one = offset % upload.part_size_bytes == 0
            if not (begins_one and 0 <= offset < sizes_bytes.get(path, 0)):
                raise RpcProblem(
                    "INVALID_ARGUMENT",
                    f"the upload has no part of {path!r} at byte {offset}",
                    field="parts",
                )
        self._uploads.touch(upload.upload_id)
        store = self._store()
        begun = self._begun(store, upload.upload_id, [path for path, _ in wanted])
        return [
            SignedPart(
                path,
                offset,
                store.sign_part(
                    part_key(upload.upload_id, path),
                    begun[path],
                    offset // upload.part_size_bytes + 1,
                    min(upload.part_size_bytes, sizes_bytes[path] - offset),
                    LIFE_S,
                ),
            )
            for path, offset in wanted
        ]

    def complete(
        self, upload_id: str, files: Sequence[ManifestFile], parts: Sequence[UploadedPart]
    ) -> Recording:
        """Compare every part with what the rig read, make the files, accept; twice is a no-op.

        Raises RpcProblem INVALID_ARGUMENT, UPLOAD_INCOMPLETE, or PART_DAMAGED naming file and
        parts, which can be put again; UploadClosedError, StorageUnavailableError.
        """
        with self._arrivals.changing(upload_id):
            upload = self._uploads.get(upload_id)
            if upload.state is UploadState.COMPLETE:
                return self._recordings.get(upload.recording_id)
            whole, told = told_files(upload, files), told_parts(upload, parts)
            store = self._store()
            self._publisher.compare(store, upload, told)
            self._uploads.begin_completion(upload_id, uploaded_parts(upload, told))
            try:
                recording = self._publisher.publish(store, upload, whole, told)
                accepted = self._uploads.accept(upload_id, recording, self._recordings)
            except RpcProblem:
                self._uploads.give_up_completion(upload_id)
                raise
            except UploadClosedError:  # dropped meanwhile, with what had been joined by then
                self.drop(upload)
                raise
            self._clear(upload, accepted)  # only now: until then another call may need it
        self._arrivals.forget(upload_id)
        if self._meter is not None:
            size_bytes = sum(file.size_bytes for file in upload.files)
            self._meter.add(INGESTED_BYTES, size_bytes, path="direct")
        return accepted

    def drop(self, upload: Upload) -> None:
        """Drop what the store has of an upload without a recording; ``sweep`` makes up for it."""
        if upload.direct and isinstance(self._artifacts, TakesParts):
            self._clear(upload, None)

    def sweep(self) -> int:
        """Remove what ended uploads left in the store; return how many had their turn.

        Their turn comes when no address of theirs is valid any more, and comes again until the
        store has answered: no part can come after it.
        """
        swept = 0
        if isinstance(self._artifacts, TakesParts):
            for upload in self._uploads.left_in_store(LIFE_S, _SWEPT_AT_ONCE):
                is_accepted = upload.state is UploadState.COMPLETE
                accepted = self._recordings.get(upload.recording_id) if is_accepted else None
                if not self._clear(upload, accepted):
                    break  # the store is away: later
                self._uploads.nothing_left(upload.upload_id)
                swept += 1
        return swept

    def _clear(self, upload: Upload, accepted: Recording | None) -> bool:
        """Clear away what an upload left. False when the store did not let that be done now."""
        try:
            self._publisher.clear(self._store(), upload, accepted)
        except StorageUnavailableError as error:
            log.warning(
                "upload.left_in_store",
                extra={"upload_id": upload.upload_id, "reason": str(error), "again_in_s": LIFE_S},
            )
            return False
        return True

    def _open(self, request: UploadRequest) -> Upload:
        new = NewUpload(
            upload_id=f"upload-{uuid.uuid4().hex[:16]}",
            name=request.name,
            files=request.files,
            entry=request.entry,
            part_size_bytes=self._part_size(request.files),
            idempotency_key=upload_key(request, "direct"),
            owner=request.owner,
            direct={file.path: "" for file in request.files if file.size_bytes},
        )
        found = self._uploads.find(new)
        if found is not None:
            return found
        if not request.is_operator:
            self._require_share(request)
        return self._uploads.create(new)

    def _require_share(self, request: UploadRequest) -> None:
        held, limits = self._uploads.open_of(request.owner), self._limits
        if held.count >= limits.most_open:
            raise RpcProblem(
                "TOO_MANY_UPLOADS", f"{limits.most_open} uploads of this user are open already."
            )
        wanted_bytes = held.direct_bytes + sum(file.size_bytes for file in request.files)
        if limits.open_bytes and wanted_bytes > limits.open_bytes:
            raise RpcProblem(
                "TOO_MANY_UPLOADS",
                f"with this recording, {wanted_bytes / 1e12:.1f} TB of this user's uploads would "
                f"be unfinished, and {limits.open_bytes / 1e12:.1f} TB may be.",
            )

    def _begun(self, store: TakesParts, upload_id: str, paths: Sequence[str]) -> Mapping[str, str]:
        """Return the store's ids of the files of parts, after those not begun yet were begun."""
        known = self._uploads.change_direct(upload_id, {})
        wanted = [path for path in dict.fromkeys(paths) if not known[path]]
        if not wanted:
            return known
        keys = [part_key(upload_id, path) for path in wanted]
        begun: dict[str, str] = {}
        try:
            with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="begin") as pool:
                waiting = [pool.submit(store.begin_parts, key) for key in keys]
            for path, one in zip(wanted, waiting, strict=True):
                if one.exception() is None:
                    begun[path] = one.result()
            for one in waiting:
                one.result()
            changes = {path: ("", parts_id) for path, parts_id in begun.items()}
            known = self._uploads.change_direct(upload_id, changes)
        finally:
            # Of a call that failed, and of one that another was quicker than.
            for path, parts_id in begun.items():
                if known[path] != parts_id:
                    store.drop_parts(part_key(upload_id, path), parts_id)
        return known

    def _store(self) -> TakesParts:
        if not isinstance(self._artifacts, TakesParts):
            raise RpcProblem(
                "INVALID_ARGUMENT", "the artifact store takes no parts by itself", field="upload_id"
            )
        return self._artifacts

    def _part_size(self, files: Sequence[ManifestFile]) -> int:
        """A store counts to so many parts of a file, and a message holds so many in all."""
        longest = max(file.size_bytes for file in files)
        total = sum(file.size_bytes for file in files)
        least = max(-(-longest // _MOST_PARTS), -(-total // _MOST_PARTS_IN_ALL))
        return max(self._limits.part_size_bytes, -(-least // _MIB) * _MIB)
