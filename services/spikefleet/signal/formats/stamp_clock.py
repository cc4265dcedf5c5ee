"""A sampling rate out of one time stamp per frame, and the frames that the stamps leave out.

Stamps are rounded: to microseconds by some programs, to a quarter of one by a float64 that counts
from 1970. A single step is therefore no measure of the rate; a whole stretch without a gap is. The
rate is frames by seconds over all such stretches, and gaps are judged against that.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikefleet.signal.formats.reader_errors import corrupt, reading

_STAMPS_AT_ONCE = 1 << 20
_FIRST_LOOK = 1 << 14
# Beyond this share of stamps that stand still the clock does not number frames any more.
_MOST_REPEATED = 1e-3
_FINER = "Export it again with the rate instead of time stamps, or with finer ones."


@dataclass(frozen=True)
class StampClock:
    """What the stamps say.

    ``jumps`` are (frame, frames missing before it), negative where the clock was set back;
    ``repeated`` counts stamps equal to the one before; ``first_s`` is the first stamp.
    """

    rate_hz: float
    jumps: tuple[tuple[int, int], ...] = ()
    repeated: int = 0
    first_s: float = 0.0


def measure_clock(stamps_s: Any, path: Path) -> StampClock:
    """Return what the time stamps (s, one per frame; array or dataset) say of the clock.

    Reads them in pieces, twice where they have gaps.

    Raises:
        InputCorruptError: ``clock``: they are no numbers or coarser than a frame; ``truncated``:
            there are fewer than two.
    """
    n_stamps = int(stamps_s.shape[0])
    if n_stamps < 2:
        raise corrupt(path, "truncated", f"{n_stamps} time stamps give no rate.")
    step_s = _first_step_s(stamps_s, path)
    # Twice: the first look finds the stretches, the second judges by their exact rate.
    breaks = _find_breaks(stamps_s, step_s, path)
    rate_hz = _rate_over_stretches(stamps_s, breaks, path)
    breaks = _find_breaks(stamps_s, 1.0 / rate_hz, path)
    rate_hz = _rate_over_stretches(stamps_s, breaks, path)
    jumps = [(frame, round(frames) - 1) for frame, frames in breaks if frames]
    jumps = [(frame, missing) for frame, missing in jumps if missing]
    repeated = sum(1 for _, frames in breaks if not frames)
    if repeated > max(1, _MOST_REPEATED * n_stamps):
        first = next(frame for frame, frames in breaks if not frames)
        raise corrupt(
            path, "clock", f"{repeated} of its time stamps stand still, first at {first}.", _FINER
        )
    first_s = float(_read(stamps_s, 0, 1, path)[0])
    return StampClock(rate_hz, tuple(jumps), repeated, first_s)


def _first_step_s(stamps_s: Any, path: Path) -> float:
    """Return about one frame: the mean of the middle half of the steps at the start."""
    first = _read(stamps_s, 0, _FIRST_LOOK, path)
    steps_s = np.sort(np.diff(first))
    middle = steps_s[steps_s.size // 4 : max(steps_s.size // 4 + 1, 3 * steps_s.size // 4)]
    step_s = float(np.mean(middle))
    if not np.isfinite(step_s) or step_s <= 0:
        raise corrupt(path, "clock", "its time stamps are coarser than a frame.", _FINER)
    return step_s


def _find_breaks(stamps_s: Any, step_s: float, path: Path) -> list[tuple[int, float]]:
    """Return (frame, steps) where the step before a frame is not one, in order.

    Half a frame either way is the clock's own wobble. A stamp that stands still and is caught up
    with by the next is one repeated stamp (0 steps); a clock that was set back steps below zero.
    """
    found: list[tuple[int, float]] = []
    n_stamps = int(stamps_s.shape[0])
    for start in range(0, n_stamps - 1, _STAMPS_AT_ONCE):
        piece = _read(stamps_s, start, start + _STAMPS_AT_ONCE + 1, path)
        frames = np.diff(piece) / step_s
        odd = np.flatnonzero(~((frames > 0.25) & (frames < 1.5)))
        for index in odd:
            frame, steps = start + int(index) + 1, float(frames[index])
            if not np.isfinite(steps):
                raise corrupt(path, "clock", f"its time stamp at frame {frame} is not a number.")
            caught_up = bool(found) and found[-1] == (frame - 1, 0.0) and steps < 2.5
            if -0.5 <= steps <= 0.25:
                found.append((frame, 0.0))
            elif not caught_up:
                found.append((frame, steps))
    return found


def _rate_over_stretches(stamps_s: Any, breaks: list[tuple[int, float]], path: Path) -> float:
    """Return frames by seconds, summed over the stretches between jumps."""
    starts = [0, *(frame for frame, frames in breaks if frames)]
    ends = [*(start - 1 for start in starts[1:]), int(stamps_s.shape[0]) - 1]
    n_frames, seconds = 0, 0.0
    with reading(path):
        for first, last in zip(starts, ends, strict=True):
            if last > first:
                n_frames += last - first
                seconds += float(stamps_s[last]) - float(stamps_s[first])
    if not n_frames or not seconds > 0:
        raise corrupt(path, "clock", "its time stamps have no two frames without a gap.", _FINER)
    return n_frames / seconds


def _read(stamps_s: Any, start: int, stop: int, path: Path) -> NDArray[np.float64]:
    with reading(path):
        piece = stamps_s[start : min(stop, int(stamps_s.shape[0]))]
    return np.asarray(piece, dtype=np.float64)
