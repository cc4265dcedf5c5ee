"""Blocks of one stream as takes: one timeline while the clock runs on, another where it is set.

Frames a recorder numbered but did not store are a gap inside a take, however long: a lost packet or
a pause. A clock that goes back was set again (another acquisition, two systems in step): what
follows is another take, since nothing says how long after the first it began. Every reader whose
format can hold either parts its streams here, so that the names and the findings are the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spikeinterface.core import BaseRecording

from spikefleet.core.failures.errors import InputCorruptError, InputMissingError
from spikefleet.signal.formats.frame_gaps import note_frame_gaps
from spikefleet.signal.formats.reader_errors import corrupt

TAKE = "take"
"""Annotation of a recording that is one of several takes: {"number", "of", "start_s"}."""

_MOST_TAKES = 256
_TAKE_NAME = re.compile(r"/take\d+$")


@dataclass(frozen=True)
class Take:
    """An unbroken run of the clock: stored frames ``first_frame`` on, and the gaps among them.

    ``start_number`` is the clock at its first frame, in frames; ``gaps`` are (frame of the take,
    missing frames).
    """

    first_frame: int
    n_frames: int
    start_number: int
    gaps: tuple[tuple[int, int], ...] = ()


def part_takes(
    jumps: Sequence[tuple[int, int]], n_frames: int, first_number: int, path: Path
) -> tuple[Take, ...]:
    """Part ``n_frames`` stored frames by the clock's ``jumps``: (frame, frames missing before it).

    A negative jump begins another take.

    Raises:
        InputCorruptError: ``clock``: it goes back more often than anybody sets a clock.
    """
    takes: list[Take] = []
    start, number, gaps, shift = 0, first_number, [], 0
    for frame, missing in jumps:
        shift += missing
        if missing > 0:
            gaps.append((frame - start, missing))
            continue
        takes.append(Take(start, frame - start, number, tuple(gaps)))
        start, number, gaps = frame, first_number + frame + shift, []
        if len(takes) == _MOST_TAKES:
            raise corrupt(path, "clock", f"its clock runs backwards {_MOST_TAKES} times and more.")
    takes.append(Take(start, n_frames - start, number, tuple(gaps)))
    return tuple(takes)


def name_takes(stream: str, takes: Sequence[Take]) -> Mapping[str, Take]:
    """Name a stream's takes: its own name for one, "stream/take0" and so on for several."""
    if len(takes) == 1:
        return {stream: takes[0]}
    return {f"{stream}/take{number}": take for number, take in enumerate(takes)}


def stream_of_take(name: str, streams: Iterable[str]) -> str:
    """Return the stream that ``name`` is, or of which it is a take."""
    return name if name in streams else _TAKE_NAME.sub("", name)


def list_takes(
    streams: Iterable[str], read_takes: Callable[[str], Sequence[Take]]
) -> dict[str, int | None]:
    """Return the length in frames of every take of each stream, by the takes' names.

    None where the clock of a stream cannot be read: what is wrong is told when it is opened.
    """
    found: dict[str, int | None] = {}
    for stream in streams:
        try:
            named = name_takes(stream, read_takes(stream))
        except (InputCorruptError, InputMissingError):
            found[stream] = None
        else:
            found |= {name: take.n_frames for name, take in named.items()}
    return found


def cut_take(
    recording: BaseRecording, name: str, stream: str, takes: Sequence[Take], path: Path
) -> BaseRecording:
    """Return the take called ``name`` of a whole stream, annotated with its gaps and its start.

    Raises:
        InputCorruptError: ``clock``: the stream has no such take.
    """
    take = name_takes(stream, takes).get(name)
    if take is None:
        listed = ", ".join(list(name_takes(stream, takes))[:5])
        raise corrupt(path, "clock", f"its clock parts {stream} into {listed}; {name} is none.")
    if take.n_frames != recording.get_num_samples():
        recording = recording.frame_slice(take.first_frame, take.first_frame + take.n_frames)
    note_take(recording, take, takes)
    return recording


def note_take(recording: BaseRecording, take: Take, takes: Sequence[Take]) -> None:
    """Annotate a take's gaps, and which of several it is and where its clock begins."""
    note_frame_gaps(recording, take.gaps)
    if len(takes) > 1:
        start_s = take.start_number / float(recording.sampling_frequency)
        said = {"number": takes.index(take), "of": len(takes), "start_s": start_s}
        recording.annotate(**{TAKE: said})
