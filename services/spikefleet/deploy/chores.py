"""Work that is done now and then by a loop that goes round for other reasons."""

from __future__ import annotations

import time
from collections.abc import Callable


class Chore:
    """Does ``work`` when it is called and at least ``every_s`` have passed since the last time.

    Work that raises is due again only after ``every_s``, so that it cannot fill the log.
    """

    def __init__(
        self,
        work: Callable[[], object],
        *,
        every_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._work, self._every_s, self._clock = work, every_s, clock
        self._due_s = clock() + every_s

    def __call__(self) -> None:
        """Do the work if it is time. Raises what the work raises."""
        now_s = self._clock()
        if now_s >= self._due_s:
            self._due_s = now_s + self._every_s
            self._work()
