"""Recordings and submissions: what a rig hands over, and the digests that give it identity."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from spikefleet.core.files import digest_document, file_stamp
from spikefleet.core.ids import RecordingId
from spikefleet.core.sorters.catalogue import DEFAULT_SORTER

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True)
class RecordingName:
    """The address ``project/session/name`` of a recording. Each part is a valid object-key part."""

    project: str
    session: str
    name: str

    def __post_init__(self) -> None:
        for part in (self.project, self.session, self.name):
            if not _PART.fullmatch(part):
                raise ValueError(
                    f"{part!r} is not a valid part of a recording's name: use letters, digits, "
                    "dots, dashes and underscores, at most 63, starting with a letter or digit"
                )

    def __str__(self) -> str:
        return f"{self.project}/{self.session}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> RecordingName:
        """Read ``project/session/name``. Raises ValueError when it has another shape."""
        parts = text.split("/")
        if len(parts) != 3:
            raise ValueError(f"{text!r} is not of the form project/session/name")
        return cls(*parts)


def safe_part(text: str) -> str:
    """Turn any text (a file name, say) into a valid name part; a digest keeps it unique.

    Letters lose their marks (``Süd`` becomes ``Sud``); the digest is that of the text itself.
    """
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-._") or "recording"
    if slug == text and len(slug) <= 63:
        return slug
    return f"{slug[:54]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class ManifestFile:
    """One file of a recording: path relative to its root, size and SHA-256 (hex)."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Recording:
    """An accepted, immutable recording.

    ``location`` is an artifact prefix for uploaded recordings, an absolute path for those
    registered in place. ``entry`` is the file or folder inside it that a reader opens ("" = the
    location itself). ``missing`` marks a path that was not there when it was registered: kept, so
    that its run can end in a named outcome. ``parts`` are the recordings this one is joined from,
    in order; it has no files and no location of its own then. ``stamps``, one for each file in
    place, are how the files looked when they were digested (``file_stamp``); () is not known.
    ``format`` is the reader that was chosen when it was first described, ``reader`` the versions of
    the packages it came from; "" before that.
    """

    recording_id: RecordingId  #: its name in the service
    name: RecordingName  #: project/session/name
    files: tuple[ManifestFile, ...]  #: every file with size and digest
    digest: str  #: of all bytes and names
    location: str
    in_place: bool = False  #: registered where it is, not uploaded
    entry: str = ""
    missing: bool = False
    parts: tuple[Recording, ...] = ()
    stamps: tuple[str, ...] = ()
    format: str = ""
    reader: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary; ``from_json`` reads it back."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Recording:
        """Read what ``to_json`` wrote."""
        values = dict(document)
        values["name"] = RecordingName(**values["name"])
        values["files"] = tuple(ManifestFile(**entry) for entry in values["files"])
        values["parts"] = tuple(cls.from_json(entry) for entry in values.get("parts", ()))
        values["stamps"] = tuple(values.get("stamps", ()))
        return cls(**values)

    @property
    def is_untouched(self) -> bool:
        """True while its bytes are surely those that were digested: stored, or files in place that
        look as they did then."""
        if self.parts:
            return all(part.is_untouched for part in self.parts)
        if self.missing or not self.in_place:
            return not self.missing
        if not self.files or len(self.stamps) != len(self.files):
            return False
        try:
            return all(
                file_stamp(os.stat(f"{self.location}/{file.path}")) == stamp
                for file, stamp in zip(self.files, self.stamps, strict=True)
            )
        except OSError:
            return False

    @property
    def size_bytes(self) -> int:
        """Bytes of all files together."""
        own = sum(entry.size_bytes for entry in self.files)
        return own + sum(part.size_bytes for part in self.parts)


def digest_manifest(files: tuple[ManifestFile, ...]) -> str:
    """Identity of a recording's bytes: order of listing does not matter, names and bytes do."""
    return digest_document(sorted((f.path, f.size_bytes, f.sha256) for f in files))


def join_recordings(parts: Sequence[Recording]) -> Recording:
    """Return the recording that several become when they are sorted as one, in the order given.

    Its identity is that of its parts' bytes in this order. One part missing makes it missing.

    Raises ValueError for fewer than two parts, or for one listed twice.
    """
    if len(parts) < 2:
        raise ValueError("at least two recordings are joined")
    ids = [part.recording_id for part in parts]
    twice = next((part.name for part in parts if ids.count(part.recording_id) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice} is listed twice.")
    first = parts[0].name
    name = RecordingName(
        first.project, first.session, safe_part(f"{first.name}-and-{len(parts) - 1}-more")
    )
    digest = digest_document(["joined", [part.digest for part in parts]])
    return Recording(
        recording_id=RecordingId(f"rec-{digest_document([str(name), digest, ids])[:16]}"),
        name=name,
        files=(),
        digest=digest,
        location="",
        in_place=all(part.in_place for part in parts),
        missing=any(part.missing for part in parts),
        parts=tuple(parts),
    )


def part_names(recording: Recording) -> tuple[str, ...]:
    """Return a name for each part that no other part has: a folder may be called by it."""
    names = [part.name.name for part in recording.parts]
    if len({name.casefold() for name in names}) < len(names):
        names = [f"{index}-{name}" for index, name in enumerate(names, start=1)]
    return tuple(names)


@dataclass(frozen=True)
class Submission:
    """A request to sort one or more recordings under one configuration.

    ``streams`` empty means every stream; ``overrides`` are flat or dotted configuration names.
    ``concatenate`` sorts the recordings as one, in the order given: one run per stream.
    ``owner`` is whose runs they become, ``submitter`` what the caller says of himself.
    """

    recording_ids: tuple[RecordingId, ...]  #: what to sort
    preset: str = DEFAULT_SORTER  #: the configuration to start from
    overrides: Mapping[str, Any] = field(default_factory=dict)
    streams: tuple[str, ...] = ()
    idempotency_key: str = ""  #: the same key makes the batch once
    submitter: str = ""
    label: str = ""  #: a word of the caller for the batch
    concatenate: bool = False
    owner: str = ""
