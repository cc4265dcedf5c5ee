"""What can be said about a recording from its header alone. Plain data; reads nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spikefleet.core.failures.errors import (
    InvalidConfigurationError,
    SpikeSortingClassifiedError,
)
from spikefleet.core.recording.reader_errors import reading, shown

ALL_TAKES = "/takes"
"""What follows a stream's name where all of its takes are meant as one: "ns6/takes"."""
_TAKE = re.compile(r"(?:Recording_\d+/)?(.+?)(?:/(?:take|rec)\d+)*")


@dataclass(frozen=True)
class StreamDescription:
    """One independently sortable signal: a MaxTwo well, a probe's action-potential band, a series.

    ``dtype`` is numpy's name of the stored samples ("int16", "uint16", "float32"). ``problem`` says
    why this stream cannot be opened, "" where nothing is wrong; its numbers are 0 then.
    """

    stream: str
    n_channels: int
    sampling_rate_hz: float
    duration_s: float
    dtype: str
    problem: str = ""


@dataclass(frozen=True)
class RecordingDescription:
    """A recording's format and its streams, in the order they are sorted.

    ``other_streams`` names what the files hold besides: later takes of a MaxTwo well (sorted only
    when named), SpikeGLX's LFP and NI streams (never sorted).
    """

    format: str
    streams: tuple[StreamDescription, ...]
    other_streams: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> RecordingDescription:
        """Read what ``asdict`` made."""
        return cls(
            str(document["format"]),
            tuple(StreamDescription(**stream) for stream in document["streams"]),
            tuple(map(str, document["other_streams"])),
        )


@dataclass(frozen=True)
class KeptDescription:
    """A description as it is kept with its recording, and the readers that made it."""

    reader: str
    description: RecordingDescription

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary; ``from_json`` reads it back."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> KeptDescription:
        """Read what ``to_json`` wrote."""
        return cls(document["reader"], RecordingDescription.from_json(document["description"]))


@dataclass(frozen=True)
class FormatFamily:
    """A file format and what it can do.

    ``open`` takes the path, a stream id that ``describe`` listed (or one of its ``other_streams``)
    and the HDF5 plugin path, and returns a lazily read SpikeInterface recording. ``open_header``,
    where there is one, does so without asking whether the traces can be decompressed.
    """

    format: str
    known_as: str
    recognises: Callable[[Path], bool]
    describe: Callable[[Path], RecordingDescription]
    open: Callable[[Path, str, str | None], Any]
    open_header: Callable[[Path, str], Any] | None = None


def describe_each(
    names: Iterable[str], describe_one: Callable[[str], StreamDescription], path: Path
) -> tuple[StreamDescription, ...]:
    """Describe each stream on its own, so that a broken one does not hide the others.

    Raises:
        InputMissingError, InputCorruptError: none can be described; the first one's failure.
    """
    found: list[StreamDescription] = []
    first: SpikeSortingClassifiedError | None = None
    for name in names:
        try:
            with reading(path):
                found.append(describe_one(name))
        except SpikeSortingClassifiedError as error:
            first = first or error
            found.append(StreamDescription(name, 0, 0.0, 0.0, "", problem=error.message))
    if first is not None and all(stream.problem for stream in found):
        raise first
    return tuple(found)


def pick_stream(description: RecordingDescription, stream: str, path: Path) -> str:
    """Return the stream id to open; "" means the only one and is refused where there are more.

    Raises:
        InvalidConfigurationError: the recording has no such stream; the message lists the known.
    """
    known = [entry.stream for entry in description.streams]
    if not stream and len(known) == 1:
        return known[0]
    if stream in known or stream in description.other_streams:
        return stream
    listed = ", ".join(known) or "none"
    said = f"has no stream {stream!r}; it has" if stream else f"has {len(known)} streams"
    raise InvalidConfigurationError(
        f"{shown(path)} {said}: {listed}. Name one of these.",
        field="streams",
        value=stream,
        known=list(known),
    )


def takes_of(described: RecordingDescription, stream: str) -> tuple[str, ...]:
    """Return the streams a name stands for, in the order recorded: all takes, or itself."""
    if not stream.endswith(ALL_TAKES):
        return (stream,)
    wanted = stream.removesuffix(ALL_TAKES)
    names = (*(entry.stream for entry in described.streams), *described.other_streams)
    return tuple(name for name in names if _taken_from(name) == wanted)


def joined_streams(described: Sequence[RecordingDescription]) -> tuple[str, ...]:
    """Return the streams of recordings joined to one, one alone included.

    Where any of them has several takes of a stream, all takes are joined ("ns6/takes"). Takes that
    are sorted only when named, as a MaxTwo well's later ones, count where one recording is alone.
    """
    found: dict[str, list[set[str]]] = {}
    for index, each in enumerate(described):
        names = [entry.stream for entry in each.streams]
        bases = {_taken_from(name) for name in names}
        if len(described) == 1:
            names += [name for name in each.other_streams if _taken_from(name) in bases]
        for name in names:
            takes = found.setdefault(_taken_from(name), [set() for _ in described])
            takes[index].add(name)
    return tuple(
        base + ALL_TAKES if max(map(len, takes)) > 1 else min(set.union(*takes))
        for base, takes in found.items()
    )


def _taken_from(name: str) -> str:
    matched = _TAKE.fullmatch(name)
    return matched[1] if matched else name
