"""``archive.json``: what an archive holds, and the digests that prove it.

Written last: a folder without it is no archive. It carries a digest of itself, so that a changed
gain in it is noticed as surely as a changed sample. Plain data; touches no signal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from spikefleet.core.failures.errors import InputMissingError, SpikeSortingClassifiedError
from spikefleet.core.file_names import check_name, check_names
from spikefleet.core.files import digest_document
from spikefleet.core.recording.description import RecordingDescription, StreamDescription
from spikefleet.core.submissions import ManifestFile
from spikefleet.signal.archive.digests import SHA256
from spikefleet.signal.formats.header_fields import (
    MOST_CHANNELS,
    entry,
    number,
    sample_type,
    whole,
)
from spikefleet.signal.formats.reader_errors import corrupt
from spikefleet.signal.formats.zarr_chunks import COMPRESSORS

NAME = "archive.json"
FORMAT = "spikefleet-archive"
VERSION = 2
_OLDEST = 1  # its digests are SHA-256 without saying so
# Folders of an archive: encoded streams, files kept byte for byte, and containers without samples.
STREAMS = "streams"
FILES = "files"
REST = "rest"
TRACES = "traces_seg0"
LEFTOVER = "leftover_seg0"
_LARGEST_BYTES = 256 << 20
_LARGEST_CHUNK_BYTES = 512 << 20
# A constant packs best: blosc makes 250 to 1 of it, pcodec some thousands.
_MOST_RATIO = 20_000
_IN_FOLDER = ".in-this-folder"  # so that a folder is held to the rules for files


@dataclass(frozen=True)
class StoredObject:
    """A file of the archive: path relative to it, size, and ``algorithm:hex`` of its bytes."""

    path: str
    size_bytes: int
    digest: str


@dataclass(frozen=True)
class ArchivedArray:
    """A samples x channels array in chunks, each chunk stored channel by channel.

    ``samples_digest`` (``algorithm:hex``) is over all samples in order of time, frame by frame,
    little endian: what ``b3sum`` says of the same samples in a flat file. The last chunk of a row
    or column is padded to full size; the padding is not part of the digest.
    """

    path: str
    n_frames: int
    n_channels: int
    dtype: str
    chunk_frames: int
    chunk_channels: int
    codec: Mapping[str, Any]
    samples_digest: str

    @property
    def size_bytes(self) -> int:
        """Bytes of the samples, uncompressed."""
        return self.n_frames * self.n_channels * int(self.dtype[2:])


@dataclass(frozen=True)
class ContainerPlace:
    """Where a stream's samples lay in an uncompressed container.

    ``order`` are the columns of the dataset, those of ``traces`` first, then those of ``leftover``;
    ``by_channel``: stored channel after channel instead of frame after frame.
    """

    dataset: str
    offset_bytes: int
    by_channel: bool
    order: tuple[int, ...]


@dataclass(frozen=True)
class ArchivedContainer:
    """A container's bytes but for its samples: ``rest`` is ``source`` with the ``holes`` cut out.

    A hole is (first byte, number of bytes) of the source, in order.
    """

    source: str
    rest: str
    holes: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class ArchivedStream:
    """One sortable stream: its array and everything a sorter must know about it.

    ``leftover`` holds the columns of the source file that are no channels (synchronisation lines):
    with ``traces`` they make up every byte of ``source``, or, where ``place`` says so, every byte
    of a dataset in it.
    """

    stream: str  #: its name
    folder: str  #: where its array is
    source: str  #: the file it came from
    sampling_rate_hz: float  #: its rate
    channel_ids: tuple[str, ...]  #: in order
    gains_to_uv: tuple[float, ...]  #: by channel
    offsets_to_uv: tuple[float, ...]  #: by channel
    probe: Mapping[str, Any]  #: where contacts are, as probeinterface writes it
    traces: ArchivedArray  #: the samples
    leftover: ArchivedArray | None = None
    place: ContainerPlace | None = None

    @property
    def arrays(self) -> tuple[ArchivedArray, ...]:
        """The traces and, where there is one, the leftover."""
        return (self.traces,) if self.leftover is None else (self.traces, self.leftover)


@dataclass(frozen=True)
class ArchiveManifest:
    """Everything an archive promises.

    ``entry`` is the file to open of a recording kept as it is ("" for the folder); ``streams`` is
    empty then. ``sources`` are the recording's files as they were, ``objects`` what is stored.
    """

    entry: str
    description: RecordingDescription
    sources: tuple[ManifestFile, ...]
    folders: tuple[str, ...]
    streams: tuple[ArchivedStream, ...]
    objects: tuple[StoredObject, ...]
    written_by: Mapping[str, str]
    containers: tuple[ArchivedContainer, ...] = ()

    @property
    def kept(self) -> bool:
        """True when the source files were copied whole instead of being encoded."""
        return not self.streams

    @property
    def source_bytes(self) -> int:
        """Bytes of the recording before."""
        return sum(file.size_bytes for file in self.sources)

    @property
    def stored_bytes(self) -> int:
        """Bytes of everything stored, the manifest apart."""
        return sum(file.size_bytes for file in self.objects)

    @property
    def ratio(self) -> float:
        """How many times smaller the archive is than its source."""
        return self.source_bytes / max(self.stored_bytes, 1)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary with its digest; ``from_json`` reads it back."""
        document = {"format": FORMAT, "version": VERSION, **asdict(self)}
        # Through text once, so that tuples and NumPy-free numbers digest as they will be read.
        document = json.loads(json.dumps(document))
        return {**document, "digest": digest_document(document)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ArchiveManifest:
        """Read what ``to_json`` wrote. Raises LookupError, TypeError or ValueError otherwise."""
        description = document["description"]
        return cls(
            entry=document["entry"],
            description=RecordingDescription(
                description["format"],
                tuple(StreamDescription(**entry) for entry in description["streams"]),
                tuple(description["other_streams"]),
            ),
            sources=tuple(ManifestFile(**entry) for entry in document["sources"]),
            folders=tuple(document["folders"]),
            streams=tuple(_stream(entry) for entry in document["streams"]),
            objects=tuple(_object(entry) for entry in document["objects"]),
            written_by=document["written_by"],
            containers=tuple(_container(entry) for entry in document.get("containers", ())),
        )


def is_archive(path: Path) -> bool:
    """Say whether a folder holds an archive, by its manifest's first words."""
    file = path / NAME
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        return FORMAT.encode() in opened.read(256)


def read_manifest(path: Path) -> ArchiveManifest:
    """Return ``load_manifest``'s answer, remembered until the file changes."""
    file = path / NAME
    found = file.stat() if file.is_file() else None
    return _remembered(path, found.st_size if found else 0, found.st_mtime_ns if found else 0)


@lru_cache(maxsize=4)
def _remembered(path: Path, size_bytes: int, changed_ns: int) -> ArchiveManifest:
    del size_bytes, changed_ns
    return load_manifest(path)


def load_manifest(path: Path) -> ArchiveManifest:
    """Read an archive's manifest and check it against its own digest.

    Raises:
        InputMissingError: there is none: the archive was never finished, or this is not an archive.
        InputCorruptError: it has been changed or damaged (``digest_mismatch``, ``unreadable``).
    """
    file = path / NAME
    if not file.is_file():
        raise InputMissingError(
            f"{path} has no {NAME}: it is not a finished archive. Archive the recording again.",
            path=str(file),
        )
    try:
        if file.stat().st_size > _LARGEST_BYTES:
            raise corrupt(file, "unreadable", "it is larger than any manifest.")
        document = json.loads(file.read_bytes())
        claimed = document.pop("digest")
        if document["format"] != FORMAT or document["version"] not in range(_OLDEST, VERSION + 1):
            raise corrupt(
                file, "unknown_format", f"archive version {document['version']} is not known here."
            )
        if digest_document(document) != claimed:
            raise corrupt(file, "digest_mismatch", "it does not match its own digest.")
        manifest = ArchiveManifest.from_json(document)
        _require_safe(manifest)
        for stream in manifest.streams:
            _require_sane(stream, manifest, file)
        return manifest
    except SpikeSortingClassifiedError:
        raise
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise corrupt(
            file, "unreadable", f"it cannot be read ({type(error).__name__}: {str(error)[:200]})."
        ) from error


def _require_safe(manifest: ArchiveManifest) -> None:
    """Refuse names that leave the archive or the folder it is restored to, and impossible holes.

    Raises UnsafeNameError (a ValueError), ValueError.
    """
    inside = (f"{folder}/{_IN_FOLDER}" for folder in manifest.folders)
    check_names([*(file.path for file in manifest.sources), *inside])
    for stored in manifest.objects:
        check_name(stored.path)
    for stream in manifest.streams:
        for name in (stream.folder, stream.source, *(array.path for array in stream.arrays)):
            check_name(name)
    if manifest.entry:
        check_name(manifest.entry)
    sizes = {file.path: file.size_bytes for file in manifest.sources}
    stored_bytes = {stored.path: stored.size_bytes for stored in manifest.objects}
    for container in manifest.containers:
        check_name(container.rest)
        _require_holes(container, sizes[container.source], stored_bytes[container.rest])


def _require_sane(stream: ArchivedStream, manifest: ArchiveManifest, file: Path) -> None:
    """Refuse a stream whose numbers are none, or that claims more than the archive can hold.

    Raises InputCorruptError: ``unreadable``, ``unsafe``, ``absurd``.
    """
    number(stream.sampling_rate_hz, "sampling_rate_hz", file, above=0)
    for value in (*stream.gains_to_uv, *stream.offsets_to_uv):
        number(value, "a gain or offset", file)
    entry(stream.probe, "probes", file)
    stored = {each.path: whole(each.size_bytes, "size_bytes", file) for each in manifest.objects}
    for array in stream.arrays:
        n_frames = whole(array.n_frames, "n_frames", file, least=1)
        n_channels = whole(array.n_channels, "n_channels", file, least=1, most=MOST_CHANNELS)
        most = {"chunk_frames": n_frames, "chunk_channels": n_channels}
        chunk_values = 1
        for name in most:
            chunk_values *= whole(getattr(array, name), name, file, least=1, most=most[name])
        itemsize = sample_type(array.dtype, "dtype", file).itemsize
        if chunk_values * itemsize > _LARGEST_CHUNK_BYTES:
            raise corrupt(file, "absurd", f"it keeps chunks of {chunk_values} samples.")
        codec = str(entry(array.codec, "id", file))
        if codec not in COMPRESSORS:
            raise corrupt(file, "unsafe", f"it names the codec {codec[:40]!r}, which is not used.")
        held = sum(size for path, size in stored.items() if path.startswith(f"{array.path}/"))
        if n_frames * n_channels * itemsize > _MOST_RATIO * max(held, 1):
            claimed = f"{n_frames} x {n_channels} samples"
            raise corrupt(file, "absurd", f"it claims {claimed}, and {held} bytes are stored.")
    if len(stream.channel_ids) != stream.traces.n_channels:
        raise corrupt(file, "unreadable", "channel_ids is not a list of its channels.")


def _require_holes(container: ArchivedContainer, size_bytes: int, rest_bytes: int) -> None:
    """Holes are in order inside the file, and with what is left they make all of it."""
    end = 0
    for first, length in container.holes:
        if first < end or length < 0:
            raise ValueError(f"the holes of {container.source} are not in order")
        end = first + length
    if end > size_bytes or rest_bytes + sum(length for _, length in container.holes) != size_bytes:
        raise ValueError(f"the holes of {container.source} do not make {size_bytes} bytes")


def _stream(document: Mapping[str, Any]) -> ArchivedStream:
    values = dict(document)
    for name in ("channel_ids", "gains_to_uv", "offsets_to_uv"):
        values[name] = tuple(values[name])
    values["traces"] = _array(values["traces"])
    values["leftover"] = _array(values["leftover"]) if values["leftover"] else None
    place = values.get("place")
    if place:
        values["place"] = ContainerPlace(**{**place, "order": tuple(place["order"])})
    return ArchivedStream(**values)


def _array(document: Mapping[str, Any]) -> ArchivedArray:
    values = dict(document)
    if "samples_sha256" in values:
        values["samples_digest"] = f"{SHA256}:{values.pop('samples_sha256')}"
    return ArchivedArray(**values)


def _object(document: Mapping[str, Any]) -> StoredObject:
    values = dict(document)
    if "sha256" in values:
        values["digest"] = f"{SHA256}:{values.pop('sha256')}"
    return StoredObject(**values)


def _container(document: Mapping[str, Any]) -> ArchivedContainer:
    holes = tuple((int(first), int(size)) for first, size in document["holes"])
    return ArchivedContainer(document["source"], document["rest"], holes)
