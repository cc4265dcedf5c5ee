"""How many readings make a verdict: never one. Pure counting."""

from __future__ import annotations

from collections import deque


class SampleWindow:
    """Agrees when ``needed`` of the last ``window`` samples were bad.

    Raises ValueError when one sample could decide, or more are needed than are kept.
    """

    def __init__(self, needed: int, window: int) -> None:
        if not 2 <= needed <= window:
            raise ValueError(f"cannot see {needed} bad samples in a window of {window}")
        self._needed = needed
        self._recent: deque[bool] = deque(maxlen=window)

    def add(self, is_bad: bool) -> bool:
        """Take a sample; True when the window is bad enough."""
        self._recent.append(is_bad)
        return sum(self._recent) >= self._needed


class Latch:
    """A warning with hysteresis: on at ``on_at``, off only below ``off_below``.

    A signal that hovers at its mark warns once, not at every crossing. Raises ValueError when the
    marks are the wrong way round.
    """

    def __init__(self, on_at: float, off_below: float) -> None:
        if off_below > on_at:
            raise ValueError(f"off below {off_below} would be above on at {on_at}")
        self._on_at, self._off_below = on_at, off_below
        self.is_on = False

    def add(self, value: float) -> bool:
        """Take a sample; True while the warning stands."""
        self.is_on = value >= (self._off_below if self.is_on else self._on_at)
        return self.is_on
