"""A lane on hold is tried now and then: one of its runs goes ahead as a probe.

What held the lane may have been repaired, and nobody has thought of the release. The oldest of its
runs is tried an hour after the hold began, then after two, four, at most twenty-four hours. When it
gets past the stage that held it the lane is released; when it does not it is held again, and no
other run was spent. Lanes that hold a run for its own sake (its parameters, its size) are left to
a person.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from spikefleet.controller.fail_points import AtPoint, FailPoint, nobody_listens
from spikefleet.core.ids import RunId
from spikefleet.core.runs import Hold, Run, RunState
from spikefleet.infra.stores.sql.runs import RunStore

log = logging.getLogger(__name__)

FIRST_PROBE = timedelta(hours=1)
LONGEST_WAIT = timedelta(hours=24)
_LOOK_EVERY = timedelta(seconds=10)
_OWN = "/"  # in the name of a lane: it holds its own runs only


class LaneProbes:
    """Begins and follows probes. A restart forgets them: the lane is tried again an hour later.

    ``release`` opens a lane and returns how many runs it has queued again.
    """

    def __init__(
        self,
        runs: RunStore,
        clock: Callable[[], datetime],
        release: Callable[[str], int],
        passes: AtPoint = nobody_listens,
    ) -> None:
        self._runs, self._clock, self._release = runs, clock, release
        self._passes = passes
        self._begun = clock()
        self._next_look = self._begun + _LOOK_EVERY
        self._probes: dict[str, Run] = {}
        self._tries: dict[str, tuple[datetime, int]] = {}

    def is_probe(self, run_id: RunId) -> bool:
        """Whether a run may go ahead although its lane is on hold."""
        return any(probe.run_id == run_id for probe in self._probes.values())

    def step(self) -> bool:
        """Look at every held lane; say whether something moved."""
        now = self._clock()
        if now < self._next_look:
            return False
        self._next_look = now + _LOOK_EVERY
        held = {hold.lane: hold for hold in self._runs.holds() if _OWN not in hold.lane}
        self._probes = {lane: run for lane, run in self._probes.items() if lane in held}
        self._tries = {lane: tries for lane, tries in self._tries.items() if lane in held}
        moved = False
        for lane, hold in held.items():
            if lane in self._probes:
                moved |= self._follow(lane, self._probes[lane])
            elif now >= self._due(hold):
                moved |= self._begin(lane, now)
        return moved

    def _due(self, hold: Hold) -> datetime:
        tried_at, times = self._tries.get(hold.lane, (max(hold.created_at, self._begun), 0))
        wait: timedelta = min(LONGEST_WAIT, FIRST_PROBE * int(2**times))
        return tried_at + wait

    def _begin(self, lane: str, now: datetime) -> bool:
        times = self._tries.get(lane, (now, 0))[1]
        self._tries[lane] = (now, min(times + 1, 5))
        run = self._runs.first_held(lane)
        if run is None or run.cancel_requested:
            return False
        self._probes[lane] = run
        self._runs.move_run(run, RunState.QUEUED, kind="hold.probed", body={"lane": lane})
        self._passes(FailPoint.PROBE_BEGUN)
        log.info("hold.probed", extra={"lane": lane, "run_id": run.run_id})
        return True

    def _follow(self, lane: str, probe: Run) -> bool:
        run = self._runs.get_run(probe.run_id)
        is_given_up = run.state in (RunState.HELD, RunState.CANCELLED) or run.cancel_requested
        if not is_given_up and run.stage is probe.stage:
            return False
        del self._probes[lane]
        if is_given_up:
            return False
        queued = self._release(lane)
        self._passes(FailPoint.LANE_RELEASED)
        log.info("hold.released_by_probe", extra={"lane": lane, "runs": queued})
        return True
