"""What ingest and a rig know of an upload. The bytes themselves are messages, on both sides."""

from __future__ import annotations

from dataclasses import dataclass, field

from spikefleet.core.submissions import ManifestFile, Recording


@dataclass(frozen=True)
class UploadedPart:
    """One stored part of a file; ``sha256`` is hex, of the part.

    With ``from_start`` it is of the file from its first byte to the end of this part. A part that
    was put into the store has the ``md5`` that the store computed instead (hex).
    """

    path: str
    offset_bytes: int
    size_bytes: int
    sha256: str
    from_start: bool = False
    md5: str = ""


@dataclass(frozen=True)
class SignedPart:
    """Where one part is put; ``url`` is a secret of the upload's owner, for a while."""

    path: str
    offset_bytes: int
    url: str = field(repr=False)


@dataclass(frozen=True)
class UploadProgress:
    """How far an upload is. ``recording`` is what it became, None while it is not complete.

    Up to ``most_small_parts`` parts may travel in one message; 0 of a service that knows no such.
    Parts of a ``direct`` upload go to signed addresses; ``signed`` are the first of them.
    """

    upload_id: str
    part_size_bytes: int
    parts: tuple[UploadedPart, ...]
    files: tuple[ManifestFile, ...]
    most_small_parts: int = 0
    recording: Recording | None = None
    direct: bool = False
    signed: tuple[SignedPart, ...] = ()
