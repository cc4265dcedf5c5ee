"""The queue of sorts: who takes over a finished sort, whose lane is held, who gets a free slot.

What a round costs here follows from what can move, not from how many runs wait: holds are read
once, slots are asked before any run is, and only runs that a slot would let start are read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Protocol

from spikefleet.controller.sort_reuse import FoundSort, SortReuse
from spikefleet.controller.sort_spec import SortSpecs
from spikefleet.core.ids import RunId
from spikefleet.core.runs import Hold, Run, RunState
from spikefleet.core.sorters.catalogue import BACKENDS
from spikefleet.infra.launchers.base import Launcher
from spikefleet.infra.stores.sql.runs import RunStore

Step = Callable[[Run], bool]


class Guards(Protocol):
    """Carries out one run's step so that its trouble stays its own."""

    def __call__(self, run_id: RunId, step: Step) -> bool:
        """Read the run and make the step; say whether something moved."""
        ...


class SortQueue:
    """Moves runs that wait for a sort. ``start`` is what a free slot lets a run do.

    ``is_probe`` says of a run that its lane's hold does not stop it.
    """

    def __init__(
        self,
        runs: RunStore,
        launcher: Launcher,
        specs: SortSpecs,
        reuse: SortReuse,
        start: Step,
        is_probe: Callable[[RunId], bool],
    ) -> None:
        self._runs, self._launcher, self._specs = runs, launcher, specs
        self._reuse, self._start, self._is_probe = reuse, start, is_probe

    def step(self, guarded: Guards, troubled: Collection[str]) -> bool:
        """Move what can move; say whether something did. ``troubled`` are not to be looked at."""
        moved = self._take_over(guarded)
        moved |= self._hold(guarded)
        free = self._launcher.free_slots()
        moved |= self._fill(guarded, True, free.gpu, troubled)
        return self._fill(guarded, False, free.cpu, troubled) or moved

    def _take_over(self, guarded: Guards) -> bool:
        moved = False
        for waiting in self._runs.sorts_to_take_over():
            found = self._reuse.find(waiting.sort_digest)
            if found is None:
                continue
            for run_id in waiting.run_ids:
                moved |= guarded(run_id, partial(self._took, found))
        return moved

    def _took(self, found: FoundSort, run: Run) -> bool:
        return _is_queued(run) and self._reuse.take_over(run, found)

    def _hold(self, guarded: Guards) -> bool:
        moved = False
        for hold in self._runs.holds():
            for run_id in self._runs.queued_sorts(hold.lane):
                moved |= guarded(run_id, partial(self._put_aside, hold))
        return moved

    def _put_aside(self, hold: Hold, run: Run) -> bool:
        if not _is_queued(run) or self._is_probe(run.run_id):
            return False
        body = {"lane": hold.lane, "reason": hold.reason, "since_run": hold.run_id}
        self._runs.move_run(run, RunState.HELD, kind="run.held", body=body)
        return True

    def _fill(
        self, guarded: Guards, wants_gpu: bool, slots: int, troubled: Collection[str]
    ) -> bool:
        backends = [name for name in BACKENDS if self._specs.wants_gpu(name) is wants_gpu]
        if slots <= 0 or not backends:
            return False
        looked_at = self._runs.sorts_to_start(backends, slots + len(troubled))
        moved = False
        for run_id in [run_id for run_id in looked_at if run_id not in troubled][:slots]:
            moved |= guarded(run_id, self._begin)
        return moved

    def is_closed(self, run: Run) -> bool:
        """Whether the hold of its lane keeps the run's sort from being started."""
        return not self._is_probe(run.run_id) and self._runs.is_held(run.backend)

    def _begin(self, run: Run) -> bool:
        """The lane may have been held, and the run put back, since the queue was read."""
        return _is_queued(run) and not self.is_closed(run) and self._start(run)


def _is_queued(run: Run) -> bool:
    """A person may have cancelled the run since the queue was read."""
    return run.state is RunState.QUEUED and not run.cancel_requested
