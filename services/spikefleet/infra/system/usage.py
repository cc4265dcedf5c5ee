"""What the attempt itself takes: memory of its process tree, bytes in its folders.

Never warns and never trips; the other guards watch what is left. The peaks are held against what
was projected.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import psutil

from spikefleet.core.guards.base import Reading
from spikefleet.infra.system.folder_usage import measure_folder

_INTERVAL_S = 2.0
# Folders are walked at most once in this time, and no longer than this at once.
_WALK_EVERY_S = 5.0
_WALK_S = 1.0


class AttemptUsage:
    """Reads what this process and those below it hold, and what is in its folder.

    Of ``shared`` only what was added since the first reading counts.
    """

    name = "usage"

    def __init__(
        self,
        folder: Path,
        shared: Path | None = None,
        *,
        root_pid: int = 0,
        interval_s: float = _INTERVAL_S,
    ) -> None:
        self.interval_s = interval_s
        self._folder, self._shared = folder, shared
        self._root_pid = root_pid or os.getpid()
        self._shared_before: int | None = None
        self._scratch_bytes = 0
        self._walked_s = float("-inf")

    @property
    def thresholds(self) -> Mapping[str, float]:
        """None: it only tells."""
        return {}

    def read(self, now_s: float) -> Reading:
        """Sample both. A process tree that may not be looked at leaves memory out."""
        if now_s - self._walked_s >= _WALK_EVERY_S:
            self._walked_s = now_s
            self._scratch_bytes = self._walk()
        values = {"scratch_bytes": float(self._scratch_bytes)}
        memory_bytes = _tree_bytes(self._root_pid)
        if memory_bytes is None:
            return Reading(self.name, values, advisory="the processes' memory cannot be read")
        return Reading(self.name, {**values, "memory_bytes": float(memory_bytes)})

    def _walk(self) -> int:
        own = measure_folder(self._folder, budget_s=_WALK_S).used_bytes
        if self._shared is None:
            return own
        shared = measure_folder(self._shared, budget_s=_WALK_S).used_bytes
        if self._shared_before is None:
            self._shared_before = shared
        return own + max(0, shared - self._shared_before)


def _tree_bytes(root_pid: int) -> int | None:
    """Resident memory without mapped files, which the kernel can drop at will."""
    total = 0
    try:
        root = psutil.Process(root_pid)
        members = [root, *root.children(recursive=True)]
    except psutil.Error:
        return None
    for member in members:
        try:
            memory = member.memory_info()
        except psutil.Error:
            continue
        total += int(memory.rss - getattr(memory, "shared", 0))
    return total
