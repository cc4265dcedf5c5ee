"""Whether samples look like what a header says they are: their type, and how many channels.

A wrong type or channel count that happens to fit the file size gives numbers, not an error. These
checks compare how smoothly the samples run when read as stated and when read otherwise. They speak
only when the difference is gross; white noise without offsets tells nothing, and then they are
silent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# A real electrode never moves by a sixteenth of full scale from sample to sample, on average.
_JUMP_FRACTION = 1 / 16
_RAILED_FRACTION = 0.5
_ABSURD_FRACTION = 0.01
_TINY, _HUGE = 1e-30, 1e15
# Another channel count must run this much smoother before it is believed.
_SMOOTHER = 0.8
# Multiples more so: a strong tone near half the sampling rate also makes every second frame alike.
_SMOOTHER_MULTIPLE = 0.7
_MOST_CHANNELS = 8192


@dataclass(frozen=True)
class ChannelCountDoubt:
    """A channel count under which the samples run smoother than under the stated one."""

    stated: int
    likely: int
    ratio: float


def type_doubt(block: NDArray[Any]) -> str:
    """Return why a block (samples x channels, as stored) is hardly of its dtype, or ""."""
    if block.shape[0] < 2 or block.size < 64:
        return ""
    if block.dtype.kind == "f":
        return _float_doubt(block)
    if block.dtype.itemsize == 4:
        return _wide_doubt(block)
    return _integer_doubt(block)


def channel_count_doubt(blocks: Sequence[NDArray[Any]], n_values: int) -> ChannelCountDoubt | None:
    """Compare the stated channel count with every other one that divides the file's values.

    ``blocks`` are consecutive frames (samples x channels) from a few places, ``n_values`` the
    number of values of the whole recording. A count is compared by the mean step from one frame
    to the next, for smaller counts only over pairs the stated count would put on different
    channels and frames.
    """
    if not blocks:
        return None
    stated = blocks[0].shape[1]
    longest = max(block.size for block in blocks)
    likely = [
        count
        for count in _divisors(n_values, min(_MOST_CHANNELS, longest // 4))
        if count not in (1, stated)
    ]
    flats = [_levelled(block) for block in blocks if block.size > 4 * stated]
    if not flats or not likely:
        return None
    own = _mean_step(flats, stated, None)
    if not own > 0:
        return None
    steps = {
        count: _mean_step(flats, count, stated if count < stated else None) for count in likely
    }
    # A multiple of the true count runs rougher than the count itself, so the smallest step wins.
    best = min(steps, key=lambda count: steps[count])
    if steps[best] < (_SMOOTHER if best % stated else _SMOOTHER_MULTIPLE) * own:
        return ChannelCountDoubt(stated, best, steps[best] / own)
    return None


def _float_doubt(block: NDArray[Any]) -> str:
    with np.errstate(invalid="ignore"):
        size = np.abs(block)
        absurd = (size > _HUGE) | ((size > 0) & (size < _TINY))
    fraction = float(absurd.mean())
    if fraction <= _ABSURD_FRACTION:
        return ""
    return f"{fraction:.0%} of the values, read as {block.dtype}, are absurdly large or small"


def _wide_doubt(block: NDArray[Any]) -> str:
    halves = np.ascontiguousarray(block).view(np.dtype(block.dtype.str.replace("4", "2")))
    signed = halves.view(halves.dtype.str.replace("u", "i")).reshape(-1, 2)
    low, high = (signed[:, 0], signed[:, 1])
    if block.dtype.str.startswith(">"):
        low, high = high, low
    # A wider number's upper half is mostly its sign, and its lower half takes any value.
    if np.unique(high).size <= 16 or float(np.median(np.abs(low.astype(np.int32)))) >= 8192:
        return ""
    if float(np.std(high)) <= 2 or float(np.std(high)) > 4 * float(np.std(low)) + 1:
        return ""
    return f"the two halves of each {block.dtype} look like samples of 16 bits of their own"


def _integer_doubt(block: NDArray[Any]) -> str:
    bounds = np.iinfo(block.dtype)
    span = float(bounds.max) - float(bounds.min)
    at_rail = float(np.mean((block == bounds.max) | (block == bounds.min)))
    step = float(np.mean(np.abs(np.diff(block.astype(np.float64), axis=0))))
    if step <= _JUMP_FRACTION * span or at_rail >= _RAILED_FRACTION:
        return ""
    return (
        f"read as {block.dtype}, the samples jump by {step / span:.0%} of full scale "
        "from one frame to the next"
    )


def _levelled(block: NDArray[Any]) -> NDArray[np.float32]:
    flat = np.ascontiguousarray(block).reshape(-1).astype(np.float32)
    return np.asarray(np.nan_to_num(flat, nan=0.0, posinf=0.0, neginf=0.0), dtype=np.float32)


def _mean_step(flats: Sequence[NDArray[np.float32]], lag: int, stated: int | None) -> float:
    """Return the mean |x[i + lag] - x[i]|; with ``stated``, over pairs that cross its frames."""
    total, count = 0.0, 0
    for flat in flats:
        if flat.size <= lag:
            continue
        steps = np.abs(flat[lag:] - flat[:-lag])
        if stated is not None:
            whole = steps[: steps.size // stated * stated].reshape(-1, stated)
            steps = whole[:, stated - lag :]
        total += float(steps.sum(dtype=np.float64))
        count += steps.size
    return total / count if count else float("inf")


def _divisors(number: int, largest: int) -> list[int]:
    return [count for count in range(1, largest + 1) if number % count == 0]
