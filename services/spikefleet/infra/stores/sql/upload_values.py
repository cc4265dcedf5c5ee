"""What is remembered of an upload, and how it is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from spikefleet.core.ids import RecordingId
from spikefleet.core.submissions import ManifestFile, RecordingName


class UploadState(StrEnum):
    """Where an upload stands; the last three are its ends."""

    OPEN = "open"
    COMPLETING = "completing"  # its recording is being made: nobody may drop it meanwhile
    COMPLETE = "complete"
    ABORTED = "aborted"
    EXPIRED = "expired"  # nothing came for so long that it was dropped


class UploadNotFoundError(KeyError):
    """No upload has this id."""

    refusal: ClassVar[str] = "UPLOAD_NOT_FOUND"

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class UploadClosedError(ValueError):
    """The upload is complete or aborted and takes nothing more."""

    refusal: ClassVar[str] = "UPLOAD_CLOSED"


class UploadConflictError(ValueError):
    """The idempotency key belongs to another upload."""

    refusal: ClassVar[str] = "UPLOAD_CONFLICT"


@dataclass(frozen=True)
class Upload:
    """An upload as the server knows it. ``recording_id`` is set once it is complete."""

    upload_id: str  #: its name
    name: RecordingName  #: project/session/name
    files: tuple[ManifestFile, ...]  #: what is to come, with sizes
    entry: str  #: the file a reader opens
    part_size_bytes: int  #: of every part but the last
    idempotency_key: str  #: the same key is the same upload
    state: UploadState  #: open, or how it ended
    recording_id: RecordingId
    created_at: datetime  #: UTC
    updated_at: datetime  #: when bytes last came (UTC)
    owner: str = ""  #: whose it is
    #: of a direct upload: the store's id of each file's parts, by path; empty for another
    direct: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class NewUpload:
    """What opens an upload. An empty ``idempotency_key`` opens a new one every time.

    Keys are one owner's: the caller makes them differ between owners.
    """

    upload_id: str
    name: RecordingName
    files: Sequence[ManifestFile]
    entry: str
    part_size_bytes: int
    idempotency_key: str = ""
    owner: str = ""
    direct: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class OpenUploads:
    """What one owner's unfinished uploads are: how many, how long in the end, what has come.

    ``announced_bytes`` and ``received_bytes`` are of this machine's disk; ``direct_bytes`` were
    announced for the store itself.
    """

    count: int
    announced_bytes: int
    received_bytes: int
    direct_bytes: int = 0
