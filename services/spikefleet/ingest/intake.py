"""Accepting recordings: uploaded ones are verified and published, others registered in place.

A recording is accepted once every byte of it has a digest; nothing is accepted on trust. What was
not there is accepted as missing, so that its run can say so. Blocking; the door runs it in threads.
"""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from spikefleet.core.failures.errors import InputMissingError
from spikefleet.core.recordings.files import recording_files
from spikefleet.core.submissions import (
    ManifestFile,
    Recording,
    RecordingName,
    digest_document,
    digest_manifest,
)
from spikefleet.core.telemetry import INGESTED_BYTES
from spikefleet.infra.rpc.errors import RpcProblem
from spikefleet.infra.rpc.interceptors import RpcMeter
from spikefleet.infra.stores.artifacts import (
    MANIFEST,
    ArtifactStore,
    recording_prefix,
    verify_prefix,
    write_manifest,
)
from spikefleet.infra.stores.recordings import RecordingStore
from spikefleet.infra.stores.uploads import (
    NewUpload,
    Upload,
    UploadedPart,
    UploadState,
    UploadStore,
)
from spikefleet.ingest.staging import Staging, digest_file

_MIB = 1 << 20
PART_SIZE_BYTES = 16 * _MIB
_LARGEST_PART_BYTES = 256 * _MIB
_MOST_PARTS = 8192
_REMEMBERED_DIGESTS = 4096


@dataclass(frozen=True)
class UploadRequest:
    """A recording to come: ``files`` with sizes, digests where the rig knows them already."""

    name: RecordingName
    files: tuple[ManifestFile, ...]
    entry: str = ""
    idempotency_key: str = ""


class UploadIntake:
    """Takes recordings part by part."""

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
        self._artifacts = artifacts
        self._staging = staging
        self._meter = meter
        self._part_size_bytes = part_size_bytes

    def create(self, request: UploadRequest) -> Upload:
        """Open an upload, or return the one its key opened before."""
        _check_paths(request.files, request.entry)
        return self._uploads.create(
            NewUpload(
                upload_id=f"upload-{uuid.uuid4().hex[:16]}",
                name=request.name,
                files=request.files,
                entry=request.entry,
                part_size_bytes=self._part_size(request.files),
                idempotency_key=request.idempotency_key,
            )
        )

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

    def part_length(self, upload: Upload, path: str, offset_bytes: int) -> int:
        """Return how long the part at this offset is. Raises RpcProblem when there is none."""
        file = next((file for file in upload.files if file.path == path), None)
        if file is None:
            raise RpcProblem("INVALID_ARGUMENT", f"the upload has no file {path!r}", field="path")
        if offset_bytes % upload.part_size_bytes or not 0 <= offset_bytes < file.size_bytes:
            raise RpcProblem(
                "INVALID_ARGUMENT",
                f"no part of {path} begins at byte {offset_bytes}; parts are "
                f"{upload.part_size_bytes} bytes long and the file {file.size_bytes}",
                field="offset_bytes",
            )
        return min(upload.part_size_bytes, file.size_bytes - offset_bytes)

    def store_part(self, upload_id: str, part: UploadedPart, data: bytes) -> None:
        """Put a verified part on the disk, then on record."""
        self._staging.write_part(upload_id, part.path, part.offset_bytes, data)
        self._uploads.add_part(upload_id, part)
        if self._meter is not None:
            self._meter.add(INGESTED_BYTES, part.size_bytes, path="upload")

    def complete(self, upload_id: str, told: Sequence[ManifestFile]) -> Recording:
        """Verify every file, publish the bytes and accept the recording; twice is a no-op.

        Raises RpcProblem UPLOAD_INCOMPLETE, or FILE_DAMAGED naming file and part; the upload is
        dropped then, so that the next try starts with clean bytes.
        """
        upload = self._uploads.get(upload_id)
        accepted = self.recording(upload)
        if accepted is not None:
            return accepted
        parts = self._uploads.parts(upload_id)
        self._require_all(upload, parts)
        digests = {file.path: file.sha256 for file in told}
        files = tuple(
            self._digested(upload, file, digests.get(file.path, ""), parts) for file in upload.files
        )
        recording = _accepted(upload.name, files, upload.entry)
        self._publish(upload, recording, parts)
        stored = self._recordings.add(recording)
        self._uploads.complete(upload_id, stored.recording_id)
        self._staging.discard(upload_id)
        return stored

    def abort(self, upload_id: str) -> None:
        """Drop an unfinished upload and its bytes."""
        self._uploads.abort(upload_id)
        self._staging.discard(upload_id)

    def _part_size(self, files: Sequence[ManifestFile]) -> int:
        """Larger recordings get larger parts, so that their list stays short."""
        total_bytes = sum(file.size_bytes for file in files)
        wanted = -(-total_bytes // _MOST_PARTS // _MIB) * _MIB
        return max(self._part_size_bytes, min(wanted, _LARGEST_PART_BYTES))

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
                f"{len(missing)} parts are missing; the first is {missing[0]}",
                resource=upload.upload_id,
            )

    def _digested(
        self, upload: Upload, file: ManifestFile, told: str, parts: Sequence[UploadedPart]
    ) -> ManifestFile:
        """Return the file with the rig's digest; the store checks it while it copies the bytes.

        Where the rig told none, the bytes on this disk are read for it.
        """
        path = self._staging.ensure_file(upload.upload_id, file.path)
        wanted = (told or file.sha256).lower()
        contradicts = bool(file.sha256) and file.sha256.lower() != wanted
        if path.stat().st_size != file.size_bytes or contradicts:
            raise self._damaged(upload, file.path, parts)
        return ManifestFile(file.path, file.size_bytes, wanted or digest_file(path))

    def _publish(self, upload: Upload, recording: Recording, parts: Sequence[UploadedPart]) -> None:
        """Store the files, the manifest last; a repetition after a crash writes nothing new."""
        prefix = recording.location
        if self._artifacts.size(f"{prefix}/{MANIFEST}") is not None:
            verify_prefix(self._artifacts, prefix)
            return
        stored = []
        for file in recording.files:
            source = self._staging.file(upload.upload_id, file.path)
            stored.append(self._artifacts.put_file(f"{prefix}/files/{file.path}", source))
            if stored[-1].sha256 != file.sha256:
                error = self._damaged(upload, file.path, parts)
                self._artifacts.delete_prefix(prefix)
                raise error
        write_manifest(self._artifacts, prefix, stored)

    def _damaged(self, upload: Upload, path: str, parts: Sequence[UploadedPart]) -> RpcProblem:
        """Find which part rotted, drop the upload, and return what to tell the rig."""
        damaged = [
            part.offset_bytes
            for part in parts
            if part.path == path
            and part.sha256
            != self._staging.digest_part(upload.upload_id, path, part.offset_bytes, part.size_bytes)
        ]
        where = f"the part at byte {damaged[0]}" if damaged else "the file as a whole"
        self.abort(upload.upload_id)
        return RpcProblem(
            "FILE_DAMAGED",
            f"{path} does not have the bytes the rig sent: {where} differs",
            metadata={"path": path, "offsets_bytes": ",".join(map(str, damaged))},
        )


