"""The time of the fake: a list of things to do, done in order when time is let pass.

Nothing sleeps. A test lets time pass by hand (``advance``); ``LiveClock`` lets it pass by itself,
as fast as it is told, for tests whose other side lives in real time.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_BEGIN = datetime(2026, 11, 28, 6, 0, 0, tzinfo=UTC)
_MAX_STEPS = 100_000


class VirtualClock:
    """Seconds since the fake began. All work runs under ``lock``, one piece at a time."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.now_s = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()

    def after(self, delay_s: float, act: Callable[[], None]) -> None:
        """Do ``act`` once that much time has passed."""
        with self.lock:
            heapq.heappush(self._due, (self.now_s + delay_s, next(self._number), act))

    def advance(self, seconds: float) -> None:
        """Let time pass; whatever falls due is done at its own moment, in order."""
        with self.lock:
            end_s = self.now_s + seconds
            for _ in range(_MAX_STEPS):
                if not self._due or self._due[0][0] > end_s:
                    break
                at_s, _, act = heapq.heappop(self._due)
                self.now_s = max(self.now_s, at_s)
                act()
            else:
                raise AssertionError(
                    "the fake does not come to rest: something makes work for ever"
                )
            self.now_s = end_s

    def stamp(self, plus_s: float = 0.0, *, micro: bool = False) -> str:
        """The time as the API writes it, RFC 3339."""
        moment = _BEGIN + timedelta(seconds=self.now_s + plus_s)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if micro else "%Y-%m-%dT%H:%M:%SZ")

    def seconds_of(self, stamp: str) -> float:
        """The inverse of ``stamp``."""
        return (datetime.fromisoformat(stamp) - _BEGIN).total_seconds()


class LiveClock:
    """Lets a virtual clock follow the real one, ``speed`` times as fast, from a thread."""

    def __init__(self, clock: VirtualClock, *, speed: float) -> None:
        self._clock = clock
        self._speed = speed
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="kubefake-clock", daemon=True)

    def start(self) -> None:
        """Begin to let time pass."""
        self._thread.start()

    def stop(self) -> None:
        """Time stands still again."""
        self._stopped.set()
        self._thread.join(10)

    def _follow(self) -> None:
        last = time.monotonic()
        while not self._stopped.wait(0.01):
            now = time.monotonic()
            self._clock.advance((now - last) * self._speed)
            last = now
