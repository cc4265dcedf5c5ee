"""How recordings come to a service: registered where they are, or uploaded.

Decides which of both; the service decides what it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import grpc

from spikefleet.api.v1 import ingest_pb2, ingest_pb2_grpc
from spikefleet.client.retry_waits import RetryWaits
from spikefleet.client.uploads import Uploader, UploadSource
from spikefleet.client.views import OnTransfer
from spikefleet.core.failures.errors import InputMissingError
from spikefleet.core.recording.file_sets import recording_files
from spikefleet.core.submissions import Recording, RecordingName
from spikefleet.infra.rpc.addresses import ServiceAddress
from spikefleet.infra.rpc.convert.recordings import from_recording, to_files, to_name
from spikefleet.infra.rpc.errors import ServiceError, answering

_REGISTER_DEADLINE_S = 3600.0
_UPLOADED_INSTEAD = ("PATH_NOT_VISIBLE", "PATH_NOT_ALLOWED")


class RecordingSender:
    """Hands recordings to the service at ``address``; ``patience`` makes the waits of an upload."""

    def __init__(
        self,
        channel: grpc.Channel,
        address: str,
        patience: Callable[[], RetryWaits],
        *,
        ca_file: Path | None = None,
    ) -> None:
        self._channel, self._address, self._patience = channel, address, patience
        self._ca_file = ca_file
        self._ingest = ingest_pb2_grpc.IngestServiceStub(channel)

    def send_all(
        self,
        paths: Sequence[Path],
        names: Sequence[RecordingName],
        *,
        in_place: bool | None,
        progress: OnTransfer | None,
    ) -> list[Recording]:
        """Send recordings in order. Raises InputMissingError for a path at which nothing is."""
        gone = [str(path) for path in paths if not path.expanduser().exists()]
        if gone and in_place is not True:
            raise _nothing_at(gone, "if only the service sees it, add --in-place (in_place=True).")
        sent = [
            self.send(path.expanduser().absolute(), name, in_place=in_place, progress=progress)
            for path, name in zip(paths, names, strict=True)
        ]
        missing = [recording.location for recording in sent if recording.missing]
        if missing:
            raise _nothing_at(missing, "the service's machine has nothing there either.")
        return sent

    def send(
        self,
        path: Path,
        name: RecordingName,
        *,
        in_place: bool | None,
        progress: OnTransfer | None,
    ) -> Recording:
        """Register or upload what is at an absolute path; nothing there is a missing recording."""
        try:
            root, files, entry = recording_files(path)
        except InputMissingError:
            return self._register(name, path)
        source = UploadSource(name, root, files, entry)
        if in_place is True:
            return self._register(name, path)
        if in_place is None and ServiceAddress.parse(self._address).is_loopback:
            try:
                return self._register(name, path, seen=source)
            except ServiceError as error:
                if error.reason not in _UPLOADED_INSTEAD:
                    raise
        uploader = Uploader(self._channel, self._address, self._patience(), ca_file=self._ca_file)
        return uploader.send(source, progress)

    def _register(
        self, name: RecordingName, path: Path, *, seen: UploadSource | None = None
    ) -> Recording:
        request = ingest_pb2.RegisterRecordingRequest(
            name=to_name(name),
            path=str(path),
            must_exist=seen is not None,
            expected_files=to_files(seen.manifest() if seen else ()),
        )
        with answering(self._address):
            answer = self._ingest.RegisterRecording(request, timeout=_REGISTER_DEADLINE_S)
        return from_recording(answer.recording)


def _nothing_at(paths: Sequence[str], more: str) -> InputMissingError:
    return InputMissingError(
        f"Nothing is at {', '.join(paths)}, and nothing was submitted.",
        path=paths[0],
        next_step=f"Check the path and the mount; {more}",
    )
