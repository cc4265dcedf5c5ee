"""Giving the artifact store the bytes of a verified upload, and repairing what it holds of them.

A recording that is there already is read back against the upload: what was damaged since is
replaced by the good bytes. Decides nothing about uploads.
"""

from __future__ import annotations

import logging
from pathlib import Path

from spikefleet.core.submissions import ManifestFile, Recording
from spikefleet.infra.stores.bytes.artifacts import (
    MANIFEST,
    AdoptsFiles,
    ArtifactDamagedError,
    ArtifactMissingError,
    ArtifactStore,
    RepairsFiles,
    StoredFile,
    write_manifest,
)
from spikefleet.infra.stores.bytes.verified import VerifiedBytes
from spikefleet.ingest.staging import Staging

log = logging.getLogger(__name__)


class StagedDamageError(RuntimeError):
    """The bytes gathered for a file are not those whose digest was taken; ``path`` names it."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class Publisher:
    """Stores recordings. Repeating a publication after a crash writes nothing new."""

    def __init__(self, artifacts: ArtifactStore, staging: Staging) -> None:
        self._artifacts, self._staging = artifacts, staging
        self._verified = VerifiedBytes(artifacts)

    def publish(self, upload_id: str, recording: Recording) -> None:
        """Store the files, the manifest last. Raises StagedDamageError."""
        prefix = recording.location
        if self._artifacts.size(f"{prefix}/{MANIFEST}") is not None:
            self._repair(upload_id, recording)
            return
        files = [
            (_stored(prefix, file), self._staging.file(upload_id, file.path))
            for file in recording.files
        ]
        # As they are, where the store can take them so; their digests are known.
        if not (isinstance(self._artifacts, AdoptsFiles) and self._artifacts.adopt(files)):
            for file, (wanted, source) in zip(recording.files, files, strict=True):
                if not self._put(wanted, source):
                    self._artifacts.delete_prefix(prefix)
                    raise StagedDamageError(file.path)
        write_manifest(self._artifacts, prefix, [wanted for wanted, _ in files])

    def _put(self, wanted: StoredFile, source: Path) -> bool:
        """Store a file; False when it has not the digest that it had."""
        try:
            stored = self._artifacts.put_file(wanted.key, source, sha256=wanted.sha256)
        except ArtifactDamagedError:
            return False
        return stored.sha256 == wanted.sha256

    def is_intact(self, recording: Recording) -> bool:
        """Say whether the store still has every byte of a recording; what is untouched since it
        was last read is not read again."""
        try:
            for file in recording.files:
                self._verified.verify_file(_stored(recording.location, file))
        except (ArtifactDamagedError, ArtifactMissingError) as error:
            log.warning(
                "recording.damaged",
                extra={"recording_id": recording.recording_id, "problem": str(error)},
            )
            return False
        return True

    def _repair(self, upload_id: str, recording: Recording) -> None:
        """Replace each stored file that is not as listed by the upload's."""
        for file in recording.files:
            wanted = _stored(recording.location, file)
            try:
                self._verified.verify_file(wanted)
            except (ArtifactDamagedError, ArtifactMissingError):
                if not isinstance(self._artifacts, RepairsFiles):
                    raise
                self._artifacts.repair(wanted, self._staging.file(upload_id, file.path))
                log.warning("recording.repaired", extra={"key": wanted.key})


def _stored(prefix: str, file: ManifestFile) -> StoredFile:
    return StoredFile(f"{prefix}/files/{file.path}", file.size_bytes, file.sha256)
