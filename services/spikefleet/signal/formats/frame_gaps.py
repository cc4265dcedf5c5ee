"""Frames an acquisition numbered but did not store, and channel names it gave twice.

Gaps are reported, never filled: the samples stay as stored, side by side, and the recording is
annotated with where frames are missing and how many. Numbers that run backwards part ``takes``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spikeinterface.core import BaseRecording

from spikefleet.signal.formats.reader_errors import corrupt

_ENTRIES_AT_ONCE = 1024
_LISTED_GAPS = 1000


def find_jumps(numbers: Any, *, frames_per_entry: int = 1) -> list[tuple[int, int]]:
    """Return (frame, frames missing before it) wherever frame numbers jump; negative: back.

    ``numbers`` is an array, map or ``RecordField`` of the number of each entry's first frame.
    Stretches whose ends say that nothing is missing between them are not read, so an unbroken
    recording costs two looks, however long.
    """
    jumps: list[tuple[int, int]] = []
    stretches = [(0, len(numbers) - 1)] if len(numbers) > 1 else []
    while stretches:
        first, last = stretches.pop()
        span = int(numbers[last]) - int(numbers[first])
        if span == (last - first) * frames_per_entry:
            continue
        if last - first > _ENTRIES_AT_ONCE:
            middle = (first + last) // 2
            stretches += [(middle, last), (first, middle)]
            continue
        piece = np.asarray(numbers[first : last + 1]).astype(np.int64)
        missing = np.diff(piece) - frames_per_entry
        jumps += [
            ((first + int(index) + 1) * frames_per_entry, int(missing[index]))
            for index in np.flatnonzero(missing)
        ]
    return jumps


def note_frame_gaps(recording: BaseRecording, gaps: Sequence[Sequence[int]]) -> None:
    """Annotate "dropped_frames" (their number) and "frame_gaps" (the first thousand places)."""
    recording.annotate(
        dropped_frames=sum(missing for _, missing in gaps),
        frame_gaps=[[int(frame), int(missing)] for frame, missing in gaps[:_LISTED_GAPS]],
    )


def require_unique_ids(names: Sequence[str] | NDArray[Any], path: Path) -> None:
    """Refuse a header that names two channels alike.

    Raises:
        InputCorruptError: ``duplicate_channels``.
    """
    repeated = [name for name, count in Counter(str(name) for name in names).items() if count > 1]
    if repeated:
        raise corrupt(
            path,
            "duplicate_channels",
            f"its header names {len(repeated)} channels twice ({', '.join(repeated[:5])}).",
        )
