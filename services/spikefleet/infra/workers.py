"""CPU work of a room in a spawned child process, so that the event loop never waits for it.

Decides how a worker is started, that it dies with its service and that a crash of it becomes an
error of one call. Refuses closures: a function must be importable by its name. It keeps no
queue of its own and starts nothing again by itself; the caller decides what a death means.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_PR_SET_PDEATHSIG = 1


class WorkerDiedError(RuntimeError):
    """The worker process ended (a crash, a kill, out of memory) before it could answer."""

    def __init__(self, function_name: str) -> None:
        super().__init__(
            f"the worker process died while it ran {function_name}; look for an out-of-memory "
            "kill or a crash of a native library in the system's log"
        )
        self.function_name = function_name


def _die_with_parent(parent_pid: int) -> None:
    """Run first in every worker: the kernel kills it when its service is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service to answer
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it died before the request above reached the kernel
        raise SystemExit(1)


class _TrackedSpawn(SpawnContext):
    """Starts processes as usual and keeps them at hand, so that they can be ended at once."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[SpawnProcess] = []

    def Process(self, *args: Any, **kwargs: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        process = SpawnProcess(*args, **kwargs)
        self.started.append(process)
        return process


class WorkerPool:
    """Up to ``size`` spawned processes, started when first needed and kept for the next call."""

    def __init__(self, size: int = 1) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._spawn = _TrackedSpawn()
        self._pool: ProcessPoolExecutor | None = None

    async def run(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return ``fn(*args, **kwargs)`` from a worker; what it raises is raised here.

        ``fn`` is a module-level function; arguments and result are pickled. Raises WorkerDiedError
        when the process ended; the next call gets a fresh one.
        """
        pool = self._current()
        try:
            future = pool.submit(fn, *args, **kwargs)
            return await asyncio.wrap_future(future)
        except BrokenProcessPool as error:
            self._drop(pool)
            raise WorkerDiedError(fn.__qualname__) from error

    def close(self) -> None:
        """End the workers at once; a call in flight raises WorkerDiedError."""
        with self._lock:
            pool, self._pool = self._pool, None
            started = self._spawn.started
        if pool is None:
            return
        for process in started:
            if process.is_alive():
                process.kill()
        pool.shutdown(wait=True, cancel_futures=True)

    def _current(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._spawn = _TrackedSpawn()
                self._pool = ProcessPoolExecutor(
                    max_workers=self._size,
                    mp_context=self._spawn,
                    initializer=_die_with_parent,
                    initargs=(os.getpid(),),
                )
            return self._pool

    def _drop(self, broken: ProcessPoolExecutor) -> None:
        """Forget a broken pool, unless another call has done so already."""
        with self._lock:
            if self._pool is broken:
                self._pool = None
        broken.shutdown(wait=False, cancel_futures=True)
