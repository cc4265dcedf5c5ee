"""What the sorter's processes do: CPU time, bytes moved, threads that wait for a disk.

Totals only grow: a worker that ends takes nothing back. Decides nothing; Linux tells most, other
systems less (None).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from spikefleet.core.guards.sources import TreeSample

PROC = Path("/proc")
# Kernel functions in which a thread waits for a file system although it looks merely asleep.
_WAITS = ("request_wait_answer", "fuse_", "nfs", "rpc_wait", "p9_client", "io_schedule")


@dataclass(frozen=True)
class _Seen:
    cpu_s: float
    moved_bytes: int | None


class ProcessTree:
    """The processes below ``root_pid`` (our own by default), which is not one of them itself.

    With ``include_descendants`` False only its direct children count.
    """

    def __init__(self, root_pid: int = 0, *, include_descendants: bool = True) -> None:
        self._root_pid = root_pid or os.getpid()
        self._recursive = include_descendants
        self._seen: dict[tuple[int, float], _Seen] = {}
        self._cpu_s = 0.0
        self._moved_bytes: int | None = 0

    def read(self) -> TreeSample | None:
        """Look at every process. None when there is none, or none may be looked at."""
        found = list(self._look())
        if not found:
            return None
        self._moved_bytes = 0 if self._moved_bytes is None else self._moved_bytes
        for key, seen in found:
            before = self._seen.get(key, _Seen(0.0, 0))
            self._cpu_s += max(0.0, seen.cpu_s - before.cpu_s)
            if seen.moved_bytes is not None:
                self._moved_bytes += max(0, seen.moved_bytes - (before.moved_bytes or 0))
        if all(seen.moved_bytes is None for _, seen in found):
            self._moved_bytes = None
        self._seen = dict(found)
        n_waiting = sum(_waiting_threads(pid) for (pid, _), _ in found)
        return TreeSample(len(found), self._cpu_s, self._moved_bytes, n_waiting)

    def pids(self) -> frozenset[int]:
        """The processes there are now; zombies are gone."""
        found = set()
        for process in self._members():
            try:
                if process.status() != psutil.STATUS_ZOMBIE:
                    found.add(process.pid)
            except psutil.Error:
                continue
        return frozenset(found)

    def _members(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self._root_pid).children(recursive=self._recursive)
        except psutil.Error:
            return []

    def _look(self) -> Iterator[tuple[tuple[int, float], _Seen]]:
        for process in self._members():
            try:
                times, born = process.cpu_times(), process.create_time()
            except psutil.Error:
                continue
            yield (process.pid, born), _Seen(times.user + times.system, _moved(process))


def _moved(process: psutil.Process) -> int | None:
    """Bytes the process read and wrote, from disk or cache; None when it may not be asked."""
    try:
        counters = process.io_counters()
    except (psutil.Error, AttributeError, RuntimeError, ValueError):  # also: an empty file
        return None
    names = ("read_bytes", "write_bytes", "read_chars", "write_chars")
    return sum(int(getattr(counters, name, 0)) for name in names)


def _waiting_threads(pid: int) -> int:
    """Threads in uninterruptible sleep, or asleep inside a file system's own wait."""
    try:
        threads = os.listdir(PROC / str(pid) / "task")
    except OSError:
        return 0
    return sum(_is_waiting(PROC / str(pid) / "task" / thread) for thread in threads)


def _is_waiting(thread: Path) -> bool:
    try:
        state = (thread / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]
        if state in "SR":
            place = (thread / "wchan").read_text(errors="replace")
            return any(word in place for word in _WAITS)
    except (OSError, IndexError):
        return False
    return state == "D"