class InPlaceIntake:
    """Registers recordings where they lie."""

    def __init__(self, recordings: RecordingStore, *, meter: RpcMeter | None = None) -> None:
        self._recordings = recordings
        self._meter = meter
        self._digests: OrderedDict[tuple[str, int, int, int], str] = OrderedDict()
        self._lock = threading.Lock()

    def register(
        self,
        name: RecordingName,
        path: str,
        *,
        must_exist: bool = False,
        expected: Sequence[ManifestFile] = (),
    ) -> Recording:
        """Hash what is at ``path`` and accept it; nothing there is accepted as missing.

        Raises RpcProblem PATH_NOT_VISIBLE with ``must_exist`` when nothing, or something other
        than the ``expected`` paths and sizes, is there; SOURCE_CHANGED when it changes meanwhile.
        """
        if not Path(path).is_absolute():
            raise RpcProblem("INVALID_ARGUMENT", f"{path!r} is not absolute", field="path")
        try:
            root, paths, entry = recording_files(Path(path))
        except InputMissingError as error:
            if must_exist:
                raise RpcProblem("PATH_NOT_VISIBLE", error.message, field="path") from error
            return self._recordings.add(_missing(name, path))
        seen = [(file.relative_to(root).as_posix(), file.stat().st_size) for file in paths]
        if expected and sorted(seen) != sorted((f.path, f.size_bytes) for f in expected):
            raise RpcProblem(
                "PATH_NOT_VISIBLE", f"other files are at {path} on the service's side", field="path"
            )
        files = tuple(self._digested(root, file) for file in paths)
        return self._recordings.add(_accepted(name, files, entry, root=root))

    def _digested(self, root: Path, path: Path) -> ManifestFile:
        """Return a file with its digest; bytes hashed before and not touched since are trusted."""
        try:
            before = path.stat()
            key = (str(path), before.st_size, before.st_mtime_ns, before.st_ctime_ns)
            with self._lock:
                digest = self._digests.get(key)
            if digest is None:
                digest = digest_file(path)
                if self._meter is not None:
                    self._meter.add(INGESTED_BYTES, before.st_size, path="in_place")
            after = path.stat()
        except OSError as error:
            raise RpcProblem(
                "PATH_NOT_VISIBLE", f"{path} cannot be read: {error.strerror}", field="path"
            ) from error
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise RpcProblem("SOURCE_CHANGED", f"{path} is still being written", field="path")
        with self._lock:
            self._digests[key] = digest
            while len(self._digests) > _REMEMBERED_DIGESTS:
                self._digests.popitem(last=False)
        return ManifestFile(path.relative_to(root).as_posix(), before.st_size, digest)


def _accepted(
    name: RecordingName, files: tuple[ManifestFile, ...], entry: str, *, root: Path | None = None
) -> Recording:
    """Make the recording; its id follows from name and bytes, so that a repetition is the same."""
    digest = digest_manifest(files)
    recording_id = f"rec-{digest_document([str(name), digest, str(root or '')])[:16]}"
    location = recording_prefix(recording_id) if root is None else str(root)
    return Recording(
        recording_id, name, files, digest, location, in_place=root is not None, entry=entry
    )


def _missing(name: RecordingName, path: str) -> Recording:
    recording_id = f"rec-{uuid.uuid4().hex[:16]}"
    digest = digest_document([recording_id, path])  # unlike any other: nobody knows the bytes
    return Recording(recording_id, name, (), digest, path, in_place=True, missing=True)


def _check_paths(files: Sequence[ManifestFile], entry: str) -> None:
    paths = [file.path for file in files]
    for path in [*paths, *([entry] if entry else [])]:
        parts = PurePosixPath(path).parts
        if not parts or path != "/".join(parts) or ".." in parts or path.startswith("/"):
            raise RpcProblem(
                "INVALID_ARGUMENT", f"{path!r} is not a relative path", field="files.path"
            )
    if len(set(paths)) != len(paths):
        raise RpcProblem("INVALID_ARGUMENT", "a file is listed twice", field="files.path")
    if any(file.size_bytes < 0 for file in files):
        raise RpcProblem("INVALID_ARGUMENT", "a size is negative", field="files.size_bytes")
