"""Asks every guard at its own pace; the first trip wins and stays. It never kills."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from spikefleet.core.failures.errors import Failure
from spikefleet.core.guards.base import Guard, Reading

_log = logging.getLogger(__name__)

WARNING_PAUSE_S = 30.0


@dataclass(frozen=True)
class GuardEvent:
    """Something a guard said that must stay on record.

    ``event`` is ``warn``, ``abort``, ``blind`` (it can no longer judge, or only less) or ``sight``.
    """

    guard: str
    event: str
    message: str
    values: Mapping[str, float] = field(default_factory=dict)


def _ignore(event: GuardEvent) -> None:
    """Keep nothing: a loop nobody audits."""


class GuardLoop:
    """Polls guards from the caller's thread; the caller decides the pace of ``poll``.

    ``peaks`` keeps the largest value of each ``guard.signal`` (the smallest where the signal's name
    begins with ``free``); ``warnings`` counts warnings, at most one per guard and 30 s. ``record``
    is given every event as it happens.
    """

    def __init__(
        self, guards: Iterable[Guard], record: Callable[[GuardEvent], None] = _ignore
    ) -> None:
        self.guards = tuple(guards)
        self.trip: Failure | None = None
        self.tripped_guard = ""
        self.warnings: Counter[str] = Counter()
        self._record = record
        self._last: dict[str, Reading] = {}
        self._peaks: dict[str, float] = {}
        self._due_s: dict[str, float] = {}
        self._quiet_until_s: dict[str, float] = {}
        self._blind: dict[str, str] = {}

    @property
    def blind(self) -> Mapping[str, str]:
        """Guards that could not judge, or only less, for some time, and why the last time."""
        return dict(self._blind)

    @property
    def peaks(self) -> Mapping[str, float]:
        """Extremes so far, keyed ``guard.signal``, in base units."""
        return dict(self._peaks)

    @property
    def thresholds(self) -> Mapping[str, float]:
        """What every guard warns and trips at, keyed ``guard.threshold``, in base units."""
        return {
            f"{guard.name}.{name}": value
            for guard in self.guards
            for name, value in guard.thresholds.items()
        }

    @property
    def readings(self) -> Mapping[str, Reading]:
        """The last reading of every guard asked so far."""
        return dict(self._last)

    def next_due_s(self, now_s: float) -> float:
        """Seconds until a guard wants to be asked; infinite without guards."""
        waits = [self._due_s.get(guard.name, now_s) - now_s for guard in self.guards]
        return max(0.0, min(waits, default=float("inf")))

    def poll(self, now_s: float) -> list[Reading]:
        """Ask the guards that are due at monotonic time ``now_s``; return what they said."""
        fresh = []
        for guard in self.guards:
            if now_s < self._due_s.get(guard.name, now_s):
                continue
            reading = guard.read(now_s)
            self._due_s[guard.name] = now_s + guard.interval_s
            fresh.append(reading)
            self._keep(reading, now_s)
        return fresh

    def _keep(self, reading: Reading, now_s: float) -> None:
        before = self._last.get(reading.guard)
        self._last[reading.guard] = reading
        self._note_sight(reading, before)
        for signal, value in reading.values.items():
            key = f"{reading.guard}.{signal}"
            pick = min if signal.startswith("free") else max
            self._peaks[key] = pick(self._peaks.get(key, value), value)
        if reading.warning and now_s >= self._quiet_until_s.get(reading.guard, now_s):
            self._quiet_until_s[reading.guard] = now_s + WARNING_PAUSE_S
            self.warnings[reading.guard] += 1
            self._record(GuardEvent(reading.guard, "warn", reading.warning, reading.values))
            _log.warning("guard.warned", extra={"guard": reading.guard, "warning": reading.warning})
        if reading.trip is not None and self.trip is None:
            self.trip, self.tripped_guard = reading.trip, reading.guard
            self._record(GuardEvent(reading.guard, "abort", reading.trip.message, reading.values))
            _log.error(
                "guard.tripped", extra={"guard": reading.guard, "code": str(reading.trip.code)}
            )

    def _note_sight(self, reading: Reading, before: Reading | None) -> None:
        """Record when a guard goes blind or sees again, once each time."""
        was_blind, is_blind = bool(before and before.advisory), bool(reading.advisory)
        if is_blind:
            self._blind[reading.guard] = reading.advisory
        if is_blind and not was_blind:
            self._record(GuardEvent(reading.guard, "blind", reading.advisory))
            _log.warning("guard.blind", extra={"guard": reading.guard, "reason": reading.advisory})
        elif was_blind and not is_blind:
            self._record(GuardEvent(reading.guard, "sight", "", reading.values))
