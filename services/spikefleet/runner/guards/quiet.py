"""In which steps a healthy sort may be silent for hours, and how its work shows then.

Sorters print a line or move a bar for every piece of the recording they go through; clustering and
merging print nothing while they compute. There, and in steps nobody knows, CPU time of the process
tree or a busy GPU is life. A loud step that falls silent is a stall however busy it looks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from spikefleet.core.guards.sources import TreeSource

# Steps that pass over the recording piece by piece and say so at every piece.
LOUD_STEPS = frozenset({"load", "detect", "extract", "match", "classify"})
BUSY_CORES = 0.05
BUSY_GPU_RATIO = 0.05


def is_quiet(step: str) -> bool:
    """May a healthy sort be silent in this step? Unknown steps may."""
    return step not in LOUD_STEPS


def _no_step() -> str:
    return ""


def _no_gpu() -> float | None:
    return None


@dataclass(frozen=True)
class Surroundings:
    """What guards of silence may ask about the sort: its step, processes and GPU.

    ``step`` is the sorter's own last word; ``gpu_busy_ratio`` its GPU's utilisation (0..1, None =
    unknown or not only ours).
    """

    tree: TreeSource
    step: Callable[[], str] = _no_step
    gpu_busy_ratio: Callable[[], float | None] = _no_gpu


class QuietWork:
    """Tells silent work from a stall, by the CPU time used between two looks."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._before: tuple[float, float] | None = None
        self.busy_cores = 0.0

    def is_going_on(self, now_s: float) -> bool:
        """True when the present step may be silent and something computed since the last look."""
        sample = self._surroundings.tree.read()
        before = self._before
        if sample is not None:
            self._before = (now_s, sample.cpu_s)
            if before is not None and now_s > before[0]:
                self.busy_cores = (sample.cpu_s - before[1]) / (now_s - before[0])
        else:
            self.busy_cores = 0.0
        gpu = self._surroundings.gpu_busy_ratio()
        is_busy = self.busy_cores >= BUSY_CORES or (gpu is not None and gpu >= BUSY_GPU_RATIO)
        return is_busy and is_quiet(self._surroundings.step())
