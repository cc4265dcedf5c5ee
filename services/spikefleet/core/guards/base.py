"""What a guard is: it reads one signal and may return a trip. It never kills."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from spikefleet.core.failures.errors import Failure


@dataclass(frozen=True)
class Reading:
    """One sample of one signal.

    ``values`` are gauges in base units keyed by telemetry label (for example
    ``{"working_set_bytes": 1.2e9, "limit_bytes": 4e9}``); ``warning`` is a sentence or empty;
    ``trip`` is the guard's verdict, None while all is well. ``advisory`` says why the guard can
    judge nothing now, or only less than it should; empty while it sees what it needs.
    """

    guard: str
    values: Mapping[str, float] = field(default_factory=dict)
    warning: str = ""
    trip: Failure | None = None
    advisory: str = ""


class Guard(Protocol):
    """Reads one signal. ``interval_s`` is how soon the loop should ask again; it may change."""

    name: str
    interval_s: float

    @property
    def thresholds(self) -> Mapping[str, float]:
        """What it warns and trips at, in base units, for the record."""
        ...

    def read(self, now_s: float) -> Reading:
        """Sample the signal at monotonic time ``now_s``. Must not raise on unreadable signals."""
        ...
