"""Blocks of one stream as takes: one timeline while the clock runs on, another where it is set.

Frames a recorder numbered but did not store are a gap inside a take, however long: a lost packet or
a pause. A clock that goes back was set anew (another acquisition, two systems in step): what
follows is another take, since nothing says how long after the first it began. Every reader whose
format can hold either parts its streams here, so that the names and the findings are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spikeinterface.core import BaseRecording

from spikefleet.core.recordings.edge import corrupt
from spikefleet.core.recordings.frame_gaps import note_frame_gaps

TAKE = "take"
"""Annotation of a recording that is one of several takes: {"number", "of", "start_s"}."""

_MOST_TAKES = 256


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


def note_take(recording: BaseRecording, take: Take, takes: Sequence[Take]) -> None:
    """Annotate a take's gaps, and which of several it is and where its clock begins."""
    note_frame_gaps(recording, take.gaps)
    if len(takes) > 1:
        start_s = take.start_number / float(recording.sampling_frequency)
        said = {"number": takes.index(take), "of": len(takes), "start_s": start_s}
        recording.annotate(**{TAKE: said})
