"""SIGTERM and SIGINT as a fact to look at: an attempt told to stop ends in order, and never with 0.

While the parent waits for a slow store, looking is not enough; inside ``breaking_in`` the signal
raises AttemptInterrupted where it strikes. That is only used around work that is safe to drop.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from spikefleet.core.failures.errors import AttemptInterrupted

SIGNALS = (signal.SIGTERM, signal.SIGINT)
STOP_REQUESTED = "stop_requested"  # the controller's word, not a signal


class Interruption:
    """Remembers the first stop signal. ``name`` is empty while none has come."""

    def __init__(self) -> None:
        self.name = ""
        self._breaks_in = False

    def listen(self) -> None:
        """Take the signals over for good (main thread only)."""
        for number in SIGNALS:
            signal.signal(number, self._hear)

    @contextmanager
    def listening(self) -> Iterator[Interruption]:
        """Take the signals over for the length of a ``with`` block (main thread only)."""
        before = {number: signal.signal(number, self._hear) for number in SIGNALS}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def breaking_in(self) -> Iterator[None]:
        """Raise AttemptInterrupted in here when the signal comes, or came already."""
        self._breaks_in = True
        try:
            self.check()
            yield
        finally:
            self._breaks_in = False

    def note(self, reason: str) -> None:
        """Remember a request to stop that came another way than by signal."""
        self.name = self.name or reason

    def check(self) -> None:
        """Raise AttemptInterrupted when a stop was asked for."""
        if self.name:
            raise self.error()

    def error(self) -> AttemptInterrupted:
        """The failure of an attempt that was told to stop."""
        return AttemptInterrupted(
            f"The attempt was told to stop ({self.name}) before it had finished.", signal=self.name
        )

    def _hear(self, number: int, frame: FrameType | None) -> None:
        is_first = not self.name
        self.note(signal.Signals(number).name)
        if is_first and self._breaks_in:
            raise self.error()
