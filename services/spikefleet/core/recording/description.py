"""What can be said about a recording from its header alone. Plain data; reads nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

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
