"""What the launcher knows and the records do not count as live: stop it, drop it or leave it alone.

Only an attempt that the records have ended is stopped. One they have never heard of may belong to
a database that is about to be restored: it is left running, marked, told of once, and cleared away
only after a day.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from spikefleet.infra.launchers.base import (
    Launcher,
    LauncherUnreachableError,
    Observation,
    Phase,
)
from spikefleet.infra.stores.sql.runs import RunStore

log = logging.getLogger(__name__)

STOP_GRACE_S = 20.0
_QUARANTINE = timedelta(days=1)


class Orphans:
    """Sweeps after every round. What it remembers may be forgotten by a restart."""

    def __init__(self, runs: RunStore, launcher: Launcher, clock: Callable[[], datetime]) -> None:
        self._runs, self._launcher, self._clock = runs, launcher, clock
        self._stop_asked: set[str] = set()
        self._first_seen: dict[str, datetime] = {}

    def sweep(self, live_names: set[str], seen: Mapping[str, Observation]) -> None:
        """Stop and drop what has ended by the records; leave strangers alone."""
        for name, observation in seen.items():
            if name in live_names or self._is_in_quarantine(name):
                continue
            try:
                if observation.phase in (Phase.PENDING, Phase.RUNNING):
                    self.stop(name)
                else:
                    self.drop(name)
            except LauncherUnreachableError as error:
                # One that cannot be cleared away holds up no other; the next round tries again.
                self._stop_asked.discard(name)
                log.warning("attempt.not_cleared", extra={"attempt_name": name, "why": str(error)})

    def stop(self, name: str) -> None:
        """Ask an attempt to end, once."""
        if name not in self._stop_asked:
            self._stop_asked.add(name)
            log.warning("attempt.stopping", extra={"attempt_name": name})
            self._launcher.stop(name, grace_s=STOP_GRACE_S)

    def drop(self, name: str) -> None:
        """Remove what an ended attempt left behind."""
        self._stop_asked.discard(name)
        self._first_seen.pop(name, None)
        self._launcher.forget(name)

    def _is_in_quarantine(self, name: str) -> bool:
        if self._runs.find_attempt(name) is not None:
            return False
        if name not in self._first_seen:
            self._first_seen[name] = self._launcher.mark_unknown(name, self._clock())
            log.warning(
                "attempt.unknown",
                extra={"attempt_name": name, "left_alone_s": _QUARANTINE.total_seconds()},
            )
        return self._clock() - self._first_seen[name] < _QUARANTINE
