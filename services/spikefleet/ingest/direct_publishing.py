"""Making a recording of the parts that a rig put into the store, where nobody can change it.

A signed address lives longer than the upload it is of. Where the store takes parts at such an
address after their file was made (``refuses_late_parts``), the file is copied, inside the store,
to a key that no address was ever signed for, and each part is compared again as it is copied.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from spikefleet.core.files import digest_document
from spikefleet.core.ids import RecordingId
from spikefleet.core.submissions import ManifestFile, Recording
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
from spikefleet.infra.stores.sql.upload_values import Upload, UploadState
from spikefleet.ingest.intake import accepted_recording
from spikefleet.ingest.told_parts import ToldParts, compare_parts, damaged_parts

log = logging.getLogger(__name__)

_AT_ONCE = 8
_KEPT = "-kept"  # ends the place of a recording that no address was ever signed for


class DirectPublisher:
    """Makes recordings of parts. Every step may be repeated after a crash. Blocking."""

    def __init__(self, recordings: RecordingStore, artifacts: ArtifactStore) -> None:
        self._recordings, self._artifacts = recordings, artifacts
        self._copies: bool | None = None

    def parts_there(
        self, store: TakesParts, upload: Upload, paths: Iterable[str]
    ) -> Mapping[str, list[StoredPart] | None]:
        """Return the parts that the store lists of each file; None of one that it no longer has.

        A file with a part that is longer than it may be is dropped from the store, with all parts.
        """
        sizes_bytes = {file.path: file.size_bytes for file in upload.files}

        def look(path: str) -> list[StoredPart] | None:
            key, parts_id = part_key(upload.upload_id, path), upload.direct[path]
            try:
                found = store.parts_there(key, parts_id)
            except FileNotFoundError:
                return None  # dropped by the store, or joined by an earlier call
            largest_bytes = max((part.size_bytes for part in found), default=0)
            may_have_bytes = min(upload.part_size_bytes, sizes_bytes[path])
            if upload.state is UploadState.OPEN and largest_bytes > may_have_bytes:
                log.warning(
                    "upload.part_too_long",
                    extra={
                        "upload_id": upload.upload_id,
                        "path": path,
                        "size_bytes": largest_bytes,
                        "allowed_bytes": may_have_bytes,
                    },
                )
                store.drop_parts(key, parts_id)
                return None
            return found

        wanted = list(paths)
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="look") as pool:
            return dict(zip(wanted, pool.map(look, wanted), strict=True))

    def compare(self, store: TakesParts, upload: Upload, told: ToldParts) -> None:
        """Require that the store has every part of every file as the rig read it.

        Raises RpcProblem UPLOAD_INCOMPLETE, PART_DAMAGED; StorageUnavailableError.
        """
        there = self.parts_there(store, upload, told)
        for path, parts in told.items():
            listed = there[path]
            # Some servers list the parts of a joined file, too, and those that came too late.
            if listed is None and store.is_made_of(part_key(upload.upload_id, path), parts):
                continue
            compare_parts(upload, path, parts, listed or ())

    def publish(
        self, store: TakesParts, upload: Upload, files: tuple[ManifestFile, ...], told: ToldParts
    ) -> Recording:
        """Return the recording to accept, once the store has every byte of it where it stays.

        Raises RpcProblem UPLOAD_INCOMPLETE, PART_DAMAGED; StorageUnavailableError.
        """
        recording, earlier = self._identified(store, upload, files, told)
        if earlier is not None:
            return earlier
        own = recording_prefix(upload.upload_id)
        copies = self._must_copy(store)
        location = f"{own}{_KEPT}" if copies else own
        for path, parts in told.items():
            kept = f"{location}/files/{path}"
            if not store.is_made_of(kept, parts):
                self._join(store, upload, (path, parts), kept)
        self._write_manifest(location, files)
        return replace(recording, location=location)

    def clear(self, store: TakesParts, upload: Upload, accepted: Recording | None) -> None:
        """Remove what an ended upload put into the store, except what ``accepted`` is made of."""
        own = recording_prefix(upload.upload_id)
        for prefix in (own, f"{own}{_KEPT}"):
            if accepted is None or accepted.location != prefix:
                store.drop_prefix(prefix)

    def is_there(self, recording: Recording) -> bool:
        """Say whether the store has every file of a recording, by their sizes."""
        prefix = recording.location
        return self._artifacts.size(f"{prefix}/{MANIFEST}") is not None and all(
            self._artifacts.size(f"{prefix}/files/{file.path}") == file.size_bytes
            for file in recording.files
        )

    def _identified(
        self, store: TakesParts, upload: Upload, files: tuple[ManifestFile, ...], told: ToldParts
    ) -> tuple[Recording, Recording | None]:
        """Return the recording that the upload is, and the one that has the same bytes already.

        A file's SHA-256 is its sender's word, what the store computed of its parts is not: both are
        in the digest. Runs of equal digests are one run, whose results all its owners may read, so
        the owner is in it, too.
        """
        base = accepted_recording(upload.name, files, upload.entry)
        stored = [[path, [part.md5 for part in parts]] for path, parts in sorted(told.items())]
        digest = digest_document(["told by", upload.owner, base.digest, stored])
        recording = _of_digest(base, digest)
        try:
            earlier = self._recordings.get(recording.recording_id)
        except RecordingNotFoundError:
            return recording, None
        own = recording_prefix(upload.upload_id)
        if earlier.location in (own, f"{own}{_KEPT}"):
            return recording, None  # this upload's, of a call that its client did not live to hear
        if self._is_made_of(store, earlier, told):
            return recording, earlier
        return _of_digest(base, digest_document([digest, upload.upload_id])), None

    def _is_made_of(self, store: TakesParts, recording: Recording, told: ToldParts) -> bool:
        """Say whether the store has proven that a recording's files are made of these parts."""
        prefix = f"{recording.location}/files"
        return self.is_there(recording) and all(
            store.is_made_of(f"{prefix}/{path}", parts) for path, parts in told.items()
        )

    def _join(
        self, store: TakesParts, upload: Upload, file: tuple[str, Sequence[StoredPart]], kept: str
    ) -> None:
        """Make one file of its parts, at last under the key ``kept``."""
        path, parts = file
        key = part_key(upload.upload_id, path)
        try:
            store.join_parts(key, upload.direct[path], parts)
        except FileNotFoundError as error:
            raise RpcProblem(
                "UPLOAD_INCOMPLETE",
                f"the store has dropped the parts of {path}",
                resource=upload.upload_id,
            ) from error
        wrong = store.copy_parts(key, kept, parts) if key != kept else []
        if wrong:
            raise damaged_parts(upload, path, wrong)

    def _must_copy(self, store: TakesParts) -> bool:
        if self._copies is None:
            self._copies = not store.refuses_late_parts()
            if self._copies:
                log.warning(
                    "uploads.copied",
                    extra={
                        "store": self._artifacts.url,
                        "reason": "the store takes a part at a signed address after its file was "
                        "made, so every recording is copied once more inside the store before it "
                        "is accepted",
                    },
                )
        return self._copies

    def _write_manifest(self, prefix: str, files: Sequence[ManifestFile]) -> None:
        stored = [
            StoredFile(f"{prefix}/files/{file.path}", file.size_bytes, file.sha256)
            for file in files
        ]
        for file in stored:
            if not file.size_bytes:
                self._artifacts.put_bytes(file.key, b"")
        write_manifest(self._artifacts, prefix, stored)


def part_key(upload_id: str, path: str) -> str:
    """Return the key of which parts of a file are put."""
    return f"{recording_prefix(upload_id)}/files/{path}"


def _of_digest(base: Recording, digest: str) -> Recording:
    recording_id = RecordingId(f"rec-{digest_document([str(base.name), digest])[:16]}")
    return replace(base, recording_id=recording_id, digest=digest)
