"""A recording's bytes on their way in: resumable, part by part, each with its digest.

The server's list of parts is the truth; this side never guesses what has arrived. A part is sent in
messages of 256 KiB and is done when the server acknowledged it: a kill costs one part. Small files
travel together, many in one message, where the server takes that: a call, a transaction and a wait
for the disk for each would cost more than their bytes. Decides no part size and opens no recording.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import grpc

from spikefleet.api.v1 import ingest_pb2, ingest_pb2_grpc
from spikefleet.client.parcels import (
    MESSAGE_BYTES,
    Parcel,
    PartsByOffset,
    SourceChangedError,
    read_parts,
    stored_parts,
)
from spikefleet.client.retry_waits import RetryWaits, waiting_words
from spikefleet.client.views import OnTransfer, Transfer
from spikefleet.core.files import digest_document
from spikefleet.core.rooms.uploads import SignedPart, UploadedPart, UploadProgress
from spikefleet.core.submissions import ManifestFile, Recording, RecordingName
from spikefleet.infra.rpc.convert.recordings import from_recording, to_files, to_name
from spikefleet.infra.rpc.convert.uploads import (
    from_acknowledged,
    from_created,
    from_signed,
    from_upload,
    to_part,
    to_sign,
)
from spikefleet.infra.rpc.errors import ServiceError, ServiceUnreachable, answering

_PART_DEADLINE_S = 300.0
_COMPLETE_DEADLINE_S = 3600.0
_DAMAGED_TRIES = 3


@dataclass(frozen=True)
class UploadSource:
    """A recording on this machine: ``files`` below ``root``, and what a reader opens."""

    name: RecordingName
    root: Path
    files: tuple[Path, ...]
    entry: str

    def manifest(self) -> tuple[ManifestFile, ...]:
        """Paths and sizes; digests come while the bytes are read."""
        return tuple(
            ManifestFile(path.relative_to(self.root).as_posix(), path.stat().st_size, "")
            for path in self.files
        )

    def key(self) -> str:
        """Same name, files, sizes and times of change: the same upload, to be resumed."""
        stamps = [
            (file.path, file.size_bytes, (self.root / file.path).stat().st_mtime_ns)
            for file in self.manifest()
        ]
        return digest_document([str(self.name), self.entry, stamps])


class Uploader:
    """Sends one recording over ``channel``; ``patience`` limits the wait for a silent service.

    ``ca_file`` is trusted at the store's addresses, too.
    """

    def __init__(
        self,
        channel: grpc.Channel,
        address: str,
        patience: RetryWaits,
        *,
        ca_file: Path | None = None,
    ) -> None:
        self._ca_file = ca_file
        self._stub = ingest_pb2_grpc.IngestServiceStub(channel)
        self._address = address
        self._patience = patience

    def send(self, source: UploadSource, progress: OnTransfer | None = None) -> Recording:
        """Upload what the server lacks and complete the upload; return the recording.

        Raises ServiceError, ServiceUnreachable, SourceChangedError, OSError.
        """
        key, manifest = source.key(), source.manifest()
        meter = _Meter(manifest, progress)
        self._patience.on_wait = meter.waits
        upload = self._create(source, manifest, key, takes_direct=True)
        if upload.recording is None and upload.direct:
            recording = self._send_direct(upload, source, manifest, (key, progress))
            if recording is not None:
                return recording
            upload = self._create(source, manifest, key, takes_direct=False)
        if upload.recording is not None:
            meter.is_there_already()
            return upload.recording
        meter = _Meter(manifest, progress)
        self._patience.on_wait = meter.waits
        stored = stored_parts(upload.parts)
        try:
            digested = self._send_files(upload, source, manifest, (meter, stored))
        except ServiceError as error:
            return self._completed_by_another(upload.upload_id, error, meter)
        _require_same(source, key)
        return self._complete(upload.upload_id, digested)

    def _create(
        self, source: UploadSource, files: Sequence[ManifestFile], key: str, *, takes_direct: bool
    ) -> UploadProgress:
        request = ingest_pb2.CreateUploadRequest(
            name=to_name(source.name),
            files=to_files(files),
            entry=source.entry,
            idempotency_key=key,
            takes_direct=takes_direct,
        )
        answer = self._patience.until_answered(
            self._address, lambda: self._stub.CreateUpload(request), must_be_there=True
        )
        return from_created(answer)

    def _get(self, upload_id: str) -> UploadProgress:
        request = ingest_pb2.GetUploadRequest(upload_id=upload_id)
        answer = self._patience.until_answered(self._address, lambda: self._stub.GetUpload(request))
        return from_upload(answer.upload)

    def _send_direct(
        self,
        upload: UploadProgress,
        source: UploadSource,
        files: Sequence[ManifestFile],
        told: tuple[str, OnTransfer | None],
    ) -> Recording | None:
        """Put the bytes into the store; parts that arrived damaged are put again.

        None where the store cannot be reached from here: the upload is dropped.
        """
        # Its HTTP and TLS cost every command a tenth of its start.
        from spikefleet.client.direct_sending import (  # noqa: PLC0415
            DirectSender,
            StoreUnreachableError,
        )

        key, progress = told
        for tries_left in reversed(range(_DAMAGED_TRIES)):
            meter = _Meter(files, progress)
            self._patience.on_wait = meter.waits
            sign = partial(self._sign, upload.upload_id)
            sender = DirectSender(upload, sign, self._patience, meter.add, ca_file=self._ca_file)
            try:
                sent = sender.send(source.root, files)
                _require_same(source, key)
                return self._complete(upload.upload_id, sent.files, sent.parts)
            except StoreUnreachableError:
                request = ingest_pb2.AbortUploadRequest(upload_id=upload.upload_id)
                with suppress(ServiceError), answering(self._address):  # else it is dropped later
                    self._stub.AbortUpload(request)
                return None
            except ServiceError as error:
                if error.reason not in ("PART_DAMAGED", "UPLOAD_INCOMPLETE") or not tries_left:
                    return self._completed_by_another(upload.upload_id, error, meter)
                upload = self._get(upload.upload_id)
        raise AssertionError("the last try returns or raises")

    def _sign(self, upload_id: str, places: Sequence[tuple[str, int]]) -> tuple[SignedPart, ...]:
        request = to_sign(upload_id, places)
        answer = self._patience.until_answered(self._address, lambda: self._stub.SignParts(request))
        return from_signed(answer.parts)

    def _send_files(
        self,
        upload: UploadProgress,
        source: UploadSource,
        files: Sequence[ManifestFile],
        known: tuple[_Meter, Mapping[str, PartsByOffset]],
    ) -> list[ManifestFile]:
        """Send what the server lacks, small files together; return the files with their digests."""
        meter, stored = known
        small_bytes = min(MESSAGE_BYTES, upload.part_size_bytes) if upload.most_small_parts else 0
        waiting = Parcel(upload.upload_id)
        digested = []
        for file in files:
            path = source.root / file.path
            if file.size_bytes > small_bytes:
                digested.append(self._send_file(upload, path, file, known))
                continue
            whole = hashlib.sha256()
            for part in read_parts(upload, path, file, whole):  # one, or none of an empty file
                if part.is_among(stored):
                    meter.add(part.path, part.size_bytes)
                    continue
                if not waiting.has_room(part, upload.most_small_parts):
                    self._send_parcel(waiting, meter)
                    waiting = Parcel(upload.upload_id)
                waiting.parts.append(part)
            digested.append(replace(file, sha256=whole.hexdigest()))
        if waiting.parts:
            self._send_parcel(waiting, meter)
        return digested

    def _send_file(
        self,
        upload: UploadProgress,
        path: Path,
        file: ManifestFile,
        known: tuple[_Meter, Mapping[str, PartsByOffset]],
    ) -> ManifestFile:
        """Send the parts the server lacks; return the file with its digest."""
        meter, stored = known
        whole = hashlib.sha256()
        parts = read_parts(upload, path, file, whole)
        with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as reader:
            coming = reader.submit(next, parts, None)
            while (part := coming.result()) is not None:
                coming = reader.submit(next, parts, None)  # read and hashed while this one is sent
                if part.is_among(stored):
                    meter.add(part.path, part.size_bytes)
                else:
                    self._send_parcel(Parcel(upload.upload_id, [part]), meter)
        return replace(file, sha256=whole.hexdigest())

    def _send_parcel(self, parcel: Parcel, meter: _Meter) -> None:
        """Send parts until the server has acknowledged all of them."""
        self._send_until_acknowledged(parcel)
        for part in parcel.parts:
            meter.add(part.path, part.size_bytes)

    def _send_until_acknowledged(self, parcel: Parcel) -> None:
        tries = 0
        while True:
            try:
                with answering(self._address):
                    answers = self._stub.UploadParts(parcel.messages(), timeout=_PART_DEADLINE_S)
                    stored = [part for answer in answers for part in from_acknowledged(answer)]
                if parcel.is_among(stored_parts(stored)):
                    self._patience.restore()
                    return
                raise ServiceUnreachable("UNREACHABLE", "The stream ended without an answer.")
            except ServiceUnreachable as error:
                self._patience.wait(error)
                if self._is_stored(parcel):
                    return
            except ServiceError as error:
                tries += 1
                if error.reason != "PART_DAMAGED" or tries >= _DAMAGED_TRIES:
                    raise

    def _is_stored(self, parcel: Parcel) -> bool:
        """Ask the server, which may have stored parts whose acknowledgement was lost."""
        try:
            with answering(self._address):
                request = ingest_pb2.GetUploadRequest(upload_id=parcel.upload_id)
                upload = from_upload(self._stub.GetUpload(request).upload)
        except ServiceUnreachable:
            return False
        return parcel.is_among(stored_parts(upload.parts))

    def _completed_by_another(
        self, upload_id: str, refusal: ServiceError, meter: _Meter
    ) -> Recording:
        """What another client of the same user, sending the same files, has made of the upload.

        Raises ``refusal`` where it means anything else.
        """
        if refusal.reason == "UPLOAD_CLOSED":
            recording = self._get(upload_id).recording
            if recording is not None:
                meter.is_there_already()
                return recording
        raise refusal

    def _complete(
        self,
        upload_id: str,
        files: Sequence[ManifestFile],
        parts: Sequence[UploadedPart] = (),
    ) -> Recording:
        request = ingest_pb2.CompleteUploadRequest(
            upload_id=upload_id, files=to_files(files), parts=map(to_part, parts)
        )
        answer = self._patience.until_answered(
            self._address,
            lambda: self._stub.CompleteUpload(request, timeout=_COMPLETE_DEADLINE_S),
        )
        return from_recording(answer.recording)


def _require_same(source: UploadSource, key: str) -> None:
    """Raise SourceChangedError unless the files look as they did when ``key`` was made."""
    if source.key() != key:
        raise SourceChangedError(
            f"{source.root} changed while it was sent; wait until it is complete, "
            "then submit it again"
        )


class _Meter:
    """Adds up what is on the server, for a progress bar. Safe from several threads."""

    def __init__(self, files: Sequence[ManifestFile], progress: OnTransfer | None) -> None:
        self._total_bytes = sum(file.size_bytes for file in files)
        self._done_bytes = 0
        self._progress = progress
        self._lock = threading.Lock()

    def add(self, path: str, size_bytes: int) -> None:
        self._tell(path, size_bytes)

    def waits(self, error: ServiceError, wait_s: float) -> None:
        """Say what is waited for."""
        self._tell("", 0, waiting_words(error, wait_s))

    def is_there_already(self) -> None:
        """Say that the service has all of it, whoever sent it."""
        with self._lock:
            self._done_bytes = self._total_bytes
        self._tell("", 0, is_known=True)

    def _tell(
        self, path: str, size_bytes: int, waiting: str = "", *, is_known: bool = False
    ) -> None:
        with self._lock:
            self._done_bytes += size_bytes
            done_bytes, total_bytes = self._done_bytes, self._total_bytes
            if self._progress is not None:
                self._progress(Transfer("upload", path, done_bytes, total_bytes, waiting, is_known))
