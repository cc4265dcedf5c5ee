"""Puts the recording where the child expects it, and refuses bytes that are not the submitted ones.

Files this machine already holds are linked, never copied; the rest is fetched from the store. Every
file is held to its size and to its SHA-256. One that is in place and has not been touched since
it was digested is not read again. After the sort every file must still be the one that was staged.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from spikefleet.core.attempts import AttemptSpec, InputFile, RunFolder
from spikefleet.core.failures.errors import (
    DiskExhaustionError,
    InputCorruptError,
    InputMissingError,
    StorageUnavailableError,
)
from spikefleet.core.files import file_stamp, sha256_of
from spikefleet.infra.stores.bytes.artifacts import (
    ArtifactDamagedError,
    ArtifactMissingError,
    ArtifactStore,
    HasLocalPaths,
)

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def stage_in(spec: AttemptSpec, folder: RunFolder, artifacts: ArtifactStore) -> Mapping[str, str]:
    """Stage every input below ``folder.inputs``; return each path's stamp. Safe to repeat.

    Raises InputMissingError, InputCorruptError, StorageUnavailableError or DiskExhaustionError.
    """
    folder.inputs.mkdir(parents=True, exist_ok=True)
    stamps: dict[str, str] = {}
    for entry in spec.inputs:
        target = _target(folder, entry)
        with storage_failures(entry.source):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            _bring(entry, target, artifacts)
            stamps[entry.path] = file_stamp(target.stat())
            _check_size(entry, target)
            if not (entry.in_place and entry.stamp == stamps[entry.path]):
                _check_digest(entry, target)
    return stamps


def require_unchanged(spec: AttemptSpec, folder: RunFolder, stamps: Mapping[str, str]) -> None:
    """Refuse what was sorted from files that changed since ``stage_in`` gave their ``stamps``.

    One that was only touched is read again and may pass. Raises as ``stage_in`` does.
    """
    for entry in spec.inputs:
        target = _target(folder, entry)
        with storage_failures(entry.source):
            if file_stamp(target.stat()) != stamps.get(entry.path):
                _check_size(entry, target)
                _check_digest(entry, target, when=", it changed while it was sorted")


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


def _check_size(entry: InputFile, target: Path) -> None:
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


def _check_digest(entry: InputFile, target: Path, *, when: str = "") -> None:
    if not entry.sha256:
        return
    found = sha256_of(target)
    if found != entry.sha256:
        raise InputCorruptError(
            f"{entry.path} is not the file that was submitted: its SHA-256 differs{when}. "
            "Submit it again as a new recording.",
            path=entry.path,
            reason="digest_mismatch",
            sha256=found,
            expected_sha256=entry.sha256,
        )
