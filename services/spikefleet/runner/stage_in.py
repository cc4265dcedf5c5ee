"""Puts the recording where the child expects it, and refuses bytes that are not the submitted ones.

Files this machine already holds are linked, never copied; the rest is fetched from the store. Every
file is held to its size, and to its SHA-256 unless it lies in place on a path we were given.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from spikefleet.core.attempts import AttemptSpec, InputFile, RunFolder
from spikefleet.core.failures.errors import (
    DiskExhaustionError,
    InputCorruptError,
    InputMissingError,
    StorageUnavailableError,
)
from spikefleet.infra.stores.artifacts import (
    ArtifactDamagedError,
    ArtifactMissingError,
    ArtifactStore,
    HasLocalPaths,
)

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def stage_in(spec: AttemptSpec, folder: RunFolder, artifacts: ArtifactStore) -> None:
    """Stage every input below ``folder.inputs``. Safe to repeat.

    Raises InputMissingError, InputCorruptError, StorageUnavailableError or DiskExhaustionError.
    """
    folder.inputs.mkdir(parents=True, exist_ok=True)
    for entry in spec.inputs:
        target = _target(folder, entry)
        with storage_failures(entry.source):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            _bring(entry, target, artifacts)
            _check(entry, target)


@contextmanager
def storage_failures(place: str) -> Iterator[None]:
    """Turn what a store raises into our own failures. ``place`` is the key or path in question."""
    try:
        yield
    except (ArtifactMissingError, FileNotFoundError, NotADirectoryError) as error:
        raise InputMissingError(
            f"The recording's file {place} is not there.", path=place
        ) from error
    except ArtifactDamagedError as error:
        raise InputCorruptError(
            f"The recording's file {place} is damaged in the store: {error}",
            path=place,
            reason="digest_mismatch",
        ) from error
    except OSError as error:
        if error.errno in _FULL:
            raise DiskExhaustionError(
                f"The scratch disk filled up while {place} was brought in.", path=place
            ) from error
        raise StorageUnavailableError(
            f"The store did not give {place}: {error}", path=place, error=str(error)
        ) from error


def _target(folder: RunFolder, entry: InputFile) -> Path:
    """Where a file is staged; a path that leaves the folder is refused."""
    path = PurePosixPath(entry.path)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise InputCorruptError(
            f"{entry.path!r} is not a path inside a recording.", path=entry.path, reason="bad_path"
        )
    return folder.inputs.joinpath(*path.parts)


def _bring(entry: InputFile, target: Path, artifacts: ArtifactStore) -> None:
    source = Path(entry.source)
    if not source.is_absolute():
        if not isinstance(artifacts, HasLocalPaths):
            artifacts.fetch(entry.source, target)
            return
        source = artifacts.local_path(entry.source)
    target.symlink_to(os.path.realpath(source, strict=True))


def _check(entry: InputFile, target: Path) -> None:
    size_bytes = target.stat().st_size
    if size_bytes != entry.size_bytes:
        shorter = size_bytes < entry.size_bytes
        raise InputCorruptError(
            f"{entry.path} has {size_bytes} bytes where {entry.size_bytes} were submitted.",
            path=entry.path,
            reason="truncated" if shorter else "size_mismatch",
            size_bytes=size_bytes,
            expected_bytes=entry.size_bytes,
        )
    if not entry.sha256 or entry.in_place:
        return
    with target.open("rb") as handle:
        found = hashlib.file_digest(handle, "sha256").hexdigest()
    if found != entry.sha256:
        raise InputCorruptError(
            f"{entry.path} is not the file that was submitted: its SHA-256 differs.",
            path=entry.path,
            reason="digest_mismatch",
            sha256=found,
            expected_sha256=entry.sha256,
        )
