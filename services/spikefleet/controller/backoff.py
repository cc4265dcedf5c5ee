"""Runs that the controller itself fails in: each waits longer before it is looked at again.

Keeps one run's trouble from filling the log and from slowing the others. Ends no run: what is
wrong may be repaired outside, and then the run continues.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from spikefleet.core.ids import RunId

_FIRST_S = 0.5
_LONGEST_S = 30.0


class Backoff:
    """Remembers how often each run failed in a row. Forgotten by a restart."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._failures: dict[str, int] = {}
        self._due: dict[str, datetime] = {}

    def is_due(self, run_id: RunId) -> bool:
        """Say whether the run may be looked at."""
        due = self._due.get(run_id)
        return due is None or self._clock() >= due

    def not_due(self) -> frozenset[str]:
        """The runs that may not be looked at yet."""
        now = self._clock()
        return frozenset(run_id for run_id, due in self._due.items() if now < due)

    def failed(self, run_id: RunId) -> None:
        """Wait twice as long as the last time, half a minute at most."""
        failures = self._failures.get(run_id, 0)
        self._failures[run_id] = failures + 1
        wait_s = min(_LONGEST_S, _FIRST_S * 2.0 ** min(failures, 10))
        self._due[run_id] = self._clock() + timedelta(seconds=wait_s)

    def passed(self, run_id: RunId) -> None:
        """The run was looked at without trouble."""
        self._failures.pop(run_id, None)
        self._due.pop(run_id, None)
