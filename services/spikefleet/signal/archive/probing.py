"""Where a look at two signals decides whether they are the same one. Pure numbers."""

from __future__ import annotations

_FRAMES = 256
_PLACES = (0.0, 0.37, 0.71, 1.0)


def probed_spans(n_frames: int) -> list[tuple[int, int]]:
    """Return a few short [start, stop) spans from the first frame to the last."""
    starts = [int(place * max(0, n_frames - _FRAMES)) for place in _PLACES]
    return [(start, min(start + _FRAMES, n_frames)) for start in starts]
