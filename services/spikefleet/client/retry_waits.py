"""How long a client keeps trying when the service does not answer: growing waits, and a limit."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from spikefleet.infra.rpc.errors import ServiceError, ServiceUnreachable, answering

_T = TypeVar("_T")
_PASSING = ("STORAGE_UNAVAILABLE",)  # the service answers; what it keeps bytes in does not

DEFAULT_PATIENCE_S = 300.0


def waiting_words(error: ServiceError, wait_s: float) -> str:
    """Say what is waited for: a bar that stands still looks like a program that hangs."""
    what = "bucket" if error.reason in _PASSING else "service"
    return f"waiting for the {what}, next try in {max(1, round(wait_s))} s"


@dataclass
class RetryWaits:
    """Spends itself while a service stays away; any progress restores it."""

    total_s: float = DEFAULT_PATIENCE_S
    first_wait_s: float = 0.2
    longest_wait_s: float = 5.0
    #: told before every wait: of what went wrong, and how many seconds it takes
    on_wait: Callable[[ServiceError, float], None] | None = None
    _since_s: float | None = field(default=None, init=False)
    _wait_s: float = field(default=0.0, init=False)

    def restore(self) -> None:
        """Something was heard: start over."""
        self._since_s = None
        self._wait_s = 0.0

    def until_answered(
        self, address: str, call: Callable[[], _T], *, must_be_there: bool = False
    ) -> _T:
        """Make a call that may be repeated until it is answered or the patience is spent.

        ``must_be_there``: a service that is not there is told at once. Raises ServiceError.
        """
        while True:
            try:
                with answering(address):
                    return call()
            except ServiceError as error:
                is_away = isinstance(error, ServiceUnreachable) and not must_be_there
                if not is_away and error.reason not in _PASSING:
                    raise
                self.wait(error)

    def wait(self, error: ServiceError) -> None:
        """Sleep before the next try. Raises ``error`` when the patience is spent."""
        now_s = time.monotonic()
        if self._since_s is None:
            self._since_s = now_s
        if now_s - self._since_s >= self.total_s:
            raise error
        doubled = max(self.first_wait_s, 2 * self._wait_s)
        self._wait_s = min(self.longest_wait_s, max(doubled, error.retry_after_s or 0.0))
        left_s = self._since_s + self.total_s - now_s
        sleep_s = min(left_s, self._wait_s * random.uniform(0.8, 1.2))
        if self.on_wait is not None:
            self.on_wait(error, sleep_s)
        time.sleep(sleep_s)
