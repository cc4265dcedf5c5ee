"""Accepting recordings where they are: every file is digested, nothing is accepted on trust.

What is not there is accepted as missing, so that its run can say so. Blocking; the door runs it in
threads.
"""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from spikefleet.core.failures.errors import InputMissingError
from spikefleet.core.files import digest_document, file_stamp
from spikefleet.core.ids import RecordingId
from spikefleet.core.recording.file_sets import recording_files
from spikefleet.core.submissions import ManifestFile, Recording, RecordingName, digest_manifest
from spikefleet.infra.rpc.access import Caller
from spikefleet.infra.rpc.errors import RpcProblem
from spikefleet.infra.rpc.interceptors import RpcMeter
from spikefleet.infra.stores.bytes.artifacts import recording_prefix
from spikefleet.infra.stores.sql.recordings import RecordingStore
from spikefleet.infra.telemetry import INGESTED_BYTES
from spikefleet.ingest.places import RecordingRoots
from spikefleet.ingest.staging import digest_file

_REMEMBERED_DIGESTS = 4096


class InPlaceIntake:
    """Registers recordings where they are."""

    def __init__(
        self,
        recordings: RecordingStore,
        places: RecordingRoots,
        *,
        meter: RpcMeter | None = None,
    ) -> None:
        self._recordings = recordings
        self._places = places
        self._meter = meter
        self._digests: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._lock = threading.Lock()

    def register(
        self,
        name: RecordingName,
        path: str,
        *,
        must_exist: bool = False,
        expected: Sequence[ManifestFile] = (),
        caller: Caller,
    ) -> Recording:
        """Hash what is at ``path`` and accept it; nothing there is accepted as missing.

        Raises RpcProblem PATH_NOT_ALLOWED, PATH_REFUSED; PATH_NOT_VISIBLE with ``must_exist`` when
        nothing, or something other than the ``expected`` paths and sizes, is there; SOURCE_CHANGED
        when it changes meanwhile.
        """
        resolved = self._places.resolve(path, caller)
        try:
            if resolved.is_dir():
                self._places.require_no_traps(resolved)
            root, paths, entry = recording_files(resolved)
            self._places.require_inside(root, paths)
            seen = [(file.relative_to(root).as_posix(), file.stat().st_size) for file in paths]
        except InputMissingError as error:  # an OSError too, so before what is not ours
            if must_exist:
                raise RpcProblem("PATH_NOT_VISIBLE", error.message, field="path") from error
            return self._recordings.add(_missing(name, str(resolved)), caller.owner)
        except OSError as error:  # it was there a moment ago
            raise RpcProblem(
                "SOURCE_CHANGED", f"{resolved} changed while it was looked at", field="path"
            ) from error
        if expected and sorted(seen) != sorted((f.path, f.size_bytes) for f in expected):
            raise RpcProblem(
                "PATH_NOT_VISIBLE",
                f"other files are at {resolved} on the service's side",
                field="path",
            )
        found = [self._digested(root, file) for file in paths]
        recording = accepted_recording(name, tuple(file for file, _ in found), entry, root=root)
        stamped = replace(recording, stamps=tuple(stamp for _, stamp in found))
        return self._recordings.add(stamped, caller.owner)

    def _digested(self, root: Path, path: Path) -> tuple[ManifestFile, str]:
        """Return a file with its digest, and how it looked.

        Bytes hashed before and not touched since are trusted.
        """
        try:
            with self._places.opened(root, path) as same:
                before = same.stat()
                stamp = file_stamp(before)
                key = (str(path), stamp)
                with self._lock:
                    digest = self._digests.get(key)
                if digest is None:
                    digest = digest_file(same)
                    if self._meter is not None:
                        self._meter.add(INGESTED_BYTES, before.st_size, path="in_place")
            after = path.stat()
        except OSError as error:
            raise RpcProblem(
                "PATH_NOT_VISIBLE", f"{path} cannot be read: {error.strerror}", field="path"
            ) from error
        if file_stamp(after) != stamp:
            raise RpcProblem("SOURCE_CHANGED", f"{path} is still being written", field="path")
        with self._lock:
            self._digests[key] = digest
            while len(self._digests) > _REMEMBERED_DIGESTS:
                self._digests.popitem(last=False)
        return ManifestFile(path.relative_to(root).as_posix(), before.st_size, digest), stamp


def accepted_recording(
    name: RecordingName, files: tuple[ManifestFile, ...], entry: str, *, root: Path | None = None
) -> Recording:
    """Make the recording; its id follows from name and bytes, so that a repetition is the same."""
    digest = digest_manifest(files)
    recording_id = RecordingId(f"rec-{digest_document([str(name), digest, str(root or '')])[:16]}")
    location = recording_prefix(recording_id) if root is None else str(root)
    return Recording(
        recording_id, name, files, digest, location, in_place=root is not None, entry=entry
    )


def _missing(name: RecordingName, path: str) -> Recording:
    recording_id = RecordingId(f"rec-{uuid.uuid4().hex[:16]}")
    digest = digest_document([recording_id, path])  # unlike any other: nobody knows the bytes
    return Recording(recording_id, name, (), digest, path, in_place=True, missing=True)
