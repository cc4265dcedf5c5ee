"""What guards look at, and who tells them: the machine's side of it is in ``infra.system``."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class MemorySample:
    """One look at memory, in bytes. ``oom_kills`` counts kernel kills so far; None = unknown.

    ``held_bytes`` is the part of the working set that the kernel cannot drop to make room.
    ``stalled_ratio`` is the share (0..1) of the last ten seconds in which every task waited for
    memory, ``limit_hits`` how often usage ran into the limit; None where the kernel does not tell.
    """

    source: str
    working_set_bytes: float
    held_bytes: float
    limit_bytes: float
    oom_kills: int | None = None
    stalled_ratio: float | None = None
    limit_hits: int | None = None

    @property
    def used_ratio(self) -> float:
        """Working set over limit."""
        return self.working_set_bytes / self.limit_bytes

    @property
    def held_ratio(self) -> float:
        """Memory that cannot be dropped over limit."""
        return self.held_bytes / self.limit_bytes


class MemorySource(Protocol):
    """Reads the memory that counts for this process."""

    def read(self) -> MemorySample | None:
        """Return the fullest limit's sample; None when nothing can be read."""
        ...

    def oom_kills(self) -> int | None:
        """Kernel kills counted so far; None when nobody counts."""
        ...

    def is_ours_alone(self, own_pids: Collection[int]) -> bool:
        """Is every process under the same limit one of ``own_pids``, this one or above it?"""
        ...


@dataclass(frozen=True)
class TreeSample:
    """Totals since the first sample: CPU seconds and bytes read or written (None = not told).

    ``n_waiting`` counts threads that wait for a disk or mount right now.
    """

    n_processes: int
    cpu_s: float
    moved_bytes: int | None
    n_waiting: int


class TreeSource(Protocol):
    """Reads what the sorter's processes do."""

    def read(self) -> TreeSample | None:
        """Look at every process. None when there is none, or none may be looked at."""
        ...
