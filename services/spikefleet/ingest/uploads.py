"""Taking recordings in part by part: each part is checked as it comes, the whole at the end.

An upload is accepted once every byte of it has a digest of this side's making. A file that arrives
in order is digested while it arrives; only what another process received, or what was touched
since, is read again. Blocking; the door runs it in threads.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spikefleet.core.rooms.uploads import UploadedPart
from spikefleet.core.submissions import ManifestFile, Recording, RecordingName
from spikefleet.core.text import counted
from spikefleet.infra.rpc.errors import RpcProblem
from spikefleet.infra.rpc.interceptors import RpcMeter
from spikefleet.infra.stores.bytes.artifacts import ArtifactStore
from spikefleet.infra.stores.sql.recordings import RecordingStore
from spikefleet.infra.stores.sql.upload_values import (
    NewUpload,
    Upload,
    UploadNotFoundError,
    UploadState,
)
from spikefleet.infra.stores.sql.uploads import UploadStore
from spikefleet.infra.telemetry import INGESTED_BYTES
from spikefleet.ingest.arrivals import Arrivals, FileTally, Manifest, Stamp
from spikefleet.ingest.intake import accepted_recording
from spikefleet.ingest.publishing import Publisher, StagedDamageError
from spikefleet.ingest.staging import Staging, digest_file
from spikefleet.ingest.upload_files import check_files
from spikefleet.ingest.upload_room import UploadRoom, disk_full

log = logging.getLogger(__name__)

_MIB = 1 << 20
PART_SIZE_BYTES = 16 * _MIB
_LARGEST_PART_BYTES = 256 * _MIB
_MOST_PARTS = 8192
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True)
class UploadRequest:
    """A recording to come: ``files`` with sizes, digests where the rig knows them already."""

    name: RecordingName
    files: tuple[ManifestFile, ...]
    entry: str = ""
    idempotency_key: str = ""
    owner: str = ""
    is_operator: bool = False


@dataclass(frozen=True)
class ArrivedPart:
    """A part with all its bytes, and the digest that its sender gave.

    ``from_start``: the digest is of the file from its first byte to the end of this part.
    """

    path: str
    offset_bytes: int
    chunks: tuple[bytes, ...]
    sha256: str
    from_start: bool

    @property
    def size_bytes(self) -> int:
        """Length of the part."""
        return sum(len(chunk) for chunk in self.chunks)


class UploadIntake:
    """Takes recordings part by part. Changes of one upload take turns."""

    def __init__(
        self,
        uploads: UploadStore,
        recordings: RecordingStore,
        artifacts: ArtifactStore,
        staging: Staging,
        *,
        meter: RpcMeter | None = None,
        part_size_bytes: int = PART_SIZE_BYTES,
    ) -> None:
        self._uploads = uploads
        self._recordings = recordings
        self._staging = staging
        self._room = UploadRoom(staging, uploads)
        self._publisher = Publisher(artifacts, staging)
        self._meter = meter
        self._part_size_bytes = part_size_bytes
        #: told of every upload that ends without a recording
        self.on_dropped: Callable[[Upload], None] = lambda upload: None
        self.arrivals = Arrivals()

    def create(self, request: UploadRequest) -> Upload:
        """Open an upload, or return the one its key opened before.

        One that is complete is opened again when the store has lost bytes of it since. Raises
        RpcProblem DISK_FULL when what is still to come does not fit, TOO_MANY_UPLOADS.
        """
        check_files(request.files, request.entry)
        upload = self._open(request)
        accepted = self.recording(upload)
        if accepted is not None and not self._publisher.is_intact(accepted):
            self._uploads.free_key(upload.upload_id)
            upload = self._open(request)
        if upload.state is UploadState.OPEN:
            there = self._uploads.parts(upload.upload_id)
            to_come = sum(file.size_bytes for file in request.files)
            self._room.require(to_come - sum(part.size_bytes for part in there))
        return upload

    def _open(self, request: UploadRequest) -> Upload:
        new = NewUpload(
            upload_id=f"upload-{uuid.uuid4().hex[:16]}",
            name=request.name,
            files=request.files,
            entry=request.entry,
            part_size_bytes=self._part_size(request.files),
            idempotency_key=upload_key(request),
            owner=request.owner,
        )
        upload = self._uploads.create(new)
        if upload.upload_id == new.upload_id and not request.is_operator:
            self._room.require_share(upload)
        return upload

    def get(self, upload_id: str) -> Upload:
        """Return an upload. Raises UploadNotFoundError."""
        return self._uploads.get(upload_id)

    def parts(self, upload_id: str) -> list[UploadedPart]:
        """Return the parts that are safe."""
        return self._uploads.parts(upload_id)

    def recording(self, upload: Upload) -> Recording | None:
        """Return the recording a complete upload became."""
        is_complete = upload.state is UploadState.COMPLETE
        return self._recordings.get(upload.recording_id) if is_complete else None

    def manifest(self, upload_id: str) -> Manifest:
        """Return the upload's fixed half; the records are read for the first part only.

        Raises UploadNotFoundError.
        """

        def read() -> Manifest:
            upload = self._uploads.get(upload_id)
            if upload.direct:
                text = "parts of this upload go to signed addresses"
                raise RpcProblem("INVALID_ARGUMENT", text, field="upload_id")
            sizes = {file.path: file.size_bytes for file in upload.files}
            return Manifest(upload.owner, upload.part_size_bytes, sizes)

        return self.arrivals.manifest(upload_id, read)

    def part_length(self, manifest: Manifest, path: str, offset_bytes: int) -> int:
        """Return how long the part at this offset is. Raises RpcProblem when there is none."""
        size_bytes = manifest.sizes_bytes.get(path)
        if size_bytes is None:
            raise RpcProblem("INVALID_ARGUMENT", f"the upload has no file {path!r}", field="path")
        if offset_bytes % manifest.part_size_bytes or not 0 <= offset_bytes < size_bytes:
            raise RpcProblem(
                "INVALID_ARGUMENT",
                f"no part of {path} begins at byte {offset_bytes}; parts are "
                f"{manifest.part_size_bytes} bytes long and the file {size_bytes}",
                field="offset_bytes",
            )
        return min(manifest.part_size_bytes, size_bytes - offset_bytes)

    def store_parts(self, upload_id: str, parts: Sequence[ArrivedPart]) -> list[UploadedPart]:
        """Check the parts' digests, put all of them on the disk, then on record; or none.

        At most one part of each file. Raises RpcProblem PART_DAMAGED, DISK_FULL, or FILE_DAMAGED
        when bytes stored earlier have changed; UploadClosedError.
        """
        with self.arrivals.changing(upload_id):
            self._uploads.require_open(upload_id)
            found = [self._checked(upload_id, part) for part in parts]
            stamps = self._write(upload_id, parts)
            stored = [
                UploadedPart(
                    part.path, part.offset_bytes, part.size_bytes, digest.hexdigest(), is_in_order
                )
                for part, (digest, is_in_order) in zip(parts, found, strict=True)
            ]
            self._uploads.add_parts(upload_id, stored)
            for part, (digest, is_in_order), stamp in zip(parts, found, stamps, strict=True):
                if is_in_order:
                    size_bytes = part.offset_bytes + part.size_bytes
                    self.arrivals.keep(upload_id, part.path, FileTally(digest, size_bytes, stamp))
                else:
                    self.arrivals.drop(upload_id, part.path)
        if self._meter is not None:
            size_bytes = sum(part.size_bytes for part in stored)
            self._meter.add(INGESTED_BYTES, size_bytes, path="upload")
        return stored

    def _checked(self, upload_id: str, part: ArrivedPart) -> tuple[hashlib._Hash, bool]:
        """Return the digest that the part was told with, and whether it is from the file's start.

        Raises RpcProblem PART_DAMAGED when the bytes have another one.
        """
        tally = self._tally_before(upload_id, part) if part.from_start else None
        digest = tally.sha256.copy() if tally else hashlib.sha256()
        for chunk in part.chunks:
            digest.update(chunk)
        if digest.hexdigest() != part.sha256.lower():
            raise RpcProblem(
                "PART_DAMAGED",
                f"the part of {part.path} at byte {part.offset_bytes} arrived damaged",
                metadata={"path": part.path, "offset_bytes": str(part.offset_bytes)},
            )
        return digest, part.from_start

    def complete(self, upload_id: str, told: Sequence[ManifestFile]) -> Recording:
        """Verify every file, publish the bytes and accept the recording; twice is a no-op.

        Raises RpcProblem UPLOAD_INCOMPLETE, or FILE_DAMAGED naming file and part; the upload is
        dropped then, so that the next try starts with clean bytes.
        """
        with self.arrivals.changing(upload_id):
            upload = self._uploads.get(upload_id)
            accepted = self.recording(upload)
            if accepted is not None:
                return accepted
            parts = self._uploads.parts(upload_id)
            self._require_all(upload, parts)
            digests = {file.path: file.sha256 for file in told}
            files = tuple(
                self._digested(upload, file, digests.get(file.path, ""), parts)
                for file in upload.files
            )
            recording = accepted_recording(upload.name, files, upload.entry)
            self._publish(upload, recording)
            stored = self._uploads.accept(upload_id, recording, self._recordings)
            self._staging.discard(upload_id)
            self.arrivals.forget(upload_id)
        return stored

    def abort(self, upload_id: str) -> None:
        """Drop an unfinished upload and its bytes.

        Raises UploadClosedError for one that is complete, or is being completed.
        """
        self._uploads.require_no_completion(upload_id)
        with self.arrivals.changing(upload_id):
            upload = self._uploads.abort(upload_id)
            self.on_dropped(upload)
            self._staging.discard(upload_id)
            self.arrivals.forget(upload_id)

    def expire(self, idle_s: float) -> int:
        """Drop uploads that have received nothing for ``idle_s``; return how many.

        One that is receiving a part, or being completed, is left alone however slow it is. Bytes
        that an ended upload left behind are removed.
        """
        self._clear_ended()
        expired = 0
        for upload in self._uploads.idle(idle_s):
            with self.arrivals.changing_if_idle(upload.upload_id) as is_idle:
                if not is_idle or not self._uploads.expire(upload.upload_id, idle_s):
                    continue
                self.on_dropped(upload)
                self._staging.discard(upload.upload_id)
                self.arrivals.forget(upload.upload_id)
            expired += 1
            log.warning(
                "upload.expired",
                extra={
                    "upload_id": upload.upload_id,
                    "recording": str(upload.name),
                    "idle_s": idle_s,
                    "last_part_at": upload.updated_at.isoformat(),
                },
            )
        return expired

    def _clear_ended(self) -> None:
        """Finish what a crash between the records and the disk left undone."""
        for upload_id in self._staging.upload_ids():
            try:
                is_open = self._uploads.get(upload_id).state is UploadState.OPEN
            except UploadNotFoundError:
                continue  # of another database, perhaps of one that is about to be restored
            if not is_open:
                with self.arrivals.changing_if_idle(upload_id) as is_idle:
                    if is_idle:
                        self._staging.discard(upload_id)
                        self.arrivals.forget(upload_id)

    def _write(self, upload_id: str, parts: Sequence[ArrivedPart]) -> list[Stamp]:
        """Put parts on the disk. Raises RpcProblem DISK_FULL."""
        size_bytes = sum(part.size_bytes for part in parts)
        self._room.require(size_bytes)
        written = [(part.path, part.offset_bytes, part.chunks) for part in parts]
        try:
            return self._staging.write_parts(upload_id, written)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise disk_full(size_bytes, self._staging.room_bytes()) from error

    def _part_size(self, files: Sequence[ManifestFile]) -> int:
        """Larger recordings get larger parts, so that their list stays short."""
        total_bytes = sum(file.size_bytes for file in files)
        wanted = -(-total_bytes // _MOST_PARTS // _MIB) * _MIB
        return max(self._part_size_bytes, min(wanted, _LARGEST_PART_BYTES))

    def _tally_before(self, upload_id: str, part: ArrivedPart) -> FileTally:
        """The file's digest up to this part; what another process received is read again."""
        tally = self.arrivals.tally(upload_id, part.path)
        stamp = self._staging.stamp(upload_id, part.path)
        if tally and (tally.size_bytes, tally.stamp) == (part.offset_bytes, stamp):
            return tally
        if part.offset_bytes == 0:
            return FileTally(hashlib.sha256(), 0, None)
        parts = self._uploads.parts(upload_id, part.path)
        before = [p for p in parts if p.offset_bytes < part.offset_bytes]
        if sum(p.size_bytes for p in before) != part.offset_bytes:
            raise RpcProblem(
                "INVALID_ARGUMENT",
                f"the part of {part.path} at byte {part.offset_bytes} comes before those in front "
                "of it, and only one with its own digest may",
                field="offset_bytes",
            )
        whole = self._staging.digest_start(upload_id, part.path, part.offset_bytes)
        if before[-1].from_start and before[-1].sha256 != whole.hexdigest():
            raise self._damaged(upload_id, part.path, parts)
        return FileTally(whole, part.offset_bytes, None)

    def _require_all(self, upload: Upload, parts: Sequence[UploadedPart]) -> None:
        there = {(part.path, part.offset_bytes) for part in parts}
        missing = [
            f"{file.path} from byte {offset}"
            for file in upload.files
            for offset in range(0, file.size_bytes, upload.part_size_bytes)
            if (file.path, offset) not in there
        ]
        if missing:
            raise RpcProblem(
                "UPLOAD_INCOMPLETE",
                f"{counted(len(missing), 'part')} missing; the first is {missing[0]}",
                resource=upload.upload_id,
            )

    def _digested(
        self, upload: Upload, file: ManifestFile, told: str, parts: Sequence[UploadedPart]
    ) -> ManifestFile:
        """Return the file with its digest; it must be the one the rig told, where it told one."""
        path = self._staging.ensure_file(upload.upload_id, file.path)
        if path.stat().st_size != file.size_bytes:
            raise self._damaged(upload.upload_id, file.path, parts)
        tally = self.arrivals.tally(upload.upload_id, file.path)
        stamp = self._staging.stamp(upload.upload_id, file.path)
        if tally and (tally.size_bytes, tally.stamp) == (file.size_bytes, stamp):
            digest = tally.sha256.hexdigest()
        else:
            digest = digest_file(path)
        if {told.lower(), file.sha256.lower()} - {"", digest}:
            raise self._damaged(upload.upload_id, file.path, parts)
        return ManifestFile(file.path, file.size_bytes, digest)

    def _publish(self, upload: Upload, recording: Recording) -> None:
        try:
            self._publisher.publish(upload.upload_id, recording)
        except StagedDamageError as error:
            parts = self._uploads.parts(upload.upload_id)
            raise self._damaged(upload.upload_id, error.path, parts) from error

    def _damaged(self, upload_id: str, path: str, parts: Sequence[UploadedPart]) -> RpcProblem:
        """Find which part rotted, drop the upload, and return what to tell the rig."""
        mine = [part for part in parts if part.path == path]
        damaged = self._staging.find_damaged(upload_id, path, mine)
        where = f"the part at byte {damaged[0]}" if damaged else "the file as a whole"
        self.abort(upload_id)
        return RpcProblem(
            "FILE_DAMAGED",
            f"{path} does not have the bytes the rig sent: {where} differs",
            metadata={"path": path, "offsets_bytes": ",".join(map(str, damaged))},
        )


def upload_key(request: UploadRequest, way: str = "") -> str:
    """The key under which the upload is found again; a stranger's equal key is another one.

    So is one of another ``way`` for the bytes.
    """
    key = f"{request.owner}/{request.idempotency_key}" if request.idempotency_key else ""
    return f"{way}:{key}" if key and way else key
