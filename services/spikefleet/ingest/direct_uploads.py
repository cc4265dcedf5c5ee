"""Recordings whose bytes go straight into the artifact store: this room signs addresses and counts.

The store's list of parts is the truth. A part is right when the store computed the MD5 of it that
the rig computed of what it read; the SHA-256 of whole files is the rig's word, which the runner
checks before it sorts. A recording taken in on its sender's word alone is therefore not mistaken
for one of another owner's: its digest has its owner in it, and so has the run's.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice

from spikefleet.core.files import digest_document
from spikefleet.core.ids import RecordingId
from spikefleet.core.rooms.uploads import SignedPart, UploadedPart
from spikefleet.core.submissions import ManifestFile, Recording
from spikefleet.core.text import counted
from spikefleet.infra.rpc.errors import RpcProblem
from spikefleet.infra.stores.bytes.artifacts import (
    MANIFEST,
    ArtifactStore,
    StoredFile,
    StoredPart,
    TakesParts,
    recording_prefix,
    write_manifest,
)
from spikefleet.infra.stores.sql.recordings import RecordingNotFoundError, RecordingStore
from spikefleet.infra.stores.sql.uploads import NewUpload, Upload, UploadState, UploadStore
from spikefleet.ingest.arrivals import Arrivals
from spikefleet.ingest.intake import accepted_recording
from spikefleet.ingest.upload_files import check_files
from spikefleet.ingest.uploads import UploadRequest, upload_key

MOST_FILES = 256  #: of more, every one a request or two to the store, the stream is quicker
MOST_SIGNED = 100  #: addresses in one answer
LIFE_S = 3600.0  #: of an address
_MIB = 1 << 20
DIRECT_PART_BYTES = 64 * _MIB
_MOST_PARTS = 9000
_AT_ONCE = 8
_MD5 = re.compile(r"[0-9a-f]{32}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class DirectUploads:
    """Takes recordings in at signed addresses. Blocking; the door runs it in threads."""

    def __init__(
        self,
        uploads: UploadStore,
        recordings: RecordingStore,
        artifacts: ArtifactStore,
        *,
        part_size_bytes: int = DIRECT_PART_BYTES,
    ) -> None:
        self._uploads, self._recordings, self._artifacts = uploads, recordings, artifacts
        self._part_size_bytes = part_size_bytes
        self._changing = Arrivals()

    def takes(self, request: UploadRequest) -> bool:
        """Say whether the store takes parts itself, and the recording is one of few files."""
        has_bytes = any(file.size_bytes for file in request.files)
        few = len(request.files) <= MOST_FILES
        return isinstance(self._artifacts, TakesParts) and has_bytes and few

    def create(self, request: UploadRequest, most_open: int) -> Upload:
        """Open an upload, or return the one its key opened before.

        One that is complete is opened again when the store has lost files of it since. Raises
        RpcProblem TOO_MANY_UPLOADS, StorageUnavailableError.
        """
        check_files(request.files, request.entry)
        upload = self._open(request, most_open)
        if upload.state is UploadState.COMPLETE:
            accepted = self._recordings.get(upload.recording_id)
            if not self._is_there(accepted):
                self._uploads.free_key(upload.upload_id)
                upload = self._open(request, most_open)
        return upload

    def parts(self, upload: Upload) -> list[UploadedPart]:
        """Return the parts that the store has. Raises StorageUnavailableError."""
        if upload.state is not UploadState.OPEN:
            return []
        return [
            UploadedPart(path, offset, part.size_bytes, "", md5=part.md5)
            for path, parts in self._there(upload).items()
            for part in parts
            for offset in [(part.number - 1) * upload.part_size_bytes]
        ]

    def first_missing(self, upload: Upload, there: Sequence[UploadedPart]) -> list[SignedPart]:
        """Return addresses of the first parts that are not there."""
        known = {(part.path, part.offset_bytes) for part in there}
        missing = (
            (file.path, offset)
            for file in upload.files
            for offset, _ in _plan(upload, file)
            if (file.path, offset) not in known
        )
        return self.sign(upload, list(islice(missing, MOST_SIGNED)))

    def sign(self, upload: Upload, wanted: Sequence[tuple[str, int]]) -> list[SignedPart]:
        """Return an address for each part, named by path and first byte.

        Raises RpcProblem INVALID_ARGUMENT, UploadClosedError.
        """
        if len(wanted) > MOST_SIGNED:
            raise RpcProblem(
                "INVALID_ARGUMENT", f"at most {MOST_SIGNED} addresses at once", field="parts"
            )
        self._uploads.touch(upload.upload_id)
        sizes_bytes = {file.path: file.size_bytes for file in upload.files}
        for path, offset in wanted:
            begins_one = offset % upload.part_size_bytes == 0
            if not (begins_one and 0 <= offset < sizes_bytes.get(path, 0)):
                raise RpcProblem(
                    "INVALID_ARGUMENT",
                    f"the upload has no part of {path!r} at byte {offset}",
                    field="parts",
                )
        store = self._store()
        return [
            SignedPart(path, offset, store.sign_part(*self._place(upload, path), number, LIFE_S))
            for path, offset in wanted
            for number in [offset // upload.part_size_bytes + 1]
        ]

    def complete(
        self, upload_id: str, files: Sequence[ManifestFile], parts: Sequence[UploadedPart]
    ) -> Recording:
        """Compare every part with what the rig read, make the files, accept; twice is a no-op.

        Raises RpcProblem INVALID_ARGUMENT, UPLOAD_INCOMPLETE, or PART_DAMAGED naming file and
        parts, which can be put again; UploadClosedError, StorageUnavailableError.
        """
        with self._changing.changing(upload_id):
            upload = self._uploads.get(upload_id)
            if upload.state is UploadState.COMPLETE:
                return self._recordings.get(upload.recording_id)
            self._uploads.require_open(upload_id)
            whole = _digested(upload, files)
            told = _told(upload, parts)
            self._join(upload, told)
            recording = self._accept(upload, whole)
            self._uploads.complete(upload_id, recording.recording_id)
        self._changing.forget(upload_id)
        return recording

    def drop(self, upload: Upload) -> None:
        """Drop what the store has of an upload that ended without a recording."""
        if not upload.direct or not isinstance(self._artifacts, TakesParts):
            return
        for path in upload.direct:
            self._artifacts.drop_parts(*self._place(upload, path))
        self._artifacts.delete_prefix(recording_prefix(upload.upload_id))

    def _open(self, request: UploadRequest, most_open: int) -> Upload:
        upload_id = f"upload-{uuid.uuid4().hex[:16]}"
        new = NewUpload(
            upload_id=upload_id,
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
        if not request.is_operator and self._uploads.open_of(request.owner).count >= most_open:
            raise RpcProblem(
                "TOO_MANY_UPLOADS", f"{most_open} uploads of this user are open already."
            )
        store = self._store()
        keys = {path: _key(upload_id, path) for path in new.direct}
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="begin") as pool:
            begun = dict(zip(keys, pool.map(store.begin_parts, keys.values()), strict=True))
        upload = self._uploads.create(replace(new, direct=begun))
        if upload.upload_id != upload_id:  # another call of the same key was quicker
            for path, parts_id in begun.items():
                store.drop_parts(keys[path], parts_id)
        return upload

    def _join(self, upload: Upload, told: Mapping[str, Sequence[StoredPart]]) -> None:
        """Make every file of its parts, once all parts of all files are right."""
        store = self._store()
        open_files = {
            path: parts
            for path, parts in told.items()
            if not store.is_made_of(_key(upload.upload_id, path), parts)
        }
        there = self._there(upload, open_files)
        for path, parts in open_files.items():
            _compare(upload, path, parts, there[path])
        for path, parts in open_files.items():
            store.join_parts(*self._place(upload, path), parts)

    def _accept(self, upload: Upload, files: tuple[ManifestFile, ...]) -> Recording:
        """Make the recording valid where its bytes are, or return the one that it is again."""
        prefix = recording_prefix(upload.upload_id)
        base = accepted_recording(upload.name, files, upload.entry)
        # Runs of equal digests are one run, whose results all its owners may read.
        digest = digest_document(["told by", upload.owner, base.digest])
        identity = [str(upload.name), digest]
        for known in (identity, [*identity, upload.upload_id]):
            recording_id = RecordingId(f"rec-{digest_document(known)[:16]}")
            recording = replace(base, recording_id=recording_id, digest=digest, location=prefix)
            try:
                earlier = self._recordings.get(recording_id)
            except RecordingNotFoundError:
                break
            if earlier.location != prefix and self._is_there(earlier):
                self._artifacts.delete_prefix(prefix)
                return earlier
        stored = [
            StoredFile(f"{prefix}/files/{file.path}", file.size_bytes, file.sha256)
            for file in files
        ]
        for file in stored:
            if not file.size_bytes:
                self._artifacts.put_bytes(file.key, b"")
        write_manifest(self._artifacts, prefix, stored)
        return self._recordings.add(recording, upload.owner)

    def _is_there(self, recording: Recording) -> bool:
        prefix = recording.location
        return self._artifacts.size(f"{prefix}/{MANIFEST}") is not None and all(
            self._artifacts.size(f"{prefix}/files/{file.path}") == file.size_bytes
            for file in recording.files
        )

    def _there(
        self, upload: Upload, paths: Mapping[str, object] | None = None
    ) -> dict[str, list[StoredPart]]:
        store = self._store()

        def look(path: str) -> list[StoredPart]:
            try:
                return store.parts_there(*self._place(upload, path))
            except FileNotFoundError:
                return []  # dropped by the store, or joined by an earlier call

        wanted = list(upload.direct if paths is None else paths)
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="look") as pool:
            return dict(zip(wanted, pool.map(look, wanted), strict=True))

    def _place(self, upload: Upload, path: str) -> tuple[str, str]:
        return _key(upload.upload_id, path), upload.direct[path]

    def _store(self) -> TakesParts:
        if not isinstance(self._artifacts, TakesParts):
            raise RpcProblem(
                "INVALID_ARGUMENT", "the artifact store takes no parts by itself", field="upload_id"
            )
        return self._artifacts

    def _part_size(self, files: Sequence[ManifestFile]) -> int:
        """A store counts to 10 000 parts of a file, so the longest decides."""
        longest = max(file.size_bytes for file in files)
        return max(self._part_size_bytes, -(-longest // _MOST_PARTS // _MIB) * _MIB)


def _key(upload_id: str, path: str) -> str:
    return f"{recording_prefix(upload_id)}/files/{path}"


def _plan(upload: Upload, file: ManifestFile) -> Iterator[tuple[int, int]]:
    """First byte and length of every part of a file."""
    for offset in range(0, file.size_bytes, upload.part_size_bytes):
        yield offset, min(upload.part_size_bytes, file.size_bytes - offset)


def _digested(upload: Upload, told: Sequence[ManifestFile]) -> tuple[ManifestFile, ...]:
    """The upload's files with the digests that the rig tells. Raises RpcProblem."""
    digests = {file.path: file.sha256.lower() for file in told}
    for file in upload.files:
        if not _SHA256.fullmatch(digests.get(file.path, "")):
            raise RpcProblem(
                "INVALID_ARGUMENT", f"{file.path!r} comes without its SHA-256", field="files"
            )
    return tuple(replace(file, sha256=digests[file.path]) for file in upload.files)


