"""A bell that rings after every committed change of this process's store, for watchers.

It says only *that* something changed; what changed is read from the event table. Changes made by
other processes do not ring it, so every wait has a poll interval beside it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class ChangeBell:
    """Wakes waiting threads and calls subscribers. Safe from any thread."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._rings = 0
        self._subscribers: list[Callable[[], None]] = []

    @property
    def rings(self) -> int:
        """How often it rang; read it before looking, pass it to ``wait``."""
        with self._condition:
            return self._rings

    def ring(self) -> None:
        """Wake everyone. Called after the commit, never inside a transaction."""
        with self._condition:
            self._rings += 1
            subscribers = list(self._subscribers)
            self._condition.notify_all()
        for subscriber in subscribers:
            subscriber()

    def wait(self, rings: int, timeout_s: float) -> bool:
        """Block until it rang more than ``rings`` times; False after ``timeout_s``."""
        with self._condition:
            return self._condition.wait_for(lambda: self._rings > rings, timeout_s)

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` on every ring, from the writer's thread; it must not block or raise.

        Returns the function that ends the subscription.
        """
        with self._condition:
            self._subscribers.append(callback)

        def unsubscribe() -> None:
            with self._condition:
                if callback in self._subscribers:
                    self._subscribers.remove(callback)

        return unsubscribe
