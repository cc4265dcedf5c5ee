"""Asks a guard whose signal may never answer in a thread of its own.

A dead mount or a hung driver blocks whoever reads it, for good. The loop must not be that one: all
other guards would go blind with it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from spikefleet.core.guards.base import Guard, Reading


class GuardAside:
    """A guard that answers within ``patience_s`` seconds, if only that its signal does not.

    A late answer is given at the next read; until it comes the guard is advisory. At most one
    thread waits at a time.
    """

    def __init__(self, guard: Guard, *, patience_s: float = 0.5) -> None:
        self.name, self._guard = guard.name, guard
        self._patience_s = patience_s
        self._asked: threading.Thread | None = None
        self._answer: Reading | None = None

    @property
    def interval_s(self) -> float:
        """The inner guard's pace."""
        return self._guard.interval_s

    @interval_s.setter
    def interval_s(self, value: float) -> None:
        self._guard.interval_s = value

    @property
    def thresholds(self) -> Mapping[str, float]:
        """The inner guard's."""
        return self._guard.thresholds

    def read(self, now_s: float) -> Reading:
        """Return the guard's answer, or a reading that says there is none."""
        if self._asked is None:
            self._answer = None
            self._asked = threading.Thread(
                target=self._ask, args=(now_s,), name=f"guard-{self.name}", daemon=True
            )
            self._asked.start()
        self._asked.join(self._patience_s)
        if self._asked.is_alive():
            return Reading(self.name, advisory="its signal does not answer")
        self._asked = None
        return self._answer or Reading(self.name, advisory="reading its signal failed")

    def _ask(self, now_s: float) -> None:
        self._answer = self._guard.read(now_s)