def _told(upload: Upload, parts: Sequence[UploadedPart]) -> dict[str, list[StoredPart]]:
    """The parts that each file must be made of. Raises RpcProblem where one is not told."""
    digests = {(part.path, part.offset_bytes): part.md5.lower() for part in parts}
    found: dict[str, list[StoredPart]] = {}
    for file in upload.files:
        for number, (offset, size_bytes) in enumerate(_plan(upload, file), start=1):
            md5 = digests.get((file.path, offset), "")
            if not _MD5.fullmatch(md5):
                raise RpcProblem(
                    "INVALID_ARGUMENT",
                    f"the part of {file.path} at byte {offset} comes without its MD5",
                    field="parts",
                )
            found.setdefault(file.path, []).append(StoredPart(number, size_bytes, md5))
    return found


def _compare(
    upload: Upload, path: str, told: Sequence[StoredPart], there: Sequence[StoredPart]
) -> None:
    """Refuse a file of which a part is not there, or is not what the rig read."""
    stored = {part.number: part for part in there}
    wrong = [part for part in told if stored.get(part.number) != part]
    if not wrong:
        return
    missing = [part for part in wrong if part.number not in stored]
    first = (missing or wrong)[0]
    offset = (first.number - 1) * upload.part_size_bytes
    if missing:
        raise RpcProblem(
            "UPLOAD_INCOMPLETE",
            f"{counted(len(missing), 'part')} of {path} missing; the first is at byte {offset}",
            resource=upload.upload_id,
        )
    offsets = [str((part.number - 1) * upload.part_size_bytes) for part in wrong]
    raise RpcProblem(
        "PART_DAMAGED",
        f"the part of {path} at byte {offset} arrived damaged",
        metadata={"path": path, "offset_bytes": offsets[0], "offsets_bytes": ",".join(offsets)},
    )
