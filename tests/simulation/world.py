"""The world outside the controller: time, sorts that run, rooms that answer. Goes on without it.

Events happen in the order of their time; those of one time in the order in which they were made.
Nothing here asks a real clock or draws chance of its own.
"""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Executor, Future
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.simulation.artifacts import MemoryArtifacts
from tests.simulation.plan import RunPlan

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


class BrokenInvariantError(AssertionError):
    """The controller has done what it must never do."""


class SimulatedCrash(BaseException):
    """The controller's process ends here."""


class World:
    """Time and what is planned in it. ``wall`` is the clock that people set, ``now_s`` is not."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.jumped_s = 0.0
        self.store_away_until_s = -1.0
        self.launcher_away_until_s = -1.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self.artifacts = MemoryArtifacts(lambda: self.now_s < self.store_away_until_s)
        self.trace: list[str] = []
        self.plans: dict[str, RunPlan] = {}  #: by run id
        self._met: dict[tuple[str, str], int] = defaultdict(int)

    def wall(self) -> datetime:
        return BEGIN + timedelta(seconds=self.now_s + self.jumped_s)

    def steady(self) -> datetime:
        """The database's clock, which nobody sets."""
        return BEGIN + timedelta(seconds=self.now_s)

    def later(self, delay_s: float, work: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now_s + delay_s, next(self._numbers), work))

    @property
    def next_s(self) -> float | None:
        return self._events[0][0] if self._events else None

    def go_to(self, until_s: float) -> None:
        """Let everything happen up to a time, and be then."""
        while self._events and self._events[0][0] <= until_s:
            at_s, _, work = heapq.heappop(self._events)
            self.now_s = max(self.now_s, at_s)
            work()
        self.now_s = max(self.now_s, until_s)

    def tell(self, line: str) -> None:
        self.trace.append(f"{self.now_s:.1f} {line}")

    def nth(self, run_id: str, what: str) -> int:
        """How often a run has met this before now."""
        key = (run_id, what)
        self._met[key] += 1
        return self._met[key] - 1


class WorldExecutor(Executor):
    """Carries out calls in the world's time. One per life of a controller.

    What a dead controller had asked for is carried out all the same; nobody reads the answer.
    """

    def __init__(self, world: World, takes_s: float = 3.0) -> None:
        self._world, self._takes_s = world, takes_s

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def carry_out() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except Exception as error:  # noqa: BLE001 - as a thread pool does
                future.set_exception(error)

        self._world.later(self._takes_s, carry_out)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        del wait, cancel_futures
