"""Asks every guard at its own pace; the first trip wins and stays. It never kills."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping

from spikefleet.core.failures.errors import Failure
from spikefleet.core.guards.base import Guard, Reading

_log = logging.getLogger(__name__)

WARNING_PAUSE_S = 30.0


class GuardLoop:
    """Polls guards from the caller's thread; the caller decides the pace of ``poll``.

    ``peaks`` keeps the largest value of each ``guard.signal`` (the smallest where the signal's name
    begins with ``free``); ``warnings`` counts warnings, at most one per guard and 30 s.
    """

    def __init__(self, guards: Iterable[Guard]) -> None:
        self.guards = tuple(guards)
        self.trip: Failure | None = None
        self.tripped_guard = ""
        self.warnings: Counter[str] = Counter()
        self._last: dict[str, Reading] = {}
        self._peaks: dict[str, float] = {}
        self._due_s: dict[str, float] = {}
        self._quiet_until_s: dict[str, float] = {}

    @property
    def peaks(self) -> Mapping[str, float]:
        """Extremes so far, keyed ``guard.signal``, in base units."""
        return dict(self._peaks)

    @property
    def readings(self) -> Mapping[str, Reading]:
        """The last reading of every guard asked so far."""
        return dict(self._last)

    def poll(self, now_s: float) -> list[Reading]:
        """Ask the guards that are due at monotonic time ``now_s``; return what they said."""
        fresh = []
        for guard in self.guards:
            if now_s < self._due_s.get(guard.name, now_s):
                continue
            self._due_s[guard.name] = now_s + guard.interval_s
            reading = guard.read(now_s)
            fresh.append(reading)
            self._keep(reading, now_s)
        return fresh

    def _keep(self, reading: Reading, now_s: float) -> None:
        self._last[reading.guard] = reading
        for signal, value in reading.values.items():
            key = f"{reading.guard}.{signal}"
            pick = min if signal.startswith("free") else max
            self._peaks[key] = pick(self._peaks.get(key, value), value)
        if reading.warning and now_s >= self._quiet_until_s.get(reading.guard, now_s):
            self._quiet_until_s[reading.guard] = now_s + WARNING_PAUSE_S
            self.warnings[reading.guard] += 1
            _log.warning("guard.warned", extra={"guard": reading.guard, "warning": reading.warning})
        if reading.trip is not None and self.trip is None:
            self.trip, self.tripped_guard = reading.trip, reading.guard
            _log.error(
                "guard.tripped", extra={"guard": reading.guard, "code": str(reading.trip.code)}
            )
