"""What the controller costs while much waits and much has been: CPU, not wall time.

A round of the reconcile loop with 1 000 runs queued for a sort and no slot; one with nothing to do
after 0 and after 10 000 runs have ended; a page of 50 runs, from the records to its bytes. The
yardstick is one read of the database by its key, the least that anything here does; ratios to it
mean the same on another machine.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from tests.support.controlled import Controlled
from tests.support.many_runs import add_runs

from bench.cpu import cpu_ms
from spikefleet.api.v1 import controller_pb2
from spikefleet.controller.servicer import ControllerServicer
from spikefleet.core.runs import RunState

ROUND_LIMIT_MS = 10.0
LIST_LIMIT_MS = 10.0
IDLE_RATIO_LIMIT = 1.5
QUEUED = 1_000
ENDED = 10_000
REPEATS = 15


def measure() -> tuple[dict[str, Any], bool]:
    """Return CPU milliseconds of each, and whether the bounds are held."""
    with _controller() as waiting:
        add_runs(waiting.database, QUEUED, RunState.QUEUED)
        yardstick_ms = _cpu_ms(lambda: waiting.runs.get_run(f"run-{QUEUED:016d}"))
        queued_ms = _cpu_ms(waiting.reconciler.step)
    with _controller() as same:
        add_runs(same.database, QUEUED, RunState.QUEUED, sort="the same")
        same_ms = _cpu_ms(same.reconciler.step)
    with _controller() as idle:
        idle_ms = _cpu_ms(idle.reconciler.step)
        add_runs(idle.database, ENDED, RunState.SUCCEEDED)
        old_ms = _cpu_ms(idle.reconciler.step)
        page = _page(idle)
        page_ms, page_bytes = _cpu_ms(page), len(page())
    result = {
        "yardstick_one_read_ms": yardstick_ms,
        "round_1000_queued_ms": queued_ms,
        "round_1000_queued_for_one_sort_ms": same_ms,
        "round_idle_ms": idle_ms,
        "round_idle_after_10000_ended_ms": old_ms,
        "idle_ratio": old_ms / idle_ms,
        "list_50_runs_ms": page_ms,
        "list_50_runs_kb": page_bytes / 1e3,
    }
    held = max(queued_ms, same_ms) <= ROUND_LIMIT_MS and page_ms <= LIST_LIMIT_MS
    held = held and old_ms <= IDLE_RATIO_LIMIT * idle_ms
    return {name: round(value, 2) for name, value in result.items()}, held


@contextmanager
def _controller() -> Iterator[Controlled]:
    """A controller on empty records, without a slot."""
    with tempfile.TemporaryDirectory(prefix="bench-controller-") as folder:
        controlled = Controlled(Path(folder), cpu_slots=0)
        yield controlled
        controlled.close()


def _page(controlled: Controlled) -> Callable[[], bytes]:
    """What answers ListRuns for 50 runs, up to the bytes on the wire."""
    door = ControllerServicer(
        controlled.runs, controlled.access, controlled.wishes, lambda: None, controlled.logs
    )
    request = controller_pb2.ListRunsRequest(page_size=50)
    loop = asyncio.new_event_loop()

    def answer() -> bytes:
        return loop.run_until_complete(door.ListRuns(request, None)).SerializeToString()

    return answer


def _cpu_ms(work: Callable[[], object]) -> float:
    """CPU of this process in ms, the median of several."""
    return median(cpu_ms(work, REPEATS))


if __name__ == "__main__":
    print(measure())
