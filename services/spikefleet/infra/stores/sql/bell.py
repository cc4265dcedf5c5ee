"""A bell that rings after every committed change of this process's store, for watchers.

It says only *which run* changed; what changed is read from the database. Changes made by other
processes do not ring it, so every watcher has a slow poll beside it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

EVERY_RUN = ""
Listener = Callable[[], None]


class ChangeBell:
    """Calls those who listen to a run, and those who listen to every run. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[str, list[Listener]] = {}

    def ring(self, run_id: str = EVERY_RUN) -> None:
        """Call the listeners of a run; without one, of all. After the commit, never inside it."""
        with self._lock:
            if run_id == EVERY_RUN:
                called = [listener for those in self._listeners.values() for listener in those]
            else:
                called = [
                    *self._listeners.get(run_id, ()),
                    *self._listeners.get(EVERY_RUN, ()),
                ]
        for listener in called:
            listener()

    def listen(self, listener: Listener, run_id: str = EVERY_RUN) -> Callable[[], None]:
        """Call ``listener`` on every ring, in the writer's thread; it must not block or raise.

        Returns the function that ends it.
        """
        with self._lock:
            self._listeners.setdefault(run_id, []).append(listener)

        def leave() -> None:
            with self._lock:
                those = self._listeners.get(run_id, [])
                if listener in those:
                    those.remove(listener)
                if not those:
                    self._listeners.pop(run_id, None)

        return leave
