"""A file format as the service knows it: how it is recognised, described and opened.

With what every format does alike: describing its streams one by one, and choosing one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikefleet.core.failures.errors import (
    InvalidConfigurationError,
    SpikeSortingClassifiedError,
)
from spikefleet.core.recording.description import RecordingDescription, StreamDescription
from spikefleet.signal.formats.reader_errors import reading, shown


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
