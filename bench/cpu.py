"""Processor time of a piece of work, in this process."""

from __future__ import annotations

import time
from collections.abc import Callable


def cpu_ms(work: Callable[[], object], repeats: int) -> list[float]:
    """Return the CPU milliseconds of each of ``repeats`` calls, after one that is not counted."""
    work()
    found = []
    for _ in range(repeats):
        started_s = time.process_time()
        work()
        found.append((time.process_time() - started_s) * 1e3)
    return found
