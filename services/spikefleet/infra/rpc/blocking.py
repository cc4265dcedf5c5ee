"""Blocking work of the doors: threads by kind, fair between callers, given up with its call.

Decides how many pieces of one kind run at once, how many of them may be one caller's, and how many
may wait; more is refused at once. The waiting work of a caller who leaves is dropped, and long
work asks ``require_caller`` now and then. Threads end with the process and hold up no exit.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from contextvars import ContextVar, copy_context
from functools import partial
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from spikefleet.infra.rpc.access import current_caller
from spikefleet.infra.rpc.errors import RpcProblem

P = ParamSpec("P")
T = TypeVar("T")

_LEFT: ContextVar[threading.Event | None] = ContextVar("spikefleet_caller_left", default=None)


class CallerLeftError(RuntimeError):
    """Whoever asked for this work is gone: nobody waits for its result."""


def require_caller() -> None:
    """Let long work end when its caller has left. Raises CallerLeftError; else costs nothing."""
    left = _LEFT.get()
    if left is not None and left.is_set():
        raise CallerLeftError


class BlockingPool:
    """Up to ``threads`` pieces of one ``kind`` of work at once, ``per_owner`` of one caller's.

    ``waiting`` more of one caller's may wait; callers take turns.
    """

    def __init__(self, kind: str, *, threads: int, per_owner: int, waiting: int) -> None:
        self._kind, self._most, self._per_owner = kind, threads, per_owner
        self._most_waiting = waiting
        self._condition = threading.Condition()
        self._queues: OrderedDict[str, deque[tuple[Future[Any], Callable[[], Any]]]] = OrderedDict()
        self._running: Counter[str] = Counter()
        self._threads = 0
        self._idle = 0

    async def run(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return ``work(*args, **kwargs)`` from a thread; what it raises is raised here.

        Raises RpcProblem SERVICE_BUSY when too much of this caller's waits already.
        """
        left = threading.Event()
        context = copy_context()
        context.run(_LEFT.set, left)
        owner = current_caller().owner
        future = self._submit(owner, partial(context.run, partial(work, *args, **kwargs)))
        try:
            answer: T = await asyncio.wrap_future(future)
        finally:
            left.set()
        return answer

    def _submit(self, owner: str, work: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        with self._condition:
            queue = self._queues.setdefault(owner, deque())
            if len(queue) >= self._most_waiting:
                raise RpcProblem(
                    "SERVICE_BUSY",
                    f"{len(queue)} calls of this user wait for {self._kind} already.",
                )
            queue.append((future, work))
            if not self._idle and self._threads < self._most:
                self._threads += 1
                name = f"{self._kind}-{self._threads}"
                threading.Thread(target=self._serve, name=name, daemon=True).start()
            self._condition.notify()
        return future

    def _serve(self) -> None:
        while True:
            owner, future, work = self._next()
            try:
                if future.set_running_or_notify_cancel():
                    _carry_out(future, work)
            finally:
                with self._condition:
                    self._running[owner] -= 1
                    if not self._running[owner]:
                        del self._running[owner]
                    if self._queues:  # with nothing left to do, nobody needs to wake up
                        self._condition.notify()
            del future, work  # what a caller sent is not kept until the next call

    def _next(self) -> tuple[str, Future[Any], Callable[[], Any]]:
        """Wait for work of a caller who has fewer than his share running; callers take turns."""
        with self._condition:
            self._idle += 1
            while True:
                for owner, queue in self._queues.items():
                    if queue and self._running[owner] < self._per_owner:
                        future, work = queue.popleft()
                        self._queues.move_to_end(owner)
                        if not queue:
                            del self._queues[owner]
                        self._running[owner] += 1
                        self._idle -= 1
                        return owner, future, work
                self._condition.wait()


class _Handing(AbstractContextManager["_Handing"]):
    """Hands whatever ends the work to the one who waits for it; nothing of it stays here."""

    def __init__(self, future: Future[Any]) -> None:
        self._future = future

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Give the error to the caller, who raises it."""
        if error is not None:
            self._future.set_exception(error)
        return True


def _carry_out(future: Future[Any], work: Callable[[], Any]) -> None:
    with _Handing(future):
        future.set_result(work())


READS = BlockingPool("records", threads=8, per_owner=6, waiting=2_000)
"""Short reads and writes of the database."""
REPORTS = BlockingPool("reports", threads=4, per_owner=4, waiting=2_000)
"""What running attempts say."""
DIGESTS = BlockingPool("digests", threads=6, per_owner=3, waiting=64)
"""Reading whole recordings: registration, the end of an upload."""
PARTS = BlockingPool("parts", threads=6, per_owner=4, waiting=64)
"""Parts of uploads on their way to the disk."""
SUBMISSIONS = BlockingPool("submissions", threads=8, per_owner=4, waiting=256)
"""Submissions, which wait for a look at their recordings."""
FILES = BlockingPool("files", threads=8, per_owner=6, waiting=512)
"""Results on their way out."""
CURATIONS = BlockingPool("curations", threads=4, per_owner=2, waiting=32)
"""Curating stored sorts again, which waits for the rooms that do it."""
